"""Figures by name, as people read them: what each one says, and its unit."""

from __future__ import annotations

from collections.abc import Mapping

from rehearsal.plan.threshold import FIGURES
from rehearsal.report.text import number

_SAYS = {
    "sale.p50": "Sale: half of all within",
    "sale.p99": "Sale: 99 of 100 within",
    "sale.max": "Sale: the slowest",
    "sale.quiet.p99": "Sale outside fault windows: 99 of 100 within",
    "sale.window.p99": "Sale: 99 of 100 within, worst ten seconds of the worst till",
    "sale.fault.p99": "Sale within fault windows: 99 of 100 within",
    "sale.refused": "Sales refused",
    "sale.repriced": "Sales whose price changed before they were paid",
    "sale.unknown": "Sales whose outcome the cashier did not learn at once",
    "sync.lag.p99": "Sale on the server after the till's commit: 99 of 100 within",
    "price.lag.p99": "Price on a till after the clerk's commit: 99 of 100 within",
    "masters.age.max": "Oldest master data on a till that was online",
    "drain": "All quiet after the heal within",
    "sales": "Receipts made",
    "edits": "Back-office edits confirmed",
    "faults.bit": "Faults that bit",
    "failover.detect": "From the old server's death to the operator's promotion",
    "failover.promote": "From that promotion to the open term",
    "failover.recovery": "From the death to the first entry accepted in the new term",
    "failover.recovery.all": "From the death to the first entry of the last till to get through",
    "failover.sales": "Sales asked for during the failover",
    "failover.refused": "Sales refused during the failover",
    "failover.p99_ratio": "Sale p99 during the failover, over that of the rest of the run",
    "memory.peak": "Memory, the largest till",
}
_LATENCY = "cashiers' history, intended start to answer; an unknown outcome counts with its time-out; worst till"
_MEASURED = {
    "sale.p50": _LATENCY,
    "sale.p99": _LATENCY,
    "sale.max": _LATENCY,
    "sale.quiet.p99": f"{_LATENCY}; without sales that a fault could touch",
    "sale.fault.p99": f"{_LATENCY}; only sales that a fault could touch",
    "sale.window.p99": f"{_LATENCY}; by ten seconds of ten sales or more",
    "sale.refused": "cashiers' history: first attempts of receipts with a definite error, repriced ones apart",
    "sale.repriced": "cashiers' history: payments that were not what was due any more, and asked once more",
    "sale.unknown": "cashiers' history: first attempts of receipts without an answer in time",
    "sync.lag.p99": "till's and server's databases: commit on the till to commit on the server, no fault near",
    "price.lag.p99": "server's and tills' databases, sampled each second: an upper bound",
    "masters.age.max": "server's and tills' databases, sampled each second; tills online and untouched by faults",
    "drain": "witness databases by SQL, from the heal to the first moment at which nothing was pending",
    "sales": "cashiers' history: receipts confirmed at least once",
    "edits": "clerks' history: documents confirmed at least once",
    "faults.bit": "the faults' own evidence, one by one below",
    "memory.peak": "the kernel's account of each till",
    "failover.detect": "the fault's own clock to the operator's rule; the slowest take-over",
    "failover.promote": "the operator's clock; the slowest take-over",
    "failover.recovery": "the fault's clock, or the old server's last entry since, to the next's journal; worst",
    "failover.recovery.all": "the same, of every till's first entry the last",
    "failover.sales": "cashiers' history: sales under way between the death and the last till's first entry",
    "failover.refused": "of those, answered with a definite error that is no rule of the shop",
    "failover.p99_ratio": "cashiers' history, all tills: those sales against all others",
}
_ORDER = tuple(name for name in _SAYS if name.startswith("failover."))
_UNIT_OF_KIND = {"duration": "ms", "share": "%", "count": "", "mebibytes": "MiB"}
_UNIT_OF_SUFFIX = {"_ms": "ms", "_s": "s", "_mib": "MiB", "_percent": "%", "_bytes": "B", "_share": "%"}
_SHARES = ("_share",)


def main_first(values: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the figures that thresholds know, in their order, and the others by name."""
    named = {name: values[name] for name in FIGURES if name in values}
    return named, {name: values[name] for name in sorted(values) if name not in named}


def of_failover(values: Mapping[str, float]) -> dict[str, float]:
    """Return the figures of a failover, in the order in which it goes."""
    found = {name: value for name, value in values.items() if name.startswith("failover")}
    return {name: found[name] for name in (*_ORDER, *sorted(found.keys() - set(_ORDER))) if name in found}


def known(name: str) -> bool:
    """Say whether a threshold may be about a figure."""
    return name in FIGURES


def unit(name: str) -> str:
    """Return a figure's unit: ms, s, MiB, %, 1/s, or nothing for a count."""
    if name.endswith("_ratio"):
        return "\N{MULTIPLICATION SIGN}"
    if name in FIGURES:
        return _UNIT_OF_KIND[FIGURES[name]]
    if name.endswith((".p50", ".p99")):
        return "ms"
    if name.endswith("_per_s"):
        return "1/s"
    return next((said for suffix, said in _UNIT_OF_SUFFIX.items() if name.endswith(suffix)), "")


def is_share(name: str) -> bool:
    """Say whether a figure is a fraction that is shown in per cent."""
    return FIGURES.get(name) == "share" or name.endswith(_SHARES)


def says(name: str) -> str:
    """Return what a figure says; a name without an entry speaks for itself."""
    return _SAYS.get(name, name.replace("_", " ").replace(".", ": "))


def measured(name: str) -> str:
    """Return how a figure was measured; a dash where that is told beside its check."""
    return _MEASURED.get(name, "\N{EN DASH}")


def shown(name: str, value: float) -> str:
    """Return a figure's value with its unit."""
    what = unit(name)
    if is_share(name):
        return f"{number(100 * value)} %"
    if what == "ms" and value >= 10_000:
        return f"{number(value / 1000)} s"
    return f"{number(value)} {what}".strip()
