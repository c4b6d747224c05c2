"""Every error leaves the till's API as a Problem; every answer carries its request id."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from syncref.errors import SyncrefError
from syncref.logs import event
from syncref.metrics import Meter
from syncref.wire.sync import Problem

E = TypeVar("E", bound=Exception)
Handler = Callable[[Request[Any, Any, Any], E], Response[bytes]]
_log = logging.getLogger("syncref.till")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SERVER_ERROR = 500
_SCOPE_KEY = "syncref_request_id"
_CODES = {
    400: "request_invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "request_invalid",
}


def request_ids(app: ASGIApp) -> ASGIApp:
    """Give every request an id, the caller's if it has a sane one, and send it back."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope[_SCOPE_KEY] = request_id  # type: ignore[literal-required]

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        await app(scope, receive, send_with_id)

    return wrapped


def _answer(request: Request[Any, Any, Any], problem: Problem, status: int) -> Response[bytes]:
    headers = {}
    if problem.retry_after_ms is not None:
        headers["Retry-After"] = str(-(-problem.retry_after_ms // 1000))
    return Response(
        content=msgspec.json.encode(problem), status_code=status, media_type="application/json", headers=headers
    )


def _id(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get(_SCOPE_KEY, ""))


def on_known(request: Request[Any, Any, Any], error: SyncrefError) -> Response[bytes]:
    """Answer an error of the catalogue."""
    retry = error.details.get("retry_after_ms")
    where = error.details.get("where")
    problem = Problem(
        code=error.code,
        message=error.message,
        definite=error.definite,
        request_id=_id(request),
        retry_after_ms=retry if isinstance(retry, int) else None,
        where=where if isinstance(where, str) else None,
    )
    if error.status >= _SERVER_ERROR:
        event(_log, logging.WARNING, "refused", code=error.code, message=error.message, request_id=_id(request))
    return _answer(request, problem, error.status)


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what the framework refused: unreadable bodies, unknown paths and the like."""
    detail = error.detail
    if isinstance(error, ValidationException) and error.extra:
        detail = "; ".join(_describe(part) for part in error.extra) or detail
    status = error.status_code
    problem = Problem(
        code=_code(error),
        message=detail,
        definite=status < _SERVER_ERROR,
        request_id=_id(request),
    )
    return _answer(request, problem, status)


def on_unknown(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a bug of ours: logged with its trace, told without it, and nothing claimed of the outcome."""
    _log.error("failed", exc_info=error, extra={"fields": {"request_id": _id(request)}})
    problem = Problem(code="internal", message="internal error", definite=False, request_id=_id(request))
    return _answer(request, problem, _SERVER_ERROR)


def counting(meter: Meter) -> Callable[[Handler[E]], Handler[E]]:
    """Return what makes a handler of errors count them under their codes."""

    def wrap(handler: Handler[E]) -> Handler[E]:
        def handle(request: Request[Any, Any, Any], error: E) -> Response[bytes]:
            meter.refused(_code(error))
            return handler(request, error)

        return handle

    return wrap


def _code(error: Exception) -> str:
    if isinstance(error, SyncrefError):
        return error.code
    if isinstance(error, HTTPException):
        return _CODES.get(
            error.status_code, "request_invalid" if error.status_code < _SERVER_ERROR else "internal"
        )
    return "internal"


def _describe(part: object) -> str:
    if isinstance(part, dict):
        return f"{part.get('key', 'body')}: {part.get('message', '')}"
    return str(part)
