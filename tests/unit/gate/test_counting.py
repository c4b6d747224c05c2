"""What is counted comes out the same again, and sees a change."""

from __future__ import annotations

import pytest

from chaos.fleet.simulated.network import Link
from rehearsal.gate.counting import simulated, wire
from rehearsal.gate.lock import changes


def test_bytes_are_the_same_again_and_a_weaker_compression_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing random is in what is encoded; a cost that changed is named."""
    before = wire.count()
    assert wire.count() == before
    monkeypatch.setattr(wire, "LEVEL", 1)
    assert "wire.upload_of_500_sales.bytes" in {c.name for c in changes({"wire": before}, {"wire": wire.count()})}


def test_messages_are_the_same_again_and_the_count_leaves_nothing_behind() -> None:
    """Virtual time is exact, and links are as before afterwards."""
    ask = Link.ask
    before = simulated.count()
    assert simulated.count() == before
    assert Link.ask is ask
    sales = simulated.TILLS * simulated.SALES
    assert before[f"hour_of_{sales}_sales.batch"] >= sales
    assert before[f"drain_of_{simulated.TILLS * simulated.OFFLINE_SALES}_sales.virtual_ms"] > 0
