from __future__ import annotations

from pathlib import Path

from chaos.faults.clock_jump import ClockJump, ClockJumpParameters
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


def test_it_bites_a_till_that_dates_receipts_by_the_shifted_clock(tmp_path: Path) -> None:
    """An hour back; afterwards the file is gone, as before."""
    shop = shop_of()
    file = shop.tills["T01"].offset_file = tmp_path / "clock"
    bite, healed = suffered(context_of(shop, clock_files={"T01": file}), ClockJump(("T01",)))
    assert (bite.bit, healed.ok) == (True, True)
    assert "-3600" in bite.text
    assert not file.exists()


def test_it_does_not_bite_a_till_that_reads_no_such_file(tmp_path: Path) -> None:
    """Its receipts are dated right."""
    context = context_of(shop_of(), clock_files={"T01": tmp_path / "clock"})
    assert suffered(context, ClockJump(("T01",)))[0].bit is False


def test_a_jump_too_small_to_see_proves_nothing_good(tmp_path: Path) -> None:
    """A receipt that fits both clocks is no evidence."""
    shop = shop_of()
    file = shop.tills["T01"].offset_file = tmp_path / "clock"
    one = ClockJump(("T01",), ClockJumpParameters(offset_ms=100))
    assert suffered(context_of(shop, clock_files={"T01": file}), one)[0].bit is False


def test_an_offset_that_was_there_before_comes_back(tmp_path: Path) -> None:
    """The file is as it was."""
    file = tmp_path / "clock"
    file.write_text("250")
    _, healed = suffered(context_of(shop_of(), clock_files={"T01": file}), ClockJump(("T01",)))
    assert (healed.ok, file.read_text()) == (True, "250")


def test_a_file_changed_by_others_after_the_lift_is_told(tmp_path: Path) -> None:
    """The read-back is not ok."""
    file = tmp_path / "clock"
    one = ClockJump(("T01",))
    context = context_of(shop_of(), clock_files={"T01": file})
    suffered(context, one)
    file.write_text("7")
    assert not one.verify(context).ok


def test_a_till_without_a_clock_file_is_an_obstacle() -> None:
    """It is said before the run."""
    assert ClockJump(("T01",)).obstacle(context_of(shop_of())) == "no clock file is known for T01"
