"""Where a threshold breaks for good, what ran out, and what a suite concludes."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from chaos.errors import CannotRun
from rehearsal.cli import tillproof
from rehearsal.conduct import Interrupted
from rehearsal.evidence.reader import Evidence
from rehearsal.model import (
    EXIT_COULD_NOT_RUN,
    CheckResult,
    Claim,
    Machine,
    Outcome,
    RunRecord,
    ThresholdResult,
    Verdict,
)
from rehearsal.plan.threshold import parse_threshold
from rehearsal.progress import Progress
from rehearsal.suite import run as run_module
from rehearsal.suite.capacity import Capacity, capacity
from rehearsal.suite.plan import Planned, Suite, load_suite
from rehearsal.suite.report import write_suite
from rehearsal.suite.resources import Span, ran_out
from rehearsal.suite.run import Ran, conclude, exit_code, judged, run_suite
from rehearsal.suite.windows import Stretch, stretches
from tests.unit.checkers.shop import closed_shop
from tests.unit.report.samples import sample
from tests.unit.suite.test_plan import CAPACITY, GOOD

RULES = (parse_threshold("sale.p99 <= 500ms"), parse_threshold("sale.refused <= 1%"))


def stretch(place: int, *, done: float, p99: float, refused: float = 0.0, sales: int = 50) -> Stretch:
    """Return a stretch of three seconds."""
    figures = {"sale.p99": p99, "sale.refused": refused}
    return Stretch(
        from_s=3.0 * place, to_s=3.0 * place + 3, asked_per_s=done, done_per_s=done, figures=figures, sales=sales
    )


def ramp(*p99s: float) -> list[Stretch]:
    """Return a ramp of 10, 20, 30, ... receipts a second with these latencies."""
    return [stretch(place, done=10.0 * (place + 1), p99=p99) for place, p99 in enumerate(p99s)]


def found(parts: list[Stretch], tills: int = 2) -> Capacity:
    """Return the capacity, which must be there."""
    made = capacity(parts, RULES, of="till", tills=tills)
    assert made is not None
    return made


def test_capacity_is_what_was_done_before_a_threshold_broke_for_good() -> None:
    """40/s were fine on two tills; at 50/s it broke and stayed broken."""
    one = found(ramp(20, 30, 50, 90, 900, 2000, 4000))
    assert (one.per_s, one.per_till_s, one.broke, one.measured, one.from_s) == (40, 20, RULES[0].rule, 900, 12.0)
    assert one.text == "20.0 receipts/s per till, then sale.p99 <= 500ms broke"


def test_one_bad_stretch_is_a_hiccup() -> None:
    """A threshold that holds again in the next stretch has not broken."""
    assert found(ramp(20, 900, 50, 90, 100, 800, 900)).per_s == 50


def test_a_till_that_hangs_has_broken_though_nobody_is_served_after() -> None:
    """Those who come later wait until the ramp ends, and were never asked for: no second stretch can be missed."""
    hung = [*ramp(20, 30, 5200), *(stretch(place, done=0, p99=0, sales=0) for place in (3, 4, 5))]
    one = found(hung)
    assert (one.per_s, one.broke, one.from_s) == (20, RULES[0].rule, 6.0)
    few = stretch(3, done=1.3, p99=20, sales=4)
    assert found([*ramp(20, 30)[:2], stretch(2, done=2, p99=900, sales=6), few]).broke is None  # a handful each
    assert found([*ramp(20, 30, 40), *hung[3:]]).broke is None


def test_a_ramp_that_breaks_nothing_gives_a_lower_bound() -> None:
    """At least the most that was done."""
    one = found(ramp(20, 30, 40))
    assert (one.broke, one.per_s) == (None, 30)
    assert one.text.startswith("at least 15.0 receipts/s per till")


def test_a_ramp_that_begins_too_high_says_so() -> None:
    """There is no stretch before it broke."""
    assert found(ramp(900, 900, 900)).text == "below the ramp's begin: sale.p99 <= 500ms broke at once"


def test_refusals_break_it_as_well() -> None:
    """Whichever rule is missed twice in a row is named."""
    parts = ramp(20, 20) + [stretch(place, done=30, p99=20, refused=0.2) for place in (2, 3)]
    assert found(parts).broke == "sale.refused <= 1%"


def test_too_few_receipts_tell_nothing() -> None:
    """Stretches with a handful of receipts have no percentile."""
    assert capacity([stretch(0, done=1, p99=1, sales=2)] * 5, RULES, of="till", tills=1) is None


def table(folder: Path, name: str, rows: list[dict[str, object]]) -> None:
    """Write an evidence file."""
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def node_rows(node: str, cores: float) -> list[dict[str, object]]:
    """Return ten seconds of a node that uses so many cores."""
    return [
        {"at_ms": 1000 * s, "node": node, "cpu_s": cores * s, "throttled_s": 0, "memory_peak_mib": 50}
        for s in range(11)
    ]


def host_rows(busy: float, iowait: float = 0.0) -> list[dict[str, object]]:
    """Return ten seconds of the machine."""
    return [{"at_ms": 1000 * s, "cpu_percent": busy, "iowait_percent": iowait} for s in range(11)]


BUSY = "the machine's processors (99 % busy; cores used: server 0.50, T01 0.30)"
SPAN = Span(begin_ms=0, end_ms=10_500)
TILL = Machine(node="T01", capped=True, cpu_limit_share=0.75, memory_limit_mib=1024, memory_peak_mib=90.0)


@pytest.mark.parametrize(
    ("cores", "busy", "iowait", "said"),
    [
        ({"T01": 0.74, "server": 0.2}, 60, 0, ["the processor of T01 (0.74 of 0.75 cores)"]),
        ({"T01": 0.3, "load": 0.97}, 60, 0, ["the load generator's one thread (0.97 cores)"]),
        ({"T01": 0.3, "server": 0.95}, 60, 0, ["one thread of server (0.95 cores)"]),
        ({"T01": 0.3, "server": 0.5}, 99, 0, [BUSY]),
        ({"T01": 0.3, "server": 0.5, "postgres": 1.2}, 99, 0, [BUSY.replace("server", "postgres 1.20, server")]),
        ({"T01": 0.3}, 20, 60, ["the machine's disk (60 % of the time waiting for it)"]),
        ({"T01": 0.3}, 20, 0, ["nothing that is watched; nearest was the processor of T01 (0.30 of 0.75 cores)"]),
        ({"server": 0.3}, 20, 0, []),
    ],
)  # fmt: skip
def test_what_ran_out_is_named(
    tmp_path: Path, cores: dict[str, float], busy: float, iowait: float, said: list[str]
) -> None:
    """A cap explains before the machine does; where nothing was at its limit, what was nearest to a cap."""
    table(tmp_path, "nodes", [row for node, used in cores.items() for row in node_rows(node, used)])
    table(tmp_path, "host", host_rows(busy, iowait))
    assert list(ran_out(Evidence(tmp_path), [TILL], SPAN)) == said


def test_a_cap_is_named_before_the_busy_machine(tmp_path: Path) -> None:
    """Both were at their limit; the till's own comes first."""
    table(tmp_path, "nodes", node_rows("T01", 0.75))
    table(tmp_path, "host", host_rows(100))
    assert [text.split(" (")[0] for text in ran_out(Evidence(tmp_path), [TILL], SPAN)] == [
        "the processor of T01", "the machine's processors",
    ]  # fmt: skip


