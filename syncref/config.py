"""Configuration: a TOML file per process, each key overridden by SYNCREF_<SECTION>_<KEY>.

Whatever can't be used is refused with the file (or variable), the key and the value; an unknown key is
an error, never ignored.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from syncref.errors import ConfigInvalid
from syncref.links import listen_problem, plain_problem, url_problem

NAME_PATTERN = re.compile(r"[A-Z0-9-]{1,16}")
_CLOCK_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_SECTION = TypeVar("_SECTION")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a process listens or is found: host and TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return host:port as it is written in a configuration."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """[server]. Without `database`, an embedded PostgreSQL below `data_dir` is started and used.

    `peers` are the base URLs of the shop's other sync servers, which share the secret in `peer_secret_file`; with
    them every server needs a `rank` of its own, from 0 to their number, by which term numbers are shared out.
    `metrics_token_file` holds what a monitor must show to read /metrics; without it only this machine may.
    `certificate_file` and `key_file` (PEM) make it speak TLS; peers are verified by `ca_file`. `plain_http`
    allows what goes unencrypted beyond this machine.
    """

    listen: str
    name: str = "server"
    peers: tuple[str, ...] = ()
    rank: int = 0
    peer_secret_file: Path | None = None
    database: str | None = None
    data_dir: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    plain_http: bool = False
    workers: int = 2
    stock_fold_ms: int = 2000
    feed_lag_alarm_ms: int = 10_000
    change_retention_days: int = 90
    token_ttl_s: int = 900
    metrics_token_file: Path | None = None

    @property
    def address(self) -> Address:
        """The parsed `listen`."""
        return parse_address(self.listen)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackofficeConfig:
    """[backoffice]. Without `database`, the embedded PostgreSQL that a server runs below `data_dir`."""

    listen: str
    database: str | None = None
    data_dir: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    plain_http: bool = False
    token_ttl_s: int = 900
    metrics_token_file: Path | None = None

    @property
    def address(self) -> Address:
        """The parsed `listen`."""
        return parse_address(self.listen)


@dataclass(frozen=True, slots=True, kw_only=True)
class TillConfig:
    """[till]. `servers` are base URLs in the order in which they are tried, verified by `ca_file` (PEM).

    With `certificate_file` and `key_file` the counter speaks TLS. `plain_http` allows what goes unencrypted
    beyond this machine.
    """

    name: str
    database: str
    listen: str
    servers: tuple[str, ...]
    credential_file: Path
    metrics_token_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    plain_http: bool = False

    @property
    def address(self) -> Address:
        """The parsed `listen`."""
        return parse_address(self.listen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A time of the sync schedule, local HH:MM: once `at`, or from..to every `every_s` seconds."""

    at: str | None = None
    from_: str | None = None
    to: str | None = None
    every_s: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncConfig:
    """[sync]: when a till syncs, and the bounds of its waiting, in milliseconds where not said.

    `retention_s`: how long a closed, tallied day that every standby has stays on the till.
    """

    continuous: bool = True
    reply_budget_ms: int = 100
    schedule: tuple[Slot, ...] = ()
    batch_entries: int = 500
    backoff_max_ms: int = 5000
    request_timeout_ms: int = 5000
    retention_s: int = 60 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockConfig:
    """[clock]: `offset_file` holds milliseconds that are added to the till's wall clock (test labs)."""

    offset_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TillSettings:
    """All that a till process is configured by."""

    till: TillConfig
    sync: SyncConfig
    clock: ClockConfig


def parse_address(text: str) -> Address:
    """Return the address in host:port. Raises ValueError when it is none."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError("expected host:port with a port from 0 to 65535")
    return Address(host=host.strip("[]"), port=int(port))


def load_server(path: Path, environ: Mapping[str, str] = os.environ) -> ServerConfig:
    """Return the server's configuration. Raises ConfigInvalid."""
    document = _read(path, sections=("server",))
    config = _section(ServerConfig, path, document, "server", environ)
    if config.database is None and config.data_dir is None:
        raise ConfigInvalid(f"{path}: [server] needs database, or data_dir for an embedded PostgreSQL")
    if config.peers and config.peer_secret_file is None:
        raise ConfigInvalid(f"{path}: [server] peers needs peer_secret_file, the secret that servers share")
    if not 0 <= config.rank <= len(config.peers):
        raise ConfigInvalid(
            f"{path}: [server] rank = {config.rank}: expected 0 to {len(config.peers)}, another on each server"
        )
    _check_links(path, "server", config, config.peers)
    return config


def load_backoffice(path: Path, environ: Mapping[str, str] = os.environ) -> BackofficeConfig:
    """Return the back office's configuration. Raises ConfigInvalid."""
    document = _read(path, sections=("backoffice",))
    config = _section(BackofficeConfig, path, document, "backoffice", environ)
    if config.database is None and config.data_dir is None:
        raise ConfigInvalid(f"{path}: [backoffice] needs database, or data_dir of a running server")
    _check_links(path, "backoffice", config, ())
    return config


def load_till(path: Path, environ: Mapping[str, str] = os.environ) -> TillSettings:
    """Return a till's configuration. Raises ConfigInvalid."""
    document = _read(path, sections=("till", "sync", "clock"))
    settings = TillSettings(
        till=_section(TillConfig, path, document, "till", environ),
        sync=_section(SyncConfig, path, document, "sync", environ),
        clock=_section(ClockConfig, path, document, "clock", environ),
    )
    _check_links(path, "till", settings.till, settings.till.servers)
    return settings


