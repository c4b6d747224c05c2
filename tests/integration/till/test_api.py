"""The till's HTTP API: what a cashier does with it, and what hostile requests get."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from litestar.testing import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from syncref.auth import hash_secret
from syncref.errors import Busy, ConfigInvalid
from syncref.metrics import Meter
from syncref.till.app import build_app
from syncref.till.desk import LOG_INS_MAX
from syncref.till.problems import request_ids
from syncref.till.progress import Progress
from tests.integration.till.fake_server import FakeServer
from tests.integration.till.shop import CATALOGUE, PIN
from tests.integration.till.test_sync import Shop, open_shop

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Yield a running till on SQLite with a cashier, next to a fake server."""
    folder = tmp_path_factory.mktemp("api")
    server = FakeServer()
    for table, rows in CATALOGUE.items():
        for row in rows:
            server.office.put(table, *row)  # type: ignore[arg-type]
    server.office.put("cashier", "C1", "Ann", hash_secret(PIN), 1)
    server.office.put("cashier", "C2", "Bob", hash_secret(PIN), 0)
    made = open_shop(f"sqlite:///{folder}/till.db", folder, server)
    made.till.start()
    made.until_loaded()
    made.open_day()
    yield made
    made.till.stop()
    server.close()


@pytest.fixture(scope="module")
def client(shop: Shop) -> Iterator[TestClient[Any]]:
    """Yield a client that is logged in."""
    with TestClient(request_ids(build_app(shop.till.desk))) as made:  # type: ignore[type-var]
        answer = made.post("/v1/session", json={"cashier_id": "C1", "pin": PIN})
        made.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        yield made


def sale(**changes: object) -> dict[str, object]:
    """Return the body of a sale."""
    return {
        "op_id": secrets.token_hex(16),
        "lines": [{"sku": "P001", "qty": 1000, "discount": 0}],
        "payments": [{"tender": "cash", "amount": None}],
        **changes,
    }


