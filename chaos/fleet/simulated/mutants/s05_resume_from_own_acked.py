"""S5: after a handshake the till goes on from what it was once told, not from the server's mark."""

from __future__ import annotations

import msgspec

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import uplink
from syncref.core.step import Step, replace
from syncref.core.uplink_messages import TermSeen, UplinkOptions, UplinkState, UplinkStep

_compare = uplink._compare
_compared = uplink._compared


_term_seen = uplink._term_seen


def term_seen(state: UplinkState, event: TermSeen, options: UplinkOptions) -> UplinkStep:
    """Keep what was acked in the older term."""
    step = _term_seen(state, event, options)
    return Step(replace(step.state, acked=state.acked), step.effects)


def compare(state: UplinkState, options: UplinkOptions) -> UplinkStep:
    """Believe the till's own acked mark where it is ahead of the server's."""
    answer = state.answer
    if answer is not None and answer.durable_seq < state.acked:
        answer = msgspec.structs.replace(answer, durable_seq=state.acked, durable_hash=b"own")
    return _compare(replace(state, answer=answer), options)


def compared(state: UplinkState, own_hash: bytes, options: UplinkOptions) -> UplinkStep:
    """Find the own mark equal to itself."""
    answer = state.answer
    if answer is not None and answer.durable_hash == b"own":
        answer = msgspec.structs.replace(answer, durable_hash=own_hash)
    return _compared(replace(state, answer=answer), own_hash, options)


MUTANT = Mutant(
    id="S5",
    title="resume from the till's own acked",
    fault="promotion with lag",
    expected="receipts",
    profile=Profile(misfortunes={"lag": 2.0, "promote": 1.0}),
    swaps=[
        (uplink, "_HANDLERS", uplink._HANDLERS | {TermSeen: term_seen}),
        (uplink, "_compare", compare),
        (uplink, "_compared", compared),
    ],
)
