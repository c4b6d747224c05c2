"""A thin hold on toxiproxy-python: every call has a time-out, every refusal raises, every change is read back.

Keeps: what this module says about a link is what the proxy server says about it after the change. Toxics are
added while the proxy is enabled only on request (`live`), and are lifted by disabling the proxy and making it
anew. For to delete a toxic, Toxiproxy waits for the connections that pass through it: 5 s in one of ten lifts
while a till talks, even on a disabled proxy, and for good when a reader stalls. One client serves one server;
several live side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import requests
import requests.auth
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from chaos.errors import ProxyRefused, ProxyUnavailable

TIMEOUT_S = 5.0
DIRECT = {"http": "", "https": "", "all": "", "no_proxy": "*"}
Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxic:
    """One fault on one direction of a proxy. `stream` is upstream (till to server) or downstream (its answers)."""

    name: str
    type: str
    stream: str
    attributes: Mapping[str, int]
    toxicity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyState:
    """A proxy as the server described it at one moment. `listen` and `upstream` are host:port."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: tuple[Toxic, ...]


class ProxyClient:
    """Talks to one proxy server at `host`:`port`. Safe to use from several threads."""

    def __init__(self, host: str, port: int, *, timeout_s: float = TIMEOUT_S) -> None:
        name = f"[{host}]" if ":" in host else host
        # the library keeps host and port on the class: a class of our own keeps servers apart
        self._consumer = type("Consumer", (APIConsumer,), {"host": name, "port": port})
        self._timeout_s = timeout_s
        self._lock = threading.RLock()
        self._nature: dict[str, tuple[Toxic, ...]] = {}
        self.address = f"{name}:{port}"

    def version(self) -> str:
        """Return the server's version. It answers even when the server is wedged; watch proxies() instead."""
        answer = self._call("get", "/version")
        try:
            return str(answer.json()["version"])
        except ValueError:
            return str(answer.text).strip()

    def proxies(self) -> dict[str, ProxyState]:
        """Return all proxies by name."""
        with self._lock:  # not between the halves of a lift
            return {name: state_of(body) for name, body in self._call("get", "/proxies").json().items()}

    def proxy(self, name: str) -> ProxyState:
        """Return one proxy; raise ProxyRefused if there is none."""
        with self._lock:
            return state_of(self._call("get", f"/proxies/{quoted(name)}").json())

    def create(self, name: str, *, listen: str, upstream: str, enabled: bool = True) -> ProxyState:
        """Make a proxy and return it as read back; `listen` must have a port."""
        with self._lock:
            body = {"name": name, "listen": listen, "upstream": upstream, "enabled": enabled}
            self._call("post", "/proxies", json=body)
            return self._confirm(name, lambda now: now.enabled == enabled and same_port(now.listen, listen))

    def delete(self, name: str) -> None:
        """Remove a proxy and its connections."""
        with self._lock:
            self._call("delete", f"/proxies/{quoted(name)}")
            if name in self.proxies():
                raise ProxyRefused(f"proxy {name}: still there after its removal")

    def enable(self, name: str, enabled: bool = True) -> ProxyState:
        """Open or cut a proxy and return it as read back."""
        with self._lock:
            self._call("post", f"/proxies/{quoted(name)}", json={"enabled": enabled})
            return self._confirm(name, lambda now: now.enabled == enabled)

    def add(self, name: str, toxic: Toxic, *, live: bool = False) -> ProxyState:
        """Add a toxic and return the proxy as read back.

        Without `live` the proxy is disabled meanwhile, so that no connection escapes the toxic; with it, open
        connections go on and meet the toxic at their next byte.
        """
        body = {
            "name": toxic.name,
            "type": toxic.type,
            "stream": toxic.stream,
            "toxicity": toxic.toxicity,
            "attributes": dict(toxic.attributes),
        }
        with self._lock:
            if not live:
                self.enable(name, False)
            try:
                self._call("post", f"/proxies/{quoted(name)}/toxics", json=body)
            finally:
                if not live:
                    self.enable(name)
            return self._confirm(name, lambda now: any(holds(one, toxic) for one in now.toxics))

    def lift(self, name: str) -> ProxyState:
        """Remove all toxics of a proxy by making it anew, open, and return it as read back.

        What the line is like by nature (see `limit`) stays.
        """
        with self._lock:
            before = self.enable(name, False)
            self.delete(name)
            state = self.create(name, listen=before.listen, upstream=before.upstream)
            for toxic in self._nature.get(name, ()):
                state = self.add(name, toxic)
            return state

    def limit(self, name: str, rate_kb_s: int) -> None:
        """Make a line as slow as it is by nature: no fault, and nothing heals it. KB/s each way and connection."""
        with self._lock:
            self._nature[name] = tuple(
                Toxic(name=f"line_{stream}", type="bandwidth", stream=stream, attributes={"rate": rate_kb_s})
                for stream in ("upstream", "downstream")
            )
            for toxic in self._nature[name]:
                self.add(name, toxic)

    def spare(self, name: str, toxic: Toxic) -> ProxyState:
        """Let a toxic act on the connections that it is on already, and on no new one; return the proxy."""
        with self._lock:
            self._call("post", f"/proxies/{quoted(name)}/toxics/{quoted(toxic.name)}", json={"toxicity": 0.0})
            spared = replace(toxic, toxicity=0.0)
            return self._confirm(name, lambda now: any(holds(one, spared) for one in now.toxics))

    def nature(self, name: str) -> tuple[Toxic, ...]:
        """Return what a line is like by nature."""
        return self._nature.get(name, ())

    def reset(self) -> dict[str, ProxyState]:
        """Remove all toxics and open all proxies; return them read back. A stalled reader wedges it; see lift."""
        with self._lock:
            self._call("post", "/reset")
            now = self.proxies()
            left = [name for name, state in now.items() if state.toxics or not state.enabled]
            if left:
                raise ProxyRefused(f"proxies {', '.join(left)}: not reset")
            return now

    def populate(self, wanted: Sequence[tuple[str, str, str]]) -> dict[str, ProxyState]:
        """Make or replace proxies given as (name, listen, upstream); return all as read back."""
        with self._lock:
            bodies = [{"name": name, "listen": listen, "upstream": upstream} for name, listen, upstream in wanted]
            self._call("post", "/populate", json=bodies)
            now = self.proxies()
            for name, listen, upstream in wanted:
                there = now.get(name)
                if there is None or there.upstream != upstream or not same_port(there.listen, listen):
                    raise ProxyRefused(f"proxy {name}: the change did not take: it is {there}")
            return now

    def carried(self) -> dict[tuple[str, str], int]:
        """Return bytes taken in so far by (proxy, stream), from the server's metrics; empty without any."""
        found: dict[tuple[str, str], int] = {}
        for line in str(self._call("get", "/metrics").text).splitlines():
            metric, _, labels = line.partition("{")
            if metric == "toxiproxy_proxy_received_bytes_total":
                named, _, value = labels.rpartition("}")
                pairs = dict(pair.split("=", 1) for pair in named.split(","))
                key = pairs["proxy"].strip('"'), pairs["direction"].strip('"')
                found[key] = found.get(key, 0) + int(float(value))
        return found

    def _confirm(self, name: str, fits: Callable[[ProxyState], bool]) -> ProxyState:
        now = self.proxy(name)
        if not fits(now):
            raise ProxyRefused(f"proxy {name}: the change did not take: it is {now}")
        return now

    def _call(self, method: str, path: str, **body: Json) -> requests.Response:
        call: Callable[..., requests.Response] = getattr(self._consumer, method)
        try:
            answer = call(path, timeout=self._timeout_s, proxies=DIRECT, auth=NO_AUTH, **body)
        except (ProxyExists, NotFound, InvalidToxic) as error:
            told = error.args[0].decode(errors="replace") if error.args else ""
            raise ProxyRefused(f"proxy server {self.address}: {method} {path}: {told.strip()}") from error
        except requests.RequestException as error:
            raise ProxyUnavailable(f"proxy server {self.address}: {method} {path}: {error}") from error
        if not answer.ok:
            kind = ProxyUnavailable if answer.status_code >= 500 else ProxyRefused
            raise kind(f"proxy server {self.address}: {method} {path}: {answer.status_code} {answer.text.strip()}")
        return answer


