"""A staged shop: PostgreSQL, server, back office and tills as nodes of a fleet, each till behind its own proxy."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from rehearsal.staging.configs import write_secret, write_secrets, write_toml

PROGRAM = ("-c", "from syncref.cli import main; main()")
TILL_POSTGRES = "tillpostgres"
MASTERS = "masters"
LOAD_DEADLINE_S = 120.0
AT_ONCE = 4
SMALL_DISK_KIND = "disk_full"
SMALL_DISK_BYTES = 256 * 2**20
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
    server_database: Database
    clerks: dict[str, str]
    caps: Caps
    server_config: Path

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
    certificates = Certificates(fleet, encrypted=scenario.fleet.tls)
    server_url = fleet.dsn("server")
    till_secrets, clerk_secrets, config = _server_files(fleet, scenario, certificates)
    say(f"importing {catalogue.products:,} products")
    fleet.run_step(
        _step(
            fleet, "provision-server", ("server",), "provision", "server", "--config", str(config),
            "--tills-file", str(config.parent / "tills.csv"), "--clerks-file", str(config.parent / "clerks.csv"),
        )
    )  # fmt: skip
    words = ("import", "--config", str(config), "--masters", str(catalogue.folder))
    fleet.run_step(_step(fleet, "import", ("server", MASTERS), *words))
    say("starting the server and the back office")
    fleet.stage(_node(fleet, "server", config, kind="server"), _back_office(fleet, certificates))
    caps = caps_of(profile_named(scenario.fleet.profile), ghz=host_ghz())
    say(f"loading {len(scenario.fleet.tills)} tills")
    configs = _tills(fleet, scenario, till_secrets, schedule, certificates)
    plans = [till_node(fleet, till, fleet.dir(till) / "till.toml", caps=caps) for till in scenario.fleet.tills]
    fleet.stage(*plans)
    _wait_loaded(fleet, scenario.fleet.tills, say)
    return Shop(
        fleet=fleet,
        catalogue=catalogue,
        tills=scenario.fleet.tills,
        till_databases={till: Database(sections["till"]["database"]) for till, sections in configs.items()},
        till_configs=configs,
        server_database=Database(server_url),
        clerks=clerk_secrets,
        caps=caps,
        server_config=config,
    )


def till_sections(shop: Shop, till: str) -> Sections:
    """Return a copy of a till's configuration."""
    return {name: dict(section) for name, section in shop.till_configs[till].items()}


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


def _server_files(
    fleet: Fleet, scenario: Scenario, certificates: Certificates
) -> tuple[dict[str, str], dict[str, str], Path]:
    folder = fleet.dir("server")
    tills = write_secrets(folder / "tills.csv", scenario.fleet.tills)
    clerks = write_secrets(folder / "clerks.csv", [f"clerk{n}" for n in range(1, scenario.backoffice.clerks + 2)])
    values = {
        "database": fleet.peer_dsn("server"), "data_dir": folder, "listen": fleet.address("server"), "workers": 1,
        **certificates.shown_by("server"), **certificates.known_by("server"),
    }  # fmt: skip
    return tills, clerks, write_toml(folder / "server.toml", {"server": values})


def _back_office(fleet: Fleet, certificates: Certificates) -> NodePlan:
    values = {
        "database": fleet.peer_dsn("server"), "listen": fleet.address("backoffice"),
        **certificates.shown_by("backoffice"),
    }  # fmt: skip
    config = write_toml(fleet.dir("backoffice") / "backoffice.toml", {"backoffice": values})
    return _node(fleet, "backoffice", config, kind="backoffice")


