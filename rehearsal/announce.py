"""What a run prints before anything starts: seed, commit, every option, what really runs."""

from __future__ import annotations

from chaos.fleet.base import Fleet
from rehearsal.options import Options
from rehearsal.plan.scenario import Scenario
from rehearsal.run_state import Run


def announce(run: Run, fleet: Fleet, why: str) -> None:
    """Print what will run, before anything does; `why`: why on this fleet."""
    scenario, say = run.scenario, run.progress.line
    caps = fleet.capper.kind + (f": hardware not judged ({fleet.capper.reason})" if fleet.capper.reason else "")
    say(f"Tillproof  {scenario.name}: {scenario.title}")
    say(f"seed       {scenario.seed}")
    say(f"commit     {run.commit}")
    say(f"fleet      {fleet.kind}, {len(scenario.fleet.tills)} tills on {scenario.fleet.till_database}, "
        f"{scenario.fleet.profile}, caps by {caps}")  # fmt: skip
    say(f"           {why}")
    say(f"faults     {len(scenario.faults)} through {fleet.engine.name}")
    for name, value in options_shown(run.options, scenario).items():
        say(f"{name:<10} {value}")
    say(f"report     {run.folder}")
    if run.begins is not None:
        say(f"begins     {run.begins:%Y-%m-%d %H:%M}")


def options_shown(options: Options, scenario: Scenario) -> dict[str, str]:
    """Return every option as it is in force."""
    return {
        "scenario": scenario.name,
        "fleet": options.fleet,
        "tills": str(len(scenario.fleet.tills)),
        "profile": scenario.fleet.profile,
        "set": ", ".join(f"{key}={value}" for key, value in options.values) or "nothing",
        "masters": str(options.masters or "generated"),
        "real-time": "yes" if options.real_time else "no",
    }
