"""Whether an operation happened: the one place where answers and broken connections are judged.

A definite refusal (the error says so itself, or nothing was sent) is a fail. Everything else without an
answer is unknown: a time-out, a reset, a server error, or a refusal by something that is not the system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from syncref.wire.sync import Problem

OutcomeType = Literal["ok", "fail", "info"]
REFUSED = "refused"
NO_SESSION = "no_session"
UNBALANCED = "unbalanced"
NOT_ABOUT_THE_OPERATION = frozenset(
    {REFUSED, NO_SESSION, "unauthorized", "too_many_attempts", "busy", "not_live", "disk_full"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: an HTTP status with its body, or status 0 and what went wrong.

    error "refused" means that no connection came about, so that nothing was sent; "no_session" that nobody
    was logged in; any other that the request may have arrived.
    """

    status: int
    body: bytes = b""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended; `code` is the problem's code, an HTTP status or the connection's error."""

    type: OutcomeType
    code: str = ""


OK = Outcome(type="ok")


def outcome_of(reply: Reply) -> Outcome:
    """Return what a reply says about its operation."""
    if 200 <= reply.status < 300 and not reply.error:
        return OK
    if reply.status == 0:
        nothing_sent = reply.error in (REFUSED, NO_SESSION)
        return Outcome(type="fail" if nothing_sent else "info", code=reply.error)
    if reply.status < 400:
        return Outcome(type="info", code=reply.error or str(reply.status))
    try:
        problem = msgspec.json.decode(reply.body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Outcome(type="info", code=str(reply.status))
    return Outcome(type="fail" if problem.definite else "info", code=problem.code)


def outcome_of_repeat(reply: Reply) -> Outcome:
    """Return what the reply to a repeated attempt says about the operation.

    A refusal that doesn't look the operation up says nothing about the earlier attempt: unknown.
    """
    outcome = outcome_of(reply)
    if outcome.type == "fail" and outcome.code in NOT_ABOUT_THE_OPERATION:
        return Outcome(type="info", code=outcome.code)
    return outcome
