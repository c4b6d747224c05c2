"""The uplink core: from where the server really is, bound to its session, for ever."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from syncref.core import uplink
from syncref.core.step import replace
from syncref.core.uplink_messages import (
    Alarm,
    BatchAcked,
    EntriesLoaded,
    HelloAnswered,
    Load,
    LocalHash,
    Persisted,
    PersistProgress,
    Phase,
    Prune,
    Pruned,
    ReadHash,
    Rebase,
    Rebased,
    Recall,
    Recalled,
    Refused,
    SendBatch,
    SendHello,
    SetTimer,
    Slept,
    StoreFailed,
    TermSeen,
    TimerFired,
    TransportFailed,
    UplinkEffect,
    UplinkEvent,
    UplinkOptions,
    UplinkState,
    Wake,
)
from syncref.domain.identity import Key, Mark, Term
from syncref.wire.sync import Ack, HelloAnswer, TermWire

KEY = Key(till="T01", incarnation=b"i" * 16)
TERM = Term(cluster="lab", n=3, id=b"t" * 16)
SESSION = b"s" * 16
OPTIONS = UplinkOptions(cluster="lab", servers=2, batch_entries=4)
T = TypeVar("T")


def mark(seq: int, salt: str = "own") -> Mark:
    """Return the mark of a sequence in this till's journal, or in somebody else's."""
    return Mark(seq=seq, hash=f"{salt}{seq}".encode())


NEW = UplinkState(key=KEY, head=mark(9), anchor=mark(0))


class Uplink:
    """An uplink that is driven by hand: what it wants done stands in `effects`."""

    def __init__(self, state: UplinkState = NEW) -> None:
        self.state = state
        self.effects: list[UplinkEffect] = []

    def on(self, *events: UplinkEvent) -> Uplink:
        """Step; keep the last step's effects."""
        for event in events:
            step = uplink.step(self.state, event, options=OPTIONS)
            self.state, self.effects = step.state, list(step.effects)
        return self

    def only(self, kind: type[T]) -> T:
        """Return the one effect of a kind."""
        (found,) = self.all(kind)
        return found

    def all(self, kind: type[T]) -> list[T]:
        """Return the effects of a kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def answered(self, seq: int, salt: str = "own", *, head: Mark | None = None, **changes: Any) -> Uplink:
        """Let the outstanding handshake be answered; `head` is the journal's as it is stored."""
        fields: dict[str, Any] = {
            "session": SESSION,
            "term": TermWire(cluster="lab", n=3, id=b"t" * 16),
            "durable_seq": seq,
            "durable_hash": mark(seq, salt).hash,
            "hash_at_head": None,
            "safe": 0,
            "server_ms": 1,
        }
        answer = HelloAnswer(**(fields | changes))
        return self.on(HelloAnswered(request=self.state.request, answer=answer, head=head))

    def loaded(self, last: int) -> Uplink:
        """Let the entries up to `last` be loaded."""
        first = self.only(Load).after + 1
        payloads = tuple(b"p" for _ in range(first, last + 1))
        return self.on(
            EntriesLoaded(
                first_seq=first,
                prev_hash=mark(first - 1).hash,
                payloads=payloads,
                last=mark(last),
            )
        )


def waiting() -> Uplink:
    """Return an uplink that has sent 5..8 of 9 and waits for the ack."""
    return Uplink().on(Wake()).answered(4).on(LocalHash(seq=4, hash=mark(4).hash), Persisted()).loaded(8)


def ack(seq: int, *, session: bytes = SESSION, salt: str = "own", safe: int = 0) -> BatchAcked:
    """Return an ack."""
    return BatchAcked(ack=Ack(session=session, seq=seq, hash=mark(seq, salt).hash, safe=safe))


