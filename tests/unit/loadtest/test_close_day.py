"""The cash that a history counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loadtest.close_day import cash_in_drawer, read_histories


def invoke(f: str, op_id: str, **more: Any) -> dict[str, Any]:
    """Return an invoke line of till T01."""
    return {"type": "invoke", "f": f, "op_id": op_id, "till": "T01", **more}


def ok(f: str, op_id: str, receipt_no: str = "", gross: int = 0) -> dict[str, Any]:
    """Return an ok line of till T01."""
    return {"type": "ok", "f": f, "op_id": op_id, "till": "T01", "receipt_no": receipt_no, "gross": gross}


def paid(*payments: tuple[str, int | None], receipt_no: str | None = None) -> dict[str, Any]:
    """Return a basket with payments."""
    return {"receipt_no": receipt_no, "payments": [{"tender": t, "amount": amount} for t, amount in payments]}


def test_the_drawer_holds_float_and_cash_of_what_was_answered() -> None:
    """Explicit and rest amounts in, refunds and voids out; repeats count once, unknown ones not at all."""
    lines = [
        invoke("open", "o"), ok("open", "o"),
        invoke("sale", "a", basket=paid(("cash", None), ("card", 300))), ok("sale", "a", "R1", 1000),
        invoke("sale", "a", basket=paid(("cash", None), ("card", 300)), repeat=True), ok("sale", "a", "R1", 1000),
        invoke("sale", "a", basket=paid(("cash", 99_999)), edited=True),
        invoke("sale", "b", basket=paid(("cash", 50), ("card", None))), ok("sale", "b", "R2", 70),
        invoke("sale", "c", basket=paid(("card", None))), ok("sale", "c", "R3", 70),
        invoke("refund", "d", basket=paid(("cash", None), receipt_no="X")), ok("refund", "d", "R4", -20),
        invoke("void", "e", basket={"receipt_no": "R1"}), ok("void", "e", "R5", -1000),
        invoke("sale", "f", basket=paid(("cash", None))), {**ok("sale", "f"), "type": "info"},
    ]  # fmt: skip
    assert cash_in_drawer(lines, float_cash=20_000) == {"T01": 20_000 + 700 + 50 - 20 - 700}


def test_histories_are_read_in_order_of_time_without_a_torn_line(tmp_path: Path) -> None:
    """A killed load leaves half a line at most."""
    for worker, at_ms in (("c0", 2), ("c1", 1), ("b0", 0)):
        line = json.dumps({"worker": worker, "at_ms": at_ms})
        (tmp_path / f"history-{worker}.jsonl").write_text(line + "\n" + line[:5])
    assert [line["worker"] for line in read_histories(tmp_path)] == ["c1", "c0"]
