"""Which proxy server links run through: Toxiproxy where its binary is at hand, the built-in one elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaos.errors import CannotRun

Choice = Literal["auto", "toxiproxy", "builtin"]
VARIABLE = "TILLPROOF_TOXIPROXY"
BINARY = "toxiproxy-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A proxy server that can be started. `program` is the binary of a Toxiproxy."""

    name: Literal["toxiproxy", "builtin"]
    program: Path | None = None

    def argv(self, host: str, port: int, seed: int) -> tuple[str, ...]:
        """Return the argument list of a server whose API listens at `host`:`port`."""
        if self.program is None:
            return (sys.executable, "-m", "chaos.proxy.server", "--listen", f"{host}:{port}", "--seed", str(seed))
        words = ("-host", host, "-port", str(port), "-seed", str(seed), "-proxy-metrics")
        return (str(self.program), *words)


BUILTIN = Engine(name="builtin")


def toxiproxy_program() -> Path | None:
    """Return the Toxiproxy server's binary: the one that $TILLPROOF_TOXIPROXY names, or the one on PATH."""
    named = os.environ.get(VARIABLE)
    if named:
        if not os.access(named, os.X_OK):
            raise CannotRun(f"{VARIABLE}={named}: not an executable file")
        return Path(named)
    found = shutil.which(BINARY)
    return Path(found) if found else None


def choose(choice: Choice) -> Engine:
    """Return the engine for a choice; raise CannotRun for a Toxiproxy that isn't there."""
    if choice == "builtin":
        return BUILTIN
    program = toxiproxy_program()
    if program is not None:
        return Engine(name="toxiproxy", program=program)
    if choice == "toxiproxy":
        raise CannotRun(f"no {BINARY} on PATH and ${VARIABLE} is not set")
    return BUILTIN
