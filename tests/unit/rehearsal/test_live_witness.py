"""Which server's database is the witness: the primary of the highest term, and no standby."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.evidence.databases import Database, WitnessUnreadable
from rehearsal.witness import Reigning, Witness
from syncref.store.till_open import TillDatabase


def reign(term_n: int, *, recovering: bool = False, fenced_by: int | None = None) -> Reigning:
    """What a database says of itself."""
    return Reigning(
        term_n=term_n, term_id="", timeline_ok=True, recovering=recovering, fenced_by=fenced_by, confirmed=True,
        written=None, received=None, replayed=None,
    )  # fmt: skip


def live(monkeypatch: pytest.MonkeyPatch, **reigns: Reigning | None) -> str:
    """Return which of the servers the witness reads."""
    witness = Witness({}, {name: Database("postgresql://nobody@127.0.0.1:1/none") for name in reigns})
    monkeypatch.setattr(witness, "reigning", reigns.get)
    return witness.live()


def test_the_witness_is_the_primary_of_the_highest_term(monkeypatch: pytest.MonkeyPatch) -> None:
    """A standby has its primary's term and is none; an old primary has a lower one."""
    assert live(monkeypatch, a=reign(1), b=reign(1, recovering=True)) == "a"
    assert live(monkeypatch, a=reign(1, fenced_by=2), b=reign(2)) == "b"
    assert live(monkeypatch, a=None, b=reign(2)) == "b"
    assert live(monkeypatch, a=reign(3), b=reign(2)) == "a"


def test_without_a_primary_nothing_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A standby alone is no witness."""
    with pytest.raises(WitnessUnreadable, match="no primary among a, b answers"):
        live(monkeypatch, a=None, b=reign(1, recovering=True))


def test_one_server_is_its_own_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked."""
    assert live(monkeypatch, only=None) == "only"


@pytest.mark.parametrize(
    ("changed", "role"),
    [
        ({}, "live"),
        ({"recovering": True}, "standby"),
        ({"fenced_by": 2}, "fenced"),
        ({"timeline_ok": False}, "promoting"),
        ({"confirmed": False}, "starting"),
    ],
)
def test_a_role_follows_from_the_database(changed: dict[str, object], role: str) -> None:
    """As the system under test decides it, by rules of our own."""
    values: dict[str, object] = {
        "term_n": 1, "term_id": "", "timeline_ok": True, "recovering": False, "fenced_by": None,
        "confirmed": True, "written": None, "received": None, "replayed": None,
    }  # fmt: skip
    assert Reigning(**(values | changed)).role == role  # type: ignore[arg-type]


def test_a_till_that_is_being_set_up_can_not_be_read_yet(tmp_path: Path) -> None:
    """Its tables are made first, its row follows."""
    url = f"sqlite:///{tmp_path / 'till.db'}"
    database = TillDatabase(url)
    database.create_tables()
    database.close()
    with pytest.raises(WitnessUnreadable, match="there is no till in it"):
        Witness({"T01": Database(url)}, {}).till("T01")
