"""A till that loses its live server: it goes on at the promoted one, with its journal and its masters."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncref.server.masters_import import import_folder
from syncref.server.provision import provision as provision_server
from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import provision
from tests.integration.server.pair import Pair, Site, until
from tests.integration.server.shop import SECRET
from tests.integration.till.test_sync import Shop

MASTERS = {
    "tax_rates": "tax_code,rate_bp\nN,1900\n",
    "vendors": "vendor_id,name\nV1,Vendor\n",
    "products": "sku,name,tax_code,vendor_id\nP001,Milk,N,V1\nP002,Soap,N,V1\n",
    "prices": "sku,valid_from_ms,amount\nP001,0,199\nP002,0,250\n",
}


@pytest.fixture
def pair(pair: Pair, tmp_path: Path) -> Pair:
    """Return a live server with masters and its preproduction, both running."""
    for name, content in MASTERS.items():
        (tmp_path / f"{name}.csv").write_text(content)
    engine = pair.live.engine()
    provision_server(engine, [])
    import_folder(engine, tmp_path, at_ms=1)
    engine.dispose()
    pair.start()
    return pair


@pytest.fixture
def shop(pair: Pair, till_dsn: str, tmp_path: Path) -> Iterator[Shop]:
    """Yield a till that knows both servers, is loaded and has an open day."""
    database = TillDatabase(till_dsn)
    provision(database, name="T01", cluster=str(pair.live.value("SELECT cluster FROM term")))
    database.close()
    made = Shop(till_dsn, tmp_path, (pair.live.url, pair.preprod.url), request_timeout_ms=5000)
    made.settings.till.credential_file.write_text(SECRET + "T01")
    made.till._secret = SECRET + "T01"
    made.restart()
    made.until_loaded()
    made.open_day()
    yield made
    made.till.stop()


def entries(site: Site) -> int:
    """Return how many entries a server has of the till."""
    return int(site.value("SELECT count(*) FROM entry"))


def test_a_till_goes_on_at_the_promoted_server_and_its_masters_become_that_servers(pair: Pair, shop: Shop) -> None:
    """Sales never stop; what the standby lacked is sent again; a price that it never had is taken back."""
    shop.sell(3)
    shop.until_acked()
    until(lambda: entries(pair.preprod) == 4, "the replay")
    pair.preprod.cut()
    shop.sell(2)
    shop.until_acked()
    price = {"sku": "P001", "valid_from_ms": 0, "amount": 777}
    answer = pair.clerk(pair.live).document("prices", op_id=secrets.token_hex(16), prices=[price])
    assert answer.json["status"] == "at_risk"
    shop.until(lambda: amount(shop) == 777, "the new price")
    assert shop.state().acked == 6
    pair.live.kill()
    shop.sell()
    assert pair.preprod.reign().promote().term.n == 2
    shop.until(lambda: shop.state().term_n == 2, "the new term")
    shop.until_acked()
    assert entries(pair.preprod) == shop.state().head_seq == 7
    shop.until(lambda: shop.state().cursor_n == 2 and amount(shop) == 199, "the promoted server's price")
    assert shop.till.downlink.newer_rows >= 1
    pair.live.start()
    until(lambda: pair.live.role().role.value == "fenced", "the fence")
    shop.sell()
    shop.until_acked()
    assert (entries(pair.preprod), entries(pair.live)) == (8, 6)
    ops = "SELECT count(DISTINCT op_id) FROM receipt WHERE status = 'posted'"
    assert pair.preprod.value(ops) == 7


def amount(shop: Shop) -> int:
    """Return the price of P001 on the till."""
    (price,) = shop.till.desk._prices(["P001"])
    return price.unit_price
