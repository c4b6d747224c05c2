"""Credentials, tokens and throttling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncref.auth import Identity, Throttle, TokenSigner, hash_secret, verify_secret
from syncref.errors import TooManyAttempts, Unauthorized

TILL = Identity(kind="till", name="T01")
SIGNER = TokenSigner(keys={1: b"k" * 32})


def test_a_secret_is_kept_as_argon2id_and_only_the_same_one_is_good() -> None:
    """The hash takes 9 MiB and four passes, and two hashes of one secret differ."""
    stored = hash_secret("a secret")
    assert stored.startswith("$argon2id$v=19$m=9216,t=4,p=1$")
    assert stored != hash_secret("a secret")
    assert verify_secret(stored, "a secret")
    assert not verify_secret(stored, "a secreT")
    assert not verify_secret(None, "nobody has this secret")
    assert not verify_secret("not a hash", "x")
    assert not verify_secret(stored, "a secret" + "x" * 300)


def test_a_token_tells_who_until_it_expires() -> None:
    """Kind and name come back; at its time it is no good."""
    token = SIGNER.sign(TILL, expires_ms=1000)
    assert SIGNER.verify(token, now_ms=999) == TILL
    with pytest.raises(Unauthorized, match="expired"):
        SIGNER.verify(token, now_ms=1000)


def test_a_new_key_signs_and_old_tokens_stay_good() -> None:
    """Keys rotate without a log-out; a key that is gone verifies nothing."""
    old = SIGNER.sign(TILL, expires_ms=1000)
    both = TokenSigner(keys={1: b"k" * 32, 2: b"n" * 32})
    assert both.verify(old, now_ms=0) == TILL
    new = both.sign(TILL, expires_ms=1000)
    with pytest.raises(Unauthorized, match="signature"):
        SIGNER.verify(new, now_ms=0)


@given(st.text(max_size=60))
def test_no_text_is_a_token(text: str) -> None:
    """Whatever is sent is refused, not a crash."""
    with pytest.raises(Unauthorized):
        SIGNER.verify(text, now_ms=0)


@given(place=st.integers(0, 40), change=st.integers(1, 255))
def test_a_token_changed_anywhere_is_refused(place: int, change: int) -> None:
    """Signature and body hold together."""
    token = SIGNER.sign(TILL, expires_ms=1000).encode()
    place %= token.index(b".")
    forged = bytearray(token)
    forged[place] ^= change
    with pytest.raises(Unauthorized):
        SIGNER.verify(forged.decode("latin-1"), now_ms=0)


def test_waiting_doubles_per_identity_up_to_its_bound_and_ends_with_success() -> None:
    """Three failures are free; another identity is not concerned."""
    throttle = Throttle(wait_max_ms=4000)
    waits = []
    for _ in range(7):
        try:
            throttle.check(TILL, now_ms=0)
            waits.append(0)
        except TooManyAttempts as error:
            waits.append(int(error.details["retry_after_ms"] or 0))
        throttle.failed(TILL, now_ms=0)
    assert waits == [0, 0, 0, 1000, 2000, 4000, 4000]
    throttle.check(Identity(kind="till", name="T02"), now_ms=0)
    throttle.check(TILL, now_ms=4000)
    throttle.succeeded(TILL)
    throttle.check(TILL, now_ms=0)


def test_a_clock_that_goes_back_never_makes_anyone_wait_longer() -> None:
    """The wait is bounded by its own length."""
    throttle = Throttle(wait_max_ms=4000)
    for _ in range(9):
        throttle.failed(TILL, now_ms=10**12)
    with pytest.raises(TooManyAttempts) as refused:
        throttle.check(TILL, now_ms=0)
    assert refused.value.details["retry_after_ms"] == 4000
