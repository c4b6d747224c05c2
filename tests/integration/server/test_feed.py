"""The feed: runs that end in one committed state, with nothing skipped and nothing half applied."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest

from syncref.domain.masters import DIGEST_MODULUS, MASTERS, row_digest
from syncref.store import server_feed
from syncref.store.server_feed import changed_keys, prune_changes
from syncref.wire import sync
from syncref.wire.sync import FeedRow
from tests.integration.server.shop import Shop, Till

Rows = dict[tuple[str, tuple[object, ...]], FeedRow]
KEY_WIDTH = {spec.name: len(spec.key) for spec in MASTERS}


def apply(held: Rows, rows: Iterable[FeedRow]) -> None:
    """Apply feed rows as a till does: never an older version over a newer one."""
    for row in rows:
        key = (row.table, tuple(row.row[: KEY_WIDTH[row.table]]))
        if key not in held or held[key].version <= row.version:
            held[key] = row


def digests(held: Rows) -> dict[str, int]:
    """Return the digests of what a till holds."""
    sums = dict.fromkeys(KEY_WIDTH, 0)
    for (table, _), row in held.items():
        if not row.deleted:
            sums[table] = (sums[table] + row_digest(table, tuple(row.row), row.version)) % DIGEST_MODULUS
    return sums


@pytest.fixture
def open_transaction(shop: Shop) -> Iterator[psycopg2.extensions.connection]:
    """Yield a foreign connection whose transaction has an id: it holds the feed's horizon back."""
    dsn = shop.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(dsn)
    connection.cursor().execute("SELECT pg_current_xact_id()")
    yield connection
    connection.close()


def test_a_run_ends_in_the_servers_state_with_its_digest(shop: Shop) -> None:
    """From the beginning, and again after edits and a deletion, what a till holds has the server's digest."""
    till, clerk = shop.till("T01"), shop.clerk()
    held: Rows = {}
    rows, page = till.run(0)
    apply(held, rows)
    assert digests(held) == dict(page.digests)
    assert clerk.document("vendors", vendors=[{"vendor_id": "V9", "name": "Nine"}]).status == 200
    assert clerk.document("prices", prices=[{"sku": "P1", "valid_from_ms": 0, "amount": 111}]).status == 200
    assert clerk.document("vendors", vendors=[{"vendor_id": "V9", "deleted": True}]).status == 200
    rows, page = till.run(page.pos)
    apply(held, rows)
    assert digests(held) == dict(page.digests)
    assert held["vendor", ("V9",)].deleted
    assert held["price", ("P1", "STD", 0)].row == ("P1", "STD", 0, 111)
    assert held["price", ("P1", "STD", 0)].version == 2


def test_an_empty_page_carries_term_position_and_digests(shop: Shop) -> None:
    """Even without news a till can see that it is in step."""
    till = shop.till("T01")
    _, page = till.run(0)
    again = till.feed(page.pos)
    assert (again.rows, again.last, again.digests) == ((), True, page.digests)
    assert again.term == till.term
    assert again.pos >= page.pos


