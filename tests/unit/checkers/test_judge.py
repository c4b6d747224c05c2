"""The verdict: what wins over what, and what a claim needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from rehearsal.checkers.case import Case
from rehearsal.evidence.reader import Evidence
from rehearsal.judge import CHECKERS, conclude, judge, run_checker
from rehearsal.model import CheckResult, Claim, Gross, Outcome, RunRecord, Sales, ThresholdResult, Verdict
from rehearsal.report.write import write_report
from rehearsal.sales import money_line
from tests.unit.checkers.shop import START_MS, closed_shop, open_shop


def _result(name: str, verdict: Verdict) -> CheckResult:
    return CheckResult(name=name, verdict=verdict, detail="said so")


VALID, INVALID, UNKNOWN = (_result(name, Verdict(name)) for name in ("VALID", "INVALID", "UNKNOWN"))
KEPT, BROKEN, UNMEASURED = (
    ThresholdResult(rule="r", measured="m", passed=passed) for passed in (True, False, None)
)


@pytest.mark.parametrize(
    ("checks", "thresholds", "expected"),
    [
        ([VALID], [KEPT], Outcome.GO),
        ([VALID, UNKNOWN], [], Outcome.INCONCLUSIVE),
        ([VALID, UNKNOWN, INVALID], [], Outcome.NO_GO),
        ([VALID], [BROKEN], Outcome.NO_GO),
        ([UNKNOWN], [BROKEN], Outcome.NO_GO),
        ([VALID], [UNMEASURED], Outcome.INCONCLUSIVE),
        ([], [], Outcome.INCONCLUSIVE),
        ([], [KEPT], Outcome.INCONCLUSIVE),
    ],
)
def test_the_worst_wins(checks: list[CheckResult], thresholds: list[ThresholdResult], expected: Outcome) -> None:
    """INVALID, then UNKNOWN, then VALID; nothing at all is no GO."""
    outcome, why = conclude(checks, thresholds)
    assert outcome is expected
    assert bool(why) is (expected is not Outcome.GO)


def test_a_claim_that_nothing_proves_is_no_go_ahead() -> None:
    """Whatever the checkers say."""
    claim = Claim(name="failover", claimed=True, why="no checker of this lab judges it", verdict=Verdict.UNKNOWN)
    assert conclude([VALID], [], [claim])[0] is Outcome.INCONCLUSIVE


def test_cashiers_tills_and_server_agree_when_every_outcome_was_learned(tmp_path: Path) -> None:
    """The money line."""
    shop = open_shop()
    unknown = [line["op_id"] for line in shop.history if line["type"] == "info"]
    shop.repeat(unknown[-1])
    for till in shop.tills:
        shop.close_day(till)
    gross = judge(shop.derive().write(tmp_path / "evidence")).sales.gross_minor
    assert gross.cashiers == gross.tills == gross.server == 4802


def test_the_money_line_tells_what_was_given_back_alone() -> None:
    """A loss of a single refund of 1.50 is one of minus 1.50."""
    gross = Gross(cashiers=850, tills=1000, server=1000, lost=-150)
    line = money_line(Sales(ok=3, on_server=2, lost=1, gross_minor=gross), "EUR", 1)
    assert line.startswith("2 receipts of 10.00 EUR are the same")
    assert "but for 1 of \N{MINUS SIGN}1.50 declared lost" in line


def test_an_edited_amount_is_no_go_a_deleted_receipt_is_no_go_a_deleted_line_is_inconclusive(
    tmp_path: Path,
) -> None:
    """Done when, 3: in a copied folder whose digests are those of the original."""
    shop = closed_shop()
    folder = shop.write(tmp_path / "evidence")
    assert judge(folder).verdict is Outcome.GO
    shop.sealed = True
    shop.row("tills/T01/receipts.csv")["gross"] += 1
    assert judge(shop.write(folder)).verdict is Outcome.NO_GO
    shop.row("tills/T01/receipts.csv")["gross"] -= 1
    receipt = shop.files["server/receipts.csv"].pop()
    assert judge(shop.write(folder)).verdict is Outcome.NO_GO
    shop.files["server/receipts.csv"].append(receipt)
    assert judge(shop.write(folder)).verdict is Outcome.GO
    shop.history.pop(7)
    assert judge(shop.write(folder)).verdict is Outcome.INCONCLUSIVE


def test_the_report_folder_may_be_given_as_well(tmp_path: Path) -> None:
    """`tillproof check RUN` names a run, not its evidence."""
    closed_shop().write(tmp_path / "evidence")
    assert judge(tmp_path).verdict is Outcome.GO


def test_no_evidence_is_inconclusive(tmp_path: Path) -> None:
    """An empty folder, or one whose meta.json is half written."""
    assert judge(tmp_path).verdict is Outcome.INCONCLUSIVE
    (tmp_path / "meta.json").write_text('{"schema": 1,')
    assert judge(tmp_path).verdict is Outcome.INCONCLUSIVE


def test_a_checker_that_raises_knows_nothing(tmp_path: Path) -> None:
    """J4: a crash is never an acquittal."""

    def broken(case: Case) -> CheckResult:
        raise ZeroDivisionError("of nothing")

    result = run_checker("money", broken, Case(Evidence(tmp_path)))
    assert result.verdict is Verdict.UNKNOWN
    assert "ZeroDivisionError" in result.detail


def test_every_checker_on_an_empty_folder_knows_nothing(tmp_path: Path) -> None:
    """Whatever is missing, nobody acquits."""
    case = Case(Evidence(tmp_path))
    verdicts = {name: run_checker(name, checker, case).verdict for name, checker in CHECKERS.items()}
    assert set(verdicts.values()) == {Verdict.UNKNOWN}


def test_what_is_not_claimed_may_stay_unknown_but_not_contradict(tmp_path: Path) -> None:
    """GO covers the claims listed; a lie is a lie all the same."""
    shop = closed_shop()
    shop.meta["claims"] = ["receipts", "money", "settlement", "chain", "drain"]
    shop.files["samples.csv"] = []
    said = judge(shop.write(tmp_path / "evidence"))
    assert said.verdict is Outcome.GO
    assert "documents" not in {check.name for check in said.checks}
    assert {claim.name for claim in said.claims if claim.claimed} == set(shop.meta["claims"])
    shop.row("tills/T01/vendors.csv")["name"] = "Nobody"
    assert judge(shop.write(tmp_path / "evidence")).verdict is Outcome.NO_GO


@pytest.mark.parametrize("kind", ["cut", "black_hole", "unplug"])
def test_offline_is_claimed_only_with_sales_of_a_till_that_was_cut(tmp_path: Path, kind: str) -> None:
    """A lost ack is not an outage."""
    shop = closed_shop()
    shop.meta["claims"].append("offline")
    assert judge(shop.write(tmp_path / "evidence")).verdict is Outcome.INCONCLUSIVE
    shop.meta["faults"][0].update(kind=kind, targets=["T01"], started_ms=START_MS, ended_ms=START_MS + 600_000)
    assert judge(shop.write(tmp_path / "evidence")).verdict is Outcome.GO


def test_hardware_without_caps_is_not_judged_and_says_so(tmp_path: Path) -> None:
    """The verdict on money stands; the claim is listed as not claimed, with why."""
    shop = closed_shop()
    shop.meta["claims"].append("hardware")
    shop.meta["fleet"].update(caps_enforced=False, caps_how="no cgroup is writable")
    said = judge(shop.write(tmp_path / "evidence"))
    hardware = next(claim for claim in said.claims if claim.name == "hardware")
    assert (said.verdict, hardware.claimed) == (Outcome.GO, False)
    assert "no cgroup is writable" in hardware.why


def test_a_failed_threshold_is_no_go_whatever_is_claimed(tmp_path: Path) -> None:
    """Thresholds are promises of the scenario."""
    shop = closed_shop()
    shop.meta["thresholds"].append("sales >= 1000")
    said = judge(shop.write(tmp_path / "evidence"))
    assert said.verdict is Outcome.NO_GO
    assert [rule.passed for rule in said.thresholds] == [True, True, False]


def test_a_duration_missed_on_a_saturated_host_is_no_contradiction(tmp_path: Path) -> None:
    """Of the drain and the failover as of what is felt; what is no duration convicts there, too."""
    shop = closed_shop()
    shop.meta["thresholds"] = ["drain <= 1ms"]
    assert judge(shop.write(tmp_path / "evidence")).verdict is Outcome.NO_GO
    shop.files["host.csv"] = [
        {"at_ms": START_MS + 1000 * second, "cpu_percent": 100, "steal_percent": 0} for second in range(60)
    ]
    shop.meta["load"]["ended_ms"] = START_MS + 60_000
    said = judge(shop.write(tmp_path / "evidence"))
    assert (said.verdict, [rule.passed for rule in said.thresholds]) == (Outcome.INCONCLUSIVE, [None])
    shop.meta["thresholds"] = ["sales >= 1000"]
    assert judge(shop.write(tmp_path / "evidence")).verdict is Outcome.NO_GO


def test_failover_can_not_be_claimed_without_its_checker(tmp_path: Path) -> None:
    """No checker, no GO."""
    shop = closed_shop()
    shop.meta["claims"].append("failover")
    assert judge(shop.write(tmp_path / "evidence")).verdict is Outcome.INCONCLUSIVE


def test_history_lines_of_two_workers_may_be_mixed(tmp_path: Path) -> None:
    """Only the order within a worker's numbers counts, and that is in the lines."""
    folder = closed_shop().write(tmp_path / "evidence")
    lines = (folder / "history.jsonl").read_text().splitlines()
    meta = json.loads((folder / "meta.json").read_text())
    meta["digests"] = {}
    (folder / "history.jsonl").write_text("\n".join(sorted(lines)) + "\n")
    said = judge(folder)
    assert [check.name for check in said.checks if check.verdict is Verdict.UNKNOWN] == ["validity"]


