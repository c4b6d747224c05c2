"""Two threads that watch a run's containers: the engine's events as they come, the kernel's counters every second.

The counters of a life are gone with its control group; without a recent reading, an out-of-memory kill would take
them along.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any

import requests
from docker.errors import DockerException

import docker
from chaos.errors import ChaosError
from chaos.fleet.docker.container import ContainerNode

SAMPLE_S = 1.0


class Watch:
    """Runs until closed. `nodes` is the fleet's own table, which grows meanwhile."""

    def __init__(self, client: docker.DockerClient, run: str, nodes: Mapping[str, ContainerNode]) -> None:
        self._client = client
        self._run = run
        self._nodes = nodes
        self._over = threading.Event()
        self._since = int(time.time())
        self._seen_ns = 0
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("docker-events", self._follow), ("docker-counters", self._sample))
        ]
        self._stream = self._open()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._over.set()
        with contextlib.suppress(DockerException, requests.RequestException, OSError, AttributeError):
            self._stream.close()

    def _open(self) -> Any:
        filters = {"type": "container", "label": f"tillproof.run={self._run}"}
        return self._client.events(decode=True, filters=filters, since=self._since)

    def _follow(self) -> None:
        """Hand each event to its node; a stream that broke off is opened again where it ended."""
        while not self._over.is_set():
            try:
                for event in self._stream:
                    self._hand_over(event)
                    if self._over.is_set():
                        return
                if not self._over.wait(0.2):
                    self._stream = self._open()
            except (DockerException, requests.RequestException, OSError, ValueError):
                if not self._over.wait(0.2):
                    with contextlib.suppress(DockerException, requests.RequestException):
                        self._stream = self._open()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_S):
            for node in list(self._nodes.values()):
                node.sample()

    def _hand_over(self, event: dict[str, Any]) -> None:
        """Give an event to its node, once, although a stream that was opened again tells some of them twice."""
        at_ns = int(event.get("timeNano", 0))
        if at_ns <= self._seen_ns:
            return
        self._seen_ns = at_ns
        attributes = (event.get("Actor") or {}).get("Attributes") or {}
        node = self._nodes.get(attributes.get("tillproof.node", ""))
        if node is not None:
            with contextlib.suppress(ChaosError):
                node.event(str(event.get("Action")), attributes)
