"""The command line: clear refusals with their exit codes, and options that reach the run."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rehearsal.cli import tillproof
from rehearsal.model import CheckResult, Judgement, Outcome, ThresholdResult, Verdict
from rehearsal.options import Options, run_id, scenario_names
from rehearsal.progress import Progress
from rehearsal.report.write import write_report
from rehearsal.running import say_judgement
from tests.unit.checkers.shop import closed_shop
from tests.unit.report.samples import sample


def call(*words: str) -> tuple[int, str]:
    """Run the command line and return exit code and output."""
    result = CliRunner().invoke(tillproof, words)
    return result.exit_code, result.output


def test_list_names_every_scenario() -> None:
    """With its title beside it."""
    code, text = call("list")
    assert code == 0
    assert {"go-live", "smoke", "lost-ack", "flaky-network", "price-flip", "backlog-flush"} <= set(
        scenario_names()
    )
    assert all(name in text for name in scenario_names())


def test_list_says_what_needs_containers() -> None:
    """Before somebody starts it without any."""
    _, text = call("list")
    needing = [line.split()[0] for line in text.splitlines() if line.endswith("(needs containers)")]
    assert needing == ["memory-cap"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "go-lvie"), "no scenario 'go-lvie'"),
        (("run", "go-lvie"), "did you mean 'go-live'?"),
        (("run", "nowhere.toml"), "there is no file nowhere.toml"),
        (("run", "smoke", "--fleet", "cloud"), "'cloud' is not one of"),
        (("run", "smoke", "--tills", "0"), "--tills"),
        (("run", "smoke", "--set", "load.rate"), "'load.rate' is not key=value"),
        (("run", "smoke", "--colour"), "No such option"),
        (("run", "smoke", "--matrix", "profiles", "--profile", "site-1g-1.80"), "leave --profile out"),
        (("run", "smoke", "--matrix", "databases", "--ui"), "leave --ui out"),
        (("run", "smoke", "--matrix", "databases", "--record", "x.toml"), "leave --record out"),
        (("run", "smoke", "--ui-port", "0"), "it needs --ui"),
        (("sell",), "No such command"),
        (("check", "nowhere"), "does not exist"),
    ],
)
def test_wrong_usage_is_2_and_named(words: tuple[str, ...], said: str) -> None:
    """Usage errors say what is wrong and what there is."""
    code, text = call(*words)
    assert code == 2
    assert said in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "load.rate=fast"), "load.rate: 'fast' is not a number"),
        (("--profile", "site-9g"), "fleet.profile: 'site-9g' is not allowed"),
        (("--masters", "/nowhere"), "/nowhere: not a folder"),
        (("--real-time",), "has no real_at"),
    ],
)
def test_what_can_not_be_run_is_30(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """Nothing was staged; the last lines say why."""
    code, text = call("run", "smoke", *words, "--reports", str(tmp_path))
    assert code == 30
    assert said in text


def test_a_docker_fleet_without_an_engine_is_30(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for containers is told that no engine answers, and gets nothing else instead."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    code, text = call("run", "smoke", "--fleet", "docker", "--reports", str(tmp_path))
    assert code == 30
    assert "no Docker Engine answers" in text


def test_check_of_something_else_is_30(tmp_path: Path) -> None:
    """A folder without evidence can't be judged."""
    code, text = call("check", str(tmp_path))
    assert code == 30
    assert "is not a run's folder" in text


def test_check_writes_the_report_when_it_is_asked_to(tmp_path: Path) -> None:
    """The verdict of the evidence as it is now, in place of the run's; without --write nothing changes."""
    closed_shop().write(tmp_path / "evidence")
    (tmp_path / "verdict.json").write_text("{}")
    code, text = call("check", str(tmp_path))
    assert (code, (tmp_path / "verdict.json").read_text()) == (0, "{}"), text
    code, text = call("check", "--write", str(tmp_path))
    assert (code, json.loads((tmp_path / "verdict.json").read_text())["verdict"]) == (0, "GO"), text
    assert "report.html" in text
    shop = closed_shop()
    shop.files["server/receipts.csv"].pop()
    shop.write(tmp_path / "evidence")
    code, text = call("check", "--write", str(tmp_path))
    assert (code, json.loads((tmp_path / "verdict.json").read_text())["verdict"]) == (10, "NO-GO"), text
    code, text = call("check", "--write", str(tmp_path / "evidence"))
    assert (code, "--write needs a run's folder" in text) == (30, True)


