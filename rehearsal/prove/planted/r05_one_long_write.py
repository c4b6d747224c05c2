"""R5: the upload holds one SQLite write transaction open from the moment it sends until it is answered."""

from __future__ import annotations

from rehearsal.prove.planted import Planted, swap
from syncref.core.uplink_messages import SendBatch, SendHello, UplinkEvent
from syncref.till.uplink import Uplink


def plant() -> None:
    """Keep the database's only writer while a batch is under way."""
    send = Uplink._send

    def writing(self: Uplink, effect: SendHello | SendBatch) -> UplinkEvent:
        if isinstance(effect, SendHello):
            return send(self, effect)
        with self._database.step():
            return send(self, effect)

    swap(Uplink, "_send", writing)


PLANTED = Planted(
    id="R5",
    title="one long SQLite write transaction",
    fault="dead line and black hole",
    expected="experience",
    scenario="bad-line",
    kinds=("till",),
    plant=plant,
)
