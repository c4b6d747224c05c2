"""Faults on real processes: each bites what uses it, shows it, and is gone afterwards."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from chaos.faults.base import Bite, Context, Fault, Healed, SystemPlan
from chaos.faults.catalogue import fault
from chaos.fleet.plan import NodePlan
from chaos.fleet.process import ProcessFleet
from tests.integration.chaos.conftest import FileWitness, toy, until


def suffered(context: Context, one: Fault, *, looks: int = 4) -> tuple[Bite, Healed]:
    """Run a fault through its life with some looks at it."""
    assert one.obstacle(context) is None
    one.inject(context)
    try:
        for _ in range(looks):
            time.sleep(0.25)
            one.observe(context)
    finally:
        one.lift(context)
    healed = one.verify(context)
    return one.evidence(context), healed


def catches_up(context: Context, till: str) -> bool:
    """Tell whether what the till has sold now gets to the server and is acknowledged."""
    goal = context.witness.till_head(till) or 0
    return until(lambda: (context.witness.till_acked(till) or 0) >= goal)


@pytest.mark.parametrize(
    ("kind", "target"), [("kill", "T01"), ("kill", "server"), ("pause", "T01"), ("restart", "T01")]
)
def test_a_process_fault_bites_and_the_node_comes_back(shop: Context, kind: str, target: str) -> None:
    """Dead or still for a while, then selling again."""
    bite, healed = suffered(shop, fault(kind, [target]), looks=1)
    assert (bite.bit, healed.ok) == (True, True), (bite, healed)
    assert catches_up(shop, "T01")


def test_a_clock_jump_shows_on_receipts(shop: Context) -> None:
    """The till's receipts are dated an hour back, and right again afterwards."""
    bite, healed = suffered(shop, fault("clock_jump", ["T01"]))
    assert (bite.bit, healed.ok) == (True, True), (bite, healed)
    assert until(lambda: abs((shop.witness.till_last_sale_ms("T01") or 0) - shop.wall_ms()) < 60_000)


def test_a_duplicate_uploader_is_seen_at_the_server(shop: Context, tmp_path: Path) -> None:
    """A second process that uploads the same till's journal."""
    fleet = shop.fleet
    assert hasattr(fleet, "add")
    assert hasattr(fleet, "port")
    link = fleet.links("T01")[0]
    plan: NodePlan = toy(fleet, "T01")
    argv = (*plan.argv[:3], str(fleet.port("T01-second")), str(fleet.dir("T01")), link.url)
    fleet.add(NodePlan(name="T01-second", argv=argv))
    system = type(shop.system)(duplicates={"T01": "T01-second"})
    context = Context(fleet=fleet, witness=shop.witness, system=system)
    bite, healed = suffered(context, fault("duplicate_uploader", ["T01"]))
    assert (bite.bit, healed.ok) == (True, True), (bite, healed)
    assert fault("duplicate_uploader", ["T02"]).obstacle(context) is not None


def test_a_full_disk_needs_a_disk_of_its_own(shop: Context) -> None:
    """Without one, the fault says that it can't be run; nothing of the host's disk is filled."""
    assert "no disk of its own" in (fault("disk_full", ["T01"]).obstacle(shop) or "")


def test_a_power_cut_takes_back_what_a_till_did_not_sync(fleet: ProcessFleet) -> None:
    """The toy till never syncs: after the cut its files are those of its start."""
    fleet.follow_disk("T01", single=True)
    fleet.start_proxy()
    fleet.stage(toy(fleet, "server"))
    fleet.stage(toy(fleet, "T01", fleet.link("T01", "server").url))
    witness = FileWitness(fleet)
    assert until(lambda: (witness.till_head("T01") or 0) > 20)
    context = Context(fleet=fleet, witness=witness, system=SystemPlan(disk_logs=fleet.disk_logs()))
    cut = fault("power_cut", ["T01"])
    before = witness.till_head("T01") or 0
    cut.inject(context)
    assert witness.till_head("T01") is None
    cut.lift(context)
    bite, healed = cut.evidence(context), cut.verify(context)
    assert (bite.bit, healed.ok) == (True, True), (bite, healed)
    assert before > 20
    assert "server" in (fault("power_cut", ["server"]).obstacle(context) or "")


def test_a_node_that_was_not_followed_has_no_power_cut(shop: Context) -> None:
    """It is said before anything is touched."""
    assert "not followed" in (fault("power_cut", ["T01"]).obstacle(shop) or "")