def test_nothing_is_sent_before_the_term_it_rests_on_is_durable() -> None:
    """Hello, compare, persist, and only then load and send."""
    up = Uplink().on(Wake())
    assert up.only(SendHello).head == mark(9)
    assert up.answered(4).only(ReadHash).seq == 4
    up.on(LocalHash(seq=4, hash=mark(4).hash))
    assert up.effects == [PersistProgress(term=TERM, acked=4, safe=0, wait=True)]
    assert up.on(Persisted()).effects == [Load(after=4, limit=4)]
    sent = up.loaded(8).only(SendBatch)
    assert (sent.first_seq, sent.prev_hash, sent.session) == (5, mark(4).hash, SESSION)


def test_it_resumes_right_after_the_servers_mark_however_much_was_acked_before() -> None:
    """A promoted server has less than the old one acked: acked goes back, and nothing is skipped."""
    old = Term(cluster="lab", n=2, id=b"o" * 16)
    up = Uplink(replace(NEW, term=old, acked=9, safe=3)).on(Wake()).answered(5, safe=2)
    up.on(LocalHash(seq=5, hash=mark(5).hash))
    assert up.only(PersistProgress) == PersistProgress(term=TERM, acked=5, safe=2, wait=True)
    assert up.on(Persisted()).only(Load).after == 5


def test_acks_move_the_mark_until_all_is_sent_and_then_it_rests() -> None:
    """And rests only as long as a quiet session is trusted."""
    up = waiting().on(ack(8, safe=6))
    assert (up.state.acked, up.state.safe) == (8, 6)
    assert up.effects[1] == Load(after=8, limit=4)
    up.loaded(9).on(ack(9))
    assert up.state.phase is Phase.READY
    timer = up.only(SetTimer)
    assert up.on(TimerFired(timer=timer.timer)).only(SendHello).head == mark(9)


def test_a_late_ack_of_an_old_session_moves_nothing() -> None:
    """Whatever it says."""
    before = waiting().state
    for late in (ack(8, session=b"old"), ack(9, session=b"old")):
        assert uplink.step(before, late, options=OPTIONS) == (before, ())
    failed = waiting().on(TransportFailed(request=before.request, draw=0.5))
    assert failed.on(ack(8)).state.acked == 4


def test_an_answer_to_a_handshake_that_was_given_up_is_ignored() -> None:
    """It may be from before a restore."""
    up = Uplink().on(Wake())
    request = up.state.request
    up.on(TransportFailed(request=request, draw=0.5))
    up.on(TimerFired(timer=up.state.timer))
    before = up.state
    answer = HelloAnswer(
        session=b"x",
        term=TermWire(cluster="lab", n=3, id=b"t" * 16),
        durable_seq=9,
        durable_hash=b"",
        hash_at_head=None,
        safe=0,
        server_ms=0,
    )
    assert up.on(HelloAnswered(request=request, answer=answer)).state == before


def test_an_ack_with_other_bytes_or_beyond_what_was_sent_is_not_believed() -> None:
    """Shake hands again and look."""
    for odd in (ack(8, salt="other"), ack(9)):
        up = waiting().on(odd)
        assert (up.state.phase, up.state.session, up.state.acked) == (Phase.BACKOFF, None, 4)


@pytest.mark.parametrize(
    ("term", "code"),
    [
        (TermWire(cluster="lab", n=2, id=b"o" * 16), "stale_server"),
        (TermWire(cluster="lab", n=3, id=b"u" * 16), "term_conflict"),
        (TermWire(cluster="shop", n=9, id=b"z" * 16), "foreign_cluster"),
    ],
)
def test_a_server_of_a_wrong_term_is_left_and_its_term_forgotten(term: TermWire, code: str) -> None:
    """An old live server, a twin, another cluster: an alarm, and the next server."""
    up = Uplink(replace(NEW, term=TERM)).on(Wake()).answered(9, term=term)
    assert up.only(Alarm).code == code
    assert up.state.term == TERM
    assert up.state.session is None
    assert up.on(TimerFired(timer=up.state.timer)).only(SendHello).server_index == 1


