"""What befalls the chain: each kind of misfortune is one function, and lifts itself after a while."""

from __future__ import annotations

from collections.abc import Callable

from chaos.fleet.simulated.misfortunes.links import (
    answers_cut,
    bad_line,
    black,
    clerks_cut,
    cut,
    late_answers,
    lossy,
    narrow_line,
    noise,
    outage,
    reply_cut,
    stall,
)
from chaos.fleet.simulated.misfortunes.machines import (
    clock,
    clone,
    disk_full_server,
    disk_full_till,
    drift,
    kill_server,
    kill_till,
    poison,
    power_till,
    reimage,
    rollback,
    scrap,
    unknown_commit,
)
from chaos.fleet.simulated.misfortunes.reigns import compact, lag, promote, promote_back, rejoin, restore
from chaos.fleet.simulated.misfortunes.stories import (
    old_server_alone,
    promote_unnoticed,
    restore_while_acks_travel,
    there_and_back,
    urgent_during_bulk,
)
from chaos.fleet.simulated.misfortunes.syncs import manual, second_uploader, window
from chaos.fleet.simulated.plan import Action
from chaos.fleet.simulated.world import World


def befall(world: World, action: Action) -> None:
    """Let a misfortune happen. After healing nothing happens any more."""
    if not world.healed:
        world.note(f"--- {action.kind} (who {action.who}, n {action.n}, for {action.for_ms} ms)")
        KINDS[action.kind](world, action)


KINDS: dict[str, Callable[[World, Action], None]] = {
    call.__name__: call
    for call in (
        kill_till,
        power_till,
        kill_server,
        cut,
        black,
        stall,
        bad_line,
        narrow_line,
        outage,
        scrap,
        answers_cut,
        noise,
        clock,
        drift,
        disk_full_till,
        unknown_commit,
        disk_full_server,
        lag,
        promote,
        rejoin,
        promote_back,
        restore,
        reimage,
        rollback,
        clone,
        poison,
        compact,
        manual,
        window,
        reply_cut,
        clerks_cut,
        late_answers,
        lossy,
        second_uploader,
        promote_unnoticed,
        there_and_back,
        old_server_alone,
        urgent_during_bulk,
        restore_while_acks_travel,
    )
}
