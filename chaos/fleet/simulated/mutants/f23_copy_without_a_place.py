"""F23: the masters are copied first and the place to go on from is read afterwards; nobody compares."""

from __future__ import annotations

from typing import Any

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.server_store import ServerStore
from chaos.fleet.simulated.till_store import TillStore
from syncref.core import downlink
from syncref.core.downlink_messages import ChunkArrived, DownlinkOptions, DownlinkState, DownlinkStep, Loading
from syncref.core.step import replace
from syncref.wire.sync import LoadChunk

_store_chunk = downlink._store_chunk
_chunk = ServerStore.chunk


def chunk(self: ServerStore, *, table: str, after: str | None, start_pos: int | None, limit: int) -> LoadChunk:
    """Say where the feed is now."""
    return _chunk(self, table=table, after=after, start_pos=None, limit=limit)


def store_chunk(
    state: DownlinkState, loading: Loading, event: ChunkArrived, *, first: bool, options: DownlinkOptions
) -> DownlinkStep:
    """Go on from where the feed is at the last chunk."""
    late = replace(loading, start_pos=event.chunk.start_pos)
    return _store_chunk(state, late, event, first=first, options=options)


def mismatched(self: TillStore, effect: Any) -> tuple[str, ...]:
    """Find nothing wrong."""
    return ()


MUTANT = Mutant(
    id="F23",
    title="rows missing after a finished copy",
    fault="edits during the load",
    expected="masters",
    profile=Profile(
        misfortunes={"reimage": 2.0, "noise": 2.0}, sales=2, edits=40, page_rows=1, edit_kinds=("price", "pair")
    ),
    swaps=[
        (ServerStore, "chunk", chunk),
        (downlink, "_store_chunk", store_chunk),
        (TillStore, "mismatched", mismatched),
    ],
)
