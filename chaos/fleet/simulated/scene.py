"""What every node of a simulated chain works with: time, chance, ids, the judge's eyes, the transcript."""

from __future__ import annotations

from random import Random

from chaos.fleet.simulated.bites import Bites
from chaos.fleet.simulated.history import History
from chaos.fleet.simulated.loop import Loop
from chaos.fleet.simulated.network import REQUEST_TIMEOUT_MS
from chaos.fleet.simulated.plan import Plan
from chaos.fleet.simulated.watch import Watch
from syncref.core.downlink_messages import DownlinkOptions
from syncref.core.uplink_messages import UplinkOptions

CLUSTER = "sim"
EPOCH_MS = 1_767_225_600_000
TABLES = ("tax_rate", "product", "price", "goods_receipt", "stock")


class Scene:
    """`draw` is the schedule's own chance; ids come from a stream of their own. `poison`: op ids of bad sales."""

    watch: Watch

    def __init__(self, plan: Plan, *, transcript: list[str] | None) -> None:
        self.plan = plan
        self.transcript = transcript
        self.cluster = CLUSTER
        self.epoch_ms = EPOCH_MS
        self.loop = Loop()
        self.draw = Random(f"draw/{plan.seed}")  # noqa: S311
        self._ids = Random(f"ids/{plan.seed}")  # noqa: S311
        self.timelines = 1
        self.retention_ms = plan.retention_ms
        self.uplink_options = UplinkOptions(
            cluster=CLUSTER,
            servers=2,
            batch_entries=plan.batch_entries,
            backoff_max_ms=2000,
            keepalive_ms=plan.settings.get("keepalive_ms", 3000),
        )
        self.downlink_options = DownlinkOptions(
            cluster=CLUSTER,
            servers=2,
            wait_ms=plan.settings.get("wait_ms", 4000),
            backoff_max_ms=2000,
            page_rows=plan.page_rows,
            good_ms=REQUEST_TIMEOUT_MS // 4,
            tables=TABLES,
        )
        self.history = History()
        self.bites = Bites()
        self.poison: set[bytes] = set()

    def fresh(self) -> bytes:
        """Return 16 random bytes."""
        return self._ids.randbytes(16)

    def next_timeline(self) -> int:
        """Return a timeline that no database has been on."""
        self.timelines += 1
        return self.timelines

    def note(self, text: str) -> None:
        """Write a line of the transcript."""
        if self.transcript is not None:
            self.transcript.append(f"{self.loop.now:>8}  {text}")
