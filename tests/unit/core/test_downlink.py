"""The downlink core: one committed server state after another."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from syncref.core import downlink
from syncref.core.downlink_messages import (
    Alarm,
    Applied,
    Apply,
    ApplyConflicted,
    ApplyUrgent,
    ChunkArrived,
    ChunkStored,
    DownlinkEffect,
    DownlinkEvent,
    DownlinkOptions,
    DownlinkState,
    DownPhase,
    DropStage,
    Fetch,
    FetchChunk,
    Holder,
    Loading,
    PageArrived,
    Refused,
    SetTimer,
    Slept,
    Stage,
    Staged,
    StoreChunk,
    StoreFailed,
    TermMet,
    TimerFired,
    TransportFailed,
    UrgentApplied,
    Wake,
)
from syncref.core.step import replace
from syncref.domain.identity import Cursor, Term
from syncref.wire.sync import FeedPage, FeedRow, LoadChunk, TermWire

TERM = Term(cluster="lab", n=1, id=b"1" * 16)
NEXT = Term(cluster="lab", n=2, id=b"2" * 16)
OPTIONS = DownlinkOptions(cluster="lab", servers=2, tables=("product", "price"))
LOADED = DownlinkState(cursor=Cursor(term=TERM, pos=100), loaded=True, term=TERM)
ROW = FeedRow(table="product", row=("milk", "Milk", "A", None, 1), version=4)
FRESH = b"r" * 16
T = TypeVar("T")


class Downlink:
    """A downlink that is driven by hand."""

    def __init__(self, state: DownlinkState = LOADED) -> None:
        self.state = state
        self.effects: list[DownlinkEffect] = []

    def on(self, *events: DownlinkEvent) -> Downlink:
        """Step; keep the last step's effects."""
        for event in events:
            step = downlink.step(self.state, event, options=OPTIONS)
            self.state, self.effects = step.state, list(step.effects)
        return self

    def only(self, kind: type[T]) -> T:
        """Return the one effect of a kind."""
        (found,) = self.all(kind)
        return found

    def all(self, kind: type[T]) -> list[T]:
        """Return the effects of a kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def page(self, *, term: Term = TERM, **changes: Any) -> Downlink:
        """Answer the outstanding fetch, with a last page of one row unless told otherwise."""
        fields: dict[str, Any] = {
            "term": TermWire(cluster=term.cluster, n=term.n, id=term.id),
            "from_pos": 100,
            "scan_to": None,
            "after": None,
            "pos": 110,
            "last": True,
            "rows": (ROW,),
            "digests": (("product", 7),),
        }
        page = FeedPage(**(fields | changes))
        return self.on(PageArrived(request=self.state.request, page=page, fresh_id=FRESH))

    def chunk(self, table: str, after: str | None, *, term: Term = TERM, start_pos: int = 50) -> Downlink:
        """Answer the outstanding chunk."""
        chunk = LoadChunk(
            term=TermWire(cluster=term.cluster, n=term.n, id=term.id),
            table=table,
            start_pos=start_pos,
            after=after,
            rows=(ROW,),
        )
        return self.on(ChunkArrived(request=self.state.request, chunk=chunk))


def test_a_run_of_one_page_is_applied_at_once_with_its_cursor() -> None:
    """Compare-and-set on the cursor that it began at."""
    down = Downlink().on(Wake())
    assert down.only(Fetch).pos == 100
    apply = down.page().only(Apply)
    assert (apply.expected, apply.cursor) == (LOADED.cursor, Cursor(term=TERM, pos=110))
    assert (apply.rows, apply.digests) == ((ROW,), (("product", 7),))
    down.on(Applied())
    assert (down.state.phase, down.state.cursor) == (DownPhase.IDLE, Cursor(term=TERM, pos=110))


def test_pages_are_staged_and_only_the_last_one_applies() -> None:
    """Through rounds: within one by key, from one to the next by position, all in one run."""
    down = Downlink().on(Wake()).page(last=False, scan_to=120, after=("product", '["milk"]'), pos=120)
    assert down.only(Stage).run.after == ("product", '["milk"]')
    fetch = down.on(Staged()).only(Fetch)
    assert (fetch.pos, fetch.scan_to, fetch.after) == (100, 120, ("product", '["milk"]'))
    down.page(last=False, scan_to=120, after=None, pos=120)
    assert down.only(Stage).run.id == FRESH
    fetch = down.on(Staged()).only(Fetch)
    assert (fetch.pos, fetch.scan_to, fetch.after) == (120, None, None)
    apply = down.page(from_pos=120, pos=130).only(Apply)
    assert (apply.run.from_pos, apply.expected) == (100, LOADED.cursor)


def test_following_waits_at_the_server_after_each_run() -> None:
    """Until it is put to sleep."""
    down = Downlink().on(Wake(follow=True))
    assert down.only(Fetch).wait_ms == 0
    fetch = down.page().on(Applied()).only(Fetch)
    assert (fetch.pos, fetch.wait_ms) == (110, OPTIONS.wait_ms)
    assert down.on(Slept()).state.phase is DownPhase.IDLE
    assert down.page(from_pos=110).effects == []


def test_a_run_that_does_not_move_the_cursor_is_followed_by_a_pause() -> None:
    """An open transaction holds the server's horizon; asking at once would turn in circles."""
    down = Downlink().on(Wake(follow=True)).page(pos=100).on(Applied())
    assert down.only(SetTimer).delay_ms == OPTIONS.pause_ms
    assert down.on(TimerFired(timer=down.state.timer)).only(Fetch).pos == 100


