"""What the faults must be told of the system under test: its clock files, a second uploader, a clerk's SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2

from chaos.errors import FaultFailed
from chaos.faults.base import HalfUpload, SlowClerkPlan, SystemPlan
from chaos.faults.disks import TillDisks
from chaos.fleet.plan import NodePlan
from chaos.fleet.process import ProcessFleet
from rehearsal.drive.backups import ShopBackups
from rehearsal.drive.till_api import Refused, identity_session
from rehearsal.evidence.databases import Database
from rehearsal.plan.scenario import Scenario
from rehearsal.staging.configs import write_toml
from rehearsal.staging.servers import promotion_step
from rehearsal.staging.shop import Shop, till_node, till_sections
from rehearsal.staging.till_database import seen_from_elsewhere
from syncref.wire.sync import CONTENT_TYPE

DUPLICATE_KIND = "duplicate_uploader"
VANISHED_KIND = "vanished_client"
PROMOTION_KIND = "promotion"
PROMOTER = "promote-"
BUSY_SQL = (
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE %s AND pid <> pg_backend_pid()"
    " AND (state = 'active' OR state_change > clock_timestamp() - interval '1 second')"
)
# A change that names a row as it is: it alters nothing, but its open transaction holds the feed's horizon.
SLOW_CLERK = (
    "INSERT INTO change (tbl, key, version, urgent, delta, at_ms)"
    " SELECT 'vendor', json_build_array(vendor_id)::text, version, false, 0,"
    " (extract(epoch from clock_timestamp()) * 1000)::bigint FROM vendor WHERE NOT deleted"
    " ORDER BY vendor_id LIMIT 1",
)


def system_plan(scenario: Scenario, shop: Shop, disks: TillDisks, backups: ShopBackups | None) -> SystemPlan:
    """Return the plan; second uploaders are made only for tills that a fault aims at."""
    wanted = {till for fault in scenario.faults if fault.kind == DUPLICATE_KIND for till in fault.targets}
    return SystemPlan(
        duplicates={till: _twin(shop, till) for till in sorted(wanted)},
        clock_files={till: shop.fleet.dir(till) / "clock" for till in shop.tills},
        backups={shop.sides[0].server: backups} if backups is not None else {},
        disks=disks,
        disk_logs=shop.fleet.disk_logs() if isinstance(shop.fleet, ProcessFleet) else {},
        half_uploads=_half_uploads(scenario, shop),
        databases={side.server: ServerStatements(shop.server_databases[side.server]) for side in shop.sides},
        promoters={server: _promoter(shop, server) for server in sorted(_promoted(scenario))},
        slow_clerks={
            side.postgres: SlowClerkPlan(dsn=shop.server_databases[side.server].dsn, statements=SLOW_CLERK)
            for side in shop.sides
        },
    )


def _half_uploads(scenario: Scenario, shop: Shop) -> dict[str, HalfUpload]:
    """Return an upload of the first till to each server that a fault lets it vanish at."""
    wanted = {node for fault in scenario.faults if fault.kind == VANISHED_KIND for node in fault.targets}
    till = shop.tills[0]
    secret = (shop.fleet.dir(till) / "till.secret").read_text(encoding="utf-8").strip()
    found = {}
    for node in sorted(wanted):
        try:
            session = identity_session(shop.url(node), kind="till", name=till, secret=secret)
        except Refused as error:
            raise FaultFailed(f"{VANISHED_KIND}: {till} can't log in at {node}: {error}") from error
        headers = {"Authorization": f"Bearer {session.token}", "Content-Type": CONTENT_TYPE}
        found[node] = HalfUpload(
            url=shop.url(node), path="/v1/journal", headers=headers, body=bytes(500), length=1000
        )
    return found


@dataclass(frozen=True, slots=True)
class ServerStatements:
    """A server's PostgreSQL, each call on a connection of its own."""

    database: Database

    def execute(self, sql: str) -> None:
        """Run a statement; raises FaultFailed."""
        try:
            with self._cursor() as cursor:
                cursor.execute(sql)
        except psycopg2.Error as error:
            raise FaultFailed(f"{self.database.shown}: {str(error).strip()}") from error

    def busy_with(self, function: str) -> bool:
        """Say whether a statement that names this function runs there, or did a moment ago."""
        try:
            with self._cursor() as cursor:
                cursor.execute(BUSY_SQL, (f"%{function}%",))
                return bool(cursor.fetchone()[0])
        except psycopg2.Error:
            return False

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        with contextlib.closing(psycopg2.connect(self.database.dsn, connect_timeout=2)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor


def _promoted(scenario: Scenario) -> set[str]:
    return {target for fault in scenario.faults if fault.kind == PROMOTION_KIND for target in fault.targets}


def _promoter(shop: Shop, server: str) -> str:
    """Add the operator's command as a node, not started."""
    name = f"{PROMOTER}{server}"
    step = promotion_step(shop.fleet, server)
    shop.fleet.add(NodePlan(name=name, argv=step.argv, env=step.env, folders=step.folders))
    return name


def _twin(shop: Shop, till: str) -> str:
    """Add a second process over the same till's database, not started."""
    fleet, twin = shop.fleet, f"{till}-twin"
    sections = till_sections(shop, till)
    sections["till"]["listen"] = fleet.address(twin)
    sections["till"]["database"] = seen_from_elsewhere(fleet, till, sections["till"]["database"])
    config = write_toml(fleet.dir(twin) / "till.toml", sections)
    fleet.add(till_node(fleet, twin, config, caps=shop.caps, folders=(till,)))
    return twin
