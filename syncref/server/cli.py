"""Commands of the server: server, provision server, import, settlement, status."""

from __future__ import annotations

import json
import secrets
import time
from functools import partial
from pathlib import Path

import click

from syncref.config import load_server
from syncref.errors import ConfigInvalid

CONFIG = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="server.toml; each key can be overridden by SYNCREF_SERVER_<KEY>.",
)


@click.command(help="Run the sync server until SIGTERM.")
@CONFIG
def server(config_file: Path) -> None:
    """Run the server."""
    from syncref.logs import configure
    from syncref.metrics import shared
    from syncref.server.app import create
    from syncref.server.awaiting import begin, leaving_on_sigterm
    from syncref.server.provision import database_of
    from syncref.server.serve import bind, serve
    from syncref.tls import server_tls

    configure()
    config = load_server(config_file)
    tls = server_tls(config.certificate_file, config.key_file)
    listener = bind(config.address)
    with leaving_on_sigterm(), shared(), database_of(config.database, config.data_dir) as dsn:
        begin(dsn, peers=len(config.peers), rank=config.rank)
        serve(partial(create, config, dsn), listener, workers=config.workers, tls=tls)


@click.command(name="server", help="Create the server's schema, first term, token key and identities.")
@CONFIG
@click.option("--tills-file", type=click.Path(path_type=Path, dir_okay=False), help="CSV: name,secret")
@click.option("--clerks-file", type=click.Path(path_type=Path, dir_okay=False), help="CSV: name,secret")
def provision_server(config_file: Path, tills_file: Path | None, clerks_file: Path | None) -> None:
    """Provision the server; running it again changes nothing."""
    from syncref.server.peers import PEER, peer_secret
    from syncref.server.provision import database_of, provision, read_identities
    from syncref.store.server_open import open_engine

    config = load_server(config_file)
    identities = read_identities("till", tills_file) if tills_file else []
    identities += read_identities("clerk", clerks_file) if clerks_file else []
    if config.peer_secret_file is not None:
        identities.append((PEER, peer_secret(config.peer_secret_file)))
    with database_of(config.database, config.data_dir) as dsn:
        engine = open_engine(dsn, connections=1)
        term, changed = provision(engine, identities)
        engine.dispose()
    click.echo(f"cluster {term.cluster}, term {term.n}; identities new or changed: {changed}")


@click.command(name="standby", help="Copy a live server's PostgreSQL below data_dir, as its streaming standby.")
@CONFIG
@click.option("--primary", required=True, help="Address of the live server's database.")
@click.option("--slot", default="syncref_standby", show_default=True, help="Name of the replication slot.")
def provision_standby(config_file: Path, primary: str, slot: str) -> None:
    """Create a standby's database."""
    from syncref.server.embedded import embedded

    config = load_server(config_file)
    if config.data_dir is None or config.database is not None:
        raise ConfigInvalid(f"{config_file}: [server] needs data_dir, and no database, for an embedded standby")
    embedded(config.data_dir).follow(primary, slot=slot)
    click.echo(f"standby below {config.data_dir}, slot {slot}")


@click.command(name="import", help="Import masters from CSV files, all or nothing.")
@CONFIG
@click.option(
    "--masters",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="Folder with tax_rates.csv, vendors.csv, products.csv, prices.csv, cashiers.csv, stock.csv (any).",
)
def import_masters(config_file: Path, masters: Path) -> None:
    """Import masters."""
    from syncref.server.clock import now_ms
    from syncref.server.masters_import import import_folder
    from syncref.server.provision import database_of
    from syncref.store.server_open import IMPORT_TIMEOUT_MS, open_engine

    config = load_server(config_file)
    started = time.monotonic()
    with database_of(config.database, config.data_dir) as dsn:
        engine = open_engine(dsn, connections=1, statement_timeout_ms=IMPORT_TIMEOUT_MS)
        counts = import_folder(engine, masters, at_ms=now_ms())
        engine.dispose()
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    click.echo(f"rows new or changed: {told or 'none'} ({time.monotonic() - started:.1f} s)")


@click.command(name="import-entries", help="Import the entries that a till exported before it was cleaned.")
@CONFIG
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def import_entries(config_file: Path, file: Path) -> None:
    """Import an export of `syncref provision till --clean --export`; doing it again changes nothing."""
    from syncref.server.import_entries import import_export
    from syncref.server.provision import database_of
    from syncref.store.server_open import open_engine
    from syncref.wire.export import read_export

    config = load_server(config_file)
    export = read_export(file)
    with database_of(config.database, config.data_dir) as dsn:
        engine = open_engine(dsn, connections=1)
        done = import_export(engine, export)
        engine.dispose()
    click.echo(f"{export.till}: {done.entries} entries, {done.known} of them known already")


