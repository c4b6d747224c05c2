"""The tills' disks during a run: kept, put back, lost, set up anew, copied. What is lost is declared here.

Keeps: a disk is read before it goes, and the server only once nothing of its till is on the way any more, so
that a declared loss is neither more nor less than what is on neither side.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos.errors import CannotRun, FaultFailed
from chaos.faults.disks import Gone
from chaos.waiting import wait_until
from loadtest.history import History
from rehearsal.checkers.payload import NotAnEntry, Receipt, decode
from rehearsal.drive.cleaning import open_day
from rehearsal.drive.copy_counter import CopyCounter
from rehearsal.evidence.databases import Database, WitnessUnreadable
from rehearsal.model import Clone, Loss
from rehearsal.staging.configs import write_toml
from rehearsal.staging.copies import copy_database, remove_database, replace_database
from rehearsal.staging.shop import Shop, loaded, provision_step, till_node, till_sections
from rehearsal.staging.till_database import TILL_POSTGRES
from rehearsal.witness import Witness

STILL_S = 1.0
STILL_MAX_S = 15.0
LOADED_S = 90.0
SKUS = 200
ENTRY_COLUMNS = ("loss", "till", "incarnation", "seq", "hash", "payload_hex")
_JOURNAL = "SELECT incarnation, seq, hash, payload FROM journal ORDER BY incarnation, seq"
Mark = dict[str, int]
EntryRow = tuple[int, str, str, int, str, str]


class ShopDisks:
    """Implements chaos.faults.disks.TillDisks on a staged shop. Each till is in one thread's hands at a time."""

    def __init__(self, shop: Shop, witness: Witness, *, parts: Path, seed: int, business_date: str) -> None:
        self._shop = shop
        self._witness = witness
        self._parts = parts
        self._seed = seed
        self._date = business_date
        self._kept: dict[str, Database] = {}
        self._gone: dict[str, Gone] = {}
        self._begun: set[str] = set()
        self._counters: dict[str, CopyCounter] = {}
        self._numbers = 0
        self.losses: list[Loss] = []
        self.lost_entries: list[EntryRow] = []
        self.clones: list[Clone] = []

    def keep(self, till: str) -> int:
        """Copy a running till's disk aside."""
        self._kept[till] = self._copy(till, "kept")
        return self._head(self._kept[till])

    def put_back(self, till: str) -> Gone:
        """Replace a till's disk by the copy that was kept."""
        copy = self._kept[till]
        gone = self._declared_once("disk_rollback", till, copy)
        self._begun.add(till)
        replace_database(self._shop.fleet, self._shop.till_databases[till], copy)
        del self._kept[till]
        self._finish(till)
        return gone

    def wipe(self, till: str) -> Gone:
        """Lose a till's disk."""
        gone = self._declared_once("reimage_till", till, None)
        self._begun.add(till)
        remove_database(self._shop.till_databases[till], empty=True)
        self._finish(till)
        return gone

    def half_done(self, till: str) -> bool:
        """Say whether a disk failed while it was replaced or lost."""
        return till in self._begun

    def provision(self, till: str) -> None:
        """Set a till up anew; the cluster's name is what its technician knows."""
        cluster = str(self._read(lambda: self._witness.server_rows("SELECT cluster FROM term"))[0][0])
        self._shop.fleet.run_step(provision_step(self._shop.fleet, till, cluster=cluster))

    def reopen(self, till: str) -> None:
        """Wait until a till has its masters, and open its day."""
        if not wait_until(lambda: loaded(self._shop.fleet, till), LOADED_S):
            raise FaultFailed(f"{till} has no masters {LOADED_S:g} s after it was set up anew")
        history = History(self._parts, "d2")
        try:
            open_day(self._shop, till, self._date, history)
        finally:
            history.end()

    def clone(self, till: str) -> str:
        """Copy a running till into a second one of the same identity, behind a link of its own."""
        shop, node = self._shop, f"{till}-clone"
        if node in shop.fleet.names():
            raise CannotRun(f"{till} has a copy already")
        copy = self._copy(till, "clone")
        sections = till_sections(shop, till)
        folder = shop.fleet.dir(node)
        sections["till"] |= {
            "listen": shop.fleet.address(node),
            "database": copy.url,
            "servers": [shop.fleet.link(node, side.server).url for side in shop.sides],
        }
        config = write_toml(folder / "till.toml", sections)
        plan = till_node(shop.fleet, node, config, caps=shop.caps, folders=(till,))
        shop.fleet.add(plan)
        state = self._read(lambda: _query(copy, "SELECT incarnation, head_seq FROM till"))[0]
        self.clones.append(
            Clone(name=node, till=till, at_ms=_now(), incarnation=bytes(state[0]).hex(), seq=state[1])
        )
        self._witness.add(node, copy)
        shop.till_databases[node] = copy
        return node

    def sell_at(self, node: str) -> None:
        """Let a cashier begin to sell at a copy."""
        shop = self._shop
        till = next(clone.till for clone in self.clones if clone.name == node)
        skus = sorted(shop.catalogue.prices)[:SKUS]
        counter = CopyCounter(
            self._parts, url=shop.url(node), till=till, who=shop.catalogue.cashiers[-1], skus=skus, seed=self._seed
        )
        self._counters[node] = counter
        counter.start()

    def stop_selling_at(self, node: str) -> int:
        """Let nobody sell there any more."""
        return self._counters[node].stop()

    def _copy(self, till: str, what: str) -> Database:
        self._numbers += 1
        name = f"till_{till.lower()}_{what}{self._numbers}"
        return copy_database(self._shop.fleet, self._shop.till_databases[till], name, node=TILL_POSTGRES)

    def _head(self, database: Database) -> int:
        return int(self._read(lambda: _query(database, "SELECT head_seq FROM till"))[0][0])

    def _declared_once(self, kind: str, till: str, copy: Database | None) -> Gone:
        """Declare what a disk loses; a second try finds it declared, and the disk perhaps gone."""
        if till not in self._gone:
            self._gone[till] = self._declare(kind, till, copy)
        return self._gone[till]

    def _finish(self, till: str) -> None:
        del self._gone[till]
        self._begun.discard(till)

    def _declare(self, kind: str, till: str, copy: Database | None) -> Gone:
        """Read what a disk holds beyond its copy, and what of that the server has."""
        disk = self._shop.till_databases[till]
        entries = [
            (bytes(row[0]).hex(), row[1], row[2], row[3]) for row in self._read(lambda: _query(disk, _JOURNAL))
        ]
        left = set()
        if copy is not None:
            left = {(bytes(row[0]).hex(), row[1]) for row in self._read(lambda: _query(copy, _JOURNAL))}
        there = self._settled_server(till)
        at_ms = _now()
        head, kept = self._head(disk), 0 if copy is None else self._head(copy)
        arrived = missing = 0
        for incarnation in dict.fromkeys(row[0] for row in entries):
            gone = [row for row in entries if row[0] == incarnation and row[:2] not in left]
            if not gone:
                continue
            loss = Loss(
                loss=len(self.losses), kind=kind, till=till, at_ms=at_ms, incarnation=incarnation,
                kept=gone[0][1] - 1, head=gone[-1][1], arrived=there.get(incarnation, 0),
            )  # fmt: skip
            lost = [row for row in gone if row[1] >= loss.missing_from]
            receipts = [found for row in lost if (found := _receipt(till, row)) is not None]
            self.losses.append(_counted(loss, receipts))
            self.lost_entries += [
                (loss.loss, till, incarnation, row[1], bytes(row[2]).hex(), bytes(row[3]).hex()) for row in gone
            ]
            arrived += len(gone) - len(lost)
            missing += len(lost)
        return Gone(head=head, kept=kept, arrived=arrived, missing=missing)

    def _settled_server(self, till: str) -> Mark:
        """Return incarnation -> what the server has of a till that does not run, once that moves no more."""
        seen: Mark | None = None
        since, until = time.monotonic(), time.monotonic() + STILL_MAX_S
        while True:
            durable = self._read(self._witness.server).durable
            now = {incarnation: seq for (name, incarnation), seq in durable.items() if name == till}
            if now != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since >= STILL_S:
                return now
            if time.monotonic() > until:
                raise FaultFailed(f"the server still takes entries of {till}, which does not run")
            time.sleep(0.2)

    def _read(self, reading: Callable[[], Any]) -> Any:
        """Take a reading; one that can't be had now is tried again for a while."""
        until = time.monotonic() + STILL_MAX_S
        while True:
            try:
                return reading()
            except WitnessUnreadable as error:
                if time.monotonic() > until:
                    raise FaultFailed(f"a database can't be read: {error}") from error
                time.sleep(0.3)


def _query(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.snapshot() as snapshot:
        return list(snapshot.rows(statement)[1])


def _receipt(till: str, row: tuple[str, int, Any, Any]) -> Receipt | None:
    try:
        found = decode(bytes(row[3]), till=till, incarnation=row[0], seq=row[1])
    except NotAnEntry:
        return None
    return found if isinstance(found, Receipt) else None


def _counted(loss: Loss, receipts: list[Receipt]) -> Loss:
    return replace(loss, receipts=len(receipts), gross_minor=sum(receipt.gross for receipt in receipts))


def _now() -> int:
    return time.time_ns() // 1_000_000
