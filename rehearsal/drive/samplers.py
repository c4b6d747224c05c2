"""What is sampled while the shop sells: backlog and masters of every till, and the host itself.

Read from the witness databases, never from the system's own figures. A till that can't be read leaves a gap.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from chaos.caps.base import Counters
from chaos.host import HostMeter
from rehearsal.drive.threads import LabThread
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.evidence.export import write_rows
from rehearsal.witness import TillMark, Witness

EVERY_S = 1.0

Touched = Callable[[str], bool]


class Samplers:
    """One thread that samples once a second until stopped; `latest` serves the progress line."""

    def __init__(
        self,
        witness: Witness,
        tills: tuple[str, ...],
        *,
        settled: Touched,
        counters: Callable[[], Mapping[str, Counters]],
    ) -> None:
        """`settled(till)` says that no fault has touched the till for as long as it may be stale; `counters`
        returns the kernel's account of every node.
        """
        self._counters = counters
        self._witness = witness
        self._tills = tills
        self._settled = settled
        self._stop = threading.Event()
        self._thread = LabThread(self._run, name="samplers")
        self.backlog: list[tuple[int, str, int, int, int]] = []
        self.masters: list[tuple[int, str, int, int, int, int]] = []
        self.price_lags: list[tuple[str, str, int, int]] = []
        self.host: list[tuple[int, float, float, float, float, float]] = []
        self.nodes: list[tuple[int, str, float | None, float | None, float | None]] = []
        self._meter = HostMeter()
        self.latest: dict[str, tuple[int, int]] = {}
        self._cursors: dict[str, int] = {}
        self._totals: deque[tuple[float, int]] = deque(maxlen=6)

    def start(self) -> None:
        """Begin to sample."""
        self._meter.sample()
        self._thread.start()

    def stop(self) -> list[str]:
        """Stop and wait for the thread; return what was wrong with it."""
        self._stop.set()
        return self._thread.end(30)

    def rate_per_s(self) -> float:
        """Return journal entries per second on all tills together, over the last few seconds."""
        if len(self._totals) < 2:
            return 0.0
        (begun, before), (now, after) = self._totals[0], self._totals[-1]
        return (after - before) / max(0.1, now - begun)

    def write(self, folder: Path) -> None:
        """Write backlog.csv, masters_samples.csv, price_lag.csv, host.csv and nodes.csv."""
        write_rows(folder, "nodes", ("at_ms", "node", "cpu_s", "throttled_s", "memory_peak_mib"), self.nodes)
        write_rows(folder, "backlog", ("at_ms", "till", "head", "acked", "on_server"), self.backlog)
        write_rows(
            folder, "masters_samples", ("till", "at_ms", "online", "age_ms", "term_n", "cursor_pos"),
            ((till, at_ms, *rest) for at_ms, till, *rest in self.masters),
        )  # fmt: skip
        write_rows(folder, "price_lag", ("key", "till", "version", "lag_ms"), self.price_lags)
        write_rows(
            folder, "host",
            ("at_ms", "cpu_percent", "steal_percent", "load1", "memory_available_mib", "iowait_percent"),
            self.host,
        )  # fmt: skip

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + EVERY_S, time.monotonic())
            self._sample_host()
            self._sample_nodes()
            self._sample_tills()
            self._totals.append((time.monotonic(), sum(head for head, _ in self.latest.values())))

    def _sample_host(self) -> None:
        host = self._meter.sample()
        busy, steal, iowait = (round(100 * share, 1) for share in (host.busy, host.steal, host.iowait))
        available = round(host.memory_free_bytes / 2**20, 1)
        self.host.append((_now(), busy, steal, round(host.load, 2), available, iowait))

    def _sample_nodes(self) -> None:
        at_ms = _now()
        for node, counted in self._counters().items():
            peak = counted.memory_peak_bytes
            mib = None if peak is None else round(peak / 2**20, 1)
            self.nodes.append((at_ms, node, counted.cpu_used_s, counted.throttled_s, mib))

    def _sample_tills(self) -> None:
        try:
            durable = dict(self._witness.server().durable)
        except WitnessUnreadable:
            durable = {}
        for till in self._tills:
            with contextlib.suppress(WitnessUnreadable):
                mark = self._witness.till(till)
                on_server = durable.get((till, mark.incarnation), -1)
                self.backlog.append((_now(), till, mark.head, mark.acked, on_server))
                self.latest[till] = (mark.head, on_server if on_server >= 0 else mark.acked)
                self._sample_masters(till, mark)

    def _sample_masters(self, till: str, mark: TillMark) -> None:
        oldest = self._witness.oldest_change_ms(mark.cursor_pos)
        now = _now()
        age = 0 if oldest is None else max(0, now - oldest)
        settled = self._settled(till) and mark.loaded  # what a till is loading it does not sell by yet
        self.masters.append((now, till, int(settled), age, mark.cursor_n, mark.cursor_pos))
        before = self._cursors.get(till, mark.cursor_pos)
        self._cursors[till] = mark.cursor_pos
        if settled and before < mark.cursor_pos:
            for key, version, at_ms in self._witness.prices_changed(before, mark.cursor_pos):
                self.price_lags.append((key, till, version, max(0, now - at_ms)))


def _now() -> int:
    return time.time_ns() // 1_000_000
