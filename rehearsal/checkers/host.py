"""Whether the machine under the lab was at its limit, so that slowness says nothing about the system."""

from __future__ import annotations

from rehearsal.checkers.case import Case

BUSY_MAX_PERCENT = 97.0  # of all cores, over a window
STEAL_MAX_PERCENT = 20.0
WINDOW_S = 30.0


def figures(case: Case) -> dict[str, float]:
    """Return the worst window's busy and stolen share of the CPU during the load, in percent."""
    load = case.meta.load
    end_ms = load.ended_ms + round((case.meta.drain.took_s if case.meta.drain else 0) * 1000)
    samples = [
        (int(row["at_ms"]), float(row["cpu_percent"] or 0), float(row.get("steal_percent") or 0))
        for row in case.evidence.rows_if_any("host.csv")
    ]
    during = [sample for sample in samples if load.started_ms <= sample[0] <= end_ms]
    if not during:
        return {}
    return {
        "host.busy_percent": _worst_window([(at_ms, busy) for at_ms, busy, _ in during]),
        "host.steal_percent": _worst_window([(at_ms, steal) for at_ms, _, steal in during]),
    }


def saturated(case: Case) -> str:
    """Return in words how the host was at its limit; empty when it was not, or nobody measured."""
    found = figures(case)
    busy, steal = found.get("host.busy_percent", 0.0), found.get("host.steal_percent", 0.0)
    said = []
    if busy > BUSY_MAX_PERCENT:
        said.append(f"{busy:.0f} % busy for {WINDOW_S:.0f} s (limit {BUSY_MAX_PERCENT:g} %)")
    if steal > STEAL_MAX_PERCENT:
        said.append(f"{steal:.0f} % stolen for {WINDOW_S:.0f} s (limit {STEAL_MAX_PERCENT:g} %)")
    return ", ".join(said)


def _worst_window(samples: list[tuple[int, float]]) -> float:
    """Return the highest mean over WINDOW_S; 0 when the samples don't fill one: a burst is no saturation."""
    worst, total, first = 0.0, 0.0, 0
    for place, (at_ms, value) in enumerate(samples):
        total += value
        while at_ms - samples[first][0] >= WINDOW_S * 1000:
            worst = max(worst, total / (place - first + 1))
            total -= samples[first][1]
            first += 1
    return worst
