"""Starts a process of the system under test with a bug planted in it: `-m rehearsal.prove.launcher R5 till ...`.

Reached only through `plant_in`, which `tillproof prove` and the tests hand to a fleet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

from chaos.fleet.plan import NodePlan
from rehearsal.prove.planted import Planted, planted_of
from rehearsal.staging.servers import PROGRAM


def plant_in(bug: Planted) -> Callable[[NodePlan], NodePlan]:
    """Return what makes a fleet start the bug's kinds of nodes with the bug in them."""

    def rewrite(plan: NodePlan) -> NodePlan:
        words = len(PROGRAM)
        if plan.argv[1 : 1 + words] != PROGRAM or plan.argv[1 + words] not in bug.kinds:
            return plan
        launched = (plan.argv[0], "-m", __name__, bug.id, *plan.argv[1 + words :])
        return replace(plan, argv=launched)

    return rewrite


def main() -> None:
    """Plant the bug named first, then be the command that follows."""
    planted_of(sys.argv[1]).plant()
    sys.argv = ["syncref", *sys.argv[2:]]
    from syncref.cli import main as command

    command()


if __name__ == "__main__":
    main()
