from __future__ import annotations

import itertools

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


@pytest.mark.parametrize("paused", [False, True])
def test_a_replay_that_does_not_stand_still_is_not_paused(monkeypatch: pytest.MonkeyPatch, paused: bool) -> None:
    """Whatever the call returned: the log is some bytes ahead of the replay at any moment."""
    shop = pair_of()
    place = itertools.count(1000, 5000)

    def streaming(_: str) -> ServerLog:
        at = next(place)
        return ServerLog(role="standby", term_n=1, received=at, replayed=at - 80, paused=paused)

    monkeypatch.setattr(shop, "log_of", streaming)
    one, context = StandbyLag(("preproduction",)), pair_context(shop)
    with pytest.raises(FaultFailed, match="was not paused within 5 s"):
        one.inject(context)
    one.observe(context)
    one.lift(context)
    assert shop.statements[-1] == "SELECT pg_wal_replay_resume()"
    assert one.evidence(context).bit is not True


def test_a_restart_of_the_standby_in_between_ends_the_proof() -> None:
    """It forgets the pause, and the replay went on before it was let go."""
    shop = pair_of()
    one, context = StandbyLag(("preproduction",)), pair_context(shop)
    one.inject(context)
    context.sleep(0.5)
    one.observe(context)
    shop.execute("restarted")
    context.sleep(0.5)
    one.observe(context)
    one.lift(context)
    bite = one.evidence(context)
    assert (bite.bit, bite.text) == (False, "preproduction: its replay went on before it was let go")


def test_what_a_promotion_replays_at_its_beginning_counts_for_the_promotion() -> None:
    """The pause ends with it, some looks before the database is none that replays."""
    shop = pair_of()
    one, context = StandbyLag(("preproduction",)), pair_context(shop)
    one.inject(context)
    context.sleep(0.5)
    one.observe(context)
    shop.execute("promoted")
    context.sleep(0.5)
    one.observe(context)
    shop.logs["preproduction"] = ServerLog(role="live", term_n=2, written=1)
    one.lift(context)
    assert one.evidence(context).bit is True


def test_a_standby_that_can_not_be_asked_is_let_go_later() -> None:
    """Lifting fails as long as it is silent, and is to be tried again."""
    shop = pair_of()
    one, context = StandbyLag(("preproduction",)), pair_context(shop)
    one.inject(context)
    context.sleep(0.5)
    there, shop.logs["preproduction"] = shop.logs["preproduction"], None
    with pytest.raises(FaultFailed, match="does not answer"):
        one.lift(context)
    assert (len(shop.statements), one.give_up(context)) == (1, ("preproduction",))
    shop.logs["preproduction"] = there
    one.lift(context)
    assert (shop.statements[1:], one.give_up(context)) == (["SELECT pg_wal_replay_resume()"], ())
    assert (one.evidence(context).bit, one.verify(context).ok) == (True, True)


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
