from __future__ import annotations

import errno
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.errors import FaultFailed
from chaos.faults.base import Context
from chaos.faults.power_cut import PowerCut
from chaos.power import restore
from tests.unit.chaos.faults.shop import FakeShop, context_of, shop_of, suffered


class Disk:
    """A till's folder with one file, and the log of what is not synced in it."""

    def __init__(self, folder: Path) -> None:
        self.shop: FakeShop = shop_of()
        self.shop.folder = folder / "disk"
        self.shop.folder.mkdir()
        self.file = self.shop.folder / "till.db"
        self.file.write_bytes(b"synced")
        self.log = folder / "log"
        self.note("L")

    def note(self, kind: str, *, ino: int = 0, at: int = 0, size: int = 0, more: bytes = b"") -> None:
        """Append a record as the library does."""
        with self.log.open("ab") as log:
            log.write(struct.pack("<4sc3xQqqII", b"TPD1", kind.encode(), ino, at, size, 0, len(more)) + more)

    def write(self, content: bytes) -> None:
        """Write at the end of the file without a sync."""
        at = self.file.stat().st_size
        self.note("W", ino=self.file.stat().st_ino, at=at, size=at)
        with self.file.open("ab") as file:
            file.write(content)

    def context(self, *, writes: bool = True) -> Context:
        """The shop's context; the till writes in every pause of the fault when it `writes`."""
        made = context_of(self.shop, disk_logs={"T01": self.log})
        sleep = made.sleep

        def and_write(seconds: float) -> None:
            if writes and self.log.exists():
                self.write(b"!")
            sleep(seconds)

        return replace(made, sleep=and_write)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """One with a log."""
    return Disk(tmp_path)


def test_it_bites_a_till_that_was_writing(disk: Disk) -> None:
    """It died of the signal, lost its unsynced bytes, and lives on as another process."""
    bite, healed = suffered(disk.context(), PowerCut(("T01",)))
    assert (bite.bit, healed.ok) == (True, True), bite
    assert "lost 1 unsynced bytes in till.db" in bite.text
    assert disk.file.read_bytes() == b"synced"


def test_a_till_that_wrote_nothing_lost_nothing(disk: Disk) -> None:
    """Old unsynced bytes of a file that nobody writes to are no evidence either."""
    disk.write(b"long ago")
    assert suffered(disk.context(writes=False), PowerCut(("T01",)))[0].bit is False


def test_what_can_not_be_followed_proves_nothing(disk: Disk) -> None:
    """A shared mapping makes it "can't be told"."""
    disk.note("?")
    assert suffered(disk.context(), PowerCut(("T01",)))[0].bit is None


def test_a_node_that_was_not_followed_is_an_obstacle(disk: Disk) -> None:
    """Said before the run: nothing is killed."""
    assert "not followed" in (PowerCut(("server",)).obstacle(disk.context()) or "")
    os.truncate(disk.log, 0)
    assert "not followed" in (PowerCut(("T01",)).obstacle(disk.context()) or "")


@pytest.mark.parametrize("step", ["_files", "_take_back"])
def test_a_node_whose_files_are_half_taken_back_is_not_started(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """No room to write on: the fault fails, and its lift starts nothing on files in between."""

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(restore, step, no_room)
    context, one = disk.context(), PowerCut(("T01", "server"))
    with pytest.raises(FaultFailed, match="No space left"):
        one.inject(
            replace(context, system=replace(context.system, disk_logs={"T01": disk.log, "server": disk.log}))
        )
    disk.shop.states["server"] = "stopped"
    with pytest.raises(FaultFailed, match="what T01 had not synced"):
        one.lift(context)
    assert (disk.shop.states["T01"], disk.shop.states["server"]) == ("stopped", "running")
    assert one.give_up(context) == ("T01",)


def test_a_node_that_stands_still_when_its_log_is_damaged_goes_on(disk: Disk) -> None:
    """It was paused to look at the log, and never killed."""
    context, one = disk.context(), PowerCut(("T01",))
    pause = disk.shop.pause

    def and_damage(node: str) -> None:
        pause(node)
        disk.log.write_bytes(b"x" * 100)

    disk.shop.pause = and_damage  # type: ignore[method-assign]
    with pytest.raises(FaultFailed, match="no log of unsynced writes"):
        one.inject(context)
    assert disk.shop.states["T01"] == "paused"
    one.lift(context)
    assert (disk.shop.states["T01"], one.give_up(context)) == ("running", ())
