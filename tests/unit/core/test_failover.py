"""Which server may take writes."""

from __future__ import annotations

import pytest

from syncref.core.failover import (
    Alarm,
    AnswerFence,
    AskPeers,
    CloseWrites,
    DatabasePromoted,
    FailoverEffect,
    FailoverEvent,
    FailoverState,
    FenceAsked,
    FencePersisted,
    OpenWrites,
    OperatorConfirmed,
    PeerAnswered,
    PeerAsked,
    PersistFence,
    PersistTerm,
    PromoteAsked,
    PromoteDatabase,
    Role,
    Started,
    TermPersisted,
    TillAhead,
    TillReported,
    step,
)
from syncref.core.step import replace
from syncref.core.terms import next_number
from syncref.domain.identity import Term

ONE = Term(cluster="lab", n=1, id=b"1" * 16)
STARTING = FailoverState(term=ONE, timeline=1, peers=1)
LIVE = replace(STARTING, role=Role.LIVE)
STANDBY = replace(STARTING, role=Role.STANDBY)


def play(state: FailoverState, *events: FailoverEvent) -> tuple[FailoverState, list[FailoverEffect]]:
    """Return the state after some events, and all effects."""
    effects: list[FailoverEffect] = []
    for event in events:
        state, more = step(state, event)
        effects.extend(more)
    return state, effects


def test_a_server_that_starts_serves_nothing_until_a_peer_confirms_it() -> None:
    """A standby of its own term says: you are still the live one."""
    asked, effects = play(STARTING, Started(timeline=1, in_recovery=False))
    assert effects == [CloseWrites(), AskPeers()]
    live, effects = play(asked, PeerAnswered(role=Role.STANDBY, term_n=1))
    assert (live.role, effects) == (Role.LIVE, [OpenWrites()])


def test_a_peer_that_is_starting_itself_confirms_nothing() -> None:
    """Nor one that is being promoted, nor a live one of the same term."""
    asked, _ = play(STARTING, Started(timeline=1, in_recovery=False))
    for role in (Role.STARTING, Role.PROMOTING, Role.LIVE):
        state, effects = play(asked, PeerAnswered(role=role, term_n=1))
        assert state.role is Role.STARTING
        assert OpenWrites() not in effects


@pytest.mark.parametrize("role", [Role.LIVE, Role.STARTING])
def test_a_peer_that_asks_and_knows_a_newer_term_fences_whom_it_asks(role: Role) -> None:
    """An old live server that never noticed the promotion learns of it."""
    state, effects = play(replace(STARTING, role=role), PeerAsked(term_n=2))
    assert state.role is Role.FENCED
    assert PersistFence(by=2) in effects
    same, effects = play(replace(STARTING, role=role), PeerAsked(term_n=1))
    assert (same.role, effects) == (role, [])


def test_without_peers_a_server_confirms_itself() -> None:
    """There is nobody that could have taken over."""
    assert play(replace(STARTING, peers=0), Started(timeline=1, in_recovery=False))[0].role is Role.LIVE


def test_an_old_live_server_that_returns_is_fenced_by_what_its_peer_knows() -> None:
    """The fence is durable before anything else."""
    asked, _ = play(STARTING, Started(timeline=1, in_recovery=False))
    state, effects = play(asked, PeerAnswered(role=Role.LIVE, term_n=2))
    assert state.role is Role.FENCED
    assert effects == [CloseWrites(), PersistFence(by=2)]


def test_a_fence_outlives_a_restart() -> None:
    """Even with no peer to be asked."""
    fenced = Started(timeline=1, in_recovery=False, fenced_by=2)
    state, effects = play(replace(STARTING, peers=0), fenced)
    assert (state.role, effects) == (Role.FENCED, [CloseWrites()])
    confirmed, effects = play(state, OperatorConfirmed(fresh_id=b"3" * 16), TermPersisted())
    assert (confirmed.role, confirmed.term.n) == (Role.LIVE, 3)
    assert isinstance(effects[0], PersistTerm)


def test_a_confirmed_fenced_server_opens_its_term_on_the_timeline_it_started_on() -> None:
    """It may have been restored while it was down."""
    fenced = Started(timeline=3, in_recovery=False, fenced_by=2)
    _, effects = play(STARTING, fenced, OperatorConfirmed(fresh_id=b"3" * 16))
    assert effects[-1] == PersistTerm(term=Term(cluster="lab", n=3, id=b"3" * 16), timeline=3)


