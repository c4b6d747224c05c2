"""A list of back offices: a clerk's documents go to the first that takes them, as the tills' entries do.

Keeps: a document that was asked for is asked for again under its op id, wherever the next attempt goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from loadtest.history import History
from loadtest.latency import Samples
from loadtest.operations import Completion, Http, Login, Operation, Performer
from loadtest.outcomes import NO_SESSION, REFUSED

ELSEWHERE = frozenset({REFUSED, NO_SESSION, "not_live", "busy"})


class Offices(Performer):
    """Sends a clerk's operations; after an office that takes nothing the next attempt goes to the next one."""

    def __init__(
        self, *, http: Http, urls: Sequence[str], credential: Mapping[str, str], history: History,
        samples: Samples, deadline_ms: int,
    ) -> None:  # fmt: skip
        self._urls = [url.rstrip("/") for url in urls]
        self._logins = [Login(http, url=f"{url}/v1/token", credential=credential) for url in self._urls]
        self._at = 0
        super().__init__(
            http=http, login=self._logins[0], history=history, samples=samples, deadline_ms=deadline_ms
        )

    @property
    def url(self) -> str:
        """The office that is asked now."""
        return self._urls[self._at]

    def perform(
        self, operation: Operation, *, due_s: float, edited: Mapping[str, Any] | None = None
    ) -> Completion:
        """Send an attempt to the present office. Where there is another one, a refusal is to be asked again."""
        at = self._at
        operation.url = self._urls[at] + urlsplit(operation.url).path
        self._login = self._logins[at]
        completion = super().perform(operation, due_s=due_s, edited=edited)
        outcome = completion.outcome
        if len(self._urls) > 1 and (outcome.type == "info" or outcome.code in ELSEWHERE):
            if self._at == at:
                self._at = (at + 1) % len(self._urls)
            if edited is None:
                operation.unknown = True
        return completion
