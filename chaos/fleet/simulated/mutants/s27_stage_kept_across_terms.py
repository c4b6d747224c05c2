"""S27: what was staged in one term is applied in the next."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import downlink
from syncref.core.downlink_messages import DownlinkOptions, DownlinkState, DownlinkStep, PageArrived
from syncref.core.step import replace
from syncref.domain.identity import Term

_page = downlink._page


def page(state: DownlinkState, event: PageArrived, options: DownlinkOptions) -> DownlinkStep:
    """Take a new term's pages into the run of the old one."""
    told = event.page.term
    term = Term(cluster=told.cluster, n=told.n, id=told.id)
    newer = state.run is not None and term.n > state.run.term.n
    if newer and event.request == state.request and state.run is not None:
        state = replace(state, run=replace(state.run, term=term))
    return _page(state, event, options)


MUTANT = Mutant(
    id="S27",
    title="stage kept across terms",
    fault="promotion mid-run",
    expected="masters",
    profile=Profile(
        misfortunes={"lag": 3.0, "promote": 1.0, "noise": 2.0, "cut": 2.0}, edits=24, sales=2, page_rows=1
    ),
    swaps=[(downlink, "_HANDLERS", downlink._HANDLERS | {PageArrived: page})],
)
