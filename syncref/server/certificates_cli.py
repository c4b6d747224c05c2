"""Commands that make a shop's own certificates: provision ca, provision certificate."""

from __future__ import annotations

from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)
_DAYS = click.IntRange(1, 36_500)


@click.command(
    name="ca", help="Make the shop's own certificate authority: ca.pem for everybody, ca.key for nobody."
)
@click.option(
    "--folder", type=_FOLDER, required=True, help="Where ca.pem and ca.key are to be; keep ca.key apart."
)
@click.option("--name", default="syncref", show_default=True, help="Whose authority it is.")
@click.option("--days", type=_DAYS, default=3650, show_default=True, help="How long it is valid.")
def provision_ca(folder: Path, name: str, days: int) -> None:
    """Make an authority."""
    from syncref.certificates import make_authority

    click.echo(f"authority {make_authority(folder, name=name, days=days)}")


@click.command(name="certificate", help="Issue a certificate and its key; running processes take them within 2 s.")
@click.option("--ca", "authority", type=_FOLDER, required=True, help="The authority's folder.")
@click.option("--name", "names", multiple=True, required=True, help="Host name or address, as callers write it.")
@click.option("--certificate", "certificate_file", type=_FILE, required=True, help="PEM file to write.")
@click.option("--key", "key_file", type=_FILE, required=True, help="PEM file to write, readable by its owner.")
@click.option("--days", type=_DAYS, default=365, show_default=True, help="How long it is valid.")
def provision_certificate(
    authority: Path, names: tuple[str, ...], certificate_file: Path, key_file: Path, days: int
) -> None:
    """Issue a certificate."""
    from syncref.certificates import issue

    end = issue(authority, names, certificate_file=certificate_file, key_file=key_file, days=days)
    click.echo(f"certificate {certificate_file} for {', '.join(names)}, valid until {end:%Y-%m-%d %H:%M} UTC")
