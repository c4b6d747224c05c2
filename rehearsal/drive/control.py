"""What a person asked of a run by hand: to halt, to hold the schedule back, a note.

Keeps: a pause only holds back what has not begun, and what is asked for goes on record.
"""

from __future__ import annotations

import threading
import time

from rehearsal.model import Intervention


class Control:
    """What was asked for by hand; safe to use from several threads."""

    def __init__(self) -> None:
        self._halted = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._lock = threading.Lock()
        self._done: list[Intervention] = []
        self.begin = time.monotonic()

    @property
    def halted(self) -> bool:
        """Whether the selling is to end now."""
        return self._halted.is_set()

    @property
    def paused(self) -> bool:
        """Whether no fault of the schedule may begin."""
        return not self._going.is_set()

    def halt(self) -> None:
        """End the selling: what is on is lifted, and the run is settled and judged as interrupted."""
        self._halted.set()
        self._going.set()

    def check(self) -> None:
        """Raise KeyboardInterrupt, as Ctrl-C does, once the selling is to end."""
        if self.halted:
            raise KeyboardInterrupt

    def pause(self) -> None:
        """Hold back the faults of the schedule that have not begun."""
        self._going.clear()

    def resume(self) -> None:
        """Let the schedule go on; faults that came due begin now."""
        self._going.set()

    def wait_while_paused(self, ended: threading.Event) -> None:
        """Return once the schedule may go on, or has ended."""
        while not ended.is_set() and not self._going.wait(0.2):
            pass

    def note(self, what: str, targets: tuple[str, ...] = (), text: str = "") -> None:
        """Put on record that something was asked for, or what came of it."""
        at_s = round(time.monotonic() - self.begin, 2)
        with self._lock:
            self._done.append(Intervention(at_s=at_s, what=what, targets=targets, text=text))

    def done(self) -> tuple[Intervention, ...]:
        """Return everything on record, in order."""
        with self._lock:
            return tuple(self._done)
