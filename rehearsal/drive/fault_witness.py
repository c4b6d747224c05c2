"""What faults may ask to learn whether they bit, answered from databases and the cashiers' histories."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from chaos.witness import ServerLog
from rehearsal.drive.till_api import Refused, call
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.witness import Witness

REACH_TIMEOUT_S = 1.0
LAST_SALE = (
    "SELECT at_ms FROM receipt WHERE incarnation = (SELECT incarnation FROM till) ORDER BY seq DESC LIMIT 1"
)


class FaultWitness:
    """Implements chaos.witness.Witness; None wherever it can't be told."""

    def __init__(self, witness: Witness, *, urls: dict[str, str], histories: Path) -> None:
        self._witness = witness
        self._urls = urls
        self._histories = histories
        self._read_to: dict[Path, int] = {}
        self._refused: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def server_seq(self, till: str) -> int | None:
        """Return what the server holds of the till's present journal."""
        try:
            return self._witness.durable_seq(till)
        except WitnessUnreadable:
            return None

    def till_head(self, till: str) -> int | None:
        """Return the last sequence in the till's journal."""
        try:
            return self._witness.head(till)
        except WitnessUnreadable:
            return None

    def till_acked(self, till: str) -> int | None:
        """Return the last sequence that the till knows to be on the server."""
        try:
            return self._witness.acked(till)
        except WitnessUnreadable:
            return None

    def till_reachable(self, till: str) -> bool:
        """Tell whether the till answers a cashier."""
        try:
            call(f"{self._urls[till]}/v1/health", None, timeout_s=REACH_TIMEOUT_S)
        except Refused:
            return False
        return True

    def till_last_sale_ms(self, till: str) -> int | None:
        """Return the time on the till's latest receipt."""
        try:
            rows = self._witness.till_rows(till, LAST_SALE)
        except WitnessUnreadable:
            return None
        return int(rows[0][0]) if rows else None

    def log_of(self, server: str) -> ServerLog | None:
        """Return what a server's database is and how far its log is."""
        reign = self._witness.reigning(server)
        if reign is None:
            return None
        return ServerLog(
            role=reign.role, term_n=reign.term_n, written=reign.written, received=reign.received,
            replayed=reign.replayed, paused=reign.replay_paused,
        )  # fmt: skip

    def refusals(self, till: str, code: str) -> int | None:
        """Return how often cashiers were refused at a till with a code, by their histories."""
        with self._lock:
            for path in self._histories.glob("history-c*.jsonl"):
                self._count(path)
            return self._refused[till, code]

    def _count(self, path: Path) -> None:
        """Read the whole lines that were added since the last reading."""
        with path.open("rb") as file:
            file.seek(self._read_to.get(path, 0))
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read_to[path] = self._read_to.get(path, 0) + len(whole)
        for line in whole.splitlines():
            if b'"fail"' in line:
                row: dict[str, Any] = json.loads(line)
                if row.get("type") == "fail":
                    self._refused[str(row.get("till")), str(row.get("code"))] += 1
