"""The self-test's slowness lasts as long as it says, on the clock of the figure."""

from __future__ import annotations

import pytest

from tests.bench.gate.conftest import stretched

TICK_S = 0.01


@pytest.mark.parametrize(("factor", "lasts_s"), [(1.25, 5.0), (1.0, 4.0)])
def test_a_stretched_call_lasts_a_quarter_longer_on_its_own_clock(factor: float, lasts_s: float) -> None:
    """A clock that only runs while asked, and while the call works: other clocks play no part."""
    now = [0.0]

    def clock() -> float:
        now[0] += TICK_S
        return now[0]

    def work(answer: str) -> str:
        now[0] += 4.0
        return answer

    assert stretched(work, factor, clock)("done") == "done"
    assert now[0] == pytest.approx(lasts_s, abs=5 * TICK_S)
