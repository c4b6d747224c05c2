"""Bytes on the wire: entries, batches as uploaded, acks, and a page of changed prices."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import zstandard

from rehearsal.gate.counting.trade import batches_of, key_of, payloads
from syncref.domain.identity import genesis_hash
from syncref.wire.sync import Ack, FeedPage, FeedRow, HelloAnswer, TermWire

CLUSTER = "gate"
LARGE = 500
LEVEL = 3
SESSION = bytes(range(16))
TERM = TermWire(cluster=CLUSTER, n=1, id=bytes(range(16, 32)))


def count() -> dict[str, int]:
    """Count bytes; bodies are compressed as a till and a server compress them."""
    key, sales = key_of(1), payloads(1, LARGE)
    answer = HelloAnswer(
        session=SESSION, term=TERM, durable_seq=0, durable_hash=genesis_hash(cluster=CLUSTER, key=key),
        hash_at_head=None, safe=0, server_ms=0,
    )  # fmt: skip
    (large,) = batches_of(key, sales, answer, cluster=CLUSTER, size=LARGE)
    (small,) = batches_of(key, sales[:1], answer, cluster=CLUSTER, size=1)
    ack = Ack(session=SESSION, seq=LARGE, hash=large.prev_hash, safe=0)
    return {
        f"entries_of_{LARGE}_sales.bytes": sum(map(len, sales)),
        f"upload_of_{LARGE}_sales.bytes": _packed(large),
        "upload_of_1_sale.bytes": _packed(small),
        "ack.bytes": _packed(ack),
        f"page_of_{LARGE}_prices.bytes": _packed(_page(_prices())),
    }


def _packed(body: msgspec.Struct) -> int:
    return len(zstandard.ZstdCompressor(level=LEVEL).compress(msgspec.msgpack.encode(body)))


def _prices() -> list[FeedRow]:
    return [
        FeedRow(table="price", row=(f"P{n:06d}", "STD", 0, 49 + n * 7919 % 4950), version=2) for n in range(LARGE)
    ]


def _page(rows: Sequence[FeedRow]) -> FeedPage:
    return FeedPage(
        term=TERM, from_pos=1, scan_to=None, after=None, pos=LARGE + 1, last=True, rows=tuple(rows),
        digests=(("price", 2**63),),
    )  # fmt: skip
