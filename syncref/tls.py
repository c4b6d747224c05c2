"""TLS of every link: what a listening process shows, and whom a calling one believes.

Keeps: a process shows only a certificate that fits its key, and goes on with the old one while the files
don't fit; a caller verifies chain and host name, always. Both take new files without a restart.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
from pathlib import Path

from syncref.errors import ConfigInvalid
from syncref.logs import event

# OpenSSL's X509_V_FLAG_NO_CHECK_TIME: the system's clock says nothing about dates; the caller checks them.
NO_CHECK_TIME = 0x200000
_log = logging.getLogger("syncref.tls")
_Print = tuple[tuple[int, int, int], ...]


class ServerTls:
    """A listening process's certificate (with its chain) and key, both PEM."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both. Raises ConfigInvalid, which names the file."""
        self._certificate = certificate
        self._key = key
        self._print = self._printed()
        self.context = _shown(certificate, key)

    def look(self) -> bool:
        """Show the files' new content from the next connection on, if they changed; return whether it does.

        Files that don't fit each other yet, as in the midst of a rotation, are reported and looked at again.
        """
        found = self._printed()
        if found == self._print:
            return False
        self._print = found
        try:
            _shown(self._certificate, self._key)
            self.context.load_cert_chain(self._certificate, self._key)
        except (ConfigInvalid, OSError) as error:
            event(_log, logging.ERROR, "certificate_not_taken", reason=str(error))
            return False
        event(_log, logging.INFO, "certificate_taken", file=str(self._certificate))
        return True

    def _printed(self) -> _Print:
        return (_stamp(self._certificate), _stamp(self._key))


class Trust:
    """The authorities that a caller believes: those of a PEM file, or the system's when there is none.

    A rotation of authorities puts old and new into the file. With `dates_by_caller` the dates of certificates
    are left to the caller, for the system's clock may be wrong. Safe to use from several threads.
    """

    def __init__(self, ca_file: Path | None, *, dates_by_caller: bool = False) -> None:
        """Read the file. Raises ConfigInvalid."""
        self._file = ca_file
        self._dates_by_caller = dates_by_caller
        self._lock = threading.Lock()
        self._print: _Print = ()
        self._context: ssl.SSLContext | None = None
        self.context()

    def context(self) -> ssl.SSLContext:
        """Return the context for new connections, made anew when the file changed.

        Raises ConfigInvalid only at the first time; a file that can't be used later is reported.
        """
        with self._lock:
            found = () if self._file is None else (_stamp(self._file),)
            if self._context is None or found != self._print:
                self._print = found
                try:
                    self._context = _believing(self._file, dates_by_caller=self._dates_by_caller)
                except ConfigInvalid as error:
                    if self._context is None:
                        raise
                    event(_log, logging.ERROR, "authorities_not_taken", reason=error.message)
            return self._context

    def valid_from_s(self) -> float:
        """Return a time, in epoch seconds, that the true time is not before: the earliest authority's begin."""
        begins = [ssl.cert_time_to_seconds(str(one["notBefore"])) for one in self.context().get_ca_certs()]
        return min(begins, default=0)


def _shown(certificate: Path, key: Path) -> ssl.SSLContext:
    for name, file in (("certificate_file", certificate), ("key_file", key)):
        if not os.access(file, os.R_OK):
            raise ConfigInvalid(f"{name} {file} can't be read")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigInvalid(f"certificate_file {certificate} and key_file {key}: {_said(error)}") from error
    return context


def _believing(ca_file: Path | None, *, dates_by_caller: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if dates_by_caller:
        context.verify_flags |= NO_CHECK_TIME
    if ca_file is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(ca_file)
    except (ssl.SSLError, OSError) as error:
        raise ConfigInvalid(f"ca_file {ca_file}: {_said(error)}") from error
    return context


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _said(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        known = {"KEY_VALUES_MISMATCH": "the key is another certificate's", "NO_START_LINE": "no PEM in it"}
        return known.get(error.reason or "", error.reason or str(error) or "not PEM")
    return error.strerror or str(error)


def server_tls(certificate: Path | None, key: Path | None) -> ServerTls | None:
    """Return what a process shows by its configuration, None when it speaks plain HTTP. Raises ConfigInvalid."""
    return None if certificate is None or key is None else ServerTls(certificate, key)
