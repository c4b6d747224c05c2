"""The error catalogue: each has a stable code, an HTTP status, and whether its outcome is definite.

Definite means that the operation did not happen and never will under this request. Only what is
definite or idempotent may be tried again blindly.
"""

from __future__ import annotations

from typing import ClassVar


class SyncrefError(Exception):
    """The root of every error that a caller of syncref is meant to handle."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    definite: ClassVar[bool] = False

    def __init__(self, message: str, **details: int | str | None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class ConfigInvalid(SyncrefError):
    """An option, file or environment variable can't be used; the message names it."""

    code, status, definite = "config_invalid", 500, True


class RequestInvalid(SyncrefError):
    """The request can't be read or breaks a rule of its own."""

    code, status, definite = "request_invalid", 400, True


class Unauthorized(SyncrefError):
    """No credential, a wrong one, or an expired token."""

    code, status, definite = "unauthorized", 401, True


class Forged(Unauthorized):
    """A token that no server of this shop has made, or somebody has changed."""


class WrongSecret(Unauthorized):
    """A log-in with an unknown identity, or a wrong secret."""


class Forbidden(SyncrefError):
    """A good credential for something else: a till may act only as itself."""

    code, status, definite = "forbidden", 403, True


class NotFound(SyncrefError):
    """The thing asked for is not there."""

    code, status, definite = "not_found", 404, True


class OperationReused(SyncrefError):
    """The op id was used before for another request."""

    code, status, definite = "operation_reused", 409, True


class Gap(SyncrefError):
    """A batch begins after what the server has; details give expected_seq."""

    code, status, definite = "gap", 409, True


class Fork(SyncrefError):
    """Till and server have different bytes at one sequence; details give at_seq."""

    code, status, definite = "fork", 409, True


class StaleTerm(SyncrefError):
    """The request names a term that is no longer, or not yet, this server's."""

    code, status, definite = "stale_term", 409, True


class FalseTerm(StaleTerm):
    """The request names a term of another cluster, or one that this cluster never opened."""


class SessionUnknown(SyncrefError):
    """The upload belongs to no handshake that this server remembers; shake hands again."""

    code, status, definite = "session_unknown", 409, True


class TooLarge(SyncrefError):
    """A body, batch, entry or count is over its bound."""

    code, status, definite = "too_large", 413, True


class RuleBroken(SyncrefError):
    """A rule of the shop forbids it: unknown product, day not open and the like."""

    code, status, definite = "rule_broken", 422, True


class Unbalanced(RuleBroken):
    """What is paid is not what is due, as when a price changed since it was asked."""

    code = "unbalanced"


class TooManyAttempts(SyncrefError):
    """An identity failed to log in too often and must wait; details give retry_after_ms."""

    code, status, definite = "too_many_attempts", 429, True


class NotLive(SyncrefError):
    """This server is a standby, fenced or not yet confirmed, and takes no writes."""

    code, status, definite = "not_live", 503, True


class TermAhead(NotLive):
    """A till says that it has met a newer term than this server's: nobody's word but a peer's fences a server."""


class Busy(SyncrefError):
    """Refused cheaply under load; details give retry_after_ms."""

    code, status, definite = "busy", 503, True


class DiskFull(SyncrefError):
    """There is no room to store it safely."""

    code, status, definite = "disk_full", 507, True


class StorageFailed(SyncrefError):
    """The database failed while the outcome of a commit is unknown: ask again under the same op id."""

    code, status, definite = "storage_failed", 503, False


class StorageCorrupt(SyncrefError):
    """A database is damaged. Nothing is repaired or overwritten; the message names the file."""

    code, status, definite = "storage_corrupt", 500, True
