"""The upward model: sales, uploads and failover, one step at a time, in every order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from chaos.fleet.simulated.explore import up_servers as far
from chaos.fleet.simulated.explore.engine import Next, Violation
from chaos.fleet.simulated.explore.up_state import (
    FIRST_TERM,
    TILL,
    Budget,
    Lane,
    Mail,
    Paper,
    Server,
    Up,
    book,
    chain,
    content_of,
    mark_of,
)
from syncref.core import journal, uplink
from syncref.core import journal_messages as said
from syncref.core import uplink_messages as up
from syncref.core.failover import FailoverState, Role
from syncref.core.ingest import Refusal
from syncref.core.selling import Basket, LineAsked, Offer, PaymentAsked, PriceRow
from syncref.core.step import replace
from syncref.core.uplink_messages import UplinkOptions, UplinkState
from syncref.domain.identity import Key, Mark, Term
from syncref.wire.entry import Continued, encode_entry
from syncref.wire.sync import Ack, Batch, Hello, HelloAnswer, TermWire

OPTIONS = UplinkOptions(cluster=FIRST_TERM.cluster, servers=2, batch_entries=2)
BASKET = Basket(lines=(LineAsked(sku="p", qty=1000),), payments=(PaymentAsked(tender="cash", amount=None),))
OFFER = Offer(sku="p", active=True, tax_rate_bp=700, prices=(PriceRow(valid_from_ms=0, amount=100, version=1),))
_step = lru_cache(maxsize=300_000)(uplink.step)
_encode = msgspec.msgpack.Encoder().encode


def incarnation(number: int) -> bytes:
    """Return the incarnation of that number."""
    return b"incarnation....%d" % number


class UpModel:
    """One till, two servers. `uploaders` share its queue; `prune`: what is safe goes at once."""

    def __init__(self, name: str, budget: Budget, *, uploaders: int = 1, prune: bool = False) -> None:
        self.name, self.budget, self.uploaders, self.prune = name, budget, uploaders, prune

    def initial(self) -> Up:
        """Return a till with an open day and nothing sold, a live server and its standby."""
        paper = Paper(incarnation(1), ())
        key = Key(till=TILL, incarnation=paper.incarnation)
        ledger = said.JournalState(
            key=key, head=mark_of(paper), business_date="2026-01-01", mode=said.Mode.SELLING
        )
        fresh = UplinkState(key=key, head=ledger.head, anchor=ledger.head)
        core = FailoverState(role=Role.LIVE, term=FIRST_TERM, timeline=1, peers=1, highest_seen=1, rank=1, ranks=2)
        standby = replace(core, role=Role.STANDBY, rank=0)
        return Up(
            papers=(paper,),
            term=None,
            journal=ledger,
            lanes=tuple(Lane(fresh) for _ in range(self.uploaders)),
            servers=(
                Server(log=(), failover=core, open=True),
                Server(log=(), failover=standby, standby_of=0),
            ),
            terms=((1, FIRST_TERM.id),),
            budget=self.budget,
        )

    # --- steps

    def steps(self, world: Up) -> Iterator[Next]:
        """Return every step."""
        if world.todo:
            yield Next(f"till: {type(world.todo[0]).__name__}", self._book(world))
        elif world.budget.sales:
            yield Next("a sale is asked", self._sale(world), fault=True)
        for index, lane in enumerate(world.lanes):
            yield from self._lane_steps(world, index, lane)
        for index in range(len(world.mail)):
            yield from self._mail_steps(world, index)
        if world.budget.kills:
            yield Next("the till is killed", self._restarted(spend(world, "kills")), fault=True)
        if world.budget.rollbacks and len(world.papers[-1].payloads) > world.papers[-1].base:
            yield Next("the till's disk is rolled back", self._rolled_back(world), fault=True)
        for step in far.steps(world):
            yield Next(step.label, normal(step.state), step.fault)

    def _sale(self, world: Up) -> Up:
        asked = world.asked + 1
        event = said.SaleAsked(
            op_id=asked.to_bytes(16, "big"),
            request_hash=b"",
            cashier="C",
            basket=BASKET,
            offers=(OFFER,),
            prior=None,
        )
        state, effects = journal.step(world.journal, event, now_ms=0)
        return replace(spend(world, "sales"), journal=state, todo=effects, asked=asked)

    def _book(self, world: Up) -> Up:
        """Carry one effect of the journal out."""
        effect, rest = world.todo[0], world.todo[1:]
        match effect:
            case said.Commit():
                current = world.papers[-1]
                longer = current._replace(payloads=(*current.payloads, effect.payload))
                state, effects = journal.step(world.journal, said.Committed(), now_ms=0)
                papers = (*world.papers[:-1], longer)
                return replace(world, papers=papers, journal=state, todo=(*effects, *rest))
            case said.Reply():
                op = int.from_bytes(effect.op_id, "big")
                return replace(world, told=(*world.told, op), todo=rest)
            case said.WakeUplink():
                after = replace(world, todo=rest)
                for index in range(self.uploaders):
                    after = self._tell(after, index, up.Wake(head=effect.head))
                return normal(after)
        raise Violation(f"an effect of {type(effect).__name__}")

    def _lane_steps(self, world: Up, index: int, lane: Lane) -> Iterator[Next]:
        who = f"uploader {index}"
        if lane.todo:
            effect = lane.todo[0]
            if isinstance(effect, (up.Rebase, up.Recall)) and world.todo:
                return  # they take the journal alone
            yield Next(f"{who}: {type(effect).__name__}", normal(self._effect(world, index)))
            return
        state = lane.state
        if state.phase in (up.Phase.BACKOFF, up.Phase.READY):
            fired = self._tell(world, index, up.TimerFired(timer=state.timer))
            yield Next(f"{who}: timer", normal(fired))
        elif state.phase is up.Phase.IDLE:
            yield Next(f"{who}: wakes", normal(self._tell(world, index, up.Wake())))

    def _tell(self, world: Up, index: int, event: up.UplinkEvent) -> Up:
        lane = world.lanes[index]
        state, effects = _step(lane.state, event, options=OPTIONS)
        idle = (up.SetTimer, up.Alarm)
        more = tuple(effect for effect in effects if not isinstance(effect, idle))
        return with_lane(world, index, Lane(state, (*lane.todo, *more)))

    def _effect(self, world: Up, index: int) -> Up:
        """Carry one effect of an uplink out."""
        lane = world.lanes[index]
        effect = lane.todo[0]
        world = with_lane(world, index, lane._replace(todo=lane.todo[1:]))
        paper = next(p for p in world.papers if p.incarnation == lane.state.key.incarnation)
        match effect:
            case up.PersistProgress():
                return self._persisted(world, index, effect)
            case up.ReadHash():
                hashes = chain(paper.incarnation, paper.payloads)
                known = paper.base <= effect.seq < len(hashes)
                found = hashes[effect.seq] if known else None
                return self._tell(world, index, up.LocalHash(seq=effect.seq, hash=found))
            case up.Load():
                return self._tell(world, index, loaded(paper, effect))
            case up.SendHello() | up.SendBatch():
                return sent(world, index, lane, effect)
            case up.Prune():
                return self._pruned(world, index, paper, effect) if self.prune else world
            case up.Rebase() | up.Recall():
                continued = self._rebased if isinstance(effect, up.Rebase) else self._recalled
                return continued(world, index, paper, effect.common)
        raise Violation(f"an effect of {type(effect).__name__}")

    def _persisted(self, world: Up, index: int, effect: up.PersistProgress) -> Up:
        """Store a term and tell the till's other uplinks; a lower one than the stored is not stored."""
        stored = world.term
        if stored is not None and effect.term.n < stored.n:
            failed = self._tell(world, index, up.StoreFailed(draw=0.5))
            return self._tell(failed, index, up.TermSeen(term=stored))
        world = replace(world, term=effect.term)
        if effect.wait:
            world = self._tell(world, index, up.Persisted())
        if effect.term != stored:
            for other in range(len(world.lanes)):
                if other != index:
                    world = self._tell(world, other, up.TermSeen(term=effect.term))
        return world

    def _pruned(self, world: Up, index: int, paper: Paper, effect: up.Prune) -> Up:
        if effect.safe <= paper.base:
            return world
        gone = [content_of(payload) for payload in paper.payloads[paper.base : effect.safe]]
        ops = tuple(op for op in gone if isinstance(op, int))
        for server in world.servers:
            promotable = server.open or (server.standby_of >= 0 and world.servers[server.standby_of].open)
            if promotable and not set(ops) <= set(book(server.log).posted):
                raise Violation("pruned what a promotable server does not have")
        shorter = paper._replace(base=effect.safe)
        papers = tuple(shorter if p is paper else p for p in world.papers)
        anchor = Mark(seq=effect.safe, hash=chain(paper.incarnation, paper.payloads)[effect.safe])
        world = replace(world, papers=papers, pruned=(*world.pruned, *ops))
        return self._tell(world, index, up.Pruned(anchor=anchor))

    def _rebased(self, world: Up, index: int, paper: Paper, common: Mark) -> Up:
        new = incarnation(len(world.papers) + 1)
        first = Continued(op_id=new[:16], incarnation=paper.incarnation, seq=common.seq, hash=common.hash, at_ms=0)
        frozen = paper._replace(payloads=paper.payloads[: common.seq])
        suffix = paper.payloads[common.seq :]
        current = Paper(new, (encode_entry(first), *suffix))
        key = Key(till=TILL, incarnation=new)
        head = mark_of(current)
        genesis = Mark(seq=0, hash=chain(new, ())[0])
        ledger, _ = journal.step(world.journal, said.Rebased(key=key, head=head, counter=0), now_ms=0)
        world = replace(world, papers=(*world.papers[:-1], frozen, current), journal=ledger)
        world = self._tell(world, index, up.Rebased(key=key, head=head, genesis=genesis))
        return replace(world, lanes=(*world.lanes, Lane(frozen_state(world, frozen))))

    def _recalled(self, world: Up, index: int, paper: Paper, common: Mark) -> Up:
        shorter = paper._replace(payloads=paper.payloads[: common.seq])
        current = world.papers[-1]
        current = current._replace(payloads=(*current.payloads, *paper.payloads[common.seq :]))
        papers = (*(shorter if p is paper else p for p in world.papers[:-1]), current)
        head, ledger = mark_of(current), world.journal
        told = said.Rebased(key=ledger.key, head=head, counter=ledger.counter)
        ledger, _ = journal.step(ledger, told, now_ms=0)
        world = self._tell(replace(world, papers=papers, journal=ledger), index, up.Recalled(head=common))
        for lane in range(self.uploaders):
            world = self._tell(world, lane, up.Wake(head=head))
        return world

    def _restarted(self, world: Up) -> Up:
        """Start the till from its disk; nothing in memory is left, and nobody hears late answers."""
        current = world.papers[-1]
        key = Key(till=TILL, incarnation=current.incarnation)
        head = mark_of(current)
        anchor = Mark(seq=current.base, hash=chain(current.incarnation, current.payloads)[current.base])
        ledger = replace(world.journal, head=head, pending=None, counter=len(current.payloads))
        fresh = UplinkState(key=key, head=head, anchor=anchor, term=world.term)
        elders = tuple(Lane(frozen_state(world, paper)) for paper in world.papers[:-1])
        lanes = (*(Lane(fresh) for _ in range(self.uploaders)), *elders)
        mail = tuple(m._replace(request=0) for m in world.mail if m.kind in ("hello", "batch"))
        return normal(replace(world, journal=ledger, todo=(), lanes=lanes, mail=mail))

    def _rolled_back(self, world: Up) -> Up:
        current = world.papers[-1]
        gone = content_of(current.payloads[-1])
        shorter = current._replace(payloads=current.payloads[:-1])
        everywhere = all(gone in book(server.log).posted for server in world.servers)
        lost = world.lost if everywhere or not isinstance(gone, int) else (*world.lost, gone)
        told = world.told
        world = replace(spend(world, "rollbacks"), papers=(*world.papers[:-1], shorter), lost=lost, told=told)
        return self._restarted(world)

    def _mail_steps(self, world: Up, index: int) -> Iterator[Next]:
        mail = world.mail[index]
        rest = replace(world, mail=world.mail[:index] + world.mail[index + 1 :])
        lane = world.lanes[mail.lane] if mail.lane < len(world.lanes) else None
        busy = lane is not None and bool(lane.todo)
        name = f"{mail.kind} {'from' if mail.kind in ('hello', 'batch') else 'for'} uploader {mail.lane}"
        if mail.kind in ("hello", "batch"):
            yield Next(f"{name} arrives at {'AB'[mail.server]}", normal(far.receive(rest, mail)))
        elif not busy:
            yield Next(f"{name} arrives", normal(self._tell(rest, mail.lane, answer_event(mail))))
        if world.budget.drops and not busy:
            failed = self._failed(spend(rest, "drops"), mail)
            yield Next(f"{name} is lost", normal(failed), fault=True)
        if world.budget.lates and not busy and mail.request:
            stale = post(spend(rest, "lates"), mail)
            yield Next(f"{name} is late", normal(self._failed(stale, mail)), fault=True)
        if world.budget.repeats and mail.kind in ("hello", "batch"):
            again = post(spend(world, "repeats"), mail._replace(request=0))
            yield Next(f"{name} is repeated", normal(again), fault=True)

    def _failed(self, world: Up, mail: Mail) -> Up:
        if not mail.request or mail.lane >= len(world.lanes):
            return world
        state = world.lanes[mail.lane].state
        return self._tell(world, mail.lane, up.TransportFailed(request=state.request, draw=0.5))

    # --- invariants

    def wrong(self, world: Up) -> str | None:
        """Return which invariant is broken."""
        on_till = {content_of(payload) for paper in world.papers for payload in paper.payloads}
        rolled = self.budget.rollbacks
        for op in world.told:
            if op not in on_till and op not in world.pruned and not rolled:
                return f"op {op} was told ok and is not on the till"
        for server in world.servers:
            held = book(server.log)
            once = len(set(held.posted)) == len(held.posted)
            if not once:
                return "an op id is posted twice"
            if rolled:
                continue
            for paper in world.papers:
                there = held.entries.get(paper.incarnation, ())
                if there != paper.payloads[: len(there)]:
                    return "a server's prefix is not the till's"
        ids = dict(world.terms)
        return None if len(ids) == len(set(world.terms)) else "one term number, two terms"

    def settled(self, world: Up) -> bool:
        """Return whether the live server has everything and all is quiet."""
        live = [server for server in world.servers if server.alive and server.open]
        if len(live) != 1 or world.todo:
            return False
        held = book(live[0].log)
        quiet = all(
            lane.state.phase is up.Phase.READY and not lane.todo and lane.state.acked == lane.state.head.seq
            for lane in world.lanes
        )
        all_there = all(
            held.entries.get(paper.incarnation, ())[: len(paper.payloads)] == paper.payloads
            for paper in world.papers
        )
        told_there = set(world.told) <= set(held.posted) | set(world.lost)
        return quiet and all_there and told_there


