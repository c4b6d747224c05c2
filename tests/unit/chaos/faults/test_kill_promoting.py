from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.kill_promoting import KillPromoting, KillPromotingParameters
from chaos.witness import ServerLog
from tests.unit.chaos.faults.shop import FakePair, pair_context, pair_of, suffered

STANDBY = ("preproduction",)


@dataclass
class Left(FakePair):
    """A pair whose standby is left as `left` says when its server is killed."""

    left: str = "promoting"
    unreadable: bool = False

    def kill(self, node: str) -> int | None:
        """Die in the middle of it."""
        self.promoting = False
        self.logs["preproduction"] = None if self.unreadable else ServerLog(role=self.left, term_n=1, written=1)
        return super().kill(node)


def left(role: str) -> Left:
    """Return a pair that is being promoted."""
    made = pair_of()
    return Left(tills=made.tills, wires=made.wires, states=made.states, logs=made.logs, promoting=True, left=role)


def test_it_bites_in_the_middle_of_a_promotion() -> None:
    """The database was promoted and no term open; afterwards the target runs again."""
    shop = left("promoting")
    bite, healed = suffered(pair_context(shop), KillPromoting(STANDBY))
    assert (bite.bit, healed.ok) == (True, True)
    assert bite.text.endswith("left it promoting")


def test_a_kill_after_the_term_was_open_came_too_late() -> None:
    """The promotion was over."""
    assert suffered(pair_context(left("live")), KillPromoting(STANDBY))[0].bit is False


def test_without_a_promotion_nobody_is_killed() -> None:
    """It waits so long, and then says so."""
    shop = pair_of()
    one = KillPromoting(STANDBY, KillPromotingParameters(within_s=2))
    assert suffered(pair_context(shop), one)[0].bit is False
    assert shop.states["preproduction"] == "running"


def test_a_server_whose_database_nobody_knows_is_an_obstacle() -> None:
    """It is said before the run."""
    assert KillPromoting(("T01",)).obstacle(pair_context(pair_of()))


def test_a_database_that_never_answers_again_proves_nothing() -> None:
    """The term may have been open before the kill."""
    shop = left("silent")
    shop.unreadable = True
    assert suffered(pair_context(shop), KillPromoting(STANDBY))[0].bit is None


def test_the_first_word_after_the_kill_counts() -> None:
    """A database that was silent at first and is live then was promoted to the end, by whomever."""
    shop = left("live")
    shop.unreadable = True
    one, context = KillPromoting(STANDBY), pair_context(shop)
    one.inject(context)
    shop.logs["preproduction"] = ServerLog(role="live", term_n=2, written=1)
    one.observe(context)
    one.lift(context)
    assert one.evidence(context).bit is False