def test_a_new_till_refuses_another_clusters_server_and_rebases_nothing_for_it() -> None:
    """It has met no term yet, but knows its cluster; the other's genesis hashes would look like a fork."""
    up = Uplink().on(Wake()).answered(0, "other", term=TermWire(cluster="shop", n=9, id=b"z" * 16))
    assert up.effects == [
        Alarm(code="foreign_cluster", detail="shop is not lab"),
        SetTimer(timer=up.state.timer, delay_ms=up.only(SetTimer).delay_ms),
    ]
    assert (up.state.phase, up.state.term) == (Phase.BACKOFF, None)
    assert up.on(TimerFired(timer=up.state.timer)).only(SendHello).server_index == 1


@pytest.mark.parametrize("common", range(9))
def test_a_fork_is_searched_for_its_greatest_common_mark(common: int) -> None:
    """By shaking hands at lower marks; then the journal is rebased there, with an alarm."""
    server = {seq: mark(seq, "own" if seq <= common else "other").hash for seq in range(10)}
    up = Uplink().on(Wake()).answered(9, "other")
    assert up.only(Alarm).code == "forked"
    for _ in range(9):
        effect = up.effects[-1]
        if isinstance(effect, Rebase):
            assert effect.common == mark(common)
            break
        assert isinstance(effect, ReadHash)
        asked = up.on(LocalHash(seq=effect.seq, hash=mark(effect.seq).hash)).only(SendHello).head
        assert asked == mark(effect.seq)
        up.answered(9, "other", hash_at_head=server[asked.seq])
    else:
        raise AssertionError("the search does not end")


def test_a_till_whose_disk_was_rolled_back_is_rebased_at_its_head() -> None:
    """The server has more of the same journal: what was lost here is there."""
    up = Uplink().on(Wake()).answered(12, hash_at_head=mark(9).hash)
    assert up.only(ReadHash).seq == 12
    up.on(LocalHash(seq=12, hash=None))
    assert up.only(Rebase).common == mark(9)
    key = Key(till="T01", incarnation=b"n" * 16)
    up.on(Rebased(key=key, head=mark(2, "new"), genesis=mark(0, "new")))
    assert up.only(SendHello).head == mark(2, "new")
    assert (up.state.key, up.state.acked, up.state.anchor) == (key, 0, mark(0, "new"))


def test_entries_that_another_process_of_this_till_uploaded_are_no_fork() -> None:
    """Two uploaders on one queue: the journal has grown behind this core's back."""
    up = Uplink().on(Wake()).answered(12).on(LocalHash(seq=12, hash=mark(12).hash))
    assert up.only(PersistProgress).acked == 12
    assert up.state.head == mark(12)
    forked = Uplink().on(Wake()).answered(12).on(LocalHash(seq=12, hash=mark(12, "other").hash))
    assert forked.only(Alarm).code == "forked"


def test_a_closed_journal_is_rebased_even_when_all_of_it_is_common() -> None:
    """Its clone went on under another incarnation."""
    up = Uplink(replace(NEW, head=mark(1))).on(Wake()).answered(1, closed=True)
    assert up.only(Alarm).code == "closed"
    up.on(LocalHash(seq=up.only(ReadHash).seq, hash=mark(1).hash))
    assert up.answered(1, closed=True, hash_at_head=mark(1).hash).only(Rebase).common == mark(1)


def test_a_journal_that_is_continued_is_still_sent_wherever_it_is_missing() -> None:
    """To a server that was promoted without it; then it rests."""
    frozen = replace(NEW, term=TERM, frozen=True)
    up = Uplink(frozen).on(Wake()).answered(4).on(LocalHash(seq=4, hash=mark(4).hash))
    assert up.only(Load).after == 4
    there = Uplink(frozen).on(Wake()).answered(12, closed=True, hash_at_head=mark(9).hash, safe=12)
    assert (there.state.phase, there.state.acked, there.state.safe) == (Phase.READY, 9, 9)
    closed = Uplink(frozen).on(Wake()).answered(4, closed=True)
    assert (closed.only(Alarm).code, closed.state.phase) == ("frozen_fork", Phase.BACKOFF)


