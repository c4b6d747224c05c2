"""A till that lost something, or is there twice, goes on; and what may leave a till leaves it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from syncref.core.uplink_messages import Persisted, PersistProgress, StoreFailed
from syncref.domain.identity import Key, Term, chain_hash
from syncref.store.till_journal import check_chain
from syncref.store.till_open import TillDatabase
from syncref.store.till_rebase import Closed, closed_journals
from syncref.store.till_schema import (
    anchor,
    journal,
    line,
    operation,
    payment,
    receipt,
    till,
    z_report,
)
from syncref.till import owed, uplink
from syncref.till.owed import OwedUplink
from syncref.till.process import Till
from syncref.wire.entry import Continued, Receipt, decode_entry
from syncref.wire.sync import TermWire
from tests.integration.till.fake_server import FakeServer
from tests.integration.till.test_counter import failing_once
from tests.integration.till.test_sync import Shop, open_shop, server, shop

__all__ = ["server", "shop"]
Image = list[tuple[Any, list[dict[str, Any]]]]
_TABLES = (till, journal, receipt, line, payment, z_report, operation)


def image_of(database: TillDatabase) -> Image:
    """Return what a copy of the disk holds of the till's transactions."""
    with database.read() as connection:
        return [(table, [dict(row._mapping) for row in connection.execute(select(table))]) for table in _TABLES]


def put_back(dsn: str, image: Image) -> None:
    """Write an image over a till that does not run."""
    database = TillDatabase(dsn)
    with database.step() as connection:
        for table, rows in image:
            connection.execute(delete(table))
            if rows:
                connection.execute(insert(table), rows)
    database.close()


def receipts_of(server: FakeServer) -> list[Receipt]:
    """Return every receipt that a server has, of all journals."""
    entries = (decode_entry(payload) for payloads in server.entries.values() for payload in payloads)
    return [entry for entry in entries if isinstance(entry, Receipt)]


def roll_back(shop: Shop, dsn: str, image: Image) -> None:
    """Stop a till, roll its disk back, and start it again."""
    shop.till.stop()
    put_back(dsn, image)
    shop.till = Till(shop.settings)
    shop.till.start()


@pytest.fixture(params=["answered", "happened", "not_happened"])
def commit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the answer to the first commit of a rebase, and of a recall, get lost: whether it happened or not."""
    outcome: str = request.param

    def losing(real: Any) -> Any:
        left = [outcome != "answered"]

        def run(database: TillDatabase, **asked: Any) -> Any:
            if not left or not left.pop():
                return real(database, **asked)
            with failing_once(database, after=outcome == "happened"):
                return real(database, **asked)

        return run

    monkeypatch.setattr(uplink, "rebase", losing(uplink.rebase))
    monkeypatch.setattr(owed, "recall", losing(owed.recall))


@pytest.mark.usefixtures("commit")
def test_a_till_whose_disk_was_rolled_back_doubles_nothing_and_sells_on(
    shop: Shop, server: FakeServer, till_dsn: str
) -> None:
    """The server keeps what the till forgot; the till's next number is not one that was printed before."""
    shop.sell(3)
    shop.until_acked()
    old = shop.state().incarnation
    image = image_of(shop.till.database)
    shop.sell(4)
    shop.until_acked()
    kept = list(server.entries[old])
    roll_back(shop, till_dsn, image)
    shop.until(lambda: shop.state().incarnation != old, "the new incarnation")
    shop.sell(2)
    shop.until_acked()
    assert "rebased" in (shop.state().alarm or "")
    assert [upload.journal.incarnation for upload in shop.till.sync.owed] == [old]
    assert server.entries[old] == kept
    first, *rest = (decode_entry(payload) for payload in server.entries[shop.state().incarnation])
    assert isinstance(first, Continued)
    assert (first.incarnation, first.seq, len(rest)) == (old, 4, 2)
    assert len({entry.op_id for entry in receipts_of(server)}) == 9
    with shop.till.database.read() as connection:
        numbers = list(connection.execute(select(receipt.c.receipt_no)).scalars())
    assert len(numbers) == len(set(numbers)) == 5


