"""What cashiers and clerks ask, and what they hear."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from chaos.fleet.simulated.server_store import MasterChange
from syncref.core import journal_messages as said
from syncref.core.selling import Basket, Return
from syncref.domain.masters import Row


class Operation(Struct, frozen=True, kw_only=True):
    """What a cashier asks: a basket to sell, lines to return, a receipt to void, a day to open or close."""

    op_id: bytes
    kind: said.OperationKind
    request: Basket | Return | str


class Told(Struct, frozen=True, kw_only=True):
    """What the cashier hears. An unknown outcome is not told: no answer comes."""

    ok: bool
    code: str = ""
    receipt_no: str = ""
    gross: int = 0
    tax: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EditAsked:
    """A clerk's document; `hold_ms`: its transaction stays open so long between its begin and its commit."""

    op_id: bytes
    request: bytes
    changes: tuple[MasterChange, ...]
    hold_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EditAnswered:
    """A document's answer; `at_risk`: the standby does not have it yet."""

    at_risk: bool
    rows: tuple[tuple[str, Row, int], ...]
    reused: bool = False
    at_ms: int = 0
