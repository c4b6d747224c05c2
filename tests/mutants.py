"""The mutation score of the protocol cores: `make mutants`, or `python -m tests.mutants --sample 400 --seed 7`.

mutmut changes one thing at a time in syncref's pure modules. The unit tests of the cores go first; what they let
live is played in the simulated fleet, up to the first schedule that is convicted. A sample is drawn at random with
the seed that is printed. Needs mutmut (`pip install mutmut==3.8.1`), which is no dependency of anything else here.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPY = ROOT / "mutants"
SURVIVED, NO_TESTS = 0, 33  # mutmut's exit codes of what no unit test killed
COULD_NOT_RUN = 30
GOAL = 0.9
_PLAY = """
import sys
from chaos.fleet.simulated.run import play_seeds
for outcome in play_seeds(int(sys.argv[1]), int(sys.argv[2]), "everything"):
    if outcome.findings:
        sys.exit(f"schedule {outcome.plan.seed}: {outcome.findings[0].checker}")
"""


def main() -> int:
    """Return 0 when at least nine of ten mutants are killed, 10 when not, 30 without mutmut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=0, help="how many mutants, drawn at random; 0: all")
    parser.add_argument("--seed", type=int, default=None, help="of the draw; printed when absent")
    parser.add_argument("--schedules", type=int, default=2000, help="for each that the unit tests let live")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first schedule")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    if importlib.util.find_spec("mutmut") is None:
        print("mutmut is not installed here: pip install mutmut==3.8.1", file=sys.stderr)
        return COULD_NOT_RUN
    seed = random.SystemRandom().randrange(1 << 31) if asked.seed is None else asked.seed
    mutmut("syncref.domain.money.x_line_amount__mutmut_1")  # makes all mutants and learns which tests reach them
    names = sorted(codes())
    draw = random.Random(seed)  # noqa: S311 - a sample that can be drawn again
    chosen = draw.sample(names, min(asked.sample, len(names))) if asked.sample else names
    print(f"{len(chosen)} of {len(names)} mutants, drawn with --seed {seed}", flush=True)
    mutmut(*chosen)
    found = codes()
    left = [name for name in chosen if found.get(name) in (SURVIVED, NO_TESTS)]
    print(f"{len(chosen) - len(left)} killed by the unit tests, {len(left)} go to the simulation", flush=True)
    alive = []
    for name, verdict in played(left, asked.first, asked.schedules, asked.jobs):
        print(f"{name}: {verdict or 'alive'}", flush=True)
        alive += [] if verdict else [name]
    score = 1 - len(alive) / max(1, len(chosen))
    print(f"{score:.1%} killed; alive: {', '.join(alive) or 'none'}")
    return 0 if score >= GOAL else 10


def mutmut(*names: str) -> None:
    """Run mutmut over some mutants; its own verdicts stay in the copy."""
    subprocess.run([sys.executable, "-m", "mutmut", "run", *names], cwd=ROOT, check=False)


def codes() -> dict[str, int | None]:
    """Return mutmut's exit code of every mutant, None when it was not tried."""
    found: dict[str, int | None] = {}
    for path in (COPY / "syncref").rglob("*.meta"):
        found.update(json.loads(path.read_text())["exit_code_by_key"])
    return found


def played(names: list[str], first: int, schedules: int, jobs: int) -> Iterator[tuple[str, str]]:
    """Yield each mutant with what convicted it, "" when nothing did."""

    def play(name: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-c", _PLAY, str(first), str(schedules)],
            cwd=COPY,
            env=os.environ | {"MUTANT_UNDER_TEST": name, "PYTHONPATH": str(COPY)},
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.stderr.strip().splitlines()[-1] if ran.returncode else ""

    with ThreadPoolExecutor(jobs) as pool:
        yield from zip(names, pool.map(play, names), strict=True)


if __name__ == "__main__":
    sys.exit(main())
