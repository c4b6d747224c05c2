"""What an operator signs: losses that the settlement shows, a journal that goes on, days that are given up."""

from __future__ import annotations

import secrets

import pytest

from syncref.domain.identity import Mark, receipt_number
from syncref.errors import NotFound, RequestInvalid, RuleBroken
from syncref.store.server_lost import Signed, numbers_here, sign_lost_entries, sign_lost_receipts
from syncref.store.server_settlement import sign_abandoned
from syncref.wire.entry import encode_entry
from tests.integration.server.shop import DATE, Shop, Till, sale
from tests.integration.server.test_settlement import settled

SIGNED = Signed(evidence="disk lost, ticket 4711", clerk="ann", at_ms=1)
TOLD = "declared lost by ann: disk lost, ticket 4711"


def lose(shop: Shop, till: Till, first: int, last: int) -> int:
    """Declare printed numbers of a till's present journal lost."""
    printed = (receipt_number(key=till.key, counter=counter) for counter in (first, last))
    with shop.engine.begin() as connection:
        return sign_lost_receipts(connection, *printed, date=DATE, signed=SIGNED)


def pass_over(shop: Shop, till: Till, seq: int) -> int:
    """Declare what the server lacks of a journal up to a mark lost."""
    with shop.engine.begin() as connection:
        mark = Mark(seq=seq, hash=till.hash_at(seq))
        return sign_lost_entries(connection, till.key, mark, signed=SIGNED)


def test_receipts_that_a_lost_disk_had_are_shown_with_their_date(shop: Shop) -> None:
    """The new till's Z can't know of them: its day is as it would be, and the loss stands beside it."""
    till = shop.till("T01")
    before = [till.sell(), till.sell()]
    till.flush()
    assert lose(shop, till, 3, 4) == 2
    row = settled(shop, till)
    assert (row["state"], row["receipts"], row["reasons"]) == ("OPEN", 2, [f"2 receipts {TOLD}"])
    till.incarnation, till.payloads, till.hashes = secrets.token_bytes(16), [], []
    till.counter = till.acked = 0
    till.greet()
    till.close_day([till.sell()])
    till.flush()
    row = settled(shop, till)
    late = f"2 late receipts of {sum(one.gross for one in before)}"
    assert (row["state"], row["reasons"]) == ("RESTATED", [late, f"2 receipts {TOLD}"])


def test_a_journal_goes_on_after_entries_that_nobody_has(shop: Shop) -> None:
    """A server restored below what the till has pruned: signed, the rest comes, the day is tallied by count."""
    till = shop.till("T02")
    receipts = [till.sell() for _ in range(5)]
    till.close_day(receipts)
    assert till.upload(1, 2).status == 200
    assert till.upload(5).status == 409, "a gap is refused"
    assert pass_over(shop, till, 4) == 2
    assert till.upload(3, 5).json["code"] == "session_unknown"
    answer = till.greet()
    assert till.upload(3, 5).json["code"] == "fork", "a till that has them all the same resumes after the mark"
    assert (answer.durable_seq, answer.durable_hash) == (4, till.hash_at(4))
    assert till.upload(5).status == 200
    row = settled(shop, till)
    assert row["state"] == "MISMATCH"
    assert row["reasons"][0] == "2 receipt numbers missing"
    lose(shop, till, 3, 4)
    row = settled(shop, till)
    gone = receipts[2].gross + receipts[3].gross
    assert row["state"] == "TALLIED"
    assert row["reasons"] == [f"2 receipts {TOLD}", f"{gone} of the Z's gross is not here"]


def test_a_number_beyond_all_bounds_stops_no_settlement(shop: Shop) -> None:
    """Where receipts were declared lost numbers are compared: one that no honest till gives is set aside."""
    till = shop.till("T13")
    till.sell()
    till.counter = (1 << 64) - 2
    till.sell()
    till.flush()
    lose(shop, till, 2, 2)
    row = settled(shop, till)
    assert (row["state"], row["receipts"], row["reasons"]) == ("OPEN", 1, [f"1 receipts {TOLD}"])


def test_a_number_counts_for_the_journal_that_printed_it(shop: Shop) -> None:
    """What a later journal has under an old number is here, and is no number of the later one."""
    till = shop.till("T09")
    known = [till.sell(), till.sell()]
    till.flush()
    old, printed = till.key, receipt_number(key=till.key, counter=4)
    till.start_anew(continues=2)
    again = sale(4, [("P1", 1000, 70)], number=printed)
    till.journal(encode_entry(again))
    later = [till.sell() for _ in range(2)]
    till.flush()
    gone = receipt_number(key=old, counter=3)
    with shop.engine.begin() as connection:
        assert (numbers_here(connection, old, 3, 4), numbers_here(connection, till.key, 1, 4)) == (1, 2)
        with pytest.raises(RuleBroken, match="1 of the receipts"):
            sign_lost_receipts(connection, gone, printed, date=DATE, signed=SIGNED)
        assert sign_lost_receipts(connection, gone, gone, date=DATE, signed=SIGNED) == 1
    till.close_day([*known, again, *later])
    till.flush()
    row = settled(shop, till)
    assert (row["state"], row["reasons"]) == ("TALLIED", [f"1 receipts {TOLD}"])