@pytest.mark.parametrize("by_a_fault", [True, False])
def test_a_lab_that_left_nodes_behind_convicts_nobody(tmp_path: Path, by_a_fault: bool) -> None:
    """A till that the lab could not bring back holds the drain up and lacks receipts: doubt, and never GO."""
    shop = closed_shop()
    shop.row("tills/T01/receipts.csv")["gross"] += 1
    shop.meta["thresholds"] = ["drain <= 1ms"]
    assert judge(shop.write(tmp_path / "evidence")).verdict is Outcome.NO_GO
    shop.meta["faults"][0] |= {"healed": False, "left_behind": ["T01"]} if by_a_fault else {}
    shop.meta["left_behind"] = [] if by_a_fault else ["T01"]
    said = judge(shop.write(tmp_path / "evidence"))
    assert said.verdict is Outcome.INCONCLUSIVE
    assert Verdict.INVALID not in {check.verdict for check in said.checks}
    assert [rule.passed for rule in said.thresholds] == [None]
    assert "the lab could not bring T01 back, so this counts against nobody" in said.why


def _flipped(file: Path) -> None:
    packed = zstandard.compress(file.read_bytes())
    file.unlink()
    (file.parent / f"{file.name}.zst").write_bytes(packed[:20] + bytes([packed[20] ^ 255]) + packed[21:])


