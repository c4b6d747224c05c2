"""Loads a till from a stub server and bulk-inserts the same rows plainly, alternately; prints JSON."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rehearsal.prove.field.stub_server import catalogue
from rehearsal.prove.field.till_lab import new_till
from syncref.config import ClockConfig, SyncConfig, TillConfig, TillSettings
from syncref.domain.masters import MASTERS
from syncref.store.till_state import read_state
from syncref.till.process import Till, tune

ROUNDS = 3


def loaded_by_the_till(folder: Path, server: str) -> tuple[float, float]:
    """Return wall and CPU seconds from the start of the sync until the till may sell."""
    file = new_till(folder)
    till = Till(
        TillSettings(
            till=TillConfig(
                name="T01",
                database=f"sqlite:///{file}",
                listen="127.0.0.1:0",
                servers=(server,),
                credential_file=folder / "till.secret",
            ),
            sync=SyncConfig(),
            clock=ClockConfig(),
        )
    )
    wall, cpu = time.perf_counter(), time.process_time()
    till.start()
    loaded = False
    while not loaded:
        time.sleep(0.02)
        with till.database.read() as connection:
            loaded = read_state(connection).loaded
    taken = time.perf_counter() - wall, time.process_time() - cpu
    till.stop()
    return taken


def inserted_plainly(folder: Path, rows: dict[str, list[tuple[object, ...]]]) -> tuple[float, float]:
    """Return wall and CPU seconds of one transaction that inserts the same rows into the same tables."""
    file = new_till(folder)
    db = sqlite3.connect(file)
    db.execute("PRAGMA synchronous=FULL")
    wall, cpu = time.perf_counter(), time.process_time()
    for spec in MASTERS:
        marks = ", ".join("?" * (len(spec.column_names) + 1))
        db.executemany(f"INSERT INTO {spec.name} VALUES ({marks})", rows[spec.name])  # noqa: S608
    db.commit()
    taken = time.perf_counter() - wall, time.process_time() - cpu
    db.close()
    return taken


def main(server: str, products: int) -> None:
    """Measure and print."""
    rows = {name: [(*row, 1) for row in found] for name, found in catalogue(products).items()}
    pairs = []
    tune()
    for _ in range(ROUNDS):
        with TemporaryDirectory() as first, TemporaryDirectory() as second:
            pairs.append((inserted_plainly(Path(first), rows), loaded_by_the_till(Path(second), server)))
    print(json.dumps(pairs))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