def _tills(
    fleet: Fleet, scenario: Scenario, secrets: dict[str, str], schedule: list[dict[str, Any]],
    certificates: Certificates,
) -> dict[str, Sections]:  # fmt: skip
    """Provision every till behind its own link and return their configurations."""
    if scenario.fleet.till_database == "postgresql":
        fleet.start_postgres(TILL_POSTGRES)
    small = {till for fault in scenario.faults if fault.kind == SMALL_DISK_KIND for till in fault.targets}
    configs: dict[str, Sections] = {}
    for till in scenario.fleet.tills:
        folder = fleet.dir(till)
        if till in small:
            with contextlib.suppress(CannotRun):  # the fault then says why it can't be run
                fleet.small_disk(till, SMALL_DISK_BYTES)
        if scenario.fleet.till_database == "postgresql":
            url = fleet.dsn(f"till_{till.lower()}", node=TILL_POSTGRES)
        else:
            url = f"sqlite:///{folder / 'till.db'}"
        sync: dict[str, Any] = {
            "continuous": till not in scenario.sync.scheduled_only,
            "reply_budget_ms": scenario.sync.reply_budget_ms,
        }
        if schedule:
            sync["schedule"] = schedule
        link = fleet.link(till, "server")
        own = {
            "name": till,
            "database": url,
            "listen": fleet.address(till),
            "servers": [link.url],
            "credential_file": write_secret(folder / "till.secret", secrets[till]),
            **certificates.shown_by(till),
            **certificates.known_by(till),
        }
        configs[till] = {"till": own, "sync": sync, "clock": {"offset_file": folder / "clock"}}
        write_toml(folder / "till.toml", configs[till])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda till: _provision(fleet, till), scenario.fleet.tills))
    return configs


def _provision(fleet: Fleet, till: str) -> None:
    fleet.run_step(provision_step(fleet, till))


def provision_step(fleet: Fleet, till: str, *, cluster: str = "", clean: tuple[str, ...] = ()) -> Step:
    """Return the command that sets a till up; `clean`: the options with which it is cleaned instead."""
    words = ["provision", "till", "--config", str(fleet.dir(till) / "till.toml"), *clean]
    words += ["--cluster", cluster] if cluster else []
    return _step(fleet, f"provision-{till}", (till,), *words)


def import_step(fleet: Fleet, config: Path, till: str, file: Path) -> Step:
    """Return the command with which a server takes in what a till exported."""
    words = ("import-entries", "--config", str(config), str(file))
    return _step(fleet, f"import-entries-{till}", ("server", till), *words)


def _wait_loaded(fleet: Fleet, tills: tuple[str, ...], say: Say) -> None:
    waiting, until = list(tills), time.monotonic() + LOAD_DEADLINE_S
    while waiting:
        ready = [till for till in waiting if (till_status(fleet, till) or {}).get("loaded")]
        waiting = [till for till in waiting if till not in ready]
        if ready:
            say(f"{len(tills) - len(waiting)} of {len(tills)} tills have their masters")
        if waiting and time.monotonic() > until:
            last = till_status(fleet, waiting[0])
            raise NodeFailed(f"tills without masters after {LOAD_DEADLINE_S:g} s: {', '.join(waiting)}; {last}")
        if waiting:
            time.sleep(0.2)


def _step(fleet: Fleet, name: str, folders: tuple[str, ...], *words: str) -> Step:
    return Step(name=name, argv=(fleet.python, *PROGRAM, *words), env=fleet.python_env, folders=folders)


def till_node(fleet: Fleet, name: str, config: Path, *, caps: Caps, folders: tuple[str, ...] = ()) -> NodePlan:
    """Return a till's process; `folders`: other tills whose data it uses."""
    return _node(fleet, name, config, kind="till", caps=caps, folders=folders)


def _node(
    fleet: Fleet, name: str, config: Path, *, kind: str, caps: Caps | None = None, folders: tuple[str, ...] = ()
) -> NodePlan:
    return NodePlan(
        name=name,
        argv=(fleet.python, *PROGRAM, kind, "--config", str(config)),
        env=fleet.python_env,
        folders=folders,
        health_url=f"{fleet.url(name)}/v1/health",
        health_deadline_s=60.0,
        caps=caps or Caps(),
    )
