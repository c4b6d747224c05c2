"""Requests through Locust's client, so that its statistics, CSV files and web page show them.

What Locust shows as response time counts from the intended start. A POST is sent at most once: the client
repeats only what is idempotent, so that a refused connection does mean that nothing was sent.
"""

from __future__ import annotations

import time
from typing import Any

from locust.contrib.fasthttp import FastHttpSession, ResponseContextManager

from loadtest.outcomes import REFUSED, Reply

TIMEOUT = "timeout"
BROKEN = "broken"


class LocustHttp:
    """The requests of one Locust user; see operations.Http."""

    def __init__(self, session: FastHttpSession) -> None:
        self._session = session
        session.client.cookiejar = None  # tills set no cookies, and looking for them costs 10 µs a request

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
        """Send one request and report it; `expected` is a status that Locust is to count as success too."""
        payload: Any = body  # bytes are fine, whatever the annotation says
        headers = {} if body is None else {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        with self._session.request(
            method, url, name=name, data=payload, headers=headers, catch_response=True
        ) as response:
            response.request_meta["response_time"] = (time.monotonic() - due_s) * 1000
            reply = _reply(response)
            if reply.status == expected:
                response.success()
            elif reply.status >= 400:
                response.failure(f"{reply.status} {reply.body[:200].decode(errors='replace')}")
        return reply


def _reply(response: ResponseContextManager) -> Reply:
    broken = response.request_meta["exception"]
    if response.status_code == 0:
        return Reply(status=0, error=_error_name(broken))
    if response.status_code >= 400:
        return Reply(status=response.status_code, body=response.content or b"")
    if broken is not None:  # the status came, the body didn't
        return Reply(status=0, error=BROKEN)
    return Reply(status=response.status_code, body=response.content or b"")


def _error_name(error: BaseException | None) -> str:
    """Tell a refused connection and a time-out from everything else."""
    inner = getattr(error, "original", None) or error
    if isinstance(inner, ConnectionRefusedError):
        return REFUSED
    return TIMEOUT if isinstance(inner, TimeoutError) else BROKEN
