"""The back office's HTTP API, version 1: documents, CSV import, rows, and entries to be resolved."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from anyio import to_thread
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter
from sqlalchemy import Connection, Engine

from syncref.backoffice import documents
from syncref.backoffice.documents import Work
from syncref.domain.identity import Key
from syncref.domain.masters import MASTER_BY_NAME
from syncref.errors import NotFound
from syncref.metrics import Meter, gauge
from syncref.server.clock import now_ms
from syncref.server.masters_import import TABLES, lines_of, parse_csv, write_parsed
from syncref.server.overview import read_role
from syncref.server.web import Desk, strict
from syncref.store import server_asides
from syncref.store.server_documents import Asked, Done, perform
from syncref.store.server_feed import parse_key
from syncref.store.server_masters import Written, key_text, read_rows
from syncref.store.server_open import snapshot
from syncref.wire import backoffice_api as api
from syncref.wire.sync import Problem

CSV_BYTES_MAX = 64 << 20
AnyRequest = Request[Any, Any, Any]
Document = (
    api.ProductsDocument | api.PricesDocument | api.TaxRatesDocument | api.VendorsDocument | api.GoodsDocument
    | api.CountDocument | api.CashiersDocument
)  # fmt: skip
Goods = JSONBody[api.GoodsDocument]
OpIdQuery = Annotated[str, QueryParameter(pattern=r"^[0-9a-f]{32}$")]
TillName = Annotated[str, PathParameter(pattern=r"^[A-Z0-9-]{1,16}$", max_length=16)]
Incarnation = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{32}$")]
Seq = Annotated[int, PathParameter(ge=1, lt=1 << 62)]
_BEARER = [{"bearer": list[str]()}]
_READ = {
    status: ResponseSpec(Problem, description=about)
    for status, about in (
        (400, "The request can't be read; `where` names the place."),
        (401, "No token, or an expired one."),
        (404, "The thing asked for is not there."),
        (503, "Busy, not live, or the database does not answer."),
    )
}
_WRITE = _READ | {
    409: ResponseSpec(Problem, description="operation_reused: the op id was used for another request."),
    413: ResponseSpec(Problem, description="A bound is passed."),
    422: ResponseSpec(Problem, description="A rule of the shop forbids it; nothing was written."),
}
_DOCUMENT: dict[str, Any] = {"status_code": 200, "security": _BEARER, "responses": _WRITE}


async def _document(request: AnyRequest, state: State, kind: str, data: Document) -> Asked:
    """Return what a clerk asks by a document, after reading it once more without any leniency."""
    await strict(request, type(data))
    return _asked(request, state, data.op_id, kind, msgspec.json.encode(data))


def _asked(request: AnyRequest, state: State, op_id: str, kind: str, body: bytes) -> Asked:
    desk: Desk = state.desk
    clerk = desk.identify(request, "clerk").name
    return Asked(op_id=op_id, clerk=clerk, kind=kind, request=body, at_ms=now_ms())


async def _do(state: State, asked: Asked, make: Callable[[int], Work]) -> api.DocumentAnswer:
    """Make the document's work and perform it, off the event loop."""

    def run() -> Done:
        return perform(state.engine, asked, make(asked.at_ms))

    done = await to_thread.run_sync(run)
    rows = tuple(api.RowWritten(table=row.table, key=row.key, version=row.version) for row in done.rows)
    status: Literal["ok", "at_risk"] = "ok" if done.replayed else "at_risk"
    return api.DocumentAnswer(op_id=asked.op_id, status=status, rows=rows, at_ms=done.at_ms)


@post("/v1/products", summary="Create, change or delete products", operation_id="products", **_DOCUMENT)
async def products(request: AnyRequest, state: State, data: JSONBody[api.ProductsDocument]) -> api.DocumentAnswer:
    """Create, change or delete products: one transaction, all or nothing."""
    asked = await _document(request, state, "product", data)
    return await _do(state, asked, partial(documents.products, data))


@post("/v1/prices", summary="Create, change or delete prices", operation_id="prices", **_DOCUMENT)
async def prices(request: AnyRequest, state: State, data: JSONBody[api.PricesDocument]) -> api.DocumentAnswer:
    """Create, change or delete prices: one transaction, all or nothing."""
    asked = await _document(request, state, "price", data)
    return await _do(state, asked, partial(documents.prices, data))


