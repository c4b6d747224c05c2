"""When which fault touched whom, and when a till had time to catch up.

Property kept: a till is excused only for the time in which a fault touched it, its link or the server.
"""

from __future__ import annotations

from rehearsal.model import FaultRecord, Meta

FOREVER_MS = 1 << 62
DOWN = frozenset(
    {"kill", "pause", "restart", "power_cut", "reimage_till", "memory_hog"}
)  # nobody can sell on a till that is gone


class Windows:
    """The fault windows of a run, in epoch ms of the lab's machine."""

    def __init__(self, meta: Meta) -> None:
        self.meta = meta
        self.spans: list[tuple[FaultRecord, int, int]] = []
        for fault in meta.faults:
            if not fault.ran:
                continue
            begin = fault.started_ms
            if begin is None:
                begin = meta.load.started_ms + round(fault.at_s * 1000)
            end = fault.ended_ms
            if end is None:
                end = begin + round(fault.for_s * 1000) if fault.healed else FOREVER_MS
            self.spans.append((fault, begin, end))

    def touches(self, fault: FaultRecord, till: str) -> bool:
        """Say whether a fault may be felt at a till: aimed at it, or at something that all share."""
        tills = set(self.meta.fleet.tills)
        return till in fault.targets or not set(fault.targets) <= tills

    def spans_for(self, till: str) -> list[tuple[int, int]]:
        """Return the windows that touch a till, in order of their beginning."""
        return sorted((begin, end) for fault, begin, end in self.spans if self.touches(fault, till))

    def down(self, till: str) -> list[tuple[int, int]]:
        """Return the windows in which a till's own process was gone or stopped."""
        return sorted((begin, end) for fault, begin, end in self.spans if till in fault.targets and is_down(fault))

    def calm(self, till: str, begin_ms: int, end_ms: int, needed_ms: int) -> bool:
        """Say whether a till had `needed_ms` without any fault between two instants."""
        at = begin_ms
        for begin, end in self.spans_for(till):
            if end <= at:
                continue
            if min(begin, end_ms) - at >= needed_ms:
                return True
            at = max(at, end)
        return end_ms - at >= needed_ms


def is_down(fault: FaultRecord) -> bool:
    """Say whether a fault stops or ends its targets' own processes."""
    return any(fault.kind.startswith(kind) for kind in DOWN)
