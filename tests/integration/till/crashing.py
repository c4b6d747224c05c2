"""The till or server with a trap at every persist and send boundary: `crashing.py FOLDER till --config ...`.

A trap springs when FOLDER/trap holds its name: the file is removed, FOLDER/sprung gets the name, and the whole
process dies at once, as by kill -9. Names are "till NAME before|after" and "server NAME before|after".
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
KILLED = signal.SIGKILL


def trap(name: str) -> None:
    """Die here if this trap is set."""
    file = FOLDER / "trap"
    try:
        if file.read_text() != name:
            return
        file.rename(FOLDER / "sprung")
    except FileNotFoundError:
        return
    if os.environ.get("CRASHING_PARENT") == str(os.getppid()):  # a server's worker takes its parent along
        os.kill(os.getppid(), KILLED)
    os.kill(os.getpid(), KILLED)


def around(owner: Any, attribute: str, name: Callable[..., str]) -> None:
    """Put a trap before and one after each call; `name` gets the call's arguments."""
    original = getattr(owner, attribute)

    def trapped(*args: Any, **kwargs: Any) -> Any:
        place = name(*args)
        trap(f"{place} before")
        answer = original(*args, **kwargs)
        trap(f"{place} after")
        return answer

    setattr(owner, attribute, trapped)


def set_till_traps() -> None:
    """Every effect of both halves of the sync, every commit of the counter, and every reply."""
    from syncref.store.till_open import TillDatabase
    from syncref.till.checkout import Checkout
    from syncref.till.downlink import Downlink
    from syncref.till.uplink import Uplink

    around(Uplink, "carry_out", lambda _self, effect: f"till {type(effect).__name__}")
    around(Downlink, "carry_out", lambda _self, effect: f"till {type(effect).__name__}")
    around(Checkout, "_carry_out", lambda *_: "till sale")
    sale = TillDatabase.sale

    @contextmanager
    def committing(self: TillDatabase) -> Iterator[Any]:
        with sale(self) as connection:
            yield connection
            trap("till commit before")
        trap("till commit after")

    TillDatabase.sale = committing  # type: ignore[method-assign]


def set_server_traps() -> None:
    """Every transaction of the ingest before and after its commit, every step in it, and the stock's folding."""
    from syncref.server import background, ingest
    from syncref.store import server_ingest

    os.environ["CRASHING_PARENT"] = str(os.getpid())
    around(ingest.Ingest, "hello", lambda *_: "server hello")
    around(ingest.Ingest, "batch", lambda *_: "server batch")
    for step in ("put_session", "append_entries", "store_typed", "advance"):
        around(server_ingest, step, lambda *_, step=step: f"server {step}")
    around(background, "fold", lambda *_: "server fold")


def main() -> None:
    """Set the traps of the command that follows, and be it."""
    sys.argv = ["syncref", *sys.argv[2:]]
    {"till": set_till_traps, "server": set_server_traps}[sys.argv[1]]()
    from syncref.cli import main as command

    command()


if __name__ == "__main__":
    main()
