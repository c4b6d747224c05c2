"""Both halves of the sync against a server that fails: nothing is lost, nothing is doubled, nothing hangs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncref.config import ClockConfig, SyncConfig, TillConfig, TillSettings
from syncref.core.selling import Basket, LineAsked, PaymentAsked
from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import provision
from syncref.store.till_state import TillState, read_state
from syncref.till.process import Till
from syncref.wire.entry import Continued, Receipt, decode_entry
from syncref.wire.sync import TermWire
from tests.integration.till.fake_server import FakeServer
from tests.integration.till.shop import CATALOGUE

WAIT_S = 30.0


class Shop:
    """A till that syncs with a fake server."""

    def __init__(self, dsn: str, folder: Path, servers: tuple[str, ...], **sync: object) -> None:
        secret = folder / "till.secret"
        secret.write_text("till secret")
        self.settings = TillSettings(
            till=TillConfig(
                name="T01", database=dsn, listen="127.0.0.1:0", servers=servers, credential_file=secret
            ),
            sync=SyncConfig(
                **{"request_timeout_ms": 500, "backoff_max_ms": 100, "batch_entries": 7, **sync}  # type: ignore[arg-type]
            ),
            clock=ClockConfig(),
        )
        self.till = Till(self.settings)

    def restart(self) -> None:
        """Stop and start again from what is stored."""
        self.till.stop()
        self.till = Till(self.settings)
        self.till.start()

    def state(self) -> TillState:
        """Return the till's row."""
        with self.till.database.read() as connection:
            return read_state(connection)

    def open_day(self) -> None:
        """Open a day."""
        self.till.desk._checkout.open_day(
            op_id=secrets.token_bytes(16), cashier="C1", business_date="2025-03-01", float_cash=0
        )

    def sell(self, count: int = 1) -> None:
        """Sell."""
        for _ in range(count):
            basket = Basket(
                lines=(LineAsked(sku="P001", qty=1000),), payments=(PaymentAsked(tender="cash", amount=None),)
            )
            self.till.desk._checkout.sell(op_id=secrets.token_bytes(16), cashier="C1", basket=basket)

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for something that has to happen."""
        end = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < end, f"{what} did not happen: {self.state()}"
            time.sleep(0.01)

    def until_acked(self) -> None:
        """Wait until the server has everything."""
        self.until(lambda: self.state().acked == self.state().head_seq, "the upload")

    def until_loaded(self) -> None:
        """Wait until the till may sell."""
        self.until(lambda: self.state().loaded, "the first load")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Yield a server with a catalogue."""
    made = FakeServer()
    for table, rows in CATALOGUE.items():
        for row in rows:
            made.office.put(table, *row)  # type: ignore[arg-type]
    yield made
    made.close()


def open_shop(dsn: str, folder: Path, *servers: FakeServer, **sync: object) -> Shop:
    """Provision a till and start it."""
    database = TillDatabase(dsn)
    provision(database, name="T01", cluster="lab")
    database.close()
    return Shop(dsn, folder, tuple(server.url for server in servers), **sync)


@pytest.fixture
def shop(till_dsn: str, tmp_path: Path, server: FakeServer) -> Iterator[Shop]:
    """Yield a till that is loaded, has an open day, and syncs continuously."""
    made = open_shop(till_dsn, tmp_path, server)
    made.till.start()
    made.until_loaded()
    made.open_day()
    yield made
    made.till.stop()


def on_server(shop: Shop, server: FakeServer) -> list[bytes]:
    """Return what the server has of the till's journal."""
    return server.entries[shop.state().incarnation]


def test_sales_reach_the_server_in_order_and_once(shop: Shop, server: FakeServer) -> None:
    """Load, sell, sync: the plain case."""
    shop.sell(20)
    shop.until_acked()
    payloads = on_server(shop, server)
    assert len(payloads) == 21
    assert [getattr(decode_entry(payload), "counter", 0) for payload in payloads] == list(range(21))
    assert shop.till.progress.online


def test_a_lost_ack_doubles_nothing(shop: Shop, server: FakeServer) -> None:
    """The server has committed, the till saw no answer: the batch is sent again and dropped there."""
    server.acks_to_lose = 3
    shop.sell(5)
    shop.until_acked()
    assert server.acks_to_lose == 0
    assert len(on_server(shop, server)) == 6


