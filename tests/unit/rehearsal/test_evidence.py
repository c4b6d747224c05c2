"""Witnesses are read whole, at one instant, and left as they were; files read back as they were written."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import create_engine, insert

from chaos.caps.base import Counters
from chaos.caps.none import NoCaps
from chaos.profiles import caps_of, profile_named
from rehearsal.checkers.history import read_history
from rehearsal.evidence.databases import Database, WitnessUnreadable
from rehearsal.evidence.export import (
    OPENING,
    export_opening,
    export_till,
    merge_csv,
    merge_history,
    settlement_rows,
    write_rows,
)
from rehearsal.evidence.reader import Evidence, EvidenceMissing
from rehearsal.settle.record import NO_RATE, fleet_facts, machines, throughput
from rehearsal.witness import Witness
from syncref.store import till_schema


@pytest.fixture
def till(tmp_path: Path) -> Database:
    """A till's database with one product, written by a connection that is still open."""
    path = tmp_path / "till.db"
    engine = create_engine(f"sqlite:///{path}")
    till_schema.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.execute(
            insert(till_schema.till).values(
                one=1,
                till="T01",
                cluster="x",
                incarnation=b"\x01" * 16,
                head_seq=3,
                head_hash=b"\x02" * 32,
                counter=1,
                mode="selling",
                time_floor_ms=0,
                acked=2,
                safe=0,
                cursor_pos=7,
                urgent_pos=0,
                stock_seq=0,
                cursor_n=1,
            )
        )
        product = till_schema.masters["product"]
        connection.execute(
            insert(product).values(
                sku="A,1", name='say "cheese"', tax_code="STD", vendor_id="V", active=1, version=4
            )
        )
    return Database(f"sqlite:///{path}")


def test_a_till_is_exported_and_read_back(till: Database, tmp_path: Path) -> None:
    """Quotes, commas and binary columns survive; compressed files read like plain ones."""
    export_till(tmp_path / "evidence", "T01", till)
    evidence = Evidence(tmp_path / "evidence")
    assert evidence.tills() == ("T01",)
    assert next(evidence.rows("tills/T01/state.csv"))["incarnation"] == "01" * 16
    row = next(evidence.rows("tills/T01/products.csv"))
    assert (row["sku"], row["name"], row["version"]) == ("A,1", 'say "cheese"', "4")
    assert evidence.path("tills/T01/products.csv") == tmp_path / "evidence/tills/T01/products.csv.zst"
    assert list(evidence.rows("tills/T01/receipts.csv")) == []
    with pytest.raises(EvidenceMissing):
        list(evidence.rows("tills/T01/nothing.csv"))


def test_reading_changes_nothing(till: Database, tmp_path: Path) -> None:
    """The till's file is the same byte for byte after export and witness."""
    before = hashlib.sha256(till.file.read_bytes()).hexdigest()
    export_till(tmp_path / "evidence", "T01", till)
    mark = Witness({"T01": till}, {"server": till}).till("T01")
    assert (mark.head, mark.acked, mark.cursor_pos, mark.day_open) == (3, 2, 7, False)
    assert hashlib.sha256(till.file.read_bytes()).hexdigest() == before


def test_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    """No file, no database, no schema: each says where, and no password is shown."""
    with pytest.raises(WitnessUnreadable, match="there is no such file"):
        export_till(tmp_path, "T01", Database(f"sqlite:///{tmp_path}/nowhere.db"))
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    with pytest.raises(WitnessUnreadable, match=r"broken\.db"):
        export_till(tmp_path, "T01", Database(f"sqlite:///{broken}"))
    sqlite3.connect(tmp_path / "empty.db").close()
    with pytest.raises(WitnessUnreadable, match="no such table"):
        Witness({"T01": Database(f"sqlite:///{tmp_path}/empty.db")}, {"server": Database("")}).till("T01")
    assert "secret" not in Database("postgresql+psycopg2://me:secret@127.0.0.1:1/x").shown


def test_history_parts_are_joined_in_order(tmp_path: Path) -> None:
    """Workers' files one after another, by name."""
    (tmp_path / "history-c1.jsonl").write_text('{"n":0}\n')
    (tmp_path / "history-c0.jsonl").write_text('{"n":1}\n')
    assert merge_history(tmp_path, tmp_path.glob("history-*.jsonl")) == 2
    assert [row["n"] for row in Evidence(tmp_path).history()] == [1, 0]


