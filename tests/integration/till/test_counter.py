"""The counter on a real database: one transaction per operation, the same answer to the same question."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path
from unittest import mock

import msgspec
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from syncref.errors import DiskFull, OperationReused, RuleBroken, StorageFailed
from syncref.store import till_schema as schema
from syncref.store.till_journal import check_chain, stretch
from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import provision
from syncref.store.till_state import read_state, write_state
from syncref.wire.entry import DayClosed, Receipt, decode_entry
from tests.integration.till.shop import Counter, FixedClock, fill_catalogue


def count(database: TillDatabase, table: str) -> int:
    """Return the number of rows of a table."""
    with database.read() as connection:
        found: int = connection.execute(
            select(func.count()).select_from(schema.metadata.tables[table])
        ).scalar_one()
    return found


def test_a_sale_leaves_receipt_lines_payment_entry_and_operation(counter: Counter) -> None:
    """Everything that follows from a sale is in the database once it is answered."""
    sold = counter.sell("P001", "P002", "P003")
    tables = {name: count(counter.database, name) for name in ("receipt", "line", "payment", "operation")}
    assert tables == {"receipt": 1, "line": 3, "payment": 1, "operation": 2}
    with counter.database.read() as connection:
        state = read_state(connection)
        (_, payload) = stretch(
            connection, state.key, cluster="lab", after=0, count_max=10, bytes_max=10**6
        ).payloads
        assert check_chain(connection, where="here") == state.head
    entry = decode_entry(payload)
    assert isinstance(entry, Receipt)
    assert (entry.gross, entry.op_id.hex()) == (sold.gross, sold.op_id)
    assert (sold.gross, sold.seq, sold.receipt_no[-6:]) == (306, 2, "000001")
    assert [mark.seq for mark in counter.woken] == [1, 2]


def test_the_same_op_id_gives_the_same_receipt_and_sells_once(counter: Counter) -> None:
    """A repeated request is answered, not carried out again; an edited one is refused."""
    op_id = secrets.token_bytes(16)
    first = counter.sell("P001", op_id=op_id)
    assert counter.sell("P001", op_id=op_id) == first
    with pytest.raises(OperationReused):
        counter.sell("P002", op_id=op_id)
    assert count(counter.database, "receipt") == 1


def test_an_operation_that_is_asked_again_wakes_the_uplink_unless_it_is_acked(counter: Counter) -> None:
    """Its commit may have happened while the answer and the look-up failed: nobody has told the uplink then."""
    op_id = secrets.token_bytes(16)
    sold = counter.sell("P001", op_id=op_id)
    counter.woken.clear()
    counter.sell("P001", op_id=op_id)
    assert [mark.seq for mark in counter.woken] == [sold.seq]
    with counter.database.step() as connection:
        write_state(connection, acked=sold.seq)
    counter.sell("P001", op_id=op_id)
    assert len(counter.woken) == 1


def test_an_operation_is_found_after_the_database_was_opened_anew(counter: Counter, till_dsn: str) -> None:
    """Op ids and results are in the database, not in memory."""
    op_id = secrets.token_bytes(16)
    first = counter.sell("P001", op_id=op_id)
    counter.database.close()
    again = TillDatabase(till_dsn)
    again.check()
    assert Counter(again).sell("P001", op_id=op_id) == first
    again.close()


def test_unknown_products_and_closed_days_are_refused_and_leave_nothing(counter: Counter) -> None:
    """A refusal is definite: no counter, no entry, no op id is used up."""
    with pytest.raises(RuleBroken, match="NOPE"):
        counter.sell("NOPE")
    counter.close_day()
    with pytest.raises(RuleBroken, match="no day is open"):
        counter.sell("P001")
    assert count(counter.database, "receipt") == 0
    counter.open_day("2025-03-02")
    assert counter.sell("P001").receipt_no.endswith("000001")


def test_a_till_without_complete_masters_does_not_sell(database: TillDatabase) -> None:
    """Before the first load is verified there is nothing to sell by."""
    counter = Counter(database)
    counter.open_day("2025-03-01")
    with pytest.raises(RuleBroken, match="masters are not complete"):
        counter.sell("P001")


def test_z_counts_what_the_day_sold_refunded_and_voided(counter: Counter) -> None:
    """The Z report is the sum of the day's receipts, journaled with the close."""
    sold = counter.sell("P001", "P002", qty=2000)
    counter.refund(sold, qty=1000)
    counter.void(counter.sell("P003").receipt_no)
    z = counter.close_day(counted_cash=77)
    assert (z.sales, z.refunds, z.voids, z.counted_cash) == (2, 1, 1, 77)
    assert z.gross == sold.gross - 101
    assert [(total.tender, total.amount) for total in z.by_tender] == [("cash", z.gross)]
    assert sum(total.gross for total in z.by_rate) == z.gross
    assert (z.first_receipt, z.last_receipt) == (sold.receipt_no, sold.receipt_no[:-1] + "4")
    with counter.database.read() as connection:
        state = read_state(connection)
        entry = decode_entry(
            stretch(connection, state.key, cluster="lab", after=z.seq - 1, count_max=1, bytes_max=10**6).payloads[
                0
            ]
        )
        row = connection.execute(select(schema.z_report)).one()
    assert isinstance(entry, DayClosed)
    assert (state.business_date, state.closed_date) == (None, "2025-03-01")
    assert msgspec.json.decode(row.by_tender) == [["cash", z.gross]]


