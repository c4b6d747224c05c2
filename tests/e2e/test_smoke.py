"""A real run: server, tills, proxy, cashiers and one cut cable, down to files that anyone can add up.

How busy the machine is decides whether speed can be judged, so these tests ask for what was proved of the
money, and that the exit code is that of the verdict.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import PROGRAM, RUN_S, Finished, rehearse, tillproof

EXIT = {"GO": 0, "NO-GO": 10, "INCONCLUSIVE": 20}
MONEY = ("receipts", "money", "settlement", "masters", "edits", "prices", "stock", "chain", "drain")


def rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with nothing but csv."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_check_of_the_money_acquits(smoke: Finished) -> None:
    """Cut cable or not: receipts, money, settlement, masters, prices, stock and chain are exact."""
    checks = smoke.checks()
    assert {name: checks.get(name) for name in MONEY} == dict.fromkeys(MONEY, "VALID"), smoke.output
    assert smoke.code == EXIT[smoke.verdict["verdict"]]


def test_the_last_line_is_the_outcome_and_the_first_lines_are_what_ran(smoke: Finished) -> None:
    """Seed, commit and options come first; verdict, reason and place of the report come last."""
    lines = smoke.output.strip().splitlines()
    assert lines[-1].startswith(f"{smoke.verdict['verdict']}: ")
    assert "report.html" in lines[-1]
    head = "\n".join(lines[:14])
    for word in ("seed", "commit", "fleet", "faults", "masters", "profile"):
        assert word in head


def test_the_fault_bit_and_was_healed(smoke: Finished) -> None:
    """A cut is proved by what piled up behind it."""
    fault = smoke.verdict["faults"][0]
    assert fault["kind"] == "cut"
    assert fault["bit"] is True
    assert "the server got none" in fault["evidence"]


def test_the_sums_follow_from_csv_and_int_alone(smoke: Finished) -> None:
    """Cashiers, tills and server add up to the same figure, which is verdict.json's."""
    assert smoke.folder is not None
    evidence = smoke.folder / "evidence"
    tills = sum(int(row["gross"]) for path in evidence.glob("tills/*/receipts.csv") for row in rows(path))
    server = sum(
        int(row["gross"]) for row in rows(evidence / "server/receipts.csv") if row["status"] != "duplicate"
    )
    days = {
        (row["till"], row["business_date"]): int(row["gross"]) for row in rows(evidence / "server/settlement.csv")
    }
    cashiers = {}
    for line in (evidence / "history.jsonl").read_text().splitlines():
        done = json.loads(line)
        if done["type"] == "ok" and done.get("f") in ("sale", "refund", "void"):
            cashiers[done["op_id"]] = done["gross"]
    assert tills == server == sum(days.values()) == sum(cashiers.values()) != 0
    assert smoke.verdict["sales"]["gross_minor"] == {"cashiers": tills, "tills": tills, "server": tills, "lost": 0}


def test_all_files_of_the_report_are_there(smoke: Finished) -> None:
    """The page, the verdict, what machines read, the latencies and every process's log."""
    assert smoke.folder is not None
    for name in ("report.html", "verdict.json", "junit.xml", "summary.md", "metrics.txt", "benchmark.json"):
        assert (smoke.folder / name).stat().st_size > 0, name
    assert list(smoke.folder.glob("load/*.hgrm"))
    assert list(smoke.folder.glob("load/*.csv"))
    for node in ("T01", "T02", "server", "backoffice", "postgres", "proxy", "load"):
        assert (smoke.folder / "logs" / f"{node}.log").exists(), node
    suite = ET.parse(smoke.folder / "junit.xml").getroot()  # noqa: S314 - our own file
    assert not [case for case in suite.iter("testcase") if case.find("skipped") is not None]


def test_no_secret_is_in_the_report(smoke: Finished) -> None:
    """PINs, tokens and credentials stay in the run's temporary folder."""
    assert smoke.folder is not None
    for path in smoke.folder.rglob("*"):
        if path.is_file():
            assert path.name not in ("load.json", "cashiers.csv", "till.secret", "clerks.csv", "tills.csv")
    history = (smoke.folder / "evidence" / "history.jsonl").read_text()
    assert '"secret"' not in history
    assert '"token"' not in history


