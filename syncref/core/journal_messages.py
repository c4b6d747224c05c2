"""The journal core's state, events and effects."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from msgspec import Struct

from syncref.core.selling import Basket, Offer, Original, Return
from syncref.core.step import Step
from syncref.domain.identity import Key, Mark
from syncref.wire.entry import Entry, Payment, RateTotal


class Mode(Enum):
    """What the till may do. DRAINING: nothing new but the close, until all is safe. FROZEN: nothing."""

    SELLING = "selling"
    CLOSED = "closed"
    DRAINING = "draining"
    FROZEN = "frozen"


OperationKind = Literal["sale", "refund", "void", "open", "close"]


class Commit(Struct, frozen=True, kw_only=True):
    """Store in one transaction: the entry's bytes and typed rows, the op id with its result, the new head.

    The fields from `head` on are the till row after it. `receipt_no` is None for day entries. Stock effects
    follow from the lines (less what is sold, more what comes back).
    """

    op_id: bytes
    kind: OperationKind
    request_hash: bytes
    entry: Entry
    payload: bytes
    receipt_no: str | None
    head: Mark
    counter: int
    business_date: str | None
    closed_date: str | None
    mode: Mode
    time_floor_ms: int


class JournalState(Struct, frozen=True, kw_only=True):
    """The till's row. `counter` numbers receipts within the incarnation; `business_date` None: no day open.

    `time_floor_ms` is the latest instant at which a price was taken: prices never go back behind it.
    """

    key: Key
    head: Mark
    counter: int = 0
    business_date: str | None = None
    closed_date: str | None = None
    mode: Mode = Mode.CLOSED
    time_floor_ms: int = 0
    pending: Commit | None = None


class Prior(Struct, frozen=True, kw_only=True):
    """What the operation table holds under an op id: the request it was for and the answer as given."""

    request_hash: bytes
    result: bytes


class DayTotals(Struct, frozen=True, kw_only=True):
    """Sums over the receipts of the open business date, as Z will state them."""

    sales: int = 0
    refunds: int = 0
    voids: int = 0
    gross: int = 0
    tax: int = 0
    by_tender: tuple[Payment, ...] = ()
    by_rate: tuple[RateTotal, ...] = ()
    first_receipt: str | None = None
    last_receipt: str | None = None


# --- events


class SaleAsked(Struct, frozen=True, kw_only=True):
    """A basket to sell; `offers` are the masters' rows of its products."""

    op_id: bytes
    request_hash: bytes
    cashier: str
    basket: Basket
    offers: tuple[Offer, ...]
    prior: Prior | None


class RefundAsked(Struct, frozen=True, kw_only=True):
    """Lines to take back; `original` is the receipt and what was taken back of it, if it is on this till."""

    op_id: bytes
    request_hash: bytes
    cashier: str
    asked: Return
    original: Original | None
    prior: Prior | None


class VoidAsked(Struct, frozen=True, kw_only=True):
    """A receipt of this till and of the open day to take back whole."""

    op_id: bytes
    request_hash: bytes
    cashier: str
    receipt_no: str
    original: Original | None
    prior: Prior | None


class DayOpenAsked(Struct, frozen=True, kw_only=True):
    """A business date to open, 'YYYY-MM-DD', later than the last one closed."""

    op_id: bytes
    request_hash: bytes
    cashier: str
    business_date: str
    float_cash: int
    prior: Prior | None


class DayCloseAsked(Struct, frozen=True, kw_only=True):
    """The open day is to be closed; `totals` were summed in the transaction that Commit will use."""

    op_id: bytes
    request_hash: bytes
    cashier: str
    counted_cash: int
    totals: DayTotals
    prior: Prior | None


class Committed(Struct, frozen=True):
    """The pending commit is durable."""


class CommitFailed(Struct, frozen=True, kw_only=True):
    """The pending commit failed. `definite`: it did not and will not happen; else its outcome is unknown."""

    definite: bool
    code: str = "storage_failed"


class Reopened(Struct, frozen=True, kw_only=True):
    """The store was opened anew after an unknown outcome; `found`: the pending op id is in it."""

    found: bool


class Rebased(Struct, frozen=True, kw_only=True):
    """A new incarnation was opened and the old one's unsent suffix journaled anew in it."""

    key: Key
    head: Mark
    counter: int


class DrainAsked(Struct, frozen=True):
    """Stop selling for good: the till is to be cleaned once everything is safe."""


class Froze(Struct, frozen=True):
    """The incarnation is being closed (fork or cleaning): nothing more may be journaled in it."""


Asked = SaleAsked | RefundAsked | VoidAsked | DayOpenAsked | DayCloseAsked
JournalEvent = Asked | Committed | CommitFailed | Reopened | Rebased | DrainAsked | Froze

# --- effects


class Reply(Struct, frozen=True, kw_only=True):
    """Answer the operation: `made` is what was just committed, else `prior` the answer as given before."""

    op_id: bytes
    made: Commit | None = None
    prior: bytes | None = None


class Refuse(Struct, frozen=True, kw_only=True):
    """Answer with an error of the catalogue. `definite`: the operation did not and will not happen."""

    op_id: bytes
    code: str
    message: str
    definite: bool


class Reopen(Struct, frozen=True, kw_only=True):
    """Open the store anew and look the op id up: its commit's outcome is unknown. Answer: Reopened."""

    op_id: bytes


class WakeUplink(Struct, frozen=True, kw_only=True):
    """There is something to send: the journal's head is durable."""

    head: Mark


class PersistMode(Struct, frozen=True, kw_only=True):
    """Make the till row's mode durable."""

    mode: Mode


JournalEffect = Commit | Reply | Refuse | Reopen | WakeUplink | PersistMode
JournalStep = Step[JournalState, JournalEffect]
