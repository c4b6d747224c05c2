"""A till: the journal core on a simulated disk and clock, with its uploaders and receivers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from chaos.fleet.simulated.asking import Operation, Told
from chaos.fleet.simulated.disk import Disk
from chaos.fleet.simulated.network import Killed, Link
from chaos.fleet.simulated.node import Node
from chaos.fleet.simulated.receiver import Receiver
from chaos.fleet.simulated.scene import Scene
from chaos.fleet.simulated.till_store import TillStore
from chaos.fleet.simulated.uploader import Uploader
from syncref.core import journal
from syncref.core import journal_messages as said
from syncref.core.step import replace
from syncref.core.uplink_messages import UplinkState
from syncref.domain.identity import Key, Mark, Term


class TillNode(Node):
    """One till. Its links stand in the order of its server list."""

    kind = "till"

    def __init__(self, world: Scene, name: str, disk: Disk, key: Key) -> None:
        super().__init__(world, name)
        self.disk = disk
        self.key = key  # as provisioned; the store may have been rebased since
        self.store = TillStore(disk, cluster=world.cluster, key=key)
        self.index = 0
        self.links: list[Link] = []
        self.replies_cut = False
        self.disk_full = False
        self.unknown_commits = 0
        self.gone = False  # for good
        self.on_death: Callable[[], None] = _nothing
        self.syncing = True
        self.ledger: said.JournalState = self.store.journal
        self.reply: Callable[[Told], None] = _unheard
        self.uploaders: list[Uploader] = []
        self.receivers: list[Receiver] = []

    # --- life

    def start(self) -> None:
        """Boot from what is on the disk; a till that is gone for good does not."""
        if self.gone:
            return
        self.alive = True
        self.boot += 1
        self.settle_disk()
        self.ledger = replace(self.store.journal, pending=None)
        self.uploaders = [Uploader(self, state) for state in self.store.uplink_states()]
        self.receivers = [Receiver(self, resume=True), Receiver(self, resume=False)]
        self.on_boot()
        self.world.watch.booted(self)
        self.note(f"starts: head {self.ledger.head.seq}, acked {self.store.acked}")
        self.wake()

    def settle_disk(self) -> None:
        """Make durable what a killed process had written and not synced: it is seen, so it may be told."""
        self.disk.sync()

    def guarded_start(self) -> None:
        """Start; it may die of an earlier doom right away."""
        try:
            self.start()
        except Killed:
            self.die()

    def on_boot(self) -> None:
        """Give mutants that keep things in memory a place to lose them."""

    def wake(self) -> None:
        """Let both directions run, if the till's mode is to sync by itself."""
        if self.syncing:
            self.guarded(self._wake)

    def _wake(self) -> None:
        for uploader in tuple(self.uploaders):
            uploader.wake(now=True)
        self.receivers[0].follow()

    def sleep(self) -> None:
        """End the sync window."""
        self.guarded(self._sleep)

    def _sleep(self) -> None:
        for uploader in tuple(self.uploaders):
            uploader.sleep()
        self.receivers[0].sleep()

    def sync_masters(self) -> None:
        """Sync the masters by hand, beside whatever the schedule does."""
        self.world.bites.count("manual")
        self.guarded(self.receivers[1].once)

    def met_term(self, term: Term) -> None:
        """Tell the uploaders of a term that the feed was answered in."""
        for uploader in tuple(self.uploaders):
            uploader.met_term(term)

    def rebase(self, common: Mark) -> None:
        """Go on in a new incarnation; the old one's prefix is still to be sent wherever it is missing."""
        new = Key(till=self.store.journal.key.till, incarnation=self.world.fresh())
        self.store.write("rebase", common, new, self.world.fresh(), self.clock_ms())
        self.world.bites.count("rebase")
        self.note(f"rebases at {common.seq}, head is {self.store.journal.head.seq}")
        self.ledger = replace(self.ledger, pending=None)
        state = self.store.journal
        self.book(said.Rebased(key=new, head=state.head, counter=state.counter))

    def recall(self, frozen: Key, common: Mark) -> None:
        """Go on in the till's own journal with what a continued one has after a mark."""
        self.store.write("recall", frozen.incarnation, common)
        state = self.store.journal
        self.note(f"recalls what a frozen journal has after {common.seq}, head is {state.head.seq}")
        self.ledger = replace(self.ledger, pending=None)
        self.book(said.Rebased(key=state.key, head=state.head, counter=state.counter))

    def owe(self, state: UplinkState) -> None:
        """Upload a journal that is continued by another one as well, from now on."""
        elder = Uploader(self, state)
        self.uploaders.append(elder)
        elder.wake(now=True)

    def die(self) -> None:
        """Stop at once; with the power, what was not synced may go."""
        if not self.alive:
            return
        power, self.power = self.power, False
        self.alive, self.doom = False, -1
        self.reply = _unheard
        if power:
            lost = self.disk.power_cut(self.world.draw)
            self.note(f"loses its power and {lost} unsynced records")
            self.store = TillStore(self.disk, cluster=self.world.cluster, key=self.key)
            if lost:
                self.world.bites.count("power.lost")
            if self.store.torn:
                self.world.bites.count("power.torn")
        else:
            self.note("is killed")
        self.on_death()

    def guarded(self, call: Callable[..., None], *arguments: object) -> None:
        """Run something that may kill the node."""
        if not self.alive:
            return
        try:
            call(*arguments)
        except Killed:
            self.die()

    # --- cashiers

    def ask(self, operation: Operation, reply: Callable[[Told], None]) -> None:
        """Carry an operation out and tell the cashier; a dead till tells nothing."""
        if self.alive:
            self.guarded(self._ask, operation, reply)

    def _ask(self, operation: Operation, reply: Callable[[Told], None]) -> None:
        if not self.store.loaded:
            reply(Told(ok=False, code="not_loaded"))
            return
        self.reply = reply
        self.book(self.event_of(operation))

    def event_of(self, operation: Operation) -> said.Asked:
        """Look up what an operation needs and make it the journal's event."""
        common = {
            "op_id": operation.op_id,
            "request_hash": journal.request_hash(operation.kind, operation.request),
            "cashier": "C1",
            "prior": self.prior(operation.op_id),
        }
        request: Any = operation.request
        match operation.kind:
            case "sale":
                skus = {line.sku for line in request.lines}
                offers = tuple(self.store.offer(sku) for sku in skus)
                return said.SaleAsked(basket=request, offers=offers, **cast(Any, common))
            case "refund":
                original = self.store.original(request.receipt_no)
                return said.RefundAsked(asked=request, original=original, **cast(Any, common))
            case "void":
                original = self.store.original(request)
                return said.VoidAsked(receipt_no=request, original=original, **cast(Any, common))
            case "open":
                return said.DayOpenAsked(business_date=request, float_cash=100, **cast(Any, common))
            case "close":
                totals = self.store.totals(self.ledger.business_date or "")
                return said.DayCloseAsked(counted_cash=0, totals=totals, **cast(Any, common))

    def prior(self, op_id: bytes) -> said.Prior | None:
        """Look an op id up."""
        return self.store.prior(op_id)

    def book(self, event: said.JournalEvent) -> None:
        """Step the journal and carry its effects out."""
        following: list[said.JournalEvent] = [event]
        while following:
            self.ledger, effects = journal.step(self.ledger, following.pop(0), now_ms=self.clock_ms())
            for effect in effects:
                self.boundary(effect)
                after = self._do(effect)
                if after is not None:
                    following.append(after)

    def _do(self, effect: said.JournalEffect) -> said.JournalEvent | None:
        match effect:
            case said.Commit():
                return self.commit(effect)
            case said.Reply():
                self.reply(self._told(effect))
            case said.WakeUplink():
                self.uploaders[0].sold(effect.head, wake=self.syncing)
            case said.Refuse():
                self.note(f"refuses {effect.op_id.hex()[-6:]}: {effect.code}")
                self.reply(Told(ok=False, code=effect.code))
            case said.Reopen():
                self.settle_disk()
                return said.Reopened(found=effect.op_id in self.store.ops)
            case said.PersistMode():
                self.store.write("mode", effect.mode)
        return None

    def commit(self, effect: said.Commit) -> said.JournalEvent:
        """Write the transaction and make it durable; between the two the power may go."""
        if self.disk_full:
            self.world.bites.count("disk.till")
            return said.CommitFailed(definite=True, code="disk_full")
        if self.unknown_commits:
            self.unknown_commits -= 1
            self.world.bites.count("disk.unknown")
            if self.world.draw.random() < 0.5:
                self.store.write("commit", effect, sync=False)
            return said.CommitFailed(definite=False)
        self.store.write("commit", effect, sync=False)
        self.boundary("sync")
        self.disk.sync()
        if self.world.transcript is not None:
            self.note(f"{effect.kind} {effect.op_id.hex()[-6:]} is durable at {effect.head.seq}")
        return said.Committed()

    def _told(self, effect: said.Reply) -> Told:
        if effect.made is not None:
            entry: Any = effect.made.entry
            if effect.made.receipt_no is None:
                return Told(ok=True)
            self.world.watch.sold(self, effect.made)
            return Told(ok=True, receipt_no=effect.made.receipt_no, gross=entry.gross, tax=entry.tax)
        if not effect.prior:
            return Told(ok=True)
        number, gross, tax = effect.prior.decode().split("|")
        self.world.watch.printed.setdefault(number, self.store.receipts[number])
        return Told(ok=True, receipt_no=number, gross=int(gross), tax=int(tax))


def _nothing() -> None:
    """Let it be."""


def _unheard(told: Told) -> None:
    """Take a reply that nobody hears."""
