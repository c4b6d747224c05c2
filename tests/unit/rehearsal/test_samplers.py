"""What is sampled once a second."""

from __future__ import annotations

from typing import cast

import pytest

from rehearsal.drive.samplers import Samplers
from rehearsal.witness import ServerMark, TillMark, Witness


class Loading:
    """A witness of one till whose cursor stands where its chunks were read, 40 s behind."""

    def __init__(self, *, loaded: bool) -> None:
        self.loaded = loaded

    def server(self) -> ServerMark:
        """Nothing has come yet."""
        return ServerMark(durable={}, folded={}, term_n=1, last_change=1024)

    def till(self, name: str) -> TillMark:
        """Look at the till."""
        return TillMark(
            till=name, incarnation="aa", head=0, acked=0, cursor_n=1, cursor_pos=763, stock_seq=0,
            contact_ms=0, masters_ms=0, merging=False, day_open=False, alarm="", loaded=self.loaded,
        )  # fmt: skip

    def oldest_change_ms(self, _position: int) -> int:
        """Changed in the year 1970."""
        return 1

    def prices_changed(self, _after: int, _to: int) -> list[tuple[str, int, int]]:
        """None."""
        return []


@pytest.mark.parametrize("loaded", [False, True])
def test_masters_that_are_still_being_loaded_are_not_stale_yet(loaded: bool) -> None:
    """The server shares chunks that are up to a minute old; the feed follows before the till sells by them."""
    witness = cast(Witness, Loading(loaded=loaded))
    samplers = Samplers(witness, ("T01",), settled=lambda _: True, counters=dict)
    samplers._sample_tills()
    [(_, till, online, age_ms, _, position)] = samplers.masters
    assert (till, bool(online), position) == ("T01", loaded, 763)
    assert age_ms > 30_000
