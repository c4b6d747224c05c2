"""Copies of values with some fields changed, digests, numbers and delays."""

from __future__ import annotations

import pytest
from msgspec import Struct

from syncref.core.step import full_jitter_ms, replace
from syncref.domain.identity import Key, number_prefix, printed_prefix, receipt_number
from syncref.domain.masters import row_digest, rows_digest


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


def test_the_digest_of_many_rows_is_the_sum_of_theirs() -> None:
    """In any order."""
    rows = [(("p", n), n) for n in range(5)]
    total = sum(row_digest("stock", row, version) for row, version in rows)
    assert rows_digest("stock", rows) == rows_digest("stock", reversed(rows)) == total


def test_a_printed_number_begins_with_its_journals_prefix() -> None:
    """Whatever journal prints now, a number says which one printed it."""
    key = Key(till="T-01", incarnation=bytes(range(16)))
    number = receipt_number(key=key, counter=7)
    assert number == f"{number_prefix(key)}000007" == "T-01-AAAQE-000007"
    other = Key(till="T-01", incarnation=b"n" * 16)
    assert printed_prefix(other, number) == number_prefix(key) != number_prefix(other)
    assert printed_prefix(other, None) == number_prefix(other)


def test_a_delay_is_at_least_a_millisecond() -> None:
    """And at most the doubled base, bounded."""
    delays = [full_jitter_ms(attempt=n, draw=0.0, base_ms=50, max_ms=1000) for n in (1, 5)]
    assert delays == [1, 1]
    assert full_jitter_ms(attempt=3, draw=1.0, base_ms=50, max_ms=1000) == 200
    assert full_jitter_ms(attempt=90, draw=1.0, base_ms=50, max_ms=1000) == 1000
