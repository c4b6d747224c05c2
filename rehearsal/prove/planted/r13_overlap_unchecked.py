"""R13: server and till drop an overlap by its numbers, and nobody compares hashes. S3 in real processes."""

from __future__ import annotations

import msgspec

from chaos.fleet.simulated.mutants.s03_overlap_unchecked import chain
from rehearsal.prove.planted import Planted, swap
from syncref.core import ingest
from syncref.core.uplink_messages import HelloAnswered, SendHello
from syncref.store.till_journal import hash_at
from syncref.till.uplink import Uplink


def plant() -> None:
    """Drop by sequence alone; take the server's hash for whatever the till has at that place."""
    swap(ingest, "_chain", chain)
    ask = Uplink._hello

    def heard(self: Uplink, base: str, effect: SendHello) -> HelloAnswered:
        answered = ask(self, base, effect)
        assert self.state is not None
        seq = min(answered.answer.durable_seq, self.state.head.seq)
        with self._database.read() as connection:
            own = hash_at(connection, self._key, seq, cluster=self._cluster)
        answer = msgspec.structs.replace(
            answered.answer, durable_seq=seq, durable_hash=own or answered.answer.durable_hash
        )
        return msgspec.structs.replace(answered, answer=answer)

    swap(Uplink, "_hello", heard)


PLANTED = Planted(
    id="R13",
    title="overlap dropped, hash unchecked",
    fault="a disk that goes back",
    expected="receipts",
    scenario="disk-back",
    kinds=("server", "till"),
    plant=plant,
)
