"""R9: a connection that breaks ends the upload's thread, until the till is restarted."""

from __future__ import annotations

from rehearsal.prove.planted import Planted, swap
from syncref.core.uplink_messages import SendBatch, SendHello, TransportFailed, UplinkEvent
from syncref.till.uplink import Uplink


def plant() -> None:
    """Let a transport failure escape from the thread."""
    send = Uplink._send

    def fragile(self: Uplink, effect: SendHello | SendBatch) -> UplinkEvent:
        answer = send(self, effect)
        if isinstance(answer, TransportFailed):
            raise SystemExit
        return answer

    swap(Uplink, "_send", fragile)


PLANTED = Planted(
    id="R9",
    title="sync thread dies until restart",
    fault="reset",
    expected="drain",
    scenario="bad-line",
    kinds=("till",),
    plant=plant,
)
