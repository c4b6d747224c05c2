"""The proof's own table: a line for each planted bug, and for each scenario without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rehearsal.prove.row import Caught, Result
from rehearsal.prove.table import Layout


def _cells(result: Result) -> Sequence[str]:
    row = result.row
    seed = "" if result.seed is None else str(result.seed)
    told = ", ".join(result.convicted) or "nothing"
    return (row.id, row.title, row.fault, row.expected, str(result.caught), seed, f"{result.seconds:.1f}", told)


def _note(result: Result) -> str:
    return result.note


def summary(results: Sequence[Result]) -> str:
    """Return the outcome in one line."""
    counted = Counter(result.caught for result in results)
    caught = counted.pop(Caught.CAUGHT, 0) + counted.pop(Caught.GO, 0)
    rest = [f"{number} {kind}: {_ids(results, kind)}" for kind, number in counted.items()]
    return "; ".join([f"{caught} of {len(results)} as they must be", *rest])


def _ids(results: Sequence[Result], kind: Caught) -> str:
    return ", ".join(result.row.id for result in results if result.caught is kind)


def _as_json(result: Result) -> dict[str, object]:
    row = result.row
    return {
        "id": row.id,
        "title": row.title,
        "fault": row.fault,
        "expected": row.expected,
        "convicted": list(result.convicted),
        "verdict": str(result.caught),
        "seed": result.seed,
        "seconds": round(result.seconds, 2),
        "note": result.note,
        "ran": result.ran,
    }


ROWS: Layout[Result] = Layout(
    name="prove",
    titles=("bug", "what is wrong", "fault", "expected", "verdict", "seed", "s", "convicted by"),
    widths=(6, 43, 29, 12, 13, 5, 6, 0),
    wraps=False,
    cells=_cells,
    note=_note,
    as_json=_as_json,
    summary=summary,
)
