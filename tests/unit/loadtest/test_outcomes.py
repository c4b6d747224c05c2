"""What counts as done, not done, and unknown."""

from __future__ import annotations

import msgspec
import pytest

from loadtest.outcomes import Reply, outcome_of, outcome_of_repeat
from syncref.wire.sync import Problem


def problem(status: int, code: str, *, definite: bool) -> Reply:
    """Return an error answer."""
    body = msgspec.json.encode(Problem(code=code, message="", definite=definite, request_id="r"))
    return Reply(status=status, body=body)


@pytest.mark.parametrize(
    ("reply", "type_", "code"),
    [
        (Reply(status=200, body=b"{}"), "ok", ""),
        (Reply(status=201, body=b"{}"), "ok", ""),
        (problem(422, "rule_broken", definite=True), "fail", "rule_broken"),
        (problem(507, "disk_full", definite=True), "fail", "disk_full"),
        (problem(503, "storage_failed", definite=False), "info", "storage_failed"),
        (Reply(status=0, error="refused"), "fail", "refused"),
        (Reply(status=0, error="no_session"), "fail", "no_session"),
        (Reply(status=0, error="timeout"), "info", "timeout"),
        (Reply(status=0, error="broken"), "info", "broken"),
        (Reply(status=502, body=b"<html>"), "info", "502"),
        (Reply(status=404, body=b"\xff\xfe"), "info", "404"),
        (Reply(status=302), "info", "302"),
    ],
)
def test_only_what_is_definite_fails(reply: Reply, type_: str, code: str) -> None:
    """A refusal that says it is definite, or a request that never left, is a fail; no answer is unknown."""
    outcome = outcome_of(reply)
    assert (outcome.type, outcome.code) == (type_, code)


@pytest.mark.parametrize(
    ("reply", "type_"),
    [
        (Reply(status=0, error="refused"), "info"),
        (problem(401, "unauthorized", definite=True), "info"),
        (problem(503, "busy", definite=True), "info"),
        (problem(409, "operation_reused", definite=True), "fail"),
        (problem(422, "rule_broken", definite=True), "fail"),
        (Reply(status=200, body=b"{}"), "ok"),
    ],
)
def test_a_repeat_that_was_not_looked_up_leaves_the_outcome_unknown(reply: Reply, type_: str) -> None:
    """An earlier attempt may have happened although this one never reached the till."""
    assert outcome_of_repeat(reply).type == type_
