"""The upload of journals: what is acked, refused, flagged and set aside."""

from __future__ import annotations

import secrets
import threading

import msgspec
import pytest

from chaos.waiting import wait_until
from syncref.wire.entry import Continued, encode_entry
from syncref.wire.sync import Ack, TermWire
from tests.integration.server.shop import Answer, Shop, Till, sale


def counts(shop: Shop, till: str) -> tuple[int, int, int]:
    """Return entries, posted receipts and lines that the server has of a till."""
    return (
        shop.value("SELECT count(*) FROM entry WHERE till = :t", t=till),
        shop.value("SELECT count(*) FROM receipt WHERE till = :t AND status = 'posted'", t=till),
        shop.value("SELECT count(*) FROM line WHERE till = :t", t=till),
    )


def test_a_batch_is_acked_with_its_bytes_and_typed_rows_stored(shop: Shop) -> None:
    """After the ack, entries are byte-equal and receipts, lines and payments follow from them."""
    till = shop.till("T01")
    receipts = [till.sell(("P1", 1000, 100), ("P2", 250, 399)) for _ in range(3)]
    ack = till.flush()
    assert (ack.seq, ack.hash, ack.session) == (3, till.hash_at(3), till.session)
    assert counts(shop, "T01") == (3, 3, 6)
    payload = shop.value("SELECT payload FROM entry WHERE till = 'T01' AND seq = 2")
    assert bytes(payload) == till.payloads[1]
    row = "SELECT gross FROM receipt WHERE till = 'T01' AND op_id = :op"
    assert shop.value(row, op=receipts[2].op_id.hex()) == receipts[2].gross
    assert shop.value("SELECT sum(amount) FROM payment WHERE till = 'T01'") == sum(r.gross for r in receipts)


def test_sending_a_batch_again_is_acked_and_stores_nothing_twice(shop: Shop) -> None:
    """A lost ack costs nothing: the overlap is compared, dropped and acked; what is new is added."""
    till = shop.till("T02")
    for _ in range(4):
        till.sell()
    assert till.upload(1, 2).wire(Ack).seq == 2
    assert till.upload(1, 2).wire(Ack).seq == 2
    assert till.upload(2, 4).wire(Ack).seq == 4
    assert till.upload(1, 1).wire(Ack).seq == 1
    assert counts(shop, "T02") == (4, 4, 4)


def test_a_journal_is_closed_by_its_successor_even_if_that_comes_first(shop: Shop) -> None:
    """A promoted server may get the successor before what is owed: up to the common mark it takes it, no more."""
    new = shop.till("T09")
    old = Till(url=shop.server_url, name="T09", cluster=new.cluster)
    shop.clients.append(old)
    old.log_in()
    for _ in range(3):
        old.sell()
    new.incarnation = b"successor of T09"
    new.begin()
    mark = Continued(op_id=b"c" * 16, incarnation=old.incarnation, seq=2, hash=old.hash_at(2), at_ms=1)
    new.journal(encode_entry(mark))
    assert new.flush().seq == 1
    old.greet()
    refused = old.upload(1, 3)
    assert (refused.status, refused.json["code"]) == (409, "fork")
    assert old.upload(1, 2).wire(Ack).seq == 2
    assert old.greet().closed


def test_a_gap_is_refused_with_what_is_expected(shop: Shop) -> None:
    """Entries can't be skipped."""
    till = shop.till("T03")
    for _ in range(3):
        till.sell()
    refused = till.upload(3, 3)
    assert (refused.status, refused.json["code"], refused.json["expected_seq"]) == (409, "gap", 1)
    assert counts(shop, "T03")[0] == 0


