"""A till that says anything, in any order, to a real server; what is stored stays a prefix of what is honest.

Honest steps (shake hands, sell, upload, read) are mixed with messages whose parts are changed, reordered, repeated
from earlier or taken from another till. `--fuzz-s 600` goes on for ten minutes with other seeds.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from syncref.wire.sync import Ack, HelloAnswer, TermWire
from tests.integration.server.shop import Answer, Shop, Till

NAMES = ("T01", "T02", "T03")
_NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1) | st.integers(-2, 12)
_BYTES = st.binary(max_size=40) | st.sampled_from([bytes(16), bytes(32)])
_TERMS = st.none() | st.builds(
    TermWire, cluster=st.text(max_size=6), n=st.integers(-1, 1 << 62), id=st.binary(max_size=20)
)
_WRONG = st.none() | st.booleans() | _NUMBERS | _BYTES | st.text(max_size=20) | st.lists(_NUMBERS, max_size=4)
_HELLO = {
    "till": st.sampled_from(NAMES), "incarnation": _BYTES, "term": _TERMS, "head_seq": _NUMBERS,
    "head_hash": _BYTES, "safe": _NUMBERS, "cursor_pos": _NUMBERS,
}  # fmt: skip
_BATCH = {
    "session": _BYTES, "term": _TERMS.filter(lambda term: term is not None), "till": st.sampled_from(NAMES),
    "incarnation": _BYTES, "first_seq": _NUMBERS, "prev_hash": _BYTES,
    "payloads": st.lists(_BYTES, max_size=6).map(tuple),
}  # fmt: skip


class Wire(RuleBasedStateMachine):
    """Two tills with journals of their own, new ones for each run."""

    shop: Shop

    @initialize()
    def begin(self) -> None:
        """Shake hands as two tills, in new journals."""
        self.tills = [self.shop.till(name) for name in NAMES[:2]]
        self.sent: list[Any] = []

    @rule(who=st.integers(0, 1))
    def sells(self, who: int) -> None:
        """Journal a sale."""
        self.tills[who].sell()

    @rule(who=st.integers(0, 1))
    def shakes_hands(self, who: int) -> None:
        """Learn where the server is."""
        till = self.tills[who]
        answer = till.hello()
        if answer.status == 200:
            told = answer.wire(HelloAnswer)
            till.session, till.term, till.acked = told.session, told.term, told.durable_seq
            assert told.durable_seq <= len(till.payloads)
            assert told.durable_hash == till.hash_at(told.durable_seq)

    @rule(who=st.integers(0, 1), first=st.integers(1, 6), count=st.integers(1, 4))
    def uploads(self, who: int, first: int, count: int) -> None:
        """Send any stretch of the honest journal: a gap is refused, what is there already is acked."""
        till = self.tills[who]
        if first > len(till.payloads):
            return
        batch = till.batch(first, first + count - 1)
        self.sent.append(batch)
        self._take(till, till.post_wire("/v1/journal", batch))

    @rule(who=st.integers(0, 1), pick=st.integers(0, 50))
    def repeats_or_steals(self, who: int, pick: int) -> None:
        """Send something that was sent before, by whomever."""
        if self.sent:
            self._take(self.tills[who], self.tills[who].post_wire("/v1/journal", self.sent[pick % len(self.sent)]))

    @rule(who=st.integers(0, 1), data=st.data())
    def lies_at_the_handshake(self, who: int, data: st.DataObject) -> None:
        """Change parts of a handshake."""
        names = data.draw(st.sets(st.sampled_from(sorted(_HELLO)), min_size=1, max_size=3))
        changed = {name: data.draw(_HELLO[name], label=name) for name in sorted(names)}
        self._refused_or_fine(self.tills[who].hello(**changed))

    @rule(who=st.integers(0, 1), data=st.data())
    def lies_in_a_batch(self, who: int, data: st.DataObject) -> None:
        """Change parts of a batch: all that is possible is to append other facts to the own journal's end."""
        till = self.tills[who]
        if not till.payloads:
            return
        names = data.draw(st.sets(st.sampled_from(sorted(_BATCH)), min_size=1, max_size=3))
        changed = {name: data.draw(_BATCH[name], label=name) for name in sorted(names)}
        if changed.keys() == {"payloads"} or changed.get("first_seq") == till.acked + 1:
            return  # what a till says anew at its own end is a fact, whatever it is
        self._refused_or_fine(till.post_wire("/v1/journal", till.batch(**changed)))

    @rule(who=st.integers(0, 1), data=st.data())
    def sends_another_shape(self, who: int, data: st.DataObject) -> None:
        """Replace parts of a message by values of other types."""
        till = self.tills[who]
        path, fields = data.draw(st.sampled_from([("/v1/hello", 8), ("/v1/journal", 7)]))
        answer = till.post_wire(path, data.draw(st.lists(_WRONG, min_size=0, max_size=fields + 1)))
        assert 400 <= answer.status < 500
        assert answer.json["definite"] is True

    @rule(who=st.integers(0, 1), pos=_NUMBERS, more=st.dictionaries(
        st.sampled_from(["scan_to", "after_tbl", "after_key", "urgent_pos", "term_n", "term_id"]),
        st.text(max_size=8) | _NUMBERS.map(str), max_size=3))  # fmt: skip
    def reads(self, who: int, pos: int, more: dict[str, str]) -> None:
        """Ask for any page."""
        self._refused_or_fine(self.tills[who].ask("GET", "/v1/feed", fields={"pos": str(pos), **more}))

    @invariant()
    def the_server_holds_a_prefix_of_each_honest_journal(self) -> None:
        """Byte for byte, whatever was said in between."""
        for till in getattr(self, "tills", []):
            with self.shop.engine.connect() as connection:
                stored = connection.execute(
                    text("SELECT payload FROM entry WHERE till = :t AND incarnation = :i ORDER BY seq"),
                    {"t": till.name, "i": till.incarnation},
                ).scalars()
                held = [bytes(payload) for payload in stored]
            assert held == till.payloads[: len(held)]
            assert till.acked <= len(held)

    def teardown(self) -> None:
        """The honest tills come through with all that they have."""
        for till in getattr(self, "tills", []):
            till.greet()
            till.acked = 0
            if till.payloads:
                assert till.flush().seq == len(till.payloads)
            till.close()
            self.shop.clients.remove(till)

    def _take(self, till: Till, answer: Answer) -> None:
        self._refused_or_fine(answer)
        if answer.status == 200:
            till.acked = max(till.acked, min(answer.wire(Ack).seq, len(till.payloads)))

    def _refused_or_fine(self, answer: Answer) -> None:
        assert answer.status < 500 or answer.json["code"] == "not_live", answer.data
        if answer.status >= 400:
            assert answer.json["code"]
            assert msgspec.json.decode(answer.data)["request_id"]


def test_whatever_is_said_the_server_holds_what_is_honest(shop: Shop, request: pytest.FixtureRequest) -> None:
    """Seeds are fixed in a short run; a longer one draws new ones until its time is over."""
    machine = type("WireOfThisShop", (Wire,), {"shop": shop})
    lasting_s = request.config.getoption("--fuzz-s")
    usual = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    if not lasting_s:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine, settings=settings(usual, max_examples=12, stateful_step_count=25, derandomize=True)
        )
        return
    end = time.monotonic() + lasting_s
    while time.monotonic() < end:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine, settings=settings(usual, max_examples=40, stateful_step_count=50)
        )
