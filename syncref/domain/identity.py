"""Who wrote what, and how far: the identities that make the sync exact.

A journal belongs to a (till, incarnation); its entries form a hash chain from a genesis that covers
cluster, till and incarnation, so that no other till's or cluster's journal can be taken for it.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from functools import lru_cache

from msgspec import Struct

HASH_BYTES = 32
ID_BYTES = 16


class Term(Struct, frozen=True, kw_only=True):
    """A reign of one live server. `n` only grows; the random `id` tells two reigns with one n apart."""

    cluster: str
    n: int
    id: bytes


class Key(Struct, frozen=True, kw_only=True):
    """A journal's name. `incarnation` is 16 random bytes, made when a till is provisioned or rebased."""

    till: str
    incarnation: bytes


class Mark(Struct, frozen=True, kw_only=True):
    """A place in a journal: the sequence (0 = before the first entry) and the chain hash there."""

    seq: int
    hash: bytes


class Cursor(Struct, frozen=True, kw_only=True):
    """How far a till has the masters: a position (transaction horizon) within a term."""

    term: Term
    pos: int


def genesis_hash(*, cluster: str, key: Key) -> bytes:
    """Return the hash at sequence 0 of a journal."""
    head = hashlib.sha256(b"syncref journal 1")
    for part in (cluster.encode(), key.till.encode(), key.incarnation):
        head.update(len(part).to_bytes(4, "big"))
        head.update(part)
    return head.digest()


def chain_hash(previous: bytes, payload: bytes) -> bytes:
    """Return SHA-256(previous hash ‖ payload)."""
    return hashlib.sha256(previous + payload).digest()


@lru_cache(maxsize=4096)
def short_number(incarnation: bytes) -> str:
    """Return the five characters by which an incarnation is known on paper (its first 25 bits, base 32)."""
    return b32encode(incarnation[:5]).decode()[:5]


def number_prefix(key: Key) -> str:
    """Return what all numbers begin with that a journal gives: till and incarnation's short number.

    A journal that continues another may hold receipts with numbers of that one: as they were printed.
    """
    return f"{key.till}-{short_number(key.incarnation)}-"


def printed_prefix(key: Key, number: str | None) -> str:
    """Return what a receipt's number on paper begins with: as `number` does, or as its journal's own."""
    return number_prefix(key) if number is None else f"{number.rpartition('-')[0]}-"


def receipt_number(*, key: Key, counter: int) -> str:
    """Return the number printed on a receipt: its journal's prefix, and the counter within that."""
    return f"{number_prefix(key)}{counter:06d}"