def test_other_bytes_at_a_known_sequence_are_a_fork_and_overwrite_nothing(shop: Shop) -> None:
    """A cloned till that re-sends a sequence with other bytes is never acked."""
    till = shop.till("T04")
    till.sell()
    till.flush()
    stored = till.payloads[0]
    twin = shop.till("T04")
    twin.incarnation = till.incarnation
    twin.sell()
    twin.sell()
    answer = twin.greet()
    assert (answer.durable_seq, answer.hash_at_head) == (1, None)
    refused = twin.upload(1, 2)
    assert (refused.status, refused.json["code"], refused.json["at_seq"]) == (409, "fork", 1)
    refused = twin.upload(2, 2)
    assert (refused.status, refused.json["code"]) == (409, "fork")
    assert bytes(shop.value("SELECT payload FROM entry WHERE till = 'T04' AND seq = 1")) == stored


def test_a_handshake_tells_the_servers_mark_and_its_hash_at_the_tills_head(shop: Shop) -> None:
    """The till learns where to go on, and whether both have the same."""
    till = shop.till("T05")
    assert till.greet().durable_hash == till.hash_at(0)
    for _ in range(3):
        till.sell()
    till.flush()
    answer = till.greet(head_seq=2, head_hash=till.hash_at(2))
    assert (answer.durable_seq, answer.durable_hash) == (3, till.hash_at(3))
    assert answer.hash_at_head == till.hash_at(2)


def test_an_old_session_is_refused_after_a_new_handshake(shop: Shop) -> None:
    """A late batch of an older connection moves nothing."""
    till = shop.till("T05")
    till.sell()
    old = till.session
    till.greet()
    refused = till.upload(1, session=old)
    assert (refused.status, refused.json["code"]) == (409, "session_unknown")
    assert till.flush().seq == 1


def test_another_term_is_refused(shop: Shop) -> None:
    """Neither another cluster's term nor another id under the same number is taken."""
    till = shop.till("T05")
    till.sell()
    assert till.term is not None
    foreign = TermWire(cluster="elsewhere", n=till.term.n, id=till.term.id)
    other = TermWire(cluster=till.term.cluster, n=till.term.n, id=bytes(16))
    for term in (foreign, other):
        refused = till.upload(1, term=term)
        assert (refused.status, refused.json["code"]) == (409, "stale_term")
        refused = till.hello(term=term)
        assert (refused.status, refused.json["code"]) == (409, "stale_term")


def test_what_cant_be_decoded_or_does_not_balance_is_set_aside_and_blocks_nothing(shop: Shop) -> None:
    """The bytes are kept, the chain goes on, the rest of the batch is posted."""
    till = shop.till("T06")
    till.sell()
    till.journal(b"\xc1not an entry")
    till.sell(gross=99)
    till.sell(payments=())
    till.sell()
    assert till.flush().seq == 5
    reasons = "SELECT string_agg(seq || ':' || split_part(reason, ' ', 1), ',' ORDER BY seq) FROM aside"
    assert shop.value(reasons + " WHERE till = 'T06'") == "2:undecodable:,3:lines,4:payments"
    assert counts(shop, "T06") == (5, 2, 2)


def test_text_that_is_no_utf_8_and_endless_nesting_are_set_aside(shop: Shop) -> None:
    """A bit that flipped in a cashier's name, an item nested in itself: the decoder has errors of its own."""
    till = shop.till("T06")
    receipt = till.sell(cashier="CASHIER")
    till.journal(encode_entry(receipt).replace(b"CASHIER", b"CASHI\xc5R"))
    till.journal(b"\x9e" + encode_entry(receipt)[1:] + b"\x91" * 20_000 + b"\xc0")
    till.sell()
    assert till.flush().seq == 4
    of = "FROM aside WHERE till = 'T06' AND incarnation = :i"
    assert shop.value(f"SELECT array_agg(seq ORDER BY seq) {of}", i=till.incarnation) == [2, 3]
    assert shop.value(f"SELECT min(reason) {of}", i=till.incarnation).startswith("undecodable: ")


