"""A quick comparison of masters while the shop is selling: counts, versions and amounts, by SQL on both sides.

The judge compares row by row at the end; this only tells a stage whether the tills have caught up.
"""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal.witness import Witness

# Stock is left out: it moves with every sale.
SUMS = {
    "product": "SELECT count(*), coalesce(sum(version), 0), coalesce(sum(active), 0) FROM product",
    "price": "SELECT count(*), coalesce(sum(version), 0), coalesce(sum(amount), 0) FROM price",
    "vendor": "SELECT count(*), coalesce(sum(version), 0), 0 FROM vendor",
    "tax_rate": "SELECT count(*), coalesce(sum(version), 0), coalesce(sum(rate_bp), 0) FROM tax_rate",
    "goods_receipt": "SELECT count(*), coalesce(sum(version), 0), coalesce(sum(qty), 0) FROM goods_receipt",
    "vendor_return": "SELECT count(*), coalesce(sum(version), 0), coalesce(sum(qty), 0) FROM vendor_return",
}


def masters_differ(witness: Witness, tills: Sequence[str]) -> list[str]:
    """Return which tables differ on which till, as sentences; raises WitnessUnreadable."""
    server = {table: _numbers(witness.server_rows(f"{sql} WHERE NOT deleted")) for table, sql in SUMS.items()}
    found = []
    for till in tills:
        if witness.till(till).merging:
            found.append(f"{till} is still merging a run")
            continue
        for table, sql in SUMS.items():
            here = _numbers(witness.till_rows(till, sql))
            if here != server[table]:
                found.append(f"{till}: {table} has {here[0]:,} rows, versions sum to {here[1]:,}; "
                             f"the server {server[table][0]:,} and {server[table][1]:,}")  # fmt: skip
    return found


def _numbers(rows: list[tuple[object, ...]]) -> tuple[int, ...]:
    return tuple(int(str(value)) for value in rows[0])
