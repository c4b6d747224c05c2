"""The sync server's HTTP API, version 1."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from anyio import to_thread
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody
from litestar.params import FromPath, FromQuery, QueryParameter

from syncref.errors import Busy, Forbidden, RequestInvalid, StaleTerm
from syncref.server.bodies import decode_batch, decode_hello
from syncref.server.feed import Ask, Page, compress, encode_page, now_ms
from syncref.server.ingest import greet
from syncref.server.metrics import families
from syncref.server.overview import ServerStatus, SettlementRow, read_settlement, read_status
from syncref.server.state import BATCHES_WAITING_MAX, Worker
from syncref.store.server_feed import parse_key
from syncref.store.server_open import snapshot
from syncref.store.server_standbys import StandbySeen, read_standbys
from syncref.wire.sync import BODY_BYTES_MAX, CONTENT_TYPE, PAGE_ROWS_MAX, Ack, Batch, Hello, HelloAnswer, Problem

WAIT_MS_MAX = 30_000
AnyRequest = Request[Any, Any, Any]
Count = Annotated[int, QueryParameter(ge=0, lt=1 << 62)]
OptionalCount = Annotated[int | None, QueryParameter(ge=0, lt=1 << 62)]
RowLimit = Annotated[int | None, QueryParameter(ge=1, le=PAGE_ROWS_MAX)]
Date = Annotated[str | None, QueryParameter(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", max_length=10)]
TillName = Annotated[str | None, QueryParameter(pattern=r"^[A-Z0-9-]{1,16}$", max_length=16)]
_BEARER = [{"bearer": list[str]()}]
PROBLEMS = {
    status: ResponseSpec(Problem, description=about)
    for status, about in (
        (400, "The request can't be read; `where` names the place."),
        (401, "No token, or an expired one."),
        (403, "A good token for something else."),
        (503, "Busy, or the database does not answer: ask again."),
    )
}
_CONFLICT = {
    409: ResponseSpec(Problem, description="gap, fork, stale_term or session_unknown"),
    413: ResponseSpec(Problem, description="A bound is passed."),
}


class _Wire(Operation):
    """Documents a body of compressed MessagePack."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            content={CONTENT_TYPE: OpenAPIMediaType()},
            description="zstandard-compressed MessagePack, see docs/protocol.md",
            required=True,
        )


def _body(data: bytes) -> Response[bytes]:
    return Response(data, media_type=CONTENT_TYPE)


def _encoded(message: HelloAnswer | Ack) -> Response[bytes]:
    return _body(compress(msgspec.msgpack.encode(message)))


async def _wire_body(request: AnyRequest) -> bytes:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if content_type != CONTENT_TYPE:
        raise RequestInvalid(f"content type {content_type!r}: expected {CONTENT_TYPE}", where="content-type")
    return await request.body()


@post(
    "/v1/hello",
    summary="Shake hands",
    operation_id="hello",
    operation_class=_Wire,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=_BEARER,
    responses=PROBLEMS | _CONFLICT,
)
async def hello(request: AnyRequest, state: State) -> Response[bytes]:
    """Exchange terms and marks; the answer's session goes with every batch."""
    worker: Worker = state.worker
    who = worker.desk.identify(request, "till")
    asked: Hello = decode_hello(await _wire_body(request))
    if asked.till != who.name:
        raise Forbidden(f"this token is {who.name}'s, the handshake {asked.till!r}'s")
    return _encoded(await to_thread.run_sync(greet, worker.ingest, worker.engine, asked))


@post(
    "/v1/journal",
    summary="Upload journal entries",
    operation_id="journal",
    operation_class=_Wire,
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    security=_BEARER,
    responses=PROBLEMS | _CONFLICT,
)
async def journal(request: AnyRequest, state: State) -> Response[bytes]:
    """Store a batch, all or nothing; the ack says what is durable."""
    worker: Worker = state.worker
    who = worker.desk.identify(request, "till")
    if worker.batches_waiting >= BATCHES_WAITING_MAX:
        raise Busy("too many uploads at once", retry_after_ms=1000)
    body = await _wire_body(request)
    worker.batches_waiting += 1
    try:
        async with worker.batches:
            return _body(await to_thread.run_sync(_store, worker, who.name, body))
    finally:
        worker.batches_waiting -= 1


def _store(worker: Worker, till: str, body: bytes) -> bytes:
    batch: Batch = decode_batch(body)
    if batch.till != till:
        raise Forbidden(f"this token is {till}'s, the batch {batch.till!r}'s")
    ack = worker.ingest.batch(batch)
    worker.counts.stored(entries=len(batch.payloads), size=len(body))
    return compress(msgspec.msgpack.encode(ack))


