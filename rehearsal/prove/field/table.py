"""The table of the field's failures, on the screen and as docs/field-failures.md."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rehearsal.progress import Progress
from rehearsal.prove.field.proving import FieldResult, expected_of, prove_stories, twin_of
from rehearsal.prove.field.stories import STORIES, Real, Story
from rehearsal.prove.row import NO_GO, Caught, exit_code
from rehearsal.prove.table import Layout, Table, not_written


def prove_field(wanted: frozenset[str], jobs: int, progress: Progress, *, reports: Path, commit: str) -> int:
    """Prove the wanted stories (none: all), print and write the table, and return the exit code."""
    stories = [story for story in STORIES if not wanted or story.id in wanted]
    begun = datetime.now(UTC)
    table = Table(FAILURES, progress)
    table.head()
    for done in prove_stories(stories, jobs):
        table.add(done)
        table.busy(f"{len(table.results)} of {len(stories)} stories proved")
    progress.still()
    code = code_of(table.results)
    folder = reports / f"{begun:%Y%m%dT%H%M%SZ}-prove-field"
    try:
        text = table.write(folder, begun=begun, commit=commit, code=code)
    except OSError as error:
        return not_written(progress, error, code)
    progress.line(f"{summary(table.results)}. Table: {text}")
    return code


def code_of(results: Sequence[FieldResult]) -> int:
    """Return 10 when the reference failed a story or a twin escaped; 0 when all are proved."""
    if any(done.reference not in ("GO", "not run") for done in results):
        return NO_GO
    return exit_code(done.result for done in results)


def summary(results: Sequence[FieldResult]) -> str:
    """Return the outcome in one line."""
    left = [done.story.id for done in results if not done.proved]
    proved = (
        f"{len(results) - len(left)} of {len(results)} field failures: the reference passes, its twin is caught"
    )
    return f"{proved}; not {', '.join(left)}" if left else proved


def _cells(done: FieldResult) -> Sequence[str]:
    story, result = done.story, done.result
    told = ", ".join(result.convicted) or "nothing"
    if result.caught is not Caught.CAUGHT:
        told = f"{told} ({result.caught}; must be {result.row.expected})"
    seed = "" if result.seed is None else f", seed {result.seed}"
    return (story.id, story.happened, story.where, done.reference, twin_of(story), f"{told}{seed}")


def _note(done: FieldResult) -> str:
    return done.result.note


def _as_json(done: FieldResult) -> dict[str, object]:
    story, result = done.story, done.result
    return {
        "id": story.id,
        "happened": story.happened,
        "where": story.where,
        "story": story.told,
        "kind": kind_of(story),
        "reference": done.reference,
        "twin": twin_of(story),
        "expected": result.row.expected,
        "verdict": str(result.caught),
        "convicted": list(result.convicted),
        "seed": result.seed,
        "seconds": round(result.seconds, 2),
        "note": result.note,
        "ran": result.ran,
    }


def kind_of(story: Story) -> str:
    """Return how a story is told."""
    return "real" if isinstance(story.by, Real) else "simulated"


FAILURES: Layout[FieldResult] = Layout(
    name="field",
    titles=("row", "what happened", "where", "reference", "twin", "convicted by"),
    widths=(4, 46, 34, 11, 42, 0),
    wraps=True,
    cells=_cells,
    note=_note,
    as_json=_as_json,
    summary=summary,
)


def document() -> str:
    """Return docs/field-failures.md: the same rows, with how each is told and which planted bug tests it."""
    head = """# Failures that the field reported

`tillproof prove --field` tells each of these as a story: the reference sync must pass it, and a planted twin that
fails as the field did must be convicted by the checker named. Exit code 10 when either does not hold. F rows were
reported to other projects (owner/repo#n is a GitHub issue or pull request); P rows were measured on peers under
this workload.

*simulated*: schedules of the simulated fleet, in which the shipped protocol cores run on lying disks and networks;
a story whose misfortune is never felt shows nothing and fails. *real*: real processes, or the real store.

This page is made from the stories themselves: `python -m rehearsal.prove.field.table`.

| # | What happened | Where | Story | Told | Twin | Convicted by |
|---|---|---|---|---|---|---|
"""
    return head + "".join(_document_row(story) for story in STORIES)


def _document_row(story: Story) -> str:
    planted = "" if isinstance(story.by, Real) else f" ({story.by.mutant})"
    cells = (story.id, story.happened, story.where, story.told, kind_of(story), twin_of(story) + planted)
    return f"| {' | '.join(cells)} | {expected_of(story)} |\n"


if __name__ == "__main__":
    Path("docs/field-failures.md").write_text(document(), encoding="utf-8")