@pytest.mark.parametrize("durable", [4, 12])
@pytest.mark.parametrize("common", range(4))
def test_what_a_server_has_otherwise_of_a_continued_journal_is_recalled(durable: int, common: int) -> None:
    """A clone's entries stand there, and this till's were acked by a server that is gone: they go on elsewhere."""
    server = {seq: mark(seq, "own" if seq <= common else "other").hash for seq in range(13)}
    up = Uplink(replace(NEW, term=TERM, frozen=True)).on(Wake())
    up.answered(durable, "other", hash_at_head=server[9] if durable > 9 else None)
    if durable < 9:
        up.on(LocalHash(seq=durable, hash=mark(durable).hash))
    assert up.only(Alarm).code == "frozen_fork"
    while isinstance(up.effects[-1], ReadHash):
        seq = up.effects[-1].seq
        assert up.on(LocalHash(seq=seq, hash=mark(seq).hash)).only(SendHello).head == mark(seq)
        up.answered(durable, "other", hash_at_head=server[seq])
    assert up.only(Recall).common == mark(common)
    assert up.on(Recalled(head=mark(common))).only(SendHello).head == mark(common)
    up.answered(durable, "other", closed=True, hash_at_head=server[common] if common else None)
    assert (up.state.phase, up.state.acked) == (Phase.READY, common)


def test_a_server_below_the_anchor_is_an_alarm_not_a_guess() -> None:
    """What it lacks is pruned here."""
    up = Uplink(replace(NEW, anchor=mark(6))).on(Wake()).answered(4).on(LocalHash(seq=4, hash=None))
    assert up.only(Alarm).code == "below_anchor"
    assert up.only(Alarm).detail == f"server has 4, pruned up to 6 {mark(6).hash.hex()}"
    assert up.state.phase is Phase.BACKOFF


def test_a_server_that_was_told_of_the_anchor_is_gone_on_with() -> None:
    """An operator signed there that what lies below is lost: the next handshake is like any other."""
    up = Uplink(replace(NEW, anchor=mark(6))).on(Wake()).answered(4).on(LocalHash(seq=4, hash=None))
    up.on(TimerFired(timer=up.state.timer)).answered(6)
    assert up.only(PersistProgress).acked == 6
    assert up.on(Persisted()).only(Load).after == 6


def test_at_head_or_anchor_nothing_needs_to_be_read() -> None:
    """Both marks are in the state."""
    assert Uplink().on(Wake()).answered(9).only(PersistProgress).acked == 9
    anchored = Uplink(replace(NEW, anchor=mark(6))).on(Wake()).answered(6)
    assert anchored.only(PersistProgress).acked == 6


def test_later_failures_are_retried_for_ever_with_full_jitter() -> None:
    """Without waiting for another sale; the delay doubles up to its bound and is drawn whole."""
    up = Uplink().on(Wake())
    delays = []
    for _ in range(40):
        up.on(TransportFailed(request=up.state.request, draw=1.0))
        delays.append(up.only(SetTimer).delay_ms)
        up.on(TimerFired(timer=up.state.timer))
        assert up.state.phase is Phase.HELLO
    assert delays[:4] == [50, 100, 200, 400]
    assert delays[-1] == OPTIONS.backoff_max_ms
    up.on(TransportFailed(request=up.state.request, draw=0.1))
    assert up.only(SetTimer).delay_ms == OPTIONS.backoff_max_ms // 10


