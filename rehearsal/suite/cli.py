"""`tillproof suite`: exit codes 0 GO, 10 NO-GO, 20 INCONCLUSIVE, 30 could not run."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from rehearsal.model import EXIT_COULD_NOT_RUN


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check the file and list its runs; run nothing.")
@click.option("--reports", type=click.Path(path_type=Path, file_okay=False), default=Path("reports"),
              show_default=True, help="Where the suite's folder is made.")  # fmt: skip
def suite(file: Path, dry_run: bool, reports: Path) -> None:
    """Run the performance suite in FILE: scenarios x profiles x loads, and what they show together.

    suite/standard.toml is one, and shows the form.
    """
    from rehearsal.progress import Progress
    from rehearsal.suite.plan import SuiteInvalid, load_suite
    from rehearsal.suite.report import as_text, write_suite
    from rehearsal.suite.run import conclude, exit_code, run_suite, title

    folder = reports.resolve() / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-suite-{file.stem}"
    try:
        planned = load_suite(file, reports=folder / "runs")
    except SuiteInvalid as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_COULD_NOT_RUN)
    click.echo(f"{planned.title}: {len(planned.runs)} runs, about {planned.about_s / 60:.0f} minutes")
    for run in planned.runs:
        click.echo(f"  {title(run)}, {len(run.scenario.fleet.tills)} tills")
    if dry_run:
        return
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        click.echo(f"could not run: {folder} can't be made: {error.strerror}", err=True)
        sys.exit(EXIT_COULD_NOT_RUN)
    done = run_suite(planned, Progress())
    outcome, why = conclude(done, len(planned.runs))
    click.echo("\n" + as_text(done, outcome=outcome, why=why), nl=False)
    try:
        page = write_suite(folder, planned, done, outcome=outcome, why=why)
    except OSError as error:
        click.echo(f"the report could not be written: {error}", err=True)
        sys.exit(exit_code(done, outcome) or EXIT_COULD_NOT_RUN)
    click.echo(f"Report: {page}")
    sys.exit(exit_code(done, outcome))
