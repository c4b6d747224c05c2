"""What the page shows of tills, servers and faults: read from links, databases and the processes themselves.

Backlog and last sale come from the witness databases; `mode` and `role` are what till and server say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from chaos.errors import ChaosError
from chaos.fleet.links import Link
from rehearsal.drive.till_api import Refused, call
from rehearsal.drive.watching import Selling
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.staging.shop import till_status

ASK_TIMEOUT_S = 0.5
BEHIND = "SELECT max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), replay_lsn))::bigint FROM pg_stat_replication"
LAST_SALE = (
    "SELECT r.at_ms,"
    " (SELECT max(l.price_version) FROM line l WHERE l.incarnation = r.incarnation AND l.seq = r.seq)"
    " FROM receipt r WHERE r.incarnation = (SELECT incarnation FROM till) ORDER BY r.seq DESC LIMIT 1"
)


class TillRow(msgspec.Struct, frozen=True, kw_only=True):
    """A till. None: not known now."""

    name: str
    state: str
    link: str
    mode: str | None
    backlog: int | None
    sold_ago_s: float | None
    p99_ms: float | None
    price_version: int | None


class ServerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A server. `role` None: it does not answer. `behind_bytes`: of the log, what a standby has not replayed."""

    name: str
    state: str
    role: str | None
    term: int | None
    feed_lag_ms: int | None
    behind_bytes: int | None


class FaultRow(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that is on. `left_s` None: until it is ended by hand, or the load ends."""

    id: int
    kind: str
    targets: tuple[str, ...]
    age_s: float
    left_s: float | None
    by_hand: bool


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """A fault on the charts' time axis, in seconds of the load; `to_s` None: still on."""

    kind: str
    targets: tuple[str, ...]
    from_s: float
    to_s: float | None


def till_row(selling: Selling, till: str, *, p99_ms: float | None, looked_at: bool) -> TillRow:
    """Return a till's row. `looked_at`: a page is open, so that asking the till itself is worth its time."""
    head_there = selling.samplers.latest.get(till)
    sold_ago_s, version = _last_sale(selling, till) if looked_at else (None, None)
    status = till_status(selling.shop.fleet, till, timeout_s=ASK_TIMEOUT_S) if looked_at else None
    return TillRow(
        name=till,
        state=_state(selling.shop.fleet.state, till),
        link=_links(selling.shop.fleet.links(till)) if looked_at else "",
        mode=None if status is None else str(status.get("mode")),
        backlog=None if head_there is None else max(0, head_there[0] - head_there[1]),
        sold_ago_s=sold_ago_s,
        p99_ms=p99_ms,
        price_version=version,
    )


def server_rows(selling: Selling) -> list[ServerRow]:
    """Return every server, the one that is live at the beginning first."""
    fleet = selling.shop.fleet
    rows = []
    for name in (side.server for side in selling.shop.sides):
        said: dict[str, object] = {}
        try:
            said = call(f"{selling.shop.url(name)}/v1/alive", None, timeout_s=ASK_TIMEOUT_S)
            said |= call(f"{selling.shop.url(name)}/v1/health", None, timeout_s=ASK_TIMEOUT_S)
        except Refused:
            pass  # down, or not live: what was learned before is shown
        rows.append(
            ServerRow(
                name=name, state=_state(fleet.state, name), role=_of(said, "status", str),
                term=_of(said, "term_n", int),
                feed_lag_ms=_of(said, "feed_lag_ms", int),
                behind_bytes=_behind(selling) if said.get("status") == "standby" else None,
            )
        )  # fmt: skip
    return rows


def fault_rows(selling: Selling) -> list[FaultRow]:
    """Return the faults that are on."""
    return [
        FaultRow(
            id=index, kind=plan.kind, targets=plan.targets, age_s=round(age_s, 1), by_hand=plan.by_hand,
            left_s=None if plan.by_hand else round(max(0.0, plan.for_s - age_s), 1),
        )
        for index, plan, age_s in selling.faults.on()
    ]  # fmt: skip


def bands(selling: Selling) -> list[Band]:
    """Return every fault that has begun, on the time axis."""
    begin_ms = time.time_ns() // 1_000_000 - round((time.monotonic() - selling.begin) * 1000)
    return [
        Band(
            kind=record.kind, targets=record.targets, from_s=round((record.started_ms - begin_ms) / 1000, 1),
            to_s=None if record.ended_ms is None else round((record.ended_ms - begin_ms) / 1000, 1),
        )
        for _, record in selling.faults.carried_out()
        if record.ran and record.started_ms is not None
    ]  # fmt: skip


def _last_sale(selling: Selling, till: str) -> tuple[float | None, int | None]:
    try:
        rows = selling.witness.till_rows(till, LAST_SALE)
    except WitnessUnreadable:
        return None, None
    if not rows:
        return None, None
    return round(max(0.0, time.time() - rows[0][0] / 1000), 1), rows[0][1]


def _behind(selling: Selling) -> int | None:
    try:
        rows = selling.witness.server_rows(BEHIND)
    except WitnessUnreadable:
        return None
    return int(rows[0][0]) if rows and rows[0][0] is not None else None


def _links(links: Sequence[Link]) -> str:
    """Return one word where all of a till's links are alike, else a word for each server."""
    words = {link.server: _link(link) for link in links}
    if len(set(words.values())) > 1:
        return ", ".join(f"{server} {word}" for server, word in words.items())
    return next(iter(words.values()), "")


def _link(link: Link) -> str:
    try:
        state = link.state()
    except (ChaosError, OSError):
        return "unknown"
    if not state.enabled:
        return "cut"
    return "+".join(sorted({toxic.type for toxic in state.toxics})) or "open"


def _state(state: Callable[[str], str], node: str) -> str:
    try:
        return state(node)
    except ChaosError:
        return "unknown"


def _of(said: dict[str, object], key: str, kind: type) -> Any:
    value = said.get(key)
    return value if isinstance(value, kind) else None
