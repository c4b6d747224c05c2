"""The `syncref` command. Subcommands are imported when they are asked for, so that a till stays small."""

from __future__ import annotations

import gc
import importlib
import sys

import click

from syncref.errors import ConfigInvalid, SyncrefError

GC_THRESHOLD = (50_000, 20, 50)  # what a start imports is no garbage: looking through it takes a tenth of the time


class LazyGroup(click.Group):
    """A group whose commands are named as module:attribute and imported on use."""

    def __init__(self, *args: object, lazy: dict[str, str], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing its module."""
        target = self._lazy.get(cmd_name)
        if target is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


PROVISION = LazyGroup(
    name="provision",
    help="Create a server's or a till's database, and the shop's certificates.",
    lazy={
        "ca": "syncref.server.certificates_cli:provision_ca",
        "certificate": "syncref.server.certificates_cli:provision_certificate",
        "server": "syncref.server.cli:provision_server",
        "standby": "syncref.server.cli:provision_standby",
        "till": "syncref.till.cli:provision_till",
    },
)

SYNCREF = LazyGroup(
    name="syncref",
    help="The reference sync: tills, the sync server, and the back office.",
    lazy={
        "server": "syncref.server.cli:server",
        "backoffice": "syncref.backoffice.cli:backoffice",
        "till": "syncref.till.cli:till",
        "import": "syncref.server.cli:import_masters",
        "import-entries": "syncref.server.cli:import_entries",
        "settlement": "syncref.server.cli:settlement",
        "promote": "syncref.server.reign_cli:promote",
        "confirm": "syncref.server.reign_cli:confirm",
        "parity": "syncref.server.reign_cli:parity",
        "status": "syncref.server.cli:status",
    },
)
SYNCREF.add_command(PROVISION)


def main() -> None:
    """Run the command line: exit code 2 for a bad configuration or usage, 1 for any other known error."""
    gc.set_threshold(*GC_THRESHOLD)
    try:
        SYNCREF()
    except ConfigInvalid as error:
        click.echo(f"syncref: {error.message}", err=True)
        sys.exit(2)
    except SyncrefError as error:
        click.echo(f"syncref: {error.code}: {error.message}{_driver_said(error)}", err=True)
        sys.exit(1)


def _driver_said(error: SyncrefError) -> str:
    """Return the database driver's own first line, which names host and port and no secret, if it made the error.

    It is for whoever types a command; over HTTP only the code is told.
    """
    said = getattr(error.__cause__, "orig", None)
    lines = str(said).strip().splitlines() if said is not None else []
    return f": {lines[0]}" if lines else ""
