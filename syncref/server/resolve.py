"""`syncref settlement resolve`: the same operation as the back office's, for whoever has the server's database."""

from __future__ import annotations

import re

import msgspec
from sqlalchemy import Connection

from syncref.config import ServerConfig
from syncref.domain.identity import Key
from syncref.errors import ConfigInvalid
from syncref.server.clock import now_ms
from syncref.server.provision import database_of
from syncref.store import server_asides
from syncref.store.server_documents import Asked, perform
from syncref.store.server_masters import Written
from syncref.store.server_open import open_engine
from syncref.wire.backoffice_api import ResolveDocument

_ID = re.compile(r"[0-9a-f]{32}")


def resolve_entry(
    config: ServerConfig, *, till: str, incarnation: str, seq: int, action: str, op_id: str, clerk: str
) -> None:
    """Resolve an entry, once. Raises ConfigInvalid, NotFound, RuleBroken, OperationReused."""
    for name, value in (("incarnation", incarnation), ("op id", op_id)):
        if not _ID.fullmatch(value):
            raise ConfigInvalid(f"{name} {value!r}: expected 32 lowercase hex digits")
    data = msgspec.convert({"op_id": op_id, "action": action}, ResolveDocument)
    request = msgspec.json.encode((till, incarnation, seq, data))
    asked = Asked(op_id=op_id, clerk=clerk, kind="resolve", request=request, at_ms=now_ms())
    key = Key(till=till, incarnation=bytes.fromhex(incarnation))

    def work(connection: Connection) -> list[Written]:
        server_asides.resolve(connection, key, seq, op_id=op_id, action=action, clerk=clerk, at_ms=asked.at_ms)
        return []

    with database_of(config.database, config.data_dir) as dsn:
        engine = open_engine(dsn, connections=3)
        try:
            perform(engine, asked, work)
        finally:
            engine.dispose()
