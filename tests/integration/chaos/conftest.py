"""A process fleet with the toy shop on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.caps.base import Capper
from chaos.caps.none import NoCaps
from chaos.faults.base import Context, SystemPlan
from chaos.fleet.plan import NodePlan
from chaos.fleet.process import ProcessFleet
from chaos.proxy.engine import Choice

TOY = str(Path(__file__).with_name("toy.py"))
WAIT_S = 15.0
FREE: Capper = NoCaps(reason="not wanted in this test")


def toy(fleet: ProcessFleet, node: str, *more: str) -> NodePlan:
    """Return the plan of a toy server or till."""
    role = "server" if node == "server" else "till"
    argv = (sys.executable, TOY, role, str(fleet.port(node)), str(fleet.dir(node)), *more)
    return NodePlan(name=node, argv=argv, health_url=fleet.url(node) + "/v1/health")


def until(claim: Callable[[], bool]) -> bool:
    """Wait until a claim holds; False when it never did."""
    end = time.monotonic() + WAIT_S
    while not claim():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class FileWitness:
    """Reads the toy's files."""

    def __init__(self, fleet: ProcessFleet) -> None:
        self.fleet = fleet

    def _number(self, path: Path) -> int | None:
        try:
            return int(path.read_text())
        except (OSError, ValueError):
            return None

    def server_seq(self, till: str) -> int | None:
        """What the server kept."""
        return self._number(self.fleet.dir("server") / f"seq.{till}")

    def till_head(self, till: str) -> int | None:
        """What the till sold."""
        return self._number(self.fleet.dir(till) / "head")

    def till_acked(self, till: str) -> int | None:
        """What the till saw acknowledged."""
        return self._number(self.fleet.dir(till) / "acked")

    def till_reachable(self, till: str) -> bool:
        """Whether it answers."""
        return self.fleet.healthy(till)

    def till_last_sale_ms(self, till: str) -> int | None:
        """The clock of its last sale."""
        return self._number(self.fleet.dir(till) / "last_ms")

    def refusals(self, till: str, code: str) -> int | None:
        """How many sales it refused."""
        return self.fleet.log(till).read_text().count("refused")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[ProcessFleet]:
    """An empty fleet without caps."""
    with ProcessFleet(run_dir=tmp_path, seed=7, engine="builtin", capper=FREE) as made:
        yield made


@contextmanager
def opened(run: Path, engine: Choice) -> Iterator[Context]:
    """A server, the proxy, two tills that sell and upload, and the context for faults on them."""
    with ProcessFleet(run_dir=run, seed=7, engine=engine, capper=FREE) as fleet:
        fleet.start_proxy()
        fleet.stage(toy(fleet, "server"))
        fleet.stage(*(toy(fleet, till, fleet.link(till, "server").url) for till in ("T01", "T02")))
        witness = FileWitness(fleet)
        assert until(lambda: all((witness.till_acked(till) or 0) > 0 for till in ("T01", "T02")))
        system = SystemPlan(clock_files={till: fleet.dir(till) / "clock" for till in ("T01", "T02")})
        yield Context(fleet=fleet, witness=witness, system=system)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """An open shop whose links run through the built-in proxy."""
    with opened(tmp_path_factory.mktemp("shop"), "builtin") as context:
        yield context
