from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from chaos.errors import FaultFailed
from chaos.faults.backups import Forgotten
from chaos.faults.base import Context
from chaos.faults.restored_backup import RestoredBackup
from tests.unit.chaos.faults.shop import FakeShop, context_of, shop_of, suffered


@dataclass
class FakeBackups:
    """Backups of the fake shop's server. `broken`: what fails. What was taken is the server's entries then."""

    shop: FakeShop
    broken: set[str] = field(default_factory=set)
    postgres: str = "postgres"
    users: tuple[str, ...] = ("server",)
    had: int = 0
    done: list[str] = field(default_factory=list)

    def _do(self, what: str) -> None:
        if what in self.broken:
            raise FaultFailed(what)
        self.done.append(what)

    def take(self) -> None:
        """Remember."""
        self._do("take")
        self.had = self.shop.tills["T01"].at_server

    def inventory(self) -> None:
        """Nobody writes any more."""
        self._do("inventory")
        assert self.shop.states["server"] == "stopped"
        assert self.shop.states["postgres"] == "running"

    def lay_back(self) -> None:
        """The database does not run."""
        assert self.shop.states["postgres"] == "stopped"
        self._do("lay_back")

    def forgotten(self) -> Forgotten:
        """What came since."""
        self._do("forgotten")
        lacks = self.shop.tills["T01"].at_server - self.had
        return Forgotten(entries=lacks, edits=2, timeline_before=1, timeline=2)


def lived(shop: FakeShop, backups: FakeBackups) -> Context:
    """Return a context in which the server's database can be restored."""
    return context_of(shop, backups={"server": backups})


def test_it_bites_a_server_that_acked_since_the_backup() -> None:
    """It says what the restored database lacks, and on which timeline it goes on."""
    shop = shop_of()
    bite, healed = suffered(lived(shop, FakeBackups(shop)), RestoredBackup(("server",)))
    assert (bite.bit, healed.ok) == (True, True), bite
    assert bite.text.startswith("restored on timeline 2 (before: 1); it lacks 30 entries that had been acked")


def test_it_does_not_bite_when_nothing_came_since() -> None:
    """A backup that lacks nothing is no loss."""
    shop = shop_of()
    shop.tills["T01"].sells = False
    bite, healed = suffered(lived(shop, FakeBackups(shop)), RestoredBackup(("server",)))
    assert (bite.bit, healed.ok) == (False, True)


@pytest.mark.parametrize("step", ["inventory", "lay_back", "forgotten"])
def test_a_restore_that_fails_is_told_and_tried_again(step: str) -> None:
    """Nothing runs on a half restored database, and nothing is done twice that was done."""
    shop = shop_of()
    backups = FakeBackups(shop, broken={step})
    context, one = lived(shop, backups), RestoredBackup(("server",))
    one.inject(context)
    context.sleep(1)
    with pytest.raises(FaultFailed):
        one.lift(context)
    assert (shop.states["server"], one.evidence(context).bit, one.verify(context).ok) == ("stopped", None, False)
    backups.broken.clear()
    one.lift(context)
    one.lift(context)
    assert (one.evidence(context).bit, one.verify(context).ok) == (True, True)
    assert backups.done.count("lay_back") == 1


def test_a_backup_that_failed_leaves_the_server_alone() -> None:
    """Nothing is stopped."""
    shop = shop_of()
    context, one = lived(shop, FakeBackups(shop, broken={"take"})), RestoredBackup(("server",))
    with pytest.raises(FaultFailed):
        one.inject(context)
    one.lift(context)
    assert shop.states["server"] == "running"


def test_what_can_not_be_backed_up_is_an_obstacle() -> None:
    """It is said before the run."""
    told = RestoredBackup(("server",)).obstacle(context_of(shop_of())) or ""
    assert told.startswith("no backup of server is planned")
    two = RestoredBackup(("server", "T01")).obstacle(context_of(shop_of()))
    assert two == "one server at a time can be restored"


@pytest.mark.parametrize(
    ("step", "left", "state"),
    [("inventory", (), "running"), ("lay_back", ("postgres", "server"), "stopped"),
     ("forgotten", ("postgres", "server"), "stopped")],
)  # fmt: skip
def test_what_can_go_on_does_when_the_lab_gives_up(step: str, left: tuple[str, ...], state: str) -> None:
    """On the database as it was; a half restored one, or one that lacks nobody knows what, is left behind."""
    shop = shop_of()
    context, one = lived(shop, FakeBackups(shop, broken={step})), RestoredBackup(("server",))
    one.inject(context)
    with pytest.raises(FaultFailed):
        one.lift(context)
    assert (one.give_up(context), shop.states["server"]) == (left, state)