def test_a_restored_server_that_its_standby_confirms_goes_above_what_the_operator_told_it() -> None:
    """It opens a new term anyway; a higher one that is known is no reason to fence it."""
    told = replace(STARTING, highest_seen=4)
    state, effects = play(
        told,
        Started(timeline=2, in_recovery=False, fresh_id=b"r" * 16),
        PeerAnswered(role=Role.STANDBY, term_n=1),
    )
    assert state.role is Role.PROMOTING
    assert effects[-1] == PersistTerm(term=Term(cluster="lab", n=5, id=b"r" * 16), timeline=2)


def test_a_fence_is_answered_only_once_it_is_durable() -> None:
    """And asked for again it is answered at once."""
    state, effects = play(LIVE, FenceAsked(term_n=2))
    assert effects == [CloseWrites(), PersistFence(by=2)]
    state, effects = play(state, FencePersisted())
    assert effects[0] == AnswerFence()
    assert play(state, FenceAsked(term_n=2))[1] == [AnswerFence()]


def test_nobody_is_fenced_for_an_older_term() -> None:
    """The asker is the stale one."""
    state, effects = play(LIVE, FenceAsked(term_n=1))
    assert state.role is Role.LIVE
    assert effects == [Alarm(code="fence_refused", detail="by term 1")]


def test_promotion_opens_writes_last() -> None:
    """Database, then the term with its timeline, then writes."""
    state, effects = play(STANDBY, PromoteAsked(fresh_id=b"2" * 16))
    assert effects == [PromoteDatabase()]
    state, effects = play(state, DatabasePromoted(timeline=2, term=ONE))
    new = Term(cluster="lab", n=2, id=b"2" * 16)
    assert effects == [PersistTerm(term=new, timeline=2)]
    state, effects = play(state, TermPersisted())
    assert (state.role, state.term, effects) == (Role.LIVE, new, [OpenWrites()])


def test_a_standby_counts_on_from_the_term_row_that_it_replayed_last() -> None:
    """The live server may have opened a term since the standby started."""
    two = Term(cluster="lab", n=2, id=b"2" * 16)
    _state, effects = play(STANDBY, PromoteAsked(fresh_id=b"3" * 16), DatabasePromoted(timeline=2, term=two))
    assert effects[-1] == PersistTerm(term=Term(cluster="lab", n=3, id=b"3" * 16), timeline=2)


def test_only_a_standby_is_promoted() -> None:
    """A live, fenced or starting server is not."""
    for role in (Role.LIVE, Role.FENCED, Role.STARTING, Role.PROMOTING):
        state, effects = play(replace(STARTING, role=role), PromoteAsked(fresh_id=b""))
        assert state.role is role
        assert isinstance(effects[0], Alarm)


def test_a_new_term_exceeds_whatever_anybody_has_reported() -> None:
    """Own, peers' and tills' terms."""
    state, _ = play(
        STANDBY,
        PeerAnswered(role=Role.FENCED, term_n=4),
        TillReported(term_n=7),
        PromoteAsked(fresh_id=b"n" * 16),
        DatabasePromoted(timeline=2, term=ONE),
        TermPersisted(),
    )
    assert state.term.n == 8
    assert state.role is Role.LIVE


def test_a_higher_term_reported_during_promotion_fences_instead_of_opening() -> None:
    """Somebody else reigns already."""
    state, effects = play(
        STANDBY,
        PromoteAsked(fresh_id=b"n" * 16),
        DatabasePromoted(timeline=2, term=ONE),
        TillReported(term_n=5),
        TermPersisted(),
    )
    assert state.role is Role.FENCED
    assert OpenWrites() not in effects


def test_servers_open_term_numbers_of_their_own_rank_only() -> None:
    """So two that are cut off from each other never open the same one."""
    opened = []
    for rank in (0, 1):
        ranked = replace(STANDBY, rank=rank, ranks=2)
        state, _ = play(
            ranked, PromoteAsked(fresh_id=b"n"), DatabasePromoted(timeline=2, term=ONE), TermPersisted()
        )
        opened.append(state.term.n)
    assert opened == [2, 3]


