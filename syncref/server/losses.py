"""`syncref settlement --abandon`, `lost` and `lost-entries`: what an operator signs, with the database at hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date as calendar_date
from typing import TypeVar

from sqlalchemy import Connection

from syncref.config import ServerConfig
from syncref.domain.identity import Key, Mark
from syncref.errors import ConfigInvalid
from syncref.server.clock import now_ms
from syncref.server.provision import database_of
from syncref.store.server_lost import Signed, sign_lost_entries, sign_lost_receipts
from syncref.store.server_open import open_engine, transaction
from syncref.store.server_settlement import sign_abandoned
from syncref.store.server_term import writable_term

T = TypeVar("T")
_HEX = re.compile(r"[0-9a-f]+")


def abandon(config: ServerConfig, *, till: str, date: str, evidence: str, clerk: str) -> str:
    """Sign that a till will never close a date; return what that changes. Raises ConfigInvalid, SyncrefError."""
    _check_date(date)
    return _signed(
        config,
        lambda connection: sign_abandoned(
            connection, till, date, evidence=evidence, clerk=clerk, at_ms=now_ms()
        ),
    )  # fmt: skip


def lose_receipts(config: ServerConfig, first: str, last: str, *, date: str, evidence: str, clerk: str) -> int:
    """Sign that printed numbers will never come; return how many. Raises ConfigInvalid, SyncrefError."""
    _check_date(date)
    signed = Signed(evidence=evidence, clerk=clerk, at_ms=now_ms())
    return _signed(
        config, lambda connection: sign_lost_receipts(connection, first, last, date=date, signed=signed)
    )


def lose_entries(
    config: ServerConfig, *, till: str, incarnation: str, seq: int, chain: str, evidence: str, clerk: str
) -> int:
    """Sign that entries up to a till's mark never come; return how many. Raises ConfigInvalid, SyncrefError."""
    for name, value, digits in (("incarnation", incarnation, 32), ("hash", chain, 64)):
        if len(value) != digits or not _HEX.fullmatch(value):
            raise ConfigInvalid(f"{name} {value!r}: expected {digits} lowercase hex digits")
    key = Key(till=till, incarnation=bytes.fromhex(incarnation))
    last = Mark(seq=seq, hash=bytes.fromhex(chain))
    signed = Signed(evidence=evidence, clerk=clerk, at_ms=now_ms())
    return _signed(config, lambda connection: sign_lost_entries(connection, key, last, signed=signed))


def _signed(config: ServerConfig, sign: Callable[[Connection], T]) -> T:
    with database_of(config.database, config.data_dir) as dsn:
        engine = open_engine(dsn, connections=1)
        try:
            with transaction(engine) as connection:
                writable_term(connection)
                return sign(connection)
        finally:
            engine.dispose()


def _check_date(date: str) -> None:
    try:
        known = calendar_date.fromisoformat(date).isoformat() == date
    except ValueError:
        known = False
    if not known:
        raise ConfigInvalid(f"date {date!r}: expected YYYY-MM-DD")