# --- parts


def spend(world: Up, what: str) -> Up:
    """Return the world with one less of a budget."""
    left = world.budget._replace(**{what: getattr(world.budget, what) - 1})
    return replace(world, budget=left)


def with_lane(world: Up, index: int, lane: Lane) -> Up:
    """Return the world with another lane."""
    return replace(world, lanes=(*world.lanes[:index], lane, *world.lanes[index + 1 :]))


def post(world: Up, mail: Mail) -> Up:
    """Return the world with one more message."""
    return replace(world, mail=(*world.mail, mail))


def frozen_state(world: Up, paper: Paper) -> UplinkState:
    """Return the uplink's state of a journal that another one continues."""
    hashes = chain(paper.incarnation, paper.payloads)
    anchor = Mark(seq=paper.base, hash=hashes[paper.base])
    key = Key(till=TILL, incarnation=paper.incarnation)
    return UplinkState(key=key, head=mark_of(paper), anchor=anchor, term=world.term, frozen=True)


def loaded(paper: Paper, effect: up.Load) -> up.EntriesLoaded:
    """Return the entries that an uplink asked for."""
    hashes = chain(paper.incarnation, paper.payloads)
    found = paper.payloads[effect.after : effect.after + effect.limit]
    last = effect.after + len(found)
    return up.EntriesLoaded(
        first_seq=effect.after + 1,
        prev_hash=hashes[effect.after],
        payloads=found,
        last=Mark(seq=last, hash=hashes[last]),
    )


