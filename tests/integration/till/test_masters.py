"""Masters on a real database: a run is visible whole or not at all, whatever its length and whatever is cut."""

from __future__ import annotations

import random
import secrets

import pytest

from syncref.core.downlink_messages import ApplyUrgent, Loading, Run, StoreChunk
from syncref.domain.identity import Cursor
from syncref.domain.masters import MASTERS, Row
from syncref.errors import Busy
from syncref.store import till_apply
from syncref.store.till_apply import Outcome, apply, apply_urgent, cursor_of
from syncref.store.till_catalogue import _effective, items
from syncref.store.till_load import read_loading, store_chunk
from syncref.store.till_merge import merge_step
from syncref.store.till_open import TillDatabase
from syncref.store.till_rows import read_digests
from syncref.store.till_schema import masters, stages
from syncref.store.till_stage import clear, read_run, stage
from syncref.store.till_state import read_state
from syncref.wire.sync import FeedRow
from tests.integration.till.head_office import TERM, HeadOffice


def no_rest() -> None:
    """Go on at once."""


def seen(database: TillDatabase, table: str) -> dict[Row, tuple[Row, int]]:
    """Return what a look-up sees of a table: staged over live while a run is being merged."""
    spec = next(spec for spec in MASTERS if spec.name == table)
    keys, width = len(spec.key), len(spec.column_names)
    with database.read() as connection:
        overlay = read_state(connection).overlay
        firsts = {row[0] for row in connection.execute(masters[table].select())}
        firsts |= {row[0] for row in connection.execute(stages[table].select())}
        if not overlay:
            rows = list(connection.execute(masters[table].select()))
        else:
            rows = [row for first in firsts for row in _effective(connection, table, first)]
    return {tuple(row[:keys]): (tuple(row[:width]), row.version) for row in rows}


def check_agrees(database: TillDatabase, office: HeadOffice) -> None:
    """Fail unless every table and digest is the office's."""
    for spec in MASTERS:
        assert seen(database, spec.name) == office.live(spec.name), spec.name
    with database.read() as connection:
        assert {name: value % 2**64 for name, value in read_digests(connection).items()} == dict(office.digests())


def cursor(database: TillDatabase) -> Cursor | None:
    """Return the till's cursor."""
    with database.read() as connection:
        return cursor_of(read_state(connection))


def load_all(database: TillDatabase, office: HeadOffice) -> None:
    """Load every table in one chunk each, then end an empty run."""
    names = tuple(spec.name for spec in MASTERS)
    before: Loading | None = None
    for at, name in enumerate(names):
        left = names[at + 1 :]
        loading = Loading(tables=left, term=TERM, start_pos=office.pos)
        conflict = store_chunk(
            database,
            StoreChunk(
                table=name,
                rows=tuple(office.row(place) for place in office.rows if place[0] == name),
                first=at == 0,
                loading=loading,
                cursor=None if left else Cursor(term=TERM, pos=office.pos),
                before=before,
            ),
        )
        assert conflict is None
        before = loading
    assert run_to_end(database, office, []).mismatched == ()


def run_to_end(
    database: TillDatabase, office: HeadOffice, rows: list[FeedRow], *, run: Run | None = None
) -> Outcome:
    """End a run with these rows as its last page."""
    at = cursor(database)
    assert at is not None
    made = run or Run(id=secrets.token_bytes(16), term=TERM, from_pos=at.pos, round_from=at.pos)
    return apply(database, office.end_of(made, rows, expected=at), now_ms=5, rest=no_rest)


def small_office() -> HeadOffice:
    """Return an office with a few products."""
    office = HeadOffice()
    office.put("tax_rate", "N", 1900)
    for n in range(30):
        office.put("product", f"P{n:02d}", "name", "N", "V", 1)
        office.put("price", f"P{n:02d}", "STD", 0, 100 + n)
    return office


def merge_all(database: TillDatabase) -> None:
    """Merge to the end."""
    while merge_step(database):
        pass


def test_a_till_may_sell_only_after_load_and_digest(database: TillDatabase) -> None:
    """Rows alone do not make a till ready: the run that follows has to agree with the server."""
    office = small_office()
    load_all(database, office)
    with database.read() as connection:
        assert read_state(connection).loaded
    check_agrees(database, office)


def test_a_load_goes_on_where_it_was_cut(database: TillDatabase) -> None:
    """What is stored of a load tells where to go on."""
    office = small_office()
    rows = tuple(office.row(place) for place in office.rows if place[0] == "product")
    loading = Loading(tables=("product", "price"), term=TERM, after='["P09"]', start_pos=7)
    store_chunk(database, StoreChunk(table="product", rows=rows[:10], first=True, loading=loading, cursor=None))
    with database.read() as connection:
        assert read_loading(connection, cluster="lab") == loading
        assert not read_state(connection).loaded


