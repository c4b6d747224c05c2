"""The kinds of toxics of the built-in proxy, with their attributes and defaults as Toxiproxy has them.

Keeps: what is done to bytes is decided here from plain values and a seeded source of randomness; sockets and
clocks are elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

STREAMS = ("upstream", "downstream")
CHUNK = 16 * 1024
KINDS: Mapping[str, Mapping[str, int]] = {
    "latency": {"latency": 0, "jitter": 0},
    "bandwidth": {"rate": 0},
    "slow_close": {"delay": 0},
    "timeout": {"timeout": 0},
    "reset_peer": {"timeout": 0},
    "slicer": {"average_size": 0, "size_variation": 0, "delay": 0},
    "limit_data": {"bytes": 0},
}


class ToxicRefused(ValueError):
    """A toxic that can't be made; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToxicSpec:
    """One toxic. Attributes: ms for latency, jitter, delay and timeout; KB/s for rate; bytes for sizes; µs for the
    slicer's delay."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: Mapping[str, int]

    def as_json(self) -> dict[str, object]:
        """Return the toxic as the API shows it."""
        return {
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": self.toxicity,
            "attributes": dict(self.attributes),
        }


def parse(body: Mapping[str, object], before: ToxicSpec | None = None) -> ToxicSpec:
    """Read a toxic from a request; with `before` only toxicity and attributes change. Raises ToxicRefused."""
    kind = before.type if before else body.get("type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ToxicRefused("invalid toxic type")
    stream = before.stream if before else body.get("stream") or "downstream"
    if stream not in STREAMS:
        raise ToxicRefused("stream was invalid, can be either upstream or downstream")
    toxicity = body.get("toxicity", before.toxicity if before else 1.0)
    if isinstance(toxicity, bool) or not isinstance(toxicity, int | float) or not 0 <= toxicity <= 1:
        raise ToxicRefused("toxicity is not a number between 0 and 1")
    name = before.name if before else body.get("name") or f"{kind}_{stream}"
    given = body.get("attributes") or {}
    if not isinstance(name, str) or not isinstance(given, Mapping):
        raise ToxicRefused("bad request body")
    attributes = dict(before.attributes if before else KINDS[kind])
    for key, value in given.items():
        if key in attributes:
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ToxicRefused(f"bad request body: {key} is not a whole number from 0")
            attributes[key] = value
    return ToxicSpec(name=name, type=kind, stream=str(stream), toxicity=float(toxicity), attributes=attributes)


def delay_s(toxics: Iterable[ToxicSpec], dice: random.Random) -> float:
    """Return how long a chunk is held back by latency toxics, in seconds."""
    held = 0.0
    for toxic in toxics:
        if toxic.type == "latency":
            jitter = toxic.attributes["jitter"]
            extra = dice.uniform(-jitter, jitter) if jitter else 0.0
            held += max(0.0, toxic.attributes["latency"] + extra) / 1000
    return held


def slices(chunk: bytes, toxics: Iterable[ToxicSpec], dice: random.Random) -> Iterator[tuple[bytes, float]]:
    """Cut a chunk as slicer and bandwidth toxics want it; yield each piece and the pause in seconds after it."""
    size, variation, pause, rate = CHUNK, 0, 0.0, 0
    for toxic in toxics:
        if toxic.type == "slicer" and toxic.attributes["average_size"]:
            size = min(size, toxic.attributes["average_size"])
            variation = toxic.attributes["size_variation"]
            pause += toxic.attributes["delay"] / 1e6
        elif toxic.type == "bandwidth":
            rate = toxic.attributes["rate"] * 1000
            size = min(size, max(1, rate // 20))
    at = 0
    while at < len(chunk):
        step = max(1, size + (dice.randint(-variation, variation) if variation else 0))
        piece = chunk[at : at + step]
        at += len(piece)
        yield piece, pause + (len(piece) / rate if rate else 0.0)