def test_a_term_that_one_journal_met_binds_the_others_and_never_goes_down(shop: Shop) -> None:
    """What was acked counted for the term before; a late answer of its server brings neither of them back."""
    shop.sell(3)
    shop.until_acked()
    shop.till.stop()
    state, met = shop.state(), list[Term]()
    assert state.term_n is not None
    newer = Term(cluster="lab", n=state.term_n + 1, id=b"n" * 16)
    closed = Closed(key=Key(till="T01", incarnation=b"c" * 16), common=state.head)
    other = OwedUplink(shop.till._parts(), closed, grown=lambda _: None, term_met=met.append)
    told = other.carry_out(PersistProgress(term=newer, acked=4, safe=4, wait=True))
    assert isinstance(told, Persisted)
    assert met == [newer]
    now = shop.state()
    assert (now.term_n, now.term_id, now.acked, now.safe) == (newer.n, newer.id, 0, 0)
    older = Term(cluster="lab", n=state.term_n, id=state.term_id or b"")
    for late in (other, shop.till.uplink):
        told = late.carry_out(PersistProgress(term=older, acked=4, safe=4, wait=True))
        assert isinstance(told, StoreFailed)
    assert shop.state() == now


def test_two_tills_from_one_image_both_end_up_on_the_server_whole(
    shop: Shop, server: FakeServer, till_dsn: str
) -> None:
    """The clone sells first; the original's sales since then follow under their own op ids and numbers."""
    shop.sell(2)
    shop.until_acked()
    old = shop.state().incarnation
    image = image_of(shop.till.database)
    shop.sell(3)
    shop.until_acked()
    clone = list(server.entries[old])
    shop.till.stop()
    put_back(till_dsn, image)
    shop.till = Till(shop.settings)
    checkout = shop.till.desk._checkout
    shop.sell(2)  # before it meets the server again
    shop.till.start()
    shop.until(lambda: shop.state().incarnation != old, "the new incarnation")
    shop.until_acked()
    shop.sell()
    shop.until_acked()
    assert server.entries[old] == clone
    found = receipts_of(server)
    assert len({entry.op_id for entry in found}) == len(found) == 8
    with shop.till.database.read() as connection:
        assert check_chain(connection, where="here") == shop.state().head
        rows = connection.execute(select(receipt.c.op_id, receipt.c.seq)).all()
    seqs = {row.op_id: row.seq for row in rows}
    moved = [entry for entry in found if entry.number is not None]
    assert len(moved) == 2
    for entry in moved:
        answer = checkout.look_up(entry.op_id)
        assert answer is not None
        assert (answer.seq, answer.sync) == (seqs[entry.op_id.hex()], "synced")


def test_what_was_common_is_still_owed_to_a_server_that_lost_it(
    shop: Shop, server: FakeServer, till_dsn: str
) -> None:
    """After a rebase a promoted server without the old journal gets it too, also over a restart of the till."""
    shop.sell(3)
    shop.until_acked()
    old = shop.state().incarnation
    image = image_of(shop.till.database)
    shop.sell()
    shop.until_acked()
    common = server.entries[old][:4]
    roll_back(shop, till_dsn, image)
    shop.until(lambda: shop.state().incarnation != old, "the new incarnation")
    shop.sell()
    shop.until_acked()
    shop.restart()
    server.entries.clear()
    server.hashes.clear()
    server.sessions.clear()
    server.term = TermWire(cluster=server.term.cluster, n=server.term.n + 1, id=secrets.token_bytes(16))
    server.announce()
    shop.until(lambda: server.entries.get(old) == common, "the old journal")
    shop.sell()
    shop.until(lambda: len(receipts_of(server)) == 5, "all receipts")


