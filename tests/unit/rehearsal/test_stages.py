"""What a stage reads at its end, on tills whose journals begin anew meanwhile."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

import pytest

from rehearsal.drive.stages import StageRunner
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.model import StageRecord
from rehearsal.plan.scenario import StagePlan
from rehearsal.witness import ServerMark, TillMark


class Read:
    """A witness: at each look a till's (incarnation, head, op ids), and what the server has by incarnation.

    A look that is None finds nobody. `terms` are those that the server is in at each look, None: it can't be read.
    """

    tills = ("T01",)

    def __init__(
        self, *looks: tuple[str, int, str] | None, durable: dict[str, int] | None = None,
        terms: tuple[int | None, ...] = (1,),
    ) -> None:  # fmt: skip
        self.looks = list(looks)
        self.durable = durable or {}
        self.terms = list(terms)

    def _look(self) -> tuple[str, int, str]:
        found = self.looks.pop(0) if len(self.looks) > 1 else next(iter(self.looks), None)
        if found is None:
            raise WitnessUnreadable("T01 does not answer")
        return found

    def till(self, name: str) -> TillMark:
        """Look at a till."""
        incarnation, head, _ = self._look()
        return TillMark(
            till=name, incarnation=incarnation, head=head, acked=0, cursor_n=1, cursor_pos=0, stock_seq=0,
            contact_ms=0, masters_ms=0, merging=False, day_open=True, alarm="", loaded=True,
        )  # fmt: skip

    def operations(self, name: str) -> frozenset[str]:
        """Look at what a till has journaled."""
        return frozenset(self._look()[2])

    def server(self) -> ServerMark:
        """Look at the server."""
        term_n = self.terms.pop(0) if len(self.terms) > 1 else self.terms[0]
        if term_n is None:
            raise WitnessUnreadable("the server does not answer")
        durable = {("T01", incarnation): seq for incarnation, seq in self.durable.items()}
        return ServerMark(durable=durable, folded={}, term_n=term_n, last_change=0)

    def begin(self) -> int:
        """No term."""
        return 1

    def __getattr__(self, name: str) -> Any:
        """No other step is asked for."""
        return None


def ran(read: Read, check: str) -> StageRecord:
    """Run one stage of a tenth of a second with one check."""
    anyone = cast(Any, read)
    plan = StagePlan(name="s", title="s", at_s=0.0, for_s=0.1, tills=("T01",), checks=(check,))
    runner = StageRunner(
        (plan,), shop=anyone, witness=anyone, takeover=anyone, cleaning=anyone, stop=threading.Event(),
        say=lambda _: None,
    )  # fmt: skip
    runner.start(time.monotonic())
    assert runner._thread is not None
    runner._thread.join(30)
    return runner.records[0]


@pytest.mark.parametrize(
    ("looks", "passed", "told"),
    [
        ((("a", 30, "xyz"), ("a", 32, "vwxyz")), True, "2 entries on 1 tills"),
        (
            (("a", 30, "xyz"), ("b", 23, "vwxyz")),
            True,
            "2 entries on 1 tills",
        ),  # rebased: fewer in the new journal
        ((("a", 30, "xyz"), ("b", 2, "vw")), True, "2 entries on 1 tills"),  # cleaned
        ((("a", 30, "xyz"), ("b", 40, "xyz")), False, "no entry on T01"),  # rebased, and nothing sold
        ((("a", 30, "xyz"), ("a", 13, "x")), False, "no entry on T01"),  # rolled back
        ((), False, "no entry on T01"),  # never read
    ],
)
def test_a_till_sells_when_it_journals_what_it_had_not(looks: Any, passed: bool, told: str) -> None:
    """By op ids: sequences of two journals tell nothing about each other."""
    record = ran(Read(*looks), "selling")
    assert (record.passed, record.detail) == (passed, told)


@pytest.mark.parametrize(
    ("looks", "durable", "passed"),
    [
        ((("a", 30, ""), ("a", 31, "")), {"a": 30}, True),
        ((("a", 30, ""), ("a", 31, "")), {"a": 29}, False),
        ((("a", 30, ""), ("b", 12, "")), {"a": 28, "b": 12}, True),  # rebased meanwhile, and all of it sent
        ((("a", 30, ""), ("b", 12, "")), {"a": 28, "b": 11}, False),
        ((), {"a": 30}, False),  # never read
        ((None, ("a", 30, "")), {"a": 29}, False),  # not read at the start
        ((None, ("a", 30, "")), {"a": 30}, True),
        ((("a", 30, ""), None), {"a": 30}, False),  # not read any more
    ],
)
def test_a_till_is_synced_when_the_server_has_its_present_journal(
    looks: Any, durable: dict[str, int], passed: bool
) -> None:
    """Up to where it was at the start, or when it could first be read, or whole where it began meanwhile."""
    record = ran(Read(*looks, durable=durable), "synced")
    assert record.passed is passed


def test_nobody_is_synced_with_a_server_that_can_not_be_read() -> None:
    """Not even a till that has nothing yet."""
    assert ran(Read(("a", 0, ""), terms=(None,)), "synced").passed is False


@pytest.mark.parametrize(
    ("looks", "terms", "durable", "passed", "told"),
    [
        (("a", "a"), (1,), {"a": 30}, True, "T01 wrote 1 entries offline, what the server got: 0"),
        (("a", "a"), (1,), {}, True, "T01 wrote 1 entries offline, what the server got: 0"),  # it never had any
        (("a", "a"), (None,), {"a": 30}, False, "T01 wrote 1 entries offline, what the server got: can't be told"),
        (("a", "a"), (1, None), {"a": 30}, False, "can't be told"),
        (("a", "a"), (None, 1), {"a": 30}, False, "can't be told"),
        (("a", "a"), (1, 2), {"a": 30}, False, "can't be told"),  # another server, which may have had less
        (("a", "b"), (1,), {"a": 30, "b": 30}, False, "can't be told"),  # another journal
    ],
)
def test_a_till_is_offline_when_one_server_was_read_twice_and_got_nothing(
    looks: Any, terms: tuple[int | None, ...], durable: dict[str, int], passed: bool, told: str
) -> None:
    """What could not be read is nothing that did not happen."""
    first, last = looks
    looked = [(first, 30, "x"), (first, 30, "x"), (last, 31, "xy"), (last, 31, "xy")]
    record = ran(Read(*looked, durable=durable, terms=terms), "offline")
    assert record.passed is passed
    assert told in record.detail
