"""The few things that the lab itself asks of a till or the back office, as an operator would by hand."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 15.0


class Refused(Exception):
    """The answer was an error, or none came; the message says which. `code` is the problem's, if it has one."""

    def __init__(self, message: str, *, code: str = "", definite: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.definite = definite


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A logged-in cashier or clerk at one address."""

    url: str
    token: str

    def post(self, path: str, body: dict[str, Any], *, timeout_s: float = TIMEOUT_S) -> Any:
        """Post JSON and return the answer; raises Refused."""
        return call(f"{self.url}{path}", body, token=self.token, timeout_s=timeout_s)

    def get(self, path: str) -> Any:
        """Return the JSON at a path; raises Refused."""
        return call(f"{self.url}{path}", None, token=self.token)


def cashier_session(url: str, *, cashier_id: str, pin: str) -> Session:
    """Log a cashier in at a till; raises Refused."""
    answer = call(f"{url}/v1/session", {"cashier_id": cashier_id, "pin": pin})
    return Session(url=url, token=answer["token"])


def identity_session(url: str, *, kind: str, name: str, secret: str, timeout_s: float = TIMEOUT_S) -> Session:
    """Log a clerk, till or server in at the back office or server; raises Refused."""
    answer = call(f"{url}/v1/token", {"kind": kind, "name": name, "secret": secret}, timeout_s=timeout_s)
    return Session(url=url, token=answer["token"])


def call(url: str, body: dict[str, Any] | None, *, token: str = "", timeout_s: float = TIMEOUT_S) -> Any:
    """Send a request (POST with a body, GET without) and return the JSON of the answer; raises Refused."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - our own address
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read(4000).decode(errors="replace")
        problem = _problem(text)
        said = problem.get("message") or text
        raise Refused(
            f"{error.code}: {said}", code=str(problem.get("code", "")), definite=bool(problem.get("definite"))
        ) from error
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise Refused(f"no answer: {getattr(error, 'reason', error)}") from error


def _problem(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
