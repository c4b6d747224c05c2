"""The bounded exhaustive check: small configurations hold, and a broken rule is found with its way there."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from chaos.fleet.simulated.explore import down_model, down_state, up_model
from chaos.fleet.simulated.explore.down_model import DownModel
from chaos.fleet.simulated.explore.engine import Model, Walk, walk
from chaos.fleet.simulated.explore.settle_model import SettleModel
from chaos.fleet.simulated.explore.settle_model import judged as settle_judged
from chaos.fleet.simulated.explore.up_model import UpModel
from chaos.fleet.simulated.explore.up_model import _step as up_step
from chaos.fleet.simulated.explore.up_state import Budget
from chaos.fleet.simulated.mutants import planted
from syncref.core import failover, ingest, journal, settlement, uplink
from syncref.core.step import replace
from syncref.domain.identity import Mark, chain_hash
from syncref.wire.entry import Receipt, decode_entry, encode_entry
from syncref.wire.sync import FeedRow

SMALL: list[Model] = [
    UpModel("a till is killed between effects", Budget(sales=2, kills=1)),
    UpModel("messages are lost and late", Budget(sales=1, drops=1, lates=1)),
    UpModel("promoted and back", Budget(sales=1, promotions=1, server_kills=1), prune=True),
    UpModel("restored", Budget(sales=2, restores=1)),
    UpModel("rolled back", Budget(sales=1, rollbacks=1)),
    DownModel("documents", syncs=1, edits=2, urgents=1),
    DownModel("a promotion between documents", syncs=1, edits=2, promotions=1),
    SettleModel("settlement", sales=1, refunds=0, poisons=1),
]


def explored(model: Model) -> Walk:
    """Walk a model whole; what the cores decided before does not count."""
    up_step.cache_clear()
    down_model._step.cache_clear()
    settle_judged.cache_clear()
    return walk(model)


@pytest.mark.parametrize("model", SMALL, ids=lambda model: model.name)
def test_every_invariant_holds_in_every_state(model: Model) -> None:
    """And from each a settled state is reachable without another fault."""
    done = explored(model)
    assert done.violation is None, (done.violation, done.trace)
    assert done.complete
    assert done.settled


def test_a_term_that_counts_on_from_the_servers_own_is_found() -> None:
    """Promoted there and back: two terms of one number."""
    real = failover._open_term

    def forgetful(state: failover.FailoverState, fresh_id: bytes) -> failover.FailoverStep:
        return real(replace(state, highest_seen=0, ranks=1), fresh_id)

    model = UpModel("own + 1", Budget(promotions=1, server_kills=2, confirmations=1))
    with patch.object(failover, "_open_term", forgetful):
        done = explored(model)
    assert done.violation == "one term number, two terms"
    assert "B is promoted" in done.trace


def test_a_retry_that_never_comes_is_found() -> None:
    """No settled state is reachable once the timer is forgotten."""
    with patch.object(uplink, "_HANDLERS", uplink._HANDLERS | {uplink.TimerFired: _deaf}):
        done = explored(UpModel("no retry", Budget(sales=1, drops=1)))
    assert done.violation == "no settled state is reachable"
    assert any("is lost" in step for step in done.trace)


def test_a_receipt_that_is_told_before_it_is_stored_is_found() -> None:
    """Invariant 1: every replied receipt is on its till."""
    real = journal._asked

    def hasty(state: Any, event: Any, now_ms: int) -> Any:
        step = real(state, event, now_ms)
        told = [journal.Reply(op_id=effect.op_id, made=effect) for effect in step.effects]
        return journal.Step(step.state, (*told, *step.effects))

    with patch.object(journal, "_asked", hasty):
        done = explored(UpModel("reply first", Budget(sales=1, kills=1)))
    assert done.violation == "op 1 was told ok and is not on the till"


def test_pruning_what_is_only_acked_is_found() -> None:
    """Invariant 1: what is pruned is on every standby that may be promoted."""
    real = uplink._compared

    def eager(state: Any, own_hash: bytes, options: Any) -> Any:
        step = real(state, own_hash, options)
        prune = uplink.Prune(safe=step.state.acked, server_ms=0)
        return uplink.Step(step.state, tuple(prune if isinstance(e, uplink.Prune) else e for e in step.effects))

    with patch.object(uplink, "_compared", eager):
        done = explored(UpModel("prune what is acked", Budget(sales=1, promotions=1), prune=True))
    assert done.violation == "pruned what a promotable server does not have"


def test_a_batch_that_is_stored_twice_is_found() -> None:
    """Invariant 2: no op id is posted twice."""
    with planted("S2"):
        done = explored(UpModel("no de-duplication", Budget(sales=1, repeats=1)))
    assert done.violation in {"an op id is posted twice", "a re-journaled sale is there already"}


def test_bytes_that_are_sent_otherwise_than_they_are_stored_are_found() -> None:
    """Invariant 3: a server's prefix is byte-equal to the till's."""
    real = up_model.loaded

    def lossy(paper: Any, effect: Any) -> Any:
        event = real(paper, effect)
        sale = decode_entry(event.payloads[0])
        assert isinstance(sale, Receipt)
        payload = encode_entry(msgspec.structs.replace(sale, cashier="somebody"))
        last = Mark(seq=event.first_seq, hash=chain_hash(event.prev_hash, payload))
        return replace(event, payloads=(payload,), last=last)

    with patch.object(up_model, "loaded", lossy):
        done = explored(UpModel("sent otherwise", Budget(sales=1)))
    assert done.violation == "a server's prefix is not the till's"


def test_a_batch_that_is_sent_before_its_term_is_stored_is_found() -> None:
    """Invariant 4: nothing is sent before what it rests on is durable."""
    real = uplink._compared

    def hasty(state: Any, own_hash: bytes, options: Any) -> Any:
        step = real(state, own_hash, options)
        if step.state.phase is not uplink.Phase.PERSISTING:
            return step
        return uplink._load_or_rest(step.state, options)

    with patch.object(uplink, "_compared", hasty):
        done = explored(UpModel("send first", Budget(sales=1)))
    assert done.violation == "sent before the term is durable"


def test_an_ack_before_the_commit_is_found() -> None:
    """Invariant 4: no ack before it is durable."""
    real = ingest.plan_batch

    def hasty(*arguments: Any, **named: Any) -> Any:
        plan = real(*arguments, **named)
        return replace(plan, hashes=[]) if isinstance(plan, ingest.Plan) else plan

    with patch.object(ingest, "plan_batch", hasty):
        done = explored(UpModel("ack first", Budget(sales=1)))
    assert done.violation == "acked what is not durable"


def test_a_key_that_goes_to_a_lower_version_is_found() -> None:
    """Invariant 7: a deleted key keeps its version, and the engine reports an assertion as a violation.

    The row itself is gone, as after an urgent deletion, so nothing but the key's highest version tells.
    """
    shelf = DownModel("older rows", syncs=1).initial().shelf
    term = down_model.FIRST
    newer = down_state.put(shelf, (FeedRow(table=down_state.TABLE, row=("z", 9), version=5),), term)
    bare = replace(newer, rows=tuple(row for row in newer.rows if row[0] != ("z",)))
    with pytest.raises(AssertionError, match="lower version"):
        down_state.put(bare, (FeedRow(table=down_state.TABLE, row=("z", 8), version=4),), term)
    assert explored(Asserting()).violation == "this must not be"


class Asserting:
    """A model whose only step breaks an assertion."""

    name = "asserting"

    def initial(self) -> int:
        """Return the only state."""
        return 0

    def steps(self, state: int) -> Any:
        """Break an assertion."""
        raise AssertionError("this must not be")
        yield

    def wrong(self, state: int) -> None:
        """Find nothing."""

    def settled(self, state: int) -> bool:
        """Say yes."""
        return True


def _deaf(state: Any, event: Any, options: Any) -> Any:
    return uplink.Step(state, ())


def test_a_sync_that_overlaps_another_unseen_is_found() -> None:
    """Without compare-and-set the cursor goes back, or rows do."""
    with patch.object(down_model, "conflicts", lambda shelf, effect: False):
        done = explored(DownModel("no compare-and-set", syncs=2, edits=1, urgents=1))
    assert done.violation is not None


def test_a_day_that_is_tallied_whatever_it_sums_up_to_is_found() -> None:
    """Z without what was set aside."""
    with (
        patch.object(settlement, "_unsettled", lambda facts: ()),
        patch.object(settlement, "_difference", lambda z, held, unreadable: ()),
    ):
        done = explored(SettleModel("everything tallies", sales=1, refunds=0, poisons=1))
    assert done.violation is not None
    assert "does not add up" in done.violation
