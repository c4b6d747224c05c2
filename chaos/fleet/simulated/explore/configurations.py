"""The four configurations, each in a size that fits a check of every change and one that fits a night."""

from __future__ import annotations

from chaos.fleet.simulated.explore.down_model import DownModel
from chaos.fleet.simulated.explore.engine import Model
from chaos.fleet.simulated.explore.settle_model import SettleModel
from chaos.fleet.simulated.explore.up_model import UpModel
from chaos.fleet.simulated.explore.up_state import Budget


def small() -> list[Model]:
    """Return what is walked whole within two minutes on one processor."""
    return [
        UpModel("a: two uploaders, killed between effects", Budget(sales=1, kills=1), uploaders=2),
        UpModel("a: messages lost, late and repeated", Budget(sales=2, drops=1, lates=1)),
        UpModel("b: promoted and back", Budget(sales=2, promotions=1, server_kills=1), prune=True),
        UpModel(
            "b: there and back, the old one confirmed",
            Budget(sales=1, promotions=1, server_kills=2, confirmations=1),
        ),
        UpModel("b: restored", Budget(sales=2, restores=1)),
        UpModel("b: rolled back", Budget(sales=2, rollbacks=1)),
        DownModel("c: documents, one sync", syncs=1, edits=2, urgents=1, promotions=1),
        DownModel("c: two syncs", syncs=2, edits=1, urgents=1),
        SettleModel("d: settlement", sales=1, refunds=1, poisons=1),
    ]


def large() -> list[Model]:
    """Return what is walked as far as the time goes."""
    return [
        UpModel("a: two uploaders", Budget(sales=2, kills=1, drops=1), uploaders=2),
        UpModel(
            "b: promoted, lost and back",
            Budget(sales=3, promotions=1, server_kills=1, drops=1),
            prune=True,
        ),
        UpModel("b: restored and rolled back", Budget(sales=2, restores=1, rollbacks=1)),
        DownModel("c: one sync", syncs=1, edits=1, urgents=1, deletes=1, holds=1, promotions=1),
        DownModel("c: two syncs", syncs=2, edits=1, urgents=1, deletes=1, promotions=1),
        SettleModel("d: settlement", sales=2, refunds=1, poisons=1),
    ]
