"""Cut: the cable is pulled out. Open connections break, new ones are refused."""

from __future__ import annotations

from chaos.faults.onlink import StarvingFault
from chaos.fleet.links import Link


class Cut(StarvingFault):
    """Disables the links."""

    kind = "cut"
    outcome = "refused"

    def impose(self, link: Link) -> None:
        """Disable the proxy."""
        link.cut()
