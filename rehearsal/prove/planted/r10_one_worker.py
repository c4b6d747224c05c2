"""R10: the server's only worker is busy with a request until all of it is there, and a dead till's never is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from litestar import Litestar

from rehearsal.prove.planted import Planted, swap
from syncref.server import serve


class _OneAtATime:
    """An application that serves one POST at a time."""

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._worker = asyncio.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        async with self._worker:
            await self._app(scope, receive, send)


def plant() -> None:
    """Put the application behind its one worker."""
    work = serve._work

    def alone(make: Callable[[], Litestar], *more: Any) -> None:
        work(lambda: _OneAtATime(make()), *more)  # type: ignore[arg-type,return-value]  # it acts as one

    swap(serve, "_work", alone)


PLANTED = Planted(
    id="R10",
    title="a dead till occupies the only worker",
    fault="till gone in an upload",
    expected="drain",
    scenario="server-trouble",
    kinds=("server",),
    plant=plant,
)
