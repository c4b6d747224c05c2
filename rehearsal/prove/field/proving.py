"""Proves the stories: the reference first, then its twin; a story whose misfortune never bit shows nothing."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from chaos.fleet.simulated.mutants import Mutant, all_mutants, field_mutants, planted
from chaos.fleet.simulated.plan import PROFILES
from chaos.fleet.simulated.run import play_seeds
from rehearsal.prove.field.stories import STORIES, Real, Simulated, Story
from rehearsal.prove.row import Caught, Result, Row, judged

REFERENCE_SEEDS = 60
TWIN_SEEDS = 400
REFERENCE_GO = "GO"
REFERENCE_NO_GO = "NO-GO"
REFERENCE_NOTHING = "nothing bit"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldResult:
    """What came of a story. `reference`: GO, NO-GO, nothing bit, or not run."""

    story: Story
    reference: str
    result: Result

    @property
    def proved(self) -> bool:
        """Whether the reference passed and the twin was convicted by the checker that must."""
        return self.reference == REFERENCE_GO and self.result.caught is Caught.CAUGHT


@lru_cache(maxsize=1)
def mutants() -> dict[str, Mutant]:
    """Return the simulated fleet's planted bugs by id."""
    return {mutant.id: mutant for mutant in (*all_mutants(), *field_mutants())}


def twin_of(story: Story) -> str:
    """Return what the twin does wrong, in words."""
    return story.by.twin if isinstance(story.by, Real) else mutants()[story.by.mutant].title


def expected_of(story: Story) -> str:
    """Return the checker that must convict the twin."""
    if isinstance(story.by, Real):
        return story.by.expected
    return story.by.expected or mutants()[story.by.mutant].expected


def row_of(story: Story) -> Row:
    """Return a story as a row of the proof."""
    return Row(id=story.id, title=story.happened, fault=story.told, expected=expected_of(story))


def prove_stories(stories: Sequence[Story], jobs: int) -> Iterator[FieldResult]:
    """Yield results in order. Simulated stories share the processes; real ones run alone."""
    with ProcessPoolExecutor(jobs) as pool:
        asked = {
            story.id: pool.submit(prove_simulated, story.id)
            for story in stories
            if isinstance(story.by, Simulated)
        }
        try:
            for story in stories:
                yield asked[story.id].result() if story.id in asked else prove_real(story)
        finally:
            pool.shutdown(cancel_futures=True)


def prove_simulated(number: str) -> FieldResult:
    """Play the reference's schedules, then the twin's up to its conviction."""
    story = next(story for story in STORIES if story.id == number)
    how = story.by
    assert isinstance(how, Simulated)
    started = time.monotonic()
    profile = f"field {story.id}"
    PROFILES[profile] = how.profile or mutants()[how.mutant].profile
    reference, note = _reference(profile, how)
    convicted: tuple[str, ...] = ()
    seed: int | None = None
    expected = expected_of(story)
    with planted(how.mutant):
        for outcome in play_seeds(0, TWIN_SEEDS, profile):
            if expected in outcome.checkers:
                convicted, seed = outcome.checkers, outcome.plan.seed
                break
            convicted = convicted or outcome.checkers
    result = Result(
        row=row_of(story),
        caught=judged(expected, convicted),
        convicted=convicted,
        seed=seed,
        seconds=time.monotonic() - started,
        note=note,
        ran=f"tillproof prove --field --only {story.id}",
    )
    return FieldResult(story=story, reference=reference, result=result)


def _reference(profile: str, how: Simulated) -> tuple[str, str]:
    """Return the reference's verdict, and why when it is not GO."""
    bites: Counter[str] = Counter()
    for outcome in play_seeds(0, REFERENCE_SEEDS, profile):
        bites.update(outcome.bites)
        if outcome.findings:
            finding = outcome.findings[0]
            return REFERENCE_NO_GO, f"schedule {outcome.plan.seed}: {finding.checker}: {finding.text}"
    missing = [kind for kind in how.bites if not bites[kind]]
    if missing:
        return REFERENCE_NOTHING, f"{', '.join(missing)} never bit in {REFERENCE_SEEDS} schedules"
    return REFERENCE_GO, ""


def prove_real(story: Story) -> FieldResult:
    """Run a real story without and with its twin, each in a folder of its own."""
    how = story.by
    assert isinstance(how, Real)
    started = time.monotonic()
    try:
        clean = _in_folder(how, "")
        convicted = _in_folder(how, how.plant)
    except (OSError, RuntimeError, AssertionError) as error:
        result = Result(row=row_of(story), caught=Caught.NOT_RUN, note=f"{type(error).__name__}: {error}"[:300])
        return FieldResult(story=story, reference="not run", result=result)
    result = Result(
        row=row_of(story),
        caught=judged(how.expected, tuple(convicted)),
        convicted=tuple(convicted),
        seconds=time.monotonic() - started,
        note="; ".join([*clean.values(), *convicted.values()]),
        ran=f"tillproof prove --field --only {story.id}",
    )
    return FieldResult(story=story, reference=REFERENCE_NO_GO if clean else REFERENCE_GO, result=result)


def _in_folder(how: Real, plant: str) -> dict[str, str]:
    folder = Path(tempfile.mkdtemp(prefix="tillproof-field-"))
    folder.chmod(0o711)  # PostgreSQL's account must be able to enter
    try:
        return how.run(folder, plant)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
