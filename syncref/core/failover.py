"""Failover: which server may take writes. One accepted writer a term, and a fence outlives a restart.

A server that starts serves nothing until a peer or the operator confirms it. A fence is durable before it
is answered, a term before writes open. A new term exceeds everything that this server, its peers or any
till has reported. A restored database shows by its timeline, and is promoted like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from msgspec import Struct

from syncref.core.step import Step, replace
from syncref.core.terms import next_number
from syncref.domain.identity import Term


class Role(Enum):
    """What a server is. Only LIVE takes writes."""

    STARTING = "starting"
    STANDBY = "standby"
    PROMOTING = "promoting"
    LIVE = "live"
    FENCED = "fenced"


class FailoverState(Struct, frozen=True, kw_only=True):
    """`term` is the database's term row; `highest_seen` the highest n reported by anyone.

    `fencing`: the fence is being persisted, for the sake of this term number. `new`: the term being opened.
    `rank` of `ranks` servers: a server opens only term numbers of its own rank, so that two that can't hear
    each other never open the same one.
    """

    role: Role = Role.STARTING
    term: Term
    timeline: int
    peers: int = 0
    rank: int = 0
    ranks: int = 1
    highest_seen: int = 0
    fenced_by: int = 0
    fencing: bool = False
    answer_fence: bool = False
    new: Term | None = None


# --- events


class Started(Struct, frozen=True, kw_only=True):
    """The server process began: its database's timeline now, whether it is a standby, any persisted fence."""

    timeline: int
    in_recovery: bool
    fenced_by: int = 0
    fresh_id: bytes = b""


class PeerAnswered(Struct, frozen=True, kw_only=True):
    """A peer told its role and the highest term number it knows; `term_id` of that term, if it is its own."""

    role: Role
    term_n: int
    term_id: bytes = b""
    fresh_id: bytes = b""


class PeerAsked(Struct, frozen=True, kw_only=True):
    """A peer that starts asked this server, and told the highest term number that it knows."""

    term_n: int


class OperatorConfirmed(Struct, frozen=True, kw_only=True):
    """The operator says that this server is the live one."""

    fresh_id: bytes = b""


class TillReported(Struct, frozen=True, kw_only=True):
    """A till says that it has met this term number."""

    term_n: int


class TillAhead(Struct, frozen=True, kw_only=True):
    """A till was acked more in this very term than the server has: the database was restored."""

    fresh_id: bytes


class PromoteAsked(Struct, frozen=True, kw_only=True):
    """Make this standby the live server. `fresh_id`: 16 random bytes for its term."""

    fresh_id: bytes


class DatabasePromoted(Struct, frozen=True, kw_only=True):
    """The database takes writes now, on this timeline; `term` is its term row, replayed to the end."""

    timeline: int
    term: Term


class TermPersisted(Struct, frozen=True):
    """The new term row is durable, with its timeline."""


class FenceAsked(Struct, frozen=True, kw_only=True):
    """A promoted peer asks this server to take no more writes, for the sake of its term."""

    term_n: int
    term_id: bytes = b""


class FencePersisted(Struct, frozen=True):
    """The fence is durable."""


FailoverEvent = (
    Started
    | PeerAnswered
    | PeerAsked
    | OperatorConfirmed
    | TillReported
    | TillAhead
    | PromoteAsked
    | DatabasePromoted
    | TermPersisted
    | FenceAsked
    | FencePersisted
)

# --- effects


class AskPeers(Struct, frozen=True):
    """Ask every peer for its role and term, telling the own one, again and again until one answers."""


class PromoteDatabase(Struct, frozen=True):
    """Promote the standby's database. Answer: DatabasePromoted."""


class PersistTerm(Struct, frozen=True, kw_only=True):
    """Store the term row with its timeline, in the database. Answer: TermPersisted."""

    term: Term
    timeline: int


class PersistFence(Struct, frozen=True, kw_only=True):
    """Store beside the database that writes are over. Answer: FencePersisted."""

    by: int


class AnswerFence(Struct, frozen=True):
    """Tell the peer that this server is fenced."""


class OpenWrites(Struct, frozen=True):
    """Take hellos, batches and documents from now on."""


class CloseWrites(Struct, frozen=True):
    """Take nothing more; transactions under way still check the term row."""


