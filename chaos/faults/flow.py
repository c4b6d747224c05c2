"""The upward flow of one till as the witnesses see it, for evidence that a fault stopped it."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.base import Bite, Context
from chaos.witness import Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A till's head and ack and the server's seq, read in the order acked, server, head: each can only be older
    than the next, so that a lead of a later one is real."""

    acked: int | None
    server: int | None
    head: int | None


def read(witness: Witness, till: str) -> Reading:
    """Take a reading."""
    acked = witness.till_acked(till)
    server = witness.server_seq(till)
    return Reading(acked=acked, server=server, head=witness.till_head(till))


def readings(context: Context, tills: tuple[str, ...]) -> dict[str, Reading]:
    """Take a reading of each till."""
    return {till: read(context.witness, till) for till in tills}


def starved(till: str, before: Reading | None, after: Reading | None) -> Bite:
    """Judge a fault that was to keep a till's entries from the server: it went on, none arrived."""
    if before is None or after is None or None in (before.head, after.head, before.server, after.server):
        return Bite(bit=None, text=f"{till}: head or server seq could not be read")
    assert before.head is not None
    assert after.head is not None
    assert before.server is not None
    assert after.server is not None
    sold, arrived = after.head - before.head, after.server - before.server
    if arrived > 0:
        return Bite(bit=False, text=f"{till}: {arrived} entries reached the server all the same")
    if sold <= 0:
        return Bite(bit=False, text=f"{till}: wrote no entry meanwhile, so nothing was held back")
    return Bite(
        bit=True, text=f"{till}: wrote {sold} entries, the server got none (its seq stayed {after.server})"
    )
