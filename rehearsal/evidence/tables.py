"""What is read of each witness, as SQL of our own: column names and order are those of the evidence files.

`HEX(column)` stands for what a dialect calls lowercase hexadecimal, `/*live*/` for leaving tombstones out;
nothing else in a statement varies. `t` is the table that gives the order.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_HEX = re.compile(r"HEX\(([\w.]+)\)")

# The same statements on a till and on the server, so that equal tables give equal files.
MASTERS: dict[str, str] = {
    "products": "SELECT sku, name, tax_code, vendor_id, active, version FROM product /*live*/ ORDER BY sku",
    "prices": (
        "SELECT sku, list, valid_from_ms, amount, version FROM price /*live*/ ORDER BY sku, list, valid_from_ms"
    ),
    "vendors": "SELECT vendor_id, name, version FROM vendor /*live*/ ORDER BY vendor_id",
    "tax_rates": "SELECT tax_code, rate_bp, version FROM tax_rate /*live*/ ORDER BY tax_code",
    "cashiers": "SELECT cashier_id, name, active, version FROM cashier /*live*/ ORDER BY cashier_id",
    "stock": "SELECT sku, qty, version FROM stock /*live*/ ORDER BY sku",
    "goods_receipts": (
        "SELECT doc_no, line_no, vendor_id, sku, qty, at_ms, version FROM goods_receipt /*live*/"
        " ORDER BY doc_no, line_no"
    ),
    "vendor_returns": (
        "SELECT doc_no, line_no, vendor_id, sku, qty, at_ms, version FROM vendor_return /*live*/"
        " ORDER BY doc_no, line_no"
    ),
}
TILL: dict[str, str] = {
    "state": (
        "SELECT till, HEX(incarnation) AS incarnation, head_seq, HEX(head_hash) AS head_hash, acked, safe,"
        " counter, business_date, closed_date, mode, term_n, HEX(term_id) AS term_id, cursor_n, cursor_pos,"
        " urgent_pos, stock_seq, loaded, masters_ms, contact_ms, alarm, cluster FROM till"
    ),
    "receipts": (
        "SELECT (SELECT till FROM till) AS till, HEX(incarnation) AS incarnation, receipt_no, op_id, kind,"
        " 'posted' AS status, business_date, at_ms, gross, tax, ref, cashier, seq FROM receipt ORDER BY seq"
    ),
    "lines": (
        "SELECT (SELECT till FROM till) AS till, r.receipt_no, t.line_no, t.sku, t.qty, t.unit_price,"
        " t.price_version, t.discount, t.tax, t.amount, t.tax_rate_bp,"
        " HEX(r.incarnation) AS incarnation, t.seq FROM line t"
        " JOIN receipt r ON r.incarnation = t.incarnation AND r.seq = t.seq ORDER BY t.seq, t.line_no"
    ),
    "payments": (
        "SELECT (SELECT till FROM till) AS till, r.receipt_no, t.n, t.tender, t.amount,"
        " HEX(r.incarnation) AS incarnation, t.seq FROM payment t"
        " JOIN receipt r ON r.incarnation = t.incarnation AND r.seq = t.seq ORDER BY t.seq, t.n"
    ),
    "journal": (
        "SELECT (SELECT till FROM till) AS till, HEX(incarnation) AS incarnation, seq, HEX(hash) AS hash,"
        " HEX(payload) AS payload_hex FROM journal t ORDER BY t.incarnation, seq"
    ),
    "anchor": (
        "SELECT (SELECT till FROM till) AS till, HEX(incarnation) AS incarnation, seq, HEX(hash) AS hash"
        " FROM anchor ORDER BY seq"
    ),
    **MASTERS,
}
SERVER: dict[str, str] = {
    "state": (
        "SELECT till, HEX(incarnation) AS incarnation, seq, HEX(hash) AS hash, closed_at_seq, opened_ms,"
        " contact_ms FROM journal t ORDER BY till, t.incarnation"
    ),
    "term": "SELECT cluster, n, HEX(id) AS id, timeline, fenced_by FROM term",
    # A posted receipt about which something is still to be resolved is `flagged`.
    "receipts": (
        "SELECT till, HEX(incarnation) AS incarnation, receipt_no, op_id, kind, CASE WHEN status = 'posted' AND"
        " EXISTS (SELECT 1 FROM flag f WHERE f.till = t.till AND f.incarnation = t.incarnation AND f.seq = t.seq"
        " AND NOT f.resolved) THEN 'flagged' ELSE status END AS status, business_date, at_ms, gross, tax, ref,"
        " cashier, seq FROM receipt t ORDER BY till, t.incarnation, seq"
    ),
    "lines": (
        "SELECT t.till, r.receipt_no, t.line_no, t.sku, t.qty, t.unit_price, t.price_version, t.discount, t.tax,"
        " t.amount, t.tax_rate_bp,"
        " HEX(r.incarnation) AS incarnation, t.seq FROM line t"
        " JOIN receipt r ON r.till = t.till AND r.incarnation = t.incarnation AND r.seq = t.seq"
        " ORDER BY t.till, t.incarnation, t.seq, t.line_no"
    ),
    "payments": (
        "SELECT t.till, r.receipt_no, t.n, t.tender, t.amount,"
        " HEX(r.incarnation) AS incarnation, t.seq FROM payment t"
        " JOIN receipt r ON r.till = t.till AND r.incarnation = t.incarnation AND r.seq = t.seq"
        " ORDER BY t.till, t.incarnation, t.seq, t.n"
    ),
    "journal": (
        "SELECT till, HEX(incarnation) AS incarnation, seq, HEX(hash) AS hash, HEX(payload) AS payload_hex,"
        " received_ms, term_n FROM entry t ORDER BY till, t.incarnation, seq"
    ),
    "flags": (
        "SELECT till, HEX(incarnation) AS incarnation, seq, code, detail, resolved FROM flag t"
        " ORDER BY till, t.incarnation, seq, code"
    ),
    "asides": (
        "SELECT till, HEX(incarnation) AS incarnation, seq, reason, at_ms FROM aside t"
        " ORDER BY till, t.incarnation, seq"
    ),
    "resolutions": (
        "SELECT till, HEX(incarnation) AS incarnation, seq, op_id, action, clerk, at_ms FROM resolution t"
        " ORDER BY till, t.incarnation, seq"
    ),
    "stock_folds": (
        "SELECT till, HEX(incarnation) AS incarnation, seq FROM stock_fold t ORDER BY till, t.incarnation"
    ),
    "stock_counts": "SELECT doc_no, sku, counted, delta, at_ms FROM stock_count ORDER BY doc_no, sku",
    "opening_stock": "SELECT sku, qty FROM opening_stock ORDER BY sku",
    "edits": "SELECT op_id, clerk, kind, at_ms, result FROM operation ORDER BY at_ms, op_id",
    "changes": "SELECT pos, xid, tbl, key, version, urgent, at_ms FROM change ORDER BY pos",
    **{file: sql.replace("/*live*/", "WHERE NOT deleted") for file, sql in MASTERS.items()},
}
Z_COLUMNS = ("till", "business_date", "receipts", "gross", "tax", "tender", "amount", "state")
TILL_Z = (
    "SELECT (SELECT till FROM till) AS till, business_date, sales + refunds + voids AS receipts, gross, tax,"
    " by_tender FROM z_report ORDER BY business_date, seq"
)
SERVER_Z = (
    "SELECT till, business_date, sales + refunds + voids AS receipts, gross, tax, by_tender FROM z_report"
    " ORDER BY till, business_date, seq"
)


def in_dialect(sql: str, hexed: Callable[[str], str]) -> str:
    """Return a statement with hexadecimal spelt as a database spells it."""
    return _HEX.sub(lambda match: hexed(match[1]), sql)