def sent(world: Up, index: int, lane: Lane, effect: up.SendHello | up.SendBatch) -> Up:
    """Return the world with a request under way."""
    if isinstance(effect, up.SendHello):
        return post(world, Mail("hello", index, 1, effect.server_index, hello(world, lane, effect)))
    if world.term is None or effect.term.n > world.term.n:
        raise Violation("sent before the term is durable")
    if effect.term.n < world.term.n:
        raise Violation("sent in a lower term than the till has met")
    return post(world, Mail("batch", index, 1, effect.server_index, batch(lane, effect)))


def hello(world: Up, lane: Lane, effect: up.SendHello) -> Hello:
    """Return a handshake as it travels."""
    term = lane.state.term
    return Hello(
        till=TILL,
        incarnation=lane.state.key.incarnation,
        term=None if term is None else wire(term),
        head_seq=effect.head.seq,
        head_hash=effect.head.hash,
        acked=lane.state.acked,
        safe=lane.state.safe,
        cursor_pos=0,
    )


def batch(lane: Lane, effect: up.SendBatch) -> Batch:
    """Return a batch as it travels."""
    return Batch(
        session=effect.session,
        term=wire(effect.term),
        till=TILL,
        incarnation=lane.state.key.incarnation,
        first_seq=effect.first_seq,
        prev_hash=effect.prev_hash,
        payloads=effect.payloads,
    )


