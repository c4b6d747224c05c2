"""An export: journal entries that a till could not hand over before it was cleaned, as a file of text lines.

    {"syncref_export": 1, "cluster": ..., "till": ..., "journals": n}
    {"incarnation": ..., "first_seq": ..., "prev_hash": ..., "entries": n, "last_hash": ...}      for each journal
    {"seq": ..., "payload": hex}                                                                  its n entries
    {"end": lines, "sha256": of all lines before}

Keeps: a file that was not written to its end, or was changed, is refused and names the line; what is read
hashes on from `prev_hash` to `last_hash`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from syncref.domain.identity import chain_hash
from syncref.errors import ConfigInvalid
from syncref.wire import UNREADABLE

VERSION = 1
T = TypeVar("T", bound=msgspec.Struct)


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    syncref_export: int
    cluster: str
    till: str
    journals: int


class _Journal(msgspec.Struct, forbid_unknown_fields=True):
    incarnation: str
    first_seq: int
    prev_hash: str
    entries: int
    last_hash: str


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    seq: int
    payload: str


class _End(msgspec.Struct, forbid_unknown_fields=True):
    end: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedJournal:
    """Consecutive entries of a journal: prev_hash is the chain hash before the first, last_hash after the last."""

    incarnation: bytes
    first_seq: int
    prev_hash: bytes
    payloads: tuple[bytes, ...]
    last_hash: bytes

    @property
    def last_seq(self) -> int:
        """The sequence of the last entry."""
        return self.first_seq + len(self.payloads) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What a till exported."""

    cluster: str
    till: str
    journals: tuple[ExportedJournal, ...]


def write_export(path: Path, export: Export) -> int:
    """Write a file, complete and durable or not at all; return the number of entries. Raises ConfigInvalid."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with fresh.open("xb") as file:
            hashed, lines = hashlib.sha256(), 0
            for item in _items(export):
                line = msgspec.json.encode(item) + b"\n"
                hashed.update(line)
                lines += 1
                count += isinstance(item, _Entry)
                file.write(line)
            file.write(msgspec.json.encode(_End(end=lines, sha256=hashed.hexdigest())) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, path)  # never over a file that is there
        _sync_folder(path.parent)
    except FileExistsError as error:
        raise ConfigInvalid(f"{path} is there already; nothing was overwritten") from error
    except OSError as error:
        raise ConfigInvalid(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return count


def _items(export: Export) -> Iterable[_Head | _Journal | _Entry]:
    yield _Head(syncref_export=VERSION, cluster=export.cluster, till=export.till, journals=len(export.journals))
    for journal in export.journals:
        yield _Journal(
            incarnation=journal.incarnation.hex(), first_seq=journal.first_seq, prev_hash=journal.prev_hash.hex(),
            entries=len(journal.payloads), last_hash=journal.last_hash.hex(),
        )  # fmt: skip
        for seq, payload in enumerate(journal.payloads, journal.first_seq):
            yield _Entry(seq=seq, payload=payload.hex())


def read_export(path: Path) -> Export:
    """Read a file. Raises ConfigInvalid, naming the line, when it is none, was cut short or was changed."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigInvalid(f"{path} can't be read: {error.strerror or error}") from error
    reader = _Reader(path, lines)
    reader.check_end()
    head = reader.take(_Head)
    if head.syncref_export != VERSION:
        raise reader.wrong(f"an export of version {head.syncref_export}; this program reads version {VERSION}")
    journals = tuple(_journal(reader) for _ in range(head.journals))
    reader.done()
    return Export(cluster=head.cluster, till=head.till, journals=journals)


def _journal(reader: _Reader) -> ExportedJournal:
    told = reader.take(_Journal)
    previous = prev_hash = reader.bytes_of(told.prev_hash)
    payloads = []
    for seq in range(told.first_seq, told.first_seq + told.entries):
        entry = reader.take(_Entry)
        if entry.seq != seq:
            raise reader.wrong(f"entry {entry.seq} where {seq} is due")
        payloads.append(reader.bytes_of(entry.payload))
        previous = chain_hash(previous, payloads[-1])
    if not payloads or previous != reader.bytes_of(told.last_hash):
        raise reader.wrong("the entries do not hash on to the journal's end")
    return ExportedJournal(
        incarnation=reader.bytes_of(told.incarnation),
        first_seq=told.first_seq,
        prev_hash=prev_hash,
        payloads=tuple(payloads),
        last_hash=previous,
    )


class _Reader:
    """Takes one line after another."""

    def __init__(self, path: Path, lines: list[bytes]) -> None:
        self._path = path
        self._lines = lines
        self._at = 0

    def wrong(self, what: str) -> ConfigInvalid:
        """Return the error for the line that was taken last."""
        return ConfigInvalid(f"{self._path}: line {self._at}: {what}; nothing was imported")

    def check_end(self) -> None:
        """Refuse a file without its last line, or whose lines are not what it says."""
        *lines, last, rest = self._lines if len(self._lines) > 1 else [b"", *self._lines]
        self._at = len(lines) + 1
        try:
            end = msgspec.json.decode(last, type=_End)
        except UNREADABLE:
            raise self.wrong("the file was not written to its end, or is no export") from None
        if rest or end.end != len(lines):
            raise self.wrong(f"the file says that it has {end.end} lines before this one, it has {len(lines)}")
        if hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest() != end.sha256:
            raise self.wrong("the file was changed after it was written")
        self._lines = lines
        self._at = 0

    def take(self, kind: type[T]) -> T:
        """Return the next line as a structure."""
        self._at += 1
        if self._at > len(self._lines):
            raise self.wrong("the file ends too early")
        try:
            return msgspec.json.decode(self._lines[self._at - 1], type=kind)
        except UNREADABLE as error:
            raise self.wrong(str(error)) from error

    def bytes_of(self, text: str) -> bytes:
        """Return hexadecimal text as bytes."""
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise self.wrong(f"{text[:40]!r} is not hexadecimal") from None

    def done(self) -> None:
        """Refuse lines after the last journal."""
        if self._at != len(self._lines):
            self._at += 1
            raise self.wrong("a line that belongs to no journal")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
