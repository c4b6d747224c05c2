"""A till whose line never carries a whole page of masters in time, through the fault proxy."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from chaos.proxy.client import Toxic
from chaos.proxy.engine import BUILTIN
from syncref.server.embedded import EmbeddedPostgres
from tests.contract.conftest import started
from tests.integration.conftest import new_database
from tests.integration.till.test_with_server import SECRET, Site, free_port

WAIT_S = 240.0
RATE_KB_S = 20
TIMEOUT_MS = 2000
PRODUCTS = 4000


def products(seed: int) -> str:
    """Return many products whose names can't be packed."""
    draw = random.Random(seed)  # noqa: S311  (names for a test)
    rows = [f"S{n:05d},{draw.randbytes(16).hex()},N," for n in range(PRODUCTS)]
    return "\n".join(["sku,name,tax_code,vendor_id", *rows]) + "\n"


def whole(site: Site, path: str, **query: Any) -> bytes:
    """Return what a till gets that asks the server itself, for as much as there is."""
    with urllib3.PoolManager(retries=False, timeout=60.0) as http:
        who = {"kind": "till", "name": "T01", "secret": SECRET}
        token = http.request("POST", site.server_url + "/v1/token", json=who).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = http.request("GET", site.server_url + path, fields=query, headers=headers)
    assert answer.status == 200
    return answer.data


@pytest.fixture
def slow(tmp_path: Path, postgres_cluster: EmbeddedPostgres) -> Iterator[Site]:
    """Yield a running server with many products and an empty till with a slow line to it."""
    site = Site(tmp_path, new_database(postgres_cluster))
    process, proxy = started(BUILTIN)
    try:
        listen = proxy.create("T01", listen=f"127.0.0.1:{free_port()}", upstream=site.server_url[7:]).listen
        till = (tmp_path / "till.toml").read_text().replace(site.server_url, f"http://{listen}")
        (tmp_path / "till.toml").write_text(till + f"request_timeout_ms = {TIMEOUT_MS}\n")
        site.import_masters({"products": products(1)})
        site.start("server")
        toxic = Toxic(name="slow", type="bandwidth", stream="downstream", attributes={"rate": RATE_KB_S})
        proxy.add("T01", toxic)
        site.run("provision", "till", "--config", str(tmp_path / "till.toml"))
        site.start("till")
        yield site
    finally:
        for started_one in site.processes.values():
            started_one.kill()
            started_one.wait()
        process.kill()
        process.wait()


def names(site: Site) -> dict[str, str]:
    """Return the names of the products as the till has them."""
    database = sqlite3.connect(f"file:{site.folder / 'till.db'}?mode=ro", uri=True)
    try:
        return dict(database.execute("SELECT sku, name FROM product WHERE sku LIKE 'S%'"))
    finally:
        database.close()


def arrive(site: Site, seed: int) -> None:
    """Wait until the till has these products; it must come to that some time."""
    wanted = dict(row.split(",")[:2] for row in products(seed).splitlines()[1:])
    end = time.monotonic() + WAIT_S
    while names(site) != wanted:
        assert time.monotonic() < end, f"never arrived\n{(site.folder / 'till.log').read_text()[-2000:]}"
        time.sleep(0.2)


@pytest.mark.long
def test_masters_arrive_over_a_line_that_never_carries_a_whole_page(slow: Site) -> None:
    """Neither the chunk of a first load nor the page of a later change comes in time: shorter ones do."""
    carried = RATE_KB_S * TIMEOUT_MS
    assert len(whole(slow, "/v1/load/product")) > 2 * carried
    arrive(slow, 1)
    slow.until(lambda: slow.status()["loaded"], "the end of the load")
    before = slow.status()["cursor"]["pos"]
    slow.import_masters({"products": products(2)})
    assert len(whole(slow, "/v1/feed", pos=before)) > 2 * carried
    arrive(slow, 2)