class Alarm(Struct, frozen=True, kw_only=True):
    """Tell the operator."""

    code: str
    detail: str


FailoverEffect = (
    AskPeers | PromoteDatabase | PersistTerm | PersistFence | AnswerFence | OpenWrites | CloseWrites | Alarm
)
FailoverStep = Step[FailoverState, FailoverEffect]


def step(state: FailoverState, event: FailoverEvent) -> FailoverStep:
    """Advance the failover core."""
    return _HANDLERS[type(event)](state, event)


def _started(state: FailoverState, event: Started) -> FailoverStep:
    state = replace(state, highest_seen=max(state.highest_seen, state.term.n, event.fenced_by))
    if event.fenced_by > state.term.n:
        fenced = replace(state, role=Role.FENCED, fenced_by=event.fenced_by, timeline=event.timeline)
        return Step(fenced, (CloseWrites(),))
    if event.in_recovery:
        return Step(replace(state, role=Role.STANDBY, timeline=event.timeline), (CloseWrites(),))
    restored = event.timeline != state.timeline
    after = replace(state, role=Role.STARTING, timeline=event.timeline)
    effects: tuple[FailoverEffect, ...] = (CloseWrites(),)
    if restored:
        detail = f"timeline {event.timeline}, the term was opened on {state.timeline}"
        effects = (*effects, Alarm(code="timeline_changed", detail=detail))
        after = replace(after, new=Term(cluster=state.term.cluster, n=0, id=event.fresh_id))
    if state.peers:
        return Step(after, (*effects, AskPeers()))
    confirmed = _confirmed(after)
    return Step(confirmed.state, (*effects, *confirmed.effects))


def _confirmed(state: FailoverState) -> FailoverStep:
    """Go live; on another timeline than the term's only under a new term."""
    if state.new is not None:
        return _open_term(state, state.new.id)
    return Step(replace(state, role=Role.LIVE), (OpenWrites(),))


def _open_term(state: FailoverState, fresh_id: bytes) -> FailoverStep:
    number = next_number(max(state.highest_seen, state.term.n), rank=state.rank, ranks=state.ranks)
    term = Term(cluster=state.term.cluster, n=number, id=fresh_id)
    after = replace(state, role=Role.PROMOTING, new=term, highest_seen=number)
    return Step(after, (PersistTerm(term=term, timeline=state.timeline),))


def _peer_answered(state: FailoverState, event: PeerAnswered) -> FailoverStep:
    seen = _seen(state, event.term_n)
    if _is_twin(state, event.term_n, event.term_id):
        return _fence(seen, event.term_n + 1)
    if event.term_n > state.term.n and state.role in (Role.STARTING, Role.LIVE):
        return _fence(seen, event.term_n)
    if event.role is Role.LIVE and state.role is Role.STARTING and event.term_n >= state.term.n:
        detail = f"a peer is live in term {event.term_n}, which is this server's"
        return Step(seen, (Alarm(code="two_live", detail=detail),))
    if state.role is Role.STARTING and event.role in (Role.STANDBY, Role.FENCED):
        if seen.highest_seen > state.term.n and state.new is None:  # a till has met another live server
            return _fence(seen, seen.highest_seen)
        return _confirmed(seen)
    return Step(seen, ())


def _peer_asked(state: FailoverState, event: PeerAsked) -> FailoverStep:
    seen = _seen(state, event.term_n)
    if event.term_n > state.term.n and state.role in (Role.STARTING, Role.LIVE):
        return _fence(seen, event.term_n)
    return Step(seen, ())


def _operator_confirmed(state: FailoverState, event: OperatorConfirmed) -> FailoverStep:
    """The operator's word starts a server without peers' help, and ends a fence under a new term.

    It also opens a new term on a live server that tills are past: the one they met is lost, by a restore say.
    """
    surpassed = state.highest_seen > state.term.n
    if state.role is Role.STARTING and not surpassed:
        return _confirmed(state)
    if state.role in (Role.STARTING, Role.FENCED):
        return _open_term(state, event.fresh_id)
    if state.role is Role.LIVE and surpassed:
        opened = _open_term(state, event.fresh_id)
        return Step(opened.state, (CloseWrites(), *opened.effects))
    return Step(state, ())


