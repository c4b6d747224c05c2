"""The live page over HTTP: one page, its script and style, a stream of states, and one way to do something.

Keeps: everything is below a path that holds the run's token; anything else is 404. Nothing outside is loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from anyio import to_thread
from litestar import Litestar, Response, Router, get, post
from litestar.datastructures import State as AppState
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, JSONBody
from litestar.response import ServerSentEvent

from rehearsal.live.board import Board
from rehearsal.live.hands import NotPossible

STATIC = Path(__file__).parent / "static"
LOOK_S = 0.2
KINDS = {"page.js": "text/javascript", "page.css": "text/css"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self' data:; script-src 'self' 'unsafe-inline'; style-src 'self'"
    " 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to do by hand."""

    what: str
    target: str = ""
    text: str = ""


class Did(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    ok: bool
    text: str


def run_app(board: Board, token: str, *, home: str) -> Litestar:
    """Return the application of one run; `home` is the address of the start page, if there is one."""
    handlers = [run_page, static, stream, do, report]
    state = AppState({"board": board, "home": home, "leaving": False, "report_read": False})
    return secured([Router(path=f"/{token}", route_handlers=handlers)], state)


def secured(routers: list[Router], state: AppState) -> Litestar:
    """Return an application with the headers of a page that stays among itself."""
    return Litestar(
        route_handlers=list(routers), state=state, response_headers=HEADERS, openapi_config=None,
        logging_config=None, debug=False,
    )  # fmt: skip


def page(name: str, **values: str) -> Response[str]:
    """Return one of the static pages, its {{names}} replaced."""
    text = (STATIC / name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", value)
    return Response(text, media_type="text/html")


@get("/", media_type="text/html")
async def run_page(state: AppState) -> Response[str]:
    """Return the live page."""
    return page("run.html", home=state.home)


@get("/{name:str}", media_type="text/plain")
async def static(name: FromPath[str]) -> Response[str]:
    """Return the script or the style."""
    if name not in KINDS:
        raise NotFoundException
    return Response((STATIC / name).read_text(encoding="utf-8"), media_type=KINDS[name])


@get("/events")
async def stream(state: AppState) -> ServerSentEvent:
    """Send the state whenever it changes, with the log lines and points that are new since the last."""
    return ServerSentEvent(_states(state))


async def _states(state: AppState) -> AsyncIterator[str]:
    board: Board = state.board
    board.attached += 1
    board.poke()
    version = said = points = 0
    thinned = board.thinned
    try:
        while not state.leaving:
            if version == board.version:
                await asyncio.sleep(LOOK_S)
                continue
            version = board.version
            if thinned != board.thinned:
                thinned, points = board.thinned, 0
            log = [line for line in list(board.log) if line[0] > said]
            fresh = board.points[points:]
            message: dict[str, Any] = {"state": board.state, "log": log, "points": fresh, "points_from": points}
            said = log[-1][0] if log else said
            points += len(fresh)
            yield msgspec.json.encode(message).decode()
    finally:
        board.attached -= 1


@post("/do", status_code=200)
async def do(data: JSONBody[Asked], state: AppState) -> Response[Did]:
    """Do something by hand."""
    board: Board = state.board
    try:
        text = await to_thread.run_sync(board.hands.do, data.what, data.target, data.text)
    except NotPossible as error:
        return Response(Did(ok=False, text=str(error)), status_code=409)
    finally:
        board.poke()
    return Response(Did(ok=True, text=text))


@get("/report.html", media_type="text/html")
async def report(state: AppState) -> Response[str]:
    """Return the finished report."""
    found = state.board.report
    if found is None or not found.is_file():
        raise NotFoundException
    state.report_read = True
    return Response(found.read_text(encoding="utf-8"), media_type="text/html")