def test_an_empty_page_is_applied_all_the_same() -> None:
    """Its digests are the only sign of what a promoted server lost."""
    apply = Downlink().on(Wake()).page(rows=(), pos=100).only(Apply)
    assert apply.digests == (("product", 7),)


def test_urgent_rows_go_ahead_of_the_run() -> None:
    """Durable before the page itself is staged."""
    down = Downlink().on(Wake())
    down.page(last=False, scan_to=120, after=None, pos=120, urgent=(ROW,), urgent_pos=115)
    assert down.effects == [ApplyUrgent(term=TERM, rows=(ROW,), urgent_pos=115)]
    conflicted = Downlink(down.state).on(ApplyConflicted(cursor=LOADED.cursor, urgent_pos=0, loaded=True))
    assert conflicted.effects[0] == DropStage(run=FRESH)
    assert down.on(UrgentApplied()).only(Stage)
    assert down.on(Staged()).only(Fetch).urgent_pos == 115


def test_a_change_of_term_discards_what_is_staged() -> None:
    """The rest of the run would be of another history."""
    down = Downlink().on(Wake()).page(last=False, scan_to=120, after=None, pos=120).on(Staged())
    down.page(term=NEXT, from_pos=120)
    assert down.effects[0] == TermMet(term=NEXT)
    assert down.effects[1] == DropStage(run=FRESH)
    assert down.only(Fetch).pos == 100
    apply = down.page(term=NEXT).only(Apply)
    assert apply.cursor == Cursor(term=NEXT, pos=110)


def test_a_new_terms_server_may_begin_further_back_but_not_further_on() -> None:
    """Positions of a lost tail are given out again."""
    assert Downlink().on(Wake()).page(term=NEXT, from_pos=90).only(Apply).run.round_from == 90
    odd = Downlink().on(Wake()).page(from_pos=101)
    assert odd.only(Alarm).code == "feed_answer_odd"


@pytest.mark.parametrize(
    ("term", "code"),
    [
        (Term(cluster="lab", n=0, id=b"0" * 16), "stale_server"),
        (Term(cluster="lab", n=1, id=b"x" * 16), "term_conflict"),
        (Term(cluster="shop", n=7, id=b"7" * 16), "foreign_cluster"),
    ],
)
def test_a_page_of_a_wrong_term_is_not_taken(term: Term, code: str) -> None:
    """Nor is its term remembered."""
    down = Downlink().on(Wake()).page(term=term)
    assert down.only(Alarm).code == code
    assert down.state.term == TERM
    assert down.on(TimerFired(timer=down.state.timer)).only(Fetch).server_index == 1


def test_a_mismatch_fetches_the_table_anew_and_replaces_it() -> None:
    """Chunks are staged, then a run ends in one consistent state; it begins where the chunks were read, for a
    chunk that the server shares may be older than this till's cursor, and would take newer rows back."""
    down = Downlink().on(Wake()).page().on(Applied(mismatched=("price",), fresh_id=FRESH))
    assert down.effects[0] == Alarm(code="digest_mismatch", detail="price")
    assert down.only(FetchChunk).table == "price"
    down.chunk("price", '["a"]')
    assert down.only(Stage).run.replace == ()
    chunk = down.on(Staged()).only(FetchChunk)
    assert (chunk.after, chunk.start_pos) == ('["a"]', 50)
    assert down.chunk("price", None).only(Stage).run.replace == ("price",)
    assert down.on(Staged()).only(Fetch).pos == 50
    apply = down.page(from_pos=50, pos=120).only(Apply)
    assert (apply.run.replace, apply.run.id, apply.run.from_pos) == (("price",), FRESH, 110)
    again = down.on(Applied(mismatched=("price",), fresh_id=FRESH))
    assert again.state.phase is DownPhase.BACKOFF


