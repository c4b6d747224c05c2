"""What the load generator is told: customers within every fault that needs some."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtest.arrivals import arrival_times
from rehearsal.drive.loadplan import visits, windows
from rehearsal.options import SCENARIOS, Options, scenario_names
from rehearsal.plan.scenario import Scenario
from rehearsal.running import read_scenario


def scenario(name: str) -> Scenario:
    """Read a bundled scenario."""
    path = SCENARIOS / f"{name}.toml"
    return read_scenario(path, Options(scenario=str(path)))


@pytest.mark.parametrize("name", scenario_names())
def test_whatever_the_seed_every_fault_that_needs_customers_has_them(name: str) -> None:
    """With any of fifty seeds: else the judge could not tell, for no fault of the shop's."""
    read = scenario(name)
    certain = visits(read)
    for seed in range(50):
        came = {
            till: [
                at_s
                for _, at_s in arrival_times(
                    seed=seed,
                    stream=f"{till}|0",
                    rate_per_s=read.load.rate_per_s,
                    windows=[window for window in windows(read) if not window.who or till in window.who],
                    shape=read.load.shape,
                    visits=[visit.at_s for visit in certain if visit.till == till],
                    until_s=read.load.duration_s,
                )
            ]
            for till in read.fleet.tills
        }
        for fault in read.faults:
            felt = [till for till in read.fleet.tills if till in fault.targets] or read.fleet.tills
            found = sum(fault.at_s <= at_s < fault.at_s + fault.for_s for till in felt for at_s in came[till])
            assert fault.for_s == 0 or found > read.load.min_sales_in_fault or not read.load.min_sales_in_fault


def test_a_till_that_is_not_in_a_stage_gets_no_customer_there() -> None:
    """And nobody comes for a fault of an instant, or where none is needed."""
    read = scenario("go-live")
    certain = visits(read)
    assert {visit.till for visit in certain} >= {"T06", "T08"}
    idle = {(window.from_s, window.to_s): set(window.who) for window in windows(read) if window.factor == 0}
    assert idle
    for visit in certain:
        assert not any(begin <= visit.at_s < end and visit.till in who for (begin, end), who in idle.items())
    assert not visits(replace(read, load=replace(read.load, min_sales_in_fault=0)))


def test_a_till_that_is_cut_off_when_prices_flip_had_to_know_them_before() -> None:
    """Else a till that keeps its old prices could not be convicted, and price-flip would show nothing."""
    read = scenario("price-flip")
    offline = [
        (flip, fault)
        for flip in read.flips
        for fault in read.faults
        if fault.at_s <= flip.at_s < fault.at_s + fault.for_s
    ]
    assert offline
    assert all(flip.announce_s + read.stale_bound_s < fault.at_s for flip, fault in offline)
