"""Parts of the ingest benchmark: a durable PostgreSQL, a real server, ten tills' backlogs, and plain COPY."""

from __future__ import annotations

import hashlib
import io
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psycopg2
import urllib3
import zstandard

from syncref.domain.identity import Key, chain_hash, genesis_hash
from syncref.domain.money import line_amount, tax_included
from syncref.store.server_open import create_database
from syncref.wire.entry import Line, Payment, Receipt, encode_entry
from syncref.wire.sync import CONTENT_TYPE, Ack, Batch, Hello, HelloAnswer
from tests.postgres import running_postgres

TILLS = 10
SALES_PER_TILL = 5_000
BATCH = 500
PRODUCTS = 20_000
TABLES = ("entry", "receipt", "line", "payment")
SECRET = "a-long-secret-of-"
_SYNCREF = "import sys; from syncref.cli import main; sys.argv[0] = 'syncref'; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """One till's journal: its key and payloads."""

    key: Key
    payloads: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server and its database."""

    url: str
    dsn: str
    cluster: str
    pid: int


def backlogs(seed: int) -> list[Backlog]:
    """Return ten journals of sales with three lines and one payment each."""
    draw = random.Random(seed)  # noqa: S311 - a benchmark's data, not a secret
    return [
        Backlog(
            key=Key(till=f"T{n:02d}", incarnation=draw.randbytes(16)),
            payloads=tuple(encode_entry(_sale(draw, n, counter)) for counter in range(1, SALES_PER_TILL + 1)),
        )
        for n in range(1, TILLS + 1)
    ]


def _sale(draw: random.Random, till: int, counter: int) -> Receipt:
    lines = []
    for _ in range(3):
        price, qty = draw.randrange(49, 5000), 1000 * draw.choice((1, 1, 1, 2, 3))
        amount = line_amount(qty=qty, unit_price=price, discount=0)
        tax = tax_included(amount=amount, rate_bp=1900)
        lines.append(
            Line(sku=f"P{draw.randrange(PRODUCTS):06d}", qty=qty, unit_price=price,
                 price_version=draw.randrange(1, 9), tax_rate_bp=1900, discount=0, tax=tax, amount=amount)
        )  # fmt: skip
    gross = sum(line.amount for line in lines)
    return Receipt(
        op_id=draw.randbytes(16), kind="sale", counter=counter, business_date="2025-03-01",
        at_ms=1_740_800_000_000 + counter * 7_000 + draw.randrange(5_000), cashier=f"c{till}",
        lines=tuple(lines), payments=(Payment(tender=draw.choice(("cash", "card")), amount=gross),),
        gross=gross, tax=sum(line.tax for line in lines),
    )  # fmt: skip


@contextmanager
def running_server(workers: int = 2) -> Iterator[Server]:
    """Run PostgreSQL with its default durability, and `syncref server` on it, provisioned with products."""
    with running_postgres() as postgres, tempfile.TemporaryDirectory(prefix="bench-ingest-") as name:
        folder = Path(name)
        create_database(postgres.dsn("postgres"), "bench")
        dsn = postgres.dsn("bench")
        config = folder / "server.toml"
        port = _free_port()
        config.write_text(f'[server]\ndatabase = "{dsn}"\nlisten = "127.0.0.1:{port}"\nworkers = {workers}\n')
        _provision(folder, config)
        connection = psycopg2.connect(_plain(dsn))
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT cluster FROM term")
            cluster = cursor.fetchone()[0]  # type: ignore[index]
        connection.close()
        process = subprocess.Popen([sys.executable, "-c", _SYNCREF, "server", "--config", str(config)])
        try:
            url = f"http://127.0.0.1:{port}"
            _await(url)
            yield Server(url=url, dsn=dsn, cluster=cluster, pid=process.pid)
        finally:
            process.terminate()
            process.wait(30)


def _provision(folder: Path, config: Path) -> None:
    tills = folder / "tills.csv"
    tills.write_text("name,secret\n" + "".join(f"T{n:02d},{SECRET}T{n:02d}\n" for n in range(1, TILLS + 1)))
    masters = folder / "masters"
    masters.mkdir()
    (masters / "tax_rates.csv").write_text("tax_code,rate_bp\nA,1900\n")
    rows = "".join(f"P{n:06d},Product {n},A\n" for n in range(PRODUCTS))
    (masters / "products.csv").write_text("sku,name,tax_code\n" + rows)
    for arguments in (
        ("provision", "server", "--config", str(config), "--tills-file", str(tills)),
        ("import", "--config", str(config), "--masters", str(masters)),
    ):
        subprocess.run([sys.executable, "-c", _SYNCREF, *arguments], check=True, stdout=subprocess.DEVNULL)


def _await(url: str) -> None:
    http = urllib3.PoolManager(retries=False)
    end = time.monotonic() + 30
    while True:
        try:
            if http.request("GET", url + "/v1/health").status == 200:
                break
        except urllib3.exceptions.HTTPError:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)
    http.clear()


@dataclass(slots=True)
class Uploader:
    """One till's connection, with its handshake done and its bodies ready."""

    http: urllib3.HTTPConnectionPool
    headers: dict[str, str]
    bodies: list[bytes]
    last_seq: int

    def send(self) -> None:
        """Send every batch, each after the ack of the one before."""
        seq = 0
        for body in self.bodies:
            response = self.http.request("POST", "/v1/journal", body=body, headers=self.headers)
            assert response.status == 200, response.data
            seq = msgspec.msgpack.decode(zstandard.decompress(response.data), type=Ack).seq
        assert seq == self.last_seq


