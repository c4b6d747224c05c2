"""The drain: after the heal the system must come to rest by itself, and the witness databases say whether it did.

Quiet means: each till's journal is on the server to the last entry and the till knows it, every till's
cursor covers the last change of the masters, nothing is staged, and stock includes every entry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.model import Drain
from rehearsal.witness import Witness

POLL_S = 0.5
QUIET_READS = 2
LATE_SHARE = 0.2
TOLD = ("rebased: ", "newer_rows: ")  # a journal was continued; rows newer than a restored server's


def drain(witness: Witness, tills: Sequence[str], *, deadline_s: float, endings: Callable[[], list[str]]) -> Drain:
    """Wait until the system is quiet, at most `deadline_s`; `endings` names nodes that ended by themselves."""
    begun = time.monotonic()
    seen: object = None
    moved_at = begun
    quiet = 0
    while True:
        pending, state = _pending(witness, tills)
        pending += endings()
        now = time.monotonic()
        if state != seen:
            seen, moved_at = state, now
        quiet = 0 if pending else quiet + 1
        if quiet >= QUIET_READS or now - begun >= deadline_s:
            return Drain(
                quiet=quiet >= QUIET_READS,
                took_s=round(now - begun, 2),
                deadline_s=deadline_s,
                progressed=now - moved_at <= LATE_SHARE * deadline_s,
                pending=tuple(pending),
            )
        time.sleep(POLL_S)


def joined(first: Drain, second: Drain) -> Drain:
    """Return two drains as one: both must have come to rest."""
    if not first.quiet:
        return first
    return Drain(
        quiet=second.quiet,
        took_s=round(first.took_s + second.took_s, 2),
        deadline_s=first.deadline_s,
        progressed=second.progressed,
        pending=second.pending,
    )


def trouble_in(alarm: str) -> str:
    """Return a till's alarms without those that only tell what happened to it, and is over."""
    return "; ".join(part for part in alarm.split("; ") if part and not part.startswith(TOLD))


def _pending(witness: Witness, tills: Sequence[str]) -> tuple[list[str], object]:
    """Return what is not at rest, and everything that moves when the system makes progress."""
    try:
        server = witness.server()
    except WitnessUnreadable as error:
        return [f"the server's database can't be read: {error}"], None
    pending, state = [], [server.last_change]
    for till in tills:
        try:
            mark = witness.till(till)
        except WitnessUnreadable as error:
            pending.append(f"{till} can't be read: {error}")
            continue
        key = (mark.till, mark.incarnation)
        durable, folded = server.durable.get(key, 0), server.folded.get(key, 0)
        state += [durable, mark.acked, mark.cursor_pos, folded, mark.merging]
        if durable < mark.head:
            pending.append(f"{till}: {mark.head - durable} entries are not on the server")
        elif mark.acked < mark.head:
            pending.append(f"{till} does not know that its last {mark.head - mark.acked} entries arrived")
        elif folded < durable:
            pending.append(f"{till}: stock lacks its last {durable - folded} entries")
        if mark.cursor_n != server.term_n or mark.cursor_pos <= server.last_change:
            pending.append(f"{till}: masters stop at {mark.cursor_pos}, the last change is {server.last_change}")
        elif mark.merging:
            pending.append(f"{till} is still merging masters")
        if alarm := trouble_in(mark.alarm):
            pending.append(f"{till}: {alarm}")
    return pending, tuple(state)
