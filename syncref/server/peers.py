"""Asking the shop's other servers, with a deadline for each question."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import urllib3

from syncref.auth import Identity
from syncref.errors import ConfigInvalid, StorageFailed
from syncref.tls import Trust
from syncref.wire import UNREADABLE
from syncref.wire.peer_api import FenceAsk, PeerAnswer, RoleAnswer

PEER = Identity(kind="server", name="peer")
TIMEOUT_S = 2.0
T = TypeVar("T")


class PeerCalls:
    """Calls of one server to its peers. Not thread-safe."""

    def __init__(
        self, urls: Sequence[str], secret: str, *, ca_file: Path | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Raises ConfigInvalid when `ca_file` can't be used."""
        self.urls = tuple(url.rstrip("/") for url in urls)
        self._secret = secret
        self._tokens: dict[str, str] = {}
        self._timeout = urllib3.Timeout(connect=timeout_s / 2, read=timeout_s)
        self._trust = Trust(ca_file) if any(url.startswith("https://") for url in self.urls) else None
        self._believed: ssl.SSLContext | None = None
        self._http = urllib3.PoolManager(timeout=self._timeout, retries=False, maxsize=2)

    def ask(self, url: str, *, term_n: int = 0) -> PeerAnswer:
        """Return what a peer tells of itself, telling it the own term. Raises StorageFailed without an answer."""
        return self._call("GET", url, f"/v1/peer?term_n={term_n}", PeerAnswer)

    def fence(self, url: str, term_n: int) -> RoleAnswer:
        """Have a peer take no more writes. Raises StorageFailed when it does not answer so."""
        return self._call("POST", url, "/v1/fence", RoleAnswer, FenceAsk(term_n=term_n))

    def close(self) -> None:
        """Drop all connections."""
        self._http.clear()

    def _call(self, method: str, url: str, path: str, kind: type[T], body: msgspec.Struct | None = None) -> T:
        kept = url in self._tokens
        status, data = self._ask(method, url, path, body)
        if status == 401 and kept:
            del self._tokens[url]
            status, data = self._ask(method, url, path, body)
        if status != 200:
            raise StorageFailed(f"{url}{path}: status {status}")
        return _decoded(data, kind, url)

    def _ask(self, method: str, url: str, path: str, body: msgspec.Struct | None) -> tuple[int, bytes]:
        if url not in self._tokens:
            asked = {"kind": PEER.kind, "name": PEER.name, "secret": self._secret}
            status, data = self._send("POST", f"{url}/v1/token", "", msgspec.json.encode(asked))
            if status != 200:
                return status, data
            self._tokens[url] = _decoded(data, _Token, url).token
        payload = None if body is None else msgspec.json.encode(body)
        return self._send(method, url + path, self._tokens[url], payload)

    def _send(self, method: str, url: str, token: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._follow_trust()
        try:
            response = self._http.request(method, url, body=body, headers=headers)
        except urllib3.exceptions.SSLError as error:
            raise StorageFailed(f"{url}: not believed: {error}") from error
        except urllib3.exceptions.HTTPError as error:
            raise StorageFailed(f"{url}: no answer: {type(error).__name__}") from error
        return response.status, response.data

    def _follow_trust(self) -> None:
        """Connect anew once the file of authorities has changed."""
        context = None if self._trust is None else self._trust.context()
        if context is not self._believed:
            self._believed = context
            self._http.clear()
            self._http = urllib3.PoolManager(timeout=self._timeout, retries=False, maxsize=2, ssl_context=context)


class _Token(msgspec.Struct):
    token: str


def _decoded(data: bytes, kind: type[T], url: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        raise StorageFailed(f"{url}: an answer that can't be read: {error}") from error


def peer_secret(file: Path | None) -> str:
    """Return the secret that the servers of a shop share. Raises ConfigInvalid."""
    if file is None:
        raise ConfigInvalid("[server] peer_secret_file is missing: servers with peers share a secret")
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"[server] peer_secret_file {file} can't be read: {error}") from error
    if not 8 <= len(secret) <= 256:
        raise ConfigInvalid(f"[server] peer_secret_file {file}: expected 8 to 256 characters")
    return secret
