"""A till's token: one log-in for all servers of the shop, renewed once when it is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from syncref.till.deadline import Rejected, Unreachable, Untrusted
from syncref.till.servers import ServerCalls, Wallet
from syncref.wire.sync import Problem

A, B = "https://a:1", "https://b:1"


class Line:
    """Answers in place of the network; tokens count up, and only those in `good` are taken."""

    def __init__(self) -> None:
        self.log_ins: list[str] = []
        self.good: set[str] = set()
        self.broken: dict[str, Exception] = {}

    def ask(self, method: str, url: str, **more: Any) -> bytes:
        """Answer a log-in or a status."""
        base, _, path = url.partition("/v1/")
        if base in self.broken:
            raise self.broken[base]
        if path == "token":
            self.log_ins.append(base)
            token = f"token-{len(self.log_ins)}"
            self.good.add(token)
            return msgspec.json.encode({"token": token, "expires_in_s": 900})
        if more["headers"]["Authorization"].removeprefix("Bearer ") not in self.good:
            raise Rejected(Problem(code="unauthorized", message="expired", definite=True, request_id=""), 401)
        return msgspec.json.encode({"cluster": "shop"})


def calls_over(line: Line, wallet: Wallet) -> ServerCalls:
    """Return a till's calls over that line."""
    calls = ServerCalls(till="T01", secret="a secret", timeout_s=1, wallet=wallet)
    calls._line = line  # type: ignore[assignment]  # what answers in place of the network
    return calls


def test_a_failover_asks_for_no_log_in() -> None:
    """Uplink and downlink, at both servers: hashing a secret takes 2,000 times as long as checking a token."""
    line, wallet = Line(), Wallet()
    for calls in (calls_over(line, wallet), calls_over(line, wallet)):
        assert [calls.cluster(base) for base in (A, B, A)] == ["shop"] * 3
    assert line.log_ins == [A]


def test_a_refused_token_is_renewed_once_where_it_was_refused() -> None:
    """An expired token costs one log-in; a secret that is refused is not tried again and again."""
    line = Line()
    calls = calls_over(line, Wallet())
    calls.cluster(A)
    line.good.clear()
    assert calls.cluster(B) == "shop"
    assert line.log_ins == [A, B]
    refused = Problem(code="unauthorized", message="wrong secret", definite=True, request_id="")
    line.broken[B] = Rejected(refused, 401)
    with pytest.raises(Rejected):
        calls.cluster(B)
    assert line.log_ins == [A, B]


def test_a_server_that_can_not_show_who_it_is_is_told_once_until_it_can() -> None:
    """Each change is told, not each try; that nobody answers says nothing about who it is."""
    told: list[tuple[str, str | None]] = []
    line = Line()
    calls = calls_over(line, Wallet(doubt=lambda base, objection: told.append((base, objection))))
    line.broken[A] = Untrusted("another authority")
    for _ in range(3):
        with pytest.raises(Untrusted):
            calls.cluster(A)
    line.broken[A] = Unreachable("no answer")
    with pytest.raises(Unreachable):
        calls.cluster(A)
    del line.broken[A]
    calls.cluster(A)
    assert told == [(A, "another authority"), (A, None)]
