"""The forty stories of the field: all there, each with its reference and its twin, and the page made from them."""

from __future__ import annotations

from pathlib import Path

from chaos.fleet.simulated.bites import KINDS
from rehearsal.prove.field.proving import (
    FieldResult,
    expected_of,
    mutants,
    prove_simulated,
    row_of,
    twin_of,
)
from rehearsal.prove.field.stories import STORIES, Simulated
from rehearsal.prove.field.table import FAILURES, code_of, document, summary
from rehearsal.prove.row import Caught, Result

ROOT = Path(__file__).parents[3]


def test_all_forty_failures_have_a_story() -> None:
    """F1 to F32 and P1 to P8, each once, each with its reference and a twin."""
    assert [story.id for story in STORIES] == [*(f"F{n}" for n in range(1, 33)), *(f"P{n}" for n in range(1, 9))]
    for story in STORIES:
        assert story.where
        assert story.told
        assert twin_of(story)
        assert expected_of(story)
        if isinstance(story.by, Simulated):
            assert story.by.mutant in mutants()
            assert story.by.bites
            assert set(story.by.bites) <= set(KINDS)


def test_the_page_of_field_failures_is_made_from_the_stories() -> None:
    """`python -m rehearsal.prove.field.table` writes it anew."""
    assert (ROOT / "docs" / "field-failures.md").read_text(encoding="utf-8") == document()


def test_a_story_is_proved_by_the_reference_and_by_its_twin() -> None:
    """The reference passes, the twin is convicted by the checker that must."""
    done = prove_simulated("F8")
    assert done.proved
    assert done.result.seed is not None
    assert code_of([done]) == 0


def done_as(reference: str, caught: Caught) -> FieldResult:
    """Return a result of the first story."""
    story = STORIES[0]
    return FieldResult(story=story, reference=reference, result=Result(row=row_of(story), caught=caught))


def test_a_failing_reference_or_an_escaping_twin_is_no_go() -> None:
    """And what did not run is neither."""
    assert code_of([done_as("GO", Caught.CAUGHT)]) == 0
    assert code_of([done_as("GO", Caught.CAUGHT), done_as("NO-GO", Caught.CAUGHT)]) == 10
    assert code_of([done_as("nothing bit", Caught.CAUGHT)]) == 10
    assert code_of([done_as("GO", Caught.ESCAPED)]) == 10
    assert code_of([done_as("GO", Caught.WRONG)]) == 10
    assert code_of([done_as("not run", Caught.NOT_RUN)]) == 30


def test_what_is_not_proved_is_named() -> None:
    """In the summary, and in its line."""
    escaped = done_as("GO", Caught.ESCAPED)
    assert summary([escaped]).endswith("not F1")
    assert "ESCAPED; must be receipts" in "\n".join(FAILURES.lines(escaped))
