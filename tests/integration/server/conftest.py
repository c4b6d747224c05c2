"""One provisioned shop per test module, on a fresh database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncref.auth import Identity
from syncref.backoffice.app import create as create_backoffice
from syncref.config import BackofficeConfig, ServerConfig
from syncref.server.app import create as create_server
from syncref.server.provision import provision
from syncref.store.server_open import open_engine
from tests.integration.server.shop import SECRET, Shop, running

FOLD_MS = 50


@pytest.fixture(scope="module")
def shop(postgres_dsn: str) -> Iterator[Shop]:
    """Yield a shop with tax rate A, vendor V1, products P1 to P3 with prices, tills T01 to T12 and a clerk."""
    engine = open_engine(postgres_dsn, connections=4)
    tills = [Identity(kind="till", name=f"T{n:02d}") for n in range(1, 16)]
    clerk = Identity(kind="clerk", name="alice")
    provision(engine, [(who, SECRET + who.name) for who in [*tills, clerk]])
    config = ServerConfig(listen="127.0.0.1:0", stock_fold_ms=FOLD_MS)
    server = create_server(config, postgres_dsn)
    office = create_backoffice(BackofficeConfig(listen="127.0.0.1:0"), postgres_dsn)
    with running(server) as server_url, running(office) as office_url:
        made = Shop(server_url=server_url, office_url=office_url, engine=engine)
        fill(made)
        yield made
        for client in made.clients:
            client.close()
    engine.dispose()


def fill(shop: Shop) -> None:
    """Enter the first masters as a clerk does."""
    clerk = shop.clerk()
    products = [{"sku": f"P{n}", "name": f"Product {n}", "tax_code": "A", "vendor_id": "V1"} for n in (1, 2, 3)]
    prices = [{"sku": f"P{n}", "valid_from_ms": 0, "amount": 100 * n} for n in (1, 2, 3)]
    for path, body in (
        ("tax-rates", {"tax_rates": [{"tax_code": "A", "rate_bp": 1900}]}),
        ("vendors", {"vendors": [{"vendor_id": "V1", "name": "Acme"}]}),
        ("products", {"products": products}),
        ("prices", {"prices": prices}),
    ):
        assert clerk.document(path, **body).status == 200
