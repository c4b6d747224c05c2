"""Which resource was at its limit while a threshold broke, from what was sampled each second.

Named in the order in which they explain: a till that hit its own cap explains its own slowness, whatever the
machine did; a busy machine explains everything only when no cap did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rehearsal.evidence.reader import Evidence
from rehearsal.model import Machine

NEAR = 0.9  # of a cap
HOST_BUSY_PERCENT = 95.0
IOWAIT_PERCENT = 30.0
ONE_THREAD = 0.9  # of one processor: a single-threaded process can't take more
LATE_MS = 250.0
LOAD = "load"
POSTGRES = "postgres"  # in the name of each node that is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time in epoch ms."""

    begin_ms: int
    end_ms: int

    def holds(self, at_ms: float) -> bool:
        """Whether an instant lies in it."""
        return self.begin_ms <= at_ms < self.end_ms


def ran_out(evidence: Evidence, machines: Sequence[Machine], span: Span) -> tuple[str, ...]:
    """Return what was at its limit within a span, the best explanation first; else what was nearest."""
    cores = cores_used(evidence, span)
    found = [*_caps(machines, cores), *_memory(machines), *_threads(machines, cores)]
    busy, iowait = _host(evidence, span)
    if busy >= HOST_BUSY_PERCENT:
        largest = sorted(cores.items(), key=lambda item: -item[1])[:4]
        shares = ", ".join(f"{node} {used:.2f}" for node, used in largest)
        found.append(f"the machine's processors ({busy:.0f} % busy; cores used: {shares or 'not counted'})")
    if iowait >= IOWAIT_PERCENT:
        found.append(f"the machine's disk ({iowait:.0f} % of the time waiting for it)")
    late = _late(evidence, span)
    if late >= LATE_MS:
        found.append(f"the load generator (up to {late:.0f} ms late)")
    return tuple(found or _nearest(machines, cores))


def _nearest(machines: Sequence[Machine], cores: Mapping[str, float]) -> list[str]:
    """What was nearest to its cap, where nothing was at one."""
    capped = [one for one in machines if one.cpu_limit_share and one.node in cores]
    if not capped:
        return []
    one = max(capped, key=lambda machine: cores[machine.node] / (machine.cpu_limit_share or 1))
    used = f"{cores[one.node]:.2f} of {one.cpu_limit_share:.2f} cores"
    return [f"nothing that is watched; nearest was the processor of {one.node} ({used})"]


def cores_used(evidence: Evidence, span: Span) -> dict[str, float]:
    """Return each node's mean use of processors within a span, in cores, where the kernel counts it."""
    seen: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in evidence.rows_if_any("nodes.csv"):
        if row["cpu_s"] and span.holds(int(row["at_ms"])):
            seen[row["node"]].append((int(row["at_ms"]), float(row["cpu_s"])))
    return {
        node: (samples[-1][1] - samples[0][1]) / ((samples[-1][0] - samples[0][0]) / 1000)
        for node, samples in seen.items()
        if samples[-1][0] > samples[0][0]
    }


def _caps(machines: Sequence[Machine], cores: Mapping[str, float]) -> list[str]:
    return [
        f"the processor of {one.node} ({cores[one.node]:.2f} of {one.cpu_limit_share:.2f} cores)"
        for one in machines
        if one.cpu_limit_share and cores.get(one.node, 0.0) >= NEAR * one.cpu_limit_share
    ]


def _memory(machines: Sequence[Machine]) -> list[str]:
    return [
        f"the memory of {one.node} ({one.memory_peak_mib:.0f} of {one.memory_limit_mib} MiB)"
        for one in machines
        if one.memory_limit_mib and one.memory_peak_mib and one.memory_peak_mib >= NEAR * one.memory_limit_mib
    ]


def _threads(machines: Sequence[Machine], cores: Mapping[str, float]) -> list[str]:
    """Processes without a cap that use what one thread can. A PostgreSQL is many processes: it is none of them."""
    capped = {one.node for one in machines if one.cpu_limit_share}
    named = {LOAD: "the load generator's one thread"}
    return [
        f"{named.get(node, f'one thread of {node}')} ({used:.2f} cores)"
        for node, used in sorted(cores.items())
        if node not in capped and POSTGRES not in node and used >= ONE_THREAD
    ]


def _host(evidence: Evidence, span: Span) -> tuple[float, float]:
    rows = [row for row in evidence.rows_if_any("host.csv") if span.holds(int(row["at_ms"]))]
    if not rows:
        return 0.0, 0.0
    busy = sum(float(row["cpu_percent"] or 0) for row in rows) / len(rows)
    return busy, sum(float(row.get("iowait_percent") or 0) for row in rows) / len(rows)


def _late(evidence: Evidence, span: Span) -> float:
    return max(
        (
            float(row.get("late_max_ms") or 0)
            for row in evidence.rows_if_any("latency.csv")
            if span.holds(int(row["second"]) * 1000)
        ),
        default=0.0,
    )