def test_own_receipts_are_refunded_only_once(counter: Counter) -> None:
    """What was taken back can't be taken back again, in parts or whole."""
    sold = counter.sell("P001", qty=2000)
    counter.refund(sold, qty=1500)
    with pytest.raises(RuleBroken, match="left to refund"):
        counter.refund(sold, qty=501)
    with pytest.raises(RuleBroken, match="partly refunded"):
        counter.void(sold.receipt_no)


def test_another_tills_receipt_is_refunded_unchecked(counter: Counter) -> None:
    """The paper of another till is believed; the server reconciles."""
    foreign = msgspec.structs.replace(counter.sell("P001"), receipt_no="T09-ABCDE-000007")
    assert counter.refund(foreign).ref == "T09-ABCDE-000007"


def test_prices_never_go_back_with_the_clock(database: TillDatabase) -> None:
    """After the clock has passed a price change, a clock set back does not bring the old price back."""
    fill_catalogue(database)
    clock = FixedClock()
    with database.step() as connection:
        connection.execute(
            schema.masters["price"].insert(),
            {"sku": "P001", "list": "STD", "valid_from_ms": clock.at_ms + 1000, "amount": 555, "version": 2},
        )
    counter = Counter(database, clock=clock)
    counter.open_day("2025-03-01")
    assert counter.sell("P001").gross == 101
    clock.at_ms += 1000
    assert counter.sell("P001").gross == 555
    clock.at_ms -= 3_600_000
    assert counter.sell("P001").gross == 555
    assert Counter(database, clock=clock).sell("P001").gross == 555, "not even after a restart"


def test_a_commit_that_failed_after_it_happened_is_found(counter: Counter) -> None:
    """When the commit's outcome is unknown the op id is looked up; here it had happened."""
    with failing_once(counter.database, after=True):
        sold = counter.sell("P001")
    assert count(counter.database, "receipt") == 1
    repeated = bytes.fromhex(sold.op_id)
    with failing_once(counter.database, after=True), pytest.raises(StorageFailed, match="the commit failed"):
        counter.sell("P001", op_id=repeated)
    assert counter.sell("P001", op_id=repeated) == sold


def test_a_commit_that_failed_before_it_happened_is_refused_and_can_be_asked_again(counter: Counter) -> None:
    """When the look-up shows nothing, the answer says so, and the same op id sells later."""
    op_id = secrets.token_bytes(16)
    with failing_once(counter.database, after=False), pytest.raises(StorageFailed, match="not stored"):
        counter.sell("P001", op_id=op_id)
    assert count(counter.database, "receipt") == 0
    assert counter.sell("P001", op_id=op_id).receipt_no.endswith("000001")


def test_disk_full_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    """With no reserve left a sale is refused as disk_full, and works again once there is room."""
    database = TillDatabase(f"sqlite:///{tmp_path}/till.db")
    provision(database, name="T01", cluster="lab")
    fill_catalogue(database)
    counter = Counter(database)
    counter.open_day("2025-03-01")
    first = counter.sell("P001")
    with counter.database._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    counter.database.reopen()
    limit = f"PRAGMA max_page_count={pages}"
    with limited(counter.database, limit), pytest.raises(DiskFull, match="no room left at"):
        for _ in range(2000):
            counter.sell(*(f"P{n:03d}" for n in range(20)))
    assert counter.reserve.room() == "reserve_used"
    sold = counter.sell("P002")
    with counter.database.read() as connection:
        assert check_chain(connection, where="here").seq == sold.seq
    assert counter.sell("P001", op_id=bytes.fromhex(first.op_id)) == first


def failing_once(database: TillDatabase, *, after: bool) -> mock._patch[object]:
    """Fail this thread's next commit, after or before it has happened, until the end of the block."""
    failing = threading.get_ident()
    dialect = database._engine.dialect
    real = dialect.do_commit
    left = [1]

    def commit(connection: object) -> None:
        fails = threading.get_ident() == failing and bool(left) and bool(left.pop())
        if after or not fails:
            real(connection)  # type: ignore[arg-type]
        if fails:
            raise OperationalError("COMMIT", None, Exception("disk I/O error"))

    return mock.patch.object(dialect, "do_commit", commit)


def limited(database: TillDatabase, pragma: str) -> mock._patch[object]:
    """Run a pragma at the begin of every transaction, until the end of the block."""
    real = database._engine.dialect.do_execute

    def execute(cursor: object, statement: str, parameters: object, context: object = None) -> None:
        if statement.startswith("BEGIN"):
            cursor.execute(pragma)  # type: ignore[attr-defined]
        real(cursor, statement, parameters, context)  # type: ignore[arg-type]

    return mock.patch.object(database._engine.dialect, "do_execute", execute)
