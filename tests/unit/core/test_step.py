"""Copies of frozen dataclasses with some fields changed."""

from __future__ import annotations

import pytest
from msgspec import Struct

from syncref.core.step import replace
from syncref.domain.masters import row_digest


class Place(Struct, frozen=True, kw_only=True):
    """Three fields, one with a default."""

    name: str
    seq: int
    note: str | None = None


def test_a_copy_has_the_changed_fields_and_all_others_as_they_were() -> None:
    """And what was copied stays as it was."""
    place = Place(name="a", seq=1, note="n")
    copy = replace(place, seq=2)
    assert copy == Place(name="a", seq=2, note="n")
    assert type(copy) is Place
    assert replace(place) == place
    assert replace(place) is not place
    assert place == Place(name="a", seq=1, note="n")


def test_a_field_that_there_is_not_is_refused_by_name() -> None:
    """A misspelt field never passes as a change."""
    with pytest.raises(TypeError, match="colour"):
        replace(Place(name="a", seq=1), colour="red")


def test_what_a_core_was_told_can_not_be_changed() -> None:
    """States, events and effects are values: a copy has the change, the original never."""
    with pytest.raises(AttributeError, match="immutable"):
        Place(name="a", seq=1).seq = 2  # type: ignore[misc]  # that is the point


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
