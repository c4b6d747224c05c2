"""Bodies of the sync protocol: every bound is checked before anything is decompressed or decoded."""

from __future__ import annotations

import threading
from typing import TypeVar

import msgspec
import zstandard

from syncref import errors
from syncref.domain.identity import HASH_BYTES, ID_BYTES
from syncref.wire import UNREADABLE
from syncref.wire.sync import BATCH_BYTES_MAX, BODY_BYTES_MAX, Batch, Hello

_batches = msgspec.msgpack.Decoder(Batch)
_hellos = msgspec.msgpack.Decoder(Hello)
_local = threading.local()
M = TypeVar("M", Hello, Batch)


def decompress(body: bytes, *, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """Return a body's bytes. What it claims to hold is checked before anything is decompressed.

    Raises TooLarge and RequestInvalid.
    """
    if len(body) > bytes_max:
        raise errors.TooLarge(f"a body of more than {bytes_max} bytes", where="body")
    try:
        size = zstandard.get_frame_parameters(body)
    except zstandard.ZstdError as error:
        raise errors.RequestInvalid("the body is not zstandard", where="body") from error
    if size.content_size in {zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR}:
        raise errors.RequestInvalid("the zstandard frame doesn't say its size", where="body")
    if size.content_size > bytes_max or size.window_size > max(bytes_max, 8 << 20):
        raise errors.TooLarge(f"a body of more than {bytes_max} bytes when decompressed", where="body")
    decompressor: zstandard.ZstdDecompressor | None = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor()
    try:
        data: bytes = decompressor.decompress(body, max_output_size=bytes_max, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise errors.RequestInvalid("the body is damaged zstandard", where="body") from error
    return data


def _decode(body: bytes, decoder: msgspec.msgpack.Decoder[M]) -> M:
    data = decompress(body)
    try:
        return decoder.decode(data)
    except UNREADABLE as error:
        raise errors.RequestInvalid(f"the body can't be decoded: {error}", where="body") from error


def decode_hello(body: bytes) -> Hello:
    """Return the handshake in a body. Raises RequestInvalid and TooLarge."""
    hello = _decode(body, _hellos)
    _check(len(hello.incarnation) == ID_BYTES, "incarnation", f"expected {ID_BYTES} bytes")
    _check(len(hello.head_hash) == HASH_BYTES, "head_hash", f"expected {HASH_BYTES} bytes")
    for name in ("head_seq", "acked", "safe", "cursor_pos"):
        _check(0 <= getattr(hello, name) < 1 << 63, name, "expected 0 or more, in 63 bits")
    return hello


def decode_batch(body: bytes) -> Batch:
    """Return the batch in a body. Raises RequestInvalid and TooLarge."""
    batch = _decode(body, _batches)
    _check(len(batch.incarnation) == ID_BYTES, "incarnation", f"expected {ID_BYTES} bytes")
    _check(len(batch.prev_hash) == HASH_BYTES, "prev_hash", f"expected {HASH_BYTES} bytes")
    _check(0 < batch.first_seq < 1 << 62, "first_seq", "expected 1 or more, in 62 bits")
    if sum(map(len, batch.payloads)) > BATCH_BYTES_MAX:
        raise errors.TooLarge(f"a batch of more than {BATCH_BYTES_MAX} bytes", where="payloads")
    return batch


def _check(good: bool, where: str, message: str) -> None:
    if not good:
        raise errors.RequestInvalid(f"{where}: {message}", where=where)
