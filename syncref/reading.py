"""Reading a request's JSON: whatever can't be read is the caller's fault, and nothing was done.

Keeps: text that is not UTF-8, and nesting without end, are refused like all other broken JSON; the framework takes
them for failures of the server.
"""

from __future__ import annotations

from typing import Any

from litestar import Request

from syncref.errors import RequestInvalid
from syncref.wire import UNREADABLE


class JsonRequest(Request[Any, Any, Any]):
    """A request whose JSON can be read, or is refused."""

    async def json(self) -> Any:
        """Return the body. Raises RequestInvalid, and the framework's own error for what is no JSON."""
        try:
            return await super().json()
        except UNREADABLE as error:
            raise RequestInvalid(f"the body can't be read: {error}", where="body") from error
