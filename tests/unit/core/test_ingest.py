"""What a server does with handshakes and batches."""

from __future__ import annotations

from typing import Any

import pytest

from syncref.core.ingest import (
    Greeting,
    JournalRow,
    Plan,
    RaiseTerm,
    Refusal,
    ServerView,
    already_stored,
    greet,
    hashes_needed,
    new_row,
    plan_batch,
)
from syncref.core.step import replace
from syncref.domain.identity import Key, Mark, Term, chain_hash
from syncref.wire.entry import DayOpened, Entry, encode_entry
from syncref.wire.sync import Batch, Hello, TermWire

KEY = Key(till="T01", incarnation=b"i" * 16)
VIEW = ServerView(term=Term(cluster="lab", n=3, id=b"t" * 16), live=True)
TERM = TermWire(cluster="lab", n=3, id=b"t" * 16)
NEW = replace(new_row(cluster="lab", key=KEY), session=b"s" * 16)


def entries(count: int, salt: str = "C") -> list[Entry]:
    """Return entries of which each is decodable."""
    return [
        DayOpened(op_id=bytes([n % 256]) * 16, business_date="2026-01-02", at_ms=n, cashier=salt, float_cash=0)
        for n in range(count)
    ]


PAYLOADS = [encode_entry(entry) for entry in entries(5)]
HASHES = {0: NEW.durable.hash}
for _seq, _payload in enumerate(PAYLOADS, 1):
    HASHES[_seq] = chain_hash(HASHES[_seq - 1], _payload)


def having(seq: int) -> JournalRow:
    """Return the row of a journal of which the first `seq` entries are stored."""
    return replace(NEW, durable=Mark(seq=seq, hash=HASHES[seq]))


def batch(first: int, last: int, **changes: Any) -> Batch:
    """Return the batch of entries first..last."""
    fields: dict[str, Any] = {
        "session": b"s" * 16,
        "term": TERM,
        "till": "T01",
        "incarnation": KEY.incarnation,
        "first_seq": first,
        "prev_hash": HASHES[first - 1],
        "payloads": tuple(PAYLOADS[first - 1 : last]),
    }
    return Batch(**(fields | changes))


def planned(row: JournalRow | None, sent: Batch, *, view: ServerView = VIEW) -> Plan | Refusal:
    """Plan a batch as a shell does: look up only what is asked for, decode only what is new."""
    needed = hashes_needed(row, sent) if row else None
    stored = {seq: HASHES[seq] for seq in range(needed[0], needed[1] + 1)} if needed else {}
    new = len(sent.payloads) - (already_stored(row, sent) if row else 0)
    return plan_batch(
        view,
        row,
        sent,
        stored=stored,
        entries=entries(new),
        known_ops=frozenset(),
        receipts=frozenset(),
        products=frozenset(),
    )


def code(answer: Plan | Refusal) -> str:
    """Return the code of a refusal."""
    assert isinstance(answer, Refusal)
    return answer.code


@pytest.mark.parametrize("have", range(6))
@pytest.mark.parametrize("first", range(1, 6))
def test_whatever_overlaps_is_dropped_and_the_rest_appended(have: int, first: int) -> None:
    """The ack is the batch's last mark, whether it was there before or not."""
    answer = planned(having(have), batch(first, 5))
    if first > have + 1:
        assert isinstance(answer, Refusal)
        assert (answer.code, answer.expected_seq) == ("gap", have + 1)
        return
    assert isinstance(answer, Plan)
    assert answer.drop == max(0, have - first + 1)
    assert answer.hashes == [HASHES[seq] for seq in range(max(have + 1, first), 6)]
    assert answer.ack == Mark(seq=5, hash=HASHES[5])
    assert answer.head.seq == 5


def test_other_bytes_at_a_stored_sequence_are_a_fork_never_an_ack() -> None:
    """At the mark before the batch, in the overlap and at the durable mark itself."""
    other = encode_entry(entries(3, salt="other")[2])
    assert code(planned(having(2), batch(3, 4, prev_hash=b"x" * 32))) == "fork"
    assert code(planned(having(4), batch(3, 4, prev_hash=b"x" * 32))) == "fork"
    assert code(planned(having(4), batch(1, 2, prev_hash=b"x" * 32))) == "fork"
    for have in (3, 4, 5):
        changed = batch(2, 5, payloads=(PAYLOADS[1], other, *PAYLOADS[3:]))
        answer = planned(having(have), changed)
        assert isinstance(answer, Refusal)
        assert (answer.code, answer.at_seq) == ("fork", 3)


