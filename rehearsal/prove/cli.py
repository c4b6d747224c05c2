"""`tillproof prove`: the judge against bugs that are known, and the reference without any.

Exit code 0: every bug is convicted by the checker that must, and every scenario without a bug is GO; 10: one
escapes, another checker convicts, or a scenario is not GO; 20: of one nothing could be told; 30: one did not run.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from rehearsal import options as naming


@click.command()
@click.option(
    "--only",
    multiple=True,
    help="Rows or scenarios, e.g. S7 or smoke, or a letter for all its rows; repeat it, or give a,b.",
)
@click.option("--jobs", type=click.IntRange(1), help="Processes for the simulated rows; one for each processor.")
@click.option("--without-scenarios", is_flag=True, help="Leave out the bundled scenarios, which must be GO.")
@click.option("--reports", type=click.Path(path_type=Path, file_okay=False), default=Path("reports"),
              show_default=True, help="Where the proof's folder is made.")  # fmt: skip
def prove(*, only: tuple[str, ...], jobs: int | None, without_scenarios: bool, reports: Path) -> None:
    """Plant each known bug and tell whether the right checker convicts it; then run every scenario without."""
    from rehearsal.progress import Progress
    from rehearsal.prove.proof import NoSuchRow, parts_of, prove_all

    begun = datetime.now(UTC)
    folder = reports.resolve() / f"{begun:%Y%m%dT%H%M%SZ}-prove"
    wanted = frozenset(word.strip().upper() for given in only for word in given.split(",") if word.strip())
    try:
        parts = parts_of(
            wanted, jobs=jobs or os.cpu_count() or 1, scenarios=not without_scenarios, runs=folder / "runs"
        )
    except NoSuchRow as error:
        raise click.BadParameter(str(error), param_hint="--only") from error
    sys.exit(prove_all(parts, Progress(), folder=folder, begun=begun, commit=naming.commit()))
