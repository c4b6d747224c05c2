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
@click.option("--jobs", type=click.IntRange(1),
              help="Processors to use, each for a simulated row; two carry three rehearsals at once.")  # fmt: skip
@click.option("--without-scenarios", is_flag=True, help="Leave out the bundled scenarios, which must be GO.")
@click.option("--field", is_flag=True, help="The failures that the field reported, instead of the planted bugs.")
@click.option("--reports", type=click.Path(path_type=Path, file_okay=False), default=Path("reports"),
              show_default=True, help="Where the proof's folder is made.")  # fmt: skip
def prove(*, only: tuple[str, ...], jobs: int | None, without_scenarios: bool, field: bool, reports: Path) -> None:
    """Plant each known bug and tell whether the right checker convicts it; then run every scenario without."""
    from rehearsal.progress import Progress
    from rehearsal.prove.proof import NoSuchRow, parts_of, prove_all

    begun = datetime.now(UTC)
    folder = reports.resolve() / f"{begun:%Y%m%dT%H%M%SZ}-prove"
    wanted = frozenset(word.strip().upper() for given in only for word in given.split(",") if word.strip())
    if field:
        sys.exit(_field(wanted, jobs or os.cpu_count() or 1, reports.resolve()))
    try:
        parts = parts_of(
            wanted, jobs=jobs or os.cpu_count() or 1, scenarios=not without_scenarios, runs=folder / "runs"
        )
    except NoSuchRow as error:
        raise click.BadParameter(str(error), param_hint="--only") from error
    sys.exit(prove_all(parts, Progress(), folder=folder, begun=begun, commit=naming.commit()))


def _field(wanted: frozenset[str], jobs: int, reports: Path) -> int:
    from rehearsal.progress import Progress
    from rehearsal.prove.field.stories import STORIES
    from rehearsal.prove.field.table import prove_field

    known = [story.id for story in STORIES]
    unknown = sorted(wanted.difference(known))
    if unknown:
        told = f"there is no {', '.join(unknown)}; there is {', '.join(known)}"
        raise click.BadParameter(told, param_hint="--only")
    return prove_field(wanted, jobs, Progress(), reports=reports, commit=naming.commit())
