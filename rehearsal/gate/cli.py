"""`tillproof gate`: exit codes 0 GO, 10 NO-GO, 20 INCONCLUSIVE, 30 could not run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from rehearsal.model import EXIT_CODE, EXIT_COULD_NOT_RUN, Outcome

FIGURE = "cores_in_virtual_time"
BUDGET = "8m"


class Duration(click.ParamType[float]):
    """A time such as 8m, 90s or 0.5h, in seconds."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        from rehearsal.plan.table import parse_seconds

        seconds = value if isinstance(value, float) else parse_seconds(value)
        if seconds is None or seconds <= 0:
            self.fail(f"{value!r} is no time; write 8m, 90s or 1h", param, ctx)
        return seconds


@click.command()
@click.option("--base", metavar="REV", help="Time the tree at hand against this revision as well.")
@click.option("--budget", type=Duration(), default=BUDGET, show_default=True, help="For timing, set-up aside.")
@click.option("--update", is_flag=True, help="Count, and write gate.lock.toml.")
@click.option("--selftest", "test", is_flag=True, help="Slow a benchmark by 25 %, which must be caught.")
@click.option("--figure", "only", multiple=True, help="Time only this figure; may be repeated.")
@click.option("--new", multiple=True, metavar="FIGURE", help="A figure that the base can't have yet.")
@click.option("--p99", is_flag=True,
              help="Compare 99th percentiles instead of medians, where there are 100 rounds.")  # fmt: skip
@click.option("--margin", type=click.FloatRange(1, 100), default=10, show_default=True, help="Per cent.")
@click.option("--alpha", type=click.FloatRange(0.001, 0.2), default=0.05, show_default=True,
              help="The error allowed, over all looks and figures.")  # fmt: skip
@click.option("--on-inconclusive", type=click.Choice(["warn", "fail"]), default="fail", show_default=True,
              help="warn: exit 0 instead of 20.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("reports/gate"),
              show_default=True, help="Where gate.json is written.")  # fmt: skip
def gate(**given: Any) -> None:
    """Compare what a sale costs with gate.lock.toml, exactly; with --base also how long it takes.

    A clone is needed: the benchmarks are not part of the installed package.
    """
    from rehearsal.gate.run import PLANTED

    asked = Asked(**given)
    if asked.update and (asked.base or asked.test):
        raise click.UsageError("--update goes alone: it writes the lock and times nothing")
    if asked.test and asked.base:
        raise click.UsageError("--selftest compares the tree with itself; leave --base out")
    if asked.test and asked.margin >= 100 * (PLANTED - 1):
        text = f"--selftest plants {PLANTED - 1:.0%}, and a --margin of {asked.margin:g} lets that pass"
        raise click.UsageError(text)
    if not (asked.base or asked.test) and (asked.only or asked.new or asked.p99):
        raise click.UsageError("--figure, --new and --p99 are about timing: add --base")
    sys.exit(_gated(asked))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The command line. `budget` in seconds, `margin` in per cent."""

    base: str | None
    budget: float
    update: bool
    test: bool
    only: tuple[str, ...]
    new: tuple[str, ...]
    p99: bool
    margin: float
    alpha: float
    on_inconclusive: str
    out: Path


def _gated(asked: Asked) -> int:
    """Run what is asked and return the exit code."""
    from rehearsal.gate.blocks import BlockFailed
    from rehearsal.gate.counted import NotCounted
    from rehearsal.gate.lock import LockInvalid
    from rehearsal.gate.sides import NoBase
    from rehearsal.report.text import visible

    try:
        return _run(asked)
    except (NoBase, BlockFailed, LockInvalid, NotCounted) as error:
        click.echo(f"could not run: {error}", err=True)
    except KeyboardInterrupt:
        click.echo("could not run: interrupted; worktrees are removed", err=True)
    except OSError as error:
        click.echo(f"could not run: {visible(error)}", err=True)
    return EXIT_COULD_NOT_RUN


def _make(folder: Path) -> None:
    """Make the folder for gate.json now: it is a pity to find out after eight minutes that it can't be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.BadParameter(f"{folder} can't be made: {error.strerror}", param_hint="--out") from error


def _run(asked: Asked) -> int:
    from rehearsal.gate import counted as counting
    from rehearsal.gate import report
    from rehearsal.gate.blocks import timed_figures
    from rehearsal.gate.decide import Rule
    from rehearsal.gate.run import Timing, selftest, timed
    from rehearsal.gate.sides import check_clone
    from rehearsal.options import ROOT, commit
    from rehearsal.plan.table import closest

    check_clone(ROOT)
    if not asked.update:
        _make(asked.out)
    known = timed_figures(ROOT)
    for name in asked.only:
        if name not in known:
            text = f"no figure {name!r}; there are {', '.join(known)}{closest(name, known)}"
            raise click.BadParameter(text, param_hint="--figure")
    if asked.update:
        click.echo(f"written: {counting.update(ROOT, counting.count(ROOT))}")
        return 0
    rule = Rule(margin=asked.margin / 100, alpha=asked.alpha)
    timing = Timing(budget_s=asked.budget, only=asked.only, new=asked.new, p99=asked.p99, rule=rule)
    counted = decision = None
    if asked.test:
        outcome, why, decision = selftest(ROOT, timing, asked.only[0] if asked.only else FIGURE, click.echo)
    else:
        counted = counting.compare(ROOT, counting.count(ROOT))
        click.echo("\n".join(report.counted_lines(counted)))
        outcome, why = Outcome.GO, "every counted figure is as locked"
        if counted.changed:
            outcome, why = Outcome.NO_GO, f"{len(counted.changed)} counted figures changed"
        elif asked.base is not None:
            decision = timed(ROOT, asked.base, timing, click.echo)
            outcome, why = decision.outcome, decision.why
    if decision is not None:
        click.echo("\n".join(report.paired_lines(decision)))
    path = asked.out / "gate.json"
    facts = {
        "commit": commit(), "base": asked.base, "margin": rule.margin, "alpha": rule.alpha, "p99": asked.p99,
    }  # fmt: skip
    report.write_json(path, outcome=outcome, why=why, counted=counted, decision=decision, facts=facts)
    click.echo(f"{outcome}: {why}  ({path})")
    if outcome is Outcome.INCONCLUSIVE and asked.on_inconclusive == "warn":
        click.echo("warning: inconclusive, and asked only to warn", err=True)
        return 0
    return EXIT_CODE[outcome]
