"""The command line `tillproof`. Exit codes: 0 GO, 10 NO-GO, 20 INCONCLUSIVE, 30 could not run, 2 wrong usage.

The last line of a run, and of a check, is its outcome: what, why in one sentence, and where the report is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from chaos.fleet.simulated.cli import explore, simulate
from rehearsal.ci.cli import ci
from rehearsal.gate.cli import gate
from rehearsal.options import LocustWorkers, Options, scenario_names, scenario_path
from rehearsal.prove.cli import prove
from rehearsal.suite.cli import suite

COULD_NOT_RUN = 30


class Setting(click.ParamType[tuple[str, str]]):
    """key=value, where the key is a dotted place in the scenario file."""

    name = "key=value"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the first equals sign."""
        key, sign, text = value.partition("=")
        if not sign or not key.strip():
            self.fail(f"{value!r} is not key=value, e.g. load.rate=2", param, ctx)
        return key.strip(), text.strip()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tillproof")
def tillproof() -> None:
    """Rehearse a go-live: ten tills sell through real faults, and every cent is accounted for."""


@tillproof.command()
@click.argument("scenario")
@click.option("--fleet", type=click.Choice(["auto", "process", "docker"]), default="auto", show_default=True,
              help="How tills are run; auto takes what this machine can do.")  # fmt: skip
@click.option("--tills", type=click.IntRange(1, 99), help="How many tills, instead of the scenario's number.")
@click.option("--seed", type=click.IntRange(0), help="Decides baskets, arrivals, fault targets and masters.")
@click.option("--profile", help="Hardware profile, e.g. site-1g-1.80.")
@click.option(
    "--set", "values", type=Setting(), multiple=True, help="Override a scenario's value; may be repeated."
)
@click.option("--masters", type=click.Path(path_type=Path),
              help="Folder with your own products.csv, prices.csv, vendors.csv.")  # fmt: skip
@click.option("--real-time", is_flag=True, help="On the shop's own clock instead of in minutes.")
@click.option("--reports", type=click.Path(path_type=Path, file_okay=False), default=Path("reports"),
              show_default=True, help="Where the run's folder is made.")  # fmt: skip
@click.option("--locust-workers", "here", type=click.IntRange(0, 32), default=0,
              help="Spread the load over so many Locust workers of this machine.")  # fmt: skip
@click.option("--locust-remote", "remote", type=click.IntRange(0, 99), default=0,
              help="Wait for so many workers of other machines; the command for them is shown.")  # fmt: skip
@click.option("--locust-bind", "bind", default="127.0.0.1", show_default=True,
              help="Where Locust's master listens for them; its protocol is not encrypted.")  # fmt: skip
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False),
              help="Write the run back as a scenario, with the faults as they really came.")  # fmt: skip
@click.option("--matrix", type=click.Choice(["profiles", "databases"]), is_flag=False, flag_value="profiles",
              help="Run on every hardware profile, or on both till databases, into one table.")  # fmt: skip
@click.option("--ui", is_flag=True, help="With a live page, on this machine only; its address is printed.")
@click.option("--ui-port", type=click.IntRange(0, 65535), help="The page's port, instead of any.")
def run(
    scenario: str,
    values: tuple[tuple[str, str], ...],
    *,
    matrix: str | None,
    ui: bool,
    ui_port: int | None,
    **given: Any,
) -> None:
    """Run SCENARIO (a name from `tillproof list`, or a .toml file) and judge it."""
    from rehearsal.running import run_scenario, run_watched

    if matrix is not None and ui:
        raise click.UsageError("--matrix runs without a live page: leave --ui out")
    if matrix == "profiles" and given["profile"] is not None:
        raise click.UsageError("--matrix profiles runs on every profile: leave --profile out")
    if matrix is not None and given["record"] is not None:
        raise click.UsageError("--matrix has several runs and --record one file: leave --record out")
    if ui_port is not None and not ui:
        raise click.UsageError("--ui-port is the live page's: it needs --ui")
    workers = LocustWorkers(**{name: given.pop(name) for name in ("here", "remote", "bind")})
    options = Options(scenario=scenario, values=values, locust=workers, **given)
    path = scenario_path(scenario)
    if path is None:
        raise click.BadParameter(unknown_scenario(scenario), param_hint="SCENARIO")
    if matrix is not None:
        from rehearsal.matrix import run_matrix

        sys.exit(run_matrix(path, options, matrix))
    sys.exit(run_watched(path, options, ui_port or 0) if ui else run_scenario(path, options))


