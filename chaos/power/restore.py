"""Takes back what a killed process wrote and never synced, from the log that chaos/power/shim.c left.

Keeps: what was synced before the cut is untouched to the byte; of the rest, each 512-byte sector is either as it
was at the last sync, or as it was last written (`survive_percent` of them, drawn from a seed: torn writes). A new
file is durable once it or its directory was synced, another name once the directory was: as ext4, XFS and btrfs
keep it. The process must be dead.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from chaos.errors import FaultFailed

_HEAD = struct.Struct("<4sc3xQqqII")
_MAGIC = b"TPD1"
SECTOR = 512
VOLATILE = "*-shm"  # SQLite's shared memory: made anew from the log by the first to open it


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of the log; shim.c says what the fields mean for each kind."""

    kind: str
    ino: int
    at: int
    size: int
    path: str
    more: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """What a power cut took back: bytes in these files, and names. `unclear`: what the shim could not follow."""

    bytes: int = 0
    files: tuple[str, ...] = ()
    names: int = 0
    torn_sectors: int = 0
    unclear: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Tell whether something was lost."""
        return bool(self.bytes or self.names)


@dataclass(slots=True)
class _File:
    """One file's unsynced ranges (begin, end) and what survives of them."""

    path: Path
    ranges: list[tuple[int, int]] = field(default_factory=list)
    survivors: list[tuple[int, bytes]] = field(default_factory=list)


def records(log: Path) -> Iterator[Record]:
    """Read a log; a record cut short by the kill is left out. Raises FaultFailed for another file."""
    try:
        data = log.read_bytes()
    except OSError as error:
        raise FaultFailed(f"the log of unsynced writes can't be read: {error}") from error
    at = 0
    while at + _HEAD.size <= len(data):
        magic, kind, ino, where, size, path_len, more_len = _HEAD.unpack_from(data, at)
        if magic != _MAGIC:
            raise FaultFailed(f"{log} is no log of unsynced writes (at byte {at})")
        begin = at + _HEAD.size
        end = begin + path_len + more_len
        if end > len(data):
            return
        path = data[begin : begin + path_len].decode(errors="surrogateescape")
        yield Record(
            kind=kind.decode(), ino=ino, at=where, size=size, path=path, more=data[begin + path_len : end]
        )
        at = end


def unsynced(log: Path) -> list[Record]:
    """Return the changes that no sync covers, in order; `?` among them."""
    found = list(records(log))
    begun: dict[tuple[int, int], int] = {}
    durable: dict[int, int] = {}
    for number, record in enumerate(found):
        if record.kind == "B":
            begun[record.ino, record.at] = number
        elif record.kind == "S":
            durable[record.ino] = max(durable.get(record.ino, -1), begun.get((record.ino, record.at), -1))

    def covered(number: int, record: Record) -> bool:
        places = {"W": (record.ino,), "T": (record.ino,), "C": (record.ino, record.size), "?": ()}
        return any(durable.get(ino, -1) > number for ino in places.get(record.kind, (record.size,)))

    return [
        record for number, record in enumerate(found) if record.kind not in "LBS" and not covered(number, record)
    ]


def is_loaded(log: Path) -> bool:
    """Tell whether a process with the shim in it has begun this log."""
    return log.exists() and next(records(log), None) is not None


def cut(disk: Path, log: Path, *, seed: int, survive_percent: int = 0) -> Dropped:
    """Take the unsynced changes back, empty the log, and return what was lost; raise FaultFailed when it can't."""
    lost = unsynced(log)
    draw = Random(seed)  # noqa: S311 - which sectors survive, not a secret
    try:
        files = _files(disk, Path(f"{log}.kept"), lost)
        for ino in sorted(files):
            _draw_survivors(files[ino], draw, survive_percent)
        dropped = sum(_length(one.ranges) for one in files.values())
        changed = tuple(sorted(one.path.name for one in files.values() if one.ranges))
        names = sum(_take_back(record, files) for record in reversed(lost))
        torn = sum(_bring_back(one) for one in files.values())
        for path in disk.rglob(VOLATILE):
            path.unlink()
        shutil.rmtree(f"{log}.kept", ignore_errors=True)
        log.unlink()
    except OSError as error:
        raise FaultFailed(f"what was not synced can't be taken back: {error}") from error
    return Dropped(
        bytes=max(0, dropped - torn * SECTOR),
        files=changed,
        names=names,
        torn_sectors=torn,
        unclear=tuple(dict.fromkeys(record.path for record in lost if record.kind == "?")),
    )


def _files(disk: Path, kept: Path, lost: list[Record]) -> dict[int, _File]:
    """Find each changed file by its inode, and the ranges of it that are not synced."""
    there = {path.stat().st_ino: path for path in _walk(kept)} | {path.stat().st_ino: path for path in _walk(disk)}
    files: dict[int, _File] = {}
    for record in lost:
        if record.kind not in "WT" or record.ino not in there:
            continue
        one = files.setdefault(record.ino, _File(there[record.ino]))
        if record.more:
            one.ranges.append((record.at, record.at + len(record.more)))
        now = one.path.stat().st_size
        if now > record.size:
            one.ranges.append((record.size, now))
    for one in files.values():
        one.ranges = _joined(one.ranges)
    return files


def _walk(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                yield path


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined


def _length(ranges: list[tuple[int, int]]) -> int:
    return sum(end - begin for begin, end in ranges)


def _draw_survivors(one: _File, draw: Random, survive_percent: int) -> None:
    if not survive_percent:
        return
    with one.path.open("rb") as file:
        for begin, end in one.ranges:
            for sector in range(begin // SECTOR, -(-end // SECTOR)):
                if draw.randrange(100) < survive_percent:
                    first, last = max(begin, sector * SECTOR), min(end, (sector + 1) * SECTOR)
                    file.seek(first)
                    one.survivors.append((first, file.read(last - first)))


def _take_back(record: Record, files: dict[int, _File]) -> bool:
    """Undo one change; return whether it was one of names."""
    path = Path(record.path)
    match record.kind:
        case "W" | "T" if record.ino in files:
            with files[record.ino].path.open("r+b") as file:
                file.truncate(record.size)
                if record.more:
                    file.seek(record.at)
                    file.write(record.more)
        case "C" if _ino(path) == record.ino:
            path.unlink()
            files.pop(record.ino, None)
            return True
        case "U" if not path.exists():
            path.hardlink_to(record.more.decode(errors="surrogateescape"))
            return True
        case "R":
            fresh, _, kept = record.more.decode(errors="surrogateescape").partition("\0")
            if _ino(Path(fresh)) == record.ino:
                Path(fresh).rename(path)
                if kept:
                    Path(fresh).hardlink_to(kept)
                if record.ino in files:
                    files[record.ino].path = path
                return True
    return False


def _bring_back(one: _File) -> int:
    """Write the sectors that survive over what was taken back; return how many."""
    if one.survivors and one.path.exists():
        with one.path.open("r+b") as file:
            for at, content in one.survivors:
                file.seek(at)
                file.write(content)
        return len(one.survivors)
    return 0


def _ino(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
