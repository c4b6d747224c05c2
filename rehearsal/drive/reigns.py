"""Who is live, by the servers' databases over time: one row whenever a server's role, term or fence changes.

Read by SQL twice a second; a database that does not answer is `silent`. What the servers say is never asked.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from rehearsal.drive.threads import LabThread
from rehearsal.evidence.export import write_rows
from rehearsal.witness import Reigning, Witness

EVERY_S = 0.25
COLUMNS = ("at_ms", "server", "role", "term_n", "term_id", "written", "received", "replayed")
Row = tuple[int, str, str, int | str, str, int | str, int | str, int | str]


class Reigns:
    """A thread for each server that looks until stopped; `latest` has each server's last look.

    One that stands still keeps nobody waiting for what the other one is.
    """

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._stop = threading.Event()
        several = len(witness.servers()) > 1
        self._threads = [
            LabThread(self._run, server, name=f"reign of {server}") for server in witness.servers() * several
        ]
        self._seen: dict[str, tuple[str, int | str, str]] = {}
        self.rows: list[Row] = []
        self.latest: dict[str, Reigning | None] = {}
        self._told: dict[str, str] = {}

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> list[str]:
        """Stop and wait for the threads; return what was wrong with them."""
        self._stop.set()
        return [trouble for thread in self._threads for trouble in thread.end(15)]

    def write(self, folder: Path) -> None:
        """Write reigns.csv, where there is more than one server."""
        if len(self._witness.servers()) > 1:
            write_rows(folder, "reigns", COLUMNS, sorted(self.rows))

    def role(self, server: str) -> str:
        """Return a server's role at the last look."""
        reign = self.latest.get(server)
        return "silent" if reign is None else reign.role

    def highest(self) -> int | None:
        """Return the highest term that a server's database told so far, None when none did."""
        return max((term_n for *_, term_n, _, _, _, _ in self.rows if isinstance(term_n, int)), default=None)

    def told(self, server: str) -> str:
        """Return the last role that a server's database told, however long it has been silent since; or ""."""
        return self._told.get(server, "")

    def _run(self, server: str) -> None:
        while not self._stop.wait(EVERY_S):
            self.look(server)

    def look(self, server: str) -> None:
        """Note what a server's database is, if that has changed."""
        reign = self._witness.reigning(server)
        self.latest[server] = reign
        now = time.time_ns() // 1_000_000
        if reign is None:
            key: tuple[str, int | str, str] = ("silent", "", "")
            row: Row = (now, server, "silent", "", "", "", "", "")
        else:
            self._told[server] = reign.role
            key = (reign.role, reign.term_n, reign.term_id)
            positions = ("" if one is None else one for one in (reign.written, reign.received, reign.replayed))
            written, received, replayed = positions
            row = (now, server, *key, written, received, replayed)
        if self._seen.get(server) != key:
            self._seen[server] = key
            self.rows.append(row)