def ready(server: Server, backlog: Backlog) -> Uploader:
    """Log in, shake hands and compress the bodies; nothing of this is timed."""
    http = urllib3.connectionpool.connection_from_url(server.url, maxsize=1, retries=False, timeout=120.0)
    till = backlog.key.till
    answer = http.request("POST", "/v1/token", json={"kind": "till", "name": till, "secret": SECRET + till})
    token = json.loads(answer.data)["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": CONTENT_TYPE}
    genesis = genesis_hash(cluster=server.cluster, key=backlog.key)
    hello = Hello(till=till, incarnation=backlog.key.incarnation, term=None, head_seq=0, head_hash=genesis,
                  acked=0, safe=0, cursor_pos=0)  # fmt: skip
    body = zstandard.compress(msgspec.msgpack.encode(hello))
    reply = http.request("POST", "/v1/hello", body=body, headers=headers)
    greeted = msgspec.msgpack.decode(zstandard.decompress(reply.data), type=HelloAnswer)
    value, bodies = genesis, []
    for start in range(0, len(backlog.payloads), BATCH):
        payloads = backlog.payloads[start : start + BATCH]
        batch = Batch(session=greeted.session, term=greeted.term, till=till,
                      incarnation=backlog.key.incarnation, first_seq=start + 1, prev_hash=value,
                      payloads=payloads)  # fmt: skip
        bodies.append(zstandard.compress(msgspec.msgpack.encode(batch)))
        for payload in payloads:
            value = chain_hash(value, payload)
    return Uploader(http=http, headers=headers, bodies=bodies, last_seq=len(backlog.payloads))


def ingest(server: Server, journals: list[Backlog]) -> float:
    """Upload all backlogs at once; return seconds."""
    uploaders = [ready(server, backlog) for backlog in journals]
    threads = [threading.Thread(target=uploader.send) for uploader in uploaders]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    for uploader in uploaders:
        uploader.http.close()
    return seconds


class Tables:
    """The server's tables, seen from a connection of the benchmark."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg2.connect(_plain(dsn))

    def count(self, table: str) -> int:
        """Return the number of rows."""
        return int(self._one(f"SELECT count(*) FROM {table}"))  # noqa: S608 - one of TABLES

    def empty(self) -> None:
        """Remove all journals, once the stock fold has caught up, and write out what is dirty."""
        while self._one(
            "SELECT count(*) FROM journal j LEFT JOIN stock_fold f USING (till, incarnation) "
            "WHERE j.seq > coalesce(f.seq, 0)"
        ):
            time.sleep(0.2)
        while True:
            try:
                with self._connection, self._connection.cursor() as cursor:
                    cursor.execute(f"TRUNCATE {', '.join(TABLES)}, journal, stock_fold, flag")
                break
            except psycopg2.errors.DeadlockDetected:
                continue  # the server's stock fold was reading them
        self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        self._connection.autocommit = False

    def read(self) -> dict[str, bytes]:
        """Return the tables' rows as COPY text."""
        texts = {}
        with self._connection, self._connection.cursor() as cursor:
            for table in TABLES:
                out = io.BytesIO()
                cursor.copy_expert(f"COPY (TABLE {table} ORDER BY 1, 2, 3, 4) TO STDOUT", out)
                texts[table] = out.getvalue()
        return texts

    def copy(self, texts: dict[str, bytes]) -> float:
        """COPY the rows into the tables in one transaction; return seconds."""
        began = time.perf_counter()
        with self._connection, self._connection.cursor() as cursor:
            for table, rows in texts.items():
                cursor.copy_expert(f"COPY {table} FROM STDIN", io.BytesIO(rows), 1 << 18)
        return time.perf_counter() - began

    def digest(self) -> str:
        """Return a digest of the typed rows: both ways must store the same."""
        texts = self.read()
        return hashlib.sha256(b"".join(texts[table] for table in TABLES[1:])).hexdigest()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _one(self, sql: str) -> Any:
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(sql)
            found = cursor.fetchone()
        assert found is not None
        return found[0]


def _plain(dsn: str) -> str:
    return dsn.replace("+psycopg2", "")


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
