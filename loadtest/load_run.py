"""What the seats of one process share: plan, goods, history files, samples, and receipts known so far."""

from __future__ import annotations

import csv
import time
from collections import defaultdict, deque
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from loadtest.baskets import Paper
from loadtest.catalogue import Catalogue
from loadtest.history import History, now_ms
from loadtest.latency import Samples
from loadtest.plan import Plan

PAPERS_KEPT = 200


class Papers:
    """Receipts that customers hold, by till; each is given out once, to a refund or to a void."""

    def __init__(self) -> None:
        self._by_till: dict[str, deque[Paper]] = defaultdict(lambda: deque(maxlen=PAPERS_KEPT))

    def keep(self, paper: Paper) -> None:
        """Add a receipt; the oldest of a till is forgotten when there are too many."""
        self._by_till[paper.till].append(paper)

    def take(self, *, till: str, back: float, foreign: bool) -> Paper | None:
        """Return and forget a receipt of this till, or of another one if `foreign` and there is one."""
        others = sorted(name for name, papers in self._by_till.items() if name != till and papers)
        name = others[int(back * len(others))] if foreign and others else till
        papers = self._by_till[name]
        if not papers:
            return None
        index = int(back * len(papers))
        paper = papers[index]
        del papers[index]
        return paper


class PairSamples:
    """samples-<worker>.csv: two prices that belong together, as a till showed them in one answer."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._file: IO[str] = (folder / f"samples-{worker}.csv").open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(("till", "at_ms", "pair", "a", "b"))

    def add(self, *, till: str, at_ms: int, pair: str, a: int, b: int) -> None:
        """Write one sample."""
        self._writer.writerow((till, at_ms, pair, a, b))

    def close(self) -> None:
        """Flush and close."""
        self._file.close()


class LoadRun:
    """One process's part of a load run, from the first seat taken to the end lines of its histories."""

    def __init__(self, plan: Plan, catalogue: Catalogue, *, worker_index: int, samples: Samples) -> None:
        """Open the run. `worker_index` tells this process from the others of the same run."""
        self.plan = plan
        self.catalogue = catalogue
        self.samples = samples
        self.papers = Papers()
        self.broken = 0
        self.run_key = plan.run_key if plan.start_at_ms is not None else f"{plan.seed}-{time.time_ns()}"
        self._worker_index = worker_index
        self._folder = Path(plan.out_dir)
        self._histories: dict[str, History] = {}
        self._pair_samples: PairSamples | None = None

    def note_broken(self, greenlet: object) -> None:
        """Count a customer whom the generator itself failed to serve."""
        del greenlet
        self.broken += 1

    @property
    def business_date(self) -> str:
        """The plan's business date, or today's."""
        return self.plan.business_date or datetime.now(tz=UTC).astimezone().date().isoformat()

    @property
    def deadline_s(self) -> float:
        """How long an answer is waited for, in seconds."""
        return self.plan.sale_deadline_ms / 1000

    def begin_s(self) -> float:
        """Return the schedule's zero on the monotonic clock."""
        if self.plan.start_at_ms is None:
            return time.monotonic()
        return time.monotonic() + (self.plan.start_at_ms - now_ms()) / 1000

    def history(self, kind: str) -> History:
        """Return this process's history for a kind of seat: c<n> for cashiers, b<n> for clerks."""
        history = self._histories.get(kind)
        if history is None:
            letter = "c" if kind == "cashier" else "b"
            history = self._histories[kind] = History(self._folder, f"{letter}{self._worker_index}")
        return history

    def pair_samples(self) -> PairSamples:
        """Return this process's file of pair samples."""
        if self._pair_samples is None:
            self._pair_samples = PairSamples(self._folder, self.history("cashier").worker)
        return self._pair_samples

    def close(self) -> None:
        """Write the end lines and close the files."""
        for history in self._histories.values():
            history.end()
        self._histories.clear()
        if self._pair_samples is not None:
            self._pair_samples.close()
            self._pair_samples = None
