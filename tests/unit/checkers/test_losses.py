"""Declared losses excuse exactly themselves: what arrived must be there, what did not must not, and no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rehearsal.judge import CHECKERS, judge
from rehearsal.model import Verdict
from tests.unit.checkers.conftest import Try, convicted
from tests.unit.checkers.shop import DATE, Shop, hex_id, open_shop

JUDGED = ("receipts", "money", "settlement", "stock", "chain", "edits", "prices", "drain")


def rolled_back() -> Shop:
    """T01's disk goes back three sales: two had arrived at the server, the third is lost. Then it sells on."""
    shop = open_shop()
    kept = len(shop.tills["T01"].entries)
    for sku in ("A", "B", "C"):
        shop.sell("T01", [(sku, 1000, 0)])
    shop.now += 1000
    at_ms = shop.now
    shop.continue_journal("T01", kept)
    shop.now += 1000
    shop.sell("T01", [("A", 2000, 0)])
    for till in shop.tills:
        shop.close_day(till)
    shop.derive()
    shop.lose("T01", kept=kept, arrived=kept + 2, at_ms=at_ms)
    restate(shop)
    return shop


def restate(shop: Shop) -> None:
    """The server's settlement of T01 holds what its Z can't know of, too."""
    receipts = [row for row in shop.files["server/receipts.csv"] if row["till"] == "T01"]
    paid: dict[str, int] = {}
    numbers = {row["receipt_no"] for row in receipts}
    for row in shop.files["server/payments.csv"]:
        if row["receipt_no"] in numbers:
            paid[row["tender"]] = paid.get(row["tender"], 0) + row["amount"]
    head = {
        "till": "T01", "business_date": DATE, "receipts": len(receipts), "state": "RESTATED",
        "gross": sum(row["gross"] for row in receipts), "tax": sum(row["tax"] for row in receipts),
    }  # fmt: skip
    others = [row for row in shop.files["server/settlement.csv"] if row["till"] != "T01"]
    shop.files["server/settlement.csv"] = others + [
        {**head, "tender": tender, "amount": amount} for tender, amount in sorted(paid.items())
    ]


@pytest.mark.parametrize("name", JUDGED)
def test_a_till_that_was_rolled_back_and_sold_on_is_acquitted(ask: Try, name: str) -> None:
    """What arrived is on the server alone, what did not is nowhere, and the date is restated by just that."""
    found = ask(rolled_back(), name)
    assert found.verdict is Verdict.VALID, found.detail


def _undeclared(shop: Shop) -> None:
    """Nobody declared it."""
    shop.meta["losses"] = []
    del shop.files["losses/entries.csv"]


def _arrived_one_gone(shop: Shop) -> None:
    """The server dropped what had arrived."""
    number = shop.files["losses/entries.csv"][0]["seq"]
    shop.files["server/journal.csv"] = [
        row
        for row in shop.files["server/journal.csv"]
        if not (row["seq"] >= number and row["incarnation"] == shop.earlier["T01"][0].incarnation)
    ]


def _arrived_receipt_gone(shop: Shop) -> None:
    """The server dropped a receipt that had arrived."""
    gone = {entry[1].hex() for entry in shop.earlier["T01"][0].entries[-3:]}
    shop.files["server/receipts.csv"] = [
        row for row in shop.files["server/receipts.csv"] if row["op_id"] not in gone
    ]


def _more_declared(shop: Shop) -> None:
    """The declaration says that only one of the two had arrived."""
    shop.meta["losses"][0]["arrived"] -= 1


def _one_more_missing(shop: Shop) -> None:
    """A sale that is not declared is missing on both sides."""
    last = shop.tills["T01"].entries[-2][1].hex()
    for folder in ("tills/T01", "server"):
        shop.files[f"{folder}/receipts.csv"] = [
            row for row in shop.files[f"{folder}/receipts.csv"] if row["op_id"] != last
        ]


def _stretch_with_a_hole(shop: Shop) -> None:
    """The evidence of the loss lacks an entry."""
    shop.files["losses/entries.csv"].pop(1)


def _forged(shop: Shop) -> None:
    """An entry of the loss is another than was journaled."""
    row = shop.files["losses/entries.csv"][-1]
    row["payload_hex"] = shop.files["losses/entries.csv"][0]["payload_hex"]


def _invented(shop: Shop) -> None:
    """A loss of a sale that nobody asked for."""
    lost = shop.earlier["T01"][0].entries[-1][1].hex()
    shop.history = [line for line in shop.history if line.get("op_id") != lost]


