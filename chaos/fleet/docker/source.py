"""Which source an image carries, so that nobody rehearses yesterday's code by mistake.

    python3 -m chaos.fleet.docker.source        # prints the digest of what is installed

The digest covers what containers run: the system under test, the proxy, and the till's own PostgreSQL.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
COVERED = ("syncref", "chaos/proxy", "chaos/fleet/docker/source.py", "chaos/fleet/withpostgres.py")


def digest(root: Path = ROOT) -> str:
    """Return a digest of the Python files below `root` that containers run."""
    total = hashlib.sha256()
    for name in COVERED:
        place = root / name
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        for file in files:
            total.update(f"{file.relative_to(root)}\0".encode())
            total.update(file.read_bytes())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    print(digest())