def _check_links(
    path: Path, section: str, config: ServerConfig | BackofficeConfig | TillConfig, urls: tuple[str, ...]
) -> None:
    problem = plain_problem(urls, plain_http=config.plain_http) or listen_problem(
        config.address.host, config.certificate_file, config.key_file, plain_http=config.plain_http
    )
    if problem:
        raise ConfigInvalid(f"{path}: [{section}] {problem}")


def _read(path: Path, *, sections: tuple[str, ...]) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigInvalid(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path}: can't be read: {error}") from error
    except ValueError as error:  # tomllib's own, or Python's for a number of too many digits
        raise ConfigInvalid(f"{path}: not valid TOML: {error}") from error
    for name, value in document.items():
        if name not in sections:
            raise ConfigInvalid(f"{path}: unknown section [{name}]; allowed: {', '.join(sections)}")
        if not isinstance(value, dict):
            raise ConfigInvalid(f"{path}: {name} must be a section")
    return document


def _section(
    kind: type[_SECTION], path: Path, document: dict[str, Any], name: str, environ: Mapping[str, str]
) -> _SECTION:
    given: dict[str, Any] = document.get(name, {})
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in given:
        if key not in fields:
            raise ConfigInvalid(f"{path}: [{name}] has no key {key!r}; allowed: {', '.join(sorted(fields))}")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, field in fields.items():
        variable = f"SYNCREF_{name.upper()}_{key.upper()}"
        if variable in environ:
            where, raw, strict = f"environment {variable}", _from_text(environ[variable], hints[key]), False
        elif key in given:
            where, raw, strict = f"{path}: [{name}] {key}", given[key], True
        elif field.default is dataclasses.MISSING:
            raise ConfigInvalid(f"{path}: [{name}] {key} is missing")
        else:
            continue
        values[key] = _value(hints[key], raw, where, strict=strict)
        _check(where, name, key, values[key])
    return kind(**values)


def _from_text(text: str, hint: Any) -> Any:
    """Return an environment variable's text as what the key expects; lists are JSON or comma-separated."""
    if hint == tuple[str, ...] and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if hint in (tuple[str, ...], tuple[Slot, ...]):
        try:
            return msgspec.json.decode(text.encode())
        except msgspec.DecodeError:
            return text
    return text


def _value(hint: Any, raw: Any, where: str, *, strict: bool) -> Any:
    try:
        if hint == tuple[Slot, ...]:
            return tuple(_slot(item) for item in msgspec.convert(raw, list[dict[str, Any]]))
        if hint in (Path, Path | None):
            return _absolute(msgspec.convert(raw, str))
        return msgspec.convert(raw, hint, strict=strict)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigInvalid(f"{where} = {raw!r}: {error}") from error


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError("expected an absolute path")
    return path


def _slot(item: dict[str, Any]) -> Slot:
    allowed = {"at", "from", "to", "every_s"}
    if not set(item) <= allowed:
        raise ValueError(f"unknown {sorted(set(item) - allowed)}; allowed: at, from, to, every_s")
    slot = msgspec.convert({("from_" if k == "from" else k): v for k, v in item.items()}, Slot)
    times = [text for text in (slot.at, slot.from_, slot.to) if text is not None]
    if not all(_CLOCK_TIME.fullmatch(text) for text in times):
        raise ValueError("expected times as HH:MM")
    given = tuple(part is not None for part in (slot.at, slot.from_, slot.to))
    if given not in {(True, False, False), (False, True, True)}:
        raise ValueError("expected either at, or both from and to")
    if slot.every_s < 1:
        raise ValueError("every_s must be 1 or more")
    return slot


def _positive(value: int) -> str | None:
    return None if value >= 1 else "must be 1 or more"


def _listen(value: str) -> str | None:
    try:
        parse_address(value)
    except ValueError as error:
        return str(error)
    return None


def _database(value: str | None) -> str | None:
    if value is None or value.startswith(("sqlite:///", "postgresql+psycopg2://", "postgresql://")):
        return None
    return "expected postgresql://user@host:port/database (or sqlite:////file for a till)"


def _servers(value: tuple[str, ...]) -> str | None:
    if not value:
        return "expected one or more URLs: https://host:port"
    return next((problem for url in value if (problem := url_problem(url))), None)


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "till.name": lambda value: None if NAME_PATTERN.fullmatch(value) else "expected 1 to 16 of A-Z, 0-9 and -",
    "listen": _listen,
    "database": _database,
    "servers": _servers,
    "peers": lambda value: _servers(value) if value else None,
    "batch_entries": lambda value: None if 1 <= value <= 1000 else "must be 1 to 1000",
    "workers": lambda value: None if 1 <= value <= 64 else "must be 1 to 64",
    **dict.fromkeys(
        (
            "retention_s", "reply_budget_ms", "backoff_max_ms", "request_timeout_ms", "stock_fold_ms",
            "feed_lag_alarm_ms", "change_retention_days", "token_ttl_s",
        ),
        _positive,
    ),
}  # fmt: skip


def _check(where: str, section: str, key: str, value: Any) -> None:
    check = _CHECKS.get(f"{section}.{key}") or _CHECKS.get(key)
    problem = check(value) if check else None
    if problem:
        shown = "(not shown)" if key == "database" and "@" in str(value) else repr(value)
        raise ConfigInvalid(f"{where} = {shown}: {problem}")