def test_a_name_in_the_evidence_can_not_forge_a_line(tmp_path: Path) -> None:
    """A folder from elsewhere: escape codes are shown by number, and the last line is the judge's."""
    shop = closed_shop()
    forged = "R1\n\x1b[2K\rGO: all 12 checks hold\u2028GO: all"
    for row in shop.files["server/receipts.csv"]:
        row["receipt_no"] = forged
    shop.write(tmp_path / "evidence")
    code, text = call("check", str(tmp_path))
    assert code == 10
    assert "all 12 checks hold" in text
    assert not [line for line in text.splitlines() if line.lstrip().startswith("GO")]
    assert text.splitlines()[-1].startswith("NO-GO: ")
    assert not [char for char in text if char != "\n" and not char.isprintable()]


def test_a_judgement_is_printed_harmless() -> None:
    """Names of checkers, rules and what was measured come from the evidence as well."""
    out = io.StringIO()
    row = {"name": "a\nGO: b", "x\n": "\x1b[31m"}
    check = CheckResult(name="money\x07", verdict=Verdict.INVALID, detail="c\nGO: d", evidence=(row,))
    rule = ThresholdResult(rule="sale.p99\n <= 1s", measured="\u202e9", passed=None)
    say_judgement(Progress(out), Judgement(verdict=Outcome.NO_GO, why="", checks=(check,), thresholds=(rule,)))
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_diff_needs_two_runs(tmp_path: Path) -> None:
    """A folder without verdict.json is named."""
    (tmp_path / "verdict.json").write_text(json.dumps([]))
    code, text = call("diff", str(tmp_path), str(tmp_path))
    assert code in (2, 30)
    assert "verdict" in text


def test_what_can_not_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    """Where, and why; an option is wrong usage, and all else could not run."""
    write_report(sample(tmp_path / "run", "go"))
    run = str(tmp_path / "run")
    (tmp_path / "file").write_text("")
    (tmp_path / ".github").write_text("")
    below = str(tmp_path / "file" / "x")
    suite = str(Path(__file__).parents[3] / "suite/standard.toml")
    for words, code in (
        (("diff", run, run, "--html", below), 2),
        (("ci", "init", "github", "--into", str(tmp_path)), 2),
        (("masters", below, "--products", "10"), 30),
        (("suite", suite, "--reports", below), 30),
        (("run", "smoke", "--matrix", "--reports", below), 30),
    ):
        done = CliRunner().invoke(tillproof, words)
        assert isinstance(done.exception, SystemExit), (words, done.exception)
        assert (done.exit_code, "can't be written" in done.output or "could not" in done.output) == (code, True)


def test_a_seed_of_many_digits_is_30(tmp_path: Path) -> None:
    """It is out of range, as one of twenty digits is."""
    code, text = call("run", "smoke", "--seed", "9" * 400, "--reports", str(tmp_path))
    assert (code, "is out of range" in text) == (30, True)


def test_the_command_to_reproduce_has_every_option() -> None:
    """Words with spaces are quoted."""
    from datetime import UTC, datetime

    options = Options(
        scenario="smoke", tills=3, profile="lab-1g-2.40", values=(("title", "a b"),), masters=Path("own"),
        real_time=True, fleet="process",
    )  # fmt: skip
    assert options.reproduce(5) == (
        "tillproof run smoke --seed 5 --fleet process --tills 3 --profile lab-1g-2.40 --set 'title=a b'"
        " --masters own --real-time"
    )
    assert run_id("smoke", 5, datetime(2026, 7, 1, 12, 0, 5, tzinfo=UTC)) == "20260701T120005Z-smoke-5"
