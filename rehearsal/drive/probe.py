"""A till that never met the new server: does an old one still take its sales?

It shakes hands with the term that it knows, and as a till that knows none, and uploads an entry. Every answer
is evidence; one that is accepted by a server that is live no more convicts.
"""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from rehearsal.drive.till_api import Refused, identity_session
from rehearsal.evidence.export import write_rows
from rehearsal.staging.servers import PROBE_TILL
from rehearsal.staging.shop import Shop
from rehearsal.witness import Witness
from syncref.domain.identity import Key, Mark, genesis_hash
from syncref.wire.entry import DayOpened, encode_entry
from syncref.wire.sync import CONTENT_TYPE, Batch, Hello, HelloAnswer, TermWire

COLUMNS = ("at_ms", "server", "ask", "term_n", "accepted", "status", "code")
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question of the probe till and its answer; status 0: none came."""

    at_ms: int
    server: str
    ask: str
    term_n: int
    accepted: bool
    status: int
    code: str


class ProbeTill:
    """Asks servers, and remembers what they said. Not thread-safe."""

    def __init__(self, shop: Shop, witness: Witness) -> None:
        self._shop = shop
        self._witness = witness
        self._stale: TermWire | None = None
        self._cluster = ""
        self.probes: list[Probe] = []

    def remember(self) -> None:
        """Take the present term for the one that this till knows, and stay with it; raises WitnessUnreadable."""
        if self._stale is not None:
            return
        cluster, n, term_id = self._witness.server_rows("SELECT cluster, n, id FROM term")[0]
        self._cluster = cluster
        self._stale = TermWire(cluster=cluster, n=n, id=bytes(term_id))

    def ask(self, server: str) -> list[Probe]:
        """Ask one server everything; return the answers."""
        asked: list[Probe] = []
        for ask, term in (("hello of a stale term", self._stale), ("hello of no term", None)):
            key = Key(till=PROBE_TILL, incarnation=secrets.token_bytes(16))
            genesis = Mark(seq=0, hash=genesis_hash(cluster=self._cluster, key=key))
            hello = Hello(
                till=key.till, incarnation=key.incarnation, term=term, head_seq=1, head_hash=b"\0" * 32, acked=0,
                safe=0, cursor_pos=0,
            )  # fmt: skip
            probe, body = self._send(server, "/v1/hello", hello, ask, term)
            asked.append(probe)
            session, told = secrets.token_bytes(16), self._stale
            if body:
                answer = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(body), type=HelloAnswer)
                session, told = answer.session, answer.term
            if told is not None:
                asked.append(self._upload(server, key, genesis, session=session, term=told))
        self.probes += asked
        return asked

    def write(self, folder: Path) -> None:
        """Write probes.csv, where anything was asked."""
        if self.probes:
            rows = [tuple(getattr(probe, name) for name in COLUMNS) for probe in self.probes]
            write_rows(folder, "probes", COLUMNS, rows)

    def _upload(self, server: str, key: Key, genesis: Mark, *, session: bytes, term: TermWire) -> Probe:
        opened = DayOpened(
            op_id=secrets.token_bytes(16), business_date="2000-01-01", at_ms=0, cashier="probe", float_cash=0
        )
        batch = Batch(
            session=session, term=term, till=key.till, incarnation=key.incarnation, first_seq=1,
            prev_hash=genesis.hash, payloads=(encode_entry(opened),),
        )  # fmt: skip
        return self._send(server, "/v1/journal", batch, "upload", term)[0]

    def _send(
        self, server: str, path: str, message: msgspec.Struct, ask: str, term: TermWire | None
    ) -> tuple[Probe, bytes]:
        url = self._shop.url(server)
        status, code, body = 0, "", b""
        try:
            session = identity_session(url, kind="till", name=PROBE_TILL, secret=self._shop.probe_secret)
            packed = zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(message))
            status, body = post_packed(url + path, packed, token=session.token)
        except Refused as error:
            code = error.code or str(error)
        if status not in (0, 200):
            code, body = _code(body), b""
        probe = Probe(
            at_ms=time.time_ns() // 1_000_000, server=server, ask=ask, term_n=0 if term is None else term.n,
            accepted=status == 200, status=status, code=code,
        )  # fmt: skip
        return probe, body


def post_packed(url: str, body: bytes, *, token: str) -> tuple[int, bytes]:
    """Post a message of the sync protocol; return status and body. Raises Refused without an answer."""
    headers = {"Content-Type": CONTENT_TYPE, "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - our own address
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read(4000)
    except (urllib.error.URLError, OSError) as error:
        raise Refused(f"no answer: {getattr(error, 'reason', error)}") from error


def silent(probes: Sequence[Probe]) -> bool:
    """Say whether a server took nothing, and left a question without an answer."""
    return any(one.status == 0 for one in probes) and not any(one.accepted for one in probes)


def told(probes: Sequence[Probe]) -> str:
    """Return what a server said, in words."""
    return ", ".join(f"{one.ask}: {'ACCEPTED' if one.accepted else one.code or one.status}" for one in probes)


def _code(body: bytes) -> str:
    try:
        found: Any = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("code", "")) if isinstance(found, dict) else ""
