"""The back office's command."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from syncref.config import load_backoffice


@click.command(help="Run the back office until SIGTERM.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="backoffice.toml; each key can be overridden by SYNCREF_BACKOFFICE_<KEY>.",
)
def backoffice(config_file: Path) -> None:
    """Run the back office."""
    from syncref.backoffice.app import create
    from syncref.logs import configure
    from syncref.server.awaiting import await_provisioned, leaving_on_sigterm
    from syncref.server.provision import database_of
    from syncref.server.serve import bind, serve
    from syncref.tls import server_tls

    configure()
    config = load_backoffice(config_file)
    tls = server_tls(config.certificate_file, config.key_file)
    listener = bind(config.address)
    with leaving_on_sigterm(), database_of(config.database, config.data_dir) as dsn:
        await_provisioned(dsn)
        serve(partial(create, config, dsn), listener, workers=1, tls=tls)
