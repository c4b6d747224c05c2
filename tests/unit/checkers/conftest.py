"""Judging a shop in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rehearsal.checkers.case import Case
from rehearsal.evidence.reader import Evidence
from rehearsal.judge import CHECKERS, run_checker
from rehearsal.model import CheckResult, Verdict
from tests.unit.checkers.shop import Shop

Try = Callable[[Shop, str], CheckResult]


@pytest.fixture
def ask(tmp_path: Path) -> Try:
    """Return a function that writes a shop's evidence and asks one checker."""

    def _ask(shop: Shop, name: str) -> CheckResult:
        if not shop.meta:
            shop.derive()
        folder = shop.write(tmp_path / "evidence")
        return run_checker(name, CHECKERS[name], Case(Evidence(folder)))

    return _ask


def convicted(result: CheckResult, what: str) -> bool:
    """Say whether a checker convicted, with a finding that says `what`."""
    found = [row["what"] for row in result.evidence if row["verdict"] == Verdict.INVALID]
    assert result.verdict is Verdict.INVALID, (result.verdict, result.detail)
    assert any(what in said for said in found), (what, found)
    return True
