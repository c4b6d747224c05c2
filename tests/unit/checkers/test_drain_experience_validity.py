"""What the drain, experience and validity checkers convict, withhold and acquit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rehearsal.model import Verdict
from tests.unit.checkers.conftest import Try, convicted
from tests.unit.checkers.shop import START_MS, Row, Shop, closed_shop, open_shop


@pytest.mark.parametrize("name", ["drain", "experience", "validity"])
def test_a_run_in_order_is_acquitted(ask: Try, name: str) -> None:
    """Quiet in time, quick enough, and every fault bit and was lifted."""
    assert ask(closed_shop(), name).verdict is Verdict.VALID


def _busy(shop: Shop, percent: int) -> None:
    shop.files["host.csv"] = [
        {"at_ms": START_MS + second * 1000, "cpu_percent": percent, "steal_percent": 0, "load1": 9,
         "memory_available_mib": 100}
        for second in range(60)
    ]  # fmt: skip
    shop.meta["load"]["ended_ms"] = max(shop.meta["load"]["ended_ms"], START_MS + 60_000)


def test_a_run_that_never_came_to_rest_is_convicted(ask: Try) -> None:
    """S14, S17, S18, R6 to R10, R12: something is pending at the deadline."""
    shop = closed_shop()
    shop.meta["drain"].update(
        quiet=False, took_s=60.0, progressed=False, pending=["T01: 3 entries not on the server"]
    )
    assert convicted(ask(shop, "drain"), "not quiet by the deadline")


def test_slow_progress_is_excused_on_a_saturated_host_only(ask: Try) -> None:
    """Slow is not stuck; whether the system is slow can't be told there."""
    shop = closed_shop()
    shop.meta["drain"].update(quiet=False, took_s=60.0, progressed=True, pending=["T01"])
    assert convicted(ask(shop, "drain"), "not quiet by the deadline")
    _busy(shop, 100)
    assert ask(shop, "drain").verdict is Verdict.UNKNOWN
    shop.meta["drain"]["progressed"] = False
    assert convicted(ask(shop, "drain"), "not quiet by the deadline")


def test_a_quiet_that_the_journals_contradict_is_convicted(ask: Try) -> None:
    """S6: the till believes that all is acked."""
    shop = open_shop()
    shop.server_entries["T01"] = shop.tills["T01"].entries[:-1]
    assert convicted(ask(shop, "drain"), "did not come to one end")


def test_a_run_without_a_drain_is_nothing_known(ask: Try) -> None:
    """It was broken off before."""
    shop = closed_shop()
    shop.meta["drain"] = None
    assert ask(shop, "drain").verdict is Verdict.UNKNOWN


def _slow(shop: Shop, till: str, ms: float, kind: str = "ok") -> None:
    for line in shop.history:
        if line["type"] in ("ok", "info") and line.get("till") == till and line["f"] == "sale":
            line.update(ms=ms, type=kind)


def test_a_slow_till_is_convicted(ask: Try) -> None:
    """R4, R5: the worst till counts, not the average."""
    shop = closed_shop()
    _slow(shop, "T01", 900.0)
    assert convicted(ask(shop, "experience"), "does not hold")


def test_unknown_outcomes_count_with_their_time_out(ask: Try) -> None:
    """A sale that was never answered is the slowest of all."""
    shop = closed_shop()
    _slow(shop, "T02", 10_000.0, "info")
    assert convicted(ask(shop, "experience"), "does not hold")


def test_nobody_can_sell_on_a_till_that_is_killed(ask: Try) -> None:
    """Its own outage is left out, another till's is not."""
    shop = closed_shop()
    _slow(shop, "T01", 900.0)
    shop.meta["faults"][0].update(kind="kill", targets=["T01"], started_ms=START_MS, ended_ms=START_MS + 600_000)
    assert ask(shop, "experience").verdict is Verdict.VALID
    shop.meta["faults"][0]["targets"] = ["T02"]
    assert convicted(ask(shop, "experience"), "does not hold")


def test_slowness_on_a_saturated_host_is_withheld(ask: Try) -> None:
    """A slow machine can't be told from a slow system; refusals can."""
    shop = closed_shop()
    _slow(shop, "T01", 900.0)
    _busy(shop, 100)
    assert ask(shop, "experience").verdict is Verdict.UNKNOWN
    shop.meta["thresholds"] = ["sale.refused <= 1%"]
    assert convicted(ask(shop, "experience"), "does not hold")


