"""The start page shows what is there, and hands out reports and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Router
from litestar.datastructures import State
from litestar.testing import TestClient

from rehearsal.live.board import SO_FAR, Board
from rehearsal.live.pages import run_app, secured, static
from rehearsal.live.start import Launcher, overview, past_findings, past_report, start, start_page
from rehearsal.options import scenario_names


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient[Any]]:
    """Yield a client of the start page over a folder with a run, a broken one, and things that are none."""
    run = tmp_path / "20240101T000000Z-smoke-1"
    run.mkdir()
    (run / "verdict.json").write_text(
        json.dumps({"verdict": "GO", "why": "all held", "scenario": "smoke", "seed": 1})
    )
    (run / "report.html").write_text("<p>the report")
    (run / "findings").mkdir()
    (run / "findings" / "stock.csv").write_text("what\n=1\n")
    (tmp_path / "20240102T000000Z-smoke-2" / "evidence").mkdir(parents=True)
    (tmp_path / "latest").symlink_to(run.name)
    (tmp_path / "bench").mkdir()
    launcher = Launcher(reports=tmp_path, home="")
    state = State({"launcher": launcher, "reports": tmp_path})
    handlers = [start_page, static, overview, start, past_report, past_findings]
    app = secured([Router(path="/token", route_handlers=handlers)], state)
    with TestClient(app) as made:
        yield made
    launcher.stop()


def test_the_start_page_lists_scenarios_and_past_runs(client: TestClient[Any]) -> None:
    """Newest first; one without a verdict says so."""
    found = client.get("/token/overview").json()
    assert [one["name"] for one in found["scenarios"]] == list(scenario_names())
    assert [(run["verdict"], run["report"] != "") for run in found["runs"]] == [("", False), ("GO", True)]
    assert client.get("/token/" + found["runs"][1]["report"]).text == "<p>the report"
    assert found["now"]["running"] is False


def test_a_reports_links_lead_to_its_findings(client: TestClient[Any]) -> None:
    """As they do on disk."""
    answer = client.get("/token/runs/20240101T000000Z-smoke-1/findings/stock.csv")
    assert (answer.status_code, answer.text) == (200, "what\n=1\n")
    assert answer.headers["content-type"].startswith("text/csv")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/overview",
        "/tokem/",
        "/token/runs/latest2/report.html",
        "/token/runs/..%2f/report.html",
        "/token/runs/20240101T000000Z-smoke-1/findings/money.csv",
        "/token/runs/20240101T000000Z-smoke-1/findings/..%2fverdict.json",
        "/token/runs/20240101T000000Z-smoke-1/findings/..%2f..%2fx.csv",
        "/token/start.py",
    ],
)
def test_nothing_is_told_without_the_token_or_beyond_the_reports(client: TestClient[Any], path: str) -> None:
    """404, whatever is asked for."""
    assert client.get(path).status_code == 404


def test_an_unknown_scenario_is_refused_with_the_known_ones(client: TestClient[Any]) -> None:
    """Before a process is started."""
    answer = client.post("/token/start", json={"scenario": "; rm"})
    assert answer.status_code == 409
    assert "smoke" in answer.json()["text"]
    assert client.post("/token/start", json={"scenario": "smoke", "more": 1}).status_code == 400


def test_a_page_that_comes_before_the_shop_can_do_nothing_and_never_says_go() -> None:
    """What is asked for is refused with a reason, and the page loads nothing from outside."""
    board = Board()
    try:
        with TestClient(run_app(board, "token", home="")) as client:
            page = client.get("/token/")
            assert "default-src 'self'" in page.headers["content-security-policy"]
            for what in ("halt", "pause", "resume", "cut", "heal", "kill", "restart", "sync", "promote", "end"):
                answer = client.post("/token/do", json={"what": what, "target": "T01"})
                assert (answer.status_code, answer.json()["text"]) == (409, "the shop does not sell now")
            assert "there is no 'erase'" in client.post("/token/do", json={"what": "erase"}).json()["text"]
            assert client.get("/token/report.html").status_code == 404
            assert board.state.so_far == SO_FAR
            assert not board.control.done()
    finally:
        board.close()