@click.group(
    invoke_without_command=True,
    help="Show, per till and business date, what was received and whether the Z report agrees.",
)
@click.option("--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="server.toml.")
@click.option("--date", help="Only this business date, YYYY-MM-DD.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@click.option("--abandon", metavar="TILL", help="Sign that this till will never close --date.")
@click.option("--evidence", help="With --abandon: why.")
@click.option("--clerk", default="operator", help="With --abandon: who signs.")
@click.pass_context
def settlement(
    context: click.Context,
    *,
    config_file: Path | None,
    date: str | None,
    as_json: bool,
    abandon: str | None,
    evidence: str | None,
    clerk: str,
) -> None:
    """Print the settlement."""
    if context.invoked_subcommand is not None:
        return
    if config_file is None:
        raise click.UsageError("--config is missing")
    import msgspec

    from syncref.server import losses
    from syncref.server.overview import read_settlement
    from syncref.server.provision import database_of
    from syncref.store.server_open import open_engine, snapshot

    config = load_server(config_file)
    if abandon is not None:
        if date is None or not evidence:
            raise click.UsageError("--abandon needs --date and --evidence")
        told = losses.abandon(config, till=abandon, date=date, evidence=evidence, clerk=clerk)
        click.echo(told, err=as_json)
    with database_of(config.database, config.data_dir) as dsn:
        engine = open_engine(dsn, connections=1)
        with snapshot(engine) as connection:
            rows = read_settlement(connection, date=date, till=None)
        engine.dispose()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    for row in rows:
        click.echo(
            f"{row.business_date}  {row.till:<16} {row.receipts:>7} receipts  gross {row.gross:>12}  "
            f"tax {row.tax:>11}  {row.state}{': ' if row.reasons else ''}{'; '.join(row.reasons)}"
        )
    if not rows:
        click.echo("no receipts")


@settlement.command(help="List entries that are not counted: set aside, or under an op id that was posted before.")
@CONFIG
def asides(config_file: Path) -> None:
    """Print what is to be resolved."""
    from syncref.server.provision import database_of
    from syncref.store.server_asides import uncounted
    from syncref.store.server_open import open_engine, snapshot

    config = load_server(config_file)
    with database_of(config.database, config.data_dir) as dsn:
        engine = open_engine(dsn, connections=1)
        with snapshot(engine) as connection:
            rows = uncounted(connection)
        engine.dispose()
    for row in rows:
        done = row.resolution or "to be resolved"
        click.echo(f"{row.till}  {bytes(row.incarnation).hex()}  {row.seq}  {done}: {row.reason}")
    if not rows:
        click.echo("none")


@settlement.command(help="Resolve an entry that is not counted: once, under an op id of its own.")
@CONFIG
@click.argument("till")
@click.argument("incarnation")
@click.argument("seq", type=click.IntRange(min=1))
@click.option(
    "--action",
    type=click.Choice(["written_off", "posted"]),
    required=True,
    help="written_off: it counts as written off; posted: post it from its bytes, if that works now.",
)
@click.option("--op-id", help="32 hex digits; the same again changes nothing. Drawn and printed if not given.")
@click.option("--clerk", default="operator", show_default=True, help="Who decides.")
def resolve(
    *, config_file: Path, till: str, incarnation: str, seq: int, action: str, op_id: str | None, clerk: str
) -> None:
    """Resolve an entry as the back office's API does."""
    from syncref.server.resolve import resolve_entry

    config = load_server(config_file)
    op_id = op_id or secrets.token_hex(16)
    click.echo(f"op id {op_id}")
    resolve_entry(config, till=till, incarnation=incarnation, seq=seq, action=action, op_id=op_id, clerk=clerk)
    click.echo(f"entry {seq} of {till}: {action}")


@settlement.command(help="Sign that the receipts FIRST to LAST (as printed) of a date are lost and never come.")
@CONFIG
@click.argument("first")
@click.argument("last")
@click.option("--date", required=True, help="Their business date, YYYY-MM-DD.")
@click.option("--evidence", required=True, help="What shows that they are lost.")
@click.option("--clerk", default="operator", show_default=True, help="Who signs.")
def lost(*, config_file: Path, first: str, last: str, date: str, evidence: str, clerk: str) -> None:
    """Declare receipts lost."""
    from syncref.server.losses import lose_receipts

    config = load_server(config_file)
    count = lose_receipts(config, first, last, date=date, evidence=evidence, clerk=clerk)
    click.echo(f"{count} receipts of {date} are declared lost: {first} to {last}")


@settlement.command(
    name="lost-entries",
    help="Sign that entries up to SEQ are lost: the till has pruned them and this server lacks them. "
    "SEQ and HASH are what the till's alarm `below_anchor` says.",
)
@CONFIG
@click.argument("till")
@click.argument("incarnation")
@click.argument("seq", type=click.IntRange(min=1))
@click.argument("hash_hex", metavar="HASH")
@click.option("--evidence", required=True, help="What shows that they are lost.")
@click.option("--clerk", default="operator", show_default=True, help="Who signs.")
def lost_entries(
    *, config_file: Path, till: str, incarnation: str, seq: int, hash_hex: str, evidence: str, clerk: str
) -> None:
    """Let a journal go on after entries that are lost."""
    from syncref.server.losses import lose_entries

    config = load_server(config_file)
    count = lose_entries(
        config, till=till, incarnation=incarnation, seq=seq, chain=hash_hex, evidence=evidence, clerk=clerk
    )
    click.echo(f"{count} entries of {till} are declared lost, its journal goes on after {seq}")


@click.command(help="Show the status of a till or a server.")
@click.option("--url", required=True, help="Base URL, e.g. https://head-office:9000")
@click.option("--clerk", help="Clerk's name; a server's full status needs a log-in, its health none.")
@click.option("--secret-file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SSL_CERT_FILE",
    help="PEM file of the authorities to believe; otherwise the system's.",
)
def status(url: str, clerk: str | None, secret_file: Path | None, ca_file: Path | None) -> None:
    """Print a status as JSON."""
    from syncref.server.client import fetch_status

    try:
        secret = secret_file.read_text(encoding="utf-8").strip() if secret_file else None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"--secret-file {secret_file} can't be read: {error}") from error
    click.echo(json.dumps(fetch_status(url, clerk, secret, ca_file), indent=2))