@pytest.mark.usefixtures("commit")
def test_what_a_server_has_otherwise_of_an_old_journal_goes_on_in_the_new_one(
    shop: Shop, server: FakeServer, till_dsn: str
) -> None:
    """A clone's sale stands where this till's did, whose server is gone: nothing is lost, doubled or stuck."""
    shop.sell(3)
    shop.until_acked()
    old = shop.state().incarnation
    image = image_of(shop.till.database)
    shop.sell()
    shop.until_acked()
    common, clones = server.entries[old][:2], server.entries[old][4]
    own = [decode_entry(payload).op_id for payload in server.entries[old][2:4]]
    roll_back(shop, till_dsn, image)
    shop.until(lambda: shop.state().incarnation != old, "the new incarnation")
    shop.sell()
    shop.until_acked()
    server.entries, server.sessions = {old: [*common, clones]}, {}
    hashes = server.hashes[old][:3]
    server.hashes = {old: [*hashes, chain_hash(hashes[-1], clones)]}
    server.term = TermWire(cluster=server.term.cluster, n=server.term.n + 1, id=secrets.token_bytes(16))
    shop.till.uplink.look_again()
    shop.until(lambda: len(receipts_of(server)) == 5, "all receipts")
    assert server.entries[old] == [*common, clones]
    found = receipts_of(server)
    assert len({entry.op_id for entry in found}) == 5
    assert [entry.op_id for entry in found if entry.number is not None] == own
    shop.until_acked()
    assert "recalled" in (shop.state().alarm or "")
    with shop.till.database.read() as connection:
        assert check_chain(connection, where="here") == shop.state().head
        rows = connection.execute(select(receipt.c.op_id, receipt.c.incarnation, receipt.c.seq)).all()
        (ends,) = closed_journals(connection)
    assert ends.common.seq == 2
    present = shop.state().incarnation
    seqs = {row.op_id: (bytes(row.incarnation), row.seq) for row in rows}
    assert [seqs[op.hex()] for op in own] == [(present, 3), (present, 4)]
    shop.restart()
    shop.sell()
    shop.until(lambda: len(receipts_of(server)) == 6, "the next receipt")


@pytest.fixture
def pruning(till_dsn: str, tmp_path: Path, server: FakeServer) -> Any:
    """Yield a till that keeps a closed day for a second."""
    made = open_shop(till_dsn, tmp_path, server, retention_s=1)
    made.till.start()
    made.until_loaded()
    made.open_day()
    yield made
    made.till.stop()


def test_a_day_leaves_the_till_only_when_it_is_safe_tallied_and_old(pruning: Shop, server: FakeServer) -> None:
    """Op ids and the Z stay; the journal begins at its anchor, and goes on over a restart."""
    shop = pruning
    shop.sell(600)
    shop.till.desk._checkout.close_day(op_id=secrets.token_bytes(16), cashier="C1", counted_cash=0)
    shop.until_acked()
    end = shop.state().head_seq
    shop.till.desk._checkout.open_day(
        op_id=secrets.token_bytes(16), cashier="C1", business_date="2025-03-02", float_cash=0
    )
    shop.sell(2)
    shop.until_acked()

    def looked() -> int:
        server.requests.clear()
        shop.till.uplink.look_again()
        shop.until(lambda: "POST /v1/hello" in server.requests, "a handshake")
        shop.until(shop.till.uplink._inbox.empty, "the uplink's rest")
        with shop.till.database.read() as connection:
            return int(connection.execute(select(anchor.c.seq)).scalar() or 0)

    server.stock_seq = end
    server.office.put("stock", "P001", 1)
    server.announce()
    shop.until(lambda: shop.state().stock_seq == end, "the stock row")
    server.tallied = ["2025-03-01"]
    assert looked() == 0  # on no standby
    server.tallied = []
    server.safe_lags = 0
    shop.until(lambda: looked() == 0 and shop.state().safe > end, "the safe sequence")
    assert looked() == 0  # not tallied
    server.tallied = ["2025-03-01", "2025-03-02"]
    shop.until(lambda: looked() == end, "the pruning")
    with shop.till.database.read() as connection:
        left = list(connection.execute(select(journal.c.seq).order_by(journal.c.seq)).scalars())
        assert left == [end + 1, end + 2, end + 3]
        assert len(list(connection.execute(select(operation.c.op_id)))) == end + 3
        assert len(list(connection.execute(select(z_report.c.seq)))) == 1
        assert len(list(connection.execute(select(receipt.c.seq)))) == 2
    shop.restart()
    shop.sell()
    shop.until_acked()
