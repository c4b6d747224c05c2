"""docs/api.md lists every route of the three processes, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from litestar.handlers import HTTPRouteHandler

from syncref.backoffice.routes import ROUTES as BACKOFFICE
from syncref.server.routes import ROUTES as SERVER
from syncref.server.web import token
from syncref.till.routes import CashierRoutes, OpenRoutes, metrics

PAGE = (Path(__file__).parents[3] / "docs/api.md").read_text()


def routes(handlers: Iterable[Any], prefix: str = "") -> set[str]:
    """Return the routes of handlers, as the page writes them: no types, no query."""
    return {
        f"{method} {prefix}{re.sub(r':[a-z]+}', '}', path)}"
        for handler in handlers
        for path in handler.paths
        for method in handler.http_methods
        if method in ("GET", "POST")
    }


def of_controllers(*controllers: type[Any]) -> set[str]:
    """Return the routes of the till's controllers."""
    found: set[str] = set()
    for controller in controllers:
        handlers = [thing for thing in vars(controller).values() if isinstance(thing, HTTPRouteHandler)]
        found |= routes(handlers, controller.path)
    return found


KNOWN = {
    "Till": of_controllers(OpenRoutes, CashierRoutes) | routes((metrics,)),
    "Server": routes((*SERVER, token)),
    "Back office": routes((*BACKOFFICE, token)),
}


@pytest.mark.parametrize("process", KNOWN)
def test_the_page_lists_the_routes_of_the_process(process: str) -> None:
    """Method and path of every route, in the process's own section."""
    section = PAGE.split(f"\n## {process}\n")[1].split("\n## ")[0]
    listed = {
        f"{method} {re.split(r'[?[]', path)[0]}"
        for method, path in re.findall(r"^\| `(GET|POST) ([^`]+)`", section, re.MULTILINE)
    }
    assert listed == KNOWN[process]
