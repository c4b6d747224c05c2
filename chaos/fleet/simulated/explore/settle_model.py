"""The settlement model: two tills, a cross-till refund, poison and its resolution, and the close of day."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from chaos.fleet.simulated.explore.engine import Next
from chaos.fleet.simulated.reception import decoded
from chaos.fleet.simulated.server_store import ServerStore
from chaos.fleet.simulated.settling import day_facts
from syncref.core import ingest, journal
from syncref.core import journal_messages as said
from syncref.core.ingest import Plan, ServerView
from syncref.core.posting import set_aside
from syncref.core.selling import (
    Basket,
    LineAsked,
    LineReturned,
    Offer,
    PaymentAsked,
    PriceRow,
    Return,
)
from syncref.core.settlement import State, settle
from syncref.core.step import replace
from syncref.domain.identity import Key, Mark, genesis_hash, receipt_number
from syncref.wire.entry import Payment, RateTotal, Receipt
from syncref.wire.sync import Batch

CLUSTER = "lab"
DATE = "2026-01-01"
TILLS = ("T01", "T02")
KEYS = tuple(Key(till=name, incarnation=name.encode().ljust(16, b".")) for name in TILLS)
CASH = (PaymentAsked(tender="cash", amount=None),)
BASKET = Basket(lines=(LineAsked(sku="p", qty=1000),), payments=CASH)
OFFER = Offer(sku="p", active=True, tax_rate_bp=700, prices=(PriceRow(valid_from_ms=0, amount=107, version=1),))


class Desk(Struct, frozen=True, kw_only=True):
    """A till: its journal, the payloads in it, how many the server has, which of them it can't store."""

    ledger: said.JournalState
    payloads: tuple[bytes, ...] = ()
    sent: int = 0
    poison: tuple[int, ...] = ()
    sales: int = 2
    refunds: int = 1
    poisons: int = 1


class Shop(Struct, frozen=True, kw_only=True):
    """Everything there is. `log` is the server's: (till, entries taken) or (till, sequence resolved)."""

    desks: tuple[Desk, ...]
    log: tuple[tuple[str, int, int], ...] = ()


class SettleModel:
    """Two tills that sell, take each other's receipts back, and close."""

    def __init__(self, name: str, *, sales: int = 2, refunds: int = 1, poisons: int = 1) -> None:
        self.name, self.sales, self.refunds, self.poisons = name, sales, refunds, poisons

    def initial(self) -> Shop:
        """Return two tills with an open day."""
        return Shop(desks=tuple(self._desk(key) for key in KEYS))

    def _desk(self, key: Key) -> Desk:
        genesis = Mark(seq=0, hash=genesis_hash(cluster=CLUSTER, key=key))
        ledger = said.JournalState(key=key, head=genesis, business_date=DATE, mode=said.Mode.SELLING)
        return Desk(ledger=ledger, sales=self.sales, refunds=self.refunds, poisons=self.poisons)

    def steps(self, shop: Shop) -> Iterator[Next]:
        """Return every step."""
        for index, desk in enumerate(shop.desks):
            name = TILLS[index]
            if desk.ledger.business_date is not None:
                yield from self._counter(shop, index, desk)
            for count in range(1, len(desk.payloads) - desk.sent + 1):
                taken = replace(desk, sent=desk.sent + count)
                log = (*shop.log, (name, desk.sent, desk.sent + count))
                yield Next(f"{name} uploads {count}", _with(replace(shop, log=log), index, taken))
            for seq in desk.poison:
                resolved = (name, -1, seq)
                if seq <= desk.sent and resolved not in shop.log:
                    after = replace(shop, log=(*shop.log, resolved))
                    yield Next(f"a clerk writes {seq} of {name} off", after)

    def _counter(self, shop: Shop, index: int, desk: Desk) -> Iterator[Next]:
        name = TILLS[index]
        op = (100 * index + len(desk.payloads) + 1).to_bytes(16, "big")
        common = {"op_id": op, "request_hash": b"", "cashier": "C", "prior": None}
        if desk.sales:
            asked = said.SaleAsked(basket=BASKET, offers=(OFFER,), **common)  # type: ignore[arg-type]
            sold = _booked(replace(desk, sales=desk.sales - 1), asked)
            yield Next(f"{name} sells", _with(shop, index, sold), True)
            if desk.poisons:
                seq = len(sold.payloads)
                bad = replace(sold, poisons=desk.poisons - 1, poison=(*sold.poison, seq))
                yield Next(f"{name} sells what the server can't store", _with(shop, index, bad), True)
        other = shop.desks[1 - index]
        if desk.refunds and other.ledger.counter:
            number = receipt_number(key=KEYS[1 - index], counter=1)
            line = LineReturned(sku="p", qty=1000, unit_price=107, price_version=1, tax_rate_bp=700)
            back = Return(receipt_no=number, lines=(line,), payments=CASH)
            refund = said.RefundAsked(asked=back, original=None, **common)  # type: ignore[arg-type]
            done = _booked(replace(desk, refunds=desk.refunds - 1), refund)
            yield Next(f"{name} takes a receipt of the other till back", _with(shop, index, done), True)
        close = said.DayCloseAsked(counted_cash=0, totals=totals(desk.payloads), **common)  # type: ignore[arg-type]
        yield Next(f"{name} closes", _with(shop, index, _booked(desk, close)))

    # --- invariants

    def wrong(self, shop: Shop) -> str | None:
        """Return where TALLIED does not mean that Z is posted plus written off, or an entry is missing."""
        stored = _stored(shop)
        for index, desk in enumerate(shop.desks):
            seqs, state, adds_up = judged(shop.log, stored, index)
            receipts = [
                seq
                for seq, payload in enumerate(desk.payloads[: desk.sent], 1)
                if isinstance(decoded(payload), Receipt)
            ]
            if seqs != receipts:
                return f"{TILLS[index]} has {receipts}, posted or set aside are {seqs}"
            if state is State.TALLIED and not adds_up:
                return f"{TILLS[index]} is tallied and does not add up"
        store, awaited = server(shop.log, stored)
        if any(number in store.by_number for number in awaited):
            return "a flag waits for a receipt that is there"
        return None

    def settled(self, shop: Shop) -> bool:
        """Return whether both days are tallied."""
        closed = all(desk.ledger.business_date is None for desk in shop.desks)
        stored = _stored(shop)
        return closed and all(judged(shop.log, stored, n)[1] is State.TALLIED for n in range(len(TILLS)))


