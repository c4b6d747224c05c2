"""gate.lock.toml: exact, both ways, and refused when it is no lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.gate.lock import LockInvalid, changes, other_versions, read_lock, versions, write_lock

COUNTS = {"wire": {"ack.bytes": 66, "upload.bytes": 250}, "till": {"sale.commits": 1}}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """The lock holds every figure and what it was counted with."""
    write_lock(tmp_path / "gate.lock.toml", COUNTS)
    lock = read_lock(tmp_path / "gate.lock.toml")
    assert lock.figures == COUNTS
    assert lock.made_with == versions()
    assert other_versions(lock.made_with) == ()


def test_every_difference_shows_in_both_directions() -> None:
    """More, less, gone and new are all changes."""
    counted = {"wire": {"ack.bytes": 67, "new.bytes": 1}, "till": {"sale.commits": 0}}
    assert [change.text for change in changes(COUNTS, counted)] == [
        "wire.ack.bytes: 66 -> 67 (+1.5 %)",
        "wire.upload.bytes: 250 in the lock, no longer counted",
        "till.sale.commits: 1 -> 0 (-100.0 %)",
        "wire.new.bytes: 1, not in the lock",
    ]
    assert changes(COUNTS, COUNTS) == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "holds no figures"),
        ("[wire]\nack = 1.5", "wire.ack: 1.5 is not a whole number"),
        ("[wire]\nack = true", "wire.ack: True is not a whole number"),
        ("wire = 3", "wire: expected a table"),
        ("made_with = 3\n[wire]\nack = 1", "made_with: expected a table"),
        (f"[wire]\nack = {'1' * 5000}", "gate.lock.toml: "),
        ("[wire", "Expected"),
    ],
)
def test_a_bad_lock_is_named(tmp_path: Path, text: str, named: str) -> None:
    """Every error says which file and which key."""
    path = tmp_path / "gate.lock.toml"
    path.write_text(text)
    with pytest.raises(LockInvalid, match=named):
        read_lock(path)


def test_a_lock_that_is_not_there_says_how_to_write_it(tmp_path: Path) -> None:
    """The message names --update."""
    with pytest.raises(LockInvalid, match="tillproof gate --update"):
        read_lock(tmp_path / "gate.lock.toml")


def test_another_version_explains_a_difference() -> None:
    """Versions are not compared for the outcome; they are shown."""
    made_with = {**versions(), "zstandard": "0.1"}
    (text,) = other_versions(made_with)
    assert text.startswith("zstandard ") and text.endswith("0.1 in the lock")