def test_two_servers_of_one_term_number_both_stop() -> None:
    """Which of them goes on is the operator's to say, under a new term."""
    for event in (
        FenceAsked(term_n=1, term_id=b"twin"),
        PeerAnswered(role=Role.LIVE, term_n=1, term_id=b"twin"),
    ):
        state, effects = play(LIVE, event)
        assert state.role is Role.FENCED
        assert PersistFence(by=2) in effects
    confirmed, _ = play(state, FencePersisted(), OperatorConfirmed(fresh_id=b"2"), TermPersisted())
    assert (confirmed.role, confirmed.term.n) == (Role.LIVE, 2)
    assert play(LIVE, FenceAsked(term_n=1, term_id=ONE.id))[0].role is Role.LIVE


@pytest.mark.parametrize("role", [Role.LIVE, Role.STARTING])
def test_a_till_that_says_it_met_a_newer_term_stops_no_server_by_itself(role: Role) -> None:
    """It may be forged: a live server asks its peers, and stops at a peer's word only."""
    state, effects = play(replace(STARTING, role=role), TillReported(term_n=3))
    assert state.role is role
    assert state.highest_seen == 3
    assert (AskPeers() in effects) is (role is Role.LIVE)
    assert play(state, PeerAnswered(role=Role.LIVE, term_n=2))[0].role is Role.FENCED


def test_a_starting_server_that_a_till_has_surpassed_is_not_confirmed_in_its_old_term() -> None:
    """A peer's word fences it, the operator's opens a term above all that was met."""
    surpassed, _ = play(STARTING, TillReported(term_n=4))
    assert play(surpassed, PeerAnswered(role=Role.STANDBY, term_n=1))[0].role is Role.FENCED
    state, effects = play(surpassed, OperatorConfirmed(fresh_id=b"5" * 16))
    assert (state.role, effects) == (
        Role.PROMOTING,
        [PersistTerm(term=Term(cluster="lab", n=5, id=b"5" * 16), timeline=1)],
    )


def test_a_restored_database_shows_by_its_timeline_and_goes_live_under_a_new_term() -> None:
    """A restore is a promotion."""
    state, effects = play(replace(STARTING, peers=0), Started(timeline=2, in_recovery=False, fresh_id=b"r" * 16))
    assert state.role is Role.PROMOTING
    assert PersistTerm(term=Term(cluster="lab", n=2, id=b"r" * 16), timeline=2) in effects
    assert OpenWrites() not in effects


def test_a_till_ahead_of_a_live_server_makes_it_open_a_new_term() -> None:
    """Writes are closed until the term is durable."""
    state, effects = play(LIVE, TillAhead(fresh_id=b"a" * 16))
    assert effects[0] == CloseWrites()
    assert state.role is Role.PROMOTING
    assert play(state, TermPersisted())[0].term.n == 2


def test_the_operator_raises_a_live_server_that_tills_are_past() -> None:
    """The term that they met is lost with a restored database; nobody else could end their refusal."""
    passed, effects = play(LIVE, TillReported(term_n=3))
    assert passed.role is Role.LIVE
    assert any(isinstance(effect, Alarm) and effect.code == "till_met_newer" for effect in effects)
    raised, effects = play(passed, OperatorConfirmed(fresh_id=b"4" * 16), TermPersisted())
    assert (effects[0], raised.role, raised.term.n > 3) == (CloseWrites(), Role.LIVE, True)


def test_the_operators_word_changes_nothing_on_a_live_server_that_nobody_is_past() -> None:
    """Asked twice, a server does not change its term."""
    assert play(LIVE, OperatorConfirmed(fresh_id=b"4" * 16)) == (LIVE, [])


def test_a_server_that_starts_fenced_stays_so_by_the_same_term() -> None:
    """Who fenced it is known after the restart."""
    fenced, _ = play(STARTING, Started(timeline=1, in_recovery=False, fenced_by=4))
    assert (fenced.role, fenced.fenced_by) == (Role.FENCED, 4)


def test_a_till_of_the_servers_own_term_is_no_reason_for_an_alarm() -> None:
    """Only one that is past it is."""
    assert play(LIVE, TillReported(term_n=1))[1] == []