@tillproof.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Instead of any free port.")
@click.option("--reports", type=click.Path(path_type=Path, file_okay=False), default=Path("reports"),
              show_default=True, help="Where runs are and go.")  # fmt: skip
def ui(port: int, reports: Path) -> None:
    """Serve the start page: scenarios, past runs, and a run to start and watch. Ctrl-C ends it."""
    from rehearsal.live.start import serve_start_page

    sys.exit(serve_start_page(port, reports))


@tillproof.command(name="list")
def list_scenarios() -> None:
    """List the scenarios that come with Tillproof."""
    from rehearsal.shipped import all_shipped

    for one in all_shipped():
        click.echo(f"{one.name:<22} {one.title}{' (needs containers)' if one.containers_only else ''}")


@tillproof.command()
def doctor() -> None:
    """Say what this machine can do, and what to install for the rest."""
    from rehearsal.doctor import examine

    for finding in examine():
        click.echo(f"{'yes' if finding.there else 'no':<4} {finding.name:<12} {finding.text}")


@tillproof.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--write", is_flag=True, help="Write the report that follows over the run's.")
def check(run_folder: Path, *, write: bool) -> None:
    """Judge RUN again, from its evidence alone; exits as the run did."""
    from rehearsal.running import check_run

    sys.exit(check_run(run_folder, write=write))


@tillproof.command()
@click.argument("run_a", type=click.Path(exists=True, path_type=Path))
@click.argument("run_b", type=click.Path(exists=True, path_type=Path))
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page as well.")
def diff(run_a: Path, run_b: Path, html: Path | None) -> None:
    """Show what differs between two runs: outcome, checks, figures, and what they ran on."""
    from rehearsal.report.diff import as_text, compare
    from rehearsal.report.diff_html import diff_html
    from rehearsal.report.verdict import VerdictUnreadable

    try:
        found = compare(run_a, run_b)
    except VerdictUnreadable as error:
        raise click.BadParameter(str(error)) from error
    click.echo(as_text(found), nl=False)
    if html is not None:
        try:
            html.write_text(diff_html(found), encoding="utf-8")
        except OSError as error:
            text = f"{html} can't be written: {error.strerror}"
            raise click.BadParameter(text, param_hint="--html") from error
        click.echo(f"\nPage: {html}")


@tillproof.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--products", type=click.IntRange(1, 1_000_000), default=5000, show_default=True)
@click.option("--cashiers", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="One seed gives the same files.")
def masters(folder: Path, products: int, cashiers: int, seed: int) -> None:
    """Write example masters (products.csv, prices.csv, vendors.csv, ...) into FOLDER.

    They show the form of your own, for `tillproof run --masters` and `syncref import`.
    """
    from rehearsal.catalogue import build_catalogue
    from rehearsal.plan.scenario import CataloguePlan

    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise click.BadParameter(f"{folder} is not empty")
        made = build_catalogue(folder, plan=CataloguePlan(products=products), cashiers=cashiers, seed=seed)
    except OSError as error:
        click.echo(f"could not write the masters: {error}", err=True)
        sys.exit(COULD_NOT_RUN)
    click.echo(f"{made.products} products, {len(made.cashiers)} cashiers in {folder}")


def unknown_scenario(name: str) -> str:
    """Return what to say of a scenario that is not there."""
    from rehearsal.plan.table import closest

    names = scenario_names()
    if name.endswith(".toml"):
        return f"there is no file {name}"
    return f"no scenario {name!r}; there are {', '.join(names)}{closest(name, names)}"


tillproof.add_command(simulate)
tillproof.add_command(explore)
tillproof.add_command(ci)
tillproof.add_command(gate)
tillproof.add_command(suite)
tillproof.add_command(prove)


def main() -> None:
    """Run the command line."""
    try:
        tillproof()
    except BrokenPipeError:
        sys.exit(COULD_NOT_RUN)


if __name__ == "__main__":
    main()
