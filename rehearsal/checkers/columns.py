"""Columns of an evidence file as tuples: several times quicker than a dict for each row."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence

from rehearsal.evidence.reader import Evidence, EvidenceMissing


def pick(
    evidence: Evidence, name: str, columns: Sequence[str], absent: Mapping[str, str] | None = None
) -> Iterator[tuple[str, ...]]:
    """Yield the named columns of each row of a CSV file, in that order.

    `absent` gives the value of columns that the file may not have; any other missing column, and a row of
    another width, raises EvidenceMissing.
    """
    with evidence.text(name) as file:
        reader = csv.reader(file)
        header = next(reader, [])
        take = _taker(name, header, columns, absent or {})
        width = len(header)
        for row in reader:
            if len(row) != width:
                raise EvidenceMissing(f"{name}: a row has {len(row)} fields where the header has {width}")
            yield take(row)


def _taker(
    name: str, header: list[str], columns: Sequence[str], absent: Mapping[str, str]
) -> Callable[[list[str]], tuple[str, ...]]:
    places: list[int | None] = []
    for column in columns:
        if column not in header and column not in absent:
            raise EvidenceMissing(f"{name} has no column {column}")
        places.append(header.index(column) if column in header else None)
    if None not in places:
        certain = [place for place in places if place is not None]
        return lambda row: tuple([row[place] for place in certain])
    given = [absent.get(column, "") for column in columns]
    return lambda row: tuple(
        [value if place is None else row[place] for place, value in zip(places, given, strict=True)]
    )