@pytest.mark.parametrize(
    ("code", "asked", "verdict"),
    [
        ("unbalanced", {}, Verdict.VALID),
        ("unbalanced", {"requoted": True}, Verdict.INVALID),
        ("unbalanced", {"f": "refund"}, Verdict.INVALID),
        ("rule_broken", {}, Verdict.INVALID),
    ],
)
def test_a_sale_that_a_price_overtook_is_refused_only_at_its_second_prices(
    ask: Try, code: str, asked: dict[str, object], verdict: Verdict
) -> None:
    """Its cashier asks once more; a till that goes on refusing, or refuses a refund's payments, is convicted."""
    shop = closed_shop()
    shop.meta["thresholds"] = ["sale.refused <= 1%"]
    answer = next(line for line in shop.history if line.get("code") == "rule_broken")
    answer.update(code=code)
    invoke = next(
        line for line in shop.history if line["worker"] == answer["worker"] and line["n"] == answer["of"]
    )
    invoke.update(asked)
    assert ask(shop, "experience").verdict is verdict


def test_a_till_that_ran_out_of_memory_is_convicted(ask: Try) -> None:
    """R3: the whole backlog was loaded under a 1 GB cap."""
    shop = closed_shop()
    shop.meta["machines"] = [{"node": "T01", "capped": True, "memory_limit_mib": 1024, "oom_kills": 1}]
    assert convicted(ask(shop, "experience"), "ran out of memory")


def test_a_till_whose_memory_a_fault_filled_is_not_convicted_for_it(ask: Try) -> None:
    """The kill was asked for; one at another till was not, nor was a fault that did not run."""
    shop = closed_shop()
    shop.meta["machines"] = [{"node": "T01", "capped": True, "memory_limit_mib": 1024, "oom_kills": 1}]
    shop.meta["faults"][0].update(kind="memory_hog", targets=["T01"])
    assert ask(shop, "experience").verdict is Verdict.VALID
    shop.meta["faults"][0]["ran"] = False
    assert convicted(ask(shop, "experience"), "ran out of memory")
    shop.meta["faults"][0].update(ran=True, targets=["T02"])
    assert convicted(ask(shop, "experience"), "ran out of memory")


@pytest.mark.parametrize(
    "rule", ["price.lag.p99 <= 100ms", "sync.lag.p99 <= 5s", "nonsense", "sale.p99 <= 3 apples"]
)
def test_a_threshold_that_can_not_be_measured_is_withheld(ask: Try, rule: str) -> None:
    """What nobody measured is not kept."""
    shop = closed_shop()
    shop.meta["thresholds"] = ["sale.p99 <= 250ms", rule]
    assert ask(shop, "experience").verdict is Verdict.UNKNOWN


def test_lags_are_measured_outside_faults(ask: Try) -> None:
    """From the till's commit to the server's; from the clerk's to the till's."""
    shop = closed_shop()
    for row in shop.files["server/journal.csv"]:
        row["received_ms"] = START_MS + 600_000
    edit = shop.files["server/edits.csv"][0]["op_id"]
    shop.files["price_lag.csv"] = [{"op_id": edit, "till": "T01", "version": 1, "lag_ms": 90}]
    shop.meta["thresholds"] = ["sync.lag.p99 <= 100ms", "price.lag.p99 <= 100ms"]
    result = ask(shop, "experience")
    assert convicted(result, "does not hold")
    assert result.figures["price.lag.p99"] == 90
    shop.meta["thresholds"] = ["price.lag.p99 <= 100ms"]
    assert ask(shop, "experience").verdict is Verdict.VALID


def test_no_threshold_is_nothing_known(ask: Try) -> None:
    """Nothing was promised, so nothing is kept; nor where nobody sold."""
    shop = closed_shop()
    shop.meta["thresholds"] = ["settlement == exact"]
    assert ask(shop, "experience").verdict is Verdict.UNKNOWN
    assert ask(Shop().stage(), "experience").verdict is Verdict.UNKNOWN


def test_latencies_of_another_run_are_withheld(ask: Try) -> None:
    """latency.csv and the history must count the same operations."""
    shop = closed_shop()
    shop.files["latency.csv"][0]["n"] += 50
    assert ask(shop, "experience").verdict is Verdict.UNKNOWN


def _did_not_bite(shop: Shop) -> None:
    """J1: a cut on a proxy that nobody uses."""
    shop.meta["faults"][0].update(bit=False, evidence="no connection went through it")


def _nobody_knows_whether_it_bit(shop: Shop) -> None:
    shop.meta["faults"][0]["bit"] = None


def _not_lifted(shop: Shop) -> None:
    shop.meta["faults"][0]["healed"] = False


def _not_run(shop: Shop) -> None:
    shop.meta["faults"][0].update(ran=False, bit=None, healed=None)


def _too_few_sales(shop: Shop) -> None:
    shop.meta["load"]["min_sales"] = 1000


def _too_few_in_the_window(shop: Shop) -> None:
    shop.meta["load"]["min_sales_in_fault"] = 5
    shop.meta["faults"][0]["for_s"] = 1.0


def _interrupted(shop: Shop) -> None:
    shop.meta["interrupted"] = True


def _generator_late(shop: Shop) -> None:
    shop.meta["load"]["generator_late_p99_ms"] = 5000.0


def _generator_failed(shop: Shop) -> None:
    shop.meta["load"]["generator_exit"] = 3


