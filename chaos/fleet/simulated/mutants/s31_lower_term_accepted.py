"""S31: tills and servers take a lower term than one that they have met."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.uploader import Uploader
from syncref.core import downlink, failover, ingest, terms, uplink
from syncref.core.failover import FailoverState, FailoverStep, TillReported
from syncref.core.ingest import Refusal, ServerView
from syncref.core.step import Step
from syncref.core.uplink_messages import Persisted, PersistProgress
from syncref.domain.identity import Term
from syncref.wire.sync import TermWire

_distrust = terms.distrust
_wrong_reign = ingest._wrong_reign


def distrust(known: Term | None, told: Term, *, cluster: str) -> tuple[str, str] | None:
    """Believe an older term."""
    wrong = _distrust(known, told, cluster=cluster)
    return None if wrong is not None and wrong[0] == "stale_server" else wrong


def wrong_reign(view: ServerView, claimed: TermWire | None) -> Refusal | None:
    """Serve a till that has met a newer term."""
    if claimed is not None and claimed.cluster == view.term.cluster and claimed.n > view.term.n:
        claimed = None
    return _wrong_reign(view, claimed)


def persist(self: Uploader, effect: PersistProgress) -> None:
    """Store whatever term comes."""
    self.till.store.persist_progress(self.state.key, effect)
    if effect.wait:
        self.events.append(Persisted())


def till_reported(state: FailoverState, event: TillReported) -> FailoverStep:
    """Ignore what tills have met."""
    return Step(state, ())


MUTANT = Mutant(
    id="S31",
    title="lower term accepted",
    fault="old live server",
    expected="failover",
    profile=Profile(misfortunes={"promote_unnoticed": 1.0, "cut": 3.0, "noise": 1.0}, sales=14),
    swaps=[
        (Uploader, "_persist", persist),
        (uplink, "distrust", distrust),
        (downlink, "distrust", distrust),
        (ingest, "_wrong_reign", wrong_reign),
        (failover, "_HANDLERS", failover._HANDLERS | {TillReported: till_reported}),
    ],
)
