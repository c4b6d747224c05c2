"""The tills' disks on real SQLite files: what fails half way may be tried again, and is declared once."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.errors import FaultFailed
from chaos.faults.disks import Gone
from rehearsal.drive import disks as module
from rehearsal.drive.disks import ShopDisks
from rehearsal.evidence.databases import Database, WitnessUnreadable
from rehearsal.staging import copies

OWN = b"\x01" * 16
KEPT = Gone(head=3, kept=2, arrived=0, missing=1)


class Server:
    """The server's database as the witness reads it: entry 2 has arrived. `silent`: it can't be read."""

    silent = False

    def server(self) -> Any:
        """Read."""
        if self.silent:
            raise WitnessUnreadable("server")
        return SimpleNamespace(durable={("T01", OWN.hex()): 2})


class Till:
    """A till's file with two entries."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "STILL_S", 0.0)
        monkeypatch.setattr(module, "STILL_MAX_S", 0.0)
        monkeypatch.setattr(module.time, "sleep", lambda _: None)
        self.database = Database(f"sqlite:///{folder / 'till.db'}")
        self.server = Server()
        self.do("CREATE TABLE journal (incarnation, seq, hash, payload)")
        self.do("CREATE TABLE till (head_seq)")
        self.do("INSERT INTO till VALUES (0)")
        for _ in range(2):
            self.write()
        shop: Any = SimpleNamespace(fleet=None, till_databases={"T01": self.database})
        self.disks = ShopDisks(shop, cast(Any, self.server), parts=folder, seed=1, business_date="2026-01-01")

    def do(self, statement: str, *values: object) -> list[Any]:
        """Run a statement on the file."""
        with contextlib.closing(sqlite3.connect(self.database.file)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def write(self) -> None:
        """Write an entry."""
        self.do("UPDATE till SET head_seq = head_seq + 1")
        self.do("INSERT INTO journal SELECT ?, head_seq, ?, ? FROM till", OWN, b"h", b"p")

    def head(self) -> int:
        """The last entry on the file."""
        return int(self.do("SELECT head_seq FROM till")[0][0])


@pytest.fixture
def till(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Till:
    """One till."""
    return Till(tmp_path, monkeypatch)


def break_once(monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """Let the replacing of a file fail the first time, before or after the old one is removed."""
    real: Callable[..., None] = copies.remove_database
    left = [1]

    def removed(*args: Any, **options: Any) -> None:
        if after:
            real(*args, **options)
        if left:
            left.pop()
            raise FaultFailed("no room")
        real(*args, **options)

    monkeypatch.setattr(copies, "remove_database", removed)
    monkeypatch.setattr(module, "remove_database", removed)


def test_a_server_that_can_not_be_read_leaves_the_disk_and_its_copy_alone(till: Till) -> None:
    """The till may be started again as it is, and the copy put back by a second try."""
    assert till.disks.keep("T01") == 2
    till.write()
    till.server.silent = True
    with pytest.raises(FaultFailed, match="can't be read"):
        till.disks.put_back("T01")
    assert (till.head(), till.disks.half_done("T01"), till.disks.losses) == (3, False, [])
    till.server.silent = False
    assert till.disks.put_back("T01") == KEPT
    assert (till.head(), len(till.disks.losses)) == (2, 1)


@pytest.mark.parametrize("after", [False, True])
def test_a_disk_that_fails_half_way_is_half_done_until_it_is_replaced(
    till: Till, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """The loss is declared once, from the disk as it was."""
    till.disks.keep("T01")
    till.write()
    break_once(monkeypatch, after=after)
    with pytest.raises(FaultFailed, match="no room"):
        till.disks.put_back("T01")
    assert till.disks.half_done("T01")
    assert till.disks.put_back("T01") == KEPT
    assert (till.disks.half_done("T01"), till.head(), len(till.disks.losses)) == (False, 2, 1)


def test_a_disk_that_is_half_lost_is_lost_by_a_second_try(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """Declared once as well."""
    till.write()
    break_once(monkeypatch, after=True)
    with pytest.raises(FaultFailed, match="no room"):
        till.disks.wipe("T01")
    assert till.disks.half_done("T01")
    assert till.disks.wipe("T01") == Gone(head=3, kept=0, arrived=2, missing=1)
    assert (till.disks.half_done("T01"), len(till.disks.losses)) == (False, 1)
    assert not till.database.file.exists()
