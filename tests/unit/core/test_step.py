"""Copies of frozen dataclasses with some fields changed."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from syncref.core import step
from syncref.core.step import replace
from syncref.domain.masters import row_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Three fields, one with a default."""

    name: str
    seq: int
    note: str | None = None


def test_a_copy_has_the_changed_fields_and_all_others_as_they_were() -> None:
    """The first copy of a class makes the copier, later ones use it."""
    step._COPIERS.pop(Place, None)
    place = Place(name="a", seq=1, note="n")
    for _ in range(2):
        copy = replace(place, seq=2)
        assert copy == Place(name="a", seq=2, note="n")
        assert type(copy) is Place
        assert {field.name for field in fields(copy)} == {"name", "seq", "note"}
    assert replace(place) == place
    assert replace(place) is not place
    assert place == Place(name="a", seq=1, note="n")


def test_a_field_that_there_is_not_is_refused_by_name() -> None:
    """As dataclasses.replace does."""
    with pytest.raises(TypeError, match="Place has no colour"):
        replace(Place(name="a", seq=1), colour="red")  # type: ignore[call-arg]  # that is the point


def test_a_row_digest_is_of_table_row_and_version() -> None:
    """Each of them changes it, and it is the same on every machine."""
    digests = {
        row_digest("stock", ("p", 1), 1),
        row_digest("stock", ("p", 1), 2),
        row_digest("stock", ("p", 2), 1),
        row_digest("price", ("p", 1), 1),
    }
    assert len(digests) == 4
    assert all(0 <= digest < 2**64 for digest in digests)
    assert row_digest("stock", ("p", 1), 1) in digests
