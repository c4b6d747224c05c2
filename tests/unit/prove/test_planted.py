"""Bugs in real processes: all are there, can be planted, and are reached by the launcher alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chaos.fleet.plan import NodePlan
from rehearsal.options import Options
from rehearsal.prove.launcher import plant_in
from rehearsal.prove.planted import Planted, all_planted, planted_of
from rehearsal.prove.processes import SCENARIOS
from rehearsal.running import read_scenario
from rehearsal.staging.servers import PROGRAM

ROOT = Path(__file__).parents[3]
BUGS = all_planted()


def test_all_thirteen_rows_are_there() -> None:
    """R1 to R13, each once."""
    assert [bug.id for bug in BUGS] == [f"R{n}" for n in range(1, 14)]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.id)
def test_a_bug_names_a_scenario_whose_claims_include_its_checker(bug: Planted) -> None:
    """Else its checker could not convict, whatever it saw."""
    path = SCENARIOS / f"{bug.scenario}.toml"
    assert bug.expected in read_scenario(path, Options(scenario=str(path))).claims


def test_every_bug_finds_the_code_that_it_replaces() -> None:
    """In a process of its own, for a planted bug stays planted."""
    program = "from rehearsal.prove.planted import all_planted\nfor bug in all_planted():\n    bug.plant()\n"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_only_the_bugs_kind_of_process_is_launched_with_it() -> None:
    """The argument list keeps its words; every other process is started as shipped."""
    rewrite = plant_in(planted_of("R7"))
    server = NodePlan(name="server", argv=("python", *PROGRAM, "server", "--config", "s.toml"))
    till = NodePlan(name="T01", argv=("python", *PROGRAM, "till", "--config", "t.toml"))
    other = NodePlan(name="proxy", argv=("python", "-m", "server"))
    launched = ("python", "-m", "rehearsal.prove.launcher", "R7", "server", "--config", "s.toml")
    assert rewrite(server).argv == launched
    assert rewrite(till) == till
    assert rewrite(other) == other


def test_nothing_shipped_leads_to_the_bugs() -> None:
    """No module but those of the proof itself names the package of the bugs or its launcher."""
    for folder in ("syncref", "chaos", "loadtest", "rehearsal"):
        for path in (ROOT / folder).rglob("*.py"):
            if "prove" not in path.parts:
                text = path.read_text()
                assert "prove.planted" not in text
                assert "prove.launcher" not in text, path
