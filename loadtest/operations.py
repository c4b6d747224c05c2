"""One operation, sent and sent again under the same op id, with its history and latency.

The order is fixed: the invoke reaches the operating system, then the request goes out, then the outcome is
written. A 401 is definite and about the session only, so it is answered by logging in and sending again
within the same attempt.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from loadtest.history import History
from loadtest.latency import Samples
from loadtest.outcomes import NO_SESSION, Outcome, Reply, outcome_of, outcome_of_repeat

_encode = msgspec.json.Encoder().encode
_decode_answer = msgspec.json.Decoder(dict[str, Any]).decode
EXPIRY_MARGIN_S = 5.0
REPEAT_FIRST_S = 0.5
REPEAT_LONGEST_S = 4.0


class Http(Protocol):
    """Sends one request and reports it; never raises for what the network does."""

    def __call__(
        self,
        method: str,
        url: str,
        *,
        name: str,
        body: bytes | None,
        token: str | None,
        due_s: float,
        expected: int,
    ) -> Reply:
        """Send. `due_s` is the intended start (monotonic); `expected` a status that counts as success too."""


@dataclass(slots=True, kw_only=True)
class Operation:
    """Something that may happen at most once. `body` goes to the system, `asked` into the history.

    unknown  an attempt ended without an answer and none has been answered since
    """

    f: str
    op_id: str
    till: str
    url: str
    body: Mapping[str, Any]
    asked: Mapping[str, Any]
    unknown: bool = False
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """How an attempt ended, with the decoded answer of an ok."""

    outcome: Outcome
    answer: dict[str, Any] = field(default_factory=dict)


class Login:
    """A session at a till or the back office, renewed before it expires or when it is refused."""

    def __init__(self, http: Http, *, url: str, credential: Mapping[str, str]) -> None:
        self._http = http
        self._url = url
        self._body = _encode(credential)
        self._lock = threading.Lock()
        self._token: str | None = None
        self._until_s = 0.0

    def token(self) -> str | None:
        """Return a good token, logging in if needed; None when that fails."""
        with self._lock:
            if self._token is None or time.monotonic() >= self._until_s:
                self._token = self._renew()
            return self._token

    def forget(self, token: str) -> None:
        """Drop a token that was refused, unless it has been renewed meanwhile."""
        with self._lock:
            if self._token == token:
                self._token = None

    def _renew(self) -> str | None:
        due_s = time.monotonic()
        reply = self._http("POST", self._url, name="login", body=self._body, token=None, due_s=due_s, expected=200)
        if reply.status not in (200, 201):
            return None
        try:
            answer = msgspec.json.decode(reply.body)
            lasting_s = float(answer["expires_in_s"])
            self._until_s = due_s + max(lasting_s - EXPIRY_MARGIN_S, lasting_s / 2)
            return str(answer["token"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            return None


class Performer:
    """Sends operations of one seat. `by`: the cashier in whose session, for the history."""

    def __init__(
        self, *, http: Http, login: Login, history: History, samples: Samples, deadline_ms: int, by: str = ""
    ) -> None:
        self._http = http
        self._login = login
        self._history = history
        self._samples = samples
        self._deadline_us = deadline_ms * 1000
        self._who = {"by": by} if by else {}

    def perform(
        self, operation: Operation, *, due_s: float, edited: Mapping[str, Any] | None = None
    ) -> Completion:
        """Send an attempt and return how it ended; the first attempt's latency counts under its own name.

        `edited` replaces the body's content: the op id is then used for another request.
        """
        repeat = operation.attempts > 0
        operation.attempts += 1
        asked = operation.asked if edited is None else {"basket": edited}
        body = _encode({"op_id": operation.op_id, **(operation.body if edited is None else edited)})
        n = self._history.invoke(
            f=operation.f, op_id=operation.op_id, till=operation.till, asked={**asked, **self._who}, repeat=repeat,
            edited=edited is not None,
        )  # fmt: skip
        completed = False
        try:
            reply = self._send(operation, body, due_s=due_s, expected=409 if edited is not None else 200)
            completion = _completion(reply, repeat=repeat)
            self._note(operation, completion, n, due_s=due_s, repeat=repeat)
            completed = True
        finally:
            if not completed:  # killed while waiting: the request may have arrived
                stopped = Completion(outcome=Outcome(type="info", code="stopped"))
                self._note(operation, stopped, n, due_s=due_s, repeat=repeat)
        if edited is None:
            operation.unknown = completion.outcome.type == "info"
        return completion

    def ask(self, url: str, *, name: str, till: str, due_s: float) -> Reply:
        """Send a GET that changes nothing and return the reply; its latency counts as `name`."""
        reply = self._with_session("GET", url, name=name, body=None, due_s=due_s, expected=200)
        self._sample(till, name, due_s, outcome_of(reply).type)
        return reply

    def _send(self, operation: Operation, body: bytes, *, due_s: float, expected: int) -> Reply:
        return self._with_session(
            "POST", operation.url, name=operation.f, body=body, due_s=due_s, expected=expected
        )

    def _with_session(
        self, method: str, url: str, *, name: str, body: bytes | None, due_s: float, expected: int
    ) -> Reply:
        reply = Reply(status=0, error=NO_SESSION)
        for _ in range(2):
            token = self._login.token()
            if token is None:
                return Reply(status=0, error=NO_SESSION)
            reply = self._http(method, url, name=name, body=body, token=token, due_s=due_s, expected=expected)
            if reply.status != 401:
                break
            self._login.forget(token)
        return reply

    def _note(self, operation: Operation, completion: Completion, n: int, *, due_s: float, repeat: bool) -> None:
        outcome = completion.outcome
        measured = f"{operation.f}-repeat" if repeat else operation.f
        us = self._sample(operation.till, measured, due_s, outcome.type)
        more = history_extra(operation.f, completion.answer) if outcome.type == "ok" else {"code": outcome.code}
        self._history.complete(
            outcome.type, of=n, f=operation.f, op_id=operation.op_id, till=operation.till, ms=us / 1000, more=more
        )

    def _sample(self, till: str, operation: str, due_s: float, type_: str) -> int:
        waited_s = time.monotonic() - due_s
        us = int(waited_s * 1_000_000)
        if type_ == "info":
            us = max(us, self._deadline_us)
        self._samples.add(second=int(time.time() - waited_s), till=till, operation=operation, us=us, type_=type_)
        return us


def _completion(reply: Reply, *, repeat: bool) -> Completion:
    outcome = outcome_of_repeat(reply) if repeat else outcome_of(reply)
    if outcome.type != "ok":
        return Completion(outcome=outcome)
    try:
        answer = _decode_answer(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Completion(outcome=Outcome(type="info", code="unreadable"))
    return Completion(outcome=outcome, answer=answer)


def history_extra(f: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an ok line keeps of the answer."""
    if f == "close":
        return {"z": answer}
    kept = {key: answer[key] for key in ("receipt_no", "gross", "tax", "sync", "rows") if key in answer}
    if answer.get("status") == "at_risk":
        kept["status"] = "at_risk"
    return kept


def operation_id(*parts: str | int) -> str:
    """Return an op id (32 hex digits) that follows from a run, a seat and a number."""
    return blake2b("|".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def repeat_delay_s(attempts: int) -> float:
    """Return how long to wait before an unknown outcome is asked for again: doubling, bounded."""
    return float(min(REPEAT_LONGEST_S, REPEAT_FIRST_S * 2.0 ** max(0, attempts - 1)))