@post("/v1/tax-rates", summary="Create or change tax rates", operation_id="tax_rates", **_DOCUMENT)
async def tax_rates(request: AnyRequest, state: State, data: JSONBody[api.TaxRatesDocument]) -> api.DocumentAnswer:
    """Create or change tax rates: one transaction, all or nothing."""
    asked = await _document(request, state, "tax_rate", data)
    return await _do(state, asked, partial(documents.tax_rates, data))


@post("/v1/vendors", summary="Create, change or delete vendors", operation_id="vendors", **_DOCUMENT)
async def vendors(request: AnyRequest, state: State, data: JSONBody[api.VendorsDocument]) -> api.DocumentAnswer:
    """Create, change or delete vendors: one transaction, all or nothing."""
    asked = await _document(request, state, "vendor", data)
    return await _do(state, asked, partial(documents.vendors, data))


@post("/v1/stock-counts", summary="Set stock to what was counted", operation_id="stock_counts", **_DOCUMENT)
async def stock_counts(request: AnyRequest, state: State, data: JSONBody[api.CountDocument]) -> api.DocumentAnswer:
    """Set stock to what was counted: one transaction, all or nothing."""
    asked = await _document(request, state, "stock_count", data)
    return await _do(state, asked, partial(documents.stock_count, data))


@post("/v1/cashiers", summary="Create or change cashiers", operation_id="cashiers", **_DOCUMENT)
async def cashiers(request: AnyRequest, state: State, data: JSONBody[api.CashiersDocument]) -> api.DocumentAnswer:
    """Create or change cashiers: one transaction, all or nothing."""
    asked = await _document(request, state, "cashier", data)
    return await _do(state, asked, partial(documents.cashiers, data))


@post("/v1/goods-receipts", summary="Book a goods receipt", operation_id="goods_receipts", **_DOCUMENT)
async def goods_receipts(request: AnyRequest, state: State, data: Goods) -> api.DocumentAnswer:
    """Book a goods receipt: one transaction, all or nothing."""
    asked = await _document(request, state, "goods_receipt", data)
    return await _do(state, asked, partial(documents.goods, "goods_receipt", data))


@post("/v1/vendor-returns", summary="Book a vendor return", operation_id="vendor_returns", **_DOCUMENT)
async def vendor_returns(request: AnyRequest, state: State, data: Goods) -> api.DocumentAnswer:
    """Book a vendor return: one transaction, all or nothing."""
    asked = await _document(request, state, "vendor_return", data)
    return await _do(state, asked, partial(documents.goods, "vendor_return", data))


