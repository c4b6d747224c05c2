"""The cashiers' and clerks' history: attempts, what came of each, and whether lines are missing.

Property kept: an attempt without a completion is `info` (nobody knows), and a hole in a worker's
numbering is reported with its size, so that nothing is called invented which a lost line may explain.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Result = Literal["ok", "fail", "info"]
RECEIPT_KINDS = frozenset({"sale", "refund", "void"})
EDIT_KINDS = frozenset(
    {"price", "product", "vendor", "tax_rate", "goods_receipt", "vendor_return", "stock_count", "cashier"}
)
WHOLE = ("n", "at_ms", "of")
REUSED = frozenset({"operation_reused", "409"})
PASSING = frozenset(  # definite refusals that say nothing about the operation itself
    {
        "unauthorized", "401", "forbidden", "403", "too_many_attempts", "429", "busy", "not_live", "503",
        "disk_full", "507", "refused", "no_session",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of an operation. `ms` counts from the intended start; `done_ms` None: no completion."""

    worker: str
    n: int
    f: str
    op_id: str
    till: str
    at_ms: int
    asked: dict[str, Any]
    result: Result
    done_ms: int | None
    code: str
    ms: float | None
    answer: dict[str, Any]

    @property
    def due_ms(self) -> int:
        """When it was to begin: before `at_ms` if its cashier was held up, as by a till that answers nothing."""
        if self.done_ms is None or self.ms is None:
            return self.at_ms
        return min(self.at_ms, self.done_ms - round(self.ms))

    @property
    def repeat(self) -> bool:
        """Whether the same operation was asked before."""
        return bool(self.asked.get("repeat"))

    @property
    def requoted(self) -> bool:
        """Whether its cashier asked the prices anew, since the first basket's payments were not what was due."""
        return bool(self.asked.get("requoted"))

    @property
    def edited(self) -> bool:
        """Whether another basket was asked under an op id that was used before."""
        return bool(self.asked.get("edited"))


def refused_again(attempts: Sequence[Attempt]) -> Attempt | None:
    """Return the attempt in which an operation of unknown outcome was refused for good; None if none was.

    Who asked again and was refused begins anew: nothing may be left of what the first answer kept back.
    """
    if any(attempt.result == "ok" for attempt in attempts):
        return None
    for attempt in attempts[1:]:
        if attempt.result == "fail" and not attempt.edited and attempt.code not in REUSED | PASSING:
            return attempt
    return None


@dataclass(slots=True)
class _Worker:
    numbers: set[int] = field(default_factory=set)
    lines: int = 0
    started: bool = False
    ended_at: int | None = None

    def holes(self, name: str) -> tuple[list[str], int | None]:
        """Return what is wrong with the numbering, and how many lines are missing (None: unbounded)."""
        wrong = []
        missing = (max(self.numbers) + 1 if self.numbers else 0) - len(self.numbers)
        if missing:
            wrong.append(f"worker {name}: {missing} of its lines are missing")
        if self.lines != len(self.numbers):
            wrong.append(f"worker {name}: {self.lines - len(self.numbers)} numbers are used twice")
        if not self.started and 0 in self.numbers:
            wrong.append(f"worker {name}: no start line")
        if self.ended_at is None:
            return [*wrong, f"worker {name}: no end line, its tail may be cut"], None
        if self.numbers and self.ended_at < max(self.numbers):
            wrong.append(f"worker {name}: goes on after its end line")
        return wrong, missing


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All attempts, in order of their start, and the holes. `missing` None: any number of lines."""

    attempts: tuple[Attempt, ...]
    by_op: dict[str, tuple[Attempt, ...]]
    holes: tuple[str, ...]
    missing: int | None
    lines: int

    def of(self, kinds: Iterable[str]) -> dict[str, tuple[Attempt, ...]]:
        """Return op id → attempts of operations of some kinds."""
        wanted = frozenset(kinds)
        return {op: tries for op, tries in self.by_op.items() if tries[0].f in wanted}


def _objects(lines: Iterable[str], holes: list[str]) -> Iterable[dict[str, Any]]:
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError:
            holes.append(f"line {place} is cut or not JSON")
            continue
        if (
            isinstance(item, dict)
            and {"worker", "n"} <= item.keys()
            and all(isinstance(item.get(name, 0), int) for name in WHOLE)
        ):
            yield item
        else:
            holes.append(f"line {place} is no operation")


def _attempt(asked: dict[str, Any], answer: dict[str, Any] | None) -> Attempt:
    result: Result = "info"
    if answer is not None and answer["type"] in ("ok", "fail"):
        result = answer["type"]
    latency = None if answer is None else answer.get("ms")
    return Attempt(
        worker=str(asked["worker"]),
        n=asked["n"],
        f=str(asked.get("f", "")),
        op_id=str(asked.get("op_id") or ""),
        till=str(asked.get("till") or ""),
        at_ms=int(asked.get("at_ms", 0)),
        asked=asked,
        result=result,
        done_ms=None if answer is None else int(answer.get("at_ms", 0)),
        code="" if answer is None else str(answer.get("code", "")),
        ms=float(latency) if latency is not None else None,
        answer=answer or {},
    )


def read_history(lines: Iterable[str]) -> History:
    """Return the history in lines of JSON, in any order of workers."""
    holes: list[str] = []
    workers: dict[str, _Worker] = defaultdict(_Worker)
    invokes: dict[tuple[str, int], dict[str, Any]] = {}
    answers: dict[tuple[str, int], dict[str, Any]] = {}
    total = 0
    for item in _objects(lines, holes):
        total += 1
        name, n, kind = str(item["worker"]), item["n"], item.get("type")
        worker = workers[name]
        worker.numbers.add(n)
        worker.lines += 1
        if kind == "start":
            worker.started = True
        elif kind == "end":
            worker.ended_at = n
        elif kind == "invoke":
            invokes[name, n] = item
        elif kind in ("ok", "fail", "info"):
            answers[name, item.get("of", -1)] = item
        else:
            holes.append(f"worker {name} line {n}: unknown type {kind!r}")
    missing: int | None = 0 if workers else None
    for name, worker in sorted(workers.items()):
        wrong, lost = worker.holes(name)
        holes += wrong
        missing = None if missing is None or lost is None else missing + lost
    holes += [
        f"worker {name}: an answer to {of} without its invoke" for name, of in answers.keys() - invokes.keys()
    ]
    attempts = tuple(
        sorted(
            (_attempt(asked, answers.get(key)) for key, asked in invokes.items()),
            key=lambda attempt: (attempt.at_ms, attempt.worker, attempt.n),
        )
    )
    by_op: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.op_id:
            by_op[attempt.op_id].append(attempt)
    return History(
        attempts=attempts,
        by_op={op: tuple(tries) for op, tries in by_op.items()},
        holes=tuple(holes),
        missing=missing,
        lines=total,
    )
