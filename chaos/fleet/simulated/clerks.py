"""Clerks of the back office: documents with op ids, repeated until they are answered."""

from __future__ import annotations

from chaos.fleet.simulated.asking import EditAnswered, EditAsked
from chaos.fleet.simulated.chain import Chain
from chaos.fleet.simulated.history import Document
from chaos.fleet.simulated.network import Link
from chaos.fleet.simulated.plan import Action
from chaos.fleet.simulated.server_store import MasterChange

STD = "STD"
OPENING_STOCK = 100_000


class Clerks:
    """The back office. p0 and p1 are a pair whose prices sum up to 1000 in every document."""

    boot = 0
    alive = True

    def __init__(self, world: Chain) -> None:
        self.world = world
        self.links: list[Link] = []

    def connect(self) -> None:
        """Join the servers' network."""
        self.links = [self.world.link(self, server) for server in self.world.servers]

    def opening(self) -> tuple[MasterChange, ...]:
        """Return the masters that the chain begins with."""
        changes = [
            MasterChange("tax_rate", ("A",), (1900,)),
            MasterChange("tax_rate", ("B",), (700,)),
        ]
        for n in range(self.world.plan.products):
            sku = f"p{n}"
            changes.append(MasterChange("product", (sku,), (f"Product {n}", "AB"[n % 2], None, 1)))
            price = (500, 500)[n] if n < 2 else 100 + 17 * n
            changes.append(MasterChange("price", (sku, STD, 0), (price,)))
            changes.append(MasterChange("stock", (sku,), (OPENING_STOCK,)))
        return tuple(changes)

    def act(self, action: Action) -> bool:
        """Do what an action asks of a clerk; return whether it was one."""
        changes = self._changes(action)
        if changes is None:
            return False
        op = b"ed" + self.world.plan.seed.to_bytes(8, "big") + action.n.to_bytes(6, "big")
        hold_ms = action.for_ms if action.kind == "held" else 0
        asked = EditAsked(op_id=op, request=repr(changes).encode(), changes=changes, hold_ms=hold_ms)
        self.world.history.documents[op] = Document(asked=asked)
        self._send(op, 0)
        return True

    def _changes(self, action: Action) -> tuple[MasterChange, ...] | None:
        products = self.world.plan.products
        sku = f"p{2 + action.amount % max(1, products - 2)}"
        amount = 100 + action.amount % 797
        match action.kind:
            case "price" | "urgent":
                urgent = action.kind == "urgent"
                return (MasterChange("price", (sku, STD, 0), (amount,), urgent=urgent),)
            case "future":
                valid_from = self.world.epoch_ms + self.world.loop.now + action.for_ms
                return (MasterChange("price", (sku, STD, valid_from), (amount,)),)
            case "pair" | "held":
                return (
                    MasterChange("price", ("p0", STD, 0), (amount,)),
                    MasterChange("price", ("p1", STD, 0), (1000 - amount,)),
                )
            case "delete":
                gone = action.amount % 3 > 0
                values = None if gone else ("Extra", "A", None, 1)
                return (MasterChange("product", (f"x{action.amount % 2}",), values),)
            case "delivery":
                document = f"D{action.n}"
                return (
                    MasterChange("goods_receipt", (document, 1), (None, sku, 1000 * amount, 0)),
                    MasterChange("stock", (sku,), (1000 * amount,), add=True),
                )
        return None

    def _send(self, op: bytes, server: int) -> None:
        document = self.world.history.documents[op]

        def done(answer: object) -> None:
            if isinstance(answer, EditAnswered):
                if answer.reused:
                    self.world.watch.find("edits", "a repeated document is taken for another one")
                if document.answer is None:
                    document.answer = answer
                    risk = "at risk" if answer.at_risk else "ok"
                    self.world.bites.count("at_risk" if answer.at_risk else "document")
                    self.world.note(f"clerk: document {op.hex()[-6:]} is {risk}")
                return
            self.world.loop.after(400, self._again, op, server)

        def failed() -> None:
            self.world.loop.after(400, self._again, op, server)

        self.links[server].ask("edit", document.asked, timeout_ms=5000, done=done, failed=failed)

    def _again(self, op: bytes, server: int) -> None:
        if self.world.history.documents[op].answer is None:
            self._send(op, (server + 1) % len(self.links))

    def waiting(self) -> list[bytes]:
        """Return the documents that were not answered yet."""
        return [op for op, document in self.world.history.documents.items() if document.answer is None]