def _till_reported(state: FailoverState, event: TillReported) -> FailoverStep:
    """A till's word alone fences no live server, for it may be forged: the peers are asked, and theirs does."""
    seen = _seen(state, event.term_n)
    if event.term_n > state.term.n and state.role is Role.LIVE:
        alarm = Alarm(code="till_met_newer", detail=f"a till says that it met term {event.term_n}")
        return Step(seen, (alarm, AskPeers()) if state.peers else (alarm,))
    return Step(seen, ())


def _till_ahead(state: FailoverState, event: TillAhead) -> FailoverStep:
    if state.role is not Role.LIVE:
        return Step(state, ())
    opened = _open_term(state, event.fresh_id)
    alarm = Alarm(code="till_ahead", detail=f"a till was acked more than term {state.term.n} holds")
    return Step(opened.state, (CloseWrites(), alarm, *opened.effects))


def _promote_asked(state: FailoverState, event: PromoteAsked) -> FailoverStep:
    if state.role is not Role.STANDBY:
        detail = f"only a standby can be promoted, this server is {state.role.value}"
        return Step(state, (Alarm(code="not_promotable", detail=detail),))
    new = Term(cluster=state.term.cluster, n=0, id=event.fresh_id)
    return Step(replace(state, role=Role.PROMOTING, new=new), (PromoteDatabase(),))


def _database_promoted(state: FailoverState, event: DatabasePromoted) -> FailoverStep:
    if state.role is not Role.PROMOTING or state.new is None:
        return Step(state, ())
    return _open_term(replace(state, timeline=event.timeline, term=event.term), state.new.id)


def _term_persisted(state: FailoverState, event: TermPersisted) -> FailoverStep:
    if state.role is not Role.PROMOTING or state.new is None or state.new.n == 0:
        return Step(state, ())
    live = replace(state, role=Role.LIVE, term=state.new, new=None, fenced_by=0)
    if state.highest_seen > state.new.n:  # somebody reported a higher term meanwhile
        return _fence(live, state.highest_seen)
    return Step(live, (OpenWrites(),))


def _fence_asked(state: FailoverState, event: FenceAsked) -> FailoverStep:
    seen = _seen(state, event.term_n)
    if _is_twin(state, event.term_n, event.term_id):
        return _fence(replace(seen, answer_fence=True), event.term_n + 1)
    if event.term_n <= state.term.n:
        return Step(seen, (Alarm(code="fence_refused", detail=f"by term {event.term_n}"),))
    if state.role is Role.FENCED and not state.fencing:
        return Step(seen, (AnswerFence(),))
    return _fence(replace(seen, answer_fence=True), event.term_n)


def _fence(state: FailoverState, by: int) -> FailoverStep:
    fenced = replace(state, role=Role.FENCED, fenced_by=max(by, state.fenced_by), fencing=True)
    return Step(fenced, (CloseWrites(), PersistFence(by=fenced.fenced_by)))


def _fence_persisted(state: FailoverState, event: FencePersisted) -> FailoverStep:
    effects: tuple[FailoverEffect, ...] = (
        Alarm(code="fenced", detail=f"term {state.fenced_by} is newer than {state.term.n}"),
    )
    if state.answer_fence:
        effects = (AnswerFence(), *effects)
    return Step(replace(state, fencing=False, answer_fence=False), effects)


def _is_twin(state: FailoverState, term_n: int, term_id: bytes) -> bool:
    """Return whether two servers opened one term number apart from each other: both must stop."""
    live = state.role in (Role.LIVE, Role.STARTING)
    return live and term_n == state.term.n and term_id not in (b"", state.term.id)


def _seen(state: FailoverState, term_n: int) -> FailoverState:
    return replace(state, highest_seen=max(state.highest_seen, term_n))


_HANDLERS: dict[type, Callable[[FailoverState, Any], FailoverStep]] = {
    Started: _started,
    PeerAnswered: _peer_answered,
    PeerAsked: _peer_asked,
    OperatorConfirmed: _operator_confirmed,
    TillReported: _till_reported,
    TillAhead: _till_ahead,
    PromoteAsked: _promote_asked,
    DatabasePromoted: _database_promoted,
    TermPersisted: _term_persisted,
    FenceAsked: _fence_asked,
    FencePersisted: _fence_persisted,
}