class NoAuth(requests.auth.AuthBase):
    """Keeps requests from reading ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


NO_AUTH = NoAuth()


def quoted(name: str) -> str:
    """Return a name as one segment of a path."""
    return quote(name, safe="")


def state_of(body: Mapping[str, Json]) -> ProxyState:
    """Read a proxy from the server's JSON."""
    toxics = tuple(
        Toxic(
            name=one["name"],
            type=one["type"],
            stream=one["stream"],
            attributes=dict(one["attributes"]),
            toxicity=float(one.get("toxicity", 1.0)),
        )
        for one in body.get("toxics") or ()
    )
    return ProxyState(
        name=body["name"],
        listen=body["listen"],
        upstream=body["upstream"],
        enabled=bool(body["enabled"]),
        toxics=toxics,
    )


def holds(there: Toxic, asked: Toxic) -> bool:
    """Tell whether a toxic read back is the one asked for; the server may add attributes with their defaults."""
    return (
        (there.name, there.type, there.stream) == (asked.name, asked.type, asked.stream)
        and all(there.attributes.get(key) == value for key, value in asked.attributes.items())
        and abs(there.toxicity - asked.toxicity) < 1e-6
    )


def same_port(there: str, asked: str) -> bool:
    """Tell whether the server listens where it was told to; port 0 asked for any."""
    port = asked.rpartition(":")[2]
    return port == "0" or there.rpartition(":")[2] == port