def test_a_table_that_was_read_after_the_cursor_goes_on_from_the_cursor() -> None:
    """What the other tables lack lies between the two."""
    down = Downlink().on(Wake()).page().on(Applied(mismatched=("price",), fresh_id=FRESH))
    down.chunk("price", None, start_pos=115)
    assert down.on(Staged()).only(Fetch).pos == 110


def test_a_cursor_below_the_tombstone_floor_reloads_everything() -> None:
    """Deletions between may be gone; the till goes on selling with what it has."""
    down = Downlink().on(Wake()).page(tombstone_floor=101)
    assert down.effects[0] == Alarm(code="below_floor", detail="100 is below 101")
    down.chunk("product", None, start_pos=150).on(Staged()).chunk("price", None).on(Staged())
    assert down.state.loaded
    assert down.only(Fetch).pos == 150
    apply = down.page(from_pos=150, pos=160, tombstone_floor=101).only(Apply)
    assert apply.run.replace == ("product", "price")
    assert apply.expected == LOADED.cursor


def test_a_new_till_loads_every_table_and_sells_only_after_the_digests_agree() -> None:
    """Chunks, then the feed from the position before the first, then the verdict."""
    down = Downlink(DownlinkState()).on(Wake())
    assert down.only(FetchChunk).start_pos is None
    stored = down.chunk("product", '["milk"]').only(StoreChunk)
    assert (stored.first, stored.cursor) == (True, None)
    assert down.on(ChunkStored()).only(FetchChunk).after == '["milk"]'
    assert not down.chunk("product", None).only(StoreChunk).first
    assert down.on(ChunkStored()).only(FetchChunk).table == "price"
    stored = down.chunk("price", None).only(StoreChunk)
    assert stored.cursor == Cursor(term=TERM, pos=50)
    assert down.on(ChunkStored()).only(Fetch).pos == 50
    down.page(from_pos=50)
    assert not down.state.loaded
    assert down.on(Applied()).state.loaded


def test_two_first_loads_share_their_progress() -> None:
    """Whichever chunk came first counts for both; when the other one is through, the feed follows."""
    down = Downlink(DownlinkState()).on(Wake())
    stored = down.chunk("product", '["milk"]').only(StoreChunk)
    assert stored.before is None
    down.on(ChunkStored())
    stored = down.chunk("product", None).only(StoreChunk)
    assert stored.before == Loading(tables=("product", "price"), term=TERM, after='["milk"]', start_pos=50)
    further = Loading(tables=("price",), term=TERM, after='["milk"]', start_pos=50)
    asked = down.on(ApplyConflicted(cursor=None, urgent_pos=0, loaded=False, loading=further)).only(FetchChunk)
    assert (asked.table, asked.after, asked.start_pos) == ("price", '["milk"]', 50)
    assert down.chunk("price", None).only(StoreChunk).before == further
    asked_page = down.on(ApplyConflicted(cursor=LOADED.cursor, urgent_pos=3, loaded=True)).only(Fetch)
    assert LOADED.cursor is not None
    assert (asked_page.pos, asked_page.urgent_pos, down.state.loaded) == (LOADED.cursor.pos, 3, True)


def test_a_load_across_two_terms_begins_anew() -> None:
    """Half of it is of a history that is over."""
    down = Downlink(DownlinkState()).on(Wake()).chunk("product", None).on(ChunkStored())
    down.chunk("price", None, term=NEXT)
    assert down.only(FetchChunk).table == "product"
    assert down.only(FetchChunk).start_pos is None


def test_a_conflict_drops_the_run_and_goes_on_from_where_the_other_one_came() -> None:
    """Manual and scheduled syncs may overlap."""
    down = Downlink().on(Wake()).page()
    other = Cursor(term=TERM, pos=125)
    down.on(ApplyConflicted(cursor=other, urgent_pos=3, loaded=True))
    assert down.effects[0] == DropStage(run=FRESH)
    assert (down.only(Fetch).pos, down.only(Fetch).urgent_pos) == (125, 3)


