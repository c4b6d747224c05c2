"""Hostile, damaged and oversized requests: a clear error, the right status, and the server goes on."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
import schemathesis
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.server.shop import SECRET, Shop, Till

FUZZ = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def till(shop: Shop) -> Till:
    """Return a till that has shaken hands."""
    return shop.till("T01")


@FUZZ
@given(body=st.binary(max_size=300), packed=st.booleans(), path=st.sampled_from(["/v1/hello", "/v1/journal"]))
def test_any_bytes_are_answered_with_400_and_where(till: Till, body: bytes, packed: bool, path: str) -> None:
    """Neither raw bytes nor bytes inside a good zstandard frame bring the server down."""
    answer = till.post_bytes(path, zstandard.compress(body) if packed else body)
    assert (answer.status, answer.json["code"], answer.json["where"]) == (400, "request_invalid", "body")


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.text(max_size=8)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=12,
)


@FUZZ
@given(value=st.lists(_VALUES, min_size=5, max_size=9), path=st.sampled_from(["/v1/hello", "/v1/journal"]))
def test_any_message_of_other_shape_is_refused_definitely(till: Till, value: list[Any], path: str) -> None:
    """Well-formed MessagePack of another shape is 4xx, never 5xx."""
    answer = till.post_wire(path, value)
    assert 400 <= answer.status < 500
    assert answer.json["definite"] is True


@FUZZ
@given(payload=st.binary(max_size=200))
def test_any_payload_is_a_fact_that_is_kept(shop: Shop, payload: bytes) -> None:
    """Entries of any bytes are acked, and set aside when they can't be posted."""
    till = _keeper(shop)
    till.journal(payload)
    assert till.flush().seq == len(till.payloads)


_keepers: dict[int, Till] = {}


def _keeper(shop: Shop) -> Till:
    if id(shop) not in _keepers:
        _keepers[id(shop)] = shop.till("T02")
    return _keepers[id(shop)]


@pytest.mark.parametrize("body", [b'{"kind":"till","name":"\xff","secret":"x"}', b'{"kind":' + b"[" * 3000])
def test_json_that_cant_be_read_is_refused_definitely(till: Till, body: bytes) -> None:
    """Text that is not UTF-8, and nesting without end, by whoever has no token: no failure of the server."""
    answer = till.ask("POST", "/v1/token", body=body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json["code"], answer.json["where"]) == (400, "request_invalid", "body")


def test_a_message_that_is_no_utf_8_is_refused(till: Till) -> None:
    """Like any other that can't be decoded."""
    answer = till.post_bytes("/v1/hello", zstandard.compress(b"\x98\xa3T\xff1" + bytes(20)))
    assert (answer.status, answer.json["where"]) == (400, "body")


def test_a_zstandard_bomb_is_refused_before_it_is_opened(till: Till) -> None:
    """What a frame claims to hold is read first."""
    bomb = zstandard.compress(bytes(64 << 20))
    assert len(bomb) < 10_000
    answer = till.post_bytes("/v1/journal", bomb)
    assert (answer.status, answer.json["code"]) == (413, "too_large")


def test_frames_without_a_size_damaged_or_followed_by_more_are_refused(till: Till) -> None:
    """Each with a reason."""
    whole = zstandard.compress(msgspec.msgpack.encode([1]))
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(b"abc")
    for body in (unsized, whole[:-1], whole + b"more", b"", whole[:4]):
        answer = till.post_bytes("/v1/journal", body)
        assert (answer.status, answer.json["where"]) == (400, "body")


def test_a_body_over_its_bound_is_refused(till: Till) -> None:
    """Without being decoded."""
    assert till.post_bytes("/v1/journal", bytes(5 << 20)).status == 413


def test_another_content_type_is_refused(till: Till) -> None:
    """The hot route takes the wire's own type only."""
    answer = till.ask("POST", "/v1/journal", body=b"{}", headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json["where"]) == (400, "content-type")


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"pos": "x"}, "pos"),
        ({"pos": -1}, "pos"),
        ({}, "pos"),
        ({"pos": 1 << 63}, "pos"),
        ({"pos": 0, "wait_ms": 10**9}, "wait_ms"),
        ({"pos": 0, "after_tbl": "price"}, "after_tbl"),
        ({"pos": 0, "scan_to": 9, "after_tbl": "nothing", "after_key": "[]"}, "table"),
        ({"pos": 0, "scan_to": 9, "after_tbl": "price", "after_key": '["x"]'}, "key"),
        ({"pos": 0, "scan_to": 9, "after_tbl": "vendor", "after_key": '["\\u0000"]'}, "key"),
        ({"pos": 0, "scan_to": 9, "after_tbl": "price", "after_key": '["P1","STD",9223372036854775808]'}, "key"),
    ],
)
def test_a_bad_query_of_the_feed_names_its_place(till: Till, query: dict[str, Any], where: str) -> None:
    """The parameter at fault is in the answer."""
    answer = till.ask("GET", "/v1/feed", fields=query)
    assert (answer.status, answer.json["code"], answer.json["where"]) == (400, "request_invalid", where)


def test_unknown_paths_and_methods_are_problems_too(till: Till) -> None:
    """With a code and a request id; a client's own id comes back when it is fit."""
    for method, path, status in (("GET", "/v1/nothing", 404), ("DELETE", "/v1/feed", 405)):
        answer = till.ask(method, path, headers={"X-Request-Id": "mine-1"})
        assert (answer.status, answer.json["request_id"]) == (status, "mine-1")
        assert answer.headers["X-Request-Id"] == "mine-1"
    unfit = till.ask("GET", "/v1/health", headers={"X-Request-Id": "a b"})
    assert unfit.headers["X-Request-Id"] not in {"a b", ""}


@pytest.mark.parametrize("which", ["server", "office"])
def test_generated_requests_never_bring_a_500(shop: Shop, which: str, request: pytest.FixtureRequest) -> None:
    """Whatever the OpenAPI description allows or forbids: documented statuses, no internal error."""
    lasting_s = request.config.getoption("--fuzz-s")
    client = shop.clerk() if which == "office" else shop.till("T03")
    client.log_in(SECRET + client.name)
    schema = schemathesis.openapi.from_url(client.url + "/schema/openapi.json")
    headers = {"Authorization": f"Bearer {client.token}"}

    @settings(max_examples=50 if lasting_s else 6, deadline=None, derandomize=not lasting_s, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy())
        if "wait_ms" in (case.query or {}):
            case.query["wait_ms"] = 0
        response = case.call(headers=headers)
        assert response.status_code < 500, (case.method, case.path, response.text)
        assert response.headers.get("x-request-id")

    names = []
    end = time.monotonic() + lasting_s
    while not names or time.monotonic() < end:
        for result in schema.get_all_operations():
            operation = result.ok()
            names.append(operation.path)
            ask()
    assert len(names) >= 9
