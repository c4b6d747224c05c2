"""Series over time, from the evidence's samples: seconds since the load's start."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from rehearsal.evidence.reader import Evidence
from rehearsal.report.chart import Points
from rehearsal.report.forgiving import integer, real, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class TillTimes:
    """What a till's cashiers waited, over the run; milliseconds, None where all were refused."""

    till: str
    asked: int
    worst_p99_ms: float | None
    max_ms: float | None
    refused: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """By second: the middle till's p50 and the worst till's p99; and each till's totals."""

    p50: Points
    p99: Points
    tills: tuple[TillTimes, ...]


def since(text: str | None, start_ms: int) -> float | None:
    """Return seconds since the load's start of a time in seconds or milliseconds, of the epoch or relative.

    What was sampled before the start is left out: None.
    """
    value = real(text)
    if value is None or value < 1e8:
        return value
    seconds = (value - start_ms) / 1000 if value > 1e11 else value - start_ms // 1000
    return seconds if seconds >= 0 else None


def column(evidence: Evidence, name: str, *, at: str, value: str, start_ms: int, gaps: list[str]) -> Points:
    """Return one column of a sampled file over time."""
    found = [(since(row.get(at), start_ms), real(row.get(value))) for row in rows(evidence, name, gaps)]
    return tuple(sorted((when, what) for when, what in found if when is not None and what is not None))


def counted(points: Points) -> Points:
    """Return one point for each second from the first to the last; a second that counted nothing is zero."""
    known = {int(at): value for at, value in points}
    return tuple((float(s), known.get(s, 0.0)) for s in range(min(known), max(known) + 1)) if known else ()


def latency(evidence: Evidence, *, start_ms: int, gaps: list[str]) -> Latency:
    """Return what latency.csv tells."""
    middle: dict[float, list[float]] = defaultdict(list)
    worst: dict[float, float] = {}
    totals: dict[str, TillTimes] = {}
    for row in rows(evidence, "latency.csv", gaps):
        at, p50, p99 = since(row.get("second"), start_ms), real(row.get("p50_ms")), real(row.get("p99_ms"))
        till, n = row.get("till") or "?", integer(row.get("n")) or 0
        if at is None or not n:  # nobody was due: only the generator's lateness
            continue
        before = totals.get(till) or TillTimes(
            till=till, asked=0, worst_p99_ms=None, max_ms=None, refused=0, unknown=0
        )
        totals[till] = TillTimes(
            till=till,
            asked=before.asked + n,
            worst_p99_ms=_higher(before.worst_p99_ms, p99),
            max_ms=_higher(before.max_ms, real(row.get("max_ms"))),
            refused=before.refused + (integer(row.get("fail")) or 0),
            unknown=before.unknown + (integer(row.get("info")) or 0),
        )
        if p50 is not None and p99 is not None:  # all were refused: counted, not timed
            middle[at].append(p50)
            worst[at] = max(worst.get(at, 0), p99)
    return Latency(
        p50=tuple((at, sorted(values)[len(values) // 2]) for at, values in sorted(middle.items())),
        p99=tuple(sorted(worst.items())),
        tills=tuple(totals[till] for till in sorted(totals)),
    )


def _higher(a: float | None, b: float | None) -> float | None:
    """Return the higher of two, the other where one is not known."""
    return max((value for value in (a, b) if value is not None), default=None)


def backlog(evidence: Evidence, *, start_ms: int, gaps: list[str]) -> dict[str, Points]:
    """Return, by till, how many journal entries the server did not have yet.

    on_server is -1 where the server's database could not be read: then what the till knew as acked counts.
    """
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows(evidence, "backlog.csv", gaps):
        at, head, there = (
            since(row.get("at_ms"), start_ms),
            integer(row.get("head")),
            integer(row.get("on_server")),
        )
        there = integer(row.get("acked")) if there is not None and there < 0 else there
        if at is not None and head is not None and there is not None:
            found[row.get("till") or "?"].append((at, float(max(head - there, 0))))
    return {till: tuple(sorted(points)) for till, points in sorted(found.items())}
