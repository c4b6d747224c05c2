"""Twins of field failures for real processes: each puts one bug into the process that calls it.

Reached only by the stories, through the text with which they start a child: no setting of the product does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def backlog_whole() -> None:
    """Read the whole backlog into memory and send it in one piece."""
    uplink: Any = import_module("syncref.till.uplink")

    real = uplink.stretch

    def stretch(connection: Any, key: Any, *, cluster: str, after: int, **_: int) -> Any:
        return real(connection, key, cluster=cluster, after=after, count_max=1 << 30, bytes_max=1 << 40)

    uplink.stretch = stretch


def load_in_memory() -> None:
    """Gather the initial load in memory and store it when it is complete; a restart begins at zero."""
    downlink: Any = import_module("syncref.till.downlink")

    real = downlink.store_chunk
    gathered: list[Any] = []

    def store_chunk(database: Any, effect: Any) -> None:
        gathered.append(effect)
        if effect.cursor is not None:
            for chunk in gathered:
                real(database, chunk)

    downlink.store_chunk = store_chunk


def page_per_reader() -> None:
    """Make each reader a page of its own, as large as the table, and pack nothing."""
    import msgspec

    feed: Any = import_module("syncref.server.feed")

    def body(kind: Any, *fields: Any) -> bytes:
        parts = [msgspec.Raw(field) if isinstance(field, bytes) else field for field in fields]
        return msgspec.msgpack.encode(kind(*parts))

    body.cache_clear = lambda: None  # type: ignore[attr-defined]  # in the place of an lru_cache
    feed._body = body
    feed.PAGE_ROWS_MAX = 1 << 30


def entries_read_strictly() -> None:
    """Read each stored order before it is sent, and stop at one that this version does not know."""
    from syncref.wire.entry import decode_entry

    uplink: Any = import_module("syncref.till.uplink")

    real = uplink.stretch

    def stretch(*arguments: Any, **named: Any) -> Any:
        found = real(*arguments, **named)
        for payload in found.payloads:
            decode_entry(payload)
        return found

    uplink.stretch = stretch


def columns_by_place() -> None:
    """Take a file's columns as they come, whatever they are called."""
    masters_import: Any = import_module("syncref.server.masters_import")

    def places(columns: tuple[Any, ...], header: list[str], name: str) -> list[int | None]:
        return [number if number < len(header) else None for number in range(len(columns))]

    masters_import._places = places
