"""S34: the server does not look clerks' op ids up."""

from __future__ import annotations

from chaos.fleet.simulated.backoffice import BackOffice
from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile


def prior_edit(self: BackOffice, op_id: bytes) -> None:
    """Know no document."""


MUTANT = Mutant(
    id="S34",
    title="clerk's retry posts twice",
    fault="reply cut",
    expected="stock",
    profile=Profile(misfortunes={"clerks_cut": 3.0}, edits=12, sales=4, edit_kinds=("delivery", "price")),
    swaps=[(BackOffice, "prior_edit", prior_edit)],
)
