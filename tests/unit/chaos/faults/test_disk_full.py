from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaos.errors import CannotRun
from chaos.faults import disk_full
from chaos.faults.disk_full import DiskFull
from chaos.fleet import smalldisk
from tests.unit.chaos.faults.shop import FakeShop, context_of, shop_of, suffered


class Disk:
    """A disk in memory."""

    def __init__(self) -> None:
        self.free = 4096
        self.ballast = 0

    def fill(self, folder: Path, *, more: bool = False) -> int:
        """Take all that is free."""
        taken, self.free = self.free, 0
        self.ballast += taken
        return taken

    def empty(self, folder: Path) -> None:
        """Give the ballast back."""
        self.free, self.ballast = self.free + self.ballast, 0

    def free_bytes(self, folder: Path) -> int:
        """What is free."""
        return self.free


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk that the fault gets to see."""
    there = Disk()
    for name in ("fill", "empty", "free_bytes"):
        monkeypatch.setattr(disk_full, name, getattr(there, name))
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    return there


def refusing(shop: FakeShop, disk: Disk) -> None:
    """Make the till refuse a sale at every tick while the disk is full."""
    tick = shop.tick

    def refuse(till: object) -> None:
        if disk.free == 0:
            shop.tills["T01"].refused = (shop.tills["T01"].refused or 0) + 1
        else:
            tick(shop.tills["T01"])

    shop.tick = refuse  # type: ignore[method-assign]


def test_it_bites_a_till_that_refuses_sales(disk: Disk) -> None:
    """The disk was full, operations were refused, and there is room again."""
    shop = shop_of()
    refusing(shop, disk)
    bite, healed = suffered(context_of(shop), DiskFull(("T01",)))
    assert (bite.bit, healed.ok) == (True, True)
    assert disk.free == 4096


def test_it_does_not_bite_a_till_that_refuses_nothing(disk: Disk) -> None:
    """A till that never had to write was not hit."""
    assert suffered(context_of(shop_of()), DiskFull(("T01",)))[0].bit is False


def test_refusals_that_nobody_counted_prove_nothing(disk: Disk) -> None:
    """No evidence, either way."""
    shop = shop_of()
    shop.tills["T01"].refused = None
    assert suffered(context_of(shop), DiskFull(("T01",)))[0].bit is None


def test_room_that_appears_is_filled_again(disk: Disk) -> None:
    """A till that frees room does not get away with it."""
    one = DiskFull(("T01",))
    context = context_of(shop_of())
    one.inject(context)
    disk.free = 100
    one.observe(context)
    assert (disk.free, one.filled["T01"]) == (0, 4196)


def test_a_shared_disk_is_an_obstacle_and_never_filled(tmp_path: Path) -> None:
    """Neither the fault nor the function beneath it touches a disk that is not the till's own."""
    shop = shop_of()
    shop.folder = tmp_path
    assert "no disk of its own" in (DiskFull(("T01",)).obstacle(context_of(shop)) or "")
    with pytest.raises(CannotRun, match="not a disk of its own"):
        smalldisk.fill(tmp_path)
    assert list(tmp_path.iterdir()) == []