def test_memory_and_a_late_generator_are_named(tmp_path: Path) -> None:
    """A till near its memory's limit, and cashiers that came late."""
    table(tmp_path, "latency", [{"second": 5, "till": "T01", "late_max_ms": 900}])
    full = replace(TILL, memory_peak_mib=1000.0)
    assert list(ran_out(Evidence(tmp_path), [full], SPAN)) == [
        "the memory of T01 (1000 of 1024 MiB)", "the load generator (up to 900 ms late)",
    ]  # fmt: skip


def test_stretches_count_every_receipt_once(tmp_path: Path) -> None:
    """A whole shop's evidence in stretches: all first attempts are in them, and what was done is no more."""
    shop = closed_shop()
    shop.derive()
    evidence = Evidence(shop.write(tmp_path / "evidence"))
    parts = stretches(evidence)
    asked = sum(part.sales for part in parts)
    assert asked > 0
    assert sum(part.done_per_s * 3 for part in parts) <= asked + 1e-9
    assert all(part.to_s - part.from_s == 3 for part in parts)


def planned(folder: Path) -> Suite:
    """Return a suite of five runs, the last of which looks for a capacity."""
    path = folder / "mine.toml"
    path.write_text(GOOD + CAPACITY)
    return load_suite(path, reports=folder / "runs")