def _halved(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _quoted(file: Path) -> None:
    file.write_text(
        file.read_text().replace('"of": ', '"of": "x", "": ', 1).replace('"gross": ', '"gross": [], "": ')
    )


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("server/lines.csv", _flipped, "server/lines.csv: zstd"),
        (
            "tills/T01/journal.csv",
            lambda file: file.write_bytes(b"\xff" + file.read_bytes()),
            "T01/journal.csv: 'utf-8'",
        ),
        ("server/settlement.csv", _halved, "server/settlement.csv: line"),
        ("samples.csv", Path.unlink, "samples.csv is absent"),
        ("history.jsonl", _quoted, "history has a hole"),
    ],
)
def test_damaged_evidence_is_told_by_its_file_and_never_by_a_traceback(
    tmp_path: Path, name: str, damage: Callable[[Path], None], said: str
) -> None:
    """Whoever judges a folder again learns what is wrong with it, and the report comes out."""
    folder = closed_shop().write(tmp_path / "evidence")
    damage(folder / name)
    judgement = judge(folder)
    assert judgement.verdict is not Outcome.GO
    found = [check.detail for check in judgement.checks]
    found += [row["what"] for check in judgement.checks for row in check.evidence]
    assert any(said in text for text in found), found
    write_report(RunRecord(folder=tmp_path, meta=Evidence(folder).meta(), judgement=judgement))
