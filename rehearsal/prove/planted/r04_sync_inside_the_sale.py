"""R4: the sale's request synchronises before it answers."""

from __future__ import annotations

from collections.abc import Callable

from rehearsal.prove.planted import Planted, swap
from syncref.till.answers import Answer
from syncref.till.checkout import Checkout, Done
from syncref.till.desk import Desk


def plant() -> None:
    """Upload after the commit and before the reply, however long it takes."""
    carry_out = Desk.carry_out

    async def synchronised(self: Desk, operation: Callable[[Checkout], Done]) -> Answer:
        answer = await carry_out(self, operation)
        await self.sync("up")
        return answer

    swap(Desk, "carry_out", synchronised)


PLANTED = Planted(
    id="R4",
    title="sync inside the sale request",
    fault="black hole",
    expected="experience",
    scenario="bad-line",
    kinds=("till",),
    plant=plant,
)
