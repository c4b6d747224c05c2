"""A disk that loses what was not synced when the power goes: the last records, the first of them torn."""

from __future__ import annotations

from random import Random
from typing import Any

Record = tuple[Any, ...]
TORN: Record = ("torn",)


class Disk:
    """A log of transactions. Killing a process loses none of it (the page cache stays), a power cut may.

    Of what is lost the first record stays as a torn tail; its checksum tells, and whoever opens the disk drops it.
    """

    def __init__(self, records: list[Record] | None = None) -> None:
        self.records: list[Record] = records if records is not None else []
        self.synced = len(self.records)

    def append(self, record: Record) -> None:
        """Write a record; it is durable only after `sync`."""
        self.records.append(record)

    def sync(self) -> None:
        """Make everything written so far durable."""
        self.synced = len(self.records)

    def power_cut(self, draw: Random) -> int:
        """Lose a part of what was not synced; return how many records are gone."""
        kept = draw.randint(self.synced, len(self.records))
        lost = len(self.records) - kept
        del self.records[kept:]
        self.synced = kept
        if lost:
            self.records.append(TORN)
        return lost

    def recover(self) -> bool:
        """Drop a torn tail, as whoever opens the disk does; return whether there was one."""
        torn = bool(self.records) and self.records[-1] is TORN
        if torn:
            self.records.pop()
        return torn

    def copy(self, length: int | None = None) -> Disk:
        """Return an image of the disk, of now or of when it had `length` records."""
        return Disk(self.records[: len(self.records) if length is None else length])