def test_a_sale_is_answered_as_documented(client: TestClient[Any]) -> None:
    """Online, the answer waits for the server's ack within its budget."""
    body = sale()
    answer = client.post("/v1/sales", json=body)
    receipt = answer.json()
    assert answer.status_code == 200
    assert (receipt["op_id"], receipt["kind"], receipt["gross"]) == (body["op_id"], "sale", 101)
    assert receipt["lines"][0] == {
        "line_no": 1, "sku": "P001", "qty": 1000, "unit_price": 101, "price_version": 1, "tax_rate_bp": 700,
        "discount": 0, "tax": 7, "amount": 101,
    }  # fmt: skip
    assert receipt["payments"] == [{"n": 1, "tender": "cash", "amount": 101}]
    again = client.post("/v1/sales", json=body).json()
    looked_up = client.get(f"/v1/operations/{body['op_id']}").json()
    for other in (again, looked_up):
        assert {**other, "sync": 0} == {**receipt, "sync": 0}
    edited = {**body, "payments": [{"tender": "card", "amount": None}]}
    assert client.post("/v1/sales", json=edited).json()["code"] == "operation_reused"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v1/sales", sale(lines=[]), 400, "request_invalid"),
        ("POST", "/v1/sales", sale(op_id="xyz"), 400, "request_invalid"),
        ("POST", "/v1/sales", sale(payments=[{"tender": "shells"}]), 400, "request_invalid"),
        ("POST", "/v1/sales", sale(lines=[{"sku": "P001", "qty": 2**70}]), 400, "request_invalid"),
        ("POST", "/v1/sales", sale(extra=1), 400, "request_invalid"),
        ("POST", "/v1/sales", sale(lines=[{"sku": "NOPE", "qty": 1}]), 422, "rule_broken"),
        ("POST", "/v1/sales", sale(payments=[{"tender": "cash", "amount": 5}]), 422, "unbalanced"),
        ("POST", "/v1/voids", {"op_id": "0" * 32, "receipt_no": "T09-X-1"}, 422, "rule_broken"),
        ("POST", "/v1/sales", sale(lines=[{"sku": "P001\n", "qty": 1000}]), 400, "request_invalid"),
        ("GET", "/v1/prices/NOPE", None, 404, "not_found"),
        ("GET", "/v1/prices/P001%00", None, 400, "request_invalid"),
        ("GET", "/v1/stock/P001%00", None, 400, "request_invalid"),
        ("GET", "/v1/prices?sku=P001&sku=P%00", None, 400, "request_invalid"),
        ("GET", "/v1/prices", None, 400, "request_invalid"),
        ("GET", "/v1/operations/" + "0" * 32, None, 404, "not_found"),
        ("GET", "/nowhere", None, 404, "not_found"),
        ("DELETE", "/v1/status", None, 405, "method_not_allowed"),
        ("POST", "/v1/session", {"cashier_id": "C2", "pin": PIN}, 401, "unauthorized"),
    ],
)
def test_refusals_have_their_status_and_code(  # noqa: PLR0917 - the columns of the table above
    client: TestClient[Any], method: str, path: str, body: object, status: int, code: str
) -> None:
    """Every error is a Problem with a stable code, and names its request."""
    answer = client.request(method, path, json=body, headers={"X-Request-Id": "mine-1"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["definite"]) == (status, code, True)
    assert (problem["request_id"], answer.headers["x-request-id"]) == ("mine-1", "mine-1")


def test_whoever_knocks_without_end_keeps_no_cashier_waiting_for_long(
    shop: Shop, client: TestClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log-ins need no token, and are done one at a time: beyond a bound they are refused cheaply."""
    desk = shop.till.desk
    # long enough that some wait for others, as for a real PIN's hash
    monkeypatch.setattr(desk.sessions, "log_in", lambda *_: time.sleep(0.002) or "token")

    async def knock() -> list[object]:
        asked = (desk.log_in(f"X{n}", "1") for n in range(LOG_INS_MAX + 9))
        return await asyncio.gather(*asked, return_exceptions=True)

    refused = [answer for answer in asyncio.run(knock()) if isinstance(answer, Busy)]
    assert len(refused) == 9
    assert client.post("/v1/session", json={"cashier_id": "C1", "pin": PIN}).status_code == 200


@pytest.mark.parametrize("body", [b'{"cashier_id":"\xff","pin":"1"}', b'{"cashier_id":' + b"[" * 3000])
def test_json_that_cant_be_read_is_refused_definitely(client: TestClient[Any], body: bytes) -> None:
    """Text that is not UTF-8, and nesting without end: no failure of the till, and no trace in its log."""
    answer = client.post("/v1/session", content=body, headers={"Content-Type": "application/json"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["where"]) == (400, "request_invalid", "body")
    assert problem["definite"] is True


def test_a_body_too_large_is_refused_unread(client: TestClient[Any]) -> None:
    """Bodies have a bound."""
    answer = client.post("/v1/sales", content=b"[" * 300_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer x.y", "Basic abc"])
def test_without_a_good_token_nothing_is_sold(client: TestClient[Any], token: str) -> None:
    """Missing, malformed and forged tokens are told alike."""
    answer = client.post("/v1/sales", json=sale(), headers={"Authorization": token})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_wrong_pins_make_only_that_cashier_wait(client: TestClient[Any]) -> None:
    """Throttling is per identity."""
    codes = [client.post("/v1/session", json={"cashier_id": "C9", "pin": "x"}).json()["code"] for _ in range(5)]
    assert codes[-1] == "too_many_attempts"
    assert client.post("/v1/session", json={"cashier_id": "C1", "pin": PIN}).status_code == 200


def test_prices_of_one_request_are_of_one_instant(client: TestClient[Any]) -> None:
    """What is not sold is absent; the rest shares its instant."""
    found = client.get("/v1/prices?sku=P001&sku=NOPE&sku=P002").json()
    assert [price["sku"] for price in found] == ["P001", "P002"]
    assert len({price["at_ms"] for price in found}) == 1


def test_status_and_health_are_open(client: TestClient[Any]) -> None:
    """Whoever watches a till needs no token."""
    client.post("/v1/sales", json=sale())
    status = client.get("/v1/status", headers={"Authorization": ""}).json()
    assert (status["till"], status["loaded"], status["day"]["open"]) == ("T01", True, True)
    assert client.get("/v1/health").json() == {"status": "live"}


def test_metrics_follow_openmetrics_and_count_what_the_counter_did(client: TestClient[Any], shop: Shop) -> None:
    """Both formats parse, and a repeated sale is one operation but two replies."""
    with served(shop) as url:
        before = figures(requests.get(f"{url}/metrics", headers=OPENMETRICS, timeout=10))
        body = sale()
        for _ in range(2):
            assert client.post("/v1/sales", json=body).status_code == 200
        client.get("/v1/prices/NOPE")
        answer = requests.get(f"{url}/metrics", headers=OPENMETRICS, timeout=10)
        older = requests.get(f"{url}/metrics", timeout=10)
    after = figures(answer)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert older.headers["content-type"].startswith("text/plain; version=")
    assert list(text_string_to_metric_families(older.text))

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0.0)

    assert grown("syncref_till_operations_total", kind="sale") == 1
    assert sum(grown("syncref_till_replies_total", sync=sync) for sync in ("synced", "stored")
               if ("syncref_till_replies_total", (("sync", sync),)) in after) == 2  # fmt: skip
    assert grown("syncref_http_refused_total", code="not_found") == 1
    sold = {"method": "POST", "route": "/v1/sales", "code": "200"}
    assert grown("syncref_http_request_duration_seconds_count", **sold) == 2
    assert after["syncref_till_head_sequence", ()] == shop.state().head_seq
    assert after["syncref_till_sync_threads_alive", ()] == 1
    assert ("syncref_till_info", (("incarnation", shop.state().incarnation.hex()), ("till", "T01"))) in after


def test_metrics_are_told_on_loopback_or_for_the_token(
    client: TestClient[Any], shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine needs the token of metrics_token_file; with one, so does this machine."""
    assert client.get("/metrics").status_code == 403
    file = tmp_path / "token"
    file.write_text("a token for the monitor\n")
    monkeypatch.setattr(shop.till.desk, "meter", Meter(token_file=file))
    for shown, status in (("a token for the monitor", 200), ("another", 401), ("", 401), ("\u00e4", 401)):
        headers = {"Authorization": f"Bearer {shown}".encode()}
        assert client.get("/metrics", headers=headers).status_code == status  # type: ignore[arg-type]
    for text in ("", None):
        with pytest.raises(ConfigInvalid, match="metrics_token_file"):
            Meter(token_file=tmp_path / "absent" if text is None else _written(tmp_path / "empty", text))


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def figures(answer: requests.Response) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the samples of an OpenMetrics answer by name and labels."""
    assert answer.status_code == 200
    found = {}
    for family in openmetrics(answer.text):
        assert family.documentation, family.name
        for each in family.samples:
            found[each.name, tuple(sorted(each.labels.items()))] = each.value
    return found


def test_a_manual_sync_says_how_far_it_came(client: TestClient[Any], shop: Shop) -> None:
    """Both halves, or one of them."""
    answer = client.post("/v1/sync", json={"what": "all"}).json()
    assert answer["ok"]
    assert answer["up"]["acked"] == shop.state().head_seq
    assert "down" not in client.post("/v1/sync", json={"what": "up"}).json()


def test_a_reply_waits_for_its_ack_only_online_and_within_the_budget() -> None:
    """Offline there is no waiting; online there is an end to it."""

    async def story() -> list[float]:
        progress = Progress(acked=0, safe=0)
        taken = []
        for online, budget_s in ((False, 60.0), (True, 0.05)):
            if online:
                progress.moved(acked=0, safe=0)
            at = time.monotonic()
            await progress.wait_acked(1, budget_s=budget_s)
            taken.append(time.monotonic() - at)
        threading.Timer(0.05, lambda: progress.moved(acked=1, safe=0)).start()
        await progress.wait_acked(1, budget_s=60)
        threading.Timer(0.05, progress.lost).start()
        await progress.wait_acked(2, budget_s=60)
        return taken

    offline, online = asyncio.run(asyncio.wait_for(story(), 30))
    assert offline < 60
    assert online >= 0.05


def test_whatever_is_generated_is_answered_and_never_crashes_the_till(
    client: TestClient[Any], shop: Shop, request: pytest.FixtureRequest
) -> None:
    """Whatever the description allows or forbids: a documented answer, never a 500. `--fuzz-s`: for longer."""
    end = time.monotonic() + request.config.getoption("--fuzz-s")
    authorization = client.headers["Authorization"]
    with served(shop) as url:
        schema = schemathesis.openapi.from_url(f"{url}/schema/openapi.json")
        while True:
            for result in schema.get_all_operations():
                operation = result.ok()
                if operation.path not in ("/v1/session", "/v1/sync"):
                    check(operation, authorization)
            if time.monotonic() >= end:
                break
    assert client.get("/v1/status").status_code == 200


@contextmanager
def served(shop: Shop) -> Iterator[str]:
    """Serve a till over TCP and yield its URL."""
    server = uvicorn.Server(
        uvicorn.Config(request_ids(build_app(shop.till.desk)), port=0, log_config=None, lifespan="off")
    )
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def check(operation: Any, authorization: str) -> None:
    """Send one operation what its description allows and forbids."""
    session = requests.Session()
    for mode in schemathesis.GenerationMode:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def send(case: Any) -> None:
            answer = case.call(session=session, headers={"Authorization": authorization})
            assert answer.status_code < 500, answer.text
            assert "x-request-id" in {name.lower() for name in answer.headers}

        with suppress(Unsatisfiable):  # what takes nothing can't be asked wrongly
            send()
    session.close()