def record(folder: Path, verdict: Outcome, *checks: tuple[str, Verdict]) -> RunRecord:
    """Return a run's record with this verdict and these checks."""
    made = sample(folder, "go")
    results = tuple(CheckResult(name=name, verdict=answer, detail="") for name, answer in checks)
    return replace(made, judgement=replace(made.judgement, verdict=verdict, checks=results))


@pytest.mark.parametrize(
    ("verdict", "checks", "outcome"),
    [
        (Outcome.NO_GO, [("money", Verdict.INVALID)], Outcome.NO_GO),
        (Outcome.INCONCLUSIVE, [("money", Verdict.UNKNOWN)], Outcome.INCONCLUSIVE),
    ],
)
def test_a_ramp_with_wrong_or_unknown_money_is_no_go_or_open(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verdict: Outcome,
    checks: list[tuple[str, Verdict]],
    outcome: Outcome,
) -> None:
    """However high a rate it reached."""
    monkeypatch.setattr("rehearsal.suite.run.stretches", lambda _: tuple(ramp(20, 30, 900, 900)))
    ran = judged(planned(tmp_path).runs[-1], record(tmp_path / "runs" / "r", verdict, *checks))
    assert ran.outcome is outcome


def unknown(name: str, *what: str) -> CheckResult:
    """Return a checker that can't tell, for these reasons."""
    rows = tuple({"verdict": "UNKNOWN", "what": text} for text in what)
    return CheckResult(name=name, verdict=Verdict.UNKNOWN, detail="; ".join(what), evidence=rows)


def ramped(folder: Path, monkeypatch: pytest.MonkeyPatch, made: RunRecord, *, at_least: float = 4) -> Ran:
    """Return what a suite says of a ramp that did 13 receipts a second on each till before it broke."""
    monkeypatch.setattr("rehearsal.suite.run.stretches", lambda _: tuple(ramp(20, 30, 40, 60, 900, 900)))
    run = planned(folder).runs[-1]
    assert run.capacity is not None
    return judged(replace(run, capacity=replace(run.capacity, at_least=at_least)), made)


def open_run(folder: Path, *checks: CheckResult) -> RunRecord:
    """Return the record of a run whose verdict is INCONCLUSIVE by these checks alone."""
    made = sample(folder / "runs" / "r", "go")
    replaced = {check.name: check for check in made.judgement.checks} | {check.name: check for check in checks}
    return replace(
        made,
        judgement=replace(made.judgement, verdict=Outcome.INCONCLUSIVE, checks=tuple(replaced.values())),
    )


