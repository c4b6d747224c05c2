"""A thread of the lab, beside the run's own.

Keeps: one that broke, or does not come to its end, is told as trouble, never taken for one that had no more to do.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from pathlib import Path


class LabThread(threading.Thread):
    """Does some work until it is over; what it dies of is kept."""

    def __init__(self, work: Callable[..., None], *args: object, name: str) -> None:
        super().__init__(target=work, args=args, name=name, daemon=True)
        self._died = ""

    def run(self) -> None:
        """Do the work."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame, which reports
            traceback.print_exc()
            place = traceback.extract_tb(error.__traceback__)[-1]
            self._died = f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"

    def end(self, within_s: float) -> list[str]:
        """Wait for the thread, if it was started; return what is wrong with it, nothing when it has ended well."""
        if self.ident is not None:
            self.join(within_s)
        if self._died:
            return [f"the lab's thread {self.name} broke: {self._died}"]
        return [f"the lab's thread {self.name} did not come to its end"] * self.is_alive()
