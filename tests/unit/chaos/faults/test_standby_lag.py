from __future__ import annotations

import pytest

from chaos.errors import FaultFailed
from chaos.faults.standby_lag import StandbyLag
from chaos.witness import ServerLog
from tests.unit.chaos.faults.shop import context_of, pair_context, pair_of, suffered


def test_it_bites_a_standby_that_receives_and_does_not_replay() -> None:
    """The log comes and is not replayed; at the end the replay goes on."""
    shop = pair_of()
    bite, healed = suffered(pair_context(shop), StandbyLag(("preproduction",)))
    assert (bite.bit, healed.ok) == (True, True)
    assert shop.statements == ["SELECT pg_wal_replay_pause()", "SELECT pg_wal_replay_resume()"]


def test_a_live_server_that_writes_nothing_shows_no_lag() -> None:
    """Nothing was received, so nothing was held back."""
    shop = pair_of()
    shop.logs["server"] = None
    assert suffered(pair_context(shop), StandbyLag(("preproduction",)))[0].bit is False


def test_a_server_that_is_no_standby_can_not_lag() -> None:
    """The live one has nothing to replay."""
    with pytest.raises(FaultFailed):
        StandbyLag(("server",)).inject(pair_context(pair_of()))


def test_a_promotion_ends_it() -> None:
    """Nothing is let go on a database that is none any more, and nothing is left paused."""
    shop = pair_of()
    one, context = StandbyLag(("preproduction",)), pair_context(shop)
    one.inject(context)
    context.sleep(0.5)
    one.observe(context)
    shop.logs["preproduction"] = ServerLog(role="live", term_n=2, written=1)
    one.lift(context)
    assert len(shop.statements) == 1
    assert one.verify(context).ok
    assert one.evidence(context).bit is True


def test_a_replay_that_stays_paused_is_told() -> None:
    """The read-back is not ok; nor is it when nobody answers."""
    shop = pair_of()
    one, context = StandbyLag(("preproduction",)), pair_context(shop)
    one.inject(context)
    assert not one.verify(context).ok
    shop.logs["preproduction"] = None
    assert not one.verify(context).ok


def test_a_system_without_a_pair_is_an_obstacle() -> None:
    """It is said before the run."""
    assert StandbyLag(("preproduction",)).obstacle(context_of(pair_of()))
    assert StandbyLag(("preproduction",)).obstacle(pair_context(pair_of())) is None