def test_a_saturated_machine_does_not_spoil_a_ramp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ramp is meant to saturate; what counts is that nothing else is open and how far it got."""
    made = open_run(
        tmp_path,
        unknown("validity", "the host was saturated", "the load generator was late"),
        unknown("experience", "does not hold, on a saturated host"),
    )
    felt = tuple(
        replace(c, verdict=Verdict.UNKNOWN) if c.name == "experience" else c for c in made.judgement.claims
    )
    limit = ThresholdResult(rule="sale.p99 <= 300ms", measured="900 ms, not judged", passed=None)
    made = replace(made, judgement=replace(made.judgement, thresholds=(limit,), claims=felt))
    ran = ramped(tmp_path, monkeypatch, made)
    assert (ran.outcome, ran.capacity is not None) == (Outcome.GO, True)
    assert ramped(tmp_path, monkeypatch, made, at_least=90).outcome is Outcome.NO_GO


@pytest.mark.parametrize("at_least", [4, 90])
@pytest.mark.parametrize(
    "what",
    [
        (), ("the run was interrupted",), ("an evidence file is missing",), ("the load generator failed",),
        ("the lab had trouble",), ("too few sales",), ("the host was saturated", "history has a hole"),
    ],
)  # fmt: skip
def test_a_ramp_is_open_when_the_run_itself_was_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: tuple[str, ...], at_least: float
) -> None:
    """Saturation alone is forgiven: a run that shows nothing shows neither a GO nor that too little was done."""
    made = open_run(tmp_path, unknown("validity", *what))
    assert ramped(tmp_path, monkeypatch, made, at_least=at_least).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("rule", ["sync.lag.p99 <= 1s", "settlement == exact", "not a rule"])
def test_a_ramp_is_open_while_a_threshold_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    """Only what the capacity is about may stay untold at the limit."""
    made = open_run(tmp_path)
    open_rule = ThresholdResult(rule=rule, measured="not measured", passed=None)
    made = replace(made, judgement=replace(made.judgement, thresholds=(open_rule,)))
    ran = ramped(tmp_path, monkeypatch, made)
    assert (ran.outcome, rule in ran.why) == (Outcome.INCONCLUSIVE, True)


def test_a_ramp_is_open_while_a_claim_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that nothing supports is no GO, however far the ramp got."""
    made = open_run(tmp_path)
    claim = Claim(name="offline", claimed=True, why="no till sold while cut off", verdict=Verdict.UNKNOWN)
    made = replace(made, judgement=replace(made.judgement, claims=(claim,)))
    ran = ramped(tmp_path, monkeypatch, made)
    assert (ran.outcome, "offline" in ran.why) == (Outcome.INCONCLUSIVE, True)


@pytest.mark.parametrize("at_least", [4, 90])
def test_an_interrupted_ramp_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_least: float) -> None:
    """It may have got further, and it may have broken."""
    made = open_run(tmp_path)
    ran = ramped(
        tmp_path, monkeypatch, replace(made, meta=replace(made.meta, interrupted=True)), at_least=at_least
    )
    assert ran.outcome is Outcome.INCONCLUSIVE


def test_a_run_that_could_not_run_leaves_the_others_and_the_report_says_so(tmp_path: Path) -> None:
    """The suite goes on, ends INCONCLUSIVE, and all three files name it."""
    suite = planned(tmp_path)
    calls = iter(range(9))

    def conducted(_: Planned, __: Progress) -> RunRecord:
        number = next(calls)
        if number == 1:
            raise CannotRun("no PostgreSQL here")
        return sample(tmp_path / "runs" / f"r{number}", "go")

    done = run_suite(suite, Progress(), conducted=conducted)
    assert [ran.record is None for ran in done].count(True) == 1
    assert len(done) == 5
    outcome, why = conclude(done, len(suite.runs))
    assert (outcome, exit_code(done, outcome)) == (Outcome.INCONCLUSIVE, 30)
    assert "1 could not run" in why
    page = write_suite(tmp_path, suite, done, outcome=outcome, why=why).read_text()
    assert "could not run: no PostgreSQL here" in page
    assert "could not run: no PostgreSQL here" in (tmp_path / "suite.txt").read_text()
    data = msgspec.json.decode((tmp_path / "suite.json").read_bytes())
    assert (data["outcome"], len(data["runs"]), data["runs"][1]["folder"]) == ("INCONCLUSIVE", 5, None)
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), Interrupted("interrupted while the shop was being staged")]
)
def test_ctrl_c_ends_a_suite_with_what_has_run(tmp_path: Path, error: BaseException) -> None:
    """While a shop is staged or settles as well: no other run starts, and those before are told."""
    suite = planned(tmp_path)
    calls = iter([sample(tmp_path / "runs" / "r0", "go"), error])

    def conducted(_: Planned, __: Progress) -> RunRecord:
        given = next(calls)
        if isinstance(given, BaseException):
            raise given
        return given

    done = run_suite(suite, Progress(), conducted=conducted)
    outcome, why = conclude(done, len(suite.runs))
    assert [ran.record is None for ran in done] == [False, True]
    assert (outcome, exit_code(done, outcome)) == (Outcome.INCONCLUSIVE, 30)
    assert "interrupted after 2 of 5 runs" in why
    write_suite(tmp_path, suite, done, outcome=outcome, why=why)
    assert len(msgspec.json.decode((tmp_path / "suite.json").read_bytes())["runs"]) == 2