def _tallied(shop: Shop) -> None:
    """The server calls a date tallied whose Z lacks what arrived."""
    for row in shop.files["server/settlement.csv"]:
        row["state"] = "TALLIED"


def _restated_for_nothing(shop: Shop) -> None:
    """A date that no loss touched is restated."""
    for row in shop.files["server/settlement.csv"]:
        row["state"] = "RESTATED"


@pytest.mark.parametrize(
    ("lie", "name", "what"),
    [
        (_undeclared, "receipts", "ok, but not on the"),
        (_undeclared, "chain", "on the server only"),
        (_arrived_one_gone, "chain", "on the till only"),
        (_arrived_receipt_gone, "receipts", "ok, but not on the server"),
        (_more_declared, "receipts", "declared lost, but it is there"),
        (_more_declared, "chain", "declared lost, but the server has it"),
        (_one_more_missing, "receipts", "ok, but not on the till"),
        (_stretch_with_a_hole, "chain", "is not the stretch it says"),
        (_forged, "chain", "does not follow from the journal"),
        (_invented, "receipts", "a declared loss that nobody asked for"),
        (_tallied, "settlement", "not tallied"),
        (_restated_for_nothing, "settlement", "not tallied"),
    ],
)
def test_a_loss_excuses_nothing_but_itself(ask: Try, lie: Callable[[Shop], None], name: str, what: str) -> None:
    """Too much declared, too little, or another thing: each is convicted."""
    shop = rolled_back()
    lie(shop)
    assert convicted(ask(shop, name), what)


def test_what_was_lost_may_be_asked_for_anew(ask: Try) -> None:
    """The same op id after the loss makes the sale again, under another number."""
    shop = open_shop()
    kept = len(shop.tills["T01"].entries)
    lost = shop.sell("T01", [("A", 1000, 0)])
    shop.now += 1000
    at_ms = shop.now
    shop.continue_journal("T01", kept)
    shop.sell("T01", [("A", 1000, 0)], op_id=lost)
    shop.derive()
    shop.lose("T01", kept=kept, arrived=kept, at_ms=at_ms)
    for name in ("receipts", "money", "chain"):
        found = ask(shop, name)
        assert found.verdict is Verdict.VALID, found.detail
    shop.meta["losses"][0]["at_ms"] = shop.now + 1000
    assert convicted(ask(shop, "receipts"), "declared lost, but it is there")


def sold_anew(*, told: str = "info", after_ms: int = 1000) -> Shop:
    """A sale, `told` or not, had arrived when the disk went back; asked again, the till sells it anew."""
    shop = open_shop()
    kept = len(shop.tills["T01"].entries)
    op_id = shop.sell("T01", [("A", 1000, 0)], told=told)
    shop.now += after_ms
    at_ms = shop.now
    shop.continue_journal("T01", kept)
    shop.sell("T01", [("A", 1000, 0)], op_id=op_id)
    again = next(line for line in reversed(shop.history) if line["type"] == "invoke")
    again["repeat"] = True
    for till in shop.tills:
        shop.close_day(till)
    shop.derive()
    shop.lose("T01", kept=kept, arrived=kept + 1, at_ms=at_ms)
    new = shop.tills["T01"].incarnation
    second = shop.row("server/receipts.csv", lambda row: row["op_id"] == op_id and row["incarnation"] == new)
    second["status"] = "duplicate"
    for place in ("server", *(f"tills/{till}" for till in shop.tills)):
        shop.row(f"{place}/stock.csv", lambda row: row["sku"] == "A")["qty"] += 1000
    restate(shop)
    for row in shop.files["server/settlement.csv"]:
        if row["till"] == "T01":
            for name in ("gross", "tax"):
                row[name] -= second[name]
            row["receipts"] -= 1
            row["amount"] -= second["gross"] * (row["tender"] == "cash")
    return shop


@pytest.mark.parametrize("told", ["info", "ok"])
@pytest.mark.parametrize("name", JUDGED)
def test_a_till_that_sold_anew_what_it_had_forgotten_is_acquitted(ask: Try, name: str, told: str) -> None:
    """The server has both and posts the first; the paper bears the second's number, or there are two papers."""
    found = ask(sold_anew(told=told, after_ms=30_000), name)
    assert found.verdict is Verdict.VALID, found.detail


def test_what_was_sold_anew_is_counted_once_on_tills_as_on_the_server(tmp_path: Path) -> None:
    """The money line is one number."""
    sales = judge(sold_anew(told="ok").write(tmp_path)).sales
    assert sales.gross_minor.tills == sales.gross_minor.server
    assert sales.on_tills == sales.on_server