def test_two_runs_that_drop_each_others_pages_let_chance_decide() -> None:
    """The pause grows with each conflict that brought the cursor nowhere, beyond the usual bound.

    Two loads over a slow line each take longer than that bound: neither would ever fit between the other's.
    """
    down = Downlink().on(Wake())
    delays = []
    for _ in range(5):
        down.page(last=False, scan_to=120, after=None, pos=120).on(Staged()).page(from_pos=120)
        down.on(ApplyConflicted(cursor=LOADED.cursor, urgent_pos=0, loaded=True, draw=1.0))
        delays.append(down.only(SetTimer).delay_ms)
        down.on(TimerFired(timer=down.state.timer))
    assert delays == [50, 200, 800, 3200, 12_800]


def test_a_run_whose_pages_are_gone_ends_at_once() -> None:
    """It is another run's turn: what it has staged since is left to it, and no further page is fetched in vain."""
    down = Downlink().on(Wake()).page(tombstone_floor=101).chunk("product", None)
    assert down.only(Stage).over is None
    other = Holder(run=b"o" * 16, pages=4)
    down.on(ApplyConflicted(cursor=LOADED.cursor, urgent_pos=0, loaded=True, holder=other, draw=1.0))
    assert down.effects == [DropStage(run=FRESH), SetTimer(timer=down.state.timer, delay_ms=50)]
    assert (down.state.run, down.state.loading) == (None, None)
    assert down.on(TimerFired(timer=down.state.timer)).only(Fetch).pos == 100


def test_only_the_stage_of_a_run_that_stands_still_is_taken_over() -> None:
    """It is taken over as it was last seen; with its next pages a run holds what it has, and nothing else."""
    other = Holder(run=b"o" * 16, pages=4)
    down = Downlink().on(Wake()).page(last=False, scan_to=120, after=None, pos=120)
    down.on(ApplyConflicted(cursor=LOADED.cursor, urgent_pos=0, loaded=True, holder=other))
    down.on(TimerFired(timer=down.state.timer)).page(last=False, scan_to=120, after=None, pos=120)
    assert down.only(Stage).over == other
    down.on(Staged()).page(from_pos=120, last=False, scan_to=130, after=None, pos=130)
    assert down.only(Stage).over is None


def test_a_run_that_ends_in_a_mismatch_ends_no_quarrel() -> None:
    """Two runs that each fetch tables anew go on dropping each other's pages: the pause goes on growing."""
    down = Downlink().on(Wake())
    down.page(last=False, scan_to=120, after=None, pos=120).on(Staged()).page(from_pos=120)
    down.on(ApplyConflicted(cursor=LOADED.cursor, urgent_pos=0, loaded=True, draw=1.0))
    down.on(TimerFired(timer=down.state.timer)).page(from_pos=100)
    assert down.state.conflicts == 1
    down.on(Applied(mismatched=("price",)))
    assert down.state.conflicts == 1
    down.chunk("price", None, start_pos=115).on(Staged()).page(
        from_pos=down.state.cursor.pos if down.state.cursor else 0
    )
    down.on(ApplyConflicted(cursor=down.state.cursor, urgent_pos=0, loaded=True, draw=1.0))
    assert down.only(SetTimer).delay_ms == 200


def test_a_cut_run_is_resumed_where_it_stood() -> None:
    """A transfer does not restart at zero."""
    down = Downlink().on(Wake()).page(last=False, scan_to=120, after=("price", "k"), pos=120).on(Staged())
    down.on(TransportFailed(request=down.state.request, draw=0.5))
    fetch = down.on(TimerFired(timer=down.state.timer)).only(Fetch)
    assert (fetch.after, fetch.scan_to, fetch.server_index) == (("price", "k"), 120, 1)


def test_refusals_and_failures_are_retried_for_ever() -> None:
    """Busy servers as late as they ask; others by the list."""
    down = Downlink().on(Wake())
    down.on(Refused(request=down.state.request, code="busy", draw=0.0, retry_after_ms=900))
    assert down.only(SetTimer).delay_ms == 900
    for _ in range(30):
        down.on(TimerFired(timer=down.state.timer))
        assert down.state.phase is DownPhase.FETCHING
        down.on(Refused(request=down.state.request, code="not_live", draw=1.0))
    assert down.only(SetTimer).delay_ms == OPTIONS.backoff_max_ms


