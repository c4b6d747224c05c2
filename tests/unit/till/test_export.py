"""An export is whole and unchanged, or refused with the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncref.domain.identity import chain_hash
from syncref.errors import ConfigInvalid
from syncref.wire.export import Export, ExportedJournal, read_export, write_export


def export_of(*payloads: bytes) -> Export:
    """Return an export of one journal."""
    value = bytes(32)
    for payload in payloads:
        value = chain_hash(value, payload)
    journal = ExportedJournal(
        incarnation=bytes(16), first_seq=5, prev_hash=bytes(32), payloads=payloads, last_hash=value
    )
    return Export(cluster="lab", till="T01", journals=(journal,))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Journals, sequences, bytes and hashes."""
    made = export_of(b"one", b"two", b"three")
    assert write_export(tmp_path / "x", made) == 3
    assert read_export(tmp_path / "x") == made
    assert made.journals[0].last_seq == 7


def test_an_export_never_goes_over_a_file_that_is_there(tmp_path: Path) -> None:
    """It may be the only copy of something; and nothing half-written stays beside it."""
    (tmp_path / "x").write_text("precious")
    with pytest.raises(ConfigInvalid, match="is there already; nothing was overwritten"):
        write_export(tmp_path / "x", export_of(b"one"))
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "precious"


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """After whatever byte the writing stopped."""
    write_export(tmp_path / "x", export_of(b"one", b"two"))
    whole = (tmp_path / "x").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(ConfigInvalid, match=r"cut: line \d+: .*; nothing was imported"):
            read_export(tmp_path / "cut")


def test_a_file_with_any_changed_byte_is_refused(tmp_path: Path) -> None:
    """Whichever it is."""
    write_export(tmp_path / "x", export_of(b"one", b"two"))
    whole = (tmp_path / "x").read_bytes()
    for place in range(len(whole)):
        (tmp_path / "changed").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ConfigInvalid, match="changed: line"):
            read_export(tmp_path / "changed")


@pytest.mark.parametrize("content", [b"", b"\n", b"not an export\n", b'{"end":0,"sha256":""}\n', b"\x00" * 100])
def test_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """With a sentence."""
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ConfigInvalid, match="nothing was imported"):
        read_export(tmp_path / "x")


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    """As every file is."""
    with pytest.raises(ConfigInvalid, match="nowhere can't be read"):
        read_export(tmp_path / "nowhere")
