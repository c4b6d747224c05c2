"""An embedded PostgreSQL for tests and benchmarks that is gone afterwards, however the run ends."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.fleet.smalldisk import mount
from syncref.server.embedded import EmbeddedPostgres

STOP_S = 60
# Ends when its input does, which is when this process closes the pipe or dies, also by kill -9.
_GUARD = """
import shutil, subprocess, sys
from pathlib import Path
from syncref.server.embedded import EmbeddedPostgres
sys.stdin.read()
folder = Path(sys.argv[1])
EmbeddedPostgres(folder=folder / "pg", settings={}).stop(mode="immediate")
if folder.is_mount():
    subprocess.run(["umount", str(folder)])
shutil.rmtree(folder, ignore_errors=True)
"""


@contextmanager
def running_postgres(disk_bytes: int = 0, **settings: str) -> Iterator[EmbeddedPostgres]:
    """Yield a running PostgreSQL in a folder of its own, or on a disk of that size (which needs root)."""
    folder = Path(tempfile.mkdtemp(prefix="syncref-test-pg-"))
    if disk_bytes:
        mount(folder, disk_bytes)
    folder.chmod(0o711)  # run by root, PostgreSQL is another account and has to get through
    guard = subprocess.Popen(
        [sys.executable, "-c", _GUARD, str(folder)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        server = EmbeddedPostgres(folder=folder / "pg", settings=settings)
        server.start()
        yield server
    finally:
        guard.communicate(timeout=STOP_S)