def test_a_failed_server_is_followed_by_the_next_of_the_list() -> None:
    """And after the last comes the first."""
    up = Uplink().on(Wake())
    asked = []
    for code in ("not_live", "not_live", "unauthorized"):
        asked.append(up.only(SendHello).server_index)
        up.on(Refused(request=up.state.request, code=code, draw=0.5))
        up.on(TimerFired(timer=up.state.timer))
    assert asked == [0, 1, 0]


def test_a_busy_server_keeps_the_session_and_is_left_alone_as_long_as_it_asks() -> None:
    """Then the batch is loaded again, without a handshake."""
    up = waiting()
    up.on(Refused(request=up.state.request, code="busy", draw=0.0, retry_after_ms=700))
    assert up.only(SetTimer).delay_ms == 700
    assert up.on(TimerFired(timer=up.state.timer)).effects == [Load(after=4, limit=4)]


@pytest.mark.parametrize("code", ["gap", "fork", "stale_term", "session_unknown"])
def test_a_refused_batch_leads_to_a_new_handshake_at_the_same_server(code: str) -> None:
    """The server says again where it is."""
    up = waiting()
    up.on(Refused(request=up.state.request, code=code, draw=0.5))
    assert up.on(TimerFired(timer=up.state.timer)).only(SendHello).server_index == 0


def test_a_batch_found_too_large_is_halved() -> None:
    """Down to a single entry, which raises an alarm."""
    up = waiting()
    limits, alarms = [], []
    for _ in range(3):
        up.on(Refused(request=up.state.request, code="too_large", draw=0.5))
        alarms += up.all(Alarm)
        up.on(TimerFired(timer=up.state.timer))
        limits.append(up.only(Load).limit)
        up.loaded(5)
    assert limits == [2, 1, 1]
    assert alarms == [Alarm(code="too_large", detail="a single entry is refused")]


def test_a_batch_that_did_not_get_through_is_halved_until_one_does() -> None:
    """On a slow line the same batch would run out of time for ever; what gets through is doubled again."""
    up = waiting()
    limits = []
    for _ in range(3):
        up.on(TransportFailed(request=up.state.request, draw=0.0))
        up.on(TimerFired(timer=up.state.timer)).answered(4)
        up.on(LocalHash(seq=4, hash=mark(4).hash))
        limits.append(up.only(Load).limit)
        up.loaded(4 + limits[-1])
    assert limits == [2, 1, 1]
    up.on(ack(5))
    assert up.effects[1] == Load(after=5, limit=2)
    assert up.loaded(7).on(ack(7)).effects[1] == Load(after=7, limit=4)


def test_a_handshake_that_did_not_get_through_says_nothing_of_batches() -> None:
    """A cut line is no slow line."""
    up = Uplink().on(Wake())
    up.on(TransportFailed(request=up.state.request, draw=0.0))
    assert up.state.fitting == 0


def test_a_wake_while_it_is_busy_only_moves_the_head() -> None:
    """One request at a time; what is new is sent after the ack."""
    up = waiting().on(Wake(head=mark(20)))
    assert (up.effects, up.state.phase) == ([], Phase.WAITING)
    assert up.on(ack(8)).effects[1] == Load(after=8, limit=4)
    backing_off = Uplink().on(Wake(), TransportFailed(request=1, draw=0.5))
    assert backing_off.on(Wake(head=mark(21))).effects == []
    assert backing_off.on(Wake(now=True)).only(SendHello).head == mark(21)


def test_a_sale_in_a_quiet_session_is_sent_at_once() -> None:
    """Without another handshake."""
    up = waiting().on(ack(8)).loaded(9).on(ack(9))
    assert up.on(Wake(head=mark(10))).effects == [Load(after=9, limit=4)]


