"""Requests without Locust, for one-shot programs; same promises as loadtest.locust_http."""

from __future__ import annotations

import urllib3

from loadtest.outcomes import REFUSED, Reply


class PlainHttp:
    """Requests over kept connections, each sent at most once; see operations.Http."""

    def __init__(self, *, timeout_s: float) -> None:
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(total=timeout_s), retries=False)

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
        """Send one request; `name`, `due_s` and `expected` matter to statistics only."""
        del name, due_s, expected
        headers = {} if body is None else {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            answer = self._pool.request(method, url, body=body, headers=headers)
        except urllib3.exceptions.NewConnectionError as error:
            refused = isinstance(error.__cause__, ConnectionRefusedError)
            return Reply(status=0, error=REFUSED if refused else "unreachable")
        except urllib3.exceptions.TimeoutError:
            return Reply(status=0, error="timeout")
        except urllib3.exceptions.HTTPError:
            return Reply(status=0, error="broken")
        return Reply(status=answer.status, body=answer.data)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()
