"""Configuration: what is taken, from where, and how a bad value is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncref.config import Slot, load_server, load_till
from syncref.errors import ConfigInvalid

TILL = """
[till]
name = "T01"
database = "sqlite:////var/till.db"
listen = "127.0.0.1:8101"
servers = ["http://127.0.0.1:9101"]
credential_file = "/var/till.secret"
"""


def written(folder: Path, text: str) -> Path:
    """Return a file with this text."""
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_a_till_is_configured_by_its_file_and_defaults(tmp_path: Path) -> None:
    """Sections that are left out have their defaults."""
    found = load_till(
        written(tmp_path, TILL + '[sync]\nschedule = [{from="11:30", to="12:40"}, {at="21:30"}]\n'), {}
    )
    assert (found.till.name, found.till.address.port, found.sync.continuous) == ("T01", 8101, True)
    assert found.sync.schedule == (Slot(from_="11:30", to="12:40", every_s=60), Slot(at="21:30"))
    assert found.clock.offset_file is None


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    """Each key by its own variable; lists by commas or as JSON."""
    environ = {
        "SYNCREF_TILL_LISTEN": "[::1]:9",
        "SYNCREF_TILL_SERVERS": "https://a:1, https://b:2",
        "SYNCREF_SYNC_CONTINUOUS": "false",
        "SYNCREF_SYNC_BATCH_ENTRIES": "7",
        "SYNCREF_SYNC_SCHEDULE": '[{"at": "06:00"}]',
    }
    found = load_till(written(tmp_path, TILL), environ)
    assert (found.till.address.host, str(found.till.address)) == ("::1", "[::1]:9")
    assert found.till.servers == ("https://a:1", "https://b:2")
    assert (found.sync.continuous, found.sync.batch_entries) == (False, 7)
    assert found.sync.schedule == (Slot(at="06:00"),)


@pytest.mark.parametrize(
    ("text", "environ", "told"),
    [
        (TILL.replace("T01", "t01"), {}, "[till] name = 't01': expected 1 to 16 of A-Z, 0-9 and -"),
        (TILL.replace("8101", "81010"), {}, "listen = '127.0.0.1:81010': expected host:port"),
        (TILL.replace('"sqlite:////var/till.db"', "7"), {}, "[till] database = 7: Expected `str"),
        (TILL.replace("http:", "ftp:"), {}, "expected https://host:port"),
        (TILL.replace('["http://127.0.0.1:9101"]', "[]"), {}, "expected one or more URLs"),
        (TILL.replace("http://127.0.0.1", "http://head-office"), {}, "sent unencrypted: expected https://"),
        (TILL.replace('listen = "127.0.0.1', 'listen = "0.0.0.0'), {}, "needs certificate_file and key_file"),
        (TILL + 'key_file = "/var/tls.key"\n', {}, "certificate_file and key_file go together"),
        (TILL.replace("/var/till.secret", "till.secret"), {}, "expected an absolute path"),
        (TILL + "[sync]\nbatch_entries = 0\n", {}, "[sync] batch_entries = 0: must be 1 to 1000"),
        (TILL + "[sync]\nbatch_entries = '9'\n", {}, "Expected `int`, got `str`"),
        (TILL + '[sync]\nschedule = [{from="11:30"}]\n', {}, "expected either at, or both from and to"),
        (TILL + '[sync]\nschedule = [{at="25:00"}]\n', {}, "expected times as HH:MM"),
        (TILL + '[sync]\nschedule = [{on="11:30"}]\n', {}, "unknown ['on']; allowed: at, from, to, every_s"),
        (TILL + "[synch]\n", {}, "unknown section [synch]; allowed: till, sync, clock"),
        (TILL, {"SYNCREF_SYNC_BACKOFF_MAX_MS": "soon"}, "environment SYNCREF_SYNC_BACKOFF_MAX_MS = 'soon'"),
        ("[till]\n", {}, "[till] name is missing"),
    ],
)
def test_a_bad_value_is_told_with_place_key_and_value(
    tmp_path: Path, text: str, environ: dict[str, str], told: str
) -> None:
    """One line that can be acted on."""
    with pytest.raises(ConfigInvalid) as refused:
        load_till(written(tmp_path, text), environ)
    assert told in refused.value.message
    assert "\n" not in refused.value.message


def test_a_database_password_is_not_shown(tmp_path: Path) -> None:
    """Not even when the value is bad."""
    text = '[server]\nlisten = "127.0.0.1:0"\ndatabase = "oracle://me:hunter2@host/db"\n'
    with pytest.raises(ConfigInvalid) as refused:
        load_server(written(tmp_path, text), {})
    assert "hunter2" not in refused.value.message
