"""Stories of one real till process: a large backlog, a large catalogue, orders of another version."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from rehearsal.prove.field.memory import Watched
from rehearsal.prove.field.till_lab import ask, await_true, new_till, stub_server, till_process, write_backlog
from syncref.domain.identity import chain_hash

BACKLOG = 100_000
BACKLOG_GROWTH_MIB_MAX = 24.0
PRODUCTS = 150_000
LOAD_GROWTH_MIB_MAX = 24.0
REPEATED_SHARE_MAX = 0.25
ORDERS = 300
DRAIN_S = 60.0


def backlog(folder: Path, plant: str) -> dict[str, str]:
    """Send a backlog of 100,000 sales. Convicts (experience) when the till's memory grows with it."""
    file = new_till(folder)
    with stub_server(100) as server:
        with till_process(folder, server) as (_, url):
            await_true(lambda: ask(f"{url}/v1/status")["loaded"], "the load")
        write_backlog(file, BACKLOG)
        ask(f"{server}/hold")
        with till_process(folder, server, plant=plant) as (process, url), Watched(process.pid) as memory:
            ask(f"{server}/go")
            sent = within(DRAIN_S, lambda: ask(f"{url}/v1/status")["acked"] == BACKLOG)
    if memory.growth_mib > BACKLOG_GROWTH_MIB_MAX:
        return {"experience": f"memory grew by {memory.growth_mib:.0f} MiB while {BACKLOG:,} sales were sent"}
    return {} if sent else {"drain": f"{BACKLOG:,} sales were not sent within {DRAIN_S:.0f} s"}


def initial_load(folder: Path, plant: str) -> dict[str, str]:
    """Load 150,000 products with a kill -9 in the midst. Convicts when memory grows or it begins at zero."""
    new_till(folder)
    found: dict[str, str] = {}
    with stub_server(PRODUCTS) as server:
        of = ask(f"{server}/count")["of"]
        with till_process(folder, server, plant=plant) as (process, _):
            within(DRAIN_S, lambda: ask(f"{server}/count")["chunks"] >= of // 2)
            process.kill()
            process.wait(20)
        with till_process(folder, server, plant=plant) as (process, url), Watched(process.pid) as memory:
            loaded = within(DRAIN_S, lambda: ask(f"{url}/v1/status")["loaded"])
        chunks = ask(f"{server}/count")["chunks"]
    if memory.growth_mib > LOAD_GROWTH_MIB_MAX:
        found["experience"] = f"memory grew by {memory.growth_mib:.0f} MiB while {PRODUCTS:,} products were loaded"
    if not loaded:
        found["drain"] = f"{PRODUCTS:,} products were not loaded within {DRAIN_S:.0f} s"
    elif chunks > of * (1 + REPEATED_SHARE_MAX):
        found["drain"] = f"{chunks} chunks were asked for where there are {of}: it began at zero"
    return found


def other_version(folder: Path, plant: str) -> dict[str, str]:
    """Send orders some of which another version stored. Convicts (drain) when what was sold does not leave."""
    file = new_till(folder)
    with stub_server(100) as server:
        with till_process(folder, server) as (_, url):
            await_true(lambda: ask(f"{url}/v1/status")["loaded"], "the load")
        write_backlog(file, ORDERS)
        _rewritten(file)
        with till_process(folder, server, plant=plant) as (_, url):
            sent = within(15.0, lambda: ask(f"{url}/v1/status")["acked"] == ORDERS)
    return (
        {}
        if sent
        else {"drain": f"not all of {ORDERS} orders left the till, of which some are of another version"}
    )


def _rewritten(file: Path) -> None:
    """Turn every tenth order into what a later version writes: one more field, or a kind unknown today."""
    db = sqlite3.connect(file)
    rows = db.execute("SELECT incarnation, seq, payload FROM journal ORDER BY seq").fetchall()
    first = rows[0]
    (previous,) = db.execute("SELECT hash FROM journal WHERE seq = ?", (first[1],)).fetchone()
    for incarnation, seq, payload in rows[1:]:
        fields = msgspec.msgpack.decode(payload)
        if seq % 20 == 0:
            fields = ["x", *fields[1:]]
        elif seq % 10 == 0:
            fields = [*fields, {"loyalty": "of the next version"}]
        changed = msgspec.msgpack.encode(fields)
        previous = chain_hash(previous, changed)
        db.execute(
            "UPDATE journal SET payload = ?, hash = ? WHERE incarnation = ? AND seq = ?",
            (changed, previous, incarnation, seq),
        )
    db.execute("UPDATE till SET head_hash = ?", (previous,))
    db.commit()
    db.close()


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Return whether something comes to hold in time; one who does not answer does not yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if holds():
                return True
        except TypeError:  # nobody answered
            pass
        time.sleep(0.05)
    return False
