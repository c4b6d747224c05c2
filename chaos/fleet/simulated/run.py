"""One seed, or many: plays schedules and says which of them break an invariant."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from chaos.fleet.simulated.judge import judge
from chaos.fleet.simulated.plan import Plan, plan
from chaos.fleet.simulated.playing import play_out
from chaos.fleet.simulated.watch import Finding
from chaos.fleet.simulated.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a schedule."""

    plan: Plan
    findings: tuple[Finding, ...]
    virtual_ms: int
    steps: int
    sales: int
    transcript: tuple[str, ...] = ()
    bites: Mapping[str, int] = field(default_factory=dict)
    killed: Mapping[str, int] = field(default_factory=dict)

    @property
    def checkers(self) -> tuple[str, ...]:
        """The names of the checkers that convicted, each once, the first finding first."""
        return tuple(dict.fromkeys(finding.checker for finding in self.findings))


def play(schedule: Plan, *, transcribe: bool = False) -> Outcome:
    """Play one schedule. An assertion of the cores is a finding as well."""
    transcript: list[str] | None = [] if transcribe else None
    collecting = gc.isenabled()
    gc.disable()  # a schedule's world is dropped whole; looking for garbage in it takes half the time
    try:
        return _play(schedule, transcript)
    finally:
        if collecting:
            gc.enable()


def _play(schedule: Plan, transcript: list[str] | None) -> Outcome:
    world = World(schedule, transcript=transcript)
    try:
        play_out(world)
        findings = judge(world)
    except (AssertionError, KeyError, IndexError, AttributeError, ValueError, TypeError) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__} {error} at {where.name}:{where.lineno}"
        findings = [*world.watch.findings, Finding("assertion", text)]
    ok = [a for a in world.history.operations.values() if a.state == "ok" and a.operation.kind == "sale"]
    return Outcome(
        plan=schedule,
        findings=tuple(findings),
        virtual_ms=world.loop.now,
        steps=world.loop.steps,
        sales=len(ok),
        transcript=tuple(transcript or ()),
        bites=world.bites.counts,
        killed=world.bites.killed,
    )


def play_seeds(first: int, count: int, profile: str, *, until: float | None = None) -> Iterator[Outcome]:
    """Play seeds one after another, until a wall-clock instant (time.monotonic) if one is given."""
    for seed in range(first, first + count):
        if until is not None and time.monotonic() > until:
            return
        yield play(plan(seed, profile))
