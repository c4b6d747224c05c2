"""Reading the change log: which keys changed, and their values, in one snapshot.

A position is a transaction-id horizon. Whatever is below pg_snapshot_xmin is finished, so a reader who
goes on from there never misses a late commit; what is visible above it is read too and may come again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, text

from syncref.domain.identity import Term
from syncref.domain.masters import DIGEST_MODULUS, MASTER_BY_NAME, MASTERS, MasterTable, Row
from syncref.errors import NotLive, RequestInvalid
from syncref.store.server_masters import key_text, read_rows
from syncref.store.server_term import LIVE_SQL
from syncref.wire.sync import FeedRow

TableKey = tuple[str, str]
URGENT_ROWS_MAX = 1000
_INT_END = 1 << 63
_KEY_TYPES = {
    spec.name: tuple[tuple(str if kind == "text" else int for _, kind in spec.key)]  # type: ignore[misc]
    for spec in MASTERS
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """The snapshot's xmin, the term, and the position below which changes were removed."""

    term: Term
    xmin: int
    floor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestSums:
    """Each table's digest over the changes below a horizon; what is above is added per snapshot."""

    horizon: int
    sums: dict[str, int]


def read_horizon(connection: Connection) -> Horizon:
    """Return where this snapshot stands. It must be the snapshot's first statement.

    Raises NotLive on a standby, a fenced server and one that nobody confirmed: what they have may be old.
    """
    row = connection.execute(
        text(
            f"SELECT t.cluster, t.n, t.id, f.pos, {LIVE_SQL} AS live,"
            " pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin "
            "FROM term t, feed_floor f"
        )
    ).first()
    if row is None:
        raise NotLive("this database is not provisioned: run `syncref provision server`")
    if not row.live:
        raise NotLive("this server is not the live one")
    return Horizon(term=Term(cluster=row.cluster, n=row.n, id=bytes(row.id)), xmin=row.xmin, floor=row.pos)


def changed_keys(
    connection: Connection, *, pos: int, limit: int, below: int | None = None, after: TableKey | None = None
) -> list[TableKey]:
    """Return distinct (table, key) with pos <= xid (< below), in their order, beyond `after`."""
    result = connection.execute(
        text(
            "SELECT tbl, key FROM change WHERE xid >= :pos"
            + (" AND xid < :below" if below is not None else "")
            + (" AND (tbl, key) > (:tbl, :key)" if after is not None else "")
            + " GROUP BY tbl, key ORDER BY tbl, key LIMIT :limit"
        ),
        {
            "pos": pos,
            "below": below,
            "tbl": after[0] if after else None,
            "key": after[1] if after else None,
            "limit": limit,
        },
    )
    return [(row.tbl, row.key) for row in result]


def rows_of(connection: Connection, keys: Sequence[TableKey]) -> list[FeedRow]:
    """Return the keys' rows as this snapshot has them, tombstones as deleted rows."""
    by_table: dict[str, list[Row]] = {}
    for table, key in keys:
        by_table.setdefault(table, []).append(parse_key(table, key))
    rows: list[FeedRow] = []
    for table, table_keys in by_table.items():
        stored = read_rows(connection, MASTER_BY_NAME[table], table_keys)
        for key_row in table_keys:
            found = stored.get(key_row)
            if found is None:  # its tombstone was removed; a till that still asks is below the floor
                continue
            row = key_row if found.deleted else (*key_row, *found.values)
            rows.append(FeedRow(table=table, row=row, version=found.version, deleted=found.deleted))
    return rows


def parse_key(table: str, key: str) -> Row:
    """Return a key's columns from its JSON. Raises RequestInvalid when it is not a key of that table."""
    if table not in _KEY_TYPES:
        raise RequestInvalid(f"there is no table {table!r}", where="table")
    try:
        parsed: Row = msgspec.json.decode(key.encode(), type=_KEY_TYPES[table])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise RequestInvalid(f"{key!r} is not a key of {table}: {error}", where="key") from error
    if any(isinstance(part, str) and "\0" in part for part in parsed):
        raise RequestInvalid("a key can't hold NUL characters", where="key")
    if any(isinstance(part, int) and not -_INT_END <= part < _INT_END for part in parsed):
        raise RequestInvalid("a key can't hold numbers of more than 64 bits", where="key")
    return parsed


def urgent_rows(connection: Connection, *, pos: int, limit: int) -> list[FeedRow]:
    """Return urgent rows changed at or after a position, after the rows that they depend on.

    At most `limit` and 1,000 of them: what is more comes with the run.
    """
    result = connection.execute(
        text("SELECT DISTINCT tbl, key FROM change WHERE urgent AND xid >= :pos ORDER BY tbl, key LIMIT :limit"),
        {"pos": pos, "limit": min(limit, URGENT_ROWS_MAX)},
    )
    urgent = [(row.tbl, row.key) for row in result]
    if not urgent:
        return []
    skus = {parse_key(table, key)[0] for table, key in urgent if table in {"price", "product", "stock"}}
    products = rows_of(connection, [("product", key_text((sku,))) for sku in sorted(skus, key=str)])
    taxes = {row.row[2] for row in products if not row.deleted}
    tax_rows = rows_of(connection, [("tax_rate", key_text((tax,))) for tax in sorted(taxes, key=str) if tax])
    others = rows_of(connection, [key for key in urgent if key[0] not in {"product", "tax_rate"}])
    return [*tax_rows, *products, *others]