def test_a_load_that_another_sync_outran_writes_nothing(database: TillDatabase) -> None:
    """Neither over the other's progress nor over what is loaded: it is told where the till stands."""
    office = small_office()
    rows = tuple(office.row(place) for place in office.rows if place[0] == "product")
    own = Loading(tables=("product", "price"), term=TERM, after='["P09"]', start_pos=7)
    further = Loading(tables=("product", "price"), term=TERM, after='["P19"]', start_pos=7)
    first = StoreChunk(table="product", rows=rows[:10], first=True, loading=own, cursor=None)
    second = StoreChunk(table="product", rows=rows[10:20], first=False, loading=further, cursor=None, before=own)
    assert store_chunk(database, first) is None
    assert store_chunk(database, second) is None
    for outrun in (second, StoreChunk(table="price", rows=(), first=False, loading=own, cursor=None, before=own)):
        conflict = store_chunk(database, outrun)
        assert conflict is not None
        assert (conflict.cursor, conflict.loading, conflict.loaded) == (None, further, False)
    load_all(database, office)
    conflict = store_chunk(database, first)
    assert conflict is not None
    assert (conflict.cursor, conflict.loading, conflict.loaded) == (cursor(database), None, True)
    check_agrees(database, office)


def test_a_short_run_is_written_at_once(database: TillDatabase) -> None:
    """A few rows need no stage."""
    office = small_office()
    load_all(database, office)
    office.put("price", "P01", "STD", 0, 555)
    office.delete("product", "P02")
    outcome = run_to_end(database, office, office.since(62))
    assert (outcome.mismatched, outcome.merging) == ((), False)
    check_agrees(database, office)


