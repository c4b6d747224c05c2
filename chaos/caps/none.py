"""No caps: nodes run free, and the report says why. Keeps: nothing is called enforced that isn't."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaos.caps.base import Cage, Counters
from chaos.profiles import Caps


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCage:
    """No limits at all."""

    procs_files: tuple[Path, ...] = ()
    argv_prefix: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()

    def read(self, pid: int | None) -> Counters:
        """Return counters that say that nothing was enforced."""
        return Counters(enforced=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoCaps:
    """The way of a machine that offers no other."""

    reason: str
    kind: str = "none"

    def cage(self, run: str, node: str, caps: Caps) -> Cage:
        """Return no limits."""
        return OpenCage()
