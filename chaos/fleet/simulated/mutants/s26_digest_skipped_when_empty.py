"""S26: an empty page carries no digests."""

from __future__ import annotations

import msgspec

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.server_store import ServerStore
from syncref.domain.identity import Key
from syncref.wire.sync import FeedPage

_page = ServerStore.page


def page(
    self: ServerStore,
    *,
    pos: int,
    scan_to: int | None,
    after: tuple[str, str] | None,
    urgent_pos: int,
    key: Key,
    limit: int,
) -> FeedPage:
    """Answer as ever, but an empty page without digests."""
    answer = _page(self, pos=pos, scan_to=scan_to, after=after, urgent_pos=urgent_pos, key=key, limit=limit)
    return answer if answer.rows else msgspec.structs.replace(answer, digests=())


MUTANT = Mutant(
    id="S26",
    title="digest skipped on an empty page",
    fault="promotion with lag, no edits",
    expected="masters",
    profile=Profile(misfortunes={"lag": 3.0, "promote": 1.0}, edits=10, sales=0, edit_kinds=("price", "pair")),
    swaps=[(ServerStore, "page", page)],
)