def test_a_long_run_is_visible_at_once_and_merged_later(
    database: TillDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the end nothing of it is seen; at the end all of it; and the merge changes nothing that is seen."""
    monkeypatch.setattr(till_apply, "DIRECT_ROWS_MAX", 3)
    office = small_office()
    load_all(database, office)
    at = cursor(database)
    assert at is not None
    before = {spec.name: seen(database, spec.name) for spec in MASTERS}
    for n in range(25):
        office.put("price", f"P{n:02d}", "STD", 0, 700 + n)
    office.delete("price", "P29", "STD", 0)
    run = Run(id=b"r" * 16, term=TERM, from_pos=at.pos, round_from=at.pos, scan_to=9, after=("price", "x"))
    rows = office.since(at.pos)
    stage(database, run, rows[:20], rest=no_rest)
    assert {spec.name: seen(database, spec.name) for spec in MASTERS} == before
    with database.read() as connection:
        assert read_run(connection, cluster="lab") == run
    outcome = run_to_end(database, office, rows[20:], run=run)
    assert (outcome.merging, outcome.mismatched) == (True, ())
    check_agrees(database, office)
    with database.read() as connection:
        found = items(connection, ["P03", "P29"], at_ms=1, overlay=True)
    assert (found["P03"].unit_price, found["P29"].unit_price) == (703, None)
    with database.step() as connection, pytest.raises(Busy):
        clear(connection)
    merge_all(database)
    with database.read() as connection:
        assert not read_state(connection).overlay
    check_agrees(database, office)


def test_an_older_staged_row_never_wins_over_an_urgent_one(
    database: TillDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An urgent change or deletion arrives while an older state of the same rows is staged."""
    monkeypatch.setattr(till_apply, "DIRECT_ROWS_MAX", 1)
    office = small_office()
    load_all(database, office)
    at = cursor(database)
    assert at is not None
    old = [office.put("price", "P01", "STD", 0, 200), office.put("product", "P02", "x", "N", "V", 1)]
    run = Run(id=b"r" * 16, term=TERM, from_pos=at.pos, round_from=at.pos)
    stage(database, run, old[:1], rest=no_rest)
    urgent = (office.put("price", "P01", "STD", 0, 300), office.delete("product", "P02"))
    apply_urgent(database, ApplyUrgent(term=TERM, rows=urgent, urgent_pos=4))
    stage(database, run, old, rest=no_rest)
    assert seen(database, "price")[("P01", "STD", 0)][0][-1] == 300
    apply_now = office.end_of(run, [], expected=at, urgent_pos=4)
    assert apply(database, apply_now, now_ms=1, rest=no_rest).mismatched == ()
    check_agrees(database, office)
    later = (office.put("price", "P01", "STD", 0, 400), office.delete("price", "P03", "STD", 0))
    apply_urgent(database, ApplyUrgent(term=TERM, rows=later, urgent_pos=5))
    check_agrees(database, office)
    merge_all(database)
    check_agrees(database, office)


def test_two_runs_from_one_cursor_apply_once(database: TillDatabase) -> None:
    """The slower of two overlapping runs changes nothing and is told where the cursor stands."""
    office = small_office()
    load_all(database, office)
    at = cursor(database)
    office.put("price", "P01", "STD", 0, 555)
    first = run_to_end(database, office, office.since(62))
    slow = Run(id=b"s" * 16, term=TERM, from_pos=0, round_from=0)
    second = apply(database, office.end_of(slow, [], expected=at), now_ms=1, rest=no_rest)
    assert (first.conflict, second.conflict, second.cursor) == (False, True, first.cursor)


@pytest.mark.parametrize("table", ["price", "product"])
def test_a_difference_is_noticed_and_a_refetch_mends_it(database: TillDatabase, table: str) -> None:
    """Rows that differ without a change of the server are found by the digest, and replaced whole."""
    office = small_office()
    load_all(database, office)
    office.put(table, "P01", *(("STD", 0, 1) if table == "price" else ("other", "N", "V", 1)))
    office.put(table, "P77", *(("STD", 0, 1) if table == "price" else ("new", "N", "V", 1)))
    del office.rows[next(place for place in office.rows if place[0] == table and place[1][0] == "P05")]
    place = next(place for place in office.rows if place[0] == table and place[1][0] == "P06")
    office.rows[place] = (office.rows[place][0], 0)
    assert run_to_end(database, office, []).mismatched == (table,)
    at = cursor(database)
    assert at is not None
    run = Run(id=b"f" * 16, term=TERM, from_pos=at.pos, round_from=at.pos, replace=(table,))
    rows = [office.row(place) for place in office.rows if place[0] == table]
    stage(database, run, rows, rest=no_rest)
    outcome = run_to_end(database, office, [], run=run)
    assert (outcome.mismatched, outcome.regressed) == ((), 1)
    check_agrees(database, office)
    merge_all(database)
    check_agrees(database, office)


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_edits_runs_urgents_and_merges_ends_as_the_server_is(
    database: TillDatabase, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """After every run a till sees exactly the server's rows, with merges cut anywhere."""
    monkeypatch.setattr(till_apply, "DIRECT_ROWS_MAX", 6)
    monkeypatch.setattr("syncref.store.till_merge.STEP_ROWS", 5)
    monkeypatch.setattr("syncref.store.till_stage.STEP_ROWS", 4)
    monkeypatch.setattr(till_apply, "_PAGE_ROWS", 3)
    rng = random.Random(seed)  # noqa: S311 - a reproducible order, no secret
    office = small_office()
    load_all(database, office)
    urgent_pos = 0
    for _ in range(12):
        at = cursor(database)
        assert at is not None
        edit(office, rng, rng.randrange(12))
        run = Run(id=rng.randbytes(16), term=TERM, from_pos=at.pos, round_from=at.pos)
        early = office.since(at.pos) if rng.random() < 0.5 else []
        while rng.random() < 0.5 and merge_step(database):
            pass
        if early:
            merge_all(database)
            stage(database, run, early, rest=no_rest)
        if rng.random() < 0.6:
            urgent_pos += 1
            rows = tuple({row.row[:3]: row for row in edit(office, rng, 3)}.values())
            rows = tuple(office.row((row.table, row.row[: 3 if row.table == "price" else 1])) for row in rows)
            apply_urgent(database, ApplyUrgent(term=TERM, rows=rows, urgent_pos=urgent_pos))
        merge_all(database)
        end = office.end_of(run, office.since(at.pos), expected=at, urgent_pos=urgent_pos)
        outcome = apply(database, end, now_ms=1, rest=no_rest)
        assert (outcome.conflict, outcome.mismatched) == (False, ())
        check_agrees(database, office)


def edit(office: HeadOffice, rng: random.Random, count: int) -> list[FeedRow]:
    """Make some edits."""
    made: list[FeedRow] = []
    for _ in range(count):
        sku = f"P{rng.randrange(34):02d}"
        match rng.randrange(4):
            case 0:
                made.append(office.put("product", sku, rng.choice("abc"), "N", "V", rng.randrange(2)))
            case 1:
                made.append(office.put("price", sku, "STD", rng.choice([0, 5]), rng.randrange(999)))
            case 2:
                made.append(office.delete("price", sku, "STD", 0))
            case _:
                made.append(office.delete("product", sku))
    return made
