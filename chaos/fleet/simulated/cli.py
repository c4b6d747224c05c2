"""`simulate`: many schedules in virtual time; a failing one is shrunk and shown."""

from __future__ import annotations

import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

import click
import msgspec

from chaos.fleet.simulated.bites import told
from chaos.fleet.simulated.plan import PROFILES, loads

if TYPE_CHECKING:  # the fleet itself is loaded when a command runs, not when the command line is read
    from chaos.fleet.simulated.explore.engine import Walk
    from chaos.fleet.simulated.run import Outcome

CHUNK = 20
PROGRESS_S = 30
NO_GO = 10
INCONCLUSIVE = 20
MUTANTS = tuple(
    f"{path.name[0].upper()}{int(path.name[1:3])}"
    for path in sorted((Path(__file__).parent / "mutants").glob("[fps][0-9][0-9]_*.py"))
)


class Minutes(click.ParamType[float]):
    """More than none, and an end."""

    name = "minutes"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a number; not a number, none and endless are refused."""
        try:
            minutes = float(value)
        except ValueError:
            minutes = math.nan
        if not 0 < minutes < math.inf:
            self.fail(f"{value!r} is not a number of minutes above 0", param, ctx)
        return minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What one worker did."""

    schedules: int
    virtual_ms: int
    sales: int
    cpu_s: float
    failing: Outcome | None
    bites: Counter[str] = field(default_factory=Counter)
    bitten: Counter[str] = field(default_factory=Counter)  # in how many schedules
    killed: Counter[str] = field(default_factory=Counter)

    def and_then(self, other: Chunk) -> Chunk:
        """Return both together, with the first failing schedule."""
        return Chunk(
            schedules=self.schedules + other.schedules,
            virtual_ms=self.virtual_ms + other.virtual_ms,
            sales=self.sales + other.sales,
            cpu_s=self.cpu_s + other.cpu_s,
            failing=self.failing or other.failing,
            bites=self.bites + other.bites,
            bitten=self.bitten + other.bitten,
            killed=self.killed + other.killed,
        )


def work(first: int, count: int, profile: str, mutant: str | None) -> Chunk:
    """Play some seeds in this process, up to the first that fails."""
    from chaos.fleet.simulated.mutants import planted
    from chaos.fleet.simulated.run import play_seeds

    started = time.process_time()
    schedules = virtual_ms = sales = 0
    failing = None
    bites: Counter[str] = Counter()
    bitten: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    with planted(mutant) as own_profile:
        for outcome in play_seeds(first, count, own_profile or profile):
            schedules += 1
            virtual_ms += outcome.virtual_ms
            sales += outcome.sales
            bites.update(outcome.bites)
            bitten.update(outcome.bites.keys())
            killed.update(outcome.killed)
            if outcome.findings:
                failing = outcome
                break
    cpu_s = time.process_time() - started
    return Chunk(
        schedules=schedules,
        virtual_ms=virtual_ms,
        sales=sales,
        cpu_s=cpu_s,
        failing=failing,
        bites=bites,
        bitten=bitten,
        killed=killed,
    )


@click.command()
@click.option("--seeds", type=click.IntRange(1), help="How many schedules (200 unless --minutes is given).")
@click.option("--seed", "first", type=click.IntRange(0), help="The first seed; drawn and printed if absent.")
@click.option("--minutes", type=Minutes(), help="Go on for so long instead of a number of schedules.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; one for each processor unless given.")
@click.option("--mutant", type=click.Choice(MUTANTS), metavar="ID",
              help="Plant a bug first, e.g. S7: the command must then fail.")  # fmt: skip
@click.option("--profile", type=click.Choice(sorted(PROFILES)), default="everything", show_default=True)
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False),
              help="Write the shrunk schedule to this file.")  # fmt: skip
