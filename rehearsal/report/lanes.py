"""The timeline's lanes: when each stage and fault was, and which tills a fault was aimed at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from rehearsal.model import FaultRecord, RunRecord
from rehearsal.report.chart import Band

LANES_MAX = 60
INSTANT_S = 0.5  # how long a fault of an instant is drawn
_WORD = re.compile(r"[A-Z0-9-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A bar on the time axis: `left` and `width` in per cent; `tone` is good, bad, open or stage."""

    label: str
    note: str
    tone: str
    left: float
    width: float


def fault_lanes(record: RunRecord, duration_s: float) -> tuple[Lane, ...]:
    """Return a lane for each fault that was run, in the order of their times."""
    return tuple(_lane(fault, *fault_span(record, fault), duration_s) for fault in _drawn(record))


def stage_lanes(record: RunRecord, duration_s: float) -> tuple[Lane, ...]:
    """Return a lane for each stage."""
    return tuple(
        Lane(
            label=stage.title or stage.name,
            note={True: "passed", False: "not passed", None: "not seen to its end" * stage.unseen}[stage.passed],
            tone="bad" if stage.passed is False or stage.unseen else "stage",
            left=_share(stage.started_s, duration_s),
            width=_share(stage.ended_s, duration_s) - _share(stage.started_s, duration_s),
        )
        for stage in record.meta.stages
    )


def fault_bands(record: RunRecord, till: str | None = None) -> tuple[Band, ...]:
    """Return the spans in which the same faults were on, of all or of those that a till could feel."""
    spans = [
        (fault_name(fault), *fault_span(record, fault))
        for fault in _drawn(record)
        if till is None or touches(fault, till, record.meta.fleet.tills)
    ]
    spans = [(name, start, max(end, start + INSTANT_S)) for name, start, end in spans]
    edges = sorted({edge for _, start, end in spans for edge in (start, end)})
    found = []
    for left, right in pairwise(edges):
        names = [name for name, start, end in spans if start < right and end > left]
        if names:
            found.append(Band(label=", ".join(names), from_s=left, to_s=right, depth=len(names)))
    return tuple(found)


def stage_bands(record: RunRecord) -> tuple[Band, ...]:
    """Return the spans of every other stage, so that their borders show."""
    return tuple(
        Band(label=stage.title or stage.name, from_s=stage.started_s, to_s=stage.ended_s, kind="stage")
        for stage in record.meta.stages[1::2]
    )


def fault_name(fault: FaultRecord) -> str:
    """Return a fault's kind and targets."""
    return f"{fault.kind.replace('_', ' ')} {', '.join(fault.targets)}".replace("->", " → ").strip()


def touches(fault: FaultRecord, till: str, tills: tuple[str, ...]) -> bool:
    """Say whether a fault was aimed at a till or its link, or at something that all tills share."""
    words = {word for target in fault.targets for word in _WORD.findall(target)}
    return till in words or not words & set(tills)


def fault_span(record: RunRecord, fault: FaultRecord) -> tuple[float, float]:
    """Return from when to when a fault lasted, as it really was; seconds since the load's start."""
    start = record.meta.load.started_ms
    began = fault.at_s if fault.started_ms is None else (fault.started_ms - start) / 1000
    ended = began + fault.for_s if fault.ended_ms is None else (fault.ended_ms - start) / 1000
    return began, max(ended, began)


def _drawn(record: RunRecord) -> list[FaultRecord]:
    """Return the faults that were run, by time, as many as a reader can tell apart."""
    return sorted((fault for fault in record.meta.faults if fault.ran), key=lambda fault: fault.at_s)[:LANES_MAX]


def _lane(fault: FaultRecord, began: float, ended: float, duration_s: float) -> Lane:
    left = _share(began, duration_s)
    return Lane(
        label=fault_name(fault),
        note={True: "bit", False: "did not bite", None: "not known whether it bit"}[fault.bit],
        tone={True: "good", False: "bad", None: "open"}[fault.bit],
        left=left,
        width=_share(ended, duration_s) - left,
    )


def _share(at_s: float, duration_s: float) -> float:
    return round(100 * min(max(at_s / duration_s, 0.0), 1.0), 2)
