"""Metrics for a monitor: what every HTTP process counts, who may read it, and how it is written.

Keeps: nothing is registered globally, so that two applications in one process do not mix. Workers that were
forked within `shared()` count into the same files, so that whichever answers tells the sum of all. Names follow
Prometheus: base units (seconds, bytes), `_total` for counters, an instant as `..._timestamp_seconds`.
"""

from __future__ import annotations

import fcntl
import hmac
import ipaddress
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from syncref.errors import ConfigInvalid, Forbidden, Unauthorized

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "syncref-metrics-"
TRIES_MAX = 10
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Meter:
    """What one application counts of its requests. `token`: what a reader must show; none: loopback only."""

    def __init__(self, *, token_file: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self._token = _read(token_file)
        self._requests = Histogram(
            "syncref_http_request_duration_seconds",
            "Time until a request was answered; that of /v1/feed includes waiting for news.",
            ("method", "route", "code"),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._refused = Counter(
            "syncref_http_refused",
            "Requests answered with an error, by its code in the error catalogue.",
            ("code",),
            registry=self.registry,
        )

    def refused(self, code: str) -> None:
        """Count an error that was answered."""
        self._refused.labels(code).inc()

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Time every request that has a route."""

        async def timed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            begun = time.monotonic()
            status = 500

            async def sent(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, sent)
            finally:
                route = scope.get("path_template") or "none"
                self._requests.labels(scope["method"], route, str(status)).observe(time.monotonic() - begun)

        return timed

    def admit(self, request: Request[Any, Any, Any]) -> None:
        """Raise Unauthorized or Forbidden unless this reader may have the metrics."""
        if self._token is not None:
            shown = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(shown.encode(), self._token.encode()):
                raise Unauthorized("the token of metrics_token_file is needed")
        elif not _loopback(request.client.host if request.client else ""):
            raise Forbidden("metrics are told on the loopback address only; elsewhere, set metrics_token_file")

    def answer(self, request: Request[Any, Any, Any], families: Iterable[Metric]) -> Response[bytes]:
        """Return the metrics in the format that the reader accepts: OpenMetrics, or the older text format."""
        wanted = _OPENMETRICS if "application/openmetrics-text" in request.headers.get("accept", "") else ""
        encode, content_type = choose_encoder(wanted)
        counted = self.registry
        if FOLDER in os.environ:
            counted = CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call] # not annotated there
        body = encode(_Together([*families, *counted.collect()]))
        return Response(body, headers={"Content-Type": content_type})


class _Together:
    """Families from several sources, as the encoders read them."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def gauge(name: str, about: str, value: float | None) -> GaugeMetricFamily:
    """Return a gauge of one sample; None: the family has none, for the figure is not known."""
    family = GaugeMetricFamily(f"syncref_{name}", about)
    if value is not None:
        family.add_metric([], value)
    return family


def gauges(name: str, about: str, label: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    """Return a gauge of a sample for each value of a label."""
    family = GaugeMetricFamily(f"syncref_{name}", about, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family


def counters(name: str, about: str, label: str, values: Iterable[tuple[str, float]]) -> CounterMetricFamily:
    """Return a counter of a sample for each value of a label; `_total` is added to its name."""
    family = CounterMetricFamily(f"syncref_{name}", about, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family


def seconds(ms: int | None) -> float | None:
    """Return milliseconds as seconds."""
    return None if ms is None else ms / 1000


@contextmanager
def shared() -> Iterator[None]:
    """Let processes forked within count together; to be entered before any Meter is made."""
    _sweep()
    folder, lock = _made()
    os.environ[FOLDER] = str(folder)
    kind = values.ValueClass
    # chosen when it was imported, before there was a folder
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call] # not annotated there
    try:
        yield
    finally:
        values.ValueClass = kind
        os.environ.pop(FOLDER, None)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _made() -> tuple[Path, int]:
    """Return a new folder, and its lock, which the last of the processes lets go, however it ends."""
    for _ in range(TRIES_MAX):  # another process may sweep it before it is locked
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = _locked(folder)
        if lock is not None and folder.exists():
            return folder, lock
    raise ConfigInvalid(f"{tempfile.gettempdir()}: no folder could be made and locked there; set TMPDIR")


def _sweep() -> None:
    """Remove what processes that were killed left behind."""
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock = _locked(old)
        if lock is not None:
            shutil.rmtree(old, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """Return an open lock of a folder, None when it can't be had."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _read(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"metrics_token_file {file} can't be read: {error}") from error
    if not token:
        raise ConfigInvalid(f"metrics_token_file {file} is empty")
    return token


def _loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
