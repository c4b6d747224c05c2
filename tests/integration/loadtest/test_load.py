"""Locust runs against tills of the test's own making."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtest.history import History
from loadtest.remote import missing
from tests.integration.loadtest.fake_till import FakeTill, serving

ROOT = Path(__file__).parents[3]
LOCUST = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py"]
START_MS = 4000


@pytest.fixture
def masters(tmp_path: Path) -> Path:
    """Write a folder of masters."""
    folder = tmp_path / "masters"
    folder.mkdir()
    skus = [f"S{i:04d}" for i in range(200)]
    (folder / "products.csv").write_text(
        "sku,name,tax_code,vendor_id\n" + "".join(f"{sku},Product,A,V1\n" for sku in skus)
    )
    (folder / "prices.csv").write_text("sku,valid_from_ms,amount\n" + "".join(f"{sku},0,100\n" for sku in skus))
    return folder


def write_plan(folder: Path, masters: Path, tills: list[FakeTill], urls: list[str], **changes: Any) -> Path:
    """Write a plan for fake tills; the last one is the back office."""
    plan = {
        "seed": 11, "start_at_ms": time.time_ns() // 1_000_000 + START_MS, "duration_s": 4.0,
        "out_dir": str(folder / "out"), "catalogue": str(masters), "business_date": "2026-01-02",
        "sale_deadline_ms": 1500, "grace_s": 6.0, "pairs": [["S0001", "S0002", 500]],
        "mix": {"refund": 0.25, "void": 0.15, "repeat_ok": 0.1, "edited": 0.1},
        "tills": [
            {"name": till.name, "url": url, "rate_per_s": 4.0, "cashiers": [{"cashier_id": "1", "pin": "1234"}]}
            for till, url in zip(tills[:-1], urls[:-1], strict=True)
        ],
        "clerks": [{"name": "a", "secret": "1234", "url": urls[-1], "rate_per_s": 3.0}],
        **changes,
    }  # fmt: skip
    path = folder / "load.json"
    path.write_text(json.dumps(plan))
    return path


def run_locust(plan: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run Locust on a plan to its end."""
    environment = {**os.environ, "TILLPROOF_LOAD": str(plan)}
    return subprocess.run(
        [*LOCUST, "--headless", *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def history(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the lines of all histories of a kind, checked to be whole."""
    lines: list[dict[str, Any]] = []
    for path in sorted((folder / "out").glob(f"history-{kind}*.jsonl")):
        own = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line["n"] for line in own] == list(range(len(own)))
        assert (own[0]["type"], own[-1]["type"]) == ("start", "end")
        lines += own
    return lines


def best(lines: list[dict[str, Any]]) -> dict[str, str]:
    """Return each operation's outcome: ok, else unknown, else fail."""
    rank = {"ok": 0, "info": 1, "fail": 2}
    found: dict[str, str] = {}
    for line in lines:
        if line["type"] in rank:
            known = found.setdefault(line["op_id"], line["type"])
            found[line["op_id"]] = min(known, line["type"], key=rank.__getitem__)
    return found


def test_a_planned_run_leaves_a_history_that_equals_what_the_tills_did(tmp_path: Path, masters: Path) -> None:
    """Lost answers are asked for again until known; every ok is on its till once, and nothing else is.

    A sale that a price has overtaken is asked once more, as another operation.
    """
    tills = [FakeTill("T01"), FakeTill("T02", token_lasts_s=1), FakeTill("office")]
    with serving(*tills) as urls:
        tills[0].silent = 3
        tills[1].stalled, tills[1].overtaken = 1, 1
        tills[2].silent = 1
        ended = run_locust(write_plan(tmp_path, masters, tills, urls))
    assert ended.returncode == 0, ended.stderr
    cashiers, clerks = history(tmp_path, "c"), history(tmp_path, "b")
    done = {op_id for till in tills[:2] for op_id in till.operations}
    outcomes = best(cashiers)
    assert {op_id for op_id, type_ in outcomes.items() if type_ == "ok"} == done
    assert "info" not in outcomes.values()
    requoted = {line["op_id"] for line in cashiers if line.get("requoted")}
    assert [line["f"] for line in cashiers if line.get("code") == "unbalanced"] == ["sale"]
    assert [outcomes[op_id] for op_id in requoted] == ["ok"]
    assert {line["code"] for line in cashiers if line["type"] == "info"} == {"broken", "timeout"}
    edited = {line["n"] for line in cashiers if line.get("edited")}
    answers = {line["of"]: line for line in cashiers if "of" in line}
    assert edited and {answers[n].get("code") for n in edited} == {"operation_reused"}
    assert {"open", "sale", "refund", "void"} <= {line["f"] for line in cashiers if line["type"] == "ok"}
    assert all(line["ms"] >= 1500 for line in cashiers if line["type"] == "info")
    assert set(best(clerks).values()) == {"ok"} and set(tills[2].operations) == set(best(clerks))
    assert tills[1].logins > 1, "a token expired and was renewed"
    refunds = [
        (till.name, receipt["ref"]) for till in tills for receipt in till.receipts.values() if receipt["ref"]
    ]
    assert any(not ref.startswith(name) for name, ref in refunds), "another till's receipt was refunded"
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"latency.csv", "latency-T01-sale.hgrm", "locust_stats.csv", "samples-c0.csv"} <= files
    with (tmp_path / "out" / "samples-c0.csv").open() as file:
        assert file.readline() == "till,at_ms,pair,a,b\n" and "S0001+S0002" in file.readline()


def test_the_day_is_closed_with_the_cash_that_the_history_counts(tmp_path: Path, masters: Path) -> None:
    """close_day writes a history of its own, asks again after a lost answer, and fails where a till is gone."""
    tills = [FakeTill("T01"), FakeTill("office")]
    command = [sys.executable, "-m", "loadtest.close_day", "--plan"]
    with serving(*tills) as urls:
        plan = write_plan(tmp_path, masters, tills, urls, duration_s=1.5)
        assert run_locust(plan).returncode == 0
        tills[0].silent = 1
        closed = subprocess.run([*command, str(plan)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert closed.returncode == 0 and closed.stdout.startswith("T01: ok, gross "), closed.stderr
    types = [(line["type"], line.get("repeat")) for line in history(tmp_path, "d")]
    assert types == [
        ("start", None), ("invoke", None), ("info", None), ("invoke", True), ("ok", None), ("end", None),
    ]  # fmt: skip
    asked = history(tmp_path, "d0")[1]["counted_cash"]
    assert history(tmp_path, "d0")[-2]["z"]["counted_cash"] == asked
    again = subprocess.run([*command, str(plan)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "T01: fail, no_session" in again.stdout
    missing = subprocess.run([*command, "nowhere.json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert missing.returncode == 2 and "nowhere.json" in missing.stderr


@pytest.mark.long
def test_two_processes_share_the_tills_without_doubling_a_schedule(tmp_path: Path, masters: Path) -> None:
    """Each till is served by one worker, histories have names of their own, latencies are merged."""
    tills = [*(FakeTill(f"T{i:02d}") for i in range(1, 5)), FakeTill("office")]
    with serving(*tills) as urls:
        ended = run_locust(write_plan(tmp_path, masters, tills, urls), "--processes", "2")
    assert ended.returncode == 0, ended.stderr
    lines = history(tmp_path, "c")
    served = {(line["worker"], line["till"]) for line in lines if line["type"] == "invoke"}
    assert len(served) == 4 and {worker for worker, _ in served} == {"c0", "c1"}
    first = [line["op_id"] for line in lines if line["type"] == "invoke" and not line.get("repeat")]
    assert len(first) == len(set(first))
    assert set(best(lines)) >= {op_id for till in tills[:4] for op_id in till.operations}
    sales = Counter(
        line["till"] for line in lines if line["type"] == "ok" and line["f"] == "sale" and not line.get("repeat")
    )
    for till in tills[:4]:
        text = (tmp_path / "out" / f"latency-{till.name}-sale.hgrm").read_text()
        assert "TotalCount" in text and sales[till.name]


def distributed(tmp_path: Path, plan: Path, workers: list[dict[str, str]]) -> list[subprocess.Popen[str]]:
    """Start a master that waits for its workers, and the workers; each worker adds to the environment."""
    port = str(free_port())
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TILLPROOF")}
    master = ["--headless", "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port,
              "--expect-workers", str(len(workers)), "--expect-workers-max-wait", "30"]  # fmt: skip
    processes = [
        subprocess.Popen([*LOCUST, *master], cwd=ROOT, env={**environment, "TILLPROOF_LOAD": str(plan)}, text=True,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    ]  # fmt: skip
    for number, more in enumerate(workers):
        options = ["--worker", "--master-host", "127.0.0.1", "--master-port", port]
        if "TILLPROOF_LOAD" not in more:
            options += ["--catalogue", str(tmp_path / "masters"), "--out", str(tmp_path / f"elsewhere{number}")]
        processes.append(
            subprocess.Popen([*LOCUST, *options], cwd=ROOT, env={**environment, **more}, text=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        )  # fmt: skip
    return processes


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Wait for all and return their exit codes and what they said."""
    try:
        return [(process.wait(60), process.stderr.read() if process.stderr else "") for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()


@pytest.mark.long
def test_a_worker_of_another_machine_gets_the_plan_and_sends_its_history(tmp_path: Path, masters: Path) -> None:
    """It has no plan file and another folder, where an earlier run's history is left; the master's folder holds
    everybody's whole history of this run, and nothing else."""
    left = History(tmp_path / "elsewhere0", "c0")
    left.invoke(f="sale", op_id="of an earlier run", till="T01", asked={})
    left.end()
    tills = [*(FakeTill(f"T{i:02d}") for i in range(1, 5)), FakeTill("office")]
    with serving(*tills) as urls:
        plan = write_plan(tmp_path, masters, tills, urls, start_at_ms=time.time_ns() // 1_000_000 + 9000)
        codes = ended(distributed(tmp_path, plan, [{}, {"TILLPROOF_LOAD": str(plan)}]))
    assert [code for code, _ in codes] == [0, 0, 0], codes
    assert list((tmp_path / "elsewhere0").glob("*/history-c*.jsonl")), "the remote worker served somebody"
    lines = history(tmp_path, "c")
    done = {op_id for till in tills[:4] for op_id in till.operations}
    assert {op_id for op_id, type_ in best(lines).items() if type_ == "ok"} == done
    assert len({line["worker"] for line in lines}) == 2
    assert not any(line.get("op_id") == "of an earlier run" for line in lines)
    assert missing(tmp_path / "out") == []


@pytest.mark.long
def test_a_worker_that_is_killed_leaves_a_history_without_an_end(tmp_path: Path, masters: Path) -> None:
    """Its seats go to the others; that it is gone can't be overlooked."""
    tills = [*(FakeTill(f"T{i:02d}") for i in range(1, 5)), FakeTill("office")]
    with serving(*tills) as urls:
        begin_ms = time.time_ns() // 1_000_000 + 9000
        plan = write_plan(tmp_path, masters, tills, urls, start_at_ms=begin_ms, duration_s=8.0)
        processes = distributed(tmp_path, plan, [{"TILLPROOF_LOAD": str(plan)}] * 2)
        for _ in until(40):
            if all(till.receipts for till in tills[:4]):
                break
        processes[1].kill()
        ended(processes)
    files = sorted((tmp_path / "out").glob("history-c*.jsonl"))
    last = [json.loads(path.read_text().splitlines()[-1])["type"] for path in files]
    assert len(files) == 2 and sorted(kind == "end" for kind in last) == [False, True]


def test_a_stopped_run_says_what_it_doesnt_know(tmp_path: Path, masters: Path) -> None:
    """SIGTERM ends the histories properly; whatever was in flight is unknown."""
    tills = [FakeTill("T01"), FakeTill("office")]
    with serving(*tills) as urls:
        plan = write_plan(tmp_path, masters, tills, urls, duration_s=600, start_at_ms=time.time_ns() // 1_000_000)
        environment = {**os.environ, "TILLPROOF_LOAD": str(plan)}
        with subprocess.Popen(
            [*LOCUST, "--headless"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            for _ in until(20):
                if len(tills[0].receipts) >= 3:
                    break
            tills[0].stalled = 100
            for _ in until(20):
                if tills[0].stalled < 100:
                    break
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    lines = history(tmp_path, "c")
    assert set(tills[0].operations) <= set(best(lines))
    assert any(line["type"] == "info" for line in lines)
    invoked = {line["n"] for line in lines if line["type"] == "invoke"}
    assert invoked == {line["of"] for line in lines if "of" in line}


def until(seconds: float) -> Iterator[None]:
    """Yield every 20 ms for some time, then fail."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        yield
        time.sleep(0.02)
    pytest.fail("waited too long")


def test_a_lone_user_drives_it_from_the_web_page(tmp_path: Path, masters: Path) -> None:
    """No rehearsal, no plan file: options and Locust's page; a second start goes on under another name."""
    till = FakeTill("T01")
    with serving(till) as urls:
        options = [
            "--tills", urls[0], "--cashier", "1", "--pin", "1234", "--catalogue", str(masters), "--seed", "3",
            "--rate", "20", "--out", str(tmp_path / "out"), "--web-host", "127.0.0.1",
            "--web-port", str(free_port()),
        ]  # fmt: skip
        environment = {key: value for key, value in os.environ.items() if key != "TILLPROOF_LOAD"}
        with subprocess.Popen(
            [*LOCUST, *options], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            page = f"http://127.0.0.1:{options[-1]}"
            for _ in until(20):
                if answers(f"{page}/"):
                    break
            receipts = 0
            for _ in range(2):
                post(f"{page}/swarm", b"user_count=2&spawn_rate=2&host=")
                for _ in until(20):
                    if len(till.receipts) >= receipts + 3:
                        break
                post(f"{page}/stop", b"")
                receipts = len(till.receipts)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    lines = history(tmp_path, "c")
    assert {line["worker"] for line in lines} == {"c0", "c0-2"}
    assert set(till.operations) <= set(best(lines))


def test_a_lone_user_is_told_what_is_missing(tmp_path: Path) -> None:
    """No trace, one line, exit 2."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TILLPROOF")}
    for options, told in (
        (["--headless"], "--tills: no till given"),
        (["--headless", "--host", "http://127.0.0.1:9", "--cashier", "1", "--pin", "1"], "--catalogue: is needed"),
    ):
        ended = subprocess.run(
            [*LOCUST, *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert ended.returncode == 2 and f"loadtest: {told}" in ended.stderr and "Traceback" not in ended.stderr


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Tell whether a page answers."""
    try:
        with urllib.request.urlopen(url, timeout=10):  # noqa: S310
            return True
    except OSError:
        return False


def post(url: str, body: bytes) -> None:
    """Send a form."""
    with urllib.request.urlopen(url, data=body, timeout=10) as answer:  # noqa: S310
        assert answer.status == 200