def test_entries_with_a_false_hash_do_not_let_the_till_go_on(shop: Shop) -> None:
    """The till compares: other bytes than its own are a fork, never something to append to."""
    till = shop.till("T03")
    till.sell()
    till.flush()
    with shop.engine.begin() as connection:
        sign_lost_entries(connection, till.key, Mark(seq=3, hash=b"x" * 32), signed=SIGNED)
    for _ in range(3):
        till.sell()
    assert till.upload(4).status == 409


def test_what_is_here_or_declared_already_is_not_lost(shop: Shop) -> None:
    """Each refusal says why."""
    till = shop.till("T04")
    till.sell()
    till.flush()
    with pytest.raises(RuleBroken, match=r"1 of the receipts .* are here"):
        lose(shop, till, 1, 2)
    lose(shop, till, 2, 3)
    with pytest.raises(RuleBroken, match="numbers 2 to 3 of that journal are declared lost already"):
        lose(shop, till, 3, 9)
    with pytest.raises(RuleBroken, match="entries up to 1 of that journal are here"):
        pass_over(shop, till, 1)


@pytest.mark.parametrize(
    ("first", "last", "error", "why"),
    [
        ("T05-ABCDE-000001", "T05-ABCDE-000002", NotFound, "no journals of T05 print ABCDE here"),
        ("17", "18", RequestInvalid, "'17' is no receipt number"),
        ("T05-ABCDE-000001", "T05-ABCDF-000002", RequestInvalid, "are of two journals"),
        ("T05-ABCDE-000003", "T05-ABCDE-000002", RequestInvalid, "is no range"),
    ],
)
def test_what_is_no_range_of_a_known_journal_is_refused(
    shop: Shop, first: str, last: str, error: type[Exception], why: str
) -> None:
    """With what was wrong."""
    with shop.engine.begin() as connection, pytest.raises(error, match=why):
        sign_lost_receipts(connection, first, last, date=DATE, signed=SIGNED)


def test_receipts_that_come_all_the_same_count(shop: Shop) -> None:
    """A disk that was found again: nothing is lost any more, and the day is tallied to the cent."""
    till = shop.till("T06")
    receipts = [till.sell(), till.sell()]
    till.close_day(receipts)
    assert till.upload(1, 1).status == 200
    lose(shop, till, 2, 2)
    till.acked = 1
    till.flush()
    row = settled(shop, till)
    assert (row["state"], row["receipts"], row["reasons"]) == ("TALLIED", 2, [f"0 receipts {TOLD}"])


def test_giving_a_day_up_says_what_it_changes(shop: Shop) -> None:
    """Nothing is pretended: an unknown till, a closed day, a day that was given up before or that owes nothing."""

    def sign(till: str, date: str = DATE) -> str:
        with shop.engine.begin() as connection:
            return sign_abandoned(connection, till, date, evidence="burnt", clerk="ann", at_ms=1)

    till = shop.till("T07")
    till.sell()
    till.flush()
    assert sign("T07") == f"{DATE} of T07 is abandoned"
    assert sign("T07") == f"nothing new: ann abandoned {DATE} of T07 already: burnt"
    assert "nothing is owed" in sign("T07", "2025-03-02")
    with pytest.raises(NotFound, match="no till T99 has ever been here"):
        sign("T99")
    closed = shop.till("T08")
    closed.close_day([closed.sell()])
    closed.flush()
    with pytest.raises(RuleBroken, match="nothing to abandon: T08 closed"):
        sign("T08")


def test_a_day_that_was_lost_whole_is_given_up_with_its_loss_beside_it(shop: Shop) -> None:
    """Its receipts and its Z were pruned by the till and are on no server: what is known is what was signed."""
    till = shop.till("T11")
    till.close_day([till.sell(), till.sell()])
    assert pass_over(shop, till, 3) == 3
    lose(shop, till, 1, 2)
    with shop.engine.begin() as connection:
        sign_abandoned(connection, "T11", DATE, evidence="backup of May", clerk="ann", at_ms=1)
    row = settled(shop, till)
    assert (row["state"], row["receipts"], row["reasons"]) == ("ABANDONED", 0, [f"2 receipts {TOLD}"])
