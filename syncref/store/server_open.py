"""Opening the server's database, and the one place where its errors become syncref's.

A commit whose outcome is unknown is StorageFailed (not definite); conflicts and missing resources are Busy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from syncref.domain.masters import MASTERS
from syncref.errors import Busy, ConfigInvalid, NotLive, StorageFailed, SyncrefError
from syncref.store.address import postgres_url
from syncref.store.server_schema import metadata

CHANNEL = "syncref_change"
RETRY_AFTER_MS = 500
STANDBY_STATE = "25006"  # a write in a read-only transaction
STATEMENT_TIMEOUT_MS = 30_000
IMPORT_TIMEOUT_MS = 600_000
_SCHEMA_LOCK = 7_238_091
_TRIGGER = f"""
CREATE OR REPLACE FUNCTION syncref_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('{CHANNEL}', ''); RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER change_notify AFTER INSERT ON change
FOR EACH STATEMENT EXECUTE FUNCTION syncref_notify();
CREATE OR REPLACE FUNCTION syncref_notify_term() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('{CHANNEL}', 'term'); RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER term_notify AFTER INSERT OR UPDATE ON term
FOR EACH STATEMENT EXECUTE FUNCTION syncref_notify_term();
ALTER TABLE term ADD COLUMN IF NOT EXISTS fenced_by bigint;
ALTER TABLE term ADD COLUMN IF NOT EXISTS guard timestamptz;
"""


def open_engine(dsn: str, *, connections: int = 8, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS) -> Engine:
    """Return an engine for a PostgreSQL URL. Nothing is connected yet. Raises ConfigInvalid."""
    options = (
        f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={statement_timeout_ms}"
        f" -c idle_in_transaction_session_timeout={statement_timeout_ms} -c timezone=UTC"
    )
    return create_engine(
        postgres_url(dsn),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            "options": options,
            "application_name": "syncref",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
    )


def sqlstate(error: BaseException) -> str:
    """Return the five-character SQLSTATE of a database error, 08000 when the connection broke."""
    original = error.orig if isinstance(error, DBAPIError) else error
    code: str | None = getattr(original, "pgcode", None)
    if code:
        return code
    broken = isinstance(error, DBAPIError) and error.connection_invalidated
    return "08000" if broken or type(original).__name__ in {"OperationalError", "InterfaceError"} else "XX000"


def translated(error: BaseException) -> SyncrefError:
    """Return the catalogue's error for a library's: Busy when nothing happened, else StorageFailed."""
    code = sqlstate(error)
    if code == STANDBY_STATE:
        return NotLive("this database is a standby and takes no writes")
    if code[:2] in {"40", "53"} or code in {"55P03", "57014"}:
        return Busy(f"the database is busy (SQLSTATE {code})", retry_after_ms=RETRY_AFTER_MS)
    return StorageFailed(f"the database failed (SQLSTATE {code})", retry_after_ms=RETRY_AFTER_MS)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Run a block in one read-committed transaction; library errors leave as syncref's."""
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise translated(error) from error


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Run a block of reads in one REPEATABLE READ snapshot."""
    try:
        with engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                # Not the driver's own setting: it would ask for read-write afterwards, which a standby refuses.
                connection.execute(text("SET TRANSACTION READ ONLY"))
                yield connection
    except SQLAlchemyError as error:
        raise translated(error) from error


def create_schema(engine: Engine) -> None:
    """Create whatever tables are missing, and the bounds on transactions that everyone gets."""
    with transaction(engine) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _SCHEMA_LOCK})
        version = connection.execute(text("SHOW server_version_num")).scalar_one()
        if int(version) < 140000:
            raise ConfigInvalid(f"PostgreSQL 14 or newer is needed, this is {version}")
        metadata.create_all(connection)
        connection.execute(text(_TRIGGER))
        connection.execute(
            text("ALTER TABLE feed_floor ADD COLUMN IF NOT EXISTS version bigint NOT NULL DEFAULT 0")
        )
        connection.execute(text("INSERT INTO feed_floor (pos) VALUES (0) ON CONFLICT DO NOTHING"))
        connection.execute(
            text("INSERT INTO feed_base SELECT unnest(CAST(:names AS text[])), 0 ON CONFLICT DO NOTHING"),
            {"names": [spec.name for spec in MASTERS]},
        )
        # Any open transaction in the cluster holds the feed's horizon back, so none may stay open for ever.
        limits = {"idle_in_transaction_session_timeout": "60s"}
        if int(version) >= 170000:
            limits["transaction_timeout"] = "10min"
        name = connection.execute(text("SELECT quote_ident(current_database())")).scalar_one()
        for setting, value in limits.items():
            connection.execute(text(f"ALTER DATABASE {name} SET {setting} = '{value}'"))


def create_database(admin_dsn: str, name: str) -> None:
    """Create a database of this name unless it is there. `admin_dsn` names another one of the cluster."""
    engine = create_engine(
        postgres_url(admin_dsn), isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5}
    )
    try:
        with engine.connect() as connection:
            found = connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :n"), {"n": name})
            if found.first() is None:
                connection.execute(text(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8'"))
    except SQLAlchemyError as error:
        raise translated(error) from error
    finally:
        engine.dispose()
