"""The Docker Engine and the images on it: what is there, and what is missing.

Keeps: nothing is pulled or built behind the user's back; what is missing is named together with the way to get it.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass

import requests
from docker.errors import DockerException, ImageNotFound

import docker
from chaos.errors import CannotRun

TIMEOUT_S = 60
UNIX = "unix://"
DEFAULT_HOST = "unix:///var/run/docker.sock"
TILLPROOF = ("TILLPROOF_IMAGE", ("tillproof:local",))
POSTGRES = ("POSTGRES_IMAGE", ("postgres:18", "tillproof-offline/postgres:18"))
TOXIPROXY = ("TOXIPROXY_IMAGE", ("ghcr.io/shopify/toxiproxy:2.12.0", "tillproof-offline/toxiproxy:2.12.0"))
GET_IMAGES = "get them by `docker compose build --pull` and `docker compose pull`, or without a registry by"
OFFLINE = "docker/offline/build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The images that the fleet runs, by name. Each can be replaced by the environment variable of its name."""

    tillproof: str
    postgres: str
    toxiproxy: str


def connect() -> docker.DockerClient:
    """Return a client of the engine that $DOCKER_HOST names, or of this machine's; raise CannotRun."""
    if not sys.platform.startswith("linux"):
        raise CannotRun("the Docker fleet reads the tills' databases and the kernel's counters: it needs Linux")
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if host.startswith(UNIX) and not listens(host.removeprefix(UNIX)):
        raise CannotRun(f"no Docker Engine answers at {host}")
    try:
        return docker.from_env(timeout=TIMEOUT_S)
    except (DockerException, requests.RequestException) as error:
        raise CannotRun(f"no Docker Engine answers at {host}") from error


def listens(path: str) -> bool:
    """Tell whether a process listens at a socket's path and lets us in, without leaking a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def images(client: docker.DockerClient) -> Images:
    """Return the images to use; raise CannotRun with those that are missing."""
    found, missing = [], []
    for variable, choices in (TILLPROOF, POSTGRES, TOXIPROXY):
        named = os.environ.get(variable)
        there = [name for name in ([named] if named else choices) if present(client, name)]
        found += there[:1]
        missing += [] if there else [named or choices[0]]
    if missing:
        raise CannotRun(f"image {', '.join(missing)} is not on the Docker Engine: {GET_IMAGES} {OFFLINE}")
    return Images(tillproof=found[0], postgres=found[1], toxiproxy=found[2])


def present(client: docker.DockerClient, name: str) -> bool:
    """Tell whether the engine has an image."""
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True
