"""The uplink: sends the journal in order, from where the live server really is, for ever.

It keeps three promises: nothing is sent before what it rests on is durable; an ack counts only within the
handshake it belongs to; bytes that differ from the server's are a fork, never overwritten and never acked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from syncref.core.step import Step, full_jitter_ms, replace
from syncref.core.terms import distrust
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
    Probe,
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
    UplinkStep,
    Wake,
)
from syncref.domain.identity import Mark, Term
from syncref.wire.sync import HelloAnswer

RESHAKE = frozenset({"gap", "fork", "stale_term", "session_unknown"})
ASKING = frozenset({Phase.HELLO, Phase.WAITING, Phase.FORKED})


def step(state: UplinkState, event: UplinkEvent, *, options: UplinkOptions) -> UplinkStep:
    """Advance the uplink. An event that answers nothing outstanding changes nothing."""
    return _HANDLERS[type(event)](state, event, options)


def _stay(state: UplinkState) -> UplinkStep:
    return Step(state, ())


# --- being asked


def _wake(state: UplinkState, event: Wake, options: UplinkOptions) -> UplinkStep:
    if event.head is not None:
        state = replace(state, head=event.head)
    if state.phase is Phase.IDLE or (event.now and state.phase in (Phase.BACKOFF, Phase.READY)):
        return _hello(state, state.head)
    if state.phase is Phase.READY:
        return _load_or_rest(state, options)
    return _stay(state)


def _slept(state: UplinkState, event: Slept, options: UplinkOptions) -> UplinkStep:
    if state.phase is Phase.FORKED and state.probe is None:
        return _stay(state)
    idle = replace(state, phase=Phase.IDLE, session=None, inflight=None, answer=None, probe=None)
    return _stay(replace(idle, request=state.request + 1, timer=state.timer + 1, attempt=0))


def _term_seen(state: UplinkState, event: TermSeen, options: UplinkOptions) -> UplinkStep:
    """Remember a newer term that the feed showed: a server of an older one is no longer to be believed.

    What was acked and safe counted for the older term; the next handshake says it anew.
    """
    known = state.term
    if known is None or event.term.cluster != known.cluster or event.term.n <= known.n:
        return _stay(state)
    if state.phase in (Phase.PERSISTING, Phase.FORKED):
        return _stay(state)
    idle = state.phase is Phase.IDLE
    after = replace(
        state,
        phase=Phase.IDLE if idle else Phase.PERSISTING,
        term=event.term,
        acked=0,
        safe=0,
        session=None,
        inflight=None,
        answer=None,
        request=state.request + 1,
        timer=state.timer + 1,
    )
    return Step(after, (PersistProgress(term=event.term, acked=0, safe=0, wait=not idle),))


def _timer(state: UplinkState, event: TimerFired, options: UplinkOptions) -> UplinkStep:
    if event.timer != state.timer or state.phase not in (Phase.BACKOFF, Phase.READY):
        return _stay(state)
    if state.phase is Phase.BACKOFF and state.session is not None:
        return _load_or_rest(state, options)
    return _hello(state, state.head)


# --- the handshake


def _hello(state: UplinkState, claimed: Mark) -> UplinkStep:
    phase = Phase.HELLO if state.probe is None else Phase.FORKED
    after = replace(
        state,
        phase=phase,
        session=None,
        inflight=None,
        answer=None,
        request=state.request + 1,
        timer=state.timer + 1,
    )
    send = SendHello(request=after.request, server_index=after.server_index, head=claimed)
    return Step(after, (send,))


def _hello_answered(state: UplinkState, event: HelloAnswered, options: UplinkOptions) -> UplinkStep:
    if event.request != state.request or state.phase not in (Phase.HELLO, Phase.FORKED):
        return _stay(state)
    answer = event.answer
    told = Term(cluster=answer.term.cluster, n=answer.term.n, id=answer.term.id)
    wrong = distrust(state.term, told, cluster=options.cluster)
    if wrong is not None:
        elsewhere = replace(state, server_index=(state.server_index + 1) % options.servers, probe=None)
        return _back_off(elsewhere, event.draw, options, alarm=Alarm(code=wrong[0], detail=wrong[1]))
    if state.phase is Phase.FORKED:
        return _probed(state, answer)
    if event.head is not None and event.head.seq > state.head.seq:
        state = replace(state, head=event.head)  # what was journaled without a word to this core
    return _compare(replace(state, answer=answer), options)


def _compare(state: UplinkState, options: UplinkOptions) -> UplinkStep:
    """Compare the server's mark with the journal's own hash there, reading it if need be.

    Beyond the head that this core was told of as well: another process may write and upload this journal.
    """
    answer = state.answer
    assert answer is not None
    seq = answer.durable_seq
    if state.frozen and seq >= state.head.seq:
        return _frozen_there(state, options)
    if answer.closed:
        return _fork(state, options)
    for mark in (state.head, state.anchor):
        if mark.seq == seq:
            return _compared(state, mark.hash, options)
    return Step(replace(state, phase=Phase.CHECKING), (ReadHash(seq=seq),))


def _local_hash(state: UplinkState, event: LocalHash, options: UplinkOptions) -> UplinkStep:
    if state.phase is Phase.CHECKING and state.answer is not None and event.seq == state.answer.durable_seq:
        if event.seq > state.head.seq:
            if event.hash is None:
                return _fork(state, options)
            state = replace(state, head=Mark(seq=event.seq, hash=event.hash))
        if event.hash is None:
            detail = f"server has {event.seq}, pruned up to {state.anchor.seq} {state.anchor.hash.hex()}"
            return _back_off(state, 1.0, options, alarm=Alarm(code="below_anchor", detail=detail))
        return _compared(state, event.hash, options)
    if state.phase is Phase.FORKED and state.probe is not None and state.probe.asked is None:
        if event.hash is None:  # pruned while the search went on
            return _narrow(replace(state, probe=replace(state.probe, low=state.anchor)))
        asked = Mark(seq=event.seq, hash=event.hash)
        return _hello(replace(state, probe=replace(state.probe, asked=asked)), asked)
    return _stay(state)


def _compared(state: UplinkState, own_hash: bytes, options: UplinkOptions) -> UplinkStep:
    answer = state.answer
    assert answer is not None
    if own_hash != answer.durable_hash:
        return _fork(state, options)
    term = Term(cluster=answer.term.cluster, n=answer.term.n, id=answer.term.id)
    same = term == state.term
    safe = min(answer.safe, state.head.seq)
    after = replace(
        state,
        term=term,
        acked=answer.durable_seq,
        safe=max(state.safe, safe) if same else safe,
        session=answer.session,
        sent=Mark(seq=answer.durable_seq, hash=answer.durable_hash),
        answer=None,
    )
    if same:
        prune = Prune(safe=min(after.safe, after.acked), server_ms=answer.server_ms)
        go_on = _load_or_rest(after, options)
        progress = PersistProgress(term=term, acked=after.acked, safe=after.safe, wait=False)
        lazily = (progress,) if (after.acked, after.safe) != (state.acked, state.safe) else ()
        return Step(go_on.state, (*lazily, prune, *go_on.effects))
    progress = PersistProgress(term=term, acked=after.acked, safe=after.safe, wait=True)
    return Step(replace(after, phase=Phase.PERSISTING), (progress,))


def _persisted(state: UplinkState, event: Persisted, options: UplinkOptions) -> UplinkStep:
    if state.phase is not Phase.PERSISTING:
        return _stay(state)
    if state.session is None:
        return _hello(state, state.head)
    return _load_or_rest(state, options)


# --- forks


def _frozen_there(state: UplinkState, options: UplinkOptions) -> UplinkStep:
    """All of a frozen journal is on this server, or it is other than the one that it was frozen against."""
    answer = state.answer
    assert answer is not None
    if state.head.seq > state.anchor.seq and answer.hash_at_head != state.head.hash:
        return _frozen_fork(state, state.head.seq)
    there = msgspec.structs.replace(answer, durable_seq=state.head.seq, durable_hash=state.head.hash)
    return _compared(replace(state, answer=there), state.head.hash, options)


def _fork(state: UplinkState, options: UplinkOptions) -> UplinkStep:
    """Begin to look for the greatest common mark. The till goes on selling meanwhile."""
    answer = state.answer
    assert answer is not None
    if state.frozen and not answer.closed:
        return _frozen_fork(state, answer.durable_seq)
    if state.frozen:  # by a clone of this till; the entry that continues it here is yet to come
        detail = f"closed after {answer.durable_seq}, continued after {state.head.seq}"
        return _back_off(state, 1.0, options, alarm=Alarm(code="frozen_fork", detail=detail))
    high = min(answer.durable_seq, state.head.seq)
    detail = f"server has {answer.durable_seq}, own head {state.head.seq}"
    alarm = Alarm(code="closed" if answer.closed else "forked", detail=detail)
    if answer.durable_seq > state.head.seq:
        common = state.head if answer.hash_at_head == state.head.hash else None
    else:
        common = None
    forked = replace(state, phase=Phase.FORKED, answer=None, session=None)
    if common is not None:
        return Step(replace(forked, probe=None), (alarm, Rebase(common=common)))
    probe = Probe(low=state.anchor, high=high if not answer.closed else high + 1)
    narrowed = _narrow(replace(forked, probe=probe))
    return Step(narrowed.state, (alarm, *narrowed.effects))


def _frozen_fork(state: UplinkState, other: int) -> UplinkStep:
    """Look for the greatest common mark of a frozen journal: what follows it the server will never take as it is.

    The server has another entry at `other`, of a clone of this till; this one's was acked by a server that the
    present one does not go on from.
    """
    alarm = Alarm(code="frozen_fork", detail=f"other bytes at {other} of a journal that is continued")
    probe = Probe(low=state.anchor, high=other)
    narrowed = _narrow(replace(state, phase=Phase.FORKED, answer=None, session=None, probe=probe))
    return Step(narrowed.state, (alarm, *narrowed.effects))


def _narrow(state: UplinkState) -> UplinkStep:
    probe = state.probe
    assert probe is not None
    if probe.high - probe.low.seq <= 1:
        found = Recall(common=probe.low) if state.frozen else Rebase(common=probe.low)
        return Step(replace(state, probe=None), (found,))
    middle = (probe.low.seq + probe.high) // 2
    return Step(replace(state, probe=replace(probe, asked=None)), (ReadHash(seq=middle),))


def _probed(state: UplinkState, answer: HelloAnswer) -> UplinkStep:
    probe = state.probe
    assert probe is not None
    assert probe.asked is not None
    if answer.hash_at_head == probe.asked.hash:
        return _narrow(replace(state, probe=replace(probe, low=probe.asked)))
    return _narrow(replace(state, probe=replace(probe, high=probe.asked.seq)))


def _rebased(state: UplinkState, event: Rebased, options: UplinkOptions) -> UplinkStep:
    after = replace(
        state,
        key=event.key,
        head=event.head,
        anchor=event.genesis,
        acked=0,
        safe=0,
        sent=None,
        probe=None,
        attempt=0,
    )
    return _hello(after, after.head)


def _recalled(state: UplinkState, event: Recalled, options: UplinkOptions) -> UplinkStep:
    return _hello(replace(state, head=event.head, acked=0, safe=0, sent=None, probe=None, attempt=0), event.head)


# --- sending


def _load_or_rest(state: UplinkState, options: UplinkOptions) -> UplinkStep:
    assert state.sent is not None
    if state.head.seq > state.sent.seq:
        limit = min(state.batch_limit or options.batch_entries, state.fitting or options.batch_entries)
        return Step(replace(state, phase=Phase.LOADING), (Load(after=state.sent.seq, limit=limit),))
    rest = replace(state, phase=Phase.READY, attempt=0, timer=state.timer + 1)
    return Step(rest, (SetTimer(timer=rest.timer, delay_ms=options.keepalive_ms),))


def _loaded(state: UplinkState, event: EntriesLoaded, options: UplinkOptions) -> UplinkStep:
    if state.phase is not Phase.LOADING or state.sent is None or event.first_seq != state.sent.seq + 1:
        return _stay(state)
    if event.prev_hash != state.sent.hash:
        return _back_off(state, 1.0, options, alarm=Alarm(code="chain_broken", detail=f"at {state.sent.seq}"))
    assert state.session is not None
    assert state.term is not None
    after = replace(state, phase=Phase.WAITING, inflight=event.last, request=state.request + 1)
    send = SendBatch(
        request=after.request,
        server_index=state.server_index,
        session=state.session,
        term=state.term,
        first_seq=event.first_seq,
        prev_hash=event.prev_hash,
        payloads=event.payloads,
    )
    return Step(after, (send,))


def _acked(state: UplinkState, event: BatchAcked, options: UplinkOptions) -> UplinkStep:
    ack = event.ack
    if ack.session != state.session or state.phase is not Phase.WAITING or state.inflight is None:
        return _stay(state)
    if ack.seq < state.inflight.seq:
        return _stay(state)
    if (ack.seq, ack.hash) != (state.inflight.seq, state.inflight.hash):
        return _back_off(replace(state, session=None), event.draw, options)
    assert state.term is not None
    fitting = 2 * state.fitting if 2 * state.fitting < options.batch_entries else 0
    after = replace(
        state,
        acked=ack.seq,
        safe=max(state.safe, ack.safe),
        sent=state.inflight,
        inflight=None,
        attempt=0,
        fitting=fitting,
    )
    progress = PersistProgress(term=state.term, acked=after.acked, safe=after.safe, wait=False)
    go_on = _load_or_rest(after, options)
    return Step(go_on.state, (progress, *go_on.effects))


# --- what goes wrong


def _refused(state: UplinkState, event: Refused, options: UplinkOptions) -> UplinkStep:
    if event.request != state.request or state.phase not in ASKING:
        return _stay(state)
    state = replace(state, inflight=None, probe=None)
    if event.code == "busy":
        return _back_off(state, event.draw, options, least_ms=event.retry_after_ms)
    if event.code in RESHAKE:
        return _back_off(replace(state, session=None), event.draw, options)
    if event.code == "too_large":
        limit = state.batch_limit or options.batch_entries
        alarm = Alarm(code="too_large", detail="a single entry is refused") if limit == 1 else None
        return _back_off(replace(state, batch_limit=max(1, limit // 2)), event.draw, options, alarm=alarm)
    elsewhere = replace(state, session=None, server_index=(state.server_index + 1) % options.servers)
    expected = event.code == "not_live"
    alarm = None if expected else Alarm(code=event.code, detail="the server refuses this till")
    return _back_off(elsewhere, event.draw, options, least_ms=event.retry_after_ms, alarm=alarm)


def _transport_failed(state: UplinkState, event: TransportFailed, options: UplinkOptions) -> UplinkStep:
    if event.request != state.request or state.phase not in ASKING:
        return _stay(state)
    elsewhere = (state.server_index + 1) % options.servers
    after = replace(state, session=None, inflight=None, probe=None, server_index=elsewhere)
    if state.inflight is not None and state.sent is not None:
        # on a slow line a batch that ran out of time would run out of time for ever: the next one is shorter
        after = replace(after, fitting=max(1, (state.inflight.seq - state.sent.seq) // 2))
    return _back_off(after, event.draw, options)


def _store_failed(state: UplinkState, event: StoreFailed, options: UplinkOptions) -> UplinkStep:
    if state.phase not in (Phase.CHECKING, Phase.PERSISTING, Phase.LOADING, Phase.FORKED):
        return _stay(state)
    return _back_off(replace(state, session=None, probe=None), event.draw, options)


def _back_off(
    state: UplinkState, draw: float, options: UplinkOptions, *, least_ms: int = 0, alarm: Alarm | None = None
) -> UplinkStep:
    attempt = state.attempt + 1
    delay = full_jitter_ms(
        attempt=attempt, draw=draw, base_ms=options.backoff_base_ms, max_ms=options.backoff_max_ms
    )
    after = replace(state, phase=Phase.BACKOFF, attempt=attempt, timer=state.timer + 1, answer=None)
    timer = SetTimer(timer=after.timer, delay_ms=max(delay, least_ms))
    effects: tuple[UplinkEffect, ...] = (timer,) if alarm is None else (alarm, timer)
    return Step(after, effects)


def _pruned(state: UplinkState, event: Pruned, options: UplinkOptions) -> UplinkStep:
    return _stay(replace(state, anchor=event.anchor))


_HANDLERS: dict[type, Callable[[UplinkState, Any, UplinkOptions], UplinkStep]] = {
    Wake: _wake,
    Slept: _slept,
    TermSeen: _term_seen,
    TimerFired: _timer,
    LocalHash: _local_hash,
    Persisted: _persisted,
    EntriesLoaded: _loaded,
    HelloAnswered: _hello_answered,
    BatchAcked: _acked,
    Refused: _refused,
    TransportFailed: _transport_failed,
    Rebased: _rebased,
    Recalled: _recalled,
    Pruned: _pruned,
    StoreFailed: _store_failed,
}