@get(
    "/v1/feed",
    summary="Read changed masters",
    operation_id="feed",
    security=_BEARER,
    responses={**PROBLEMS, 409: ResponseSpec(Problem, description="stale_term: shake hands and begin anew")},
)
async def feed(
    request: AnyRequest,
    state: State,
    *,
    pos: Count,
    term_n: Count = 0,
    term_id: FromQuery[str] = "",
    scan_to: OptionalCount = None,
    after_tbl: FromQuery[str | None] = None,
    after_key: FromQuery[str | None] = None,
    urgent_pos: OptionalCount = None,
    wait_ms: Annotated[int, QueryParameter(ge=0, le=WAIT_MS_MAX)] = 0,
    limit: RowLimit = None,
) -> Response[bytes]:
    """Return the next page of a run, of at most `limit` rows.

    With `wait_ms` an answer without news waits for some, up to that long.
    """
    worker: Worker = state.worker
    who = worker.desk.identify(request, "till")
    after: tuple[str, str] | None = None
    if after_tbl is not None or after_key is not None:
        if after_tbl is None or after_key is None or scan_to is None:
            raise RequestInvalid("after_tbl, after_key and scan_to go together", where="after_tbl")
        parse_key(after_tbl, after_key)
        after = (after_tbl, after_key)
    ask = Ask(pos=pos, scan_to=scan_to, after=after, urgent_pos=urgent_pos, limit=limit)
    client = request.client
    connection = (who.name, client.host if client else "", client.port if client else 0)
    page = await _page(worker, ask, connection, wait_ms, term_n=term_n)
    term = page.page.term
    if term_n > term.n or (term_n == term.n and term_id != term.id.hex()):
        raise StaleTerm(f"the feed is of term {term.n}, asked for {term_n}")
    if 0 < term_n < term.n:
        page = await to_thread.run_sync(worker.feed.page_across, pos, limit)
    worker.serve(connection, page.fingerprint)
    return _body(encode_page(page, who.name))


async def _page(worker: Worker, ask: Ask, connection: tuple[str, str, int], wait_ms: int, *, term_n: int) -> Page:
    """Return the page once it has news for this connection, at the latest after `wait_ms`.

    That the term is not the one that the till knows is news.

    While an open transaction holds the horizon, rows above it are read again by every request; they are
    no news to a connection that was told the same before.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_ms / 1000
    asked_ms = None if wait_ms else now_ms()
    while True:
        news = worker.changes.watch()
        page = await to_thread.run_sync(worker.feed.page, ask, asked_ms)
        told = worker.served.get(connection)
        old = page.page.last and (page.empty or told == page.fingerprint)
        remaining_s = deadline - loop.time()
        other = term_n not in (0, page.page.term.n)
        if worker.stopping or other or not old or page.page.tombstone_floor > ask.pos or remaining_s <= 0:
            return page
        try:
            await asyncio.wait_for(news.wait(), remaining_s)
        except TimeoutError:
            return page


@get(
    "/v1/load/{table:str}",
    summary="Read a table for an initial load",
    operation_id="load",
    security=_BEARER,
    responses={**PROBLEMS, 404: ResponseSpec(Problem, description="There is no such table.")},
)
async def load(
    request: AnyRequest,
    state: State,
    table: FromPath[str],
    *,
    after: FromQuery[str | None] = None,
    start_pos: OptionalCount = None,
    limit: RowLimit = None,
) -> Response[bytes]:
    """Return a chunk in key order, of at most `limit` rows.

    The first names start_pos, which the later ones are asked with.
    """
    worker: Worker = state.worker
    worker.desk.identify(request, "till")
    return _body(await to_thread.run_sync(worker.feed.chunk, table, after, start_pos, limit))


@get("/v1/settlement", summary="Settle business dates", security=_BEARER, responses=PROBLEMS)
async def settlement(
    request: AnyRequest, state: State, date: Date = None, till: TillName = None
) -> list[SettlementRow]:
    """Return what each till sold per business date, and whether its Z agrees. A till sees only itself."""
    worker: Worker = state.worker
    who = worker.desk.identify(request)
    if who.kind == "till":
        if till not in {None, who.name}:
            raise Forbidden("a till sees only its own settlement")
        till = who.name

    def read() -> list[SettlementRow]:
        with snapshot(worker.engine) as connection:
            return read_settlement(connection, date=date, till=till)

    return await to_thread.run_sync(read)


def _status(worker: Worker, till: str | None) -> ServerStatus:
    with snapshot(worker.engine) as connection:
        return read_status(connection, till=till, lag_alarm_ms=worker.config.feed_lag_alarm_ms)


@get("/v1/status", summary="The server at a glance", security=_BEARER, responses=PROBLEMS)
async def status(request: AnyRequest, state: State) -> ServerStatus:
    """Return role, term, tills, lags and alarms. A till sees only itself among the tills."""
    worker: Worker = state.worker
    who = worker.desk.identify(request)
    return await to_thread.run_sync(_status, worker, who.name if who.kind == "till" else None)


@get("/v1/health", summary="Whether this server is live", responses={503: PROBLEMS[503]})
async def health(state: State) -> Response[dict[str, str | int]]:
    """Return its role; 503 unless it is live, and when the database does not answer."""
    found = await to_thread.run_sync(_status, state.worker, "")
    told: dict[str, str | int] = {"status": found.role, "term_n": found.term_n, "feed_lag_ms": found.feed_lag_ms}
    return Response(told, status_code=200 if found.role == "live" else 503)


@get("/v1/alive", summary="Whether this server answers, whatever its role", responses={503: PROBLEMS[503]})
async def alive(state: State) -> dict[str, str | int]:
    """Return its role with 200, also on a standby; 503 when the database does not answer."""
    found = await to_thread.run_sync(_status, state.worker, "")
    return {"status": found.role, "term_n": found.term_n}


@get("/metrics", summary="Metrics for Prometheus", media_type=MediaType.TEXT, responses={503: PROBLEMS[503]})
async def metrics(request: AnyRequest, state: State) -> Response[bytes]:
    """Return the server's metrics: what is in the database, and what all workers counted."""
    worker: Worker = state.worker
    worker.meter.admit(request)
    found, standbys = await to_thread.run_sync(_measured, worker)
    return worker.meter.answer(request, families(found, standbys))


def _measured(worker: Worker) -> tuple[ServerStatus, list[StandbySeen]]:
    found = _status(worker, None)
    with snapshot(worker.engine) as connection:
        return found, read_standbys(connection)


ROUTES = (hello, journal, feed, load, settlement, status, health, alive, metrics)