@pytest.mark.parametrize("phase", ["stage", "apply", "chunk"])
def test_a_failing_store_begins_the_run_again(phase: str) -> None:
    """What of it is durable is not known."""
    if phase == "chunk":
        down = Downlink(DownlinkState()).on(Wake()).chunk("product", None)
    else:
        down = Downlink().on(Wake()).page(last=phase == "apply")
    down.on(StoreFailed(draw=0.5))
    assert down.effects[0] == DropStage(run=None if phase == "chunk" else FRESH)
    down.on(TimerFired(timer=down.state.timer))
    if phase == "chunk":
        assert down.only(FetchChunk).start_pos is None
    else:
        assert down.only(Fetch).pos == 100


def test_stale_answers_change_nothing() -> None:
    """Of an earlier request, or when nothing was asked."""
    down = Downlink(replace(LOADED, request=5))
    for event in (
        Staged(),
        Applied(),
        UrgentApplied(),
        ChunkStored(),
        StoreFailed(draw=0.5),
        TimerFired(timer=0),
        TransportFailed(request=5, draw=0.5),
        Refused(request=5, code="busy", draw=0.5),
        ApplyConflicted(cursor=None, urgent_pos=0, loaded=False),
    ):
        assert down.on(event).effects == []
        assert down.state.phase is DownPhase.IDLE


def test_an_answer_to_another_request_or_in_another_phase_changes_nothing() -> None:
    """A chunk that nobody waits for is not stored."""
    down = Downlink(DownlinkState()).on(Wake())
    before = down.state
    chunk = LoadChunk(
        term=TermWire(cluster="lab", n=TERM.n, id=TERM.id), table="product", start_pos=5, after=None, rows=(ROW,)
    )
    down.on(ChunkArrived(request=before.request + 1, chunk=chunk))
    assert (down.state, down.effects) == (before, [])


def test_a_stored_chunk_has_the_rows_that_came() -> None:
    """And the table they are of."""
    down = Downlink(DownlinkState()).on(Wake()).chunk("product", None)
    store = down.only(StoreChunk)
    assert (store.table, store.rows, store.first) == ("product", (ROW,), True)


def test_the_timer_of_a_pause_is_the_one_that_ends_it() -> None:
    """Else the sync would wait for ever."""
    down = Downlink().on(Wake())
    down.on(TransportFailed(request=down.state.request, draw=0.5))
    assert down.only(SetTimer).timer == down.state.timer


def test_an_odd_answer_is_told_with_what_was_asked() -> None:
    """For whoever looks for the server's fault."""
    down = Downlink().on(Wake()).page(from_pos=101)
    assert down.only(Alarm) == Alarm(code="feed_answer_odd", detail="page of 101, asked 100")


def test_a_chunk_of_an_older_term_is_told_and_asked_for_elsewhere() -> None:
    """The same as a page of one."""
    down = Downlink(DownlinkState(term=NEXT)).on(Wake()).chunk("product", None, term=TERM)
    assert down.only(Alarm).code == "stale_server"
    assert down.only(Alarm).detail
    assert down.state.server_index == 1


def test_a_new_till_takes_no_masters_of_another_cluster() -> None:
    """Neither chunks nor pages, though it has met no term yet; and the other's is not remembered."""
    foreign = Term(cluster="shop", n=7, id=b"7" * 16)
    loading = Downlink(DownlinkState()).on(Wake()).chunk("product", None, term=foreign)
    following = Downlink(replace(LOADED, term=None)).on(Wake()).page(term=foreign)
    for down in (loading, following):
        assert down.effects == [Alarm(code="foreign_cluster", detail="shop is not lab"), down.only(SetTimer)]
        assert (down.state.phase, down.state.term, down.state.server_index) == (DownPhase.BACKOFF, None, 1)


def fail(down: Downlink, times: int, *, took_ms: int = 5000) -> Downlink:
    """Let the outstanding request run out of time, and the one after its back-off, and so on."""
    for _ in range(times):
        down.on(TransportFailed(request=down.state.request, draw=0.5, took_ms=took_ms))
        down.on(TimerFired(timer=down.state.timer))
    return down


def full_page(down: Downlink, *, took_ms: int) -> Fetch:
    """Answer with a page that its limit ended; return what is asked next."""
    page = FeedPage(
        term=TermWire(cluster=TERM.cluster, n=TERM.n, id=TERM.id), from_pos=100, scan_to=120,
        after=("product", '["milk"]'), pos=120, last=False, rows=(ROW,),
    )  # fmt: skip
    arrived = PageArrived(request=down.state.request, page=page, fresh_id=FRESH, took_ms=took_ms)
    return down.on(arrived, Staged()).only(Fetch)


