"""Stories of the real server on a real PostgreSQL: readers that stall, and files whose columns moved."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import text

from rehearsal.prove.field import plants
from rehearsal.prove.field.memory import Watched
from rehearsal.prove.field.till_lab import ROOT, program
from syncref.auth import Identity
from syncref.errors import RuleBroken
from syncref.server import masters_import
from syncref.server.provision import database_of, provision
from syncref.store.server_open import open_engine, snapshot

SECRET = "a secret of the story"  # noqa: S105 - of a database that is thrown away
READERS = 30
PRODUCTS = 40_000
NAME = "Product of a shop that describes everything at length, as some do, so that a row takes two hundred bytes"
GROWTH_MIB_MAX = 40.0
STALLED_S = 4.0


def stalled_readers(folder: Path, plant: str) -> dict[str, str]:
    """Let 30 readers ask for a table and read nothing. Convicts (experience) when the server keeps it for each."""
    rows = [(f"P{n:06d}", f"{n} {NAME} {n}", "N", "", 1) for n in range(PRODUCTS)]
    write_csv(folder / "tax_rates.csv", ("tax_code", "rate_bp"), [("N", 1900)])
    write_csv(folder / "products.csv", ("sku", "name", "tax_code", "vendor_id", "active"), rows)
    with database_of(None, folder / "pg") as dsn:
        engine = open_engine(dsn, connections=1)
        provision(engine, [(Identity(kind="till", name="T01"), SECRET)])
        masters_import.import_folder(engine, folder, at_ms=0)
        engine.dispose()
        with server_process(folder, plant) as (pid, address), ExitStack() as lines:
            token = log_in(address)
            read_whole(address, token)  # what the first reader costs, every server pays once
            with Watched(pid) as memory:
                for _ in range(READERS):
                    lines.enter_context(stalled(address, token))
                time.sleep(STALLED_S)
    if memory.growth_mib > GROWTH_MIB_MAX:
        return {"experience": f"{READERS} stalled readers took {memory.growth_mib:.0f} MiB of the server's memory"}
    return {}


def log_in(address: tuple[str, int]) -> str:
    """Return a till's token."""
    asked = urllib.request.Request(
        f"http://{address[0]}:{address[1]}/v1/token",
        data=json.dumps({"kind": "till", "name": "T01", "secret": SECRET}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - our own http URL
        return str(json.load(answer)["token"])


def read_whole(address: tuple[str, int], token: str) -> None:
    """Read the table's first page as a reader should."""
    asked = urllib.request.Request(
        f"http://{address[0]}:{address[1]}/v1/load/product", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - our own http URL
        answer.read()


@contextmanager
def stalled(address: tuple[str, int], token: str) -> Iterator[None]:
    """Ask for the table and read nothing of it, with the smallest of windows."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    line.connect(address)
    line.sendall(f"GET /v1/load/product HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    try:
        yield
    finally:
        line.close()


@contextmanager
def server_process(folder: Path, plant: str) -> Iterator[tuple[int, tuple[str, int]]]:
    """Yield the process id and address of a running server of one worker."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    config = folder / "server.toml"
    config.write_text(f'[server]\nlisten = "127.0.0.1:{port}"\ndata_dir = "{folder / "pg"}"\nworkers = 1\n')
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program(plant), "server", "--config", str(config)],
            cwd=ROOT,
            stderr=log,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    try:
        until = time.monotonic() + 60
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server did not start: {(folder / 'server.log').read_text()[-500:]}")
            time.sleep(0.05)
        yield process.pid, ("127.0.0.1", port)
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def moved_columns(folder: Path, plant: str) -> dict[str, str]:
    """Import prices whose columns moved, then renamed. Convicts (masters) when values land in another column."""
    write_csv(folder / "tax_rates.csv", ("tax_code", "rate_bp"), [("N", 1900)])
    write_csv(folder / "products.csv", ("sku", "name", "tax_code"), [("P1", "Tea", "N")])
    with database_of(None, folder / "pg") as dsn, patch.object(masters_import, "_places", masters_import._places):
        if plant:
            getattr(plants, plant)()
        engine = open_engine(dsn, connections=1)
        try:
            provision(engine, [])
            return _imported(engine_folder=folder, engine=engine)
        finally:
            engine.dispose()


def _imported(*, engine_folder: Path, engine: object) -> dict[str, str]:
    from sqlalchemy import Engine

    assert isinstance(engine, Engine)
    prices = engine_folder / "prices.csv"
    write_csv(prices, ("sku", "list", "amount", "valid_from_ms"), [("P1", "STD", 199, 0)])
    masters_import.import_folder(engine, engine_folder, at_ms=0)
    with snapshot(engine) as connection:
        rows = [tuple(row) for row in connection.execute(text("SELECT amount, valid_from_ms FROM price"))]
    if rows != [(199, 0)]:
        return {"masters": f"amount and date of the price are {rows}, the file says 199 from 0 on"}
    write_csv(prices, ("sku", "list", "cost", "valid_from_ms"), [("P1", "STD", 299, 0)])
    try:
        masters_import.import_folder(engine, engine_folder, at_ms=0)
    except RuleBroken as refused:
        return {} if "cost" in str(refused) else {"masters": f"the refusal does not name the column: {refused}"}
    return {"masters": "a renamed column was taken without a word"}


def write_csv(path: Path, names: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    """Write a CSV file with a header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)
