"""Which server's word counts: terms only go up, and one number has one identity."""

from __future__ import annotations

from syncref.domain.identity import Term


def next_number(above: int, *, rank: int, ranks: int) -> int:
    """Return the lowest term number over `above` that a server of this rank may open.

    No two servers have a number in common, so two that can't hear each other never open the same term.
    """
    number = above + 1
    return number + (rank - number) % ranks


def distrust(known: Term | None, told: Term, *, cluster: str) -> tuple[str, str] | None:
    """Return (alarm code, detail) when a server's term must not be believed or remembered, else None.

    `cluster` is the till's own, which it knows before it has met any term.
    """
    if told.cluster != cluster:
        return "foreign_cluster", f"{told.cluster} is not {cluster}"
    if known is None:
        return None
    if told.n < known.n:
        return "stale_server", f"term {told.n} is older than {known.n}"
    if told.n == known.n and told.id != known.id:
        return "term_conflict", f"two servers call themselves term {told.n}"
    return None
