"""F20: a till notes on its disk that it is syncing; killed meanwhile, it believes that note for ever."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from chaos.fleet.simulated.disk import Disk
from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.uploader import Uploader
from syncref.core.uplink_messages import SendBatch
from syncref.domain.identity import Mark
from syncref.wire.sync import Ack

_send_batch, _heard, _wake, _sold = Uploader._send_batch, Uploader._heard, Uploader.wake, Uploader.sold
_NOTED: WeakKeyDictionary[Disk, int] = WeakKeyDictionary()  # in which start it was noted


def send_batch(self: Uploader, effect: SendBatch) -> None:
    """Note it first."""
    _NOTED[self.till.disk] = self.till.boot
    _send_batch(self, effect)


def heard(self: Uploader, request: int, answer: object) -> None:
    """Take the note away with the ack."""
    if isinstance(answer, Ack):
        _NOTED.pop(self.till.disk, None)
    _heard(self, request, answer)


def _another_syncs(self: Uploader) -> bool:
    return _NOTED.get(self.till.disk, self.till.boot) != self.till.boot


def wake(self: Uploader, *, now: bool) -> None:
    """Leave it to whoever is at it."""
    if not _another_syncs(self):
        _wake(self, now=now)


def sold(self: Uploader, head: Mark, *, wake: bool) -> None:
    """Leave it to whoever is at it."""
    if not _another_syncs(self):
        _sold(self, head, wake=wake)


MUTANT = Mutant(
    id="F20",
    title="a kill in mid-sync blocks the sync",
    fault="till kill, partition",
    expected="drain",
    profile=Profile(misfortunes={"kill_till": 4.0, "black": 3.0}, sales=12),
    swaps=[
        (Uploader, "_send_batch", send_batch),
        (Uploader, "_heard", heard),
        (Uploader, "wake", wake),
        (Uploader, "sold", sold),
    ],
)
