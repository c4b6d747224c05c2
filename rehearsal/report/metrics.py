"""metrics.txt: the run as OpenMetrics text, for a Prometheus push gateway or textfile collector."""

from __future__ import annotations

from collections.abc import Iterable

from rehearsal.model import Outcome, Verdict
from rehearsal.report.text import metric_label
from rehearsal.report.verdict import VerdictFile

Sample = tuple[dict[str, str], float]


def metrics_txt(verdict: VerdictFile) -> str:
    """Return metrics.txt's text. Every family is a gauge, labelled with scenario and seed."""
    sales = verdict.sales
    receipts = {
        "attempted": sales.attempted, "ok": sales.ok, "fail": sales.fail, "info": sales.info,
        "on_tills": sales.on_tills, "on_server": sales.on_server, "settled": sales.settled,
    }  # fmt: skip
    gross = sales.gross_minor
    money = {"cashiers": gross.cashiers, "tills": gross.tills, "server": gross.server}
    families: list[tuple[str, str, Iterable[Sample]]] = [
        (
            "tillproof_verdict", "1 for the outcome of the run.",
            [({"verdict": outcome}, float(verdict.verdict is outcome)) for outcome in Outcome],
        ),
        (
            "tillproof_check", "1 for the verdict of each check.",
            [
                ({"check": name, "verdict": value}, float(found is value))
                for name, found in {check.name: check.verdict for check in verdict.checks}.items()
                for value in Verdict
            ],
        ),
        (
            "tillproof_threshold_passed", "1 when a threshold was kept; absent when it could not be measured.",
            [({"rule": rule}, float(ok)) for rule, ok in _once(verdict).items() if ok is not None],
        ),
        ("tillproof_receipts", "Receipts by witness or fate.", _by("kind", receipts)),
        ("tillproof_gross_minor", "Gross in minor units of the currency, by witness.", _by("witness", money)),
        ("tillproof_figure", "Figures by name; durations in milliseconds.", _by("name", verdict.figures)),
        ("tillproof_faults_asked", "Faults that the scenario asked for.", [({}, float(len(verdict.faults)))]),
        ("tillproof_faults_bit", "Faults that bit.", [({}, float(sum(f.bit is True for f in verdict.faults)))]),
        ("tillproof_tills", "Tills in the fleet.", [({}, float(verdict.fleet.tills))]),
        ("tillproof_caps_enforced", "1 when limits were real.", [({}, float(verdict.fleet.caps_enforced))]),
    ]  # fmt: skip
    common = {"scenario": verdict.scenario, "seed": str(verdict.seed)}
    lines: list[str] = []
    for name, text, samples in families:
        lines += [f"# TYPE {name} gauge", f"# HELP {name} {text}"]
        lines += [f"{name}{_labels({**common, **labels})} {value:.15g}" for labels, value in samples]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _by(label: str, values: dict[str, int] | dict[str, float]) -> list[Sample]:
    return [({label: name}, float(value)) for name, value in values.items()]


def _once(verdict: VerdictFile) -> dict[str, bool | None]:
    return {limit.rule: limit.passed for limit in verdict.thresholds}


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{metric_label(value)}"' for name, value in labels.items()) + "}"