class _Csv(Operation):
    """Documents a CSV body."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(content={"text/csv": OpenAPIMediaType()}, required=True)


@post(
    "/v1/import/{table:str}",
    summary="Import a table from CSV",
    operation_id="import_table",
    operation_class=_Csv,
    request_max_body_size=CSV_BYTES_MAX,
    **_DOCUMENT,
)
async def import_table(
    request: AnyRequest, state: State, table: FromPath[str], op_id: OpIdQuery
) -> api.DocumentAnswer:
    """Import rows, all or nothing; an error names line, column and value. The answer lists no rows."""
    if table not in TABLES:
        raise NotFound(f"there is no import of {table!r}; allowed: {', '.join(TABLES)}")
    desk: Desk = state.desk
    desk.identify(request, "clerk")
    body = await request.body()
    asked = _asked(request, state, op_id, f"import {table}", body)

    def make(at_ms: int) -> Work:
        parsed = parse_csv(table, lines_of(body), TABLES[table][0])

        def work(connection: Connection) -> list[Written]:
            write_parsed(connection, table, parsed, at_ms=at_ms)
            return []

        return work

    return await _do(state, asked, make)


@get("/v1/asides", summary="Entries that are not counted", security=_BEARER, responses=_READ)
async def asides(request: AnyRequest, state: State) -> list[api.AsideAnswer]:
    """Return set-aside entries and duplicates, unresolved ones first, at most 1000."""
    desk: Desk = state.desk
    desk.identify(request, "clerk")
    return await to_thread.run_sync(_asides, state.engine)


def _asides(engine: Engine) -> list[api.AsideAnswer]:
    with snapshot(engine) as connection:
        return [
            api.AsideAnswer(
                till=row.till,
                incarnation=bytes(row.incarnation).hex(),
                seq=row.seq,
                reason=row.reason,
                resolution=row.resolution,
            )
            for row in server_asides.uncounted(connection)
        ]


@post(
    "/v1/asides/{till:str}/{incarnation:str}/{seq:int}/resolve",
    summary="Resolve an entry that is not counted",
    operation_id="resolve",
    **_DOCUMENT,
)
async def resolve(
    request: AnyRequest,
    state: State,
    *,
    till: TillName,
    incarnation: Incarnation,
    seq: Seq,
    data: JSONBody[api.ResolveDocument],
) -> api.DocumentAnswer:
    """Write an entry off, so that it counts in the settlement as that, or post a set-aside one after all."""
    key = Key(till=till, incarnation=bytes.fromhex(incarnation))
    await strict(request, type(data))
    body = msgspec.json.encode((till, incarnation, seq, data))
    asked = _asked(request, state, data.op_id, "resolve", body)

    def make(at_ms: int) -> Work:
        def work(connection: Connection) -> list[Written]:
            server_asides.resolve(
                connection, key, seq, op_id=data.op_id, action=data.action, clerk=asked.clerk, at_ms=at_ms
            )
            return []

        return work

    return await _do(state, asked, make)


@get("/v1/{table:str}/{key:path}", summary="Read a row", operation_id="row", security=_BEARER, responses=_READ)
async def row(request: AnyRequest, state: State, table: FromPath[str], key: FromPath[str]) -> api.RowAnswer:
    """Return a master row. A key of several columns is a JSON array; hashes of PINs are not told."""
    desk: Desk = state.desk
    desk.identify(request, "clerk")
    return await to_thread.run_sync(_row, state.engine, table, key.removeprefix("/"))


def _row(engine: Engine, table: str, key: str) -> api.RowAnswer:
    spec = MASTER_BY_NAME.get(table)
    if spec is None:
        raise NotFound(f"there is no table {table!r}; allowed: {', '.join(MASTER_BY_NAME)}")
    parsed = parse_key(table, key if key.startswith("[") else key_text((key,)))
    with snapshot(engine) as connection:
        found = read_rows(connection, spec, [parsed]).get(parsed)
    if found is None:
        raise NotFound(f"there is no {table} {key!r}")
    names = (name for name, _ in spec.values)
    values = {n: v for n, v in zip(names, found.values, strict=True) if n != "secret_hash"}
    return api.RowAnswer(table=table, key=parsed, values=values, version=found.version, deleted=found.deleted)


@get("/v1/health", summary="Whether the database answers and may be written", responses={503: _READ[503]})
async def health(state: State) -> Response[dict[str, str]]:
    """Return the role of the database; 503 unless it is live."""

    def read() -> str:
        with snapshot(state.engine) as connection:
            return read_role(connection)

    role = await to_thread.run_sync(read)
    return Response({"status": role}, status_code=200 if role == "live" else 503)


@get("/v1/alive", summary="Whether the database answers, whatever its role", responses={503: _READ[503]})
async def alive(state: State) -> dict[str, str]:
    """Return its role with 200, also on a standby."""

    def read() -> str:
        with snapshot(state.engine) as connection:
            return read_role(connection)

    return {"status": await to_thread.run_sync(read)}


@get("/metrics", summary="Metrics for Prometheus", media_type=MediaType.TEXT, responses={503: _READ[503]})
async def metrics(request: AnyRequest, state: State) -> Response[bytes]:
    """Return the back office's metrics: whether its database takes writes, and its requests."""
    meter: Meter = state.meter
    meter.admit(request)

    def read() -> str:
        with snapshot(state.engine) as connection:
            return read_role(connection)

    live = await to_thread.run_sync(read) == "live"
    return meter.answer(
        request, [gauge("backoffice_writable", "1 when the back office's database takes writes.", live)]
    )


ROUTES = (
    products, prices, tax_rates, vendors, goods_receipts, vendor_returns, stock_counts, cashiers, import_table,
    asides, resolve, row, health, alive, metrics,
)  # fmt: skip
