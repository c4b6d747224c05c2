"""`tillproof ci init`: writes a pipeline file for a CI service."""

from __future__ import annotations

import re
from pathlib import Path

import click

from rehearsal.ci.pipelines import SERVICES, pipeline
from rehearsal.options import SCENARIOS, scenario_names

_BRANCH = re.compile(r"[\w][\w./-]*")


@click.group()
def ci() -> None:
    """Put Tillproof into a CI pipeline."""


@ci.command()
@click.argument("service", type=click.Choice(sorted(SERVICES)))
@click.option("--scenario", default="go-live", show_default=True, help="What the pipeline rehearses.")
@click.option("--on-inconclusive", type=click.Choice(["warn", "fail"]), default="fail", show_default=True,
              help="Whether INCONCLUSIVE fails the job. NO-GO always does.")  # fmt: skip
@click.option("--branch", default="main", show_default=True, help="The branch that is rehearsed on every push.")
@click.option("--into", type=click.Path(file_okay=False, exists=True, path_type=Path), default=Path(),
              help="The repository; here unless given.")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--print", "shown", is_flag=True, help="Print it and write nothing.")
def init(
    service: str, *, scenario: str, on_inconclusive: str, branch: str, into: Path, force: bool, shown: bool
) -> None:
    """Write a pipeline for SERVICE: the gate on changes, a rehearsal, artefacts, JUnit, a summary, exit codes."""
    if not (SCENARIOS / f"{scenario}.toml").exists():
        known = ", ".join(scenario_names())
        raise click.BadParameter(f"no scenario {scenario!r}; there are {known}", param_hint="--scenario")
    if not _BRANCH.fullmatch(branch):
        raise click.BadParameter(f"{branch!r} is no branch's name", param_hint="--branch")
    text = pipeline(service, scenario=scenario, on_inconclusive=on_inconclusive, branch=branch)
    if shown:
        click.echo(text, nl=False)
        return
    path = into / SERVICES[service].target
    if path.exists() and not force:
        raise click.UsageError(f"{path} is there already; --force writes over it, --print only shows it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"{path} can't be written: {error.strerror}", param_hint="--into") from error
    click.echo(f"written: {path}\nnext: {SERVICES[service].next_step}")
