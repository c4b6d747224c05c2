"""Reading evidence for the page: forgiving where judging is not.

Evidence that is cut or edited is the judge's to convict, and the report about it must still come out. What
can't be read is left out, and named in a list of gaps that the page shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rehearsal.evidence.reader import Evidence, EvidenceDamaged, EvidenceMissing

_UNREADABLE = (OSError, ValueError)


def integer(text: str | None) -> int | None:
    """Return an integer written in decimal, None for anything else."""
    try:
        return int(text or "")
    except ValueError:
        return None


def real(text: str | None) -> float | None:
    """Return a finite number, None for anything else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < 1e300 else None


def rows(evidence: Evidence, name: str, gaps: list[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file that can be read; what stops the reading goes into `gaps`."""
    try:
        yield from evidence.rows(name)
    except (EvidenceMissing, EvidenceDamaged) as error:
        gaps.append(str(error))
    except _UNREADABLE as error:
        gaps.append(f"{name}: {error}")


def history(evidence: Evidence, gaps: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the operations of the history up to the first line that can't be read."""
    try:
        for line in evidence.history():
            if isinstance(line, dict):
                yield line
    except (EvidenceMissing, EvidenceDamaged) as error:
        gaps.append(str(error))
    except _UNREADABLE as error:
        gaps.append(f"history.jsonl: {error}")
