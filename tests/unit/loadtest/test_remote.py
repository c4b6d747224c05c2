"""Histories that come from other machines, piece by piece, and what is missed."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from loadtest.history import History
from loadtest.plan import CashierLogin, Plan, TillPlan
from loadtest.remote import BYTES_MAX, EXPECTED, Tail, append, expect, missing, own_folder, packed, unpacked

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


def test_a_worker_sends_nothing_of_an_earlier_run_or_of_a_neighbour(tmp_path: Path) -> None:
    """All write below one folder; the master gets this run's lines, under the name that it expects."""
    here = tmp_path / "master"
    expect(here, "c1")
    plans = [msgspec.structs.replace(PLAN, out_dir=str(tmp_path / "load"), start_at_ms=start) for start in (1, 2)]
    for plan, worker in ((plans[0], 1), (plans[1], 2)):
        other = History(own_folder(plan, worker), f"c{worker}")
        other.invoke(f="sale", op_id="old", till="T01", asked={})
        other.end()
    tail = Tail(own_folder(plans[1], 1))
    mine = History(tail.folder, "c1")
    append(here, tail.take())
    mine.invoke(f="sale", op_id="new", till="T01", asked={})
    mine.end()
    append(here, tail.take())
    assert missing(here) == []
    assert sorted(path.name for path in here.iterdir()) == [EXPECTED, "history-c1.jsonl"]
    lines = (here / "history-c1.jsonl").read_text().splitlines()
    assert [json.loads(line).get("op_id") for line in lines] == [None, "new", None]


def test_a_lost_history_is_missed_although_an_earlier_run_left_one(tmp_path: Path) -> None:
    """The same plan again, as when a master is started anew, begins in an empty folder, too."""
    plan = msgspec.structs.replace(PLAN, out_dir=str(tmp_path / "load"))
    here = tmp_path / "master"
    expect(here, "c1")
    History(own_folder(plan, 1), "c1").end()
    append(here, Tail(own_folder(plan, 1)).take())
    assert missing(here) == ["c1"]


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
