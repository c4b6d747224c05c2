"""Settlement: Z = posted + written off, to the cent, and every other state with its reasons."""

from __future__ import annotations

from typing import Any

from syncref.domain.identity import receipt_number
from syncref.store import server_asides
from syncref.store.server_stock import fold, hold_folds
from syncref.wire.entry import Payment, encode_entry
from tests.integration.server.pair import until
from tests.integration.server.shop import Shop, Till, new_op, sale


def settled(shop: Shop, till: Till) -> dict[str, Any]:
    """Return a till's only settlement row."""
    rows = till.ask("GET", "/v1/settlement", fields={"date": "2025-03-01"}).json
    assert len(rows) == 1
    row: dict[str, Any] = rows[0]
    return row


def test_an_open_day_shows_what_was_posted(shop: Shop) -> None:
    """Before the Z there is nothing to compare with."""
    till = shop.till("T01")
    receipts = [till.sell(), till.sell(("P1", 1000, 100), ("P2", 2000, 250))]
    till.sell(("P1", -1000, 100), kind="refund", ref=receipt_number(key=till.key, counter=1))
    till.flush()
    row = settled(shop, till)
    gross = receipts[0].gross + receipts[1].gross - 100
    assert (row["state"], row["receipts"], row["gross"], row["reasons"]) == ("OPEN", 3, gross, [])
    assert row["by_tender"] == [["cash", gross]]
    assert [rate for rate, _, _ in row["by_rate"]] == [1900]


def test_a_day_whose_z_agrees_is_tallied(shop: Shop) -> None:
    """Counts, totals, tenders and rates agree."""
    till = shop.till("T02")
    till.close_day([till.sell(), till.sell(("P2", 3000, 199))])
    till.flush()
    row = settled(shop, till)
    assert (row["state"], row["reasons"]) == ("TALLIED", [])


def test_a_z_that_differs_in_one_cent_or_tender_is_a_mismatch(shop: Shop) -> None:
    """The reason says in what, and by how much."""
    till = shop.till("T03")
    receipt = till.sell()
    till.close_day([receipt], gross=receipt.gross + 1, by_tender=(Payment(tender="card", amount=100),))
    till.flush()
    row = settled(shop, till)
    assert row["state"] == "MISMATCH"
    assert any(reason.startswith("gross: Z 101") for reason in row["reasons"])
    assert any(reason.startswith("tenders") for reason in row["reasons"])


def test_a_late_sale_restates_its_own_date(shop: Shop) -> None:
    """A receipt of that date after its Z changes the state, and the sums."""
    till = shop.till("T04")
    till.close_day([till.sell()])
    till.flush()
    assert settled(shop, till)["state"] == "TALLIED"
    till.sell()
    till.flush()
    row = settled(shop, till)
    assert (row["state"], row["receipts"]) == ("RESTATED", 2)


def test_an_entry_set_aside_blocks_the_tally_until_it_is_written_off(shop: Shop) -> None:
    """After the write-off, Z = posted + written off."""
    till, clerk = shop.till("T05"), shop.clerk()
    good = till.sell()
    bad = till.sell(payments=())
    till.close_day([good, bad])
    till.flush()
    row = settled(shop, till)
    assert row["state"] == "MISMATCH"
    assert "1 entries set aside" in row["reasons"]
    asides = [a for a in clerk.ask("GET", "/v1/asides").json if a["till"] == "T05"]
    assert [(a["seq"], a["resolution"]) for a in asides] == [(2, None)]
    path = f"asides/T05/{till.incarnation.hex()}/2/resolve"
    op_id = new_op()
    for _ in range(2):
        assert clerk.document(path, op_id=op_id, action="written_off").status == 200
    refused = clerk.document(path, action="written_off")
    assert (refused.status, refused.json["code"]) == (422, "rule_broken")
    assert clerk.document(path.replace("/2/", "/1/"), action="written_off").status == 404
    # The bad receipt had no payments, but the till's Z counts its cash: that stays a difference.
    assert [r.split(":")[0] for r in settled(shop, till)["reasons"]] == ["tenders"]