def test_a_sequence_that_was_signed_as_lost_can_be_compared_with_nothing() -> None:
    """The server has no hash there: whatever comes for it is not acked."""
    plan = plan_batch(
        VIEW,
        having(5),
        batch(2, 5),
        stored={1: HASHES[1], 2: HASHES[2]},
        entries=[],
        known_ops=frozenset(),
        receipts=frozenset(),
        products=frozenset(),
    )
    assert isinstance(plan, Refusal)
    assert (plan.code, plan.at_seq) == ("fork", 3)


def test_a_first_batch_must_start_from_this_journals_genesis() -> None:
    """Another till's or cluster's journal can't be taken for this one."""
    assert code(planned(having(0), batch(1, 2, prev_hash=b"x" * 32))) == "fork"


def test_a_batch_is_bound_to_session_and_term_and_a_live_server() -> None:
    """An old session, an unknown till, another term, a standby, a database on another timeline."""
    assert code(planned(NEW, batch(1, 2, session=b"z" * 16))) == "session_unknown"
    assert code(planned(None, batch(1, 2))) == "session_unknown"
    assert code(planned(replace(NEW, session=None), batch(1, 2))) == "session_unknown"
    for term in (
        TermWire(cluster="lab", n=2, id=b"t" * 16),
        TermWire(cluster="lab", n=3, id=b"u" * 16),
        TermWire(cluster="shop", n=3, id=b"t" * 16),
    ):
        assert code(planned(NEW, batch(1, 2, term=term))) == "stale_term"
    assert code(planned(NEW, batch(1, 2), view=replace(VIEW, live=False))) == "not_live"
    assert code(planned(NEW, batch(1, 2), view=replace(VIEW, timeline_ok=False))) == "not_live"
    assert code(planned(replace(NEW, closed_at=0), batch(1, 2))) == "fork"


def test_batches_out_of_bounds_are_refused() -> None:
    """Empty, too many, too large, before the first."""
    assert code(planned(NEW, batch(1, 2, payloads=()))) == "request_invalid"
    assert code(planned(NEW, batch(1, 2, first_seq=0))) == "request_invalid"
    assert code(planned(NEW, batch(1, 2, payloads=(PAYLOADS[0],) * 1001))) == "too_large"
    assert code(planned(NEW, batch(1, 2, payloads=(b"x" * 65537,)))) == "too_large"


def hello(**changes: Any) -> Hello:
    """Return a handshake of a till with five entries."""
    fields: dict[str, Any] = {
        "till": "T01",
        "incarnation": KEY.incarnation,
        "term": TERM,
        "head_seq": 5,
        "head_hash": HASHES[5],
        "acked": 0,
        "safe": 0,
        "cursor_pos": 0,
    }
    return Hello(**(fields | changes))


def greeted(row: JournalRow | None, said: Hello, *, view: ServerView = VIEW) -> object:
    """Greet a till as a shell does."""
    stored = HASHES.get(said.head_seq) if row and said.head_seq <= row.durable.seq else None
    return greet(view, row, said, hash_at_head=stored, session=b"n" * 16, safe=9, now_ms=7)


def test_a_handshake_answers_the_durable_mark_and_the_hash_at_the_tills_head() -> None:
    """Never more safe than durable."""
    answer = greeted(having(3), hello())
    assert isinstance(answer, Greeting)
    assert (answer.answer.durable_seq, answer.answer.durable_hash) == (3, HASHES[3])
    assert answer.answer.hash_at_head is None
    assert (answer.answer.safe, answer.answer.session, answer.opens) == (3, b"n" * 16, False)
    lower = greeted(having(3), hello(head_seq=2))
    assert isinstance(lower, Greeting)
    assert lower.answer.hash_at_head == HASHES[2]


def test_an_unknown_journal_is_opened_at_its_genesis() -> None:
    """A new till, or one that was provisioned anew."""
    answer = greeted(None, hello(term=None, head_seq=0))
    assert isinstance(answer, Greeting)
    assert answer.opens
    assert answer.answer.durable_hash == answer.answer.hash_at_head == HASHES[0]


