"""What the faults must be told of the system under test: its clock files, a second uploader, a clerk's SQL."""

from __future__ import annotations

from chaos.faults.base import SlowClerkPlan, SystemPlan
from chaos.faults.disks import TillDisks
from chaos.fleet.process import ProcessFleet
from rehearsal.plan.scenario import Scenario
from rehearsal.staging.configs import write_toml
from rehearsal.staging.shop import Shop, till_node, till_sections
from rehearsal.staging.till_database import seen_from_elsewhere

DUPLICATE_KIND = "duplicate_uploader"
# A change that names a row as it is: it alters nothing, but its open transaction holds the feed's horizon.
SLOW_CLERK = (
    "INSERT INTO change (tbl, key, version, urgent, delta, at_ms)"
    " SELECT 'vendor', json_build_array(vendor_id)::text, version, false, 0,"
    " (extract(epoch from clock_timestamp()) * 1000)::bigint FROM vendor WHERE NOT deleted"
    " ORDER BY vendor_id LIMIT 1",
)


def system_plan(scenario: Scenario, shop: Shop, disks: TillDisks) -> SystemPlan:
    """Return the plan; second uploaders are made only for tills that a fault aims at."""
    wanted = {till for fault in scenario.faults if fault.kind == DUPLICATE_KIND for till in fault.targets}
    return SystemPlan(
        duplicates={till: _twin(shop, till) for till in sorted(wanted)},
        clock_files={till: shop.fleet.dir(till) / "clock" for till in shop.tills},
        disks=disks,
        disk_logs=shop.fleet.disk_logs() if isinstance(shop.fleet, ProcessFleet) else {},
        slow_clerk=SlowClerkPlan(dsn=shop.server_database.dsn, statements=SLOW_CLERK),
    )


def _twin(shop: Shop, till: str) -> str:
    """Add a second process over the same till's database, not started."""
    fleet, twin = shop.fleet, f"{till}-twin"
    sections = till_sections(shop, till)
    sections["till"]["listen"] = fleet.address(twin)
    sections["till"]["database"] = seen_from_elsewhere(fleet, till, sections["till"]["database"])
    config = write_toml(fleet.dir(twin) / "till.toml", sections)
    fleet.add(till_node(fleet, twin, config, caps=shop.caps, folders=(till,)))
    return twin
