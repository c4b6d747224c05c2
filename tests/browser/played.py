"""A shop that is only played: what the live page asks of a run, answered from memory."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from chaos.errors import NodeFailed
from chaos.faults.base import Bite, Context, Healed
from chaos.faults.noop import Noop
from chaos.profiles import PROFILES
from loadtest.history import History
from rehearsal.drive.faults import FaultRunner, KnownFaults
from rehearsal.drive.watching import Selling
from rehearsal.live.board import Board
from rehearsal.options import SCENARIOS
from rehearsal.plan.loader import load_scenario
from rehearsal.plan.scenario import FaultPlan
from rehearsal.staging.sides import LIVE, PREPRODUCTION

TILLS = ("T01", "T02")


@dataclass
class Played:
    """The shop: which links are cut, which nodes are down, which server is live."""

    url: str
    cut: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    live: str = "server"
    synced: list[str] = field(default_factory=list)
    gone: bool = False

    def state(self, node: str) -> str:
        """As a fleet's; a fleet of containers that were removed knows nothing."""
        if self.gone:
            raise NodeFailed(f"{node}: the engine does not tell")
        return "stopped" if node in self.down else "running"

    def links(self, till: str | None = None) -> list[Any]:
        """As a fleet's."""
        return [
            SimpleNamespace(
                till=name, server="server",
                state=lambda name=name: SimpleNamespace(enabled=name not in self.cut, toxics=()),
            )
            for name in TILLS
            if till in (None, name)
        ]  # fmt: skip

    def answer(self, node: str, path: str) -> tuple[int, dict[str, Any]]:
        """What a node says."""
        if node in self.down:
            return 503, {}
        role = "live" if node == self.live else "standby" if self.live == "server" else "fenced"
        match path:
            case "/v1/status":
                return 200, {"till": node, "mode": "offline" if node in self.cut else "online"}
            case "/v1/alive" | "/v1/health":
                told = {"status": role, "term_n": 1 if self.live == "server" else 2, "feed_lag_ms": 12}
                return (503 if role != "live" and path == "/v1/health" else 200), told
            case "/v1/session":
                return 200, {"token": "t", "expires_in_s": 60}
            case "/v1/sync":
                self.synced.append(node)
                failed = {"ok": False, "error": "no answer"}
                return 200, failed if node in self.cut else {"ok": True, "up": {"acked": 41}}
        return 404, {}

    def promote_by_hand(self) -> tuple[bool, str]:
        """As the operator's."""
        self.live = "preproduction"
        return True, "syncref promote on preproduction: live in term 2"


class PlayedFault(Noop):
    """A cut or a kill of the played shop; other kinds change nothing that is seen."""

    def __init__(self, played: Played, kind: str, targets: Sequence[str]) -> None:
        super().__init__(targets)
        self.where = {"cut": played.cut, "kill": played.down}.get(kind, set())

    def inject(self, context: Context) -> None:
        """Begin."""
        self.where |= set(self.targets)

    def lift(self, context: Context) -> None:
        """End."""
        self.where -= set(self.targets)

    def verify(self, context: Context) -> Healed:
        """Read back."""
        return Healed(ok=True, text="played")

    def evidence(self, context: Context) -> Bite:
        """Show."""
        return Bite(bit=True, text="played")


@contextmanager
def playing(board: Board, folder: Path, make_fault: Any, *, cut_at_s: float = 590.0) -> Iterator[Played]:
    """Yield a shop that sells on a board. `make_fault(function)` puts a maker of faults in the runner's place.

    Its schedule has a latency on T02 from the start, and a cut at `cut_at_s`.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    played = Played(url=f"http://127.0.0.1:{server.server_address[1]}")
    server.played = played  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    make_fault(lambda kind, targets, _params: PlayedFault(played, kind, targets))
    scenario = load_scenario(SCENARIOS / "smoke.toml", faults=KnownFaults(), profiles=tuple(PROFILES))
    scenario = replace(
        scenario, load=replace(scenario.load, duration_s=600.0),
        faults=(FaultPlan(kind="latency", targets=("T02",), at_s=0.0, for_s=500.0),
                FaultPlan(kind="cut", targets=("T02",), at_s=cut_at_s, for_s=5.0)),
    )  # fmt: skip
    board.begun(scenario, folder)
    fleet = SimpleNamespace(state=played.state, links=played.links, url=lambda node: f"{played.url}/{node}")
    witness = SimpleNamespace(
        till_rows=lambda *_: [(time.time_ns() // 1_000_000, 7)], server_rows=lambda *_: [(2048,)]
    )
    operator = SimpleNamespace(
        live=lambda: LIVE if played.live == "server" else PREPRODUCTION, promote_by_hand=played.promote_by_hand
    )
    faults = FaultRunner(
        scenario,
        Context(fleet=cast(Any, fleet), witness=cast(Any, witness)),
        say=board.hear,
        control=board.control,
    )
    parts = folder / "load"
    history = History(parts, "c0")
    begin = board.control.begin = time.monotonic()
    shop = SimpleNamespace(
        fleet=fleet, tills=TILLS, sides=(LIVE, PREPRODUCTION), url=fleet.url,
        catalogue=SimpleNamespace(cashiers=[SimpleNamespace(cashier_id="C1", pin="1")]),
    )  # fmt: skip
    selling = Selling(
        scenario=scenario, shop=cast(Any, shop), witness=cast(Any, witness), faults=faults,
        stages=cast(Any, SimpleNamespace(records=[], current="stage 1 of 2: Both tills sell")),
        samplers=cast(Any, SimpleNamespace(latest={"T01": (1500, 20), "T02": (9, 9)})),
        operator=cast(Any, operator), parts=parts, begin=begin,
    )  # fmt: skip
    faults.start(begin)
    board.selling(selling)
    for n in range(20):
        of = history.invoke(f="sale", op_id=f"{n:032x}", till="T01", asked={})
        history.complete("ok", of=of, f="sale", op_id=f"{n:032x}", till="T01", ms=10.0 + n, more={})
    try:
        yield played
    finally:
        faults.heal()
        history.end()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _answer(self) -> None:
        _, node, path = self.path.split("/", 2)
        status, body = self.server.played.answer(node, "/" + path)  # type: ignore[attr-defined]
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
