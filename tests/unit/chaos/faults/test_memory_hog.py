from __future__ import annotations

import pytest

from chaos.errors import FaultFailed
from chaos.faults.memory_hog import MemoryHog
from tests.unit.chaos.faults.containers import containers_of
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


def test_it_bites_a_till_that_the_kernel_killed_at_its_limit() -> None:
    """The kernel counts the kill, and the till lives on as another process."""
    bite, healed = suffered(context_of(containers_of()), MemoryHog(("T01",)))
    assert (bite.bit, healed.ok) == (True, True)
    assert "killed at its limit of 1024 MiB" in bite.text


def test_a_till_that_the_kernel_spared_was_not_bitten_and_gets_its_memory_back() -> None:
    """Something else in the container was killed: the till is the same process."""
    fleet = containers_of()
    fleet.spared.add("T01")
    assert suffered(context_of(fleet), MemoryHog(("T01",)))[0].bit is False
    assert fleet.relieved == ["T01"]


def test_a_till_without_a_kill_was_restarted_by_something_else() -> None:
    """Another process alone proves nothing: the kernel must have counted."""
    fleet = containers_of()
    one = MemoryHog(("T01",))
    one.inject(context_of(fleet))
    fleet.kills.clear()
    one.lift(context_of(fleet))
    assert one.evidence(context_of(fleet)).bit is False


def test_nobody_but_the_engine_starts_it_again() -> None:
    """A till that stays down is told, not helped."""
    fleet = containers_of()
    fleet.restarts = False
    one = MemoryHog(("T01",))
    one.inject(context_of(fleet))
    with pytest.raises(FaultFailed, match="not back"):
        one.lift(context_of(fleet))
    assert not one.verify(context_of(fleet)).ok
    assert fleet.states["T01"] == "ended"


def test_it_needs_containers_with_a_limit() -> None:
    """Elsewhere it is not run, and the reason is told."""
    assert "--fleet docker" in (MemoryHog(("T01",)).obstacle(context_of(shop_of())) or "")
    fleet = containers_of()
    assert MemoryHog(("T01",)).obstacle(context_of(fleet)) is None
    fleet.limits["T01"] = None
    assert "no memory limit" in (MemoryHog(("T01",)).obstacle(context_of(fleet)) or "")
    assert "no node T09" in (MemoryHog(("T09",)).obstacle(context_of(fleet)) or "")
