"""Which misfortunes bit: each is counted where it was felt, not where it was planned.

A schedule in which nothing went wrong proves nothing, so what `simulate` tells is how often each bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

# What is counted, in the order in which it is told. What has not bitten is told with a nought.
KINDS: dict[str, str] = {
    "power.lost": "power cuts that lost unsynced writes",
    "power.torn": "power cuts that left a torn tail",
    "kill.till": "tills killed between two effects",
    "kill.server": "servers killed between two effects",
    "net.cut": "requests refused by a cut link",
    "net.black": "messages swallowed without a word",
    "net.drop": "messages dropped",
    "net.answer": "answers lost after what they answer was done",
    "net.late": "messages delayed",
    "net.repeat": "messages repeated",
    "net.reorder": "messages overtaken by later ones",
    "net.stall": "messages held by a stalled link",
    "clock.jump": "sales after a till's clock had jumped",
    "clock.drift": "sales by a clock that drifts",
    "disk.till": "commits refused by a till's full disk",
    "disk.unknown": "commits of which the till could not know the outcome",
    "disk.server": "transactions refused by a server's full disk",
    "poison": "entries that the server could not store",
    "lag": "standbys whose replication stood still",
    "promote": "promotions",
    "promote.lag": "promotions that lost transactions",
    "fence": "servers fenced",
    "restore": "restores that lost transactions",
    "reimage": "tills re-imaged",
    "scrap": "tills that died for good",
    "rollback": "tills whose disk was rolled back",
    "clone": "tills cloned",
    "rebase": "journals continued under a new key",
    "uploader": "batches of a second uploader",
    "tombstones": "tombstones forgotten",
    "manual": "masters synced by hand beside the schedule",
    "open": "days opened",
    "sale": "sales that were told",
    "refund": "refunds that were told",
    "void": "voids that were told",
    "repeat": "answered operations asked again",
    "edited": "baskets edited under a used op id",
    "close": "days closed",
    "document": "documents of clerks that were ok",
    "at_risk": "documents of clerks at risk",
}


class Bites:
    """Counts of one schedule. `killed` says before which effects nodes were killed."""

    __slots__ = ("counts", "killed")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()

    def count(self, kind: str) -> None:
        """Count one that was felt."""
        self.counts[kind] += 1

    def kill(self, machine: str, effect: str) -> None:
        """Count a node that was killed before an effect."""
        self.counts[f"kill.{machine}"] += 1
        self.killed[f"{machine} before {effect}"] += 1


def told(counts: Mapping[str, int], schedules: Mapping[str, int], killed: Mapping[str, int]) -> list[str]:
    """Return lines that say how often each misfortune bit, and in how many schedules."""
    lines = [f"{'times':>10} {'schedules':>10}  what bit"]
    lines += [f"{counts.get(kind, 0):>10,} {schedules.get(kind, 0):>10,}  {what}" for kind, what in KINDS.items()]
    if killed:
        places = ", ".join(f"{place} ({count:,})" for place, count in sorted(killed.items()))
        lines.append(f"killed between effects in {len(killed)} places: {places}")
    return lines
