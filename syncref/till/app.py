"""The till's ASGI application."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from syncref.errors import SyncrefError
from syncref.reading import JsonRequest
from syncref.till.desk import Desk
from syncref.till.problems import counting, on_http, on_known, on_unknown
from syncref.till.routes import CashierRoutes, OpenRoutes, metrics

BODY_BYTES_MAX = 256 * 1024


def build_app(desk: Desk) -> Litestar:
    """Return the application over a till."""

    async def the_desk() -> Desk:
        return desk

    async def the_cashier(request: Request[Any, Any, State]) -> str:
        return desk.sessions.cashier_of(request.headers.get("authorization"))

    counted = counting(desk.meter)

    return Litestar(
        route_handlers=[OpenRoutes, CashierRoutes, metrics],
        dependencies={"desk": Provide(the_desk), "cashier": Provide(the_cashier)},
        exception_handlers={
            SyncrefError: counted(on_known),
            HTTPException: counted(on_http),
            Exception: counted(on_unknown),
        },
        middleware=[desk.meter.middleware],
        request_class=JsonRequest,
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="syncref till",
            version="1",
            path="/schema",
            render_plugins=[JsonRenderPlugin()],
            components=Components(
                security_schemes={"cashier": SecurityScheme(type="http", scheme="bearer")},
            ),
        ),
        signature_namespace={"Desk": Desk},
    )
