"""`syncref provision till --clean`: drain, hand over, export if asked, and begin anew.

Keeps: nothing leaves the till that is not on every standby, or in a file that was written to its end; each step
can be killed and done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from syncref.config import TillSettings
from syncref.core.uplink_messages import TermSeen, UplinkOptions
from syncref.domain.identity import Key, Term
from syncref.errors import RuleBroken
from syncref.store.till_clean import Tail, begin_draining, exported, replace, stop_draining
from syncref.store.till_journal import check_chain
from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import identity
from syncref.store.till_rebase import closed_journals
from syncref.store.till_state import read_state
from syncref.till.alarms import Alarms
from syncref.till.clock import TillClock
from syncref.till.credentials import verifier_of
from syncref.till.listen import listen
from syncref.till.owed import OwedUplink
from syncref.till.progress import Progress
from syncref.till.servers import ServerCalls
from syncref.till.uplink import Uplink, UplinkParts
from syncref.wire.export import write_export

ASK_EVERY_S = 0.5
NEVER_PRUNE_S = 10 * 366 * 86_400

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """The till's new identity, and how many entries went into an export."""

    key: Key
    exported: int


def clean(settings: TillSettings, secret: str, *, export: Path | None, wait_s: float, say: Say) -> Cleaned:
    """Clean a till that is not running.

    Raises RuleBroken when a day is open, or something is not safe after `wait_s` and no export is asked for;
    ConfigInvalid when the till runs, or the export can't be written. The till keeps draining then.
    """
    with closing(listen(settings)):  # who holds the till's address keeps it from being started meanwhile
        database = TillDatabase(settings.till.database)
        try:
            database.check()
            database.create_tables()
            identity(database, name=settings.till.name)
            with database.read() as connection:
                check_chain(connection, where=database.where)
            began = begin_draining(database)
            say("draining: no more sales")
            tails, trouble = _hand_over(database, settings, secret, wait_s=wait_s)
            with database.read() as connection:
                state = read_state(connection)
            if state.incarnation != began.incarnation or not any(tail.end == state.head for tail in tails):
                raise RuleBroken("the journal had to be continued in a new one meanwhile; clean the till again")
            unsafe = sum(tail.end.seq - tail.safe for tail in tails)
            if unsafe and export is None:
                raise RuleBroken(_why(tails, unsafe, trouble))
            count = write_export(export, exported(database, tails)) if unsafe and export is not None else 0
            if count:
                say(f"exported {count} entries to {export}")
            key = replace(database, tails, at_ms=TillClock(settings.clock.offset_file).now_ms())
        finally:
            database.close()
    return Cleaned(key=key, exported=count)


def cancel(settings: TillSettings) -> bool:
    """Let a till that was to be cleaned sell again; return whether it was draining."""
    database = TillDatabase(settings.till.database)
    try:
        database.check()
        identity(database, name=settings.till.name)
        return stop_draining(database)
    finally:
        database.close()


def _hand_over(
    database: TillDatabase, settings: TillSettings, secret: str, *, wait_s: float
) -> tuple[list[Tail], str]:
    """Send what is left, and wait until all of it is safe, or the time is over.

    Returns how far each journal is, and what the servers said last where they would not take it.
    """
    own, owed = _uplinks(database, settings, secret)
    uplinks = [own, *owed]
    until = time.monotonic() + wait_s
    for uplink in uplinks:
        uplink.start()
    try:
        while True:
            tails = [tail for uplink in uplinks if (tail := _tail(uplink)) is not None]
            if len(tails) == len(uplinks) and all(tail.safe >= tail.end.seq for tail in tails):
                break
            if time.monotonic() >= until:
                break
            time.sleep(ASK_EVERY_S)
            for uplink in uplinks:
                uplink.sync_now()
    finally:
        for uplink in uplinks:
            uplink.stop()
    tails = [tail for uplink in uplinks if (tail := _tail(uplink)) is not None]
    return tails, "; ".join(sorted({uplink.error for uplink in uplinks if uplink.error is not None}))


def _tail(uplink: Uplink) -> Tail | None:
    """Return how far a server has an uplink's journal; what none has said now counts as nowhere."""
    state = uplink.state
    if state is None:
        return None
    acked = min(state.acked, state.head.seq) if state.session is not None else 0
    return Tail(key=state.key, end=state.head, acked=acked, safe=min(state.safe, acked))


def _why(tails: list[Tail], unsafe: int, trouble: str) -> str:
    unsent = sum(tail.end.seq - tail.acked for tail in tails)
    where = f"{unsent} of them on no server" if unsent else "on the live server alone, on no standby"
    told = f" ({trouble})" if trouble else ""
    return (
        f"{unsafe} entries are not safe: {where}{told}; the till keeps draining: try again, take them along with "
        "--export FILE, or let it sell again with --cancel"
    )


def _uplinks(database: TillDatabase, settings: TillSettings, secret: str) -> tuple[Uplink, list[OwedUplink]]:
    with database.read() as connection:
        cluster = read_state(connection).cluster
        closed = closed_journals(connection)
    options = UplinkOptions(
        cluster=cluster,
        servers=len(settings.till.servers),
        batch_entries=settings.sync.batch_entries,
        backoff_max_ms=min(settings.sync.backoff_max_ms, 1000),
    )
    verifier = verifier_of(settings, database)

    def parts() -> UplinkParts:
        return UplinkParts(
            database=database,
            calls=ServerCalls(
                till=settings.till.name,
                secret=secret,
                timeout_s=settings.sync.request_timeout_ms / 1000,
                verifier=verifier,
            ),
            servers=settings.till.servers,
            options=options,
            progress=Progress(acked=0, safe=0),
            clock=TillClock(settings.clock.offset_file),
            alarms=Alarms(database),
            wanted=lambda: True,
        )

    uplink = Uplink(parts(), retention_s=NEVER_PRUNE_S)

    def term_met(term: Term) -> None:
        uplink.post(TermSeen(term=term))

    return uplink, [OwedUplink(parts(), one, grown=uplink.wake, term_met=term_met) for one in closed]
