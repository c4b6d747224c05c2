"""Histories that come from other machines, piece by piece, and what is missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.plan import CashierLogin, Plan, TillPlan
from loadtest.remote import BYTES_MAX, EXPECTED, Tail, append, expect, missing, packed, unpacked

PLAN = Plan(
    seed=3,
    out_dir="/the/masters/folder",
    catalogue="/the/masters/goods",
    tills=(TillPlan(name="T01", url="http://x", rate_per_s=1, cashiers=(CashierLogin(cashier_id="1", pin="2"),)),),
)


def test_what_is_written_arrives_once_and_in_order(tmp_path: Path) -> None:
    """Each take holds only what is new; the pieces together are the file."""
    here, there = tmp_path / "worker", tmp_path / "master"
    here.mkdir()
    there.mkdir()
    tail = Tail(here)
    for text in ("one\n", "two\n", ""):
        with (here / "history-c1.jsonl").open("a") as file:
            file.write(text)
        append(there, tail.take())
    assert tail.take() == {}
    assert (there / "history-c1.jsonl").read_text() == "one\ntwo\n"


def test_a_large_piece_comes_in_parts(tmp_path: Path) -> None:
    """No report grows beyond its bound."""
    (tmp_path / "history-b12-2.jsonl").write_bytes(b"x" * (BYTES_MAX + 10))
    tail = Tail(tmp_path)
    assert [len(piece["history-b12-2.jsonl"]) for piece in (tail.take(), tail.take())] == [BYTES_MAX, 10]


def test_other_files_stay_where_they_are(tmp_path: Path) -> None:
    """Only histories and pair samples travel."""
    for name in ("samples-c0.csv", "latency.csv", "locust_stats.csv", EXPECTED):
        (tmp_path / name).write_text("x")
    assert list(Tail(tmp_path).take()) == ["samples-c0.csv"]


@pytest.mark.parametrize(
    "name", ["../history-c1.jsonl", "/etc/passwd", "load.json", "history-c1.jsonl/..", "history-C1.jsonl"]
)
def test_a_worker_writes_no_other_file(tmp_path: Path, name: str) -> None:
    """A name that leads elsewhere is refused."""
    with pytest.raises(ValueError, match="is no history of a worker"):
        append(tmp_path, {name: b"x"})
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_had_a_seat_and_left_no_history_is_missed(tmp_path: Path) -> None:
    """Noted once for each worker, however many seats it took."""
    folder = tmp_path / "out"
    assert missing(tmp_path) == []
    for name in ("c0", "c1", "c0", "b1"):
        expect(folder, name)
    (folder / "history-c0.jsonl").write_text("")
    assert missing(folder) == ["c1", "b1"]


def test_a_plan_keeps_everything_but_the_masters_folders() -> None:
    """Schedules, logins and seed are the master's; folders this machine's own."""
    plan = unpacked(packed(PLAN), out_dir="mine", catalogue="goods")
    assert (plan.out_dir, plan.catalogue, plan.tills, plan.seed) == ("mine", "goods", PLAN.tills, 3)
    assert unpacked(packed(PLAN), out_dir="", catalogue="").catalogue == PLAN.catalogue
