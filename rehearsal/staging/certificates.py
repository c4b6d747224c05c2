"""The shop's certificates: an authority of this run alone, and one certificate for each process that listens.

Every process is reached at this machine's own address, directly and through the proxies, so that is the name
in all of them; a till that was led to another process would still find another cluster there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chaos.fleet.process import HOST, ProcessFleet
from syncref.certificates import issue, make_authority

AUTHORITY = "authority"


def stage_authority(fleet: ProcessFleet) -> Path:
    """Make the run's authority, have the fleet's requests believe it, and return its certificate's file."""
    ca_file = make_authority(fleet.dir(AUTHORITY), name=fleet.work.name)
    fleet.trust(ca_file)
    return ca_file


def certified(fleet: ProcessFleet, node: str) -> dict[str, Any]:
    """Return the keys by which a node shows a certificate; none when the run is unencrypted."""
    authority = fleet.dir(AUTHORITY)
    if not (authority / "ca.pem").exists():
        return {}
    files = {"certificate_file": fleet.dir(node) / "tls.pem", "key_file": fleet.dir(node) / "tls.key"}
    issue(authority, (HOST, "localhost"), **files)
    return dict(files)


def believing(fleet: ProcessFleet) -> dict[str, Any]:
    """Return the key by which a node knows the others; none when the run is unencrypted."""
    ca_file = fleet.dir(AUTHORITY) / "ca.pem"
    return {"ca_file": ca_file} if ca_file.exists() else {}
