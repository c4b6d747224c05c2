"""The shop's certificates: an authority of this run alone, and one certificate for each process that listens.

A certificate names every address by which its process is reached: by the lab, by other nodes, and through the
proxy. Authority and certificates are gone with the run's temporary folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chaos.fleet.base import PROXY, Fleet
from syncref.certificates import issue, make_authority

AUTHORITY = "authority"
LAB_NAMES = ("127.0.0.1", "localhost")


class Certificates:
    """Issues what the nodes of one run need; with `encrypted` False nothing, and every link is plain."""

    def __init__(self, fleet: Fleet, *, encrypted: bool) -> None:
        """Make the run's authority and have the fleet's requests believe it."""
        self._fleet = fleet
        self._folder = fleet.dir(AUTHORITY)
        self._encrypted = encrypted
        if encrypted:
            fleet.trust(make_authority(self._folder, name="rehearsal"))

    def shown_by(self, node: str) -> dict[str, Any]:
        """Return the configuration by which a node shows its certificate, or may be reached unencrypted."""
        if not self._encrypted:
            return {"plain_http": True}
        fleet = self._fleet
        hosts = [address.rpartition(":")[0] for address in (fleet.peer(node), fleet.peer(PROXY))]
        certificate, key = fleet.dir(node) / "tls.pem", fleet.dir(node) / "tls.key"
        names = tuple(dict.fromkeys((*LAB_NAMES, *hosts)))
        issue(self._folder, names, certificate_file=certificate, key_file=key)
        return {"certificate_file": certificate, "key_file": key}

    def known_by(self, node: str) -> dict[str, Any]:
        """Return the configuration by which a node knows the others: the authority, in its own folder."""
        if not self._encrypted:
            return {}
        return {"ca_file": copied(self._folder / "ca.pem", self._fleet.dir(node) / "ca.pem")}


def copied(source: Path, target: Path) -> Path:
    """Copy a file that everybody may read."""
    target.write_bytes(source.read_bytes())
    return target