def test_a_handshake_finds_what_was_journaled_without_a_word() -> None:
    """A commit that was told to nobody is sent after the next handshake; a head of before moves nothing."""
    up = Uplink(replace(NEW, term=TERM)).on(Wake()).answered(9)
    up.on(TimerFired(timer=up.state.timer)).answered(9, head=mark(8))
    assert (up.state.phase, up.state.head) == (Phase.READY, mark(9))
    up.on(TimerFired(timer=up.state.timer)).answered(9, head=mark(11))
    assert up.on(LocalHash(seq=9, hash=mark(9).hash)).only(Load).after == 9
    assert up.state.head == mark(11)


def test_a_newer_term_on_the_feed_is_remembered_and_ends_the_session() -> None:
    """The new server may have less than the old one acked, and the old one is not to be believed again."""
    newer = Term(cluster="lab", n=4, id=b"4" * 16)
    up = waiting().on(ack(8)).loaded(9).on(ack(9))
    assert up.on(TermSeen(term=TERM)).effects == []
    assert up.on(TermSeen(term=Term(cluster="shop", n=9, id=b"9" * 16))).effects == []
    up.on(TermSeen(term=newer))
    assert up.effects == [PersistProgress(term=newer, acked=0, safe=0, wait=True)]
    assert up.on(Persisted()).only(SendHello).head == mark(9)
    assert up.answered(9).only(Alarm).code == "stale_server"
    busy = waiting().on(TermSeen(term=newer))
    assert busy.on(ack(8)).effects == []
    idle = Uplink(replace(NEW, term=TERM, acked=4)).on(TermSeen(term=newer))
    assert idle.effects == [PersistProgress(term=newer, acked=0, safe=0, wait=False)]
    assert idle.state.phase is Phase.IDLE


def test_sleeping_ends_the_session_and_a_wake_begins_anew() -> None:
    """Answers and timers of before are void."""
    up = waiting()
    request, timer = up.state.request, up.state.timer
    up.on(Slept())
    assert up.state.phase is Phase.IDLE
    for stale in (ack(8), TransportFailed(request=request, draw=0.5), TimerFired(timer=timer)):
        assert up.on(stale).effects == []
    assert up.on(Wake()).only(SendHello)


def test_a_failing_store_is_retried_like_a_failing_server() -> None:
    """A full disk must not end the sync for good."""
    up = Uplink().on(Wake()).answered(4).on(StoreFailed(draw=0.5))
    assert up.state.phase is Phase.BACKOFF
    assert up.on(TimerFired(timer=up.state.timer)).only(SendHello)


def test_pruning_is_offered_with_every_handshake_of_a_known_term() -> None:
    """Up to what is safe, by the server's clock; the anchor moves when it is done."""
    up = Uplink(replace(NEW, term=TERM)).on(Wake()).answered(9, safe=7)
    assert up.only(Prune) == Prune(safe=7, server_ms=1)
    assert up.on(Pruned(anchor=mark(7))).state.anchor == mark(7)


def test_a_journal_that_does_not_go_on_where_the_server_is_raises_an_alarm() -> None:
    """Nothing is sent from it, and it is tried again."""
    up = Uplink().on(Wake()).answered(4).on(LocalHash(seq=4, hash=mark(4).hash), Persisted())
    load = up.only(Load)
    assert load.after == 4
    up.on(EntriesLoaded(first_seq=5, prev_hash=b"other", payloads=(b"e",), last=mark(5)))
    assert up.only(Alarm) == Alarm(code="chain_broken", detail="at 4")
    assert up.only(SetTimer).delay_ms > 0
    assert up.state.phase is Phase.BACKOFF


def test_a_failed_request_is_tried_at_the_next_server_with_nothing_of_the_old_one() -> None:
    """Session, what was under way and any search for a fork are over."""
    three = UplinkOptions(cluster="lab", servers=3)
    state = Uplink().on(Wake()).state
    asked = []
    for _ in range(4):
        step = uplink.step(state, TransportFailed(request=state.request, draw=0.5), options=three)
        assert (step.state.session, step.state.inflight, step.state.probe) == (None, None, None)
        state = uplink.step(step.state, TimerFired(timer=step.state.timer), options=three).state
        asked.append(state.server_index)
    assert asked == [1, 2, 0, 1]


