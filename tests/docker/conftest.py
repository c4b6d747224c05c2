"""An engine with the images, or a skip that says what is missing; with TILLPROOF_REQUIRE_DOCKER=1 a failure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import docker
from chaos.fleet.docker.engine import connect
from chaos.fleet.docker.fleet import DockerFleet
from chaos.fleet.docker.readiness import obstacle
from chaos.fleet.plan import NodePlan
from chaos.profiles import Caps

REQUIRED = "TILLPROOF_REQUIRE_DOCKER"
WAIT_S = 30.0
CAPS = Caps(cpu_cores=0.25, memory_bytes=64 * 2**20)
# answers on its port; /burn spends a second of CPU; /ask?URL fetches that and tells what came of it
SERVES = """
import http.server, sys, time, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = b"ok"
        if self.path == "/burn":
            end = time.process_time() + 0.5
            while time.process_time() < end: pass
        if self.path.startswith("/ask?"):
            try: urllib.request.urlopen(self.path[5:], timeout=2).read()
            except OSError as error: text = type(error).__name__.encode()
        self.send_response(200); self.end_headers(); self.wfile.write(text)
    def log_message(self, *words): print("asked for", self.path, flush=True)
print("serving", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
"""


def engine_or_skip() -> docker.DockerClient:
    """Return a client of an engine that has the images."""
    required = os.environ.get(REQUIRED) == "1"
    if "PYTEST_XDIST_WORKER" in os.environ and not required:
        pytest.skip("containers are tried by themselves: pytest tests/docker")
    missing = obstacle()
    if missing:
        if required:
            pytest.fail(f"{REQUIRED}=1, but {missing}")
        pytest.skip(missing)
    return connect()


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine, for looking at what the fleet made there."""
    client = engine_or_skip()
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def fleet(engine: docker.DockerClient, tmp_path: Path) -> Iterator[DockerFleet]:
    """A fleet without nodes."""
    with DockerFleet(run_dir=tmp_path, seed=3) as made:
        yield made


def serving(fleet: DockerFleet, node: str, *, caps: Caps = CAPS) -> NodePlan:
    """Return the plan of a node that answers on its port."""
    argv = (fleet.python, "-c", SERVES, str(fleet.port(node)))
    return NodePlan(name=node, argv=argv, health_url=fleet.url(node) + "/", caps=caps, stop_deadline_s=2)


def things(engine: docker.DockerClient, run: str) -> list[str]:
    """Return all that a run has on the engine."""
    only = {"label": f"tillproof.run={run}"}
    found = [
        f"container {one.name}" for one in engine.containers.list(all=True, filters=only, ignore_removed=True)
    ]
    found += [f"volume {one.name}" for one in engine.volumes.list(filters=only)]
    return found + [f"network {one.name}" for one in engine.networks.list(filters=only)]


def until(claim: Callable[[], bool]) -> bool:
    """Wait until a claim holds; False when it never did."""
    end = time.monotonic() + WAIT_S
    while not claim():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
