"""Toxiproxy's HTTP API over the built-in proxies, as a plain ASGI application.

Keeps: an answer describes the state after the change, and a refused change leaves everything as it was.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from chaos.proxy.proxies import Counts, Proxy
from chaos.proxy.toxics import ToxicRefused, parse

VERSION = "2.12.0+tillproof"
BODY_BYTES_MAX = 1024 * 1024
Json = Any
Receive = Callable[[], Awaitable[dict[str, Json]]]
Send = Callable[[dict[str, Json]], Awaitable[None]]


class Refused(Exception):
    """A request that gets an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """All proxies of one server, and the routes over them."""

    def __init__(self, seed: int) -> None:
        self.proxies: dict[str, Proxy] = {}
        self.counts: dict[str, Counts] = {}
        self._seed = seed

    async def __call__(self, scope: Mapping[str, Json], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            path = [unquote(part) for part in scope["raw_path"].decode("ascii").strip("/").split("/")]
            status, answer = await self.route(scope["method"], path, await body_of(receive))
        except (Refused, ToxicRefused) as error:
            status = error.status if isinstance(error, Refused) else 400
            answer = {"error": str(error), "status": status}
        plain = isinstance(answer, str)
        content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        kind = b"text/plain; charset=utf-8" if plain else b"application/json"
        headers = [(b"content-type", kind)]
        if status != 204:
            headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if status == 204 else content})

    async def route(  # noqa: PLR0911 - a table of routes
        self, method: str, path: list[str], body: bytes
    ) -> tuple[int, Json]:
        """Find and run what a request asks for; return status and JSON."""
        change = "POST" if method == "PATCH" else method
        match change, path:
            case "GET", ["version"]:
                return 200, {"version": VERSION}
            case "GET", ["metrics"]:
                return 200, self.metrics()
            case "GET", ["proxies"]:
                return 200, {name: proxy.as_json() for name, proxy in self.proxies.items()}
            case "POST", ["proxies"]:
                return 201, (await self.create(document(body, dict))).as_json()
            case "POST", ["populate"]:
                return 201, {"proxies": [one.as_json() for one in await self.populate(document(body, list))]}
            case "POST", ["reset"]:
                await self.reset()
                return 204, None
            case _, ["proxies", name, *rest]:
                return await self.route_proxy(change, self.named(name), rest, body)
        raise Refused(404, "404 page not found")

    async def route_proxy(  # noqa: PLR0911 - a table of routes
        self, method: str, proxy: Proxy, rest: list[str], body: bytes
    ) -> tuple[int, Json]:
        """Run what concerns one proxy."""
        match method, rest:
            case "GET", []:
                return 200, proxy.as_json()
            case "POST", []:
                await self.update(proxy, document(body, dict))
                return 200, proxy.as_json()
            case "DELETE", []:
                del self.proxies[proxy.name]
                await proxy.disable()
                return 204, None
            case "GET", ["toxics"]:
                return 200, [toxic.as_json() for toxic in proxy.toxics.values()]
            case "POST", ["toxics"]:
                toxic = parse(document(body, dict))
                if toxic.name in proxy.toxics:
                    raise Refused(409, "toxic already exists")
                proxy.toxics[toxic.name] = toxic
                proxy.change()
                return 200, toxic.as_json()
            case _, ["toxics", name] if name not in proxy.toxics:
                raise Refused(404, "toxic not found")
            case "GET", ["toxics", name]:
                return 200, proxy.toxics[name].as_json()
            case "POST", ["toxics", name]:
                proxy.toxics[name] = parse(document(body, dict), proxy.toxics[name])
                proxy.change()
                return 200, proxy.toxics[name].as_json()
            case "DELETE", ["toxics", name]:
                del proxy.toxics[name]
                proxy.change()
                return 204, None
        raise Refused(405, "method not allowed")

    async def create(self, body: Mapping[str, Json]) -> Proxy:
        """Make a proxy."""
        name, upstream = text(body, "name"), text(body, "upstream")
        if not name or not upstream:
            raise Refused(400, f"missing required field: {'upstream' if name else 'name'}")
        if name in self.proxies:
            raise Refused(409, "proxy already exists")
        listen = address(text(body, "listen") or "127.0.0.1:0")
        counts = self.counts.get(name, Counts())
        proxy = Proxy(name, listen, address(upstream), seed=self._seed, counts=counts)
        if body.get("enabled", True):
            await enabled(proxy)
        self.proxies[name] = proxy
        self.counts[name] = counts
        return proxy

    async def update(self, proxy: Proxy, body: Mapping[str, Json]) -> None:
        """Change a proxy's addresses or whether it is enabled; changed addresses drop its connections."""
        listen = address(text(body, "listen") or proxy.listen)
        upstream = address(text(body, "upstream") or proxy.upstream)
        on = bool(body.get("enabled", proxy.enabled))
        if not on or (listen, upstream) != (proxy.listen, proxy.upstream):
            await proxy.disable()
            proxy.listen, proxy.upstream = listen, upstream
        if on:
            await enabled(proxy)

    async def populate(self, bodies: list[Json]) -> list[Proxy]:
        """Make or replace many proxies; one that is already so stays."""
        made = []
        for body in bodies:
            if not isinstance(body, Mapping):
                raise Refused(400, "bad request body")
            there = self.proxies.get(text(body, "name"))
            if there is not None:
                if (there.listen, there.upstream) == (text(body, "listen"), text(body, "upstream")):
                    await self.update(there, {"enabled": body.get("enabled", True)})
                    made.append(there)
                    continue
                del self.proxies[there.name]
                await there.disable()
            made.append(await self.create(body))
        return made

    async def reset(self) -> None:
        """Remove all toxics and enable all proxies."""
        for proxy in self.proxies.values():
            proxy.toxics.clear()
            proxy.change()
            await enabled(proxy)

    def metrics(self) -> str:
        """Return the bytes carried, under Toxiproxy's names; a proxy that is made anew counts on."""
        lines = []
        for what in ("received", "sent"):
            name = f"toxiproxy_proxy_{what}_bytes_total"
            lines.append(f"# TYPE {name} counter")
            for proxy, counts in self.counts.items():
                for stream, count in (counts.received if what == "received" else counts.sent).items():
                    lines.append(f'{name}{{direction="{stream}",proxy="{proxy}"}} {count}')
        return "\n".join(lines) + "\n"

    def named(self, name: str) -> Proxy:
        """Return a proxy or refuse."""
        if name not in self.proxies:
            raise Refused(404, "proxy not found")
        return self.proxies[name]

    async def close(self) -> None:
        """Close all proxies."""
        for proxy in self.proxies.values():
            await proxy.disable()


async def enabled(proxy: Proxy) -> None:
    """Enable a proxy; a taken address is the server's error, as Toxiproxy has it."""
    try:
        await proxy.enable()
    except OSError as error:
        raise Refused(500, f"listen tcp {proxy.listen}: {error.strerror or error}") from error


async def body_of(receive: Receive) -> bytes:
    """Read a request's body up to the limit."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > BODY_BYTES_MAX:
            raise Refused(413, "request body too large")
        if not message.get("more_body"):
            return body


def document(body: bytes, kind: type[Any]) -> Json:
    """Read a JSON body of the expected kind."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Refused(400, f"bad request body: {error}") from error
    if not isinstance(found, kind):
        raise Refused(400, "bad request body")
    return found


def text(body: Mapping[str, Json], key: str) -> str:
    """Return a text field, or an empty string when it is absent."""
    value = body.get(key, "")
    if not isinstance(value, str):
        raise Refused(400, f"bad request body: {key} is not a string")
    return value


def address(value: str) -> str:
    """Check host:port."""
    _, colon, port = value.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise Refused(400, f"bad address {value!r}: give host:port")
    return value
