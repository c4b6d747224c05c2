"""The till as a process: everything is put together here, started, and stopped in order."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import signal
import socket
import sys
from contextlib import closing, suppress

from syncref.config import TillSettings
from syncref.core.downlink_messages import DownlinkOptions
from syncref.core.uplink_messages import TermSeen, UplinkOptions
from syncref.domain.identity import Term
from syncref.domain.masters import MASTERS
from syncref.errors import SyncrefError
from syncref.logs import event
from syncref.metrics import Meter
from syncref.store.till_journal import check_chain
from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import identity
from syncref.store.till_rebase import Closed
from syncref.store.till_reserve_table import reserve_of
from syncref.store.till_state import TillState
from syncref.till.alarms import Alarms
from syncref.till.app import build_app
from syncref.till.caretaker import Caretaker
from syncref.till.checkout import Checkout
from syncref.till.clock import TillClock
from syncref.till.credentials import read_secret, verifier_of
from syncref.till.desk import Desk
from syncref.till.downlink import Downlink
from syncref.till.listen import listen
from syncref.till.owed import OwedUplink
from syncref.till.problems import request_ids
from syncref.till.progress import Progress
from syncref.till.schedule import Timetable
from syncref.till.servers import ServerCalls, Wallet
from syncref.till.sessions import Sessions
from syncref.till.sync import SyncTimes, TillSync
from syncref.till.uplink import Uplink, UplinkParts
from syncref.tls import server_tls

_log = logging.getLogger("syncref.till")
_SWITCH_INTERVAL_S = 0.0005
_MALLOPT_ARENA_MAX = -8
_ARENAS = 2
_GC_THRESHOLDS = (25_000, 20, 20)
_KEEP_ALIVE_S = 75


class Till:
    """One till: its database, its counter, its sync."""

    def __init__(self, settings: TillSettings) -> None:
        self.settings = settings
        secret = read_secret(settings)
        self.database = TillDatabase(settings.till.database)
        state = self._checked()
        self.clock = TillClock(settings.clock.offset_file)
        self.reserve = reserve_of(self.database)
        self.progress = Progress(acked=state.acked, safe=state.safe)
        self.times = SyncTimes(continuous=settings.sync.continuous)
        self.alarms = Alarms(self.database)
        self._secret = secret
        self._cluster = state.cluster
        self._verifier = verifier_of(settings, self.database)
        self._wallet = Wallet(doubt=self._doubted)
        self.tls = server_tls(settings.till.certificate_file, settings.till.key_file)
        self.caretaker = Caretaker(self.database, self.reserve)
        self.uplink = Uplink(
            self._parts(),
            retention_s=settings.sync.retention_s,
            owe=self._owe,
            term_met=self._term_met_above,
            server_lost=self._server_lost,
        )
        self.downlink = self._downlink()
        self.sync = TillSync(
            uplink=self.uplink,
            downlink=self.downlink,
            caretaker=self.caretaker,
            times=self.times,
            progress=self.progress,
        )
        self.timetable = Timetable(settings.sync.schedule, lambda: self.sync.run_now("all"))
        checkout = Checkout(self.database, clock=self.clock, reserve=self.reserve, wake_uplink=self.uplink.wake)
        self.desk = Desk(
            database=self.database,
            checkout=checkout,
            sessions=Sessions(self.database, secret=secret, incarnation=state.incarnation),
            progress=self.progress,
            sync=self.sync,
            clock=self.clock,
            reserve=self.reserve,
            reply_budget_ms=settings.sync.reply_budget_ms,
            meter=Meter(token_file=settings.till.metrics_token_file),
        )

    def start(self) -> None:
        """Start the sync."""
        with suppress(SyncrefError):  # the caretaker tries again, and says why it could not
            self.reserve.fill()
        self.sync.start()
        self.timetable.start()

    def stop(self) -> None:
        """Stop the sync and close the database."""
        self.timetable.stop()
        self.sync.stop()
        self.desk.close()
        with suppress(OSError):
            self.database.checkpoint()
        self.database.close()

    def _checked(self) -> TillState:
        try:
            self.database.check()
            self.database.create_tables()  # those that a till of an older version lacks
            state = identity(self.database, name=self.settings.till.name)
            with self.database.read() as connection:
                check_chain(connection, where=self.database.where)
        except SyncrefError:
            self.database.close()
            raise
        return state

    def _calls(self) -> ServerCalls:
        return ServerCalls(
            till=self.settings.till.name,
            secret=self._secret,
            timeout_s=self.settings.sync.request_timeout_ms / 1000,
            verifier=self._verifier,
            wallet=self._wallet,
        )

    def _doubted(self, base: str, objection: str | None) -> None:
        if objection is None:
            self.alarms.clear(f"server {base}")
        else:
            self.alarms.raise_(f"server {base}", "untrusted_server", objection)

    def _owe(self, closed: Closed) -> None:
        if all(owed.journal != closed.key for owed in self.sync.owed):
            self.sync.owe(OwedUplink(self._parts(), closed, grown=self.uplink.wake, term_met=self._term_met_below))

    def _parts(self) -> UplinkParts:
        return UplinkParts(
            database=self.database,
            calls=self._calls(),
            servers=self.settings.till.servers,
            options=UplinkOptions(
                cluster=self._cluster,
                servers=len(self.settings.till.servers),
                batch_entries=self.settings.sync.batch_entries,
                backoff_max_ms=self.settings.sync.backoff_max_ms,
            ),
            progress=self.progress,
            clock=self.clock,
            alarms=self.alarms,
            wanted=self.times.wanted,
        )

    def _term_met_below(self, term: Term) -> None:
        self.uplink.post(TermSeen(term=term))
        self._tell_owed(term)

    def _term_met_above(self, term: Term) -> None:
        self.downlink.ask_now()
        self._tell_owed(term)

    def _server_lost(self) -> None:
        self.downlink.ask_now()

    def _tell_owed(self, term: Term) -> None:
        for owed in self.sync.owed:
            owed.post(TermSeen(term=term))

    def _downlink(self) -> Downlink:
        return Downlink(
            database=self.database,
            calls=self._calls(),
            servers=self.settings.till.servers,
            options=DownlinkOptions(
                cluster=self._cluster,
                servers=len(self.settings.till.servers),
                backoff_max_ms=self.settings.sync.backoff_max_ms,
                good_ms=self.settings.sync.request_timeout_ms // 4,
                tables=tuple(table.name for table in MASTERS),
            ),
            clock=self.clock,
            alarms=self.alarms,
            reserve=self.reserve,
            continuous=self.times.continuous,
            merge_soon=self.caretaker.merge_soon,
            term_met=self._term_met_below,
            contact_changed=self.uplink.look_again,
        )


def run(settings: TillSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigInvalid, StorageCorrupt."""
    tune()
    with closing(listen(settings)) as listener:
        till = Till(settings)
        till.start()
        try:
            asyncio.run(_serve(till, listener))
        finally:
            till.stop()
    event(_log, logging.INFO, "stopped", till=settings.till.name)


async def _serve(till: Till, listener: socket.socket) -> None:
    from syncref.listening import Listening, configured

    app = request_ids(build_app(till.desk))
    server = Listening(
        configured(app, lifespan="off", timeout_keep_alive=_KEEP_ALIVE_S, timeout_graceful_shutdown=5), till.tls
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again once it has stopped; then it is to end the process quietly.
        signal.signal(number, lambda *_: None)
    event(_log, logging.INFO, "serving", till=till.settings.till.name, listen=till.settings.till.listen)
    await server.serve(sockets=[listener])


def tune() -> None:
    """Hand the interpreter over between threads sooner, keep the heap in few arenas, and collect garbage seldom.

    A page of 5,000 rows makes 15,000 objects and no cycles: collecting at every 700 of them took nine
    tenths of the time of decoding it, and what was imported at the start is not garbage either.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MALLOPT_ARENA_MAX, _ARENAS)
