"""The bounded exhaustive check: small configurations hold, and a broken rule is found with its way there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from chaos.fleet.simulated.explore import down_model
from chaos.fleet.simulated.explore.down_model import DownModel
from chaos.fleet.simulated.explore.engine import Model, Walk, walk
from chaos.fleet.simulated.explore.settle_model import SettleModel
from chaos.fleet.simulated.explore.settle_model import judged as settle_judged
from chaos.fleet.simulated.explore.up_model import UpModel
from chaos.fleet.simulated.explore.up_model import _step as up_step
from chaos.fleet.simulated.explore.up_state import Budget
from syncref.core import failover, settlement, uplink

SMALL: list[Model] = [
    UpModel("a till is killed between effects", Budget(sales=2, kills=1)),
    UpModel("messages are lost and late", Budget(sales=1, drops=1, lates=1)),
    UpModel("promoted and back", Budget(sales=1, promotions=1, server_kills=1), prune=True),
    UpModel("restored", Budget(sales=2, restores=1)),
    UpModel("rolled back", Budget(sales=1, rollbacks=1)),
    DownModel("documents", syncs=1, edits=2, urgents=1),
    DownModel("a promotion between documents", syncs=1, edits=2, promotions=1),
    SettleModel("settlement", sales=1, refunds=0, poisons=1),
]


def explored(model: Model) -> Walk:
    """Walk a model whole; what the cores decided before does not count."""
    up_step.cache_clear()
    down_model._step.cache_clear()
    settle_judged.cache_clear()
    return walk(model)


@pytest.mark.parametrize("model", SMALL, ids=lambda model: model.name)
def test_every_invariant_holds_in_every_state(model: Model) -> None:
    """And from each a settled state is reachable without another fault."""
    done = explored(model)
    assert done.violation is None, (done.violation, done.trace)
    assert done.complete
    assert done.settled


def test_a_term_that_counts_on_from_the_servers_own_is_found() -> None:
    """Promoted there and back: two terms of one number."""
    real = failover._open_term

    def forgetful(state: failover.FailoverState, fresh_id: bytes) -> failover.FailoverStep:
        return real(replace(state, highest_seen=0, ranks=1), fresh_id)

    model = UpModel("own + 1", Budget(promotions=1, server_kills=2, confirmations=1))
    with patch.object(failover, "_open_term", forgetful):
        done = explored(model)
    assert done.violation == "one term number, two terms"
    assert "B is promoted" in done.trace


def test_a_retry_that_never_comes_is_found() -> None:
    """No settled state is reachable once the timer is forgotten."""
    with patch.object(uplink, "_HANDLERS", uplink._HANDLERS | {uplink.TimerFired: _deaf}):
        done = explored(UpModel("no retry", Budget(sales=1, drops=1)))
    assert done.violation == "no settled state is reachable"
    assert any("is lost" in step for step in done.trace)


def _deaf(state: Any, event: Any, options: Any) -> Any:
    return uplink.Step(state, ())


def test_a_sync_that_overlaps_another_unseen_is_found() -> None:
    """Without compare-and-set the cursor goes back, or rows do."""
    with patch.object(down_model, "conflicts", lambda shelf, effect: False):
        done = explored(DownModel("no compare-and-set", syncs=2, edits=1, urgents=1))
    assert done.violation is not None


def test_a_day_that_is_tallied_whatever_it_sums_up_to_is_found() -> None:
    """Z without what was set aside."""
    with (
        patch.object(settlement, "_unsettled", lambda facts: ()),
        patch.object(settlement, "_difference", lambda z, held, unreadable: ()),
    ):
        done = explored(SettleModel("everything tallies", sales=1, refunds=0, poisons=1))
    assert done.violation is not None
    assert "does not add up" in done.violation
