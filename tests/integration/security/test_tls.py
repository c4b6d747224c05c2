"""TLS as a till speaks it: who is believed, until when, and what is told of who is not."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncref.certificates import make_authority
from syncref.errors import ConfigInvalid
from syncref.till.connection import Verifier
from syncref.till.deadline import HttpLine, Unreachable, Untrusted
from syncref.till.trusted_time import TrustedTime, Validity
from syncref.tls import ServerTls, Trust
from tests.integration.security.https import HOST, certificate, serving

FAR = datetime(2050, 3, 1, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """Return the folder of an authority."""
    make_authority(tmp_path / "ca")
    return tmp_path / "ca"


def line_of(authority: Path, *, floor_s: float | None = None) -> tuple[HttpLine, TrustedTime]:
    """Return a till's line that believes an authority, and its trusted time."""
    trust = Trust(authority / "ca.pem", dates_by_caller=True)
    known = TrustedTime(trust.valid_from_s() if floor_s is None else floor_s)
    return HttpLine(Verifier(trust=trust, time=known), patience_s=10), known


def test_a_server_that_the_authority_vouches_for_is_answered(authority: Path, tmp_path: Path) -> None:
    """The chain is verified, and the host by its name."""
    with serving(ServerTls(*certificate(authority, tmp_path / "good"))) as url:
        line, _ = line_of(authority)
        assert b"seen" in line.ask("GET", url + "/", timeout_s=5)
        line.cut()


@pytest.mark.parametrize("kind", ["another authority", "another host", "expired"])
def test_a_server_that_cannot_show_who_it_is_is_told_nothing(kind: str, authority: Path, tmp_path: Path) -> None:
    """Not one byte of a request, and so no token, goes to it; the error says why."""
    if kind == "another authority":
        make_authority(tmp_path / "other")
        shown = certificate(tmp_path / "other", tmp_path / "bad")
    elif kind == "another host":
        shown = certificate(authority, tmp_path / "bad", "head-office.example")
    else:
        shown = certificate(authority, tmp_path / "bad", days=1, now=datetime.now(UTC) - timedelta(days=3))
    with serving(ServerTls(*shown)) as url:
        line, _ = line_of(authority, floor_s=datetime.now(UTC).timestamp())
        with pytest.raises(Untrusted) as refused:
            line.ask("GET", url + "/", timeout_s=5, headers={"Authorization": "Bearer secret"})
    said = {"another authority": "issuer", "another host": "IP address mismatch", "expired": "ended at"}
    assert said[kind] in refused.value.message


def test_a_certificate_is_judged_by_trusted_time_and_not_by_the_system_clock(tmp_path: Path) -> None:
    """It is 2050, this machine's clock says otherwise: what is valid in 2050 is good, and what ended is not."""
    authority = tmp_path / "ca"
    make_authority(authority, now=FAR - timedelta(days=100))
    good = ServerTls(*certificate(authority, tmp_path / "good", now=FAR - timedelta(days=2)))
    ended = ServerTls(*certificate(authority, tmp_path / "old", days=9, now=FAR - timedelta(days=20)))
    line, known = line_of(authority)
    with serving(good, now=FAR) as url:
        line.ask("GET", url + "/", timeout_s=5)
        line.cut()
    assert abs(known.floor_s() - FAR.timestamp()) < 60
    with serving(ended, now=FAR) as url, pytest.raises(Untrusted, match="ended at 2050-02"):
        line.ask("GET", url + "/", timeout_s=5)
    by_system = ssl.create_default_context(cafile=authority / "ca.pem")
    with serving(good) as url, pytest.raises(ssl.SSLCertVerificationError, match="not yet valid"):
        by_system.wrap_socket(socket.create_connection((HOST, int(url.rpartition(":")[2]))), server_hostname=HOST)


def test_a_server_that_is_wrong_by_decades_moves_no_time(authority: Path, tmp_path: Path) -> None:
    """Its word counts only as far as its certificate was valid then, or it could lock the till out for ever."""
    shown = ServerTls(*certificate(authority, tmp_path / "good"))
    line, known = line_of(authority)
    before = known.floor_s()
    for told in (FAR, datetime(1971, 1, 1, tzinfo=UTC)):
        with serving(shown, now=told) as url:
            line.ask("GET", url + "/", timeout_s=5)
            line.cut()
    assert known.floor_s() == before