Stored = tuple[tuple[tuple[bytes, ...], tuple[int, ...]], ...]


def _stored(shop: Shop) -> Stored:
    """Return what the server has of each till's payloads, and which of them it can't store."""
    return tuple(
        (desk.payloads[: desk.sent], tuple(seq for seq in desk.poison if seq <= desk.sent)) for desk in shop.desks
    )


@lru_cache(maxsize=100_000)
def judged(log: tuple[tuple[str, int, int], ...], stored: Stored, index: int) -> tuple[list[int], State, bool]:
    """Return a till's sequences that are posted or set aside, its date's state, and whether that adds up."""
    store, _ = server(log, stored)
    held = store.journals[KEYS[index]]
    seqs = sorted([row.seq for row in held.receipts] + [row.seq for row in held.asides])
    state = settle(day_facts(store, TILLS[index], DATE)).state
    return seqs, state, state is State.TALLIED and _adds_up(store, index)


def _adds_up(store: ServerStore, index: int) -> bool:
    """Return whether Z is what was posted and what was written off, in money and in number."""
    held = store.journals[KEYS[index]]
    z = held.zs[0][1]
    gross = sum(row.receipt.gross for row in held.receipts)
    count = len(held.receipts)
    for row in held.asides:
        if row.seq not in held.resolved:
            return False
        entry = decoded(held.entries[row.seq - 1][1])
        assert isinstance(entry, Receipt)
        gross += entry.gross
        count += 1
    return z.gross == gross and z.sales + z.refunds + z.voids == count


def _with(shop: Shop, index: int, desk: Desk) -> Shop:
    return replace(shop, desks=(*shop.desks[:index], desk, *shop.desks[index + 1 :]))


def _booked(desk: Desk, event: said.Asked) -> Desk:
    state, effects = journal.step(desk.ledger, event, now_ms=0)
    commit = effects[0]
    assert isinstance(commit, said.Commit), commit
    state, _ = journal.step(state, said.Committed(), now_ms=0)
    return replace(desk, ledger=state, payloads=(*desk.payloads, commit.payload))


@lru_cache(maxsize=10_000)
def totals(payloads: tuple[bytes, ...]) -> said.DayTotals:
    """Return a till's sums for its Z."""
    receipts = [entry for entry in map(decoded, payloads) if isinstance(entry, Receipt)]
    gross = sum(receipt.gross for receipt in receipts)
    tax = sum(receipt.tax for receipt in receipts)
    return said.DayTotals(
        sales=sum(receipt.kind == "sale" for receipt in receipts),
        refunds=sum(receipt.kind == "refund" for receipt in receipts),
        gross=gross,
        tax=tax,
        by_tender=(Payment(tender="cash", amount=gross),) if receipts else (),
        by_rate=(RateTotal(rate_bp=700, gross=gross, tax=tax),) if receipts else (),
    )


@lru_cache(maxsize=50_000)
def server(log: tuple[tuple[str, int, int], ...], desks: Stored) -> tuple[ServerStore, tuple[str, ...]]:
    """Return the server's database after a log of uploads and resolutions."""
    store = ServerStore(cluster=CLUSTER, page_rows=10)
    view = ServerView(term=store.term, live=True)
    for key in KEYS:
        store.write("session", key, b"s")
    for till, begin, end in log:
        index = TILLS.index(till)
        key = KEYS[index]
        payloads, poison = desks[index]
        if begin < 0:
            store.write("resolve", key, end)
            continue
        row = store.journal_row(key)
        assert row is not None
        batch = Batch(
            session=b"s",
            term=store.term_wire(),
            till=till,
            incarnation=key.incarnation,
            first_seq=begin + 1,
            prev_hash=row.durable.hash,
            payloads=payloads[begin:end],
        )
        plan = ingest.plan_batch(
            view,
            row,
            batch,
            stored={},
            entries=[decoded(payload) for payload in batch.payloads],
            known_ops=store.by_op,
            receipts=store.by_number,
            products={"p"},
            awaited=store.awaited,
        )
        assert isinstance(plan, Plan), plan
        for seq in poison:
            if begin < seq <= end:
                plan = replace(plan, posting=set_aside(plan.posting, seq, "22003"))
        store.write("batch", key, plan, batch.payloads)
    return store, tuple(store.awaited)
