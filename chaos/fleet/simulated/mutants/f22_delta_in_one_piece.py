"""F22: what changed during an outage is asked for in one piece, which takes longer than anybody waits."""

from __future__ import annotations

from dataclasses import replace

from chaos.fleet.simulated.feed_desk import FeedAsked, FeedDesk
from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.network import Lost, Respond
from chaos.fleet.simulated.plan import Profile
from syncref.wire.sync import FeedPage

_feed = FeedDesk.feed
ROWS_IN_TIME = 10


def feed(self: FeedDesk, asked: FeedAsked, respond: Respond, lost: Lost) -> None:
    """Answer whole; with many rows the time is over before."""
    self.server.store.page_rows = 1 << 30

    def answer(said: object) -> None:
        if isinstance(said, FeedPage) and len(said.rows) > ROWS_IN_TIME:
            lost()
        else:
            respond(said)

    _feed(self, replace(asked, limit=1 << 30), answer, lost)


MUTANT = Mutant(
    id="F22",
    title="a large delta never gets through",
    fault="long outage",
    expected="drain",
    profile=Profile(misfortunes={"outage": 1.0}, tills=(1, 2), sales=8, edits=60, products=20),
    swaps=[(FeedDesk, "feed", feed)],
)