def test_ctrl_c_while_selling_ends_a_suite(tmp_path: Path) -> None:
    """The run itself was healed, judged and reported: it is open, and no run could not run."""
    suite = planned(tmp_path)
    done = run_suite(suite, Progress(), conducted=lambda _, __: sample(tmp_path / "runs" / "r0", "interrupted"))
    outcome, _ = conclude(done, len(suite.runs))
    assert (len(done), outcome, exit_code(done, outcome)) == (1, Outcome.INCONCLUSIVE, 20)


def test_a_no_go_is_worse_than_what_could_not_run() -> None:
    """What was shown to be wrong stays so, whatever else was broken."""
    suite = load_suite(Path(__file__).parents[3] / "suite/standard.toml", reports=Path("reports"))
    broken = Ran(planned=suite.runs[0], outcome=Outcome.INCONCLUSIVE, why="could not run")
    bad = replace(broken, outcome=Outcome.NO_GO)
    assert exit_code((broken, bad), conclude((broken, bad), 2)[0]) == 10


def test_the_worst_run_decides() -> None:
    """NO-GO before INCONCLUSIVE before GO; fewer runs than planned are never a GO."""
    suite = load_suite(Path(__file__).parents[3] / "suite/standard.toml", reports=Path("reports"))
    fine, bad = (Ran(planned=suite.runs[0], outcome=o, why="") for o in (Outcome.GO, Outcome.NO_GO))
    unknown = replace(fine, outcome=Outcome.INCONCLUSIVE)
    assert conclude((fine, unknown, bad), 3)[0] is Outcome.NO_GO
    assert conclude((fine, unknown), 2)[0] is Outcome.INCONCLUSIVE
    assert conclude((fine, fine), 2)[0] is Outcome.GO
    assert conclude((fine,), 2)[0] is Outcome.INCONCLUSIVE


def test_what_a_suite_came_to_is_told_though_its_report_cant_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After nine minutes on a disk that is full; a pipeline that looks for the report sees no GO."""
    (tmp_path / "mine.toml").write_text(GOOD)

    def ran(suite: Suite, _: Progress) -> tuple[Ran, ...]:
        (folder,) = tmp_path.glob("*-suite-mine")
        folder.rmdir()
        record = replace(sample(tmp_path, "go"), folder=folder / "runs" / "one")
        return tuple(Ran(planned=one, outcome=Outcome.GO, why="fine", record=record) for one in suite.runs)

    monkeypatch.setattr(run_module, "run_suite", ran)
    done = CliRunner().invoke(tillproof, ["suite", str(tmp_path / "mine.toml"), "--reports", str(tmp_path)])
    assert done.exit_code == EXIT_COULD_NOT_RUN
    assert "GO: all 4 runs" in done.output
    assert "the report could not be written: " in done.output
