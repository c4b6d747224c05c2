"""A clerk's list of back offices: who is asked next, and that a refusal is asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtest.history import History
from loadtest.latency import Samples
from loadtest.offices import Offices
from loadtest.operations import Operation
from loadtest.outcomes import REFUSED, Reply

TOKEN = Reply(status=200, body=b'{"token": "t", "expires_in_s": 900}')
OK = Reply(status=200, body=b'{"status": "ok"}')
NOT_LIVE = Reply(
    status=503,
    body=msgspec.json.encode({"code": "not_live", "message": "m", "definite": True, "request_id": "r"}),
)


class Http:
    """Answers by address."""

    def __init__(self, **answers: Reply) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, method: str, url: str, **more: Any) -> Reply:
        """Answer."""
        host = url.split("/")[2]
        if url.endswith("/v1/token"):
            return TOKEN if self.answers[host].error != REFUSED else self.answers[host]
        self.asked.append(host)
        return self.answers[host]


def operation() -> Operation:
    """A document."""
    return Operation(f="price", op_id="0" * 32, till="backoffice", url="http://a/v1/prices", body={}, asked={})


def offices(tmp_path: Path, http: Http, *urls: str) -> Offices:
    """A clerk's list."""
    return Offices(
        http=http, urls=urls, credential={"name": "alice"}, history=History(tmp_path, "b0"), samples=Samples(),
        deadline_ms=1000,
    )  # fmt: skip


@pytest.mark.parametrize("first", [NOT_LIVE, Reply(status=0, error=REFUSED), Reply(status=0, error="timeout")])
def test_an_office_that_takes_nothing_is_left_for_the_next_one(tmp_path: Path, first: Reply) -> None:
    """Fenced, dead or silent: the operation is still to be asked, and the next attempt goes elsewhere."""
    http = Http(a=first, b=OK)
    clerk, document = offices(tmp_path, http, "http://a", "http://b"), operation()
    clerk.perform(document, due_s=0.0)
    assert document.unknown
    assert clerk.perform(document, due_s=0.0).outcome.type == "ok"
    assert not document.unknown
    assert http.asked[-1] == "b"
    assert clerk.url == "http://b"


def test_an_only_office_that_refuses_is_not_asked_for_ever(tmp_path: Path) -> None:
    """A definite refusal stands where there is nowhere else to go."""
    clerk, document = offices(tmp_path, Http(a=NOT_LIVE), "http://a"), operation()
    assert clerk.perform(document, due_s=0.0).outcome.code == "not_live"
    assert not document.unknown