def wire(term: Term) -> TermWire:
    """Return a term as it travels."""
    return TermWire(cluster=term.cluster, n=term.n, id=term.id)


def answer_event(mail: Mail) -> up.UplinkEvent:
    """Return the event that an answer is."""
    body = mail.body
    match body:
        case HelloAnswer():
            return up.HelloAnswered(request=mail.request, answer=body)
        case Ack():
            return up.BatchAcked(ack=body)
        case Refusal():
            return up.Refused(request=mail.request, code=body.code, draw=0.5)
        case _:
            return up.TransportFailed(request=mail.request, draw=0.5)


def normal(world: Up) -> Up:
    """Return the same world with counters and sessions renumbered, so that equal worlds are equal.

    What no core can tell apart any more is dropped: answers to requests that were given up.
    """
    lanes = []
    mail: list[Mail] = []
    for index, lane in enumerate(world.lanes):
        for letter in world.mail:
            if letter.lane != index:
                continue
            current = letter.request == lane.state.request
            if letter.kind not in ("hello", "batch"):
                ack = isinstance(letter.body, Ack)
                if not current and not (ack and letter.body.session == lane.state.session):
                    continue
            mail.append(letter._replace(request=1 if current else 0))
        state = lane.state
        if state.request != 1 or state.timer or state.attempt:
            state = replace(state, request=1, timer=0, attempt=0)
        lanes.append(Lane(state, lane.todo))
    world = replace(world, lanes=tuple(lanes), mail=tuple(mail))
    return _sessions_renumbered(world)


