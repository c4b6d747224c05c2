"""A till whose disk is really full, on both databases: a small file system, filled by somebody else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from sqlalchemy import text

from chaos.fleet import smalldisk
from syncref.errors import DiskFull
from syncref.server.embedded import EmbeddedPostgres
from syncref.store.till_journal import check_chain
from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import provision
from syncref.store.till_reserve_table import PARTS, TableReserve
from tests.integration.conftest import new_database
from tests.integration.till.shop import Counter, fill_catalogue
from tests.postgres import running_postgres

SQLITE_BYTES = 48 * 1024 * 1024
POSTGRES_BYTES = 192 * 1024 * 1024
SALES_MAX = 3000
OBSTACLE = smalldisk.obstacle()
needs_disk = pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE or "there is none")


@dataclass(frozen=True, slots=True)
class Small:
    """A till that is open for business, and the small disk that its database is on."""

    counter: Counter
    disk: Path

    def fill(self, *, more: bool = False) -> None:
        """Let somebody else's files take all that is free."""
        smalldisk.fill(self.disk, more=more)

    def sell_until_it_was_full(self) -> int:
        """Sell until the reserve is touched; return how many sales there were."""
        for sold in range(SALES_MAX):
            if self.counter.reserve.full_seen:
                return sold
            self.counter.sell(*(f"P{n:03d}" for n in range(20)))
        raise AssertionError("the disk was never full")


def opened(dsn: str) -> Counter:
    """Return a till with an open day and its reserve."""
    database = TillDatabase(dsn)
    provision(database, name="T01", cluster="lab")
    fill_catalogue(database)
    counter = Counter(database)
    counter.open_day("2025-03-01")
    assert counter.reserve.fill()
    return counter


@pytest.fixture(params=["sqlite", "postgresql"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Small]:
    """Yield a till on each database."""
    if request.param == "postgresql":
        with running_postgres(POSTGRES_BYTES, shared_buffers="16MB", max_wal_size="64MB", fsync="off") as server:
            counter = opened(server.dsn("postgres"))
            yield Small(counter, server.folder.parent)
            counter.database.close()
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    smalldisk.mount(disk, SQLITE_BYTES)
    try:
        counter = opened(f"sqlite:///{disk}/till.db")
        yield Small(counter, disk)
        counter.database.close()
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@needs_disk
def test_a_day_ends_on_a_full_disk(small: Small) -> None:
    """The reserve takes the sale that did not fit, a refund, a void and the close; downloads have stopped."""
    first, second = small.counter.sell("P001"), small.counter.sell("P002")
    small.fill()
    sold = small.sell_until_it_was_full()
    assert small.counter.refund(first).gross == -first.gross
    assert small.counter.void(second.receipt_no).gross == -second.gross
    z = small.counter.close_day()
    assert (z.sales, z.refunds, z.voids) == (sold + 2, 1, 1)
    assert small.counter.reserve.room() == "no_downloads"
    with small.counter.database.read() as connection:
        assert check_chain(connection, where="here").seq == sold + 6


@needs_disk
def test_with_the_reserve_used_up_a_sale_is_refused_and_nothing_is_lost(small: Small) -> None:
    """As disk_full; once there is room again the till sells, and its reserve is set aside anew."""
    small.fill()
    with pytest.raises(DiskFull, match="no room left at"):
        for _ in range(SALES_MAX):
            small.counter.sell(*(f"P{n:03d}" for n in range(20)))
            small.fill(more=True)
    assert small.counter.reserve.room() == "reserve_used"
    smalldisk.empty(small.disk)
    sold = small.counter.sell("P002")
    small.counter.reserve.restore()
    assert small.counter.reserve.room() == "ok"
    with small.counter.database.read() as connection:
        assert check_chain(connection, where="here").seq == int(sold.receipt_no.rsplit("-", 1)[1]) + 1


@pytest.fixture
def reserve(postgres_cluster: EmbeddedPostgres) -> Iterator[TableReserve]:
    """Yield the reserve of a till on PostgreSQL, with small parts."""
    database = TillDatabase(new_database(postgres_cluster))
    provision(database, name="T01", cluster="lab")
    yield TableReserve(database, part_bytes=64 * 1024)
    database.close()


def test_the_tables_are_given_one_by_one_and_made_again(reserve: TableReserve) -> None:
    """Each is as large as it is to be, and what shows that one more would fit is not kept."""
    assert reserve.fill()
    assert [reserve._size(part) for part in range(1, PARTS + 2)] == [64 * 1024] * PARTS + [0]
    assert reserve.room() == "ok"
    for _ in range(PARTS):
        assert reserve.release()
    assert (reserve.release(), reserve.room()) == (False, "reserve_used")
    reserve.restore()
    assert (reserve.room(), reserve._count()) == ("ok", PARTS)


def test_tables_that_recovery_emptied_are_filled_again(reserve: TableReserve) -> None:
    """After PostgreSQL crashed they are there and hold nothing, so they would give nothing."""
    assert reserve.fill()
    with reserve._database.step() as connection:
        connection.execute(text("TRUNCATE reserve_2"))
    reserve.restore()
    assert reserve._count() == PARTS


def test_a_reserve_that_does_not_fit_is_not_made(reserve: TableReserve) -> None:
    """It would take the last room from whoever else is on that disk."""
    real = TableReserve._make
    refused = DiskFull("no room left at there")

    def make(self: TableReserve, part: int) -> None:
        real(self, part)
        if part > PARTS:
            raise refused

    with mock.patch.object(TableReserve, "_make", make):
        assert not reserve.fill()
    assert reserve._count() == 0


def test_a_sale_that_did_not_fit_is_made_with_the_reserve(database: TillDatabase) -> None:
    """On either database the cashier notices nothing."""
    fill_catalogue(database)
    counter = Counter(database)
    counter.open_day("2025-03-01")
    assert counter.reserve.fill()
    real = database._engine.dialect.do_execute
    left = [1]

    def execute(cursor: object, statement: str, parameters: object, context: object = None) -> None:
        if left and "INSERT INTO receipt" in statement:
            left.pop()
            raise OSError(28, "No space left on device")
        real(cursor, statement, parameters, context)  # type: ignore[arg-type]  (whatever the dialect takes)

    with mock.patch.object(database._engine.dialect, "do_execute", execute):
        sold = counter.sell("P001")
    assert not left
    assert sold.receipt_no.endswith("000001")
    assert counter.reserve.room() == "no_downloads"
