"""Files of a command that can't be used: a known error that names the file, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from syncref.certificates import issue, make_authority
from syncref.cli import SYNCREF
from syncref.config import load_server
from syncref.errors import ConfigInvalid


def test_an_authority_below_a_file_is_refused(tmp_path: Path) -> None:
    """There can be no folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigInvalid, match="file/x can't be made: "):
        make_authority(tmp_path / "file" / "x")


def test_a_certificate_below_a_file_is_refused(tmp_path: Path) -> None:
    """Neither the key nor the certificate can be written there."""
    make_authority(tmp_path)
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "x.pem"
    with pytest.raises(ConfigInvalid, match=r"file/x\.pem can't be written: "):
        issue(tmp_path, ["till"], certificate_file=below, key_file=below)


def test_a_secret_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Before anybody is asked for a status."""
    file = tmp_path / "secret"
    file.write_bytes(b"\xff\xfe")
    done = CliRunner().invoke(SYNCREF, ["status", "--url", "http://127.0.0.1:1", "--secret-file", str(file)])
    assert isinstance(done.exception, ConfigInvalid)
    assert f"--secret-file {file} can't be read" in done.exception.message


def test_a_number_of_too_many_digits_is_refused(tmp_path: Path) -> None:
    """Python reads none of 5000 digits."""
    file = tmp_path / "server.toml"
    file.write_text(f"[server]\nworkers = {'9' * 5000}\n")
    with pytest.raises(ConfigInvalid, match="not valid TOML"):
        load_server(file, {})
