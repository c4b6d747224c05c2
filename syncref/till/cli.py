"""`syncref till` and `syncref provision till`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from syncref.config import TillSettings

_FILE = click.Path(path_type=Path, dir_okay=False)
_CONFIG = click.option(
    "--config",
    "config_file",
    required=True,
    type=_FILE,
    help="The till's TOML file; see docs/api.md.",
)


@click.command()
@_CONFIG
def till(config_file: Path) -> None:
    """Run a till: sell at its counter, and sync with the first server that answers."""
    from syncref import logs
    from syncref.config import load_till
    from syncref.till.process import run

    settings = load_till(config_file)
    logs.configure()
    run(settings)


@click.command("till")
@_CONFIG
@click.option("--cluster", help="The cluster's name; asked of the servers when it is not given.")
@click.option("--clean", "cleaning", is_flag=True, help="Clean a till that is there: its transactions leave it.")
@click.option("--export", type=_FILE, help="With --clean: write what is not safe yet to this new file.")
@click.option("--wait", "wait_s", type=click.FloatRange(0, 86_400), default=30.0, show_default=True,
              help="With --clean: seconds to wait until everything is safe.")  # fmt: skip
@click.option("--cancel", is_flag=True, help="With --clean: let a till that was to be cleaned sell again.")
def provision_till(
    *, config_file: Path, cluster: str | None, cleaning: bool, export: Path | None, wait_s: float, cancel: bool
) -> None:
    """Create a till's database with a new incarnation. Refuses where a till is already.

    With --clean a till that does not run takes no more sales, hands over what it has, and begins anew without
    transactions and masters. It refuses while something is not on every standby, unless that is exported.
    """
    from syncref.config import load_till
    from syncref.store.till_open import TillDatabase
    from syncref.store.till_provision import provision
    from syncref.till.credentials import read_secret, verifier_of
    from syncref.till.first_contact import ask_cluster

    if (export is not None or cancel) and not cleaning:
        raise click.UsageError("--export and --cancel need --clean")
    if cluster is not None and cleaning:
        raise click.UsageError("--cluster can't be changed by --clean")
    settings = load_till(config_file)
    secret = read_secret(settings)
    if cleaning:
        _clean(settings, secret, export=export, wait_s=wait_s, stop=cancel)
        return
    name = cluster or ask_cluster(settings, secret, verifier_of(settings, None))
    database = TillDatabase(settings.till.database)
    try:
        key = provision(database, name=settings.till.name, cluster=name)
    finally:
        database.close()
    click.echo(f"till {key.till} of cluster {name}, incarnation {key.incarnation.hex()}")


def _clean(settings: TillSettings, secret: str, *, export: Path | None, wait_s: float, stop: bool) -> None:
    from syncref.till.clean import cancel, clean

    if stop:
        click.echo("the till sells again" if cancel(settings) else "the till was not draining")
        return
    done = clean(settings, secret, export=export, wait_s=wait_s, say=click.echo)
    click.echo(f"till {done.key.till} cleaned, incarnation {done.key.incarnation.hex()}")
