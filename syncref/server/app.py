"""One worker process of the sync server: puts the parts together. The only place that does."""

from __future__ import annotations

import logging

import anyio.to_thread
from litestar import Litestar

from syncref.config import ServerConfig
from syncref.logs import event
from syncref.metrics import Meter
from syncref.server.background import Background
from syncref.server.changes import Changes
from syncref.server.clock import now_ms
from syncref.server.feed import FeedReader
from syncref.server.ingest import Ingest
from syncref.server.metrics import Counts
from syncref.server.peer_routes import PEER_ROUTES
from syncref.server.peers import PeerCalls, peer_secret
from syncref.server.reign import Reign
from syncref.server.routes import ROUTES
from syncref.server.state import CONNECTIONS, Worker
from syncref.server.watch import Watch
from syncref.server.web import Desk, build
from syncref.store.server_open import open_engine

_log = logging.getLogger("syncref.server")


def create(config: ServerConfig, dsn: str) -> Litestar:
    """Return the application of one worker, on a database that may not answer yet."""
    engine = open_engine(dsn, connections=CONNECTIONS)
    feed = FeedReader(engine)
    ingest = Ingest(engine, now_ms, peers=len(config.peers), rank=config.rank)

    def changed() -> None:
        feed.generation += 1

    def missed() -> None:
        feed.forget()
        ingest.forget()

    desk = Desk(engine, kinds=("till", "clerk", "server"), ttl_s=config.token_ttl_s, clock_ms=now_ms)
    changes = Changes(engine, changed=changed, missed=missed)
    meter = Meter(token_file=config.metrics_token_file)
    worker = Worker(
        config=config, engine=engine, desk=desk, ingest=ingest, feed=feed, changes=changes, clock_ms=now_ms,
        meter=meter, counts=Counts(meter.registry),
    )  # fmt: skip
    background = Background(
        engine,
        fold_ms=config.stock_fold_ms,
        retention_days=config.change_retention_days,
        clock_ms=now_ms,
        busy=lambda: worker.batches_waiting > 1,
    )

    watch = None
    if config.peers:
        calls = PeerCalls(config.peers, peer_secret(config.peer_secret_file), ca_file=config.ca_file)
        watch = Watch(engine, Reign(engine, peers=len(config.peers), rank=config.rank), calls)

    async def start(_: Litestar) -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 32
        changes.start()
        background.start()
        desk.refusals.start()
        if watch is not None:
            watch.start()
        event(_log, logging.INFO, "worker_started", listen=config.listen)

    async def stop(_: Litestar) -> None:
        await anyio.to_thread.run_sync(changes.stop)
        await anyio.to_thread.run_sync(background.stop)
        await anyio.to_thread.run_sync(desk.refusals.stop)
        if watch is not None:
            await anyio.to_thread.run_sync(watch.stop)
        engine.dispose()
        event(_log, logging.INFO, "worker_stopped")

    def leave() -> None:
        worker.stopping = True
        changes.wake()

    state = {"worker": worker, "desk": desk, "leave": leave, "meter": meter}
    return build(title="syncref server", routes=ROUTES + PEER_ROUTES, state=state, start=start, stop=stop)