def test_trusted_time_outlives_a_restart_and_is_written_seldom() -> None:
    """The stored floor is what the next start begins with; an hour's progress is written once."""
    stored: list[float] = []
    known, span = TrustedTime(1000.0, store=stored.append), Validity(begins_s=0, ends_s=1e9)
    for told in (1000.0, 4601.0, 4700.0):
        known.learn(told, span)
    assert stored == [4601.0]
    again = TrustedTime(stored[-1])
    assert again.objection(Validity(begins_s=0, ends_s=4000)) is not None
    assert again.objection(Validity(begins_s=9999, ends_s=20_000)) is None, "it may have been off for years"


def test_a_changed_certificate_is_shown_without_a_restart(authority: Path, tmp_path: Path) -> None:
    """New connections meet the new one, also of a new authority; files that don't fit yet change nothing."""
    make_authority(tmp_path / "new")
    files = certificate(authority, tmp_path / "shown")
    tls = ServerTls(*files)
    with serving(tls) as url:
        line, _ = line_of(authority)
        line.ask("GET", url + "/", timeout_s=5)
        assert not tls.look()
        key = files[1].read_bytes()
        certificate(tmp_path / "new", tmp_path / "shown")
        fresh_key = files[1].read_bytes()
        files[1].write_bytes(key)
        assert not tls.look(), "half of a rotation"
        line.ask("GET", url + "/", timeout_s=5)
        line.cut()
        line.ask("GET", url + "/", timeout_s=5)
        files[1].write_bytes(fresh_key)
        assert tls.look()
        line.ask("GET", url + "/", timeout_s=5)  # the kept connection goes on
        line.cut()
        with pytest.raises(Untrusted):
            line.ask("GET", url + "/", timeout_s=5)
        both = (authority / "ca.pem").read_bytes() + (tmp_path / "new" / "ca.pem").read_bytes()
        (authority / "ca.pem").write_bytes(both)
        line.ask("GET", url + "/", timeout_s=5)
        line.cut()


def test_nothing_older_than_tls_1_2_is_spoken(authority: Path, tmp_path: Path) -> None:
    """On either side."""
    with serving(ServerTls(*certificate(authority, tmp_path / "good"))) as url:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(authority / "ca.pem")
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning):
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with (
            socket.create_connection((HOST, int(url.rpartition(":")[2]))) as plain,
            pytest.raises((ssl.SSLError, ConnectionResetError)),
        ):
            old.wrap_socket(plain, server_hostname=HOST)
    assert Trust(authority / "ca.pem").context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_server_that_stalls_in_the_handshake_costs_no_more_than_the_deadline(authority: Path) -> None:
    """The deadline is over everything."""
    with socket.create_server((HOST, 0)) as silent:
        line, _ = line_of(authority)
        with pytest.raises(Unreachable):
            line.ask("GET", f"https://{HOST}:{silent.getsockname()[1]}/", timeout_s=0.2)


def test_files_that_cannot_be_used_are_named(authority: Path, tmp_path: Path) -> None:
    """Absent, no PEM, and a key that is another certificate's."""
    good = certificate(authority, tmp_path / "good")
    other = certificate(authority, tmp_path / "other")
    empty = tmp_path / "empty.pem"
    empty.write_text("half a fi")
    for files, told in (
        ((tmp_path / "none", good[1]), "none can't be read"),
        ((empty, good[1]), "empty.pem"),
        ((good[0], other[1]), "the key is another certificate's"),
    ):
        with pytest.raises(ConfigInvalid, match=told):
            ServerTls(*files)
    with pytest.raises(ConfigInvalid, match=r"ca_file .*empty\.pem"):
        Trust(empty)
    with pytest.raises(ConfigInvalid, match="there already"):
        make_authority(authority)
    assert good[1].stat().st_mode & 0o777 == 0o600
