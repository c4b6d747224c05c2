"""Asking a till or a server for its status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import urllib3

from syncref.errors import ConfigInvalid, StorageFailed, Unauthorized
from syncref.links import url_problem
from syncref.tls import Trust

TIMEOUT_S = 5.0


def fetch_status(url: str, clerk: str | None, secret: str | None, ca_file: Path | None = None) -> dict[str, Any]:
    """Return the status at a base URL; without a log-in, a server's health, whatever its role.

    Raises ConfigInvalid when nothing answers there, Unauthorized when the log-in is refused.
    """
    base = url.rstrip("/")
    problem = url_problem(base)
    if problem:
        raise ConfigInvalid(f"--url {problem}")
    http = urllib3.PoolManager(timeout=TIMEOUT_S, retries=False, ssl_context=Trust(ca_file).context())
    headers: dict[str, str] = {}
    if clerk is not None and secret is not None:
        body = {"kind": "clerk", "name": clerk, "secret": secret}
        code, answer = _ask(http, "POST", f"{base}/v1/token", body=body)
        if code != 200:
            raise Unauthorized(f"{base}: {answer.get('message', code)}")
        headers["Authorization"] = f"Bearer {answer['token']}"
    code, answer = _ask(http, "GET", f"{base}/v1/status", headers=headers)
    if code == 401:
        code, answer = _ask(http, "GET", f"{base}/v1/health")
        if "status" in answer:  # of a standby or a fenced server it is 503, and says which
            return answer
    if code != 200:
        raise StorageFailed(f"{base}: {answer.get('message', code)}")
    return answer


def _ask(
    http: urllib3.PoolManager,
    method: str,
    url: str,
    *,
    body: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    try:
        response = http.request(method, url, json=body, headers=headers)
        answer = json.loads(response.data)
    except urllib3.exceptions.HTTPError as error:
        raise ConfigInvalid(f"{url}: no answer: {error}") from error
    except ValueError as error:
        raise ConfigInvalid(f"{url}: the answer is not JSON") from error
    return response.status, answer if isinstance(answer, dict) else {}