def _sessions_renumbered(world: Up) -> Up:
    names: dict[bytes, bytes] = {}

    def name(session: bytes) -> bytes:
        return names.setdefault(session, b"session%d" % len(names))

    servers = tuple(
        server._replace(sessions=tuple((inc, name(session)) for inc, session in server.sessions))
        for server in world.servers
    )
    lanes = tuple(_renamed_lane(lane, name) for lane in world.lanes)
    mail = sorted((_renamed(letter, name) for letter in world.mail), key=_encode)
    return replace(world, servers=servers, lanes=lanes, mail=tuple(mail))


def _renamed_lane(lane: Lane, name: Any) -> Lane:
    state = lane.state
    changes: dict[str, Any] = {}
    if state.session is not None:
        changes["session"] = name(state.session)
    if state.answer is not None:
        changes["answer"] = msgspec.structs.replace(state.answer, session=name(state.answer.session))
    if changes:
        state = replace(state, **changes)
    todo = tuple(
        replace(effect, session=name(effect.session)) if isinstance(effect, up.SendBatch) else effect
        for effect in lane.todo
    )
    return Lane(state, todo)


def _renamed(letter: Mail, name: Any) -> Mail:
    if isinstance(letter.body, (Batch, HelloAnswer, Ack)):
        return letter._replace(body=msgspec.structs.replace(letter.body, session=name(letter.body.session)))
    return letter
