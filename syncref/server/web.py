"""The HTTP edge that server and back office share: request ids, Problem errors, log-in and bearer tokens."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import anyio
import msgspec
from litestar import Litestar, MediaType, Request, Response, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import JSONBody
from litestar.types import Message, Scope
from sqlalchemy import Engine

from syncref.auth import Identity, Throttle, TokenSigner, verify_secret
from syncref.errors import (
    Busy,
    FalseTerm,
    Forbidden,
    Forged,
    Fork,
    RequestInvalid,
    SyncrefError,
    TermAhead,
    TooManyAttempts,
    Unauthorized,
    WrongSecret,
)
from syncref.logs import event
from syncref.metrics import Meter
from syncref.reading import JsonRequest
from syncref.server.refusals import NOBODY, Refusals
from syncref.store.server_identity import secret_hash, token_keys
from syncref.store.server_open import snapshot
from syncref.wire.sync import Problem

JSON_BYTES_MAX = 4 << 20
_log = logging.getLogger("syncref.web")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_MISSING = re.compile(r"parameter '([^']+)'")
_CODES = {400: "request_invalid", 401: "unauthorized", 403: "forbidden", 404: "not_found", 413: "too_large"}
_KEYS_CHECKED_EVERY_S = 5.0
LOG_IN_BYTES_MAX = 4096
LOG_INS_RUNNING_MAX = 2
LOG_INS_WAITING_MAX = 100
_REPORTED: tuple[tuple[type[SyncrefError], str], ...] = (
    (WrongSecret, "wrong_secret"),
    (Forged, "forged_token"),
    (Forbidden, "forbidden"),
    (TooManyAttempts, "locked_out"),
    (Fork, "fork"),
    (FalseTerm, "false_term"),
    (TermAhead, "term_ahead"),
)

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]
Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A log-in: kind is till or clerk."""

    kind: Name
    name: Name
    secret: Secret


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A bearer token and how long it holds, in seconds."""

    token: str
    expires_in_s: int


class Desk:
    """Checks credentials and tokens of these kinds of identity against the database."""

    def __init__(self, engine: Engine, *, kinds: tuple[str, ...], ttl_s: int, clock_ms: Callable[[], int]) -> None:
        self._engine = engine
        self._kinds = kinds
        self._ttl_s = ttl_s
        self._clock_ms = clock_ms
        self._throttle = Throttle()
        self._running: anyio.CapacityLimiter | None = None
        self.refusals = Refusals(engine, clock_ms=clock_ms)
        self._signer = TokenSigner(keys={})
        self._checked_s = -_KEYS_CHECKED_EVERY_S

    async def admit(self, credentials: Credentials) -> Token:
        """Log in, a few at a time: hashing must not keep the threads that everybody else's requests need.

        Raises Busy when too many wait already, Unauthorized and TooManyAttempts.
        """
        if self._running is None:
            self._running = anyio.CapacityLimiter(LOG_INS_RUNNING_MAX)
        if self._running.statistics().tasks_waiting >= LOG_INS_WAITING_MAX:
            raise Busy("too many log-ins at once", retry_after_ms=2000)
        answer: Token = await anyio.to_thread.run_sync(self.log_in, credentials, limiter=self._running)
        return answer

    def log_in(self, credentials: Credentials) -> Token:
        """Return a token. Raises Unauthorized and TooManyAttempts."""
        now_ms = self._clock_ms()
        who = Identity(kind=credentials.kind, name=credentials.name)
        self._throttle.check(who, now_ms=now_ms)
        with snapshot(self._engine) as connection:
            stored = secret_hash(connection, who) if who.kind in self._kinds else None
        if not verify_secret(stored, credentials.secret):
            self._throttle.failed(who, now_ms=now_ms)
            raise WrongSecret("an unknown identity, or a wrong secret")
        self._throttle.succeeded(who)
        if not self._signer.keys:
            self._read_keys()
        token = self._signer.sign(who, expires_ms=now_ms + 1000 * self._ttl_s)
        return Token(token=token, expires_in_s=self._ttl_s)

    def identify(self, request: Request[Any, Any, Any], *kinds: str) -> Identity:
        """Return who sent a request. Raises Unauthorized, and Forbidden when it is none of `kinds`."""
        header = request.headers.get("authorization", "")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("a bearer token is needed: POST /v1/token")
        now_ms = self._clock_ms()
        try:
            who = self._signer.verify(token, now_ms=now_ms)
        except Unauthorized:
            if time.monotonic() - self._checked_s < _KEYS_CHECKED_EVERY_S:
                raise
            self._read_keys()
            who = self._signer.verify(token, now_ms=now_ms)
        request.scope["state"]["who"] = who
        if who.kind not in (kinds or self._kinds):
            raise Forbidden(f"a {who.kind} may not do this")
        return who

    def _read_keys(self) -> None:
        self._checked_s = time.monotonic()
        with snapshot(self._engine) as connection:
            self._signer = TokenSigner(keys=token_keys(connection))


async def strict(request: Request[Any, Any, Any], kind: type[msgspec.Struct]) -> None:
    """Raise RequestInvalid when a JSON body fits a type only by leniency, such as "5" for 5."""
    try:
        msgspec.json.decode(await request.body(), type=kind)
    except msgspec.DecodeError as error:
        raise RequestInvalid(str(error), where="body") from error


@post(
    "/v1/token",
    summary="Log in",
    operation_id="token",
    status_code=200,
    exclude_from_auth=True,
    request_max_body_size=LOG_IN_BYTES_MAX,
    responses={401: ResponseSpec(Problem), 429: ResponseSpec(Problem)},
)
async def token(request: Request[Any, Any, Any], data: JSONBody[Credentials], state: State) -> Token:
    """Exchange a name and a secret for a short-lived bearer token."""
    await strict(request, Credentials)
    desk: Desk = state.desk
    request.scope["state"]["who"] = Identity(kind=data.kind, name=data.name)
    return await desk.admit(data)


def request_id_of(scope: Scope) -> str:
    """Return a request's id: the client's own when it is fit, else a new one."""
    state: dict[str, Any] = scope.setdefault("state", {})
    if "request_id" not in state:
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        state["request_id"] = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    return str(state["request_id"])


async def add_request_id(message: Message, scope: Scope) -> None:
    """Give every response an X-Request-Id."""
    if message["type"] == "http.response.start":
        header = (b"x-request-id", request_id_of(scope).encode())
        message["headers"] = [*message["headers"], header]


def problem_of(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Return the Problem response for whatever a handler raised."""
    response = _problem_of(request, error)
    meter: Meter = request.app.state.meter
    meter.refused(response.content.code)
    return response


