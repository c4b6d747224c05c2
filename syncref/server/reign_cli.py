"""Commands of the operator: promote, confirm, parity. They act on the server's own database."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncref.config import load_server
from syncref.core.failover import Role
from syncref.errors import ConfigInvalid, SyncrefError
from syncref.server.cli import CONFIG

if TYPE_CHECKING:
    from syncref.config import ServerConfig
    from syncref.server.reign import Reign
    from syncref.store.server_term import TermRow


@click.command(help="Make this standby the live server: fence the peers if they answer, promote, open a new term.")
@CONFIG
@click.option("--no-fence", is_flag=True, help="Don't ask the peers to take no more writes first.")
def promote(config_file: Path, *, no_fence: bool) -> None:
    """Promote this standby."""

    def act(config: ServerConfig, reign: Reign) -> TermRow:
        row = reign.promotable()  # before the live server is fenced for it
        if config.peers and not no_fence and row.role is not Role.LIVE:
            _fence_peers(config, row.term.n + 1)
        return reign.promote()

    _decide(config_file, act)


@click.command(help="Confirm that this server is the live one; a fence ends under a new term.")
@CONFIG
def confirm(config_file: Path) -> None:
    """Confirm this server."""
    _decide(config_file, lambda _, reign: reign.confirm())


@click.command(help="Compare this standby with its live server. Exit code 1 when it could not take over as it is.")
@CONFIG
def parity(config_file: Path) -> None:
    """Compare schema, build, settings and lag."""
    from syncref.server.parity import check_parity
    from syncref.server.peers import PeerCalls, peer_secret
    from syncref.server.provision import database_of
    from syncref.store.server_open import open_engine, snapshot

    config = load_server(config_file)
    if not config.peers:
        raise ConfigInvalid(f"{config_file}: [server] peers: there are none to compare with")
    calls = PeerCalls(config.peers, peer_secret(config.peer_secret_file), ca_file=config.ca_file)
    with database_of(config.database, config.data_dir) as dsn:
        engine = open_engine(dsn, connections=1)
        with snapshot(engine) as connection:
            found = check_parity(connection, config, calls)
        engine.dispose()
    for difference in found.differences:
        click.echo(f"{difference.what}: here {difference.here}, there {difference.there}")
    click.echo(f"{'equal' if found.ok else 'not equal'}, lag {found.lag_ms} ms")
    if not found.ok:
        sys.exit(1)


def _decide(config_file: Path, act: Callable[[ServerConfig, Reign], TermRow]) -> None:
    from syncref.server.provision import database_of
    from syncref.server.reign import Reign
    from syncref.store.server_open import open_engine

    config = load_server(config_file)
    with database_of(config.database, config.data_dir) as dsn:
        engine = open_engine(dsn, connections=3)
        row = act(config, Reign(engine, peers=len(config.peers), rank=config.rank))
        engine.dispose()
    click.echo(f"{row.role.value}, term {row.term.n}")


def _fence_peers(config: ServerConfig, term_n: int) -> None:
    """Ask every peer to take no more writes; one that does not answer is fenced when it comes back."""
    from syncref.server.peers import PeerCalls, peer_secret

    calls = PeerCalls(config.peers, peer_secret(config.peer_secret_file), ca_file=config.ca_file)
    for url in calls.urls:
        try:
            click.echo(f"{url}: {calls.fence(url, term_n).role}")
        except SyncrefError as error:
            click.echo(f"{url}: not fenced now: {error.message}", err=True)
    calls.close()
