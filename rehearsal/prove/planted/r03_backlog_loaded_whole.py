"""R3: while the server is away, every try loads the whole backlog into memory and keeps it for the next."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import text

from rehearsal.prove.planted import Planted, swap
from syncref.core.uplink_messages import UplinkState
from syncref.domain.identity import Mark
from syncref.till.uplink import Uplink
from syncref.wire.entry import decode_entry

TRIES = 60
BACKLOG = text("SELECT payload FROM journal WHERE seq > :acked ORDER BY seq")


def plant() -> None:
    """Load at every sale, as often as the back-off tries in between; let go once the server has it all."""
    wake, stepped = Uplink.wake, Uplink.stepped
    kept: list[Any] = []

    def loading(self: Uplink, head: Mark) -> None:
        if not self._progress.online:
            for _ in range(TRIES):
                with self._database.read() as connection:
                    rows = connection.execute(BACKLOG, {"acked": self._progress.acked}).fetchall()
                kept.append([msgspec.to_builtins(decode_entry(bytes(row.payload))) for row in rows])
        wake(self, head)

    def released(self: Uplink, state: UplinkState) -> None:
        stepped(self, state)
        if state.acked >= state.head.seq:
            kept.clear()

    swap(Uplink, "wake", loading)
    swap(Uplink, "stepped", released)


PLANTED = Planted(
    id="R3",
    title="backlog loaded whole",
    fault="memory limit, long cut",
    expected="experience",
    scenario="till-trouble",
    kinds=("till",),
    plant=plant,
)
