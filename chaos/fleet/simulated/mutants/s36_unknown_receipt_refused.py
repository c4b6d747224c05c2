"""S36: a refund of a receipt that has not arrived is not posted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import ingest, posting
from syncref.core.posting import Posting, set_aside
from syncref.domain.identity import Key
from syncref.wire.entry import Entry

_post = posting.post


def post(key: Key, first: int, entries: Sequence[Entry | str], **known: Any) -> Posting:
    """Set aside what refers to an unknown receipt."""
    done = _post(key, first, entries, **known)
    for flag in done.flags:
        if flag.code == "unknown_receipt":
            done = set_aside(done, flag.seq, "unknown receipt")
    return done


MUTANT = Mutant(
    id="S36",
    title="refund of an unknown receipt refused",
    fault="other till cut",
    expected="settlement",
    profile=Profile(misfortunes={"cut": 3.0, "black": 2.0}, tills=(2, 3), sales=12, refunds=0.5),
    swaps=[(ingest, "post", post)],
)
