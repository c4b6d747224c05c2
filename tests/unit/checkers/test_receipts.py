"""What the receipts checker convicts and acquits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rehearsal.model import Verdict
from tests.unit.checkers.conftest import Try, convicted
from tests.unit.checkers.shop import Shop, closed_shop, open_shop


def test_a_consistent_shop_is_acquitted(ask: Try) -> None:
    """Sales, refunds, voids, repeats, refusals and unknown outcomes, all in order."""
    assert ask(closed_shop(), "receipts").verdict is Verdict.VALID


def _ack_before_commit(shop: Shop) -> None:
    """S1, S15: the till was told that the server has it."""
    shop.files["server/receipts.csv"].pop(0)


def _power_cut(shop: Shop) -> None:
    """R1, R2, S7: what the cashier saw is gone from the till."""
    shop.files["tills/T01/receipts.csv"].pop(0)


def _no_deduplication(shop: Shop) -> None:
    """S2: the batch was posted twice."""
    row = shop.files["server/receipts.csv"][0]
    shop.files["server/receipts.csv"].append({**row, "receipt_no": row["receipt_no"] + "9"})


def _till_doubled(shop: Shop) -> None:
    """S9, S10: a repeat became a second sale, on till and server."""
    for file in ("tills/T01/receipts.csv", "server/receipts.csv"):
        row = shop.row(file, lambda row: row["till"] == "T01")
        shop.files[file].append({**row, "receipt_no": row["receipt_no"] + "9"})


def _repeat_answered_otherwise(shop: Shop) -> None:
    """S9: the repeat got a receipt of its own."""
    repeated = [line for line in shop.history if line["type"] == "invoke" and line.get("repeat")][-1]
    again = next(
        line for line in shop.history if line.get("of") == repeated["n"] and line["worker"] == repeated["worker"]
    )
    shop.history.insert(
        shop.history.index(again) + 1,
        {**repeated, "worker": "c9", "n": 1, "at_ms": again["at_ms"] + 10},
    )
    shop.history.insert(
        shop.history.index(again) + 2,
        {**again, "worker": "c9", "n": 2, "of": 1, "at_ms": again["at_ms"] + 20, "receipt_no": "T02-XXXXX-000099"},
    )
    shop.history.append({"worker": "c9", "n": 0, "type": "start", "at_ms": 0})
    shop.history.append({"worker": "c9", "n": 3, "type": "end", "at_ms": 0})


def _refused_but_there(shop: Shop) -> None:
    """A definite refusal left a receipt behind."""
    sale = shop.row("tills/T01/receipts.csv")["op_id"]
    for line in shop.history:
        if line.get("op_id") == sale and line["type"] == "ok":
            line.update(type="fail", code="rule_broken")


def _unknown_on_the_till_only(shop: Shop) -> None:
    """S5: an unknown outcome may be either, but the same on both sides."""
    shop.files["server/receipts.csv"].pop()


def _edited_accepted(shop: Shop) -> None:
    """S11: another basket under a used op id got an answer."""
    edited = next(line for line in shop.history if line.get("edited"))
    answer = shop.answer_to(edited)
    receipt = shop.row("tills/T02/receipts.csv", lambda row: row["op_id"] == edited["op_id"])
    answer.update(type="ok", receipt_no=receipt["receipt_no"], gross=receipt["gross"], tax=receipt["tax"])


def _another_gross_on_paper(shop: Shop) -> None:
    """The cashier saw another sum than was stored."""
    next(line for line in shop.history if line["type"] == "ok" and line["f"] == "sale")["gross"] += 1


def _nobody_asked(shop: Shop) -> None:
    """A sale that no cashier made, on till and server."""
    for file in ("tills/T01/receipts.csv", "server/receipts.csv"):
        row = shop.row(file)
        shop.files[file].append({**row, "op_id": "f" * 32, "receipt_no": "T01-XXXXX-000077"})


def _another_till(shop: Shop) -> None:
    """A till's sale is stored as another till's."""
    shop.row("server/receipts.csv")["till"] = "T02"


def _number_repeats(shop: Shop) -> None:
    """S13: a re-imaged till prints numbers again."""
    for file in ("tills/T01/receipts.csv", "server/receipts.csv"):
        rows = [row for row in shop.files[file] if row["till"] == "T01"]
        rows[1]["receipt_no"] = rows[0]["receipt_no"]


def _never_posted(shop: Shop) -> None:
    """The server took it for a duplicate, and posted none."""
    shop.row("server/receipts.csv")["status"] = "duplicate"


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_ack_before_commit, "ok, but not on the server"),
        (_power_cut, "ok, but not on the till"),
        (_no_deduplication, "more than once on the server"),
        (_till_doubled, "more than once on the till"),
        (_repeat_answered_otherwise, "a repeat got another receipt_no"),
        (_refused_but_there, "refused, but on the till"),
        (_unknown_on_the_till_only, "on its till, not on the server"),
        (_edited_accepted, "an edited basket was accepted"),
        (_another_gross_on_paper, "answered gross"),
        (_nobody_asked, "a receipt that nobody asked for"),
        (_another_till, "a receipt is another till's"),
        (_number_repeats, "a receipt number repeats"),
        (_never_posted, "ok, but not on the server"),
    ],
)
def test_a_lie_about_receipts_is_convicted(ask: Try, spoil: Callable[[Shop], None], what: str) -> None:
    """Each planted bug's trace is found and named."""
    shop = closed_shop()
    spoil(shop)
    assert convicted(ask(shop, "receipts"), what)