def test_a_duplicate_written_off_lets_the_day_tally(shop: Shop) -> None:
    """The second receipt under one op id is in the till's Z; a clerk explains it."""
    one, two, clerk = shop.till("T06"), shop.till("T07"), shop.clerk()
    first = one.sell()
    second = two.sell(op_id=first.op_id)
    two.close_day([second])
    one.flush()
    two.flush()
    row = settled(shop, two)
    assert row["state"] == "MISMATCH"
    assert "1 receipts under an op id that was posted before" in row["reasons"]
    path = f"asides/T07/{two.incarnation.hex()}/1/resolve"
    assert clerk.document(path, action="written_off").status == 200
    assert settled(shop, two)["state"] == "TALLIED"


def test_a_missing_receipt_number_is_named(shop: Shop) -> None:
    """A hole between the first and the last number of a journal is no tally."""
    till = shop.till("T08")
    first = till.sell()
    till.counter += 1
    till.close_day([first, till.sell()])
    till.flush()
    row = settled(shop, till)
    assert (row["state"], row["reasons"]) == ("MISMATCH", ["1 receipt numbers missing"])


def test_a_number_that_was_printed_before_a_journal_was_continued_leaves_no_hole(shop: Shop) -> None:
    """A rolled-back till keeps the number on the paper: one of the old journal's numbers, not of the new one's."""
    till = shop.till("T15")
    known = [till.sell() for _ in range(5)]
    till.flush()
    printed = receipt_number(key=till.key, counter=4)
    till.start_anew(continues=3)
    again = sale(4, [("P1", 1000, 70)], number=printed)
    till.journal(encode_entry(again))
    till.close_day([*known[:3], again, till.sell()])
    till.flush()
    row = settled(shop, till)
    assert row["reasons"] == [f"2 late receipts of {sum(one.gross for one in known[3:])}"]
    assert row["state"] == "RESTATED"


def test_a_receipt_under_another_tills_number_is_set_aside(shop: Shop) -> None:
    """It is kept and shown, and neither counted nor taken for the other till's."""
    till, other = shop.till("T13"), shop.till("T14")
    good = till.sell()
    forged = sale(1, [("P1", 1000, 100)], number=receipt_number(key=other.key, counter=1))
    till.journal(encode_entry(forged))
    till.close_day([good])
    till.flush()
    row = settled(shop, till)
    assert (row["receipts"], row["reasons"]) == (1, ["1 entries set aside"])
    (aside,) = [a for a in shop.clerk().ask("GET", "/v1/asides").json if a["till"] == "T13"]
    assert "is no receipt number of T13" in aside["reason"]


def test_unreadable_entries_are_charged_to_the_day_whose_z_follows(shop: Shop) -> None:
    """Bytes that say no date block the tally of the next Z only; written off, the counts must fit."""
    till, clerk = shop.till("T09"), shop.clerk()
    good = till.sell()
    till.journal(b"\xc1")
    lost = sale(2, [("P1", 1000, 100)])
    till.counter += 1
    till.close_day([good, lost])
    till.flush()
    assert settled(shop, till)["reasons"][0] == "1 entries set aside"
    path = f"asides/T09/{till.incarnation.hex()}/2/resolve"
    assert clerk.document(path, action="written_off").status == 200
    assert settled(shop, till)["state"] == "TALLIED"


def test_a_day_that_will_never_be_closed_is_abandoned_with_evidence(shop: Shop) -> None:
    """An operator signs for it."""
    from syncref.store.server_settlement import sign_abandoned

    till = shop.till("T01")
    with shop.engine.begin() as connection:
        sign_abandoned(connection, "T01", "2025-03-01", evidence="burnt down", clerk="alice", at_ms=1)
    assert settled(shop, till)["state"] == "ABANDONED"


