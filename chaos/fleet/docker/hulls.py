"""How a node's plan becomes a container: hardened, capped, in the run's networks, with only its own folders.

Keeps: no published port is on another address than 127.0.0.1; a node sees only the folders that its plan names.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.types import Mount

from chaos.fleet.plan import NO_CAPS
from chaos.profiles import Caps

HOST = "127.0.0.1"
ACCOUNT = 10001
PIDS = 512
TMP = "/tmp"  # noqa: S108 - a container's own
NO_LIMIT_TMP = 2**32


def user() -> tuple[int, int]:
    """Return the account that nodes run as: never root, and the lab's own where it may not give files away."""
    return (ACCOUNT, ACCOUNT) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


def accounts(folder: Path) -> Mount:
    """Return an /etc/passwd that names the nodes' account: PostgreSQL does not run as somebody without a name."""
    uid, gid = user()
    file = folder / "passwd"
    if not file.exists():
        file.write_text(f"root:x:0:0::/root:/bin/sh\ntill:x:{uid}:{gid}::{TMP}:/usr/sbin/nologin\n")
        file.chmod(0o644)
    return Mount(target="/etc/passwd", source=str(file), type="bind", read_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hull:
    """What one container is made with."""

    name: str
    image: str
    command: Sequence[str]
    environment: dict[str, str]
    labels: dict[str, str]
    network: str
    alias: str
    mounts: Sequence[Mount] = ()
    ports: Sequence[int] = ()
    caps: Caps = NO_CAPS
    stop_signal: str = "SIGTERM"
    own_account: bool = False
    restarts: bool = False

    def arguments(self, endpoint: Any) -> dict[str, Any]:
        """Return the arguments of the engine's create call; `endpoint`: the configuration of its first network.

        `own_account`: the image's own user and rights, which a database's entry point needs.
        """
        memory, cores = self.caps.memory_bytes, self.caps.cpu_cores
        given: dict[str, Any] = {
            "image": self.image,
            "command": list(self.command),
            "name": self.name,
            "hostname": self.alias,
            "environment": self.environment,
            "labels": self.labels,
            "network": self.network,
            "networking_config": {self.network: endpoint},
            "mounts": list(self.mounts),
            "ports": {f"{port}/tcp": (HOST, port) for port in self.ports},
            "stop_signal": self.stop_signal,
            "security_opt": ["no-new-privileges:true"],
            "pids_limit": PIDS,
            "tmpfs": {TMP: f"size={2 * memory if memory else NO_LIMIT_TMP}"},
            "log_config": {"Type": "json-file", "Config": {}},
        }
        if memory:
            given |= {"mem_limit": memory, "memswap_limit": memory}
        if cores:
            given["nano_cpus"] = round(cores * 1e9)
        if self.restarts:
            given["restart_policy"] = {"Name": "on-failure"}
        if not self.own_account:
            uid, gid = user()
            given |= {"user": f"{uid}:{gid}", "read_only": True, "cap_drop": ["ALL"]}
        return given
