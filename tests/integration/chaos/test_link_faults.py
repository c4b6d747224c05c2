"""Faults on links of real processes, through the built-in proxy and through Toxiproxy where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.faults.base import Context
from chaos.faults.catalogue import fault
from tests.contract.conftest import engine_or_skip
from tests.integration.chaos.conftest import opened
from tests.integration.chaos.test_faults import catches_up, suffered


@pytest.fixture(scope="module", params=["builtin", pytest.param("toxiproxy", marks=pytest.mark.toxiproxy)])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """An open shop over each engine in turn."""
    with opened(tmp_path_factory.mktemp("shop"), engine_or_skip(request.param).name) as context:
        yield context


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("cut", {}),
        ("black_hole", {}),
        ("latency", {"latency_ms": 150}),
        ("bandwidth", {"rate_kb_s": 1}),
        ("reset", {}),
        ("lost_ack", {}),
    ],
)
def test_a_link_fault_bites_its_till_and_heals(shop: Context, kind: str, given: dict[str, object]) -> None:
    """Evidence, read-back, and the till catches up by itself."""
    bite, healed = suffered(shop, fault(kind, ["T01"], given))
    assert (bite.bit, healed.ok) == (True, True), (bite, healed)
    assert catches_up(shop, "T01")


@pytest.mark.parametrize("kind", ["cut", "black_hole", "latency", "bandwidth", "reset", "lost_ack"])
def test_a_fault_on_a_link_that_nobody_uses_does_not_bite(shop: Context, kind: str) -> None:
    """The link of a till that goes another way: the fault takes, and is not called effective."""
    fleet = shop.fleet
    assert hasattr(fleet, "link")
    fleet.link("T02", "T01")  # T02 talks to the server, not to this
    bite, healed = suffered(shop, fault(kind, ["T02/T01"]), looks=2)
    assert (bite.bit, healed.ok) == (False, True), (bite, healed)


def test_a_dead_line_leaves_old_connections_silent_and_lets_new_ones_through(tmp_path: Path) -> None:
    """Twice on one link; the built-in proxy can spare new connections."""
    with opened(tmp_path, "builtin") as context:
        for _ in range(2):
            bite, healed = suffered(context, fault("dead_line", ["T01"]))
            assert (bite.bit, healed.ok) == (True, True), (bite, healed)
            assert catches_up(context, "T01")
