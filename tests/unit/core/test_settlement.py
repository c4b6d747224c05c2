"""When a business date is tallied."""

from __future__ import annotations

from syncref.core.settlement import DayFacts, State, Sums, add, settle
from syncref.core.step import replace

TWO = Sums(sales=2, gross=300, tax=40, by_tender=(("cash", 300),), by_rate=((700, 300, 40),))
ONE = Sums(sales=1, gross=100, tax=16, by_tender=(("card", 100),), by_rate=((1900, 100, 16),))
BOTH = Sums(
    sales=3,
    gross=400,
    tax=56,
    by_tender=(("card", 100), ("cash", 300)),
    by_rate=((700, 300, 40), (1900, 100, 16)),
)


def state(facts: DayFacts) -> State:
    """Return the state of a date."""
    return settle(facts).state


def test_a_day_without_z_is_open_unless_it_is_given_up() -> None:
    """However much is posted."""
    assert state(DayFacts(posted=TWO)) is State.OPEN
    assert state(DayFacts(posted=TWO, abandoned=True)) is State.ABANDONED


def test_a_day_is_tallied_when_z_is_posted_and_written_off_together() -> None:
    """To the cent, by tender and by rate."""
    assert state(DayFacts(posted=TWO, z=TWO, z_count=1)) is State.TALLIED
    assert state(DayFacts(posted=TWO, written_off=ONE, z=BOTH, z_count=1)) is State.TALLIED


def test_every_figure_of_z_counts() -> None:
    """One cent, one count, one tender, one rate: a mismatch that names itself."""
    for change, word in (
        ({"sales": 1}, "sales"),
        ({"refunds": 1}, "refunds"),
        ({"voids": 1}, "voids"),
        ({"gross": 301}, "gross"),
        ({"tax": 41}, "tax"),
        ({"by_tender": (("card", 300),)}, "tenders"),
        ({"by_rate": ((1900, 300, 40),)}, "tax rates"),
    ):
        settled = settle(DayFacts(posted=TWO, z=replace(TWO, **change), z_count=1))  # type: ignore[arg-type]
        assert settled.state is State.MISMATCH
        assert settled.reasons[0].startswith(word)


def test_what_nobody_has_resolved_keeps_a_day_from_being_tallied() -> None:
    """Set aside, duplicate, missing numbers, two Z reports."""
    fine = DayFacts(posted=TWO, z=TWO, z_count=1)
    for facts in (
        replace(fine, aside=1),
        replace(fine, duplicates=1),
        replace(fine, missing=1),
        replace(fine, z_count=2),
    ):
        assert state(facts) is State.MISMATCH


def test_a_late_receipt_restates_its_date_unless_z_knew_it() -> None:
    """After a rebase the Z covers receipts that another journal brought."""
    assert state(DayFacts(posted=TWO, late=ONE, z=TWO, z_count=1)) is State.RESTATED
    assert state(DayFacts(posted=TWO, late=ONE, z=BOTH, z_count=1)) is State.TALLIED


def test_unreadable_entries_that_were_written_off_explain_amounts_but_not_counts() -> None:
    """Their bytes can't be summed, their number can."""
    assert state(DayFacts(posted=TWO, unreadable_written_off=1, z=BOTH, z_count=1)) is State.TALLIED
    assert state(DayFacts(posted=TWO, unreadable_written_off=2, z=BOTH, z_count=1)) is State.MISMATCH


def test_a_tender_that_comes_to_nothing_is_no_difference() -> None:
    """A sale and its refund in vouchers leave a zero that the other side may not list."""
    z = replace(TWO, by_tender=(("cash", 300), ("voucher", 0)))
    assert state(DayFacts(posted=TWO, z=z, z_count=1)) is State.TALLIED


def test_sums_add_up_in_every_figure() -> None:
    """Both ways round."""
    assert add(TWO, ONE) == add(ONE, TWO) == BOTH
    assert add(TWO, TWO).by_rate == ((700, 600, 80),)
    assert BOTH.receipts == 3
    turned = Sums(sales=1, refunds=2, voids=4)
    assert add(turned, turned) == Sums(sales=2, refunds=4, voids=8)


def test_a_restated_date_says_why() -> None:
    """A state without a reason helps nobody."""
    settled = settle(DayFacts(posted=TWO, late=ONE, z=TWO, z_count=1))
    assert settled.reasons
    assert all(settled.reasons)
    duplicate = settle(DayFacts(posted=TWO, duplicates=1, z=TWO, z_count=1))
    assert any("op id that was posted before" in reason for reason in duplicate.reasons)


def test_receipts_declared_lost_explain_the_count_and_say_what_is_not_here() -> None:
    """Of a lost receipt only its number is known: the counts must fit, and the difference in money is told."""
    lost = DayFacts(posted=TWO, z=BOTH, z_count=1, lost=1, declared=((1, "ann: disk broke"),))
    settled = settle(lost)
    assert settled.state is State.TALLIED
    assert settled.reasons == (
        "1 receipts declared lost by ann: disk broke",
        f"{BOTH.gross - TWO.gross} of the Z's gross is not here",
    )
    assert state(replace(lost, lost=2)) is State.MISMATCH
    assert state(replace(lost, lost=0)) is State.MISMATCH


def test_a_declared_loss_is_shown_in_every_state() -> None:
    """Also where no Z can know of it."""
    told = ("3 receipts declared lost by ann: till burnt",)
    facts = DayFacts(posted=TWO, declared=((3, "ann: till burnt"),))
    assert settle(facts).reasons == told
    assert settle(replace(facts, abandoned=True)).reasons == told
    assert settle(replace(facts, late=ONE, z=TWO, z_count=1)).reasons[1:] == told
