"""The answer that follows from findings, and how it is told."""

from __future__ import annotations

import pytest

from rehearsal.checkers.findings import Findings


@pytest.mark.parametrize(("where", "said"), [
    ({"took_s": "60.5", "deadline_s": 60}, "late: took 60.5 s, deadline 60 s"),
    ({"server": "server", "for_ms": 5426}, "late: server server, for 5426 ms"),
    ({"limit_mib": 1024, "business_date": "6 May", "till": None}, "late: limit 1024 MiB, business date 6 May"),
])  # fmt: skip
def test_a_reason_has_its_units_behind_the_figures(where: dict[str, str | int | None], said: str) -> None:
    """The verdict's line is read by people; the columns keep their names in the findings."""
    findings = Findings("drain")
    findings.convict("late", **where)
    result = findings.result("")
    assert result.detail == said
    assert set(result.evidence[0]) == {"verdict", "what", *where}