def _problem_of(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    request_id = request_id_of(request.scope)
    if isinstance(error, SyncrefError):
        _report(request, error, request_id)
        details = {key: value for key, value in error.details.items() if value is not None}
        problem = Problem(
            code=error.code,
            message=error.message,
            definite=error.definite,
            request_id=request_id,
            **details,  # type: ignore[arg-type]
        )
        return _response(problem, error.status)
    if isinstance(error, HTTPException):
        message, where = _told(error)
        status = error.status_code
        code = _CODES.get(status, "request_invalid" if status < 500 else "internal")
        return _response(
            Problem(code=code, message=message, definite=status < 500, request_id=request_id, where=where), status
        )
    event(_log, logging.ERROR, "request_failed", request_id=request_id, path=request.url.path)
    _log.error("traceback", exc_info=error)
    message = "an internal error; the log has it under this request id"
    return _response(Problem(code="internal", message=message, definite=False, request_id=request_id), 500)


def _report(request: Request[Any, Any, Any], error: SyncrefError, request_id: str) -> None:
    """Note what an attack would look like; an expired token, or none, is everyday life."""
    code = next((code for kind, code in _REPORTED if isinstance(error, kind)), None)
    if code is None:
        return
    who: Identity = request.scope["state"].get("who", NOBODY)
    address = request.client.host if request.client else "?"
    desk: Desk = request.app.state.desk
    detail = f"{request.url.path}: {error.message}"
    desk.refusals.note(who, code, address=address, detail=detail, request_id=request_id)


def _told(error: HTTPException) -> tuple[str, str | None]:
    """Return message and place of a framework's error, as exact as it says."""
    extra = error.extra
    if isinstance(extra, list) and extra and isinstance(extra[0], dict):
        message = str(extra[0].get("message", error.detail))
        where = extra[0].get("key")
        return message, None if where is None else str(where)
    cause = error.__cause__
    if isinstance(cause, msgspec.DecodeError):
        return str(cause), "body"
    missing = _MISSING.search(error.detail)
    return error.detail, missing.group(1) if missing else None


def _response(problem: Problem, status: int) -> Response[Problem]:
    headers: dict[str, str] = {}
    if problem.retry_after_ms is not None:
        headers["Retry-After"] = str(max(1, -(-problem.retry_after_ms // 1000)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(problem, status_code=status, media_type=MediaType.JSON, headers=headers)


def build(
    *,
    title: str,
    routes: Sequence[Any],
    state: dict[str, Any],
    start: Callable[[Litestar], Awaitable[None]],
    stop: Callable[[Litestar], Awaitable[None]],
) -> Litestar:
    """Return an application with the shared edge: token route, request ids, Problem errors, metrics, OpenAPI.

    `state` has the process's meter.
    """
    meter: Meter = state["meter"]
    return Litestar(
        route_handlers=[token, *routes],
        state=State(state),
        before_send=[add_request_id],
        middleware=[meter.middleware],
        request_class=JsonRequest,
        exception_handlers={Exception: problem_of, HTTPException: problem_of, SyncrefError: problem_of},
        openapi_config=OpenAPIConfig(
            title=title,
            version="1",
            path="/schema",
            render_plugins=[JsonRenderPlugin()],
            components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}),
        ),
        request_max_body_size=JSON_BYTES_MAX,
        on_startup=[start],
        on_shutdown=[stop],
        logging_config=None,
        debug=False,
    )
