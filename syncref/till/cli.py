"""`syncref till` and `syncref provision till`."""

from __future__ import annotations

from pathlib import Path

import click

_CONFIG = click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
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
def provision_till(config_file: Path, cluster: str | None) -> None:
    """Create a till's database with a new incarnation. Refuses where a till is already."""
    from syncref.config import load_till
    from syncref.store.till_open import TillDatabase
    from syncref.store.till_provision import provision
    from syncref.till.first_contact import ask_cluster
    from syncref.till.process import read_secret, verifier_of

    settings = load_till(config_file)
    secret = read_secret(settings)
    name = cluster or ask_cluster(settings, secret, verifier_of(settings, None))
    database = TillDatabase(settings.till.database)
    try:
        key = provision(database, name=settings.till.name, cluster=name)
    finally:
        database.close()
    click.echo(f"till {key.till} of cluster {name}, incarnation {key.incarnation.hex()}")
