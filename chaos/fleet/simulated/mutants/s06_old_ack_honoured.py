"""S6: an ack counts whatever session it belongs to."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import uplink
from syncref.core.step import Step, replace
from syncref.core.uplink_messages import BatchAcked, Phase, UplinkOptions, UplinkState, UplinkStep
from syncref.domain.identity import Mark


def acked(state: UplinkState, event: BatchAcked, options: UplinkOptions) -> UplinkStep:
    """Take any ack for true, at any time."""
    ack = event.ack
    if ack.seq <= state.acked or state.term is None:
        return Step(state, ())
    after = replace(
        state,
        acked=ack.seq,
        sent=Mark(seq=ack.seq, hash=ack.hash),
        inflight=None,
        session=ack.session,
        attempt=0,
        request=state.request + 1,
        phase=Phase.READY,
    )
    return uplink._load_or_rest(after, options)


MUTANT = Mutant(
    id="S6",
    title="ack of an old session honoured",
    fault="restore, ack delayed",
    expected="drain",
    profile=Profile(
        misfortunes={"restore_while_acks_travel": 1.0}, sales=2, edits=0, tills=(1, 1), keepalive_ms=3_600_000
    ),
    swaps=[(uplink, "_HANDLERS", uplink._HANDLERS | {BatchAcked: acked})],
)
