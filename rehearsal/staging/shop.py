"""A staged shop: PostgreSQL, server, back office and tills as nodes of a fleet, each till behind its own proxy."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chaos.errors import CannotRun, NodeFailed
from chaos.fleet.base import Fleet
from chaos.fleet.plan import NodePlan, Step
from chaos.fleet.process import ProcessFleet
from chaos.profiles import Caps, caps_of, host_ghz, profile_named
from rehearsal.catalogue import Catalogue
from rehearsal.evidence.databases import Database
from rehearsal.plan.scenario import Scenario
from rehearsal.staging.certificates import Certificates
from rehearsal.staging.configs import write_secret, write_toml
from rehearsal.staging.servers import (
    DATABASE,
    PROBE_TILL,
    node_of,
    provision_live,
    stage_servers,
    step_of,
    step_of_several,
)
from rehearsal.staging.sides import Side, sides_of
from rehearsal.staging.till_database import TILL_POSTGRES, brings_its_own, database_url, ports, with_database

LOAD_DEADLINE_S = 120.0
AT_ONCE = 4
SMALL_DISK_KIND = "disk_full"
SMALL_DISK_BYTES = 256 * 2**20
PAIR_BACKOFF_MAX_MS = 2000
POWER_CUT_KIND = "power_cut"

Say = Callable[[str], None]
Sections = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """What the rest of the run needs to know of the staged shop."""

    fleet: Fleet
    catalogue: Catalogue
    tills: tuple[str, ...]
    till_databases: dict[str, Database]
    till_configs: dict[str, Sections]
    sides: tuple[Side, ...]
    server_databases: dict[str, Database]
    clerks: dict[str, str]
    probe_secret: str
    caps: Caps

    @property
    def server_database(self) -> Database:
        """The database of the server that is live at the beginning."""
        return self.server_databases[self.sides[0].server]

    @property
    def offices(self) -> tuple[str, ...]:
        """The back offices' addresses, in the order in which clerks try them."""
        return tuple(self.fleet.url(side.office) for side in self.sides)

    def url(self, node: str) -> str:
        """Return a node's own address, beside the proxy."""
        return self.fleet.url(node)


def stage_shop(
    fleet: Fleet, scenario: Scenario, catalogue: Catalogue, *, schedule: list[dict[str, Any]], say: Say
) -> Shop:
    """Start everything and wait until every till has loaded its masters; raises chaos.errors.ChaosError."""
    _follow_disks(fleet, scenario, say)
    say("starting PostgreSQL and the proxy")
    fleet.start_postgres()
    fleet.start_proxy()
    sides = sides_of(preproduction=scenario.fleet.preproduction)
    certificates = Certificates(fleet, encrypted=scenario.fleet.tls)
    databases = {sides[0].server: Database(fleet.dsn(DATABASE, node=sides[0].postgres))}
    say(f"importing {catalogue.products:,} products")
    till_secrets, clerk_secrets = provision_live(fleet, scenario, sides, certificates, catalogue.folder)
    say("starting the servers and the back offices" if sides[1:] else "starting the server and the back office")
    stage_servers(fleet, sides, certificates)
    databases |= {side.server: Database(fleet.dsn(DATABASE, node=side.postgres)) for side in sides}
    caps = caps_of(profile_named(scenario.fleet.profile), ghz=host_ghz())
    say(f"loading {len(scenario.fleet.tills)} tills")
    configs = _tills(fleet, scenario, sides, till_secrets, schedule, certificates=certificates)
    plans = [till_node(fleet, till, fleet.dir(till) / "till.toml", caps=caps) for till in scenario.fleet.tills]
    fleet.stage(*plans)
    _wait_loaded(fleet, scenario.fleet.tills, say)
    for link in fleet.links() if scenario.fleet.line_kb_s else ():
        link.client.limit(link.name, scenario.fleet.line_kb_s)
    return Shop(
        fleet=fleet,
        catalogue=catalogue,
        tills=scenario.fleet.tills,
        till_databases={till: Database(sections["till"]["database"]) for till, sections in configs.items()},
        till_configs=configs,
        sides=sides,
        server_databases=databases,
        clerks=clerk_secrets,
        probe_secret=till_secrets.get(PROBE_TILL, ""),
        caps=caps,
    )


def till_sections(shop: Shop, till: str) -> Sections:
    """Return a copy of a till's configuration."""
    return {name: dict(section) for name, section in shop.till_configs[till].items()}


def loaded(fleet: Fleet, till: str) -> bool:
    """Tell whether a till has all masters and may sell."""
    return bool((till_status(fleet, till) or {}).get("loaded"))