def edit_amount(evidence: Path) -> None:
    """Change the gross of one receipt on the server by one cent."""
    path = evidence / "server" / "receipts.csv"
    found = rows(path)
    found[0]["gross"] = str(int(found[0]["gross"]) + 1)
    write(path, found)


def delete_receipt(evidence: Path) -> None:
    """Delete one receipt on its till."""
    path = evidence / "tills" / "T01" / "receipts.csv"
    write(path, rows(path)[1:])


def delete_history_line(evidence: Path) -> None:
    """Delete one line in the middle of the history."""
    path = evidence / "history.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2] + lines[len(lines) // 2 + 1 :]))


def cut_history(evidence: Path) -> None:
    """Lose the history's tail."""
    path = evidence / "history.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))


def write(path: Path, found: list[dict[str, str]]) -> None:
    """Write a CSV file again."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


@pytest.mark.parametrize(
    ("harm", "code"),
    [(edit_amount, 10), (delete_receipt, 10), (delete_history_line, 20), (cut_history, 20)],
)
def test_check_notices_what_was_done_to_the_evidence(
    smoke: Finished, tmp_path: Path, harm: Callable[[Path], None], code: int
) -> None:
    """An amount or a receipt that is not what it was convicts; a hole in the history withholds."""
    assert smoke.folder is not None
    copy = tmp_path / "copy"
    shutil.copytree(smoke.folder, copy)
    harm(copy / "evidence")
    assert tillproof("check", str(copy)).code == code


def test_check_says_the_same_again(smoke: Finished) -> None:
    """From the evidence alone comes the same verdict."""
    assert smoke.folder is not None
    again = tillproof("check", str(smoke.folder))
    assert again.code == smoke.code, again.output


IDLE = """\
title = "A cut on a till that nobody uses"
seed = 1
claims = ["receipts", "money"]
[fleet]
tills = 2
till_database = "postgresql"
[catalogue]
products = 50
pairs = 0
[load]
duration = "5s"
rate = 3.0
[[stages]]
name = "selling"
at = 0
for = "5s"
tills = ["T01"]
[[faults]]
kind = "cut"
targets = ["T02"]
at = "1s"
for = "2s"
"""


def test_a_fault_that_does_nothing_is_inconclusive(tmp_path: Path) -> None:
    """A cut on a proxy that nobody uses proves nothing, however exact the money is. Tills on PostgreSQL."""
    scenario = tmp_path / "idle.toml"
    scenario.write_text(IDLE)
    run = rehearse(tmp_path / "reports", str(scenario))
    assert run.code == 20, run.output
    checks = run.checks()
    assert (checks["receipts"], checks["money"], checks["validity"]) == ("VALID", "VALID", "UNKNOWN"), run.output
    assert run.verdict["faults"][0]["bit"] is False


def test_an_interrupted_run_heals_stops_and_still_reports(tmp_path: Path) -> None:
    """Ctrl-C in the middle of selling: a report that says so, exit code 20, and no process left."""
    words = [
        *PROGRAM,
        "run",
        "smoke",
        "--fleet",
        "process",
        "--set",
        "load.duration=120s",
        "--reports",
        str(tmp_path),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stdout is not None
        said: list[str] = []
        started: list[psutil.Process] = []
        for line in run.stdout:
            said.append(line)
            if "stage 2" in line:
                started = psutil.Process(run.pid).children(recursive=True)
                os.kill(run.pid, signal.SIGINT)
                break
        said.append(run.stdout.read())
        code = run.wait(RUN_S)
    output = "".join(said)
    assert code == 20, output
    assert "the run was interrupted" in output
    verdict = json.loads((tmp_path / "latest" / "verdict.json").read_text())
    assert verdict["verdict"] == "INCONCLUSIVE"
    assert {c["name"]: c["verdict"] for c in verdict["checks"]}["receipts"] == "VALID", output
    assert len(started) > 6, output
    assert [process for process in started if process.is_running()] == []


def test_no_secret_is_in_the_report_the_evidence_or_the_logs(smoke: Finished) -> None:
    """Every file of a run: no token, no password hash, no private key; credentials are gone with its folder."""
    assert smoke.folder is not None
    found = []
    for path in smoke.folder.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            found += [
                (path.name, mark) for mark in (b"WzEs", b"$argon2", b"PRIVATE KEY", b'"pin"') if mark in text
            ]
    assert found == []
