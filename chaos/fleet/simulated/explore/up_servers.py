"""The servers of the upward model: ingest and failover cores on two logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chaos.fleet.simulated.explore.engine import Next, Violation
from chaos.fleet.simulated.explore.up_state import Mail, Server, Up, book, chain, row_of, view_of
from syncref.core import failover, ingest
from syncref.core.failover import FailoverState, Role
from syncref.core.ingest import Refusal
from syncref.core.step import replace
from syncref.wire.entry import decode_entry
from syncref.wire.sync import Ack, Batch, Hello


def steps(world: Up) -> Iterator[Next]:
    """Return every step of the servers: replication, promotion, death, restart, restore, confirmation."""
    for index, server in enumerate(world.servers):
        name = "AB"[index]
        if server.standby_of >= 0 and server.alive:
            primary = world.servers[server.standby_of]
            if primary.alive and len(server.log) < len(primary.log):
                more = server._replace(log=(*server.log, primary.log[len(server.log)]))
                yield Next(f"{name} replicates", placed(world, index, more))
            if world.budget.promotions:
                yield Next(f"{name} is promoted", _promoted(_spend(world, "promotions"), index), True)
        if server.alive and world.budget.server_kills:
            yield Next(f"{name} dies", _died(_spend(world, "server_kills"), index), True)
        if not server.alive:
            yield Next(f"{name} starts", _started(world, index))
        if server.open and world.budget.restores and server.log:
            yield Next(f"{name} is restored", _restored(_spend(world, "restores"), index), True)
        yield from _between(world, index)


def _spend(world: Up, what: str) -> Up:
    return replace(world, budget=world.budget._replace(**{what: getattr(world.budget, what) - 1}))


def placed(world: Up, index: int, server: Server) -> Up:
    """Return the world with another server."""
    return replace(world, servers=(*world.servers[:index], server, *world.servers[index + 1 :]))


def _between(world: Up, index: int) -> Iterator[Next]:
    """Return what servers tell each other, and what an operator does when none is live."""
    server, name = world.servers[index], "AB"[index]
    other = 1 - index
    peer = world.servers[other]
    if not server.alive:
        return
    if peer.alive and server.failover.role is Role.STARTING:
        asked = lead(world, other, failover.PeerAsked(term_n=book(server.log).term.n))
        there = asked.servers[other]
        told = failover.PeerAnswered(role=there.failover.role, term_n=max(book(there.log).term.n, there.fence))
        yield Next(f"{name} asks its peer", lead(asked, index, told))
    live = server.failover.role is Role.LIVE
    if live and peer.alive and peer.standby_of != index and peer.fence < book(server.log).term.n:
        fence = failover.FenceAsked(term_n=book(server.log).term.n)
        yield Next(f"{name} fences its peer", lead(world, other, fence))
    waiting = server.failover.role in (Role.STARTING, Role.FENCED) and server.standby_of < 0
    none_live = not any(s.alive and s.open for s in world.servers)
    highest = all(book(server.log).term.n >= book(s.log).term.n for s in world.servers)
    if waiting and none_live and (highest or world.budget.confirmations):
        before = world if highest else _spend(world, "confirmations")
        confirmed = failover.OperatorConfirmed(fresh_id=_fresh(world))
        yield Next(f"{name} is confirmed", lead(before, index, confirmed), not highest)


def _fresh(world: Up) -> bytes:
    return b"term%d" % len(world.terms)


def lead(world: Up, index: int, event: failover.FailoverEvent) -> Up:
    """Step a server's failover core and carry all its effects out."""
    following = [event]
    while following:
        server = world.servers[index]
        core, effects = failover.step(server.failover, following.pop(0))
        server = server._replace(failover=core)
        for effect in effects:
            match effect:
                case failover.PromoteDatabase():
                    timeline = world.timelines + 1
                    world = replace(world, timelines=timeline)
                    server = server._replace(timeline=timeline, standby_of=-1)
                    term = book(server.log).term
                    following.append(failover.DatabasePromoted(timeline=timeline, term=term))
                case failover.PersistTerm():
                    if effect.term.n <= book(server.log).term.n:
                        raise Violation("a server's term does not grow")
                    server = server._replace(log=(*server.log, ("term", effect.term, effect.timeline)))
                    terms = tuple(sorted({*world.terms, (effect.term.n, effect.term.id)}))
                    world = replace(world, terms=terms)
                    following.append(failover.TermPersisted())
                case failover.PersistFence():
                    server = server._replace(fence=effect.by)
                    following.append(failover.FencePersisted())
                case failover.OpenWrites():
                    server = server._replace(open=True)
                case failover.CloseWrites():
                    server = server._replace(open=False)
        world = placed(world, index, server)
    return world


def _promoted(world: Up, index: int) -> Up:
    return lead(world, index, failover.PromoteAsked(fresh_id=_fresh(world)))


def _died(world: Up, index: int) -> Up:
    return placed(world, index, world.servers[index]._replace(alive=False, open=False, sessions=()))


def _started(world: Up, index: int) -> Up:
    server = world.servers[index]
    held = book(server.log)
    core = FailoverState(
        term=held.term,
        timeline=held.timeline,
        peers=1,
        rank=1 - index,
        ranks=2,
        highest_seen=server.failover.highest_seen if server.failover.new is not None else 0,
    )
    world = placed(world, index, server._replace(alive=True, failover=core))
    started = failover.Started(
        timeline=server.timeline,
        in_recovery=server.standby_of >= 0,
        fenced_by=server.fence,
        fresh_id=_fresh(world),
    )
    return lead(world, index, started)