def test_a_page_that_did_not_come_is_asked_for_at_half_its_length() -> None:
    """Down to a floor, from which a line that came back is soon at full length again."""
    down = Downlink().on(Wake())
    assert down.only(Fetch).limit == OPTIONS.page_rows == 5000
    assert [fail(down, 1).only(Fetch).limit for _ in range(10)] == [2500, 1250, 625, 312, 156, 78, 39, 19, 19, 19]


def test_a_line_that_is_cut_is_not_taken_for_a_slow_one() -> None:
    """A connection refused or broken at once says nothing of how long a page would have taken."""
    down = Downlink().on(Wake())
    assert fail(down, 20, took_ms=OPTIONS.good_ms).only(Fetch).limit == 5000


def test_pages_grow_again_as_they_come_fast() -> None:
    """Each that came within the time that is called good is followed by one of twice its length."""
    down = fail(Downlink().on(Wake()), 3)
    good = OPTIONS.good_ms
    assert [full_page(down, took_ms=good).limit for _ in range(4)] == [1250, 2500, 5000, 5000]


def test_slow_pages_keep_their_length_until_a_longer_one_is_tried() -> None:
    """A long way is slow without being narrow; a narrow line costs one page in so many that does not come."""
    down = fail(Downlink().on(Wake()), 2)
    slow = OPTIONS.good_ms + 1
    limits = [full_page(down, took_ms=slow).limit for _ in range(OPTIONS.steady_pages)]
    assert limits == [1250] * (OPTIONS.steady_pages - 1) + [2500]
    assert fail(down, 1).only(Fetch).limit == 1250
    assert full_page(down, took_ms=slow).limit == 1250


def test_a_short_answer_says_nothing_of_the_line() -> None:
    """The end of a run came through because it had few rows: the next page stays short."""
    down = fail(Downlink().on(Wake(follow=True)), 2).page().on(Applied())
    assert down.only(Fetch).limit == 1250


def test_chunks_of_a_first_load_are_shortened_as_well() -> None:
    """And grow as the feed's pages do."""
    down = fail(Downlink(DownlinkState()).on(Wake()), 2)
    assert down.only(FetchChunk).limit == 1250
    assert down.chunk("product", '["milk"]').on(ChunkStored()).only(FetchChunk).limit == 2500


def test_pages_are_staged_with_their_rows_and_counted() -> None:
    """Only a run's first page may take the stage over."""
    down = Downlink().on(Wake()).page(last=False, scan_to=120, after=None, pos=120)
    assert (down.only(Stage).rows, down.only(Stage).run.pages) == ((ROW,), 1)
    down.on(Staged()).page(from_pos=120, last=False, scan_to=130, after=None, pos=130)
    assert (down.only(Stage).rows, down.only(Stage).run.pages) == ((ROW,), 2)


def failures_forgotten(down: Downlink) -> bool:
    """Say whether the next failure is a first one: its pause is as short as can be."""
    down.on(TransportFailed(request=down.state.request, draw=1.0))
    return down.only(SetTimer).delay_ms == OPTIONS.backoff_base_ms


def test_what_has_come_through_ends_the_growing_of_pauses() -> None:
    """A page staged, a chunk stored, a run applied: the line is good again."""
    assert not failures_forgotten(fail(Downlink().on(Wake()), 5))
    staged = fail(Downlink().on(Wake()), 5).page(last=False, scan_to=120, after=None, pos=120).on(Staged())
    assert failures_forgotten(staged)
    stored = fail(Downlink(DownlinkState()).on(Wake()), 5).chunk("product", '["milk"]').on(ChunkStored())
    assert failures_forgotten(stored)
    applied = fail(Downlink().on(Wake(follow=True)), 5).page().on(Applied())
    assert failures_forgotten(applied)


def test_a_sleep_ends_it_as_well() -> None:
    """Who wakes it later has no patience for what failed before."""
    slept = fail(Downlink().on(Wake()), 5).on(Slept())
    assert (slept.state.phase, slept.state.follow) == (DownPhase.IDLE, False)
    assert failures_forgotten(slept.on(Wake()))


def test_a_server_that_refuses_this_till_is_told_one_that_is_not_live_is_not() -> None:
    """Every standby says the latter all day."""
    down = Downlink().on(Wake())
    down.on(Refused(request=down.state.request, code="unauthorized", draw=0.5))
    assert down.only(Alarm) == Alarm(code="unauthorized", detail="the server refuses this till")
    down.on(TimerFired(timer=down.state.timer))
    down.on(Refused(request=down.state.request, code="not_live", draw=0.5))
    assert down.all(Alarm) == []
