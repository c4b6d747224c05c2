"""The start page: which scenarios there are, what past runs came to, and one run at a time to start and watch.

Keeps: a run is a process of its own with a page of its own; closing a page ends nothing, ending this program ends
the run as Ctrl-C does: healed, settled and reported.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec
from anyio import to_thread
from litestar import Response, Router, get, post
from litestar.datastructures import State as AppState
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, JSONBody

from rehearsal.live.pages import Did, page, secured, static
from rehearsal.live.serving import ADDRESS_FILE, HOME, PageServer, address_of, listen, new_token
from rehearsal.model import EXIT_COULD_NOT_RUN
from rehearsal.options import scenario_names
from rehearsal.report.verdict import FINDINGS_FOLDER
from rehearsal.shipped import all_shipped

RUNS_SHOWN = 50
STOP_DEADLINE_S = 120.0
PROGRAM = "import sys; from rehearsal.cli import main; sys.argv[0] = 'tillproof'; main()"


class StartAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which scenario to run. None: as the scenario says."""

    scenario: str
    seed: int | None = None
    tills: int | None = None


@dataclass
class Launcher:
    """Starts one run at a time."""

    reports: Path
    home: str
    _process: subprocess.Popen[bytes] | None = None
    _scenario: str = ""
    _folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="tillproof-ui-")))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, asked: StartAsked) -> Did:
        """Start a run, unless one is going on."""
        if asked.scenario not in scenario_names():
            return Did(
                ok=False, text=f"there is no scenario {asked.scenario!r}; there is {', '.join(scenario_names())}"
            )
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return Did(ok=False, text=f"{self._scenario} is still running")
            self._address_file.unlink(missing_ok=True)
            words = ["run", asked.scenario, "--ui", "--reports", str(self.reports)]
            words += ["--seed", str(asked.seed)] if asked.seed is not None else []
            words += ["--tills", str(asked.tills)] if asked.tills is not None else []
            with self._output.open("wb") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, *words],
                    env={**os.environ, HOME: self.home, ADDRESS_FILE: str(self._address_file)},
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            self._scenario = asked.scenario
        return Did(ok=True, text=f"{asked.scenario} starts")

    def now(self) -> dict[str, Any]:
        """Return what runs, and where its page is; or how the last run ended."""
        process = self._process
        if process is None:
            return {"running": False, "scenario": "", "address": "", "exit": None, "last": ""}
        code = process.poll()
        address = ""
        if code is None and self._address_file.exists():
            address = str(json.loads(self._address_file.read_text(encoding="utf-8"))["address"])
        lines = self._output.read_text(encoding="utf-8", errors="replace").splitlines()
        return {
            "running": code is None, "scenario": self._scenario, "address": address, "exit": code,
            "last": lines[-1] if lines else "",
        }  # fmt: skip

    def stop(self) -> None:
        """End the run as Ctrl-C does, and wait for its report."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for file in (self._address_file, self._output):
            file.unlink(missing_ok=True)
        self._folder.rmdir()

    @property
    def _address_file(self) -> Path:
        return self._folder / "address.json"

    @property
    def _output(self) -> Path:
        return self._folder / "output.txt"


def serve_start_page(port: int, reports: Path) -> int:
    """Serve until Ctrl-C; return the exit code."""
    token = new_token()
    try:
        listener = listen(port)
    except OSError as error:
        click.echo(f"could not serve: port {port}: {error.strerror or error}", err=True)
        return EXIT_COULD_NOT_RUN
    address = address_of(listener, token)
    launcher = Launcher(reports=reports, home=address)
    state = AppState({"launcher": launcher, "reports": reports, "leaving": False})
    handlers = [start_page, static, overview, start, past_report, past_findings]
    server = PageServer(secured([Router(path=f"/{token}", route_handlers=handlers)], state), listener)
    server.start()
    click.echo(f"Tillproof at {address}\nCtrl-C ends it, and a run with it.")
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        while not ended.wait(1.0):
            pass
    except KeyboardInterrupt:
        click.echo("ending; a run that is going on is healed and reported")
    finally:
        signal.signal(signal.SIGTERM, before)
        launcher.stop()
        server.stop()
    return 0


def scenarios() -> list[dict[str, Any]]:
    """Return name, title and length of Tillproof's own scenarios."""
    return [
        {
            "name": one.name,
            "title": one.title + (" (needs containers)" if one.containers_only else ""),
            "tills": one.tills,
            "faults": one.faults,
            "for": one.duration,
        }
        for one in all_shipped()
    ]


def past_runs(reports: Path) -> list[dict[str, str]]:
    """Return the latest runs, newest first; a folder without a verdict is said to have none."""
    if not reports.is_dir():
        return []
    folders = sorted((each for each in reports.iterdir() if _is_run(each)), reverse=True)
    found = []
    for folder in folders[:RUNS_SHOWN]:
        try:
            verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
            told = {key: str(verdict.get(key, "")) for key in ("verdict", "why", "scenario", "seed", "started")}
        except (OSError, ValueError, AttributeError):
            told = {"verdict": "", "why": "no verdict: not finished, or broken off", "scenario": "", "seed": ""}
        has = (folder / "report.html").is_file()
        found.append({"id": folder.name, "report": f"runs/{folder.name}/report.html" if has else "", **told})
    return found


def _is_run(folder: Path) -> bool:
    return (
        folder.is_dir()
        and not folder.is_symlink()
        and ((folder / "verdict.json").exists() or (folder / "evidence").is_dir())
    )


@get("/", media_type="text/html")
async def start_page() -> Response[str]:
    """Return the start page."""
    return page("start.html")


@get("/overview")
async def overview(state: AppState) -> dict[str, Any]:
    """Return scenarios, past runs and what runs now."""

    def read() -> dict[str, Any]:
        return {"scenarios": scenarios(), "runs": past_runs(state.reports), "now": state.launcher.now()}

    return await to_thread.run_sync(read)


@post("/start", status_code=200)
async def start(data: JSONBody[StartAsked], state: AppState) -> Response[Did]:
    """Start a run."""
    did = await to_thread.run_sync(state.launcher.start, data)
    return Response(did, status_code=200 if did.ok else 409)


@get("/runs/{run:str}/report.html", media_type="text/html")
async def past_report(run: FromPath[str], state: AppState) -> Response[str]:
    """Return the report of a past run."""
    return Response(_of_run(state.reports, run, "report.html"), media_type="text/html")


@get("/runs/{run:str}/findings/{name:str}", media_type="text/csv")
async def past_findings(run: FromPath[str], name: FromPath[str], state: AppState) -> Response[str]:
    """Return all findings of a check, to which the report links."""
    if Path(name).name != name or not name.endswith(".csv"):
        raise NotFoundException
    return Response(_of_run(state.reports, run, f"{FINDINGS_FOLDER}/{name}"), media_type="text/csv")


def _of_run(reports: Path, run: str, file: str) -> str:
    """Return a file's text; what is no run or not there is not found."""
    path = reports / run / file
    if Path(run).name != run or run.startswith(".") or not path.is_file():
        raise NotFoundException
    return path.read_text(encoding="utf-8")
