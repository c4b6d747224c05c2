"""docker-compose.yml, as the README tells to use it, by both generations of Compose."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import docker
from tests.docker.conftest import REQUIRED, until

pytestmark = pytest.mark.docker
ROOT = Path(__file__).parents[2]
GENERATIONS = {"v2": ("docker", "compose"), "1.29": ("docker-compose",)}
OPTIONS = ("--env-file", "docker/offline/images.env", "-p", "tillproof-test")
UP_S = 420
TILLS = ("till01", "till02")
OTHERS = ("preproduction", "backoffice", "backoffice-preproduction")


def compose(generation: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Compose in the repository's folder."""
    argv = [*GENERATIONS[generation], *OPTIONS, *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=UP_S, check=False)


@pytest.fixture(params=GENERATIONS, scope="module")
def shop(request: pytest.FixtureRequest, engine: docker.DockerClient) -> Iterator[str]:
    """A shop with two of its ten tills, started by one generation of Compose and removed by it."""
    generation = str(request.param)
    there = shutil.which(GENERATIONS[generation][0]) and compose(generation, "version").returncode == 0
    if not there:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1, but there is no Compose {generation}")
        pytest.skip(f"no Compose {generation}")
    wait = ["--wait"] if generation == "v2" else []
    try:
        done = compose(generation, "up", "-d", *wait, *TILLS, *OTHERS)
        assert done.returncode == 0, done.stdout + done.stderr
        yield generation
    finally:
        compose(generation, "down", "-v")
    assert [one.name for one in mine(engine)] == []


def mine(engine: docker.DockerClient) -> list[Any]:
    """Return this test's containers."""
    return list(engine.containers.list(all=True, filters={"label": "com.docker.compose.project=tillproof-test"}))


def authority(generation: str) -> ssl.SSLContext:
    """Return a context that knows the shop's servers, as docs/docker.md tells to get it."""
    return ssl.create_default_context(
        cadata=compose(generation, "exec", "-T", "till01", "cat", "/run/till/ca.pem").stdout
    )


def asked(url: str, trust: ssl.SSLContext | None = None) -> dict[str, Any]:
    """Return an answer's JSON; empty while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5, context=trust) as answer:  # noqa: S310 - a published port of the shop
            return dict(json.load(answer))
    except (OSError, ValueError):
        return {}


def test_the_file_is_accepted_and_every_port_is_on_loopback(engine: docker.DockerClient, shop: str) -> None:
    """Whatever is published is on 127.0.0.1; tills are capped, read-only and not root; no secret is in sight."""
    bindings = []
    for container in mine(engine):
        bindings += [one["HostIp"] for ports in container.ports.values() for one in ports or ()]
        assert not [word for word in container.attrs["Config"]["Env"] if "PASSWORD=" in word]
    assert bindings
    assert set(bindings) == {"127.0.0.1"}
    tills = [one.attrs for one in mine(engine) if one.labels["com.docker.compose.service"] in TILLS]
    hosts = [one["HostConfig"] for one in tills]
    assert [(host["Memory"], host["NanoCpus"]) for host in hosts] == [(2**30, 750_000_000)] * len(TILLS)
    assert all(host["ReadonlyRootfs"] for host in hosts)
    assert {one["Config"]["User"] for one in tills} == {"till"}


def test_live_and_preproduction_know_their_roles(shop: str) -> None:
    """One takes receipts, the other follows it; both by TLS, known by the shop's own authority."""
    live, standby = "https://127.0.0.1:9000/v1/alive", "https://127.0.0.1:9001/v1/alive"
    trust = authority(shop)
    assert until(lambda: asked(live, trust).get("status") == "live")
    assert until(lambda: asked(standby, trust).get("status") == "standby")


def test_cashiers_sell_and_the_server_has_it(shop: str, tmp_path: Path) -> None:
    """Locust against the published ports, as in the README; what was sold arrives."""
    tills = [f"http://127.0.0.1:810{n}" for n in (1, 2)]
    assert until(lambda: all(asked(f"{till}/v1/status").get("loaded") for till in tills))
    masters = tmp_path / "masters"
    words = [
        sys.executable,
        "-c",
        "from rehearsal.cli import main; main()",
        "masters",
        str(masters),
        "--seed",
        "1",
    ]
    subprocess.run([*words, "--products", "5000"], check=True, capture_output=True)
    pin = (masters / "cashiers.csv").read_text().splitlines()[1].split(",")[2]
    load = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--headless", "--run-time", "15s",
            "--users", "2", "--spawn-rate", "2", "--catalogue", str(masters), "--cashier", "C001", "--pin", pin,
            "--tills", ",".join(tills), "--out", str(tmp_path / "load")]  # fmt: skip
    done = subprocess.run(load, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(asked(f"{till}/v1/status").get("head", 0) > 1 for till in tills)
    assert until(lambda: all(asked(f"{till}/v1/status").get("backlog") == 0 for till in tills))