def stock_marks(connection: Connection) -> dict[str, int]:
    """Return, for each till, how far the stock rows include its newest journal."""
    result = connection.execute(
        text(
            "SELECT DISTINCT ON (j.till) j.till, coalesce(f.seq, 0) AS seq FROM journal j "
            "LEFT JOIN stock_fold f USING (till, incarnation) "
            "ORDER BY j.till, j.closed_at_seq IS NOT NULL, j.opened_ms DESC, j.incarnation"
        )
    )
    return {row.till: row.seq for row in result}


def digests(
    connection: Connection, known: DigestSums | None, horizon: Horizon
) -> tuple[DigestSums, dict[str, int]]:
    """Return the sums below this snapshot's horizon, to be kept, and the digests of this snapshot."""
    if known is None or known.horizon < horizon.floor or known.horizon > horizon.xmin:
        base = connection.execute(text("SELECT tbl, delta FROM feed_base"))
        known = DigestSums(horizon=0, sums={row.tbl: row.delta for row in base})
    settled = dict(known.sums)
    current = dict(known.sums)
    result = connection.execute(
        text(
            "SELECT tbl, coalesce(sum(delta) FILTER (WHERE xid < :xmin), 0) AS settled, sum(delta) AS total "
            "FROM change WHERE xid >= :horizon GROUP BY tbl"
        ),
        {"xmin": horizon.xmin, "horizon": known.horizon},
    )
    for row in result:
        settled[row.tbl] = (known.sums.get(row.tbl, 0) + int(row.settled)) % DIGEST_MODULUS
        current[row.tbl] = (known.sums.get(row.tbl, 0) + int(row.total)) % DIGEST_MODULUS
    complete = {spec.name: current.get(spec.name, 0) % DIGEST_MODULUS for spec in MASTERS}
    return DigestSums(horizon=horizon.xmin, sums=settled), complete


def load_rows(connection: Connection, spec: MasterTable, after: Row | None, limit: int) -> list[FeedRow]:
    """Return the next live rows of a table in key order, at most `limit`."""
    columns = ", ".join(f'"{name}"' for name in spec.column_names)
    names = ", ".join(f'"{name}"' for name in spec.key_names)
    bound = ""
    values: dict[str, object] = {"limit": limit}
    if after is not None:
        bound = f" AND ({names}) > ({', '.join(f':k{i}' for i in range(len(after)))})"
        values |= {f"k{i}": part for i, part in enumerate(after)}
    result = connection.execute(
        text(
            f'SELECT {columns}, version FROM "{spec.name}" WHERE NOT deleted{bound} ORDER BY {names} LIMIT :limit'
        ),
        values,
    )
    return [FeedRow(table=spec.name, row=tuple(row[:-1]), version=row[-1]) for row in result]


def prune_changes(connection: Connection, *, before_ms: int) -> int:
    """Remove changes older than a time, and their tombstones; return the new floor, 0 when there were none.

    The floor is the position up to which everything is old, so a cursor below it must load afresh.
    """
    floor: int | None = connection.execute(
        text(
            "UPDATE feed_floor SET pos = greatest(pos, least("
            "  (SELECT min(xid) FROM change WHERE at_ms >= :before),"
            "  pg_snapshot_xmin(pg_current_snapshot())::text::bigint)) "
            "WHERE EXISTS (SELECT 1 FROM change WHERE at_ms < :before) RETURNING pos"
        ),
        {"before": before_ms},
    ).scalar()
    if floor is None:
        return 0
    gone = connection.execute(
        text("WITH gone AS (DELETE FROM change WHERE xid < :floor RETURNING tbl, key, delta) "
             "SELECT tbl, sum(delta) AS delta, array_agg(DISTINCT key) AS keys FROM gone GROUP BY tbl"),
        {"floor": floor},
    ).all()  # fmt: skip
    for row in gone:
        delta = int(row.delta)
        connection.execute(
            text(
                "UPDATE feed_base SET delta = (((delta + CAST(:delta AS numeric) + 9223372036854775808) "
                "% 18446744073709551616 + 18446744073709551616) % 18446744073709551616 - 9223372036854775808)"
                "::bigint WHERE tbl = :tbl"
            ),
            {"delta": delta, "tbl": row.tbl},
        )
        _remove_tombstones(connection, MASTER_BY_NAME[row.tbl], [parse_key(row.tbl, key) for key in row.keys])
    return floor


def _remove_tombstones(connection: Connection, spec: MasterTable, keys: list[Row]) -> None:
    """Remove tombstones that no remaining change names; a key that comes again begins above their versions."""
    stored = read_rows(connection, spec, keys)
    highest = max((found.version for found in stored.values() if found.deleted), default=0)
    connection.execute(text("UPDATE feed_floor SET version = greatest(version, :highest)"), {"highest": highest})
    match = " AND ".join(f'"{name}" = :k{i}' for i, name in enumerate(spec.key_names))
    for key, found in stored.items():
        if found.deleted:
            connection.execute(
                text(
                    f'DELETE FROM "{spec.name}" WHERE {match} AND deleted AND NOT EXISTS '
                    "(SELECT 1 FROM change WHERE tbl = :tbl AND key = :key)"
                ),
                {f"k{i}": part for i, part in enumerate(key)} | {"tbl": spec.name, "key": key_text(key)},
            )
