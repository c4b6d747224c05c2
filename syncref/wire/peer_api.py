"""What servers of one shop tell each other: role, term, how far they replayed, and what they are built from."""

from __future__ import annotations

import msgspec


class PeerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A server as its peers see it.

    role        starting, standby, promoting, live or fenced
    replay_lsn  how far a standby has replayed, None on a server that is none; `lag_ms` its age
    heads       (till, incarnation in hex, durable sequence) of every journal
    settings    what must be equal on both, by key of server.toml
    rank        must differ: each server opens term numbers of its own rank
    """

    name: str
    role: str
    cluster: str
    term_n: int
    term_id: str
    timeline: int
    fenced_by: int | None
    in_recovery: bool
    replay_lsn: str | None
    lag_ms: int
    heads: list[tuple[str, str, int]]
    build: str
    schema_version: int
    schema: str
    postgres: str
    settings: dict[str, int]
    rank: int = 0


class FenceAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take no more writes, for the sake of the term of this number."""

    term_n: int = msgspec.field(default=0)


class RoleAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the server is now."""

    role: str
    term_n: int
    term_id: str
    fenced_by: int | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something in which a standby is not its live server's equal."""

    what: str
    here: str
    there: str


class ParityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this server could take over from its peers as it is."""

    ok: bool
    differences: list[Difference]
    lag_ms: int