def till_status(fleet: Fleet, till: str, *, timeout_s: float = 2.0) -> dict[str, Any] | None:
    """Return what a till says of itself, None when it does not answer."""
    try:
        with urllib.request.urlopen(f"{fleet.url(till)}/v1/status", timeout=timeout_s) as answer:  # noqa: S310
            found = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _follow_disks(fleet: Fleet, scenario: Scenario, say: Say) -> None:
    """Follow the writes of what a power cut aims at; where that can't be done the fault says so."""
    wanted = {target for fault in scenario.faults if fault.kind == POWER_CUT_KIND for target in fault.targets}
    if not isinstance(fleet, ProcessFleet):
        return
    for node in sorted(wanted):
        try:
            fleet.follow_disk(node, single=node in scenario.fleet.tills)
        except CannotRun as error:
            say(f"no power cut on {node}: {error}")


def _tills(
    fleet: Fleet, scenario: Scenario, sides: Sequence[Side], secrets: dict[str, str],
    schedule: list[dict[str, Any]], *, certificates: Certificates,
) -> dict[str, Sections]:  # fmt: skip
    """Provision every till behind its own link to each server and return their configurations."""
    if scenario.fleet.till_database == "postgresql" and not fleet.tills_bring_postgres:
        fleet.start_postgres(TILL_POSTGRES)
    small = {till for fault in scenario.faults if fault.kind == SMALL_DISK_KIND for till in fault.targets}
    configs: dict[str, Sections] = {}
    for till in scenario.fleet.tills:
        folder = fleet.dir(till)
        if till in small:
            with contextlib.suppress(CannotRun):  # the fault then says why it can't be run
                fleet.small_disk(till, SMALL_DISK_BYTES)
        sync: dict[str, Any] = {
            "continuous": till not in scenario.sync.scheduled_only,
            "reply_budget_ms": scenario.sync.reply_budget_ms,
        }
        if sides[1:]:
            sync["backoff_max_ms"] = PAIR_BACKOFF_MAX_MS
        if schedule:
            sync["schedule"] = schedule
        own = {
            "name": till,
            "database": database_url(fleet, till, scenario.fleet.till_database),
            "listen": fleet.address(till),
            "servers": [fleet.link(till, side.server).url for side in sides],
            "credential_file": write_secret(folder / "till.secret", secrets[till]),
            **certificates.shown_by(till),
            **certificates.known_by(till),
        }
        configs[till] = {"till": own, "sync": sync, "clock": {"offset_file": folder / "clock"}}
        write_toml(folder / "till.toml", configs[till])
    _provision(fleet, scenario.fleet.tills)
    return configs


def _provision(fleet: Fleet, tills: tuple[str, ...]) -> None:
    """Set all tills up in one process; where they bring their own PostgreSQL, each in one beside it."""
    if brings_its_own(fleet, tills[0]):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(fleet.run_step, [provision_step(fleet, till) for till in tills]))
    else:
        commands = [_provision_words(fleet, till) for till in tills]
        fleet.run_step(step_of_several(fleet, "provision-tills", tills, commands))


def provision_step(fleet: Fleet, till: str, *, cluster: str = "", clean: tuple[str, ...] = ()) -> Step:
    """Return the command that sets a till up; `clean`: the options with which it is cleaned instead."""
    words = _provision_words(fleet, till) + clean + (("--cluster", cluster) if cluster else ())
    step = step_of(fleet, f"provision-{till}", (till,), *words)
    return replace(step, argv=with_database(fleet, till, step.argv))


def _provision_words(fleet: Fleet, till: str) -> tuple[str, ...]:
    return ("provision", "till", "--config", str(fleet.dir(till) / "till.toml"))


def import_step(fleet: Fleet, server: str, till: str, file: Path) -> Step:
    """Return the command with which a server takes in what a till exported."""
    words = ("import-entries", "--config", str(fleet.dir(server) / "server.toml"), str(file))
    return step_of(fleet, f"import-entries-{till}", (server, till), *words)


def _wait_loaded(fleet: Fleet, tills: tuple[str, ...], say: Say) -> None:
    waiting, until = list(tills), time.monotonic() + LOAD_DEADLINE_S
    while waiting:
        ready = [till for till in waiting if loaded(fleet, till)]
        waiting = [till for till in waiting if till not in ready]
        if ready:
            say(f"{len(tills) - len(waiting)} of {len(tills)} tills have their masters")
        if waiting and time.monotonic() > until:
            last = till_status(fleet, waiting[0])
            raise NodeFailed(f"tills without masters after {LOAD_DEADLINE_S:g} s: {', '.join(waiting)}; {last}")
        if waiting:
            time.sleep(0.2)


def till_node(fleet: Fleet, name: str, config: Path, *, caps: Caps, folders: tuple[str, ...] = ()) -> NodePlan:
    """Return a till's process; `folders`: other tills whose data it uses."""
    plan = node_of(fleet, name, config, kind="till", caps=caps, folders=folders)
    return replace(plan, argv=with_database(fleet, name, plan.argv), ports=ports(fleet, name))