def test_a_black_hole_neither_hangs_the_sync_nor_the_sale(shop: Shop, server: FakeServer) -> None:
    """Requests end by their deadline, the till knows that it is offline, and goes on by itself afterwards."""
    shop.until_acked()
    server.black_hole = True
    shop.sell(3)
    shop.until(lambda: not shop.till.progress.online, "knowing to be offline")
    shop.sell(3)
    assert shop.till.sync.alive()
    server.black_hole = False
    shop.until_acked()
    assert len(on_server(shop, server)) == 7


def test_a_server_that_fell_silent_is_not_waited_for_by_the_masters(
    till_dsn: str, tmp_path: Path, server: FakeServer
) -> None:
    """The upload finds out by its deadline; what the server holds back for 20 s is then asked elsewhere."""
    other = FakeServer()
    shop = open_shop(till_dsn, tmp_path, server, other, request_timeout_ms=500)
    shop.till.start()
    try:
        shop.until_loaded()
        shop.open_day()
        shop.until_acked()
        shop.until(lambda: shop.till.downlink._holding, "following the server")
        server.black_hole = True
        began_s = time.monotonic()
        shop.sell()
        shop.until(lambda: "GET /v1/feed" in other.requests, "asking the next server")
        assert time.monotonic() - began_s < 15
    finally:
        server.black_hole = False
        shop.till.stop()
        other.close()


def test_the_next_server_is_found(till_dsn: str, tmp_path: Path, server: FakeServer) -> None:
    """A dead first server is left behind, without anybody's help."""
    dead = FakeServer()
    dead.close()
    shop = open_shop(till_dsn, tmp_path, dead, server)
    shop.till.start()
    try:
        shop.until_loaded()
        shop.open_day()
        shop.until_acked()
    finally:
        shop.till.stop()


def test_a_new_till_that_meets_another_clusters_server_believes_its_own_alone(
    till_dsn: str, tmp_path: Path, server: FakeServer
) -> None:
    """The first of its list is another shop's, which knows it too: nothing is rebased, loaded or sent there."""
    other = FakeServer()
    other.term = TermWire(cluster="elsewhere", n=5, id=bytes(16))
    shop = open_shop(till_dsn, tmp_path, other, server)
    first = shop.state().incarnation
    shop.till.start()
    try:
        shop.until_loaded()
        shop.open_day()
        shop.until_acked()
        assert "POST /v1/hello" in other.requests
        assert "POST /v1/journal" not in other.requests
        assert (shop.state().incarnation, shop.state().term_n) == (first, server.term.n)
    finally:
        shop.till.stop()
        other.close()


def test_a_busy_server_is_asked_again_without_a_new_sale(shop: Shop, server: FakeServer) -> None:
    """Refused cheaply, the till retries for ever, without waiting for another local write."""
    server.refuse_uploads = "busy"
    shop.sell(2)
    shop.until(lambda: server.requests.count("POST /v1/journal") >= 3, "trying again")
    server.refuse_uploads = None
    shop.until_acked()


