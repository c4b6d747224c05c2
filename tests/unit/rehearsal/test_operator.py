"""The operator's rule: the live server is silent for too long, and the other one was a standby."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from chaos.waiting import wait_until
from rehearsal.drive import operator as tried
from rehearsal.drive.operator import Operator
from rehearsal.drive.reigns import Reigns
from rehearsal.staging.sides import LIVE, PREPRODUCTION
from rehearsal.witness import Reigning


class Lab:
    """Stands for the shop, its servers and their databases. `roles`: what a database tells, None: nothing."""

    def __init__(self, **roles: str | None) -> None:
        self.sides = (LIVE, PREPRODUCTION)
        self.fleet = None
        self.roles = roles
        self.asked: list[tuple[str, str]] = []

    def url(self, server: str) -> str:
        """Where nobody listens."""
        return f"http://127.0.0.1:9/{server}"

    def servers(self) -> tuple[str, ...]:
        """The witness."""
        return tuple(self.roles)

    def reigning(self, server: str) -> Reigning | None:
        """The witness: what the database tells."""
        role = self.roles[server]
        if role is None:
            return None
        return Reigning(
            term_n=1,
            term_id="aa",
            timeline_ok=True,
            recovering=role == "standby",
            fenced_by=2 if role == "fenced" else None,
            confirmed=role == "live",
            written=None,
            received=None,
            replayed=None,
        )

    def session(self, url: str, **_: Any) -> Asking:
        """Sign in at a server."""
        return Asking(self, url.rsplit("/", 1)[1])


class Asking:
    """Stands for a session at a server: notes what is asked, and does it."""

    def __init__(self, lab: Lab, server: str) -> None:
        self._lab, self._server = lab, server

    def post(self, path: str, _body: Any, **_: Any) -> dict[str, Any]:
        """Note it; whoever is promoted is live."""
        self._lab.asked.append((self._server, path))
        if path == "/v1/promote":
            self._lab.roles[self._server] = "live"
        return {"role": "live", "term_n": 2}


@pytest.fixture
def operated(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what runs an operator in a lab: looks at the databases, then again with other roles, then watches."""
    monkeypatch.setattr(tried, "peer_secret", lambda _fleet: "secret")

    def run(first: dict[str, str | None], then: dict[str, str | None], *, until: int) -> Lab:
        lab = Lab(**first)
        fake = cast("Any", lab)
        monkeypatch.setattr(tried, "identity_session", lab.session)
        reigns = Reigns(fake)
        for roles in (first, then):
            lab.roles.update(roles)
            for server in lab.roles:
                reigns.look(server)
        operator = Operator(fake, reigns, patience_s=0.0, say=lambda _said: None)
        operator.armed = True
        operator.start()
        try:
            if until:
                wait_until(lambda: len(lab.asked) >= until, 30.0, every_s=0.01)
            else:
                time.sleep(3 * tried.LOOK_EVERY_S)  # what is tried is that nothing happens
        finally:
            operator.stop()
        return lab

    return run


def test_a_standby_takes_over_from_a_server_that_gives_no_good_answer(operated: Any) -> None:
    """The old one is asked to stop first; that the standby's database was slow to answer just now says nothing."""
    lab = operated(
        {"server": "live", "preproduction": "standby"}, {"server": "live", "preproduction": None}, until=2
    )
    assert lab.asked[:2] == [("server", "/v1/fence"), ("preproduction", "/v1/promote")]


@pytest.mark.parametrize("was", ["live", "fenced", "starting"])
def test_nobody_is_fenced_for_the_sake_of_a_server_that_was_no_standby(operated: Any, was: str) -> None:
    """The dead old server is none: preproduction, slow for a moment, would be lost as well."""
    lab = operated({"server": was, "preproduction": "standby"}, {"server": None, "preproduction": "live"}, until=0)
    assert lab.asked == []


def test_nobody_is_promoted_by_hand_when_the_run_is_over() -> None:
    """A step of a stage may have waited for another promotion until then; the shop is being settled now."""
    fake = cast("Any", Lab(server="live", preproduction="standby"))
    operator = Operator(fake, Reigns(fake), patience_s=0.0, say=lambda _said: None)
    operator.stop()
    assert operator.promote_by_hand() == (False, "the run is over")
    assert operator.done == ()
