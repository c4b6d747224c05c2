"""Ten thousand tills that come to a promoted server at once: tokens in hand, one handshake each."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import msgspec
import psutil
import psycopg2
import urllib3
import zstandard

from syncref.auth import Identity, TokenSigner
from syncref.domain.identity import Key, genesis_hash
from syncref.store.server_identity import token_keys
from syncref.store.server_open import open_engine, snapshot
from syncref.wire.sync import CONTENT_TYPE, Hello, TermWire
from tests.bench.ingest_parts import Server

CLIENTS = 16
TOKEN_TTL_MS = 900_000


def tokens(server: Server, tills: Sequence[str]) -> dict[str, str]:
    """Return the tokens that tills got from the old server: its key was replicated, so they hold here as well."""
    engine = open_engine(server.dsn, connections=1)
    try:
        with snapshot(engine) as connection:
            signer = TokenSigner(keys=token_keys(connection))
    finally:
        engine.dispose()
    expires_ms = time.time_ns() // 1_000_000 + TOKEN_TTL_MS
    return {till: signer.sign(Identity(kind="till", name=till), expires_ms=expires_ms) for till in tills}


def hellos(server: Server, tills: Sequence[str]) -> dict[str, bytes]:
    """Return each till's handshake: it has met term 1 and sold nothing yet."""
    connection = psycopg2.connect(server.dsn.replace("+psycopg2", ""))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT n, id FROM term")
        n, term_id = cursor.fetchone()  # type: ignore[misc]
    connection.close()
    term = TermWire(cluster=server.cluster, n=n, id=bytes(term_id))
    found = {}
    for number, till in enumerate(tills):
        key = Key(till=till, incarnation=number.to_bytes(16, "big"))
        genesis = genesis_hash(cluster=server.cluster, key=key)
        hello = Hello(
            till=till, incarnation=key.incarnation, term=term, head_seq=0, head_hash=genesis, acked=0, safe=0,
            cursor_pos=0,
        )  # fmt: skip
        found[till] = zstandard.compress(msgspec.msgpack.encode(hello))
    return found


def shake_all(server: Server, held: dict[str, str], bodies: dict[str, bytes]) -> float:
    """Let every till shake hands, each on a connection of its own; return seconds until the last answer."""
    queue = list(bodies.items())
    lock = threading.Lock()
    failed: list[str] = []

    def client() -> None:
        while True:
            with lock:
                if not queue:
                    return
                till, body = queue.pop()
            http = urllib3.connectionpool.connection_from_url(server.url, maxsize=1, retries=False, timeout=60.0)
            headers = {
                "Authorization": f"Bearer {held[till]}",
                "Content-Type": CONTENT_TYPE,
                "Connection": "close",
            }
            response = http.request("POST", "/v1/hello", body=body, headers=headers)
            if response.status != 200:
                failed.append(f"{till}: {response.status} {response.data[:200]!r}")
            http.close()

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed[:3]
    return time.perf_counter() - began


def rss_mib(pid: int) -> float:
    """Return the memory of a server's processes together."""
    head = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (head, *head.children(recursive=True))) / 2**20
