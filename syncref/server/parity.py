"""This server as its peers see it, and whether it is equal to them: schema, build, settings, lag."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

from syncref.config import ServerConfig
from syncref.core.failover import Role
from syncref.errors import NotLive, SyncrefError
from syncref.server.build import build_digest, schema_digest, shared_settings
from syncref.server.peers import PeerCalls
from syncref.store.server_schema import SCHEMA_VERSION
from syncref.store.server_term import read_term
from syncref.wire.peer_api import Difference, ParityAnswer, PeerAnswer

LAG_MS_MAX = 10_000
_REPLAY = text("""
SELECT pg_last_wal_replay_lsn()::text AS lsn,
  CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
  ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000, 0)
  END::bigint AS lag
""")
_HEADS = text("SELECT till, encode(incarnation, 'hex'), seq FROM journal ORDER BY till, incarnation")


def read_self(connection: Connection, config: ServerConfig) -> PeerAnswer:
    """Return this server as its peers see it. Raises NotLive before provisioning."""
    row = read_term(connection)
    if row is None:
        raise NotLive("this database is not provisioned: run `syncref provision server`")
    replay = connection.execute(_REPLAY).one()
    return PeerAnswer(
        name=config.name,
        role=row.role.value,
        cluster=row.term.cluster,
        term_n=row.term.n,
        term_id=row.term.id.hex(),
        timeline=row.timeline if row.recovering else row.now_timeline,
        fenced_by=row.fenced_by,
        in_recovery=row.recovering,
        replay_lsn=replay.lsn if row.recovering else None,
        lag_ms=max(0, replay.lag),
        heads=[(till, incarnation, seq) for till, incarnation, seq in connection.execute(_HEADS)],
        build=build_digest(),
        schema_version=SCHEMA_VERSION,
        schema=schema_digest(connection),
        postgres=str(connection.execute(text("SHOW server_version")).scalar_one()),
        settings=shared_settings(config),
        rank=config.rank,
    )


def compare(own: PeerAnswer, peers: Iterable[PeerAnswer]) -> list[Difference]:
    """Return in what this server is not equal to its live peer; that there is none is a difference too."""
    live = [peer for peer in peers if peer.role == Role.LIVE.value]
    if not live:
        return [Difference(what="live peer", here="expected one", there="none answers")]
    found = []
    for peer in live:
        for what in ("cluster", "term_n", "term_id", "build", "schema_version", "schema", "postgres"):
            found.append((what, getattr(own, what), getattr(peer, what)))
        for key in sorted(own.settings.keys() | peer.settings.keys()):
            found.append((f"settings {key}", own.settings.get(key), peer.settings.get(key)))
    differences = [Difference(what=w, here=str(a), there=str(b)) for w, a, b in found if a != b]
    for peer in live:
        if peer.rank == own.rank:
            differences.append(Difference(what="rank", here=str(own.rank), there="the same, expected another"))
    if not own.in_recovery:
        differences.append(Difference(what="role", here=own.role, there="expected a standby"))
    if own.lag_ms > LAG_MS_MAX:
        differences.append(Difference(what="lag_ms", here=str(own.lag_ms), there=f"at most {LAG_MS_MAX}"))
    return differences


def check_parity(connection: Connection, config: ServerConfig, calls: PeerCalls) -> ParityAnswer:
    """Ask the peers and compare. A peer that does not answer counts as none."""
    own = read_self(connection, config)
    peers = []
    for url in calls.urls:
        try:
            peers.append(calls.ask(url))
        except SyncrefError:
            continue
    differences = compare(own, peers)
    return ParityAnswer(ok=not differences, differences=differences, lag_ms=own.lag_ms)