def test_a_refusal_that_is_expected_raises_no_alarm_and_another_does() -> None:
    """A standby says not_live all day; a refused credential must be seen. Both wait as long as they were told."""
    for code, alarms in (
        ("not_live", []),
        ("unauthorized", [Alarm(code="unauthorized", detail="the server refuses this till")]),
    ):
        up = Uplink().on(Wake())
        up.on(Refused(request=up.state.request, code=code, draw=0.0, retry_after_ms=7000))
        assert up.all(Alarm) == alarms
        assert up.only(SetTimer).delay_ms == 7000
        assert (up.state.inflight, up.state.session) == (None, None)


def test_a_newer_term_begins_with_nothing_acked_and_a_new_timer() -> None:
    """What was acked counted for the older term; a timer of before fires into nothing."""
    up = Uplink(replace(NEW, term=TERM, acked=5, safe=4))
    timer = up.state.timer
    up.on(TermSeen(term=Term(cluster="lab", n=4, id=b"u" * 16)))
    assert (up.state.acked, up.state.safe, up.state.timer > timer) == (0, 0, True)
    assert up.only(PersistProgress).acked == 0


def test_an_ack_is_remembered_without_waiting_for_it() -> None:
    """The next batch need not wait: what an ack says is said again by the next handshake."""
    assert waiting().on(ack(8, safe=6)).only(PersistProgress).wait is False


def test_a_handshake_that_brings_nothing_new_writes_nothing() -> None:
    """Same term, same marks: only what has changed is stored."""
    known = Uplink(replace(NEW, term=TERM, acked=9, safe=3)).on(Wake()).answered(9, safe=3)
    assert known.all(PersistProgress) == []
    more = Uplink(replace(NEW, term=TERM, acked=9, safe=3)).on(Wake()).answered(9, safe=5)
    assert more.only(PersistProgress) == PersistProgress(term=TERM, acked=9, safe=5, wait=False)


def test_each_question_has_a_number_of_its_own() -> None:
    """So that a late answer is known for what it is."""
    up = Uplink().on(Wake())
    asked = up.only(SendHello).request
    up.answered(4).on(LocalHash(seq=4, hash=mark(4).hash), Persisted()).loaded(8)
    assert (asked, up.only(SendBatch).request) == (1, 2)


def test_a_fork_is_told_with_both_ends() -> None:
    """For whoever looks for its cause."""
    assert Uplink().on(Wake()).answered(9, "other").only(Alarm).detail == "server has 9, own head 9"


def test_a_quiet_session_is_renewed_after_the_keepalive() -> None:
    """And a late timer of the time before does nothing."""
    up = waiting().on(ack(8)).loaded(9).on(ack(9))
    assert up.only(SetTimer).delay_ms == OPTIONS.keepalive_ms
    before = up.state
    assert up.on(TimerFired(timer=before.timer - 1)).state == before


def test_an_answer_in_another_phase_changes_nothing() -> None:
    """Entries, an ack or a hash that nobody waits for."""
    up = Uplink().on(Wake())
    before = up.state
    for late in (
        EntriesLoaded(first_seq=1, prev_hash=mark(0).hash, payloads=(b"p",), last=mark(1)),
        LocalHash(seq=4, hash=mark(4).hash),
        ack(4),
        Persisted(),
    ):
        assert up.on(late).state == before
        assert up.effects == []


def test_a_batch_goes_to_the_server_that_was_greeted() -> None:
    """The second of the list, when the first was left."""
    up = Uplink().on(Wake()).on(Refused(request=1, code="not_live", draw=0.5))
    up.on(TimerFired(timer=up.state.timer)).answered(4).on(LocalHash(seq=4, hash=mark(4).hash), Persisted())
    assert up.loaded(8).only(SendBatch).server_index == 1
