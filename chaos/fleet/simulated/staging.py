"""Whose a till's one stage is, where two syncs may overlap."""

from __future__ import annotations

from syncref.core.downlink_messages import Holder, Stage


def held_against(holder: Holder | None, effect: Stage) -> bool:
    """Return whether the stage is another run's, or has not the pages that come before the ones to be staged."""
    before = effect.run.pages - 1
    if before or (holder is not None and holder.run == effect.run.id):
        return holder != Holder(run=effect.run.id, pages=before)
    return holder not in (None, effect.over)
