"""What cashiers and clerks asked and heard: the witness that shares nothing with the system."""

from __future__ import annotations

from dataclasses import dataclass, field

from chaos.fleet.simulated.asking import EditAnswered, EditAsked, Operation, Told


@dataclass(slots=True)
class Asked:
    """One operation of a cashier. `state`: waiting, ok, fail; `infos` counts answers that never came."""

    operation: Operation
    node: int
    state: str = "waiting"
    told: Told | None = None
    infos: int = 0
    first_ms: int = 0
    date: str = ""


@dataclass(slots=True)
class Document:
    """One document of a clerk."""

    asked: EditAsked
    answer: EditAnswered | None = None


@dataclass(slots=True)
class History:
    """All operations by op id, and every receipt number that was ever told for one."""

    operations: dict[bytes, Asked] = field(default_factory=dict)
    documents: dict[bytes, Document] = field(default_factory=dict)
    samples: list[tuple[int, int, int]] = field(default_factory=list)
