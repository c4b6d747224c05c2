"""R2: the till answers a sale and commits it a moment later, together with the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import Any

from rehearsal.prove.planted import Planted, swap
from syncref.till.checkout import Checkout

LATER_S = 1.5


class _Undone(Exception):
    """Rolls the rehearsed sale back."""


def plant() -> None:
    """Work a sale out in a transaction that is rolled back, answer, and carry it out later, in order."""
    carry_out = Checkout._carry_out
    lock = threading.RLock()
    waiting: list[Callable[[], Any]] = []

    def flush() -> None:
        with lock:
            while waiting:
                waiting.pop(0)()

    def rehearsed(self: Checkout, op_id: bytes, make: Any) -> Any:
        with lock:
            flush()
            done = _rolled_back(self, lambda: carry_out(self, op_id, make))
            waiting.append(lambda: carry_out(self, op_id, make))
        threading.Timer(LATER_S, flush).start()
        return done

    swap(Checkout, "_carry_out", rehearsed)


def undo() -> None:
    """End a transaction without its commit."""
    raise _Undone


def _rolled_back(checkout: Checkout, sell: Callable[[], Any]) -> Any:
    """Return what a sale would answer, and leave nothing of it."""
    database, wake = checkout._database, checkout._wake_uplink
    sale = database.sale
    outcome: list[Any] = []

    @contextmanager
    def undone() -> Any:
        with suppress(_Undone), sale() as connection:
            yield connection
            undo()

    swap(database, "sale", undone)
    swap(checkout, "_wake_uplink", lambda _head: None)
    try:
        outcome.append(sell())
    finally:
        del database.sale
        swap(checkout, "_wake_uplink", wake)
    return outcome[0]


PLANTED = Planted(
    id="R2",
    title="reply before persist in the shell",
    fault="till kill",
    expected="receipts",
    scenario="till-trouble",
    kinds=("till",),
    plant=plant,
)
