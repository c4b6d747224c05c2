"""Whether containers can be had here: an engine, the images, and an image of the very source that runs the lab."""

from __future__ import annotations

import contextlib

import requests
from docker.errors import DockerException

import docker
from chaos.errors import CannotRun
from chaos.fleet.docker import labels
from chaos.fleet.docker.engine import OFFLINE, connect, images
from chaos.fleet.docker.source import digest

DEADLINE_S = 60
ASK = ("python3", "-m", "chaos.fleet.docker.source")


def obstacle() -> str:
    """Return why no Docker fleet can run here, or an empty text."""
    try:
        client = connect()
        try:
            check_source(client, images(client).tillproof)
        finally:
            client.close()
    except CannotRun as error:
        return str(error)
    return ""


def check_source(client: docker.DockerClient, image: str) -> None:
    """Raise CannotRun unless the image was built of the source that runs the lab."""
    container = None
    try:
        container = client.containers.create(
            image, list(ASK), network_mode="none", labels=labels.labels("probe", "probe")
        )
        container.start()
        container.wait(timeout=DEADLINE_S)
        told = container.logs(stdout=True, stderr=False).decode(errors="replace").strip()
    except (DockerException, requests.RequestException) as error:
        raise CannotRun(f"image {image} does not run: {error}") from error
    finally:
        if container is not None:
            with contextlib.suppress(DockerException, requests.RequestException):
                container.remove(force=True, v=True)
    if told != digest():
        raise CannotRun(
            f"image {image} was built of other source than this: build it again by `docker compose build`"
            f" or {OFFLINE}"
        )
