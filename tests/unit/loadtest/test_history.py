"""Histories: order, numbering, and what is on disk when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.history import History
from loadtest.latency import Samples
from loadtest.operations import Login, Operation, Performer, history_extra, operation_id, repeat_delay_s
from loadtest.outcomes import Reply


def lines_of(folder: Path, worker: str) -> list[dict[str, Any]]:
    """Return a history's lines."""
    return [json.loads(line) for line in (folder / f"history-{worker}.jsonl").read_text().splitlines()]


class Scripted:
    """Answers requests from a list, and notes what the history held when each was sent."""

    def __init__(self, folder: Path, replies: list[Reply]) -> None:
        self.folder, self.replies, self.seen = folder, replies, []  # type: ignore[var-annotated]

    def __call__(self, method: str, url: str, **more: Any) -> Reply:
        if url.endswith("/session"):
            return Reply(status=200, body=b'{"token":"t","expires_in_s":60}')
        self.seen.append((more["body"], lines_of(self.folder, "c0")[-1]["type"]))
        return self.replies.pop(0)


def performed(folder: Path, replies: list[Reply], attempts: int = 1) -> tuple[Scripted, list[dict[str, Any]]]:
    """Return what was sent, and the history's lines without start and end, after some attempts."""
    http = Scripted(folder, replies)
    history = History(folder, "c0")
    login = Login(http, url="http://till/v1/session", credential={"cashier_id": "1", "pin": "1"})
    performer = Performer(http=http, login=login, history=history, samples=Samples(), deadline_ms=2000, by="1")
    basket = {"lines": [], "payments": []}
    operation = Operation(f="sale", op_id="aa", till="T01", url="x/sales", body=basket, asked={"basket": basket})
    for _ in range(attempts):
        performer.perform(operation, due_s=0.0)
    history.end()
    return http, lines_of(folder, "c0")[1:-1]


def test_the_invoke_is_written_before_the_request_is_sent(tmp_path: Path) -> None:
    """When a request goes out, the history on disk ends with its invoke."""
    http, lines = performed(tmp_path, [Reply(status=200, body=b'{"receipt_no":"R","gross":5,"tax":1,"sync":"s"}')])
    assert [at_send for _, at_send in http.seen] == ["invoke"]
    assert [line["type"] for line in lines] == ["invoke", "ok"]
    assert lines[1]["of"] == lines[0]["n"] and (lines[1]["receipt_no"], lines[1]["gross"]) == ("R", 5)
    assert (lines[0]["by"], lines[0]["basket"]) == ("1", {"lines": [], "payments": []})


def test_a_refused_session_is_renewed_within_the_attempt(tmp_path: Path) -> None:
    """An expired token costs a log-in, not the sale, and shows as one attempt."""
    http, lines = performed(tmp_path, [Reply(status=401), Reply(status=200, body=b"{}")])
    assert len(http.seen) == 2 and [line["type"] for line in lines] == ["invoke", "ok"]


def test_a_repeat_says_so_and_sends_the_same_bytes(tmp_path: Path) -> None:
    """An unknown outcome is asked for again with the same request."""
    http, lines = performed(
        tmp_path, [Reply(status=0, error="timeout"), Reply(status=200, body=b"{}")], attempts=2
    )
    assert http.seen[0][0] == http.seen[1][0]
    assert [(line["type"], line.get("repeat")) for line in lines] == [
        ("invoke", None), ("info", None), ("invoke", True), ("ok", None),
    ]  # fmt: skip


def test_an_answer_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    """A 200 with half a body proves nothing."""
    _, lines = performed(tmp_path, [Reply(status=200, body=b'{"rec')])
    assert (lines[1]["type"], lines[1]["code"]) == ("info", "unreadable")


def test_a_killed_attempt_is_written_as_unknown(tmp_path: Path) -> None:
    """Whoever is stopped while waiting leaves a line that says so."""

    class Killed(BaseException):
        pass

    class Killing(Scripted):
        def __call__(self, method: str, url: str, **more: Any) -> Reply:
            if url.endswith("/session"):
                return super().__call__(method, url, **more)
            raise Killed

    history = History(tmp_path, "c0")
    http = Killing(tmp_path, [])
    login = Login(http, url="http://till/v1/session", credential={})
    performer = Performer(http=http, login=login, history=history, samples=Samples(), deadline_ms=2000)
    with pytest.raises(Killed):
        performer.perform(Operation(f="sale", op_id="a", till="T", url="x", body={}, asked={}), due_s=0.0)
    history.end()
    assert [line["type"] for line in lines_of(tmp_path, "c0")] == ["start", "invoke", "info", "end"]


def test_lines_are_numbered_without_a_hole_from_start_to_end(tmp_path: Path) -> None:
    """A lost line or a cut tail shows."""
    performed(tmp_path, [Reply(status=200, body=b"{}")] * 5, attempts=5)
    lines = lines_of(tmp_path, "c0")
    assert [line["n"] for line in lines] == list(range(len(lines)))
    assert (lines[0]["type"], lines[-1]["type"]) == ("start", "end")


def test_a_second_run_in_the_folder_overwrites_nothing(tmp_path: Path) -> None:
    """The worker's name is made unique instead."""
    first, second = History(tmp_path, "c0"), History(tmp_path, "c0")
    first.end()
    second.end()
    assert (first.worker, second.worker) == ("c0", "c0-2")
    assert lines_of(tmp_path, "c0-2")[0]["worker"] == "c0-2"


def test_an_ok_close_keeps_the_whole_z() -> None:
    """The Z belongs into the evidence as the till gave it."""
    assert history_extra("close", {"gross": 1, "tax": 0}) == {"z": {"gross": 1, "tax": 0}}


def test_operation_ids_differ_by_run_seat_and_number() -> None:
    """No two operations share an id, nor do two runs of one seed."""
    ids = {operation_id(run, seat, n) for run in ("1-5", "1-6") for seat in ("T01|0", "T01|1") for n in range(50)}
    assert len(ids) == 200 and all(len(op_id) == 32 for op_id in ids)


def test_asking_again_slows_down_to_a_bound() -> None:
    """Half a second first, four at most."""
    assert [repeat_delay_s(n) for n in (1, 2, 3, 4, 5, 50)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
