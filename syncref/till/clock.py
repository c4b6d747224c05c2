"""The till's own clock: wall time, plus the error that a test lab may give it through a file."""

from __future__ import annotations

import time
from pathlib import Path

_REREAD_S = 0.2


class TillClock:
    """Epoch milliseconds of the till's wall clock."""

    def __init__(self, offset_file: Path | None = None) -> None:
        self._file = offset_file
        self._offset_ms = 0
        self._read_at = -_REREAD_S
        self._latest_ms = 0

    def now_ms(self) -> int:
        """Return the till's wall clock; it may jump, as wall clocks do."""
        if self._file is not None and time.monotonic() - self._read_at >= _REREAD_S:
            self._read_at = time.monotonic()
            self._offset_ms = self._read(self._file)
        return time.time_ns() // 1_000_000 + self._offset_ms

    def price_ms(self) -> int:
        """Return the wall clock as far as it went forward: the instant for prices never goes back."""
        self._latest_ms = max(self._latest_ms, self.now_ms())
        return self._latest_ms

    def _read(self, file: Path) -> int:
        try:
            return int(file.read_text(encoding="ascii").strip() or 0)
        except FileNotFoundError:
            return 0
        except (OSError, ValueError):
            return self._offset_ms