def test_a_set_aside_entry_is_posted_once_what_was_in_its_way_is_gone(shop: Shop) -> None:
    """From its own bytes, by the rules of its arrival: receipt, lines, settlement and stock; never twice."""
    till, clerk = shop.till("T12"), shop.clerk()
    receipt = till.sell(("P1", 2000, 100))
    till.close_day([receipt])
    shop.execute("ALTER TABLE receipt ADD CONSTRAINT narrow CHECK (till <> 'T12')")
    till.flush()
    assert settled(shop, till)["state"] == "MISMATCH"
    path = f"asides/T12/{till.incarnation.hex()}/1/resolve"
    refused = clerk.document(path, action="posted")
    assert (refused.status, refused.json["code"]) == (422, "rule_broken")
    assert "still can't be posted" in refused.json["message"]
    shop.execute("ALTER TABLE receipt DROP CONSTRAINT narrow")
    folded = "SELECT seq FROM stock_fold WHERE till = 'T12' AND seq = 2"
    until(lambda: shop.value(folded), "the fold without it")
    before = shop.value("SELECT qty FROM stock WHERE sku = 'P1'")
    op_id = new_op()
    for _ in range(2):
        assert clerk.document(path, op_id=op_id, action="posted").status == 200
    assert shop.value("SELECT qty FROM stock WHERE sku = 'P1'") == before - 2000
    row = settled(shop, till)
    assert (row["state"], row["receipts"], row["reasons"]) == ("TALLIED", 1, [])
    assert clerk.document(path, action="written_off").status == 422


def test_an_entry_that_is_posted_beside_a_fold_moves_the_stock_once(shop: Shop) -> None:
    """A fold that begins before the posting is committed does not see its lines: it may not move past them."""
    till = shop.till("T11")
    before = shop.value("SELECT coalesce(sum(qty), 0) FROM stock WHERE sku = 'P2'")
    shop.execute("ALTER TABLE receipt ADD CONSTRAINT narrow CHECK (till <> 'T11')")
    with shop.engine.begin() as holding:
        hold_folds(holding)
        till.sell(("P2", 3000, 100), business_date="2025-02-28")
        till.flush()
        shop.execute("ALTER TABLE receipt DROP CONSTRAINT narrow")
    with shop.engine.begin() as posting:
        server_asides.resolve(posting, till.key, 1, op_id=new_op(), action="posted", clerk="ann", at_ms=1)
        with shop.engine.begin() as folding:
            fold(folding, at_ms=1)
    until(lambda: shop.value("SELECT seq FROM stock_fold WHERE till = 'T11' AND seq = 1"), "the fold")
    assert shop.value("SELECT qty FROM stock WHERE sku = 'P2'") == before - 3000


def test_an_entry_that_does_not_balance_or_is_a_duplicate_is_not_posted(shop: Shop) -> None:
    """It can only be written off, and says why."""
    one, two, clerk = shop.till("T09"), shop.till("T10"), shop.clerk()
    one.sell(payments=())
    two.sell(op_id=one.sell().op_id)
    one.flush()
    two.flush()
    for till, why in ((one, "payments of 0"), (two, "write it off")):
        path = f"asides/{till.key.till}/{till.incarnation.hex()}/1/resolve"
        refused = clerk.document(path, action="posted")
        assert (refused.status, why in refused.json["message"]) == (422, True), refused.json


def test_a_z_covers_what_its_till_knew_when_its_journal_continued_another(shop: Shop) -> None:
    """What the till had lost, or its copy made, is beyond the mark: the date is restated by just that."""
    till = shop.till("T11")
    known, lost = till.sell(), till.sell()
    till.flush()
    old = till.key
    till.start_anew(continues=1)
    after = till.sell()
    till.close_day([known, after])
    till.flush()
    row = settled(shop, till)
    assert (row["state"], row["receipts"]) == ("RESTATED", 3)
    assert row["reasons"] == [f"1 late receipts of {lost.gross}"]
    assert shop.value("SELECT closed_at_seq FROM journal WHERE incarnation = :old", old=old.incarnation) == 1
