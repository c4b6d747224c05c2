"""Black hole: the network swallows everything. No reset, no refusal: open connections go silent, too."""

from __future__ import annotations

from chaos.faults.onlink import StarvingFault
from chaos.fleet.links import Link
from chaos.proxy.client import Toxic


class BlackHole(StarvingFault):
    """Drops the bytes of both directions on connections that stay open."""

    kind = "black_hole"
    outcome = "silent"

    def impose(self, link: Link) -> None:
        """Add a time-out toxic that never closes, on open connections as well."""
        for stream in ("upstream", "downstream"):
            link.add(
                Toxic(name=f"black_hole_{stream}", type="timeout", stream=stream, attributes={"timeout": 0}),
                live=True,
            )