def test_a_till_that_was_acked_more_than_the_server_holds_opens_a_new_term_with_an_alarm() -> None:
    """The alarm says which term it was."""
    _, effects = play(LIVE, TillAhead(fresh_id=b"5" * 16))
    (alarm,) = [effect for effect in effects if isinstance(effect, Alarm)]
    assert alarm == Alarm(code="till_ahead", detail="a till was acked more than term 1 holds")


def test_a_server_that_fences_itself_for_a_twin_answers_who_asked_for_it() -> None:
    """Once the fence is durable."""
    _, effects = play(LIVE, FenceAsked(term_n=1, term_id=b"twin"), FencePersisted())
    assert AnswerFence() in effects


def test_a_starting_server_says_that_a_peer_is_live_in_its_term() -> None:
    """And stays closed."""
    state, effects = play(STARTING, PeerAnswered(role=Role.LIVE, term_n=1, term_id=ONE.id))
    assert state.role is Role.STARTING
    assert effects == [Alarm(code="two_live", detail="a peer is live in term 1, which is this server's")]


def test_a_restored_server_keeps_its_cluster_in_the_term_that_it_opens() -> None:
    """The number is found only once a peer or the operator was heard."""
    state, _ = play(STARTING, Started(timeline=2, in_recovery=False, fresh_id=b"r" * 16))
    assert state.new == Term(cluster="lab", n=0, id=b"r" * 16)


def test_an_open_term_is_no_longer_a_new_one() -> None:
    """The next promotion begins from nothing."""
    state, _ = play(
        STANDBY, PromoteAsked(fresh_id=b"2" * 16), DatabasePromoted(timeline=2, term=ONE), TermPersisted()
    )
    assert state.new is None
    assert play(state, TermPersisted()) == (state, [])


def test_a_till_ahead_of_a_server_that_is_not_live_changes_nothing() -> None:
    """It gets no handshake there anyway."""
    assert play(STANDBY, TillAhead(fresh_id=b"a" * 16)) == (STANDBY, [])


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_every_rank_has_term_numbers_of_its_own(ranks: int) -> None:
    """Each number belongs to one rank, and none over the highest known is left out."""
    for above in range(12):
        numbers = {next_number(above, rank=rank, ranks=ranks) for rank in range(ranks)}
        assert numbers == set(range(above + 1, above + 1 + ranks))


def test_what_cannot_be_is_told_by_its_name_and_with_numbers() -> None:
    """Operators look these up."""
    assert play(LIVE, PromoteAsked(fresh_id=b""))[1] == [
        Alarm(code="not_promotable", detail="only a standby can be promoted, this server is live")
    ]
    assert play(replace(LIVE, peers=0), TillReported(term_n=3))[1] == [
        Alarm(code="till_met_newer", detail="a till says that it met term 3")
    ]
    assert play(STARTING, Started(timeline=2, in_recovery=False, fresh_id=b"r" * 16))[1] == [
        CloseWrites(),
        Alarm(code="timeline_changed", detail="timeline 2, the term was opened on 1"),
        AskPeers(),
    ]


def test_a_server_in_recovery_is_a_standby_and_takes_no_writes() -> None:
    """Whatever it was before."""
    state, effects = play(STARTING, Started(timeline=2, in_recovery=True))
    assert (state.role, state.timeline, effects) == (Role.STANDBY, 2, [CloseWrites()])


def test_the_operators_word_starts_a_server_in_its_own_term_where_nobody_is_past_it() -> None:
    """Without a peer that answers."""
    asked, _ = play(STARTING, Started(timeline=1, in_recovery=False))
    state, effects = play(asked, OperatorConfirmed(fresh_id=b"4" * 16))
    assert (state.role, state.term, effects) == (Role.LIVE, ONE, [OpenWrites()])


def test_a_term_of_number_one_is_opened_like_any_other() -> None:
    """Only 0 stands for a number that is not known yet."""
    first = replace(STANDBY, term=Term(cluster="lab", n=0, id=b"0" * 16))
    promoted = DatabasePromoted(timeline=2, term=first.term)
    state, _ = play(first, PromoteAsked(fresh_id=b"1" * 16), promoted, TermPersisted())
    assert (state.role, state.term.n) == (Role.LIVE, 1)
    asked, _ = play(STANDBY, PromoteAsked(fresh_id=b"1" * 16))
    assert play(asked, TermPersisted()) == (asked, [])