def test_a_till_ahead_in_the_same_term_makes_the_server_raise_its_term() -> None:
    """The server was restored. In an older term it was promoted, and that is no surprise."""
    assert greeted(having(3), hello(acked=4)) == RaiseTerm(n=4)
    assert isinstance(greeted(having(3), hello(acked=3)), Greeting)
    older = TermWire(cluster="lab", n=2, id=b"o" * 16)
    assert isinstance(greeted(having(3), hello(acked=4, term=older)), Greeting)


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (TermWire(cluster="shop", n=3, id=b"t" * 16), "stale_term"),
        (TermWire(cluster="lab", n=3, id=b"u" * 16), "stale_term"),
        (TermWire(cluster="lab", n=4, id=b"u" * 16), "not_live"),
    ],
)
def test_a_till_of_another_reign_gets_no_handshake(term: TermWire, expected: str) -> None:
    """Another cluster, a twin of the term, a newer term than this server's."""
    answer = greeted(having(3), hello(term=term))
    assert isinstance(answer, Refusal)
    assert answer.code == expected
    standby = greeted(having(3), hello(), view=replace(VIEW, live=False))
    assert isinstance(standby, Refusal)
    assert standby.code == "not_live"


def test_a_closed_journal_still_takes_what_is_common_and_nothing_beyond() -> None:
    """A server that was promoted without it must get the part that the new journal rests on."""
    closed = replace(having(1), closed_at=3)
    assert isinstance(planned(closed, batch(2, 3)), Plan)
    assert code(planned(closed, batch(2, 4))) == "fork"
    answer = greeted(closed, hello(head_seq=3))
    assert isinstance(answer, Greeting)
    assert not answer.answer.closed


def test_a_closed_journal_says_so() -> None:
    """Another incarnation continues it."""
    answer = greeted(replace(having(3), closed_at=2), hello())
    assert isinstance(answer, Greeting)
    assert answer.answer.closed


def test_a_refused_fork_says_where_it_is() -> None:
    """The till looks for the common mark from there on."""
    other = planned(having(3), batch(2, 4, payloads=tuple(encode_entry(e) for e in entries(3, "other"))))
    assert isinstance(other, Refusal)
    assert (other.code, other.at_seq, other.message) == ("fork", 2, "other bytes at 2")
    closed = planned(replace(having(1), closed_at=3), batch(2, 4))
    assert isinstance(closed, Refusal)
    assert (closed.code, closed.at_seq, closed.message) == ("fork", 3, "the journal is closed")


def test_a_handshake_is_answered_in_the_servers_own_term() -> None:
    """Cluster, number and id, and a server that is not live says so."""
    answer = greeted(having(2), hello())
    assert isinstance(answer, Greeting)
    assert answer.answer.term == TERM
    refused = planned(having(1), batch(2, 3), view=replace(VIEW, live=False))
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.message) == ("not_live", "this server is not the live one")


def test_what_is_refused_says_why() -> None:
    """It stands in the till's log and on the page."""
    newer = TermWire(cluster="lab", n=4, id=b"u" * 16)
    for answer, said in (
        (greeted(having(3), hello(term=newer)), "the till has met term 4, this is 3"),
        (planned(None, batch(1, 2)), "shake hands first"),
        (planned(NEW, batch(1, 2, payloads=(PAYLOADS[0],) * 1001)), "more than 1000 entries"),
        (
            greeted(having(3), hello(term=TermWire(cluster="lab", n=3, id=b"u" * 16))),
            "two servers call themselves term 3",
        ),
    ):
        assert isinstance(answer, Refusal)
        assert answer.message == said


def test_what_is_there_already_is_acked_and_nothing_is_written() -> None:
    """A repeated batch: no first sequence, no hashes, the head as it was."""
    answer = planned(having(5), batch(2, 4))
    assert isinstance(answer, Plan)
    assert (answer.drop, answer.first, answer.hashes, answer.head.seq, answer.ack.seq) == (3, 0, [], 5, 4)
    part = planned(having(3), batch(2, 5))
    assert isinstance(part, Plan)
    assert (part.drop, part.first) == (2, 4)
