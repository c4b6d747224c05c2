"""What stories and benchmarks of one till share: stub server, provisioned till, its process and its memory."""

from __future__ import annotations

import json
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import provision

ROOT = Path(__file__).parents[3]
DEADLINE_S = 240


@contextmanager
def stub_server(products: int) -> Iterator[str]:
    """Yield the URL of a stub server."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rehearsal.prove.field.stub_server", str(products)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.communicate()


def new_till(folder: Path) -> Path:
    """Provision a till below a folder and return its database file."""
    file = folder / "till.db"
    database = TillDatabase(f"sqlite:///{file}")
    provision(database, name="T01", cluster="bench")
    database.close()
    (folder / "till.secret").write_text("a secret of the bench")
    return file


@contextmanager
def till_process(
    folder: Path, server: str, *, plant: str = "", **sync: object
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Yield a running till's process and URL; `plant` names a bug that is put into it first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in sync.items())
    config = folder / "till.toml"
    config.write_text(
        f'[till]\nname = "T01"\ndatabase = "sqlite:///{folder}/till.db"\nlisten = "127.0.0.1:{port}"\n'
        f'servers = ["{server}"]\ncredential_file = "{folder}/till.secret"\n[sync]\n{settings}'
    )
    with (folder / "till.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program(plant), "till", "--config", str(config)],
            cwd=ROOT,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await_true(lambda: process.poll() is not None or bool(ask(f"{url}/v1/health")), "the till's start")
        assert process.poll() is None, (folder / "till.log").read_text()
        yield process, url
    finally:
        process.terminate()
        process.wait(20)


def program(plant: str) -> str:
    """Return the text that runs syncref's command line, with a bug planted in that process if one is named."""
    first = f"from rehearsal.prove.field import plants; plants.{plant}(); " if plant else ""
    return f"{first}import sys; from syncref.cli import main; sys.argv[0] = 'syncref'; main()"


def ask(url: str) -> Any:
    """Return a JSON answer; None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own http URLs
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError):
        return None


def await_true(holds: Any, what: str) -> None:
    """Wait for something that has to happen."""
    end = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {DEADLINE_S} s")
        time.sleep(0.05)


def rss_mib(pid: int) -> float:
    """Return a process's resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def write_backlog(file: Path, sales: int) -> None:
    """Fill a till's journal with sales, as if they had been made offline: entries, receipts, lines, payments."""
    import random

    from syncref.domain.identity import Key, chain_hash, receipt_number
    from syncref.domain.money import line_amount, tax_included
    from syncref.wire.entry import Line, Payment, Receipt, encode_entry

    rng = random.Random(7)  # noqa: S311 - the same sales every time
    db = sqlite3.connect(file)
    incarnation, seq, last, counter = db.execute(
        "SELECT incarnation, head_seq, head_hash, counter FROM till"
    ).fetchone()
    key = Key(till="T01", incarnation=incarnation)
    at_ms = 1_740_000_000_000
    journal, receipts, lines, payments = [], [], [], []
    for _ in range(sales):
        seq, counter, at_ms = seq + 1, counter + 1, at_ms + rng.randrange(500, 4000)
        made = []
        for _ in range(3):
            n = rng.randrange(100_000)
            price, rate = 49 + n * 7919 % 9950, 1900 if n % 3 else 700
            qty, discount = rng.choice([1000, 1000, 1000, 2000, 1500]), rng.choice([0, 0, 0, 20])
            amount = line_amount(qty=qty, unit_price=price, discount=discount)
            made.append(
                Line(
                    sku=f"P{n:07d}",
                    qty=qty,
                    unit_price=price,
                    price_version=1 + n % 4,
                    tax_rate_bp=rate,
                    discount=discount,
                    tax=tax_included(amount=amount, rate_bp=rate),
                    amount=amount,
                )
            )
        gross, tax = sum(line.amount for line in made), sum(line.tax for line in made)
        entry = Receipt(
            op_id=secrets.token_bytes(16),
            kind="sale",
            counter=counter,
            business_date="2025-02-20",
            at_ms=at_ms,
            cashier="C1",
            lines=tuple(made),
            payments=(Payment(tender=rng.choice(["cash", "card"]), amount=gross),),
            gross=gross,
            tax=tax,
        )
        payload = encode_entry(entry)
        last = chain_hash(last, payload)
        journal.append((incarnation, seq, last, payload))
        number = receipt_number(key=key, counter=counter)
        receipts.append(
            (incarnation, seq, number, entry.op_id.hex(), "sale", "2025-02-20", at_ms, "C1", gross, tax, None)
        )
        lines += [
            (
                incarnation,
                seq,
                n,
                x.sku,
                x.qty,
                x.unit_price,
                x.price_version,
                x.tax_rate_bp,
                x.discount,
                x.tax,
                x.amount,
            )
            for n, x in enumerate(made, 1)
        ]
        payments.append((incarnation, seq, 1, entry.payments[0].tender, gross))
    for table, rows in (("journal", journal), ("receipt", receipts), ("line", lines), ("payment", payments)):
        marks = ", ".join("?" * len(rows[0]))
        db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - names of our own
    db.execute(
        "UPDATE till SET head_seq = ?, head_hash = ?, counter = ?, business_date = ?, mode = 'selling'",
        (seq, last, counter, "2025-02-20"),
    )
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