def test_a_skipped_receipt_number_is_convicted(ask: Try) -> None:
    """S12: the counter moved outside the transaction that failed."""
    shop = open_shop()
    shop.tills["T01"].counter += 1
    shop.sell("T01", [("A", 1000, 0)])
    assert convicted(ask(shop, "receipts"), "skipped")


def test_only_a_journal_that_continues_another_has_numbers_of_before(ask: Try) -> None:
    """A first journal that says so would hide a number that is skipped."""
    shop = open_shop()
    shop.tills["T01"].counter += 1
    shop.sell("T01", [("A", 1000, 0)])
    entry = shop.tills["T01"].entries[-1]
    entry.append(shop.tills["T01"].number(entry[3]))
    assert convicted(ask(shop, "receipts"), "skipped")


def test_a_cloned_till_that_the_server_took_for_the_original_is_convicted(ask: Try) -> None:
    """S3: at one sequence till and server have different sales, and nobody compared hashes."""
    shop = open_shop()
    clone = list(shop.tills["T01"].entries)
    shop.sell("T01", [("A", 1000, 0)])
    ours = shop.tills["T01"].entries[-1]
    shop.server_entries["T01"] = [*clone, [*ours[:1], bytes(16), *ours[2:]]]
    assert convicted(ask(shop, "receipts"), "ok, but not on the server")


def test_a_repeat_that_is_refused_after_it_was_ok_is_convicted(ask: Try) -> None:
    """The same id and the same request get the same answer."""
    shop = open_shop()
    sale = shop.sell("T01", [("A", 1000, 0)])
    shop.repeat(sale)
    shop.history[-1].update(type="fail", code="rule_broken")
    assert convicted(ask(shop, "receipts"), "refused after it was ok")


@pytest.mark.parametrize(("code", "verdict"), [("rule_broken", Verdict.INVALID), ("disk_full", Verdict.VALID)])
def test_a_sale_that_is_kept_though_its_repeat_was_refused_is_convicted(
    ask: Try, code: str, verdict: Verdict
) -> None:
    """The cashier rings it up again, and the customer pays twice; a refusal of another reason is none."""
    shop = open_shop()
    shop.repeat(shop.sell("T01", [("A", 1000, 0)], told="info"))
    shop.history[-1].update(type="fail", code=code)
    shop.history[-1].pop("receipt_no")
    result = ask(shop, "receipts")
    assert result.verdict is verdict
    assert verdict is Verdict.VALID or convicted(result, "refused when it was asked again, but it was kept")


def test_a_repeat_that_met_a_full_disk_is_no_contradiction(ask: Try) -> None:
    """A refusal for another reason says nothing about the operation."""
    shop = open_shop()
    sale = shop.sell("T01", [("A", 1000, 0)])
    shop.repeat(sale)
    shop.history[-1].update(type="fail", code="disk_full")
    assert ask(shop, "receipts").verdict is Verdict.VALID


def test_a_receipt_is_not_called_invented_when_its_line_of_history_is_lost(ask: Try) -> None:
    """J2: a removed line withholds; two receipts can't hide behind one line."""
    shop = closed_shop()
    sale = shop.row("tills/T01/receipts.csv")["op_id"]
    line = next(line for line in shop.history if line.get("op_id") == sale and line["type"] == "invoke")
    shop.history.remove(line)
    assert ask(shop, "receipts").verdict is Verdict.UNKNOWN
    for name in ("1", "2"):
        for file in ("tills/T01/receipts.csv", "server/receipts.csv"):
            row = shop.row(file)
            shop.files[file].append({**row, "op_id": name * 32, "receipt_no": f"T01-XXXXX-00007{name}"})
    assert convicted(ask(shop, "receipts"), "nobody asked for")


def test_a_shop_that_never_sold_is_not_acquitted(ask: Try) -> None:
    """Nothing checked is nothing known."""
    shop = Shop().stage()
    shop.open_day("T01")
    assert ask(shop, "receipts").verdict is Verdict.UNKNOWN


def test_a_shop_whose_every_sale_was_refused_is_not_acquitted(ask: Try) -> None:
    """Refusals alone don't show that a sale would be kept."""
    shop = Shop().stage()
    shop.open_day("T01")
    shop.sell("T01", [("A", 1000, 0)], told="fail")
    assert ask(shop, "receipts").verdict is Verdict.UNKNOWN


def test_the_receipts_of_a_worker_whose_history_is_lost_are_not_called_invented(ask: Try) -> None:
    """All of one worker's lines are missing: he began, and nobody knows how much he asked for."""
    shop = closed_shop()
    shop.history = [line for line in shop.history if line["worker"] != "c-T01" or line["type"] == "start"]
    assert ask(shop, "receipts").verdict is Verdict.UNKNOWN
    shop.history.clear()
    assert ask(shop, "receipts").verdict is Verdict.UNKNOWN


def test_a_history_that_was_cut_where_a_worker_ends_is_not_known_whole(ask: Try) -> None:
    """No hole shows in it; its digest does."""
    shop = closed_shop()
    assert ask(shop, "receipts").verdict is Verdict.VALID
    shop.history = [line for line in shop.history if line["worker"] != "c-T01"]
    shop.sealed = True
    assert ask(shop, "receipts").verdict is Verdict.UNKNOWN
    shop.sealed = False
    assert convicted(ask(shop, "receipts"), "nobody asked for")
