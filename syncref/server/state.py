"""What one worker process of the server holds while it runs."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Engine

from syncref.config import ServerConfig
from syncref.metrics import Meter
from syncref.server.changes import Changes
from syncref.server.feed import FeedReader
from syncref.server.ingest import Ingest
from syncref.server.metrics import Counts
from syncref.server.web import Desk

BATCHES_RUNNING_MAX = 2
BATCHES_WAITING_MAX = 24
CONNECTIONS = 10
SERVED_MAX = 1000


@dataclass(slots=True, kw_only=True)
class Worker:
    """The parts of one worker. `served` has what each connection was last told of the feed."""

    config: ServerConfig
    engine: Engine
    desk: Desk
    ingest: Ingest
    feed: FeedReader
    changes: Changes
    clock_ms: Callable[[], int]
    meter: Meter
    counts: Counts
    batches: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BATCHES_RUNNING_MAX))
    batches_waiting: int = 0
    stopping: bool = False
    served: OrderedDict[tuple[str, str, int], int] = field(default_factory=OrderedDict)

    def serve(self, connection: tuple[str, str, int], fingerprint: int) -> None:
        """Remember what a connection is told now."""
        self.served.pop(connection, None)
        self.served[connection] = fingerprint
        if len(self.served) > SERVED_MAX:
            self.served.popitem(last=False)