def _restored(world: Up, index: int) -> Up:
    """Restore a live server from a backup that lacks its last transaction, and its standby from that."""
    server = world.servers[index]
    highest = max(book(s.log).term.n for s in world.servers)
    timeline = world.timelines + 1
    log = server.log[:-1]
    gone = set(book(server.log).posted) - set(book(log).posted)
    rolled = tuple(op for op in gone if not _on_till(world, op))
    world = replace(world, timelines=timeline, lost=(*world.lost, *rolled))
    held = book(log)
    core = FailoverState(
        term=held.term,
        timeline=held.timeline,
        peers=1,
        rank=1 - index,
        ranks=2,
        highest_seen=highest,
    )
    restored = server._replace(log=log, timeline=timeline, failover=core, open=False, sessions=())
    world = placed(world, index, restored)
    for other, standby in enumerate(world.servers):
        if standby.standby_of == index:
            world = placed(world, other, standby._replace(log=log, timeline=timeline))
    started = failover.Started(
        timeline=timeline, in_recovery=False, fenced_by=server.fence, fresh_id=_fresh(world)
    )
    return lead(world, index, started)


def _on_till(world: Up, op: int) -> bool:
    from chaos.fleet.simulated.explore.up_state import content_of

    return any(content_of(payload) == op for paper in world.papers for payload in paper.payloads)


def receive(world: Up, mail: Mail) -> Up:
    """Let a request arrive at its server; the answer, if any, is under way afterwards."""
    server = world.servers[mail.server]
    if not server.alive:
        return _answer(world, mail, "failed", None)
    if isinstance(mail.body, Hello):
        return _greet(world, mail, mail.body)
    return _take(world, mail, mail.body)


def _answer(world: Up, mail: Mail, kind: str, body: Any) -> Up:
    letter = Mail(kind, mail.lane, mail.request, mail.server, body)
    return replace(world, mail=(*world.mail, letter))


def _greet(world: Up, mail: Mail, hello: Hello) -> Up:
    index = mail.server
    if hello.term is not None and hello.term.n > book(world.servers[index].log).term.n:
        world = lead(world, index, failover.TillReported(term_n=hello.term.n))
    server = world.servers[index]
    row = row_of(server, hello.incarnation)
    payloads = book(server.log).entries.get(hello.incarnation, ())
    hashes = chain(hello.incarnation, payloads)
    session = b"new session"
    decided = ingest.greet(
        view_of(server),
        row,
        hello,
        hash_at_head=hashes[hello.head_seq] if hello.head_seq < len(hashes) else None,
        session=session,
        safe=_safe(world, index, hello.incarnation),
        now_ms=0,
    )
    if isinstance(decided, ingest.RaiseTerm):
        raised = lead(world, index, failover.TillAhead(fresh_id=_fresh(world)))
        return _answer(raised, mail, "answer", Refusal(code="busy", message=""))
    if isinstance(decided, Refusal):
        return _answer(world, mail, "answer", _bare(decided))
    sessions = tuple(sorted({**dict(server.sessions), hello.incarnation: session}.items()))
    world = placed(world, index, server._replace(sessions=sessions))
    return _answer(world, mail, "answer", decided.answer)


def _bare(refusal: Refusal) -> Refusal:
    return replace(refusal, message="")


def _safe(world: Up, index: int, incarnation: bytes) -> int:
    heads = [
        len(book(standby.log).entries.get(incarnation, ()))
        for standby in world.servers
        if standby.standby_of == index
    ]
    return min(heads, default=0)


def _take(world: Up, mail: Mail, batch: Batch) -> Up:
    server = world.servers[mail.server]
    row = row_of(server, batch.incarnation)
    held = book(server.log)
    known = held.entries.get(batch.incarnation, ())
    hashes = chain(batch.incarnation, known)
    drop = 0 if row is None else ingest.already_stored(row, batch)
    plan = ingest.plan_batch(
        view_of(server),
        row,
        batch,
        stored=dict(enumerate(hashes)),
        entries=[decode_entry(payload) for payload in batch.payloads[drop:]],
        known_ops={op.to_bytes(16, "big") for op in held.posted},
        receipts=frozenset(),
        products={"p"},
    )
    if isinstance(plan, Refusal):
        return _answer(world, mail, "answer", _bare(plan))
    if plan.hashes:
        duplicates = [r for r in plan.posting.receipts if r.status == "duplicate"]
        new = batch.payloads[plan.drop :]
        if duplicates:
            raise Violation("a re-journaled sale is there already")
        server = server._replace(log=(*server.log, ("batch", batch.incarnation, new)))
        world = placed(world, mail.server, server)
    durable = book(server.log).entries.get(batch.incarnation, ())
    if plan.ack.seq > len(durable) or chain(batch.incarnation, durable)[plan.ack.seq] != plan.ack.hash:
        raise Violation("acked what is not durable")
    ack = Ack(session=batch.session, seq=plan.ack.seq, hash=plan.ack.hash, safe=0)
    return _answer(world, mail, "answer", ack)
