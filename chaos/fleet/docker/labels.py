"""Labels on everything that a run makes on the engine, and the removal of what carries them.

Keeps: whatever is labelled can be removed by anybody who knows the run's name, also when its lab is gone; a
living lab's containers are never touched.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import requests
from docker.errors import APIError, DockerException, NotFound

import docker
from chaos.errors import CannotRun
from chaos.fleet.docker.engine import connect
from chaos.fleet.processes import elsewhere, identity, machine

MINE = "tillproof=rehearsal"


def labels(run: str, node: str = "") -> dict[str, str]:
    """Return the labels of a node's things: which run they belong to and which lab's process leads it."""
    return {
        "tillproof": "rehearsal",
        "tillproof.run": run,
        "tillproof.node": node,
        "tillproof.lab": f"{os.getpid()}/{identity(os.getpid())}",
        "tillproof.machine": machine(),
    }


def dead(found: dict[str, str]) -> bool:
    """Tell whether the lab of these labels is gone for certain."""
    told = found.get("tillproof.machine", "")
    if told.partition("/")[0] != machine().partition("/")[0]:
        return True  # the machine was started anew since
    if elsewhere(told):
        return False
    pid, _, begun = found.get("tillproof.lab", "").partition("/")
    return not pid.isdigit() or str(identity(int(pid))) != begun


def remove_run(run: str) -> list[str]:
    """Remove all that a run made on the engine and return it; raise CannotRun where no engine answers."""
    client = connect()
    try:
        return _remove(client, lambda found: found.get("tillproof.run") == run)
    finally:
        client.close()


def sweep(client: docker.DockerClient) -> list[str]:
    """Remove what labs left that are gone, and return its names."""
    return _remove(client, dead)


def remove_quietly(run: str) -> None:
    """Remove all that a run made, if an engine answers; for the warden of a lab that died."""
    with contextlib.suppress(CannotRun, DockerException, requests.RequestException):
        remove_run(run)


def _remove(client: docker.DockerClient, wanted: Callable[[dict[str, str]], bool]) -> list[str]:
    removed = []
    only: dict[str, str | list[str] | bool] = {"label": MINE}
    for container in client.containers.list(all=True, filters=only, ignore_removed=True):
        if wanted(container.labels):
            with contextlib.suppress(NotFound, APIError):
                container.remove(force=True, v=True)
                removed.append(f"container {container.name}")
    for volume in client.volumes.list(filters=only):
        if wanted(volume.attrs.get("Labels") or {}):
            with contextlib.suppress(NotFound, APIError):
                volume.remove(force=True)
                removed.append(f"volume {volume.name}")
    for network in client.networks.list(filters=only):
        if wanted(network.attrs.get("Labels") or {}):
            with contextlib.suppress(NotFound, APIError):
                network.remove()
                removed.append(f"network {network.name}")
    return removed
