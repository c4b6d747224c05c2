"""R7: the server takes its journal lock before it reads the body of an upload."""

from __future__ import annotations

import asyncio

from rehearsal.prove.planted import Planted, swap
from syncref.server import routes

JOURNAL = "/v1/journal"


def plant() -> None:
    """Let one upload in at a time, from its first byte on."""
    read = routes._wire_body
    locks: list[asyncio.Lock] = []

    async def locked(request: routes.AnyRequest) -> bytes:
        if request.url.path != JOURNAL:
            return await read(request)
        if not locks:
            locks.append(asyncio.Lock())
        async with locks[0]:
            return await read(request)

    swap(routes, "_wire_body", locked)


PLANTED = Planted(
    id="R7",
    title="lock held while the body is read",
    fault="stalled upload",
    expected="drain",
    scenario="server-trouble",
    kinds=("server",),
    plant=plant,
)
