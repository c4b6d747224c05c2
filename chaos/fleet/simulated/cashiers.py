"""Cashiers: they ask, and repeat under the same op id whatever they got no answer to."""

from __future__ import annotations

from random import Random

from chaos.fleet.simulated.asking import Operation, Told
from chaos.fleet.simulated.chain import Chain
from chaos.fleet.simulated.history import Asked
from chaos.fleet.simulated.plan import Action
from syncref.core.selling import Basket, LineAsked, LineReturned, PaymentAsked, Return
from syncref.core.step import replace

AGAIN = frozenset({"not_loaded", "disk_full", "storage_failed"})
FIRST_DAY = 1


def op_id(seed: int, number: int) -> bytes:
    """Return the op id of a plan's operation."""
    return b"op" + seed.to_bytes(8, "big") + number.to_bytes(6, "big")


class Cashiers:
    """One queue of customers for each till."""

    def __init__(self, world: Chain) -> None:
        self.world = world
        self.days: dict[int, int] = {}
        self.extra = 1_000_000
        self.sold: list[Asked] = []

    def act(self, action: Action) -> bool:
        """Do what an action asks of a cashier; return whether it was one."""
        match action.kind:
            case "sale":
                self._ask(action.who, action.n, self.sale(action))
            case "refund" | "void" | "repeat" | "edited":
                self._on_receipt(action)
            case "open":
                self.open(action.who)
            case "close_midway":
                self.close(action.who)
                self.world.loop.after(400, self.open, action.who)
            case _:
                return False
        return True

    def sale(self, action: Action) -> Operation:
        """Return a basket that the action's number stands for."""
        draw = Random(f"basket/{self.world.plan.seed}/{action.n}")  # noqa: S311
        lines = []
        for _ in range(draw.choice((1, 1, 2, 3))):
            sku = f"p{draw.randrange(self.world.plan.products)}"
            qty = draw.choice((1000, 1000, 2000, draw.randint(1, 3000)))
            lines.append(LineAsked(sku=sku, qty=qty, discount=draw.choice((0, 0, 0, 1))))
        payments: tuple[PaymentAsked, ...] = (PaymentAsked(tender=draw.choice(("cash", "card")), amount=None),)
        if draw.random() < 0.3:
            payments = (PaymentAsked(tender="voucher", amount=1), *payments)
        request = Basket(lines=tuple(lines), payments=payments)
        return Operation(op_id=op_id(self.world.plan.seed, action.n), kind="sale", request=request)

    def open(self, node: int) -> None:
        """Open the next business date of a till."""
        day = self.days.setdefault(node, FIRST_DAY)
        self.extra += 1
        operation = Operation(op_id=op_id(self.world.plan.seed, self.extra), kind="open", request=date(day))
        self._ask(node, self.extra, operation)

    def close(self, node: int) -> None:
        """Close a till's day; the next one opened is the next date."""
        self.extra += 1
        day = self.days.setdefault(node, FIRST_DAY)
        operation = Operation(op_id=op_id(self.world.plan.seed, self.extra), kind="close", request=date(day))
        self.days[node] = day + 1
        self._ask(node, self.extra, operation)

    def _on_receipt(self, action: Action) -> None:
        """Do something with a receipt that was told to somebody before."""
        known = self.sold
        if action.kind in ("repeat", "edited"):
            known = [asked for asked in known if asked.node == action.who]
        if not known:
            return
        chosen = known[action.amount % len(known)]
        if action.kind in ("repeat", "edited"):
            self._again(chosen, edited=action.kind == "edited")
            return
        assert chosen.told is not None
        number = chosen.told.receipt_no
        op = op_id(self.world.plan.seed, action.n)
        if action.kind == "void":
            self._ask(action.who, action.n, Operation(op_id=op, kind="void", request=number))
            return
        receipt = self.world.watch.printed[number]
        line = receipt.lines[action.amount % len(receipt.lines)]
        returned = LineReturned(
            sku=line.sku,
            qty=line.qty,
            unit_price=line.unit_price,
            price_version=line.price_version,
            tax_rate_bp=line.tax_rate_bp,
            discount=line.discount,
        )
        payments = (PaymentAsked(tender="cash", amount=None),)
        request = Return(receipt_no=number, lines=(returned,), payments=payments)
        self._ask(action.who, action.n, Operation(op_id=op, kind="refund", request=request))

    def _again(self, chosen: Asked, *, edited: bool) -> None:
        """Repeat what was answered; an edited basket must be refused."""
        operation = chosen.operation
        if edited:
            assert isinstance(operation.request, Basket)
            first, *rest = operation.request.lines
            lines = (replace(first, qty=first.qty + 1000), *rest)
            operation = replace(operation, request=replace(operation.request, lines=lines))
        node = self.world.tills[chosen.node]
        if chosen.node in self.world.losers:
            return

        def reply(told: Told) -> None:
            if node.replies_cut:
                return
            self.world.bites.count("edited" if edited else "repeat")
            if edited and (told.ok or told.code != "operation_reused"):
                self.world.watch.find("money", f"{node.name} answers another basket under a used op id")
            elif not edited and told != chosen.told:
                self.world.watch.find("receipts", f"{node.name} answers {told}, and before {chosen.told}")

        node.ask(operation, reply)

    def _ask(self, who: int, number: int, operation: Operation) -> None:
        node = self.world.clones[who] if number % 2 and who in self.world.clones else who
        asked = Asked(operation=operation, node=node, first_ms=self.world.loop.now)
        asked.date = date(self.days.get(node, self.days.get(who, FIRST_DAY)))
        self.world.history.operations[operation.op_id] = asked
        self._attempt(asked)

    def _attempt(self, asked: Asked) -> None:
        node = self.world.tills[asked.node]
        if node.gone:
            return
        heard: list[Told] = []
        node.ask(asked.operation, heard.append)
        if not heard or node.replies_cut:
            asked.infos += 1
            self.world.loop.after(700, self._attempt, asked)
            return
        told = heard[0]
        if told.code == "not_loaded" and node.store.loaded:
            self.world.watch.find("experience", f"{node.name} has its masters and does not sell")
        if told.code in AGAIN:
            self.world.loop.after(700, self._attempt, asked)
            return
        asked.state = "ok" if told.ok else "fail"
        asked.told = told
        if told.ok:
            self.world.bites.count(asked.operation.kind)
        if told.ok and asked.operation.kind == "sale":
            self.sold.append(asked)

    def waiting(self) -> list[bytes]:
        """Return the operations that were not answered yet."""
        tills = self.world.tills
        return [
            op
            for op, asked in self.world.history.operations.items()
            if asked.state == "waiting" and not tills[asked.node].gone
        ]


def date(day: int) -> str:
    """Return a business date by its number."""
    return f"2026-01-{day:02d}"
