"""Ways to sync: by hand, in windows, by a second process."""

from __future__ import annotations

from chaos.fleet.simulated.intruder import Intruder
from chaos.fleet.simulated.misfortunes.aim import till_of
from chaos.fleet.simulated.plan import Action
from chaos.fleet.simulated.world import World


def manual(world: World, action: Action) -> None:
    """Sync a till's masters by hand, beside its schedule."""
    till_of(world, action).sync_masters()


def window(world: World, action: Action) -> None:
    """End a till's sync window for a while."""
    till = till_of(world, action)
    till.syncing = False
    till.sleep()

    def begin() -> None:
        till.syncing = True
        till.wake()

    world.loop.after(action.for_ms * 2, begin)


def second_uploader(world: World, action: Action) -> None:
    """Let another process of a till upload its queue, batches out of order."""
    till = till_of(world, action)
    if till.alive:
        Intruder(till, action.amount % 2).try_often(20)


def asleep(world: World, action: Action, for_ms: int) -> None:
    """Keep one till from syncing, so that it does not meet what the others meet."""
    till = till_of(world, action)
    till.syncing = False
    till.sleep()

    def begin() -> None:
        till.syncing = True
        till.wake()

    world.loop.after(for_ms, begin)
