"""Staging the shop's servers: database, sync server and back office of each side, and who is peer of whom.

Keeps: with preproduction nothing but proxied links lies between the sides, so that they can be parted.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos.errors import NodeFailed
from chaos.fleet.base import Fleet
from chaos.fleet.health import healthy
from chaos.fleet.plan import NodePlan, Step
from chaos.profiles import Caps
from chaos.waiting import wait_until
from rehearsal.plan.scenario import Scenario
from rehearsal.staging.certificates import Certificates
from rehearsal.staging.configs import write_secret, write_secrets, write_toml
from rehearsal.staging.sides import Side

PROGRAM = ("-c", "from syncref.cli import main; main()")
SEVERAL = """
import shlex, sys
from syncref.cli import main
for line in sys.argv[1:]:
    print("syncref", line, flush=True)
    sys.argv = ["syncref", *shlex.split(line)]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""
MASTERS = "masters"
DATABASE = "server"
PEERS = "peers"
PROBE_TILL = "PROBE"
CONFIRM_DEADLINE_S = 30.0


def provision_live(
    fleet: Fleet, scenario: Scenario, sides: Sequence[Side], certificates: Certificates, masters: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """Make the first side's database and import the masters; return the tills' and the clerks' secrets."""
    side = sides[0]
    folder = fleet.dir(side.server)
    tills = write_secrets(folder / "tills.csv", [*scenario.fleet.tills, *([PROBE_TILL] if sides[1:] else [])])
    clerks = write_secrets(folder / "clerks.csv", [f"clerk{n}" for n in range(1, scenario.backoffice.clerks + 2)])
    shared = (PEERS,) if sides[1:] else ()
    if shared:
        write_peer_secret(fleet, sides)
    config = str(write_server_config(fleet, sides, side, certificates))
    made = ("provision", "server", "--config", config,
            "--tills-file", str(folder / "tills.csv"), "--clerks-file", str(folder / "clerks.csv"))  # fmt: skip
    imported = ("import", "--config", config, "--masters", str(masters))
    fleet.run_step(step_of_several(fleet, "provision-server", (side.server, MASTERS, *shared), (made, imported)))
    return tills, clerks


def stage_servers(fleet: Fleet, sides: Sequence[Side], certificates: Certificates) -> None:
    """Start every side's servers, the copy of the live database first; return once the first side is live."""
    for side in sides[1:]:
        fleet.follow_postgres(side.postgres, sides[0].postgres)
        write_server_config(fleet, sides, side, certificates)
    fleet.stage(*(plan for side in sides for plan in server_plans(fleet, sides, side, certificates)))
    if not wait_until(lambda: healthy(f"{fleet.url(sides[0].server)}/v1/health"), CONFIRM_DEADLINE_S, every_s=0.1):
        raise NodeFailed(f"{sides[0].server} was not confirmed as live within {CONFIRM_DEADLINE_S:g} s")


def rebuild_standby(fleet: Fleet, *, primary: Side, standby: Side) -> None:
    """Make a side that was live before the standby of the one that is live now, by the operator's runbook."""
    for node in (standby.office, standby.server):
        fleet.stop(node)
    fleet.follow_postgres(standby.postgres, primary.postgres)
    for node in (standby.server, standby.office):
        fleet.start(node)


def write_server_config(fleet: Fleet, sides: Sequence[Side], side: Side, certificates: Certificates) -> Path:
    """Write a side's server.toml; its peers are reached over links of their own."""
    folder = fleet.dir(side.server)
    values: dict[str, Any] = {
        "database": fleet.peer_dsn(DATABASE, node=side.postgres),
        "data_dir": folder,
        "listen": fleet.address(side.server),
        "workers": 1,
        **certificates.shown_by(side.server),
        **certificates.known_by(side.server),
    }
    if sides[1:]:
        peers = [fleet.link(side.server, other.server).url for other in sides if other != side]
        secret = fleet.dir(PEERS) / "secret"
        values |= {"name": side.server, "rank": side.rank, "peers": peers, "peer_secret_file": secret}
    return write_toml(folder / "server.toml", {"server": values})


def write_peer_secret(fleet: Fleet, sides: Sequence[Side]) -> None:
    """Draw the secret that the sides' servers share."""
    names = write_secrets(fleet.dir(PEERS) / "secrets.csv", [side.server for side in sides])
    write_secret(fleet.dir(PEERS) / "secret", names[sides[0].server])


def peer_secret(fleet: Fleet) -> str:
    """Return the secret that the sides' servers share."""
    return (fleet.dir(PEERS) / "secret").read_text(encoding="utf-8").strip()


def server_plans(
    fleet: Fleet, sides: Sequence[Side], side: Side, certificates: Certificates
) -> tuple[NodePlan, NodePlan]:
    """Return a side's sync server and back office as processes.

    With preproduction they are well as soon as they answer, whatever their role: a standby is no failure.
    """
    path = "/v1/alive" if sides[1:] else "/v1/health"
    values = {
        "database": fleet.peer_dsn(DATABASE, node=side.postgres), "listen": fleet.address(side.office),
        **certificates.shown_by(side.office),
    }  # fmt: skip
    office = write_toml(fleet.dir(side.office) / "backoffice.toml", {"backoffice": values})
    server = fleet.dir(side.server) / "server.toml"
    return (
        node_of(fleet, side.server, server, kind="server", health=path, folders=(PEERS,) if sides[1:] else ()),
        node_of(fleet, side.office, office, kind="backoffice", health=path),
    )


def promotion_step(fleet: Fleet, server: str) -> Step:
    """Return the operator's command that makes a standby the live server."""
    config = str(fleet.dir(server) / "server.toml")
    return step_of(fleet, f"promote-{server}", (server, PEERS), "promote", "--config", config)


def step_of(fleet: Fleet, name: str, folders: tuple[str, ...], *words: str) -> Step:
    """Return a one-shot command of the system under test; `folders`: nodes whose folders it uses."""
    return Step(name=name, argv=(fleet.python, *PROGRAM, *words), env=fleet.python_env, folders=folders)


def step_of_several(
    fleet: Fleet, name: str, folders: tuple[str, ...], commands: Sequence[tuple[str, ...]]
) -> Step:
    """Return a step of commands in one process, up to the first that fails; most cost less than its start."""
    lines = tuple(shlex.join(words) for words in commands)
    return Step(name=name, argv=(fleet.python, "-c", SEVERAL, *lines), env=fleet.python_env, folders=folders)


def node_of(
    fleet: Fleet, name: str, config: Path, *, kind: str, health: str = "/v1/health", caps: Caps | None = None,
    folders: tuple[str, ...] = (),
) -> NodePlan:  # fmt: skip
    """Return a process of the system under test; `folders`: other nodes' that it uses."""
    return NodePlan(
        name=name,
        argv=(fleet.python, *PROGRAM, kind, "--config", str(config)),
        env=fleet.python_env,
        folders=folders,
        health_url=f"{fleet.url(name)}{health}",
        health_deadline_s=60.0,
        caps=caps or Caps(),
    )