@pytest.mark.parametrize(
    ("changed", "sqlstate"),
    [({"cashier": "c\0x"}, "22021"), ({"at_ms": 1 << 63}, "22003"), ({"ref": "T01-\0"}, "22021")],
)
def test_data_that_the_database_refuses_is_set_aside_alone(
    shop: Shop, changed: dict[str, object], sqlstate: str
) -> None:
    """One entry that PostgreSQL can't hold is bisected out of a batch of seven."""
    till = shop.till("T07")
    for n in range(7):
        till.sell(**(changed if n == 4 else {}))
    assert till.flush().seq == 7
    of = "FROM aside WHERE till = 'T07' AND incarnation = :i"
    assert shop.value(f"SELECT count(*) {of}", i=till.incarnation) == 1
    assert sqlstate in shop.value(f"SELECT reason {of} AND seq = 5", i=till.incarnation)
    posted = "SELECT count(*) FROM receipt WHERE till = 'T07' AND incarnation = :i AND status = 'posted'"
    assert shop.value(posted, i=till.incarnation) == 6


def test_what_postgresql_could_not_add_up_is_set_aside_and_stops_neither_stock_nor_settlement(shop: Shop) -> None:
    """Balanced receipts of impossible numbers, a SKU that no index holds: and another till sells on."""
    till, other = shop.till("T10"), shop.till("T11")
    till.sell(("P1", -(1 << 63), 0))
    till.sell(("P1", 1000, (1 << 63) - 1))
    till.sell(("P1", 1000, (1 << 63) - 1))
    till.sell((secrets.token_hex(8000), 1000, 100))
    till.sell(("P1", 1000, 100))
    before = shop.value("SELECT coalesce(max(qty), 0) FROM stock WHERE sku = 'P1'")
    assert till.flush().seq == 5
    other.sell(("P1", 3000, 100))
    other.flush()
    asides = "SELECT string_agg(seq::text, ',' ORDER BY seq) FROM aside WHERE till = 'T10'"
    assert shop.value(asides) == "1,2,3,4"
    assert counts(shop, "T10") == (5, 1, 1)
    stock = "SELECT qty FROM stock WHERE sku = 'P1'"
    assert wait_until(lambda: bool(shop.value(stock) == before - 4000), 10.0, every_s=0.05)
    assert [asking.ask("GET", "/v1/settlement").status for asking in (till, other)] == [200, 200]


@pytest.mark.parametrize(
    "payload",
    [
        msgspec.msgpack.encode(["r\0", 1]),
        msgspec.msgpack.encode(["\n" * 60_000, 1]),
        *(
            encode_entry(Continued(op_id=bytes(16), incarnation=incarnation, seq=seq, hash=bytes(32), at_ms=1))
            for incarnation, seq in ((bytes(16), 1 << 63), (bytes(16), -1), (secrets.token_bytes(9000), 1))
        ),
    ],
    ids=["nul", "long", "beyond", "below", "incarnation"],
)
def test_an_entry_that_could_not_even_be_doubted_is_set_aside_alone(shop: Shop, payload: bytes) -> None:
    """What its reason quotes, or its place, must not fail the batch: its till would send it for ever."""
    till = shop.till("T12")
    till.sell()
    till.journal(payload)
    till.sell()
    assert till.flush().seq == 3
    of = "FROM aside WHERE till = 'T12' AND incarnation = :i"
    assert shop.value(f"SELECT string_agg(seq::text, ',') {of}", i=till.incarnation) == "2"
    assert shop.value(f"SELECT max(length(reason)) {of}", i=till.incarnation) <= 200


def test_an_op_id_from_two_tills_is_posted_once_and_flagged(shop: Shop) -> None:
    """The second receipt is kept as a duplicate and not counted."""
    one, two = shop.till("T08"), shop.till("T09")
    receipt = one.sell()
    two.sell(op_id=receipt.op_id)
    one.flush()
    two.flush()
    status = "SELECT status FROM receipt WHERE till = :t AND op_id = :op"
    told = [shop.value(status, t=till, op=receipt.op_id.hex()) for till in ("T08", "T09")]
    assert told == ["posted", "duplicate"]
    assert shop.value("SELECT code FROM flag WHERE till = 'T09'") == "duplicate_op"