def test_a_sale_that_the_uplink_was_not_told_of_goes_with_the_next_handshake(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commit happened, the answer and the look-up failed, nobody asks again: it waits for no other sale."""
    shop.until_acked()
    monkeypatch.setattr(shop.till.desk._checkout, "_wake_uplink", lambda _: None)
    shop.sell()
    shop.till.uplink.look_again()
    shop.until_acked()


def test_an_expired_token_is_renewed(shop: Shop, server: FakeServer) -> None:
    """Tokens are short-lived; nobody is told."""
    shop.until_acked()
    server.tokens.clear()
    shop.sell(2)
    shop.until_acked()
    assert shop.state().alarm is None


def test_a_forked_journal_is_continued_under_a_new_incarnation(shop: Shop, server: FakeServer) -> None:
    """The server has other bytes at a sequence that the till has written: nothing is overwritten or doubled."""
    shop.sell(4)
    shop.until_acked()
    incarnation = shop.state().incarnation
    hashes = server.hashes[incarnation]
    del hashes[4:], server.entries[incarnation][3:]
    hashes.append(secrets.token_bytes(32))
    server.entries[incarnation].append(b"something else")
    server.sessions.clear()
    before = list(server.entries[incarnation])
    shop.sell()
    shop.until(lambda: shop.state().incarnation != incarnation, "the new incarnation")
    shop.sell(2)
    shop.until_acked()
    assert "rebased" in (shop.state().alarm or "")
    assert server.entries[incarnation] == before
    first, *rest = (decode_entry(payload) for payload in server.entries[shop.state().incarnation])
    assert isinstance(first, Continued)
    assert (first.incarnation, first.seq, first.hash) == (incarnation, 3, hashes[3])
    kept = [decode_entry(payload) for payload in before[:3]]
    receipts = [entry for entry in (*kept, *rest) if isinstance(entry, Receipt)]
    assert len({receipt.op_id for receipt in receipts}) == len(receipts) == 7
    assert [receipt.number is None for receipt in receipts] == [True, True, False, False, False, True, True]
    shop.restart()
    shop.sell()
    shop.until_acked()


def test_a_restored_server_is_sent_again_what_it_lost(shop: Shop, server: FakeServer) -> None:
    """The server is behind what it once acked: the till resumes from where the server really is."""
    shop.sell(9)
    shop.until_acked()
    incarnation = shop.state().incarnation
    expected = list(server.entries[incarnation])
    del server.hashes[incarnation][4:], server.entries[incarnation][3:]
    server.sessions.clear()
    shop.sell()
    shop.until(lambda: len(server.entries[incarnation]) == len(expected) + 1, "sending again")
    assert server.entries[incarnation][: len(expected)] == expected


def test_a_backlog_survives_a_restart(shop: Shop, server: FakeServer) -> None:
    """What was sold offline is sent after the till was restarted."""
    server.refuse_uploads = "busy"
    shop.sell(30)
    shop.restart()
    server.refuse_uploads = None
    shop.until_acked()
    assert len(on_server(shop, server)) == 31


def test_a_price_change_arrives_by_itself(shop: Shop, server: FakeServer) -> None:
    """The feed is held open, and answered when something changes."""
    with server.changed:
        server.office.put("price", "P001", "STD", 0, 999)
        server.changed.notify_all()
    shop.until(lambda: shop.state().cursor_pos == server.office.pos, "the change")
    shop.sell()
    shop.until_acked()
    assert decode_entry(on_server(shop, server)[-1]).gross == 999  # type: ignore[union-attr]


def test_a_run_of_many_pages_ends_as_the_server_is(shop: Shop, server: FakeServer) -> None:
    """Pages are staged, applied whole, and merged."""
    server.page_rows = 40
    with server.changed:
        for n in range(300):
            server.office.put("price", f"P{n:03d}", "STD", 0, n + 1)
        server.changed.notify_all()
    shop.until(lambda: shop.state().cursor_pos == server.office.pos, "the run")
    shop.until(lambda: not shop.state().overlay, "the merge")
    assert shop.state().alarm is None
    with shop.till.database.read() as connection:
        (count,) = connection.exec_driver_sql("SELECT count(*) FROM price").one()
    assert count == 300


def test_a_digest_that_differs_is_reported_and_mended(shop: Shop, server: FakeServer) -> None:
    """The table is loaded again, and the alarm ends once all agrees."""
    loads = server.requests.count("GET /v1/load/price")
    server.digest_lies = 1
    with server.changed:
        server.office.put("price", "P001", "STD", 0, 5)
        server.changed.notify_all()
    shop.until(lambda: server.requests.count("GET /v1/load/price") > loads, "the refetch")
    shop.until(lambda: shop.state().alarm is None and shop.state().cursor_pos == server.office.pos, "the end")


def test_an_urgent_price_is_applied_ahead(shop: Shop, server: FakeServer) -> None:
    """An urgent row is there even while its run is not."""
    with server.changed:
        server.urgent = [server.office.put("price", "P001", "STD", 0, 321)]
        server.changed.notify_all()
    shop.until(lambda: shop.state().urgent_pos == server.office.pos, "the urgent price")
    shop.until(lambda: shop.state().cursor_pos == server.office.pos, "the run")
    assert shop.state().alarm is None


def test_a_load_that_was_cut_goes_on(till_dsn: str, tmp_path: Path, server: FakeServer) -> None:
    """A till that is stopped in the middle of its first load does not begin anew."""
    for n in range(400):
        server.office.put("product", f"Q{n:03d}", "x", "N", "V1", 1)
    shop = open_shop(till_dsn, tmp_path, server)
    shop.till.start()
    shop.until(lambda: server.requests.count("GET /v1/load/product") >= 3, "some chunks")
    shop.restart()
    try:
        shop.until_loaded()
        assert server.requests.count("GET /v1/load/tax_rate") <= 2
    finally:
        shop.till.stop()


def test_a_sync_by_hand_works_when_the_till_does_not_sync_by_itself(
    till_dsn: str, tmp_path: Path, server: FakeServer
) -> None:
    """Outside of its times nothing is sent; asked, both halves run once and rest again."""
    shop = open_shop(till_dsn, tmp_path, server, continuous=False)
    shop.till.start()
    try:
        assert shop.till.sync.run_now("all").ok
        shop.open_day()
        shop.sell(3)
        assert shop.state().acked == 0
        answer = shop.till.sync.run_now("up")
        assert (answer.ok, answer.down, answer.up and answer.up.acked) == (True, None, 4)
        shop.until(lambda: shop.state().acked == 4, "what was acked stored")
        server.office.put("price", "P001", "STD", 0, 77)
        answer = shop.till.sync.run_now("down")
        assert answer.ok
        assert answer.down is not None
        assert answer.down.pos == server.office.pos
        asked = len(server.requests)
        shop.sell(1)
        shop.until(lambda: shop.till.uplink.state.phase.value == "idle", "rest")  # type: ignore[union-attr]
        assert len(server.requests) == asked
    finally:
        shop.till.stop()


def test_a_sync_by_hand_while_syncing_by_itself_answers_at_once(shop: Shop, server: FakeServer) -> None:
    """The held feed is cut short; the same question is asked again without waiting."""
    shop.until(lambda: shop.till.downlink._holding, "a held feed")
    server.office.put("price", "P001", "STD", 0, 77)
    answer = shop.till.sync.run_now("all")
    assert answer.ok
    assert answer.down is not None
    assert answer.down.pos == server.office.pos


def test_syncs_asked_for_while_the_server_is_followed_do_not_pile_up(shop: Shop) -> None:
    """Each would be a request without a wait, one after another, as soon as the server is gone."""
    for _ in range(10):
        shop.until(lambda: shop.till.downlink._holding, "a held feed")
        assert shop.till.sync.run_now("down").ok
    assert shop.till.downlink._inbox.qsize() <= 1


def test_a_crash_of_a_sync_thread_is_shown_and_overcome(
    shop: Shop, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread never dies silently: it reports, and begins anew from what is stored."""
    shop.until_acked()
    calls = [0]

    def broken(*_: object, **__: object) -> object:
        calls[0] += 1
        raise ValueError("a bug")

    monkeypatch.setattr(shop.till.uplink, "_batch", broken)
    shop.sell()
    shop.until(lambda: calls[0] >= 2, "crashing twice")
    assert "a bug" in (shop.till.uplink.error or "")
    assert shop.till.sync.alive()
    monkeypatch.undo()
    shop.until_acked()


def test_with_little_room_staging_stops_first_then_downloads_and_sales_go_on(
    shop: Shop, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stops, stops in this order; the upload never does."""
    monkeypatch.setattr(shop.till.reserve, "room", lambda: "no_staging")
    server.page_rows = 10
    at = shop.state().cursor_pos
    with server.changed:
        for n in range(30):
            server.office.put("price", f"P{n:03d}", "STD", 0, n + 1)
        server.changed.notify_all()
    shop.until(lambda: "staging has stopped" in (shop.till.downlink.error or ""), "the stop of staging")
    monkeypatch.setattr(shop.till.reserve, "room", lambda: "no_downloads")
    shop.until(lambda: "downloads have stopped" in (shop.till.downlink.error or ""), "the stop of downloads")
    shop.sell(3)
    shop.until_acked()
    assert shop.state().cursor_pos == at
    monkeypatch.undo()
    shop.until(lambda: shop.state().cursor_pos == server.office.pos, "the rest")
