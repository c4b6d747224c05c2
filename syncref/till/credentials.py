"""How a till shows who it is, and how it knows its servers."""

from __future__ import annotations

from functools import partial

from syncref.config import TillSettings
from syncref.errors import ConfigInvalid
from syncref.store.till_open import TillDatabase
from syncref.store.till_trusted import read_trusted_s, write_trusted_s
from syncref.till.connection import Verifier
from syncref.till.trusted_time import TrustedTime
from syncref.tls import Trust


def verifier_of(settings: TillSettings, database: TillDatabase | None) -> Verifier | None:
    """Return how this till knows its servers; None when it speaks plain HTTP to all. Raises ConfigInvalid.

    The trusted time is kept in the database, if there is one already. Without `ca_file` the system's
    authorities are believed, and its clock.
    """
    if not any(server.startswith("https://") for server in settings.till.servers):
        return None
    trust = Trust(settings.till.ca_file, dates_by_caller=settings.till.ca_file is not None)
    floor_s = trust.valid_from_s() if settings.till.ca_file is not None else 0.0
    if database is None:
        return Verifier(trust=trust, time=TrustedTime(floor_s))
    stored_s = read_trusted_s(database)
    store = partial(write_trusted_s, database)
    return Verifier(trust=trust, time=TrustedTime(max(floor_s, stored_s), store=store))


def read_secret(settings: TillSettings) -> str:
    """Return the till's credential. Raises ConfigInvalid."""
    file = settings.till.credential_file
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"[till] credential_file {file} can't be read: {error}") from error
    if not secret:
        raise ConfigInvalid(f"[till] credential_file {file} is empty")
    return secret
