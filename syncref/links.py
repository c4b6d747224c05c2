"""Which links may be plain: to this machine itself, or where a configuration says so in so many words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

PLAIN = "plain_http = true allows it"


def url_problem(url: str) -> str | None:
    """Return what is wrong with a base URL, None when it can be used."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = None
    if not good or parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        return f"{url!r}: expected https://host:port, or http://host:port to this machine itself"
    return None


def plain_problem(urls: Iterable[str], *, plain_http: bool) -> str | None:
    """Return what is wrong when one of these URLs goes unencrypted to another machine."""
    for url in urls:
        if url.startswith("http://") and not plain_http and not is_loopback(urlsplit(url).hostname or ""):
            return f"{url!r} would be sent unencrypted: expected https://, or {PLAIN}"
    return None


def listen_problem(host: str, certificate: Path | None, key: Path | None, *, plain_http: bool) -> str | None:
    """Return what is wrong with how a process is reached, None when it may listen so."""
    if (certificate is None) != (key is None):
        return "certificate_file and key_file go together"
    if certificate is None and not plain_http and not is_loopback(host):
        return f"listen on {host} needs certificate_file and key_file; {PLAIN} unencrypted"
    return None


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself, by its name alone: nothing is looked up."""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())
