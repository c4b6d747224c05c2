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
    """A witness: at each look a till's (incarnation, head, op ids), and what the server has by incarnation."""

    tills = ("T01",)

    def __init__(self, *looks: tuple[str, int, str], durable: dict[str, int] | None = None) -> None:
        self.looks = list(looks)
        self.durable = durable or {}

    def _look(self) -> tuple[str, int, str]:
        if not self.looks:
            raise WitnessUnreadable("T01 does not answer")
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

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
        durable = {("T01", incarnation): seq for incarnation, seq in self.durable.items()}
        return ServerMark(durable=durable, folded={}, term_n=1, last_change=0)

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
    ],
)
def test_a_till_is_synced_when_the_server_has_its_present_journal(
    looks: Any, durable: dict[str, int], passed: bool
) -> None:
    """Up to where it was at the start, or whole where it began meanwhile."""
    record = ran(Read(*looks, durable=durable), "synced")
    assert record.passed is passed
