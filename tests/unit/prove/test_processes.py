"""What of a run without a bug may be due to what ran beside it."""

from __future__ import annotations

import pytest

from rehearsal.model import CheckResult, Judgement, Outcome, ThresholdResult, Verdict
from rehearsal.prove.processes import late

SLOW, MANY = "sale.p99 <= 250ms", "sale.refused <= 1%"
BY_RULE, BY_KILL = {"what": "does not hold", "rule": SLOW}, {"what": "a till ran out of memory", "till": "T01"}


@pytest.mark.parametrize(
    ("missed", "convicted", "evidence", "expected"),
    [
        ((SLOW,), "experience", BY_RULE, True),
        (("failover.recovery <= 5s",), "", {}, True),
        ((MANY,), "experience", {"what": "does not hold", "rule": MANY}, False),
        ((SLOW, MANY), "experience", BY_RULE, False),
        ((SLOW,), "experience", BY_KILL, False),
        ((SLOW,), "receipts", {}, False),
        ((), "experience", BY_KILL, False),
        (("settlement == exact",), "", {}, False),
    ],
)
def test_only_missed_durations_are_late(
    missed: tuple[str, ...], convicted: str, evidence: dict[str, str], expected: bool
) -> None:
    """Refused sales, a till without memory or lost money are no matter of the machine's time."""
    said = CheckResult(name=convicted, verdict=Verdict.INVALID, detail="", evidence=(evidence,))
    judgement = Judgement(
        verdict=Outcome.NO_GO,
        why="",
        checks=(
            CheckResult(name="money", verdict=Verdict.VALID, detail=""),
            *((said,) if convicted else ()),
        ),
        thresholds=(
            ThresholdResult(rule="drain <= 60s", measured="3 s", passed=True),
            *(ThresholdResult(rule=rule, measured="more", passed=False) for rule in missed),
        ),
    )
    assert late(judgement) is expected
