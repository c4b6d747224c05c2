"""The server at a glance: status for people, monitors and the lab, settlement per till and date."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, text

from syncref.core.failover import Role
from syncref.core.settlement import add, settle
from syncref.server.clock import now_ms
from syncref.store.server_refusals import read_refusals
from syncref.store.server_settlement import read_days
from syncref.store.server_term import read_term

REFUSED_ALARM_MS = 3_600_000
_TILLS = text("""
SELECT DISTINCT ON (till) till, incarnation, seq, contact_ms, closed_at_seq FROM journal
ORDER BY till, opened_ms DESC, incarnation
""")
_LAG = text("""
SELECT coalesce(max(:now_ms - at_ms), 0) FROM change
WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint
""")
_OLDEST = text("""
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start) * 1000), 0)::bigint
FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL
""")
_COUNTS = text("""
SELECT (SELECT count(*) FROM flag WHERE NOT resolved AND code <> 'duplicate_op') AS flags,
  (SELECT count(*) FROM flag WHERE code = 'duplicate_op') AS duplicates,
  (SELECT count(*) FROM aside WHERE NOT EXISTS (SELECT 1 FROM resolution r WHERE r.till = aside.till
     AND r.incarnation = aside.incarnation AND r.seq = aside.seq)) AS asides,
  (SELECT coalesce(sum(j.seq - coalesce(f.seq, 0)), 0)::bigint FROM journal j
     LEFT JOIN stock_fold f USING (till, incarnation)) AS stock_behind
""")


class TillSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A till as the server knows it. `contact_ms` is the server's clock at its last upload or handshake."""

    till: str
    incarnation: str
    seq: int
    contact_ms: int
    closed: bool


class RefusedSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What was refused for security's sake, of whom and how often; `kind` and `name` are empty for a stranger."""

    kind: str
    name: str
    code: str
    count: int
    last_ms: int
    detail: str


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The server's status. Lags are milliseconds; `feed_lag_ms` is the age of the oldest unsettled change."""

    role: str
    term_n: int
    term_id: str
    cluster: str
    tills: list[TillSeen]
    feed_lag_ms: int
    oldest_transaction_ms: int
    flags_open: int
    duplicates: int
    asides_open: int
    stock_behind_entries: int
    alarms: list[str]
    refused: list[RefusedSeen] = []
    at_ms: int


class SettlementRow(msgspec.Struct, frozen=True, kw_only=True):
    """A till's business date: what counts on the server, and whether its Z agrees. Money in minor units."""

    till: str
    business_date: str
    receipts: int
    gross: int
    tax: int
    by_tender: tuple[tuple[str, int], ...]
    by_rate: tuple[tuple[int, int, int], ...]
    state: str
    reasons: tuple[str, ...]


def read_role(connection: Connection) -> str:
    """Return starting, standby, promoting, live or fenced; fenced too when it is not provisioned."""
    row = read_term(connection)
    return "fenced" if row is None else row.role.value


def read_status(connection: Connection, *, till: str | None, lag_alarm_ms: int) -> ServerStatus:
    """Return the status; with `till`, of other tills nothing is told."""
    at_ms = now_ms()
    row = read_term(connection)
    lag = max(0, connection.execute(_LAG, {"now_ms": at_ms}).scalar_one())
    oldest = connection.execute(_OLDEST).scalar_one()
    counts = connection.execute(_COUNTS).one()
    alarms = []
    if max(lag, oldest) > lag_alarm_ms:
        alarms.append(f"feed_lag: a transaction has been open for {oldest} ms and holds the feed back")
    if row is not None and row.fenced_by is not None and not row.recovering:
        alarms.append(f"fenced: another server is live in term {row.fenced_by}")
    elif row is not None and row.role in (Role.STARTING, Role.PROMOTING):
        alarms.append(f"{row.role.value}: waits for a peer, or for `syncref confirm`")
    seen = [
        TillSeen(
            till=found.till, incarnation=bytes(found.incarnation).hex(), seq=found.seq,
            contact_ms=found.contact_ms, closed=found.closed_at_seq is not None,
        )
        for found in connection.execute(_TILLS)
        if till is None or found.till == till
    ]  # fmt: skip
    refused = [
        RefusedSeen(
            kind=one.who.kind, name=one.who.name, code=one.code, count=one.count, last_ms=one.last_ms,
            detail=one.detail,
        )
        for one in read_refusals(connection)
        if till is None or (one.who.kind, one.who.name) == ("till", till)
    ]  # fmt: skip
    recent = [one for one in refused if at_ms - one.last_ms < REFUSED_ALARM_MS]
    alarms += [
        f"refused: {one.code}, {one.kind} {one.name}, {one.count} times, {one.detail}" for one in recent[:5]
    ]
    return ServerStatus(
        role=read_role(connection),
        term_n=row.term.n if row else 0,
        term_id=row.term.id.hex() if row else "",
        cluster=row.term.cluster if row else "",
        tills=seen,
        feed_lag_ms=lag,
        oldest_transaction_ms=oldest,
        flags_open=counts.flags,
        duplicates=counts.duplicates,
        asides_open=counts.asides,
        stock_behind_entries=counts.stock_behind,
        alarms=alarms,
        refused=refused,
        at_ms=at_ms,
    )


def read_settlement(connection: Connection, *, date: str | None, till: str | None) -> list[SettlementRow]:
    """Return the settlement of every till and date, or of one date, or of one till."""
    rows = []
    for day in read_days(connection, date=date, till=till):
        counted = add(day.facts.posted, day.facts.late)
        settled = settle(day.facts)
        rows.append(
            SettlementRow(
                till=day.till,
                business_date=day.business_date,
                receipts=counted.receipts,
                gross=counted.gross,
                tax=counted.tax,
                by_tender=counted.by_tender,
                by_rate=counted.by_rate,
                state=settled.state.name,
                reasons=settled.reasons,
            )
        )
    return rows
