"""The two places where the shop's server may be: the live one of the beginning, and preproduction.

Names of nodes, and nothing else: which of them is live at a moment only their databases can say.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A sync server, its database and its back office, as nodes of the fleet. `rank` is its own of all sides."""

    server: str
    postgres: str
    office: str
    rank: int

    @property
    def nodes(self) -> tuple[str, ...]:
        """The side's nodes in the order in which they are started."""
        return (self.postgres, self.server, self.office)


LIVE = Side(server="server", postgres="postgres", office="backoffice", rank=1)
PREPRODUCTION = Side(
    server="preproduction", postgres="postgres-standby", office="backoffice-preproduction", rank=0
)


def sides_of(*, preproduction: bool) -> tuple[Side, ...]:
    """Return the sides of a shop, the one that is live at the beginning first."""
    return (LIVE, PREPRODUCTION) if preproduction else (LIVE,)


def other_side(sides: tuple[Side, ...], side: Side) -> Side | None:
    """Return the side that may take over, None where there is one side only."""
    return next((one for one in sides if one != side), None)


def side_of(sides: tuple[Side, ...], server: str) -> Side:
    """Return the side of a sync server."""
    return next(side for side in sides if side.server == server)
