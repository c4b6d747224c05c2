"""The back office's process: puts the parts together."""

from __future__ import annotations

import logging

from anyio import to_thread
from litestar import Litestar

from syncref.backoffice.routes import ROUTES
from syncref.config import BackofficeConfig
from syncref.logs import event
from syncref.metrics import Meter
from syncref.server.clock import now_ms
from syncref.server.web import Desk, build
from syncref.store.server_open import open_engine

_log = logging.getLogger("syncref.backoffice")


def create(config: BackofficeConfig, dsn: str) -> Litestar:
    """Return the back office's application."""
    engine = open_engine(dsn, connections=8)
    desk = Desk(engine, kinds=("clerk",), ttl_s=config.token_ttl_s, clock_ms=now_ms)

    async def start(_: Litestar) -> None:
        to_thread.current_default_thread_limiter().total_tokens = 16
        desk.refusals.start()
        event(_log, logging.INFO, "backoffice_started", listen=config.listen)

    async def stop(_: Litestar) -> None:
        await to_thread.run_sync(desk.refusals.stop)
        engine.dispose()

    state = {"engine": engine, "desk": desk, "meter": Meter(token_file=config.metrics_token_file)}
    return build(title="syncref back office", routes=ROUTES, state=state, start=start, stop=stop)