def _saturated(shop: Shop) -> None:
    _busy(shop, 100)


def _healed_by_restarting(shop: Shop) -> None:
    """J5: somebody helped a till that would have stayed silent (S17)."""
    shop.meta["machines"] = [{"node": "T01", "capped": True, "restarts": 1}]


def _stage_failed(shop: Shop) -> None:
    shop.meta["stages"] = [{"name": "pilot", "title": "", "started_s": 0, "ended_s": 1, "passed": False}]


def _stage_not_seen(shop: Shop) -> None:
    """It had found differences so far, or was never begun; nobody knows what it would have come to."""
    shop.meta["stages"] = [
        {"name": "pilot", "title": "", "started_s": 0, "ended_s": 1, "passed": None, "asked": ["masters"]}
    ]


def _trouble(shop: Shop) -> None:
    shop.meta["trouble"] = ["the witness of T01 could not be read for 20 s"]


@pytest.mark.parametrize(
    "spoil",
    [
        _did_not_bite,
        _nobody_knows_whether_it_bit,
        _not_lifted,
        _not_run,
        _too_few_sales,
        _too_few_in_the_window,
        _interrupted,
        _generator_late,
        _generator_failed,
        _saturated,
        _healed_by_restarting,
        _stage_failed,
        _stage_not_seen,
        _trouble,
    ],
)
def test_a_run_that_shows_nothing_is_withheld(ask: Try, spoil: Callable[[Shop], None]) -> None:
    """Validity never convicts and never acquits what it can't."""
    shop = closed_shop()
    spoil(shop)
    assert ask(shop, "validity").verdict is Verdict.UNKNOWN


def test_a_stage_that_only_sells_has_nothing_to_pass(ask: Try) -> None:
    """It withholds nothing."""
    shop = closed_shop()
    shop.meta["stages"] = [{"name": "all", "title": "", "started_s": 0, "ended_s": 1, "passed": None}]
    assert ask(shop, "validity").verdict is Verdict.VALID


@pytest.mark.parametrize(("kind", "verdict"), [("pause", Verdict.VALID), ("cut", Verdict.UNKNOWN)])
def test_a_sale_that_was_due_while_its_till_stood_still_is_one_of_that_time(
    ask: Try, kind: str, verdict: Verdict
) -> None:
    """Its cashier waited for a look-up, and asked for it only afterwards; a cut link holds nobody up."""
    shop = closed_shop()
    fault = shop.meta["faults"][0]
    asked = next(line for line in shop.history if line["type"] == "invoke" and line.get("f") == "sale")
    answered = next(
        line for line in shop.history if line.get("of") == asked["n"] and line["worker"] == asked["worker"]
    )
    till = asked["till"]
    begin = asked["at_ms"] - 5000
    fault.update(kind=kind, targets=[till], started_ms=begin, ended_ms=begin + 2000, for_s=2.0)
    answered["ms"] = float(answered["at_ms"] - begin - 1000)
    shop.meta["load"]["min_sales_in_fault"] = 1
    assert ask(shop, "validity").verdict is verdict


def test_a_burst_is_no_saturation(ask: Try) -> None:
    """A start-up that takes every core for some seconds says nothing about the hour."""
    shop = closed_shop()
    _busy(shop, 100)
    shop.files["host.csv"] = shop.files["host.csv"][:20]
    assert ask(shop, "validity").verdict is Verdict.VALID


def _by_worker(shop: Shop, worker: str) -> list[Row]:
    return [line for line in shop.history if line["worker"] == worker]


@pytest.mark.parametrize("place", [0, 1, 5, -2, -1])
def test_a_hole_in_history_is_seen_wherever_it_is(ask: Try, place: int) -> None:
    """J2: start, middle and end lines."""
    shop = closed_shop()
    shop.history.remove(_by_worker(shop, "c-T01")[place])
    assert ask(shop, "validity").verdict is Verdict.UNKNOWN


def test_a_line_used_twice_is_seen(ask: Try) -> None:
    """A number belongs to one line."""
    shop = closed_shop()
    shop.history.insert(4, dict(shop.history[3]))
    assert ask(shop, "validity").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", ["tills/T01/receipts.csv", "server/journal.csv", "samples.csv"])
def test_a_file_that_was_cut_short_is_seen(ask: Try, name: str) -> None:
    """The digests are of the files as they were recorded."""
    shop = closed_shop()
    assert ask(shop, "validity").verdict is Verdict.VALID
    shop.files[name].pop()
    shop.sealed = True
    assert ask(shop, "validity").verdict is Verdict.UNKNOWN


def test_a_missing_table_is_seen_even_if_nobody_recorded_it(ask: Try) -> None:
    """Every till gives all of its tables."""
    shop = closed_shop()
    del shop.files["tills/T02/vendors.csv"]
    assert ask(shop, "validity").verdict is Verdict.UNKNOWN