def test_two_tills_that_race_for_one_op_id_are_both_acked(shop: Shop) -> None:
    """The unique index decides the race; the loser is tried again and stored as a duplicate."""
    tills = [shop.till("T08"), shop.till("T09")]
    first = sale(1, [("P1", 1000, 100)])
    for till in tills:
        for n in range(200):
            op = bytes([n]) + first.op_id[1:]
            till.sell(op_id=op)
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda t=till: answers.append(t.upload())) for till in tills]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.wire(Ack).seq for answer in answers) == [200, 200]
    posted = "SELECT count(*) FROM receipt WHERE status = :s AND right(op_id, 30) = :op"
    assert shop.value(posted, s="posted", op=first.op_id.hex()[2:]) == 200
    assert shop.value(posted, s="duplicate", op=first.op_id.hex()[2:]) == 200


def test_unknown_products_and_receipts_are_posted_flagged_and_resolved_later(shop: Shop) -> None:
    """A sale of a product that comes later, and a refund of a receipt that arrives later, count at once."""
    one, two = shop.till("T01"), shop.till("T02")
    sold = one.sell(("LATER", 1000, 500))
    number = f"T02-{_short(two.incarnation)}-000001"
    one.sell(("P1", -1000, 100), kind="refund", ref=number)
    one.flush()
    flags = "SELECT string_agg(code, ',' ORDER BY seq) FROM flag WHERE incarnation = :i AND resolved = :r"
    assert shop.value(flags, i=one.incarnation, r=False) == "unknown_product,unknown_receipt"
    posted = "SELECT count(*) FROM receipt WHERE incarnation = :i AND status = 'posted'"
    assert shop.value(posted, i=one.incarnation) == 2
    two.sell()
    two.flush()
    clerk = shop.clerk()
    product = {"sku": sold.lines[0].sku, "name": "Later", "tax_code": "A"}
    assert clerk.document("products", products=[product]).status == 200
    done = threading.Event()
    for _ in range(400):
        if shop.value(flags, i=one.incarnation, r=True) == "unknown_product,unknown_receipt":
            break
        done.wait(0.02)
    assert shop.value(flags, i=one.incarnation, r=False) is None


def test_a_till_writes_only_as_itself(shop: Shop) -> None:
    """A token of one till is no good for another's journal or handshake."""
    till = shop.till("T01")
    till.sell()
    refused = till.upload(1, till="T02")
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    refused = till.hello(till="T02")
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    assert till.ask("GET", "/v1/settlement", fields={"till": "T02"}).status == 403


def test_a_server_that_lost_what_it_acked_raises_its_term(shop: Shop) -> None:
    """A handshake with more acked in this term than is stored shows a restored server."""
    till = shop.till("T03")
    assert till.term is not None
    before = till.term.n
    till.sell()
    till.acked = 1
    answer = till.greet()
    assert (answer.term.n, answer.durable_seq) == (before + 1, 0)
    till.acked = 0
    assert till.flush().seq == 1


def test_a_batch_out_of_bounds_is_too_large(shop: Shop) -> None:
    """More entries or bytes than the bounds are refused whole."""
    till = shop.till("T01")
    payload = encode_entry(sale(1, [("P1", 1000, 100)]))
    refused = till.upload(1, payloads=(payload,) * 1001)
    assert (refused.status, refused.json["code"]) == (413, "too_large")
    refused = till.upload(1, payloads=(bytes(64 * 1024 + 1),))
    assert (refused.status, refused.json["code"]) == (413, "too_large")
    refused = till.upload(1, payloads=(bytes(64 * 1024),) * 40)
    assert (refused.status, refused.json["code"]) == (413, "too_large")


def _short(incarnation: bytes) -> str:
    from syncref.domain.identity import short_number

    return short_number(incarnation)
