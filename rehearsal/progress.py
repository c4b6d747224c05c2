"""What a run says while it runs: sentences that stay, and one line of figures that moves on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.status import Status

PLAIN_EVERY_S = 10.0


class Progress:
    """Lines on a terminal or plain text elsewhere; safe to call from several threads."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._console = Console(file=out or sys.stdout, highlight=False, soft_wrap=True)
        self._begun = time.monotonic()
        self._status: Status | None = None
        self._plain_at = 0.0
        self.heard: Callable[[str], None] = lambda _: None

    def say(self, text: str) -> None:
        """Print a sentence with the time since the run began."""
        self.heard(text)
        self._console.print(f"[dim]{self._elapsed()}[/dim]  {escape(text)}")

    def line(self, text: str) -> None:
        """Print a line as it is."""
        self.heard(text)
        self._console.print(escape(text))

    def figures(self, text: str) -> None:
        """Show the moving line; without a terminal, now and then."""
        if self._console.is_terminal:
            if self._status is None:
                self._status = self._console.status("")
                self._status.start()
            self._status.update(escape(text))
        elif time.monotonic() - self._plain_at >= PLAIN_EVERY_S:
            self._plain_at = time.monotonic()
            self.say(text)

    def still(self) -> None:
        """Take the moving line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _elapsed(self) -> str:
        seconds = int(time.monotonic() - self._begun)
        return f"{seconds // 60:2d}:{seconds % 60:02d}"