def test_a_worker_whose_file_is_missing_is_one_without_an_end(tmp_path: Path) -> None:
    """So nothing that its customers asked for is called invented."""
    lines = [{"worker": "c0", "n": n, "type": kind} for n, kind in enumerate(("start", "end"))]
    (tmp_path / "history-c0.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    merge_history(tmp_path, [tmp_path / "history-c0.jsonl"], ["c1"])
    found = read_history((tmp_path / "history.jsonl").read_text().splitlines())
    assert found.missing is None
    assert found.holes == ("worker c1: no end line, its tail may be cut",)


def test_csv_parts_keep_one_header(tmp_path: Path) -> None:
    """Parts without a row, and no part at all, are fine."""
    write_rows(tmp_path, "a", ("x", "y"), [(1, 2)])
    write_rows(tmp_path, "b", ("x", "y"), [])
    merge_csv(tmp_path / "all.csv", [tmp_path / "b.csv", tmp_path / "a.csv"])
    assert (tmp_path / "all.csv").read_text() == "x,y\n1,2\n"
    merge_csv(tmp_path / "none.csv", [])
    assert (tmp_path / "none.csv").read_text() == ""


def test_the_masters_as_imported_hold_no_pin(tmp_path: Path) -> None:
    """Who may sell is evidence; by which PIN is not."""
    for name in OPENING:
        (tmp_path / name).write_text("sku,name\nA,Anna\n")
    (tmp_path / "cashiers.csv").write_text("cashier_id,name,pin\nC001,Anna,123456\n")
    export_opening(tmp_path / "evidence", tmp_path)
    found = list(Evidence(tmp_path / "evidence").rows("opening/cashiers.csv"))
    assert found == [{"cashier_id": "C001", "name": "Anna"}]


def test_throughput_counts_what_was_answered_ok(tmp_path: Path) -> None:
    """Over all tills of a second, without fails and unknowns."""
    rows = [(10, "T01", 3, 1, 0), (10, "T02", 2, 0, 1), (11, "T01", 1, 0, 0)]
    write_rows(tmp_path, "latency", ("second", "till", "n", "fail", "info"), rows)
    assert throughput(tmp_path / "latency.csv") == [(10, 3), (11, 1)]


def test_a_settlement_has_a_row_for_each_tender() -> None:
    """And one with an empty tender for a date without payments."""
    day = {"till": "T01", "business_date": "2026-07-01", "receipts": 1, "gross": 5, "tax": 1, "state": "TALLIED"}
    report = [{**day, "by_tender": [["card", 3], ["cash", 2]]}, {**day, "by_tender": [], "reasons": ["a", "b"]}]
    head = ("T01", "2026-07-01", 1, 5, 1)
    assert list(settlement_rows(report)) == [
        (*head, "card", 3, "TALLIED", ""),
        (*head, "cash", 2, "TALLIED", ""),
        (*head, "", 0, "TALLIED", "a; b"),
    ]


def test_digests_cover_every_file_but_the_one_that_holds_them(tmp_path: Path) -> None:
    """A changed byte changes the digest of its file."""
    write_rows(tmp_path / "server", "x", ("a",), [(1,)])
    (tmp_path / "meta.json").write_text("{}")
    before = Evidence(tmp_path).digests()
    assert set(before) == {"server/x.csv"}
    write_rows(tmp_path / "server", "x", ("a",), [(2,)])
    assert Evidence(tmp_path).digests() != before


@pytest.mark.parametrize(
    ("counted", "capped"),
    [
        (Counters(enforced=True, cpu_quota_cores=0.5, memory_limit_bytes=1), True),
        (Counters(enforced=True, memory_limit_bytes=1), False),
        (Counters(enforced=True, cpu_quota_cores=0.5), False),
        (Counters(enforced=False, cpu_quota_cores=0.5, memory_limit_bytes=1), False),
    ],
)
def test_capped_is_what_both_limits_were_read_back_of(counted: Counters, capped: bool) -> None:
    """A host whose clock rate nobody knows gives a till its memory and no quota: that is no till's hardware."""
    caps = caps_of(profile_named("site-1g-1.80"), ghz=None if counted.cpu_quota_cores is None else 3.6)
    fleet = SimpleNamespace(
        kind="process", engine=SimpleNamespace(name="builtin"), capper=NoCaps(reason=""),
        counters=lambda: {"T01": counted}, lives=lambda: {"T01": 1},
    )  # fmt: skip
    scenario = SimpleNamespace(fleet=SimpleNamespace(profile="site-1g-1.80", till_database="sqlite"))
    facts = fleet_facts(cast(Any, fleet), cast(Any, scenario), caps, ["T01"])
    (machine,) = machines(cast(Any, fleet))
    assert (facts.caps_enforced, machine.capped) == (capped, capped)
    assert (NO_RATE in facts.caps_how) is (caps.cpu_cores is None)