def test_what_was_told_before_a_disk_went_back_is_kept_under_its_number(ask: Try) -> None:
    """The first paper's number is one that the server has."""
    shop = sold_anew(told="ok")
    op_id = shop.row("server/receipts.csv", lambda row: row["status"] == "duplicate")["op_id"]
    first = next(line for line in shop.history if line.get("op_id") == op_id and line["type"] == "ok")
    first["receipt_no"] = "T01-XXXXX-000001"
    assert convicted(ask(shop, "receipts"), "answered number is not the server's")


def test_what_was_sold_anew_for_another_sum_is_convicted(ask: Try) -> None:
    """The cashier was told one sum, the first one counts."""
    shop = sold_anew()
    old = shop.earlier["T01"][0].incarnation
    op_id = shop.row("server/receipts.csv", lambda row: row["status"] == "duplicate")["op_id"]
    shop.row("server/receipts.csv", lambda row: row["op_id"] == op_id and row["incarnation"] == old)["gross"] += 1
    assert convicted(ask(shop, "receipts"), "answered gross is not the server's")


def cloned(*, same_number: bool = False) -> Shop:
    """A copy of T01 is taken, meets the server first and continues T01's journal; T01 sells on in the old one."""
    shop = open_shop()
    mark = len(shop.tills["T01"].entries)
    copied = shop.tills["T01"]
    shop.sell("T01", [("A", 1000, 0)])
    at_ms = shop.now
    shop.continue_journal("T01", mark)
    shop.sell("T01", [("B", 1000, 0)])
    copy = shop.tills.pop("T01")
    shop.tills = {"T01": copied, **shop.tills}
    shop.earlier.clear()
    for till in list(shop.tills):
        shop.close_day(till)
    shop.derive()
    old = {**shop.files}
    shop.tills["T01"], shop.earlier["T01"] = copy, [copied]
    shop.derive()
    both = {name: list(rows) for name, rows in shop.files.items()}
    shop.files |= {
        f"tills/T01-clone/{name.split('/')[-1]}": rows for name, rows in both.items() if "tills/T01/" in name
    }
    for table in ("receipts", "lines", "payments", "journal", "z"):
        shop.files[f"tills/T01/{table}.csv"] = old[f"tills/T01/{table}.csv"]
    shop.files["tills/T01-clone/z.csv"] = []
    numbers = {copied.number(entry[3]) for entry in copied.entries[mark:] if entry[0] == "r"}
    for table in ("receipts", "lines", "payments"):
        name = f"tills/T01-clone/{table}.csv"
        shop.files[name] = [row for row in shop.files[name] if row["receipt_no"] not in numbers]
    shop.files["tills/T01-clone/journal.csv"] = [
        row for row in shop.files["tills/T01-clone/journal.csv"]
        if row["incarnation"] != copied.incarnation or row["seq"] <= mark
    ]  # fmt: skip
    shop.meta["expected_z"] = [["T01", DATE], ["T02", DATE]]
    shop.meta["clones"] = [
        {"name": "T01-clone", "till": "T01", "at_ms": at_ms, "incarnation": copied.incarnation, "seq": mark}
    ]
    shop.files["server/settlement.csv"] = [
        row for till in ("T01", "T02") for row in shop.files[f"tills/{till}/z.csv"]
    ]
    restate(shop)
    return shop


@pytest.mark.parametrize("name", JUDGED)
def test_a_till_and_its_copy_that_both_sold_are_acquitted(ask: Try, name: str) -> None:
    """The server has the sales of both; the till's Z covers its own, and the date is restated by the copy's."""
    found = ask(cloned(), name)
    assert found.verdict is Verdict.VALID, found.detail


def _copy_differs(shop: Shop) -> None:
    """The copy holds other bytes of the common journal."""
    shop.files["tills/T01-clone/journal.csv"][1]["payload_hex"] = shop.files["tills/T01/journal.csv"][2][
        "payload_hex"
    ]


def _copys_sale_gone(shop: Shop) -> None:
    """The server lacks what the copy sold."""
    op_id = shop.tills["T01"].entries[-1][1].hex()
    shop.files["server/receipts.csv"] = [r for r in shop.files["server/receipts.csv"] if r["op_id"] != op_id]


def _number_twice_by_one_till(shop: Shop) -> None:
    """A number repeats that neither a copy nor a lost disk explains."""
    for file in ("tills/T02/receipts.csv", "server/receipts.csv"):
        first, second = [row for row in shop.files[file] if row["till"] == "T02"][:2]
        second["receipt_no"] = first["receipt_no"]


