"""What a stage makes of an old server: fenced by its database, and by its answers to a till of a stale term."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

import pytest

from rehearsal.drive import probe
from rehearsal.drive.probe import Probe
from rehearsal.drive.reigns import Reigns
from rehearsal.drive.takeover import Takeover
from rehearsal.drive.till_api import Session
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.staging.sides import LIVE, PREPRODUCTION, Side
from rehearsal.witness import Reigning, ServerMark


class Old:
    """Stands for the old server and whoever asks it. `answers`: (accepted, status) of each asking."""

    def __init__(self, *answers: tuple[bool, int]) -> None:
        self.sides = (LIVE, PREPRODUCTION)
        self._answers = list(answers)
        self.asked = 0

    def live(self) -> Side:
        """The operator: preproduction is live."""
        return PREPRODUCTION

    def role(self, server: str) -> str:
        """The witness: the old one is fenced."""
        return "fenced" if server == "server" else "live"

    def ask(self, server: str) -> list[Probe]:
        """The probe till: the next answer, or the last again."""
        accepted, status = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [
            Probe(at_ms=0, server=server, ask="upload", term_n=1, accepted=accepted, status=status, code="any")
        ]


def fenced(old: Old, *, within_s: float = 60.0) -> bool:
    """Return what the stage makes of it."""
    fake = cast("Any", old)
    takeover = Takeover(fake, fake, reigns=fake, operator=fake, stop=threading.Event())
    takeover.probe = fake
    return takeover.fenced(time.monotonic() + within_s)[0]


def test_a_server_that_is_not_up_yet_is_asked_again() -> None:
    """A database is back before its server: nobody answers at first, and then refuses."""
    old = Old((False, 0), (False, 0), (False, 503))
    assert fenced(old)
    assert old.asked == 3


@pytest.mark.parametrize("answers", [((True, 200), (False, 503)), ((False, 0), (True, 200), (False, 503))])
def test_one_that_takes_something_is_not_asked_again(answers: tuple[tuple[bool, int], ...]) -> None:
    """A later refusal does not undo it."""
    assert not fenced(Old(*answers))


def test_one_that_never_answers_does_not_pass() -> None:
    """Nobody knows what it would take."""
    assert not fenced(Old((False, 0)), within_s=1.0)


class Reigned:
    """Stands for a shop, its witness and an old server that refuses everything; `term_n` is who is live."""

    probe_secret = "secret"

    def __init__(self) -> None:
        self.term_n = 1

    def url(self, server: str) -> str:
        """Any address."""
        return f"http://{server}"

    def server_rows(self, _sql: str) -> list[tuple[str, int, bytes]]:
        """The live server's term."""
        return [("c", self.term_n, bytes([self.term_n]) * 16)]

    def server(self) -> ServerMark:
        """The same."""
        return ServerMark(durable={}, folded={}, term_n=self.term_n, last_change=0)


def test_the_probe_till_stays_in_the_term_before_the_takeover(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any server refuses a till of a newer term than its own; only one that is fenced refuses an old one."""
    monkeypatch.setattr(probe, "identity_session", lambda *_, **__: Session(url="", token="any"))
    monkeypatch.setattr(probe, "post_packed", lambda *_, **__: (503, b"{}"))
    fake = cast("Any", Reigned())
    takeover = Takeover(fake, fake, reigns=fake, operator=fake, stop=threading.Event())
    assert takeover.begin() == 1
    fake.term_n = 2
    assert takeover.begin() == 2
    asked = [(one.ask, one.term_n) for one in takeover.probe.ask("server")]
    assert asked == [("hello of a stale term", 1), ("upload", 1), ("hello of no term", 0), ("upload", 1)]


class Silent:
    """Stands for servers that told their terms before, and of which none can be read when the stage begins."""

    tills = ("T01",)

    def __init__(self, *terms: int, now: int) -> None:
        self.terms = terms
        self.now = now

    def remember(self) -> None:
        """The probe till knows a term."""

    def servers(self) -> tuple[str, ...]:
        """There were as many."""
        return tuple(str(term) for term in self.terms)

    def reigning(self, server: str) -> Reigning:
        """Tell a term."""
        return Reigning(
            term_n=int(server), term_id="aa", timeline_ok=True, recovering=False, fenced_by=None, confirmed=True,
            written=None, received=None, replayed=None,
        )  # fmt: skip

    def server(self) -> ServerMark:
        """No primary."""
        raise WitnessUnreadable("no primary answers")

    def server_rows(self, _sql: str) -> list[tuple[int, list[str]]]:
        """Afterwards one is there, and has entries of the till."""
        return [(self.now, ["T01"])]


@pytest.mark.parametrize(
    ("terms", "now", "passed", "told"),
    [
        ((1, 2), 3, True, "1 tills had entries accepted in term 3"),
        ((1, 2), 2, False, "nobody took over: the term is still 2"),
        ((), 2, False, "nobody knows the term in which the stage began"),
    ],
)
def test_a_term_is_new_only_beside_the_last_that_was_known(
    terms: tuple[int, ...], now: int, passed: bool, told: str
) -> None:
    """A stage that begins without a live server begins in the term of the last one."""
    fake = cast("Any", Silent(*terms, now=now))
    reigns = Reigns(fake)
    for server in fake.servers():
        reigns.look(server)
    takeover = Takeover(fake, fake, reigns=reigns, operator=fake, stop=threading.Event())
    takeover.probe = fake
    found = takeover.failed_over(["T01"], takeover.begin(), time.monotonic())
    assert found[0] is passed
    assert told in found[1]