def test_a_run_of_several_pages_ends_in_one_state_in_spite_of_edits(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While pages are read, a clerk moves an amount between two prices: the end of the run shows neither half."""
    monkeypatch.setattr("syncref.server.feed.PAGE_ROWS_MAX", 4)
    till, clerk = shop.till("T02"), shop.clerk()
    pair = [{"sku": "P2", "valid_from_ms": 5, "amount": 500}, {"sku": "P3", "valid_from_ms": 5, "amount": 500}]
    clerk.document("prices", prices=pair)
    held: Rows = {}
    page = till.feed(0)
    pages = 1
    while not page.last:
        apply(held, page.rows)
        amount = 400 - pages
        pair = [{"sku": "P2", "valid_from_ms": 5, "amount": amount},
                {"sku": "P3", "valid_from_ms": 5, "amount": 1000 - amount}]  # fmt: skip
        assert clerk.document("prices", prices=pair).status == 200
        if page.after is None:
            page = till.feed(page.pos)
        else:
            after_tbl, after_key = page.after
            page = till.feed(page.from_pos, scan_to=page.scan_to, after_tbl=after_tbl, after_key=after_key)
        pages += 1
        assert pages < 50
    apply(held, page.rows)
    assert pages > 3
    assert digests(held) == dict(page.digests)
    one, other = held["price", ("P2", "STD", 5)].row[3], held["price", ("P3", "STD", 5)].row[3]
    assert isinstance(one, int)
    assert isinstance(other, int)
    assert one + other == 1000


def test_a_change_that_commits_late_is_not_skipped(
    shop: Shop, open_transaction: psycopg2.extensions.connection
) -> None:
    """A slow clerk's transaction with an old id: others go on meanwhile, and its change comes when it commits."""
    till, clerk = shop.till("T03"), shop.clerk()
    cursor = open_transaction.cursor()
    cursor.execute("UPDATE vendor SET name = 'Slow', version = version + 1 WHERE vendor_id = 'V1'")
    held: Rows = {}
    rows, page = till.run(0)
    apply(held, rows)
    assert clerk.document("prices", prices=[{"sku": "P1", "valid_from_ms": 0, "amount": 77}]).status == 200
    rows, page = till.run(page.pos)
    apply(held, rows)
    assert held["price", ("P1", "STD", 0)].row[3] == 77
    version = shop.value("SELECT version FROM vendor WHERE vendor_id = 'V1'") + 1
    delta = row_digest("vendor", ("V1", "Slow"), version) - row_digest("vendor", ("V1", "Acme"), version - 1)
    cursor.execute(
        "INSERT INTO change (tbl, key, version, urgent, delta, at_ms) VALUES ('vendor', '[\"V1\"]', %s, false, "
        "((%s::numeric + 9223372036854775808 + 18446744073709551616) %% 18446744073709551616 "
        "- 9223372036854775808)::bigint, 0)",
        (version, delta),
    )
    open_transaction.commit()
    rows, page = till.run(page.pos)
    apply(held, rows)
    assert held["vendor", ("V1",)].row == ("V1", "Slow")
    assert digests(held) == dict(page.digests)


def test_a_waiting_request_does_not_spin_while_a_transaction_holds_the_horizon(
    shop: Shop, open_transaction: psycopg2.extensions.connection
) -> None:
    """Rows above the horizon are told once per connection; the next request waits for news."""
    till, clerk = shop.till("T04"), shop.clerk()
    _, page = till.run(0)
    assert clerk.document("vendors", vendors=[{"vendor_id": "V1", "name": "Again"}]).status == 200
    page = till.feed(page.pos, wait_ms=20_000)
    assert [row.row for row in page.rows if row.table == "vendor"] == [("V1", "Again")]
    told: list[sync.FeedPage] = []
    waiting = threading.Thread(target=lambda: told.append(till.feed(page.pos, wait_ms=20_000)))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    assert clerk.document("vendors", vendors=[{"vendor_id": "V1", "name": "News"}]).status == 200
    waiting.join()
    assert ("V1", "News") in [row.row for row in told[0].rows]


def test_a_waiting_request_ends_without_news_at_its_time(shop: Shop) -> None:
    """An empty page comes back, in step with the server."""
    till = shop.till("T05")
    _, page = till.run(0)
    again = till.feed(page.pos, wait_ms=50)
    assert (again.rows, again.digests) == ((), page.digests)


def test_an_urgent_price_travels_ahead_with_its_product_and_tax_rate(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on the first page of a long run, in the order in which it can be applied."""
    till, clerk = shop.till("T06"), shop.clerk()
    _, page = till.run(0)
    monkeypatch.setattr("syncref.server.feed.PAGE_ROWS_MAX", 2)
    vendors = [{"vendor_id": f"U{n}", "name": "x"} for n in range(7)]
    assert clerk.document("vendors", vendors=vendors).status == 200
    body = [{"sku": "P3", "valid_from_ms": 9, "amount": 1}]
    assert clerk.document("prices", prices=body, urgent=True).status == 200
    first = till.feed(page.pos, urgent_pos=page.urgent_pos)
    assert not first.last
    assert [(row.table, row.row[0]) for row in first.urgent] == [
        ("tax_rate", "A"), ("product", "P3"), ("price", "P3"),
    ]  # fmt: skip
    assert first.after is not None
    table, key = first.after
    second = till.feed(
        first.from_pos, scan_to=first.scan_to, after_tbl=table, after_key=key, urgent_pos=first.urgent_pos
    )
    assert [row for row in second.urgent if row.table == "price"] == []


def test_stock_rows_say_which_part_of_the_journal_they_include(shop: Shop) -> None:
    """The fold moves what was sold into the stock rows, and the mark with them in one snapshot."""
    till = shop.till("T07")
    _, page = till.run(0)
    for _ in range(3):
        till.sell(("P2", 1000, 200))
    till.flush()
    held: Rows = {}
    pos = page.pos
    while page.stock_seq < 3:
        page = till.feed(pos, wait_ms=5000)
        apply(held, page.rows)
        pos = page.pos
    before = shop.value("SELECT coalesce(sum(qty), 0) FROM opening_stock WHERE sku = 'P2'")
    sold = shop.value(
        "SELECT sum(qty) FROM line JOIN receipt USING (till, incarnation, seq) WHERE sku = 'P2' "
        "AND status = 'posted'"
    )
    assert held["stock", ("P2",)].row == ("P2", before - sold)


def test_an_initial_load_in_chunks_and_the_feed_after_it_give_the_servers_state(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edits between the chunks come with the run that begins at the load's start."""
    monkeypatch.setattr("syncref.server.feed.PAGE_ROWS_MAX", 2)
    till, clerk = shop.till("T08"), shop.clerk()
    held: Rows = {}
    start: int | None = None
    for spec in MASTERS:
        after: str | None = None
        while True:
            query = {"after": after, "start_pos": start}
            chunk = till.load(spec.name, **{name: value for name, value in query.items() if value is not None})
            start = chunk.start_pos if start is None else start
            assert chunk.start_pos == start
            apply(held, chunk.rows)
            body = [{"sku": "P1", "valid_from_ms": 0, "amount": len(held)}]
            assert clerk.document("prices", prices=body).status == 200
            after = chunk.after
            if after is None:
                break
    assert start is not None
    rows, page = till.run(start)
    apply(held, rows)
    assert digests(held) == dict(page.digests)


def test_a_cursor_of_another_term_is_refused(shop: Shop) -> None:
    """Positions hold within a term only."""
    till = shop.till("T01")
    assert till.term is not None
    good = {"term_n": till.term.n, "term_id": till.term.id.hex()}
    assert till.feed(0, **good).term == till.term
    answer = till.ask("GET", "/v1/feed", fields={"pos": 0, "term_n": till.term.n, "term_id": "00"})
    assert (answer.status, answer.json["code"]) == (409, "stale_term")


def test_a_page_is_read_from_the_database_once_for_all_tills(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tills that ask the same of a round share one read."""
    monkeypatch.setattr("syncref.server.feed.PAGE_ROWS_MAX", 3)
    tills: list[Till] = [shop.till(f"T{n:02d}") for n in range(1, 6)]
    first = tills[0].feed(0)
    assert first.after is not None
    reads = 0

    def counted(*args: Any, **more: Any) -> list[server_feed.TableKey]:
        nonlocal reads
        reads += 1
        return changed_keys(*args, **more)

    monkeypatch.setattr(server_feed, "changed_keys", counted)
    table, key = first.after
    pages = [till.feed(0, scan_to=first.scan_to, after_tbl=table, after_key=key, wait_ms=0) for till in tills]
    assert len({page.rows for page in pages}) == 1
    assert reads == 1


def test_pruned_changes_keep_the_digest_and_send_old_cursors_to_a_full_load(shop: Shop) -> None:
    """Tombstones leave with their changes; a cursor below the floor is told so."""
    till, clerk = shop.till("T09"), shop.clerk()
    assert clerk.document("vendors", vendors=[{"vendor_id": "GONE", "name": "x"}]).status == 200
    assert clerk.document("vendors", vendors=[{"vendor_id": "GONE", "deleted": True}]).status == 200
    held: Rows = {}
    rows, page = till.run(0)
    apply(held, rows)
    assert clerk.document("vendors", vendors=[{"vendor_id": "V1", "name": "Kept"}]).status == 200
    last = shop.value("SELECT max(pos) FROM change")
    shop.execute("UPDATE change SET at_ms = CASE WHEN pos < :last THEN 0 ELSE 1000 END", last=last)
    with shop.engine.begin() as connection:
        floor = prune_changes(connection, before_ms=500)
    assert floor > 0
    assert shop.value("SELECT count(*) FROM change") == 1
    assert shop.value("SELECT count(*) FROM vendor WHERE vendor_id = 'GONE'") == 0
    rows, after = till.run(max(page.pos, floor))
    apply(held, rows)
    assert digests(held) == dict(after.digests)
    below = till.feed(0)
    assert (below.tombstone_floor, below.last, below.rows) == (floor, False, ())
    assert below.tombstone_floor > below.pos


def test_a_key_that_is_created_again_goes_on_above_its_removed_tombstone(shop: Shop) -> None:
    """No key goes to a lower version, so an older page can't take the new row away."""
    clerk = shop.clerk()
    assert clerk.document("vendors", vendors=[{"vendor_id": "TWICE", "name": "x"}]).status == 200
    assert clerk.document("vendors", vendors=[{"vendor_id": "TWICE", "deleted": True}]).status == 200
    before = shop.value("SELECT version FROM vendor WHERE vendor_id = 'TWICE'")
    shop.execute("UPDATE change SET at_ms = 0")
    with shop.engine.begin() as connection:
        prune_changes(connection, before_ms=500)
    assert shop.value("SELECT count(*) FROM vendor WHERE vendor_id = 'TWICE'") == 0
    assert clerk.document("vendors", vendors=[{"vendor_id": "TWICE", "name": "y"}]).status == 200
    assert shop.value("SELECT version FROM vendor WHERE vendor_id = 'TWICE'") > before


def test_a_till_gets_no_longer_pages_than_it_asks_for(shop: Shop) -> None:
    """A load in chunks and a run in pages, urgent rows as well, however few rows the till can take at once."""
    till, clerk = shop.till("T06"), shop.clerk()
    held: Rows = {}
    start: int | None = None
    for spec in MASTERS:
        after: str | None = None
        while True:
            query = {"after": after, "start_pos": start, "limit": 3}
            chunk = till.load(spec.name, **{name: value for name, value in query.items() if value is not None})
            assert len(chunk.rows) <= 3
            start = chunk.start_pos
            apply(held, chunk.rows)
            after = chunk.after
            if after is None:
                break
    assert start is not None
    for sku in ("P1", "P2", "P3"):
        row = {"sku": sku, "valid_from_ms": 77, "amount": 5}
        assert clerk.document("prices", prices=[row], urgent=True).status == 200
    page = till.feed(start, limit=2, urgent_pos=start)
    assert 0 < len(page.urgent) <= 2 * 3
    pages = 1
    while not page.last:
        assert page.tombstone_floor <= page.from_pos
        assert len(page.rows) <= 2
        apply(held, page.rows)
        if page.after is None:
            page = till.feed(page.pos, limit=2)
        else:
            tbl, key = page.after
            page = till.feed(page.from_pos, scan_to=page.scan_to, after_tbl=tbl, after_key=key, limit=2)
        pages += 1
        assert pages < 50
    apply(held, page.rows)
    assert pages > 2
    assert digests(held) == dict(page.digests)


@pytest.mark.parametrize("limit", ["0", "5001", "-1", "many"])
def test_a_page_length_out_of_bounds_is_refused(shop: Shop, limit: str) -> None:
    """By name, for a page and for a chunk."""
    till = shop.till("T05")
    for path in ("/v1/feed", "/v1/load/product"):
        answer = till.ask("GET", path, fields={"pos": 0, "limit": limit})
        assert answer.status == 400
        assert "limit" in str(answer.json)