@pytest.mark.parametrize(
    ("lie", "name", "what"),
    [
        (_copy_differs, "chain", "other bytes than on the till's copy"),
        (_copys_sale_gone, "receipts", "ok, but not on the server"),
        (_number_twice_by_one_till, "receipts", "a receipt number repeats"),
    ],
)
def test_a_copy_excuses_nothing_else(ask: Try, lie: Callable[[Shop], None], name: str, what: str) -> None:
    """Everything that any of the two sold must be there once."""
    shop = cloned()
    lie(shop)
    assert convicted(ask(shop, name), what)


def test_a_number_that_till_and_copy_both_printed_is_told_and_not_convicted(ask: Try) -> None:
    """Neither could know of the other; the figure says how often it happened."""
    shop = cloned()
    own = shop.files["tills/T01/receipts.csv"][-1]
    op_id = shop.tills["T01"].entries[-1][1].hex()
    for file in ("tills/T01-clone", "server"):
        row = shop.row(f"{file}/receipts.csv", lambda row: row["op_id"] == op_id)
        row["receipt_no"] = own["receipt_no"]
    for line in shop.history:
        if line.get("op_id") == op_id and line["type"] == "ok":
            line["receipt_no"] = own["receipt_no"]
    found = ask(shop, "receipts")
    assert (found.verdict, found.figures["numbers.twice"]) == (Verdict.VALID, 1.0), found.detail


def test_every_checker_knows_an_entry_that_continues_a_journal(ask: Try) -> None:
    """It is an entry like others: decoded, hashed, and no receipt."""
    shop = open_shop()
    shop.continue_journal("T02", len(shop.tills["T02"].entries))
    shop.sell("T02", [("A", 1000, 0)])
    shop.derive()
    assert hex_id("continued T02") not in {row["op_id"] for row in shop.files["server/receipts.csv"]}
    for name in set(CHECKERS) - {"documents", "settlement", "failover"}:
        found = ask(shop, name)
        assert found.verdict is Verdict.VALID, (name, found.detail)


def restored() -> Shop:
    """The server's database goes back before two documents; a third comes after and takes a lost version again."""
    shop = open_shop()
    lost = [shop.edit_prices(("A", shop.now + 1, 777)), shop.move_goods("goods_receipt", "G9", [("A", 4_000)])]
    before = shop.prices
    shop.now += 40_000
    at_ms = shop.now
    shop.prices = {key: value for key, value in before.items() if value[0] != 777}
    shop.stock["A"] -= 4_000
    shop.documents["goods_receipts"] = [r for r in shop.documents["goods_receipts"] if r["doc_no"] != "G9"]
    gone = [row for row in shop.edits if row["op_id"] in lost]
    shop.edits = [row for row in shop.edits if row["op_id"] not in lost]
    shop.edit_prices(("B", shop.now + 1, 2100))
    for till in shop.tills:
        shop.close_day(till)
    shop.derive()
    shop.files["losses/edits.csv"] = gone
    shop.meta["restores"] = [{"server": "server", "at_ms": at_ms, "entries": 9, "edits": 2, "timeline": 2}]
    return shop


@pytest.mark.parametrize("name", ("edits", "stock", "prices", "masters", "receipts"))
def test_documents_that_a_restored_backup_lacks_are_missing_by_declaration(ask: Try, name: str) -> None:
    """Their rows and movements are gone, and nobody is convicted for it."""
    found = ask(restored(), name)
    assert found.verdict is Verdict.VALID, found.detail


def _loss_not_declared(shop: Shop) -> None:
    """One of the two documents is in no declaration."""
    shop.files["losses/edits.csv"].pop()


def _declared_but_there(shop: Shop) -> None:
    """An operation that the server has is declared lost."""
    shop.files["losses/edits.csv"].append(shop.files["server/edits.csv"][0])


def _loss_that_nobody_asked_for(shop: Shop) -> None:
    """An operation that no clerk's history knows."""
    row = shop.files["losses/edits.csv"][0]
    shop.files["losses/edits.csv"].append({**row, "op_id": hex_id("nobody")})


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        (_loss_not_declared, "ok, but the server does not have the operation"),
        (_declared_but_there, "declared lost, but the server has the operation"),
        (_loss_that_nobody_asked_for, "a declared loss that nobody asked for"),
    ],
)
def test_a_restore_excuses_only_what_is_declared(ask: Try, lie: Callable[[Shop], None], what: str) -> None:
    """One document more or less is convicted."""
    shop = restored()
    lie(shop)
    assert convicted(ask(shop, "edits"), what)
