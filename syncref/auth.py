"""Credentials: argon2id hashes, short-lived signed tokens, and throttling per identity.

Nothing here is kept on disk or sent anywhere: callers pass in the time, the keys and the stored hash.
The hash takes 9 MiB and four passes, so that a till with 1 GB can check a PIN beside its sales.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from syncref.errors import Forged, TooManyAttempts, Unauthorized

SECRET_CHARS_MAX = 256
TOKEN_CHARS_MAX = 1024
_HASHER = PasswordHasher(time_cost=4, memory_cost=9 * 1024, parallelism=1, hash_len=32, type=Type.ID)
_NOBODY = _HASHER.hash("nobody has this secret")


def hash_secret(secret: str) -> str:
    """Return the argon2id hash of a secret, with its salt and parameters."""
    return _HASHER.hash(secret)


def verify_secret(secret_hash: str | None, secret: str) -> bool:
    """Return whether the secret belongs to the hash; None (an unknown identity) takes as long and is False."""
    try:
        good = _HASHER.verify(secret_hash or _NOBODY, secret[:SECRET_CHARS_MAX])
    except (VerificationError, InvalidHashError):
        return False
    return good and secret_hash is not None and len(secret) <= SECRET_CHARS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a token speaks for: kind (till, clerk or cashier) and name."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSigner:
    """Signs and verifies tokens. `keys` maps key ids to secrets; the highest id signs."""

    keys: Mapping[int, bytes]

    def sign(self, identity: Identity, *, expires_ms: int) -> str:
        """Return a token for an identity that holds until `expires_ms` of the server's clock."""
        kid = max(self.keys)
        body = msgspec.json.encode((kid, identity.kind, identity.name, expires_ms))
        return f"{_text(body)}.{_text(self._seal(kid, body))}"

    def verify(self, token: str, *, now_ms: int) -> Identity:
        """Return the identity in a token. Raises Forged, and Unauthorized when it has expired."""
        if len(token) > TOKEN_CHARS_MAX:
            raise Forged("the token is too long")
        try:
            body_text, _, seal_text = token.partition(".")
            body, seal = _bytes(body_text), _bytes(seal_text)
            kid, kind, name, expires_ms = msgspec.json.decode(body, type=tuple[int, str, str, int])
        except (ValueError, msgspec.DecodeError) as error:
            raise Forged("the token is malformed") from error
        if kid not in self.keys or not hmac.compare_digest(seal, self._seal(kid, body)):
            raise Forged("the token's signature is wrong")
        if expires_ms <= now_ms:
            raise Unauthorized("the token has expired; log in again")
        return Identity(kind=kind, name=name)

    def _seal(self, kid: int, body: bytes) -> bytes:
        return hmac.new(self.keys[kid], b"syncref token 1" + body, hashlib.sha256).digest()


class Throttle:
    """Makes an identity wait after failed log-ins: 1 s after the third, doubling up to `wait_max_ms`."""

    def __init__(self, *, free_failures: int = 3, wait_max_ms: int = 30_000, identities_max: int = 10_000) -> None:
        self._free = free_failures
        self._wait_max_ms = wait_max_ms
        self._identities_max = identities_max
        self._failures: OrderedDict[Identity, tuple[int, int]] = OrderedDict()

    def check(self, identity: Identity, *, now_ms: int) -> None:
        """Raise TooManyAttempts, with retry_after_ms, while the identity must wait."""
        failures, last_ms = self._failures.get(identity, (0, 0))
        if failures < self._free:
            return
        wait_ms = min(1000 << min(failures - self._free, 20), self._wait_max_ms)
        remaining_ms = min(last_ms + wait_ms - now_ms, wait_ms)
        if remaining_ms > 0:
            raise TooManyAttempts(f"too many failed log-ins; wait {remaining_ms} ms", retry_after_ms=remaining_ms)

    def failed(self, identity: Identity, *, now_ms: int) -> None:
        """Count a failed log-in."""
        failures, _ = self._failures.pop(identity, (0, 0))
        self._failures[identity] = (failures + 1, now_ms)
        while len(self._failures) > self._identities_max:
            self._failures.popitem(last=False)

    def succeeded(self, identity: Identity) -> None:
        """Forget an identity's failures."""
        self._failures.pop(identity, None)


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    if not text.isascii():
        raise ValueError("not ASCII")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
