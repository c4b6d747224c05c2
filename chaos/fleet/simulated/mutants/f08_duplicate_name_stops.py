"""F8: what is sent again is refused as a duplicate, and the till has no other way to go on."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.network import Lost, Respond
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.reception import Reception
from syncref.core import ingest
from syncref.core.ingest import JournalRow, Plan, Refusal
from syncref.domain.identity import Key, genesis_hash
from syncref.wire.sync import Batch, Hello, HelloAnswer

_hello = Reception.hello
_plan = Reception.plan


def hello(self: Reception, hello: Hello, respond: Respond, lost: Lost) -> None:
    """Answer with what the till was told, not with what is there."""
    _hello(self, hello, _as_acked(self, hello, respond), lost)


def _as_acked(self: Reception, hello: Hello, respond: Respond) -> Callable[[object], None]:
    def answer(said: object) -> None:
        if isinstance(said, HelloAnswer) and hello.acked < said.durable_seq:
            key = Key(till=hello.till, incarnation=hello.incarnation)
            store = self.server.store
            value = store.hash_at(key, hello.acked) or genesis_hash(cluster=store.cluster, key=key)
            said = msgspec.structs.replace(said, durable_seq=hello.acked, durable_hash=value)
        respond(said)

    return answer


def plan(self: Reception, key: Key, row: JournalRow | None, batch: Batch) -> Plan | Refusal:
    """Refuse a name that exists."""
    if row is not None and ingest.already_stored(row, batch):
        return Refusal(code="duplicate_name", message="it exists")
    return _plan(self, key, row, batch)


MUTANT = Mutant(
    id="F8",
    title="a retry's duplicate stops the sync",
    fault="ack cut",
    expected="drain",
    profile=Profile(misfortunes={"answers_cut": 4.0}, sales=10),
    swaps=[(Reception, "hello", hello), (Reception, "plan", plan)],
)