@click.option("--replay", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Play a saved schedule only.")  # fmt: skip
def simulate(
    *,
    seeds: int | None,
    first: int | None,
    minutes: float | None,
    jobs: int | None,
    mutant: str | None,
    profile: str,
    save: Path | None,
    replay: Path | None,
) -> None:
    """Play schedules of a small chain in virtual time: the shipped protocol cores on lying disks and networks.

    One seed is one schedule. Exit code 0: no invariant was broken; 10: one was, and the smallest schedule
    found is shown; 20: the time was over before one was played.
    """
    if replay is not None:
        sys.exit(NO_GO if replayed(replay, mutant).findings else 0)
    begin = SystemRandom().randrange(1 << 31) if first is None else first
    count = seeds or (1 << 30 if minutes else 200)
    workers = jobs or os.cpu_count() or 1
    click.echo(f"simulate --seed {begin} --profile {profile}, {workers} processes")
    started = time.monotonic()
    until = None if minutes is None else started + 60 * minutes
    total = Chunk(schedules=0, virtual_ms=0, sales=0, cpu_s=0.0, failing=None)
    tell_at = started + PROGRESS_S
    for chunk in chunks(begin, count, workers, until, profile=profile, mutant=mutant):
        total = total.and_then(chunk)
        if total.failing is not None:
            break
        if (now := time.monotonic()) >= tell_at:
            tell_at = now + PROGRESS_S
            of = f" of {count:,}" if minutes is None else ""
            click.echo(f"{total.schedules:,}{of} schedules after {now - started:.0f} s, none convicted", err=True)
    speed = total.virtual_ms / 1000 / max(total.cpu_s, 1e-9)
    click.echo(
        f"{total.schedules} schedules, {total.sales} sales, {total.virtual_ms / 3_600_000:.1f} h of the chain's "
        f"time in {time.monotonic() - started:.1f} s: {speed:,.0f} times real time on each processor"
    )
    for line in told(total.bites, total.bitten, total.killed):
        click.echo(line)
    if total.failing is not None:
        convict(total.failing, mutant=mutant, save=save)
        sys.exit(NO_GO)
    if not total.schedules:
        click.echo("no schedule was played: nothing can be said")
        sys.exit(INCONCLUSIVE)
    click.echo("no invariant was broken")


@click.command()
@click.option("--large", is_flag=True, help="The sizes for a night instead of those for every change.")
@click.option("--minutes", type=Minutes(), default=5.0, show_default=True, help="At most, for each.")
@click.option("--jobs", type=click.IntRange(1), help="Processes; one for each processor unless given.")
def explore(*, large: bool, minutes: float, jobs: int | None) -> None:
    """Walk every order of a few events, messages and faults, with the shipped protocol cores.

    Exit code 0: every invariant holds in every state, and from each a settled one can be reached; 10: not,
    and the shortest way there is shown; 20: a configuration was not walked to its end in the time given.
    """
    from chaos.fleet.simulated.explore import configurations

    sizes = configurations.large() if large else configurations.small()
    convicted = unfinished = False
    with ProcessPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        walks = [pool.submit(walk_one, number, large, minutes) for number in range(len(sizes))]
        click.echo(f"{'configuration':<44} {'states':>9} {'transitions':>12} {'seconds':>8}")
        for future in walks:
            done = future.result()
            end = "" if done.complete or done.violation else "  not walked to its end"
            click.echo(f"{done.model:<44} {done.states:>9,} {done.transitions:>12,} {done.seconds:>8.1f}{end}")
            for step in done.trace:
                click.echo(f"    {step}")
            if done.violation is not None:
                click.echo(f"  {done.violation}")
                convicted = True
            unfinished = unfinished or not (done.complete or done.violation)
    if convicted or unfinished:
        sys.exit(NO_GO if convicted else INCONCLUSIVE)


def walk_one(number: int, large: bool, minutes: float) -> Walk:
    """Walk one configuration in this process."""
    from chaos.fleet.simulated.explore import configurations
    from chaos.fleet.simulated.explore.engine import walk

    sizes = configurations.large() if large else configurations.small()
    return walk(sizes[number], seconds_max=60 * minutes)


def chunks(
    begin: int, count: int, workers: int, until: float | None, *, profile: str, mutant: str | None
) -> Iterator[Chunk]:
    """Yield what workers bring, until the seeds or the time are over."""
    ranges = iter(range(begin, begin + count, CHUNK))
    end = begin + count
    if workers == 1:
        for start in ranges:
            if until is not None and time.monotonic() > until:
                return
            yield work(start, min(CHUNK, end - start), profile, mutant)
        return
    with ProcessPoolExecutor(workers) as pool:
        running: set[Future[Chunk]] = set()
        try:
            while True:
                while len(running) < 2 * workers and not (until and time.monotonic() > until):
                    following = next(ranges, None)
                    if following is None:
                        break
                    size = min(CHUNK, end - following)
                    running.add(pool.submit(work, following, size, profile, mutant))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in running:
                future.cancel()


def replayed(file: Path, mutant: str | None) -> Outcome:
    """Play a saved schedule, with a bug if one is to be planted, and show it; raises click.BadParameter."""
    from chaos.fleet.simulated.mutants import planted
    from chaos.fleet.simulated.run import play

    try:
        schedule = loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise click.BadParameter(f"{file} is no saved schedule: {error}", param_hint="--replay") from error
    with planted(mutant):
        outcome = play(schedule, transcribe=True)
    show(outcome)
    return outcome


def convict(failing: Outcome, *, mutant: str | None, save: Path | None) -> None:
    """Shrink a failing schedule and show it."""
    from chaos.fleet.simulated.mutants import planted
    from chaos.fleet.simulated.run import play
    from chaos.fleet.simulated.shrink import shrink

    plan = failing.plan
    with planted(mutant):
        smallest = shrink(failing)
        outcome = play(smallest.plan, transcribe=True)
    show(outcome)
    how = f"--mutant {mutant}" if mutant else f"--profile {plan.profile}"
    dropped = len(plan.actions) - len(outcome.plan.actions)
    click.echo(f"shrunk from {len(plan.actions)} actions by {dropped}")
    click.echo(f"to repeat: tillproof simulate --seed {plan.seed} --seeds 1 --jobs 1 {how}")
    if save is not None:
        try:
            save.write_text(outcome.plan.dumps() + "\n")
        except OSError as error:
            click.echo(f"not saved: {error}", err=True)
        else:
            click.echo(f"saved as {save}")


def show(outcome: Outcome) -> None:
    """Print a schedule's transcript and what was found."""
    for line in outcome.transcript:
        click.echo(line)
    for finding in outcome.findings[:10]:
        click.echo(f"{finding.checker}: {finding.text}")
    if not outcome.findings:
        click.echo("no invariant was broken")
