"""What every proxy server must do, seen through the client that the laboratory uses.

Times are only bounded from below: a toxic that delays must delay, a slow machine may delay more. Timers tick in
milliseconds, so the bounds leave a few.
"""

from __future__ import annotations

import random
import time

import pytest
import requests

from chaos.errors import ProxyRefused, ProxyUnavailable
from chaos.proxy.client import ProxyClient, Toxic
from chaos.proxy.engine import Engine
from tests.contract.conftest import free_port, started
from tests.contract.peers import WAIT_S, EchoServer, connected, ends, exactly, silent

NAME = "T01:server"


def toxic(kind: str, stream: str = "downstream", **attributes: int) -> Toxic:
    """Return a toxic named after its kind."""
    return Toxic(name=kind, type=kind, stream=stream, attributes=attributes)


def raw(client: ProxyClient, method: str, path: str, json: object = None) -> requests.Response:
    """Send a request as any other client of the API would."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, f"http://{client.address}{path}", json=json, timeout=WAIT_S)


def test_a_proxy_is_made_listed_and_removed(client: ProxyClient, echo: EchoServer) -> None:
    """What was asked for is what is read back."""
    made = client.create(NAME, listen=f"127.0.0.1:{free_port()}", upstream=echo.address)
    assert (made.name, made.upstream, made.enabled, made.toxics) == (NAME, echo.address, True, ())
    assert client.proxies() == {NAME: made}
    client.delete(NAME)
    assert client.proxies() == {}


def test_names_are_quoted(client: ProxyClient, echo: EchoServer) -> None:
    """A name with spaces, percent and question marks is one path segment."""
    name = "till 7 50%? #ü"
    client.create(name, listen=f"127.0.0.1:{free_port()}", upstream=echo.address)
    assert client.enable(name, False).enabled is False
    assert client.add(name, toxic("latency", latency=1, jitter=0)).toxics[0].name == "latency"


def test_a_name_is_given_once(client: ProxyClient, echo: EchoServer, way: str) -> None:
    """A second proxy of the same name is refused and changes nothing."""
    before = client.proxies()
    with pytest.raises(ProxyRefused, match="already exists"):
        client.create(NAME, listen=f"127.0.0.1:{free_port()}", upstream=echo.address)
    assert client.proxies() == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/proxies/nobody", None, 404),
        ("DELETE", "/proxies/nobody", None, 404),
        ("GET", "/nowhere", None, 404),
        ("POST", "/proxies", {"name": "x"}, 400),
        ("POST", "/proxies", {"upstream": "127.0.0.1:1"}, 400),
        ("POST", "/proxies", [], 400),
        ("POST", f"/proxies/{NAME}/toxics", {"type": "magic"}, 400),
        ("POST", f"/proxies/{NAME}/toxics", {"type": "latency", "stream": "sideways"}, 400),
        ("GET", f"/proxies/{NAME}/toxics/none", None, 404),
        ("DELETE", f"/proxies/{NAME}/toxics/none", None, 404),
    ],
)
def test_wrong_requests_get_an_error(
    client: ProxyClient, way: str, *, method: str, path: str, body: object, status: int
) -> None:
    """Each wrong request has its status, and nothing changes."""
    before = client.proxies()
    assert raw(client, method, path, body).status_code == status
    assert client.proxies() == before


def test_bytes_pass_unchanged(way: str) -> None:
    """A megabyte goes there and back."""
    sent = random.Random(7).randbytes(1024 * 1024)  # noqa: S311
    with connected(way) as connection:
        got = bytearray()
        for at in range(0, len(sent), 65536):
            connection.sendall(sent[at : at + 65536])
            got += exactly(connection, min(65536, len(sent) - at))
    assert bytes(got) == sent


def test_a_disabled_proxy_breaks_connections_and_refuses_new_ones(client: ProxyClient, way: str) -> None:
    """Cut and heal on the same port."""
    with connected(way) as connection:
        connection.sendall(b"x")
        assert exactly(connection, 1) == b"x"
        assert client.enable(NAME, False).enabled is False
        assert ends(connection)
    with pytest.raises(ConnectionRefusedError), connected(way):
        pass
    assert client.enable(NAME).listen == way
    with connected(way) as connection:
        connection.sendall(b"y")
        assert exactly(connection, 1) == b"y"


def test_a_taken_port_is_an_error(client: ProxyClient, echo: EchoServer, way: str) -> None:
    """Neither a new proxy nor one that is enabled claims an address that another program has."""
    with pytest.raises((ProxyRefused, ProxyUnavailable)):
        client.create("second", listen=echo.address, upstream=echo.address)
    client.enable(NAME, False)
    other = EchoServer()
    try:
        raw(client, "POST", f"/proxies/{NAME}", {"listen": other.address})
        with pytest.raises((ProxyRefused, ProxyUnavailable)):
            client.enable(NAME)
        assert client.proxy(NAME).enabled is False
    finally:
        other.close()


def test_an_unreachable_server_ends_the_connection(client: ProxyClient) -> None:
    """A proxy before nothing accepts and closes, and goes on."""
    made = client.create(NAME, listen=f"127.0.0.1:{free_port()}", upstream=f"127.0.0.1:{free_port()}")
    with connected(made.listen) as connection:
        assert ends(connection)
    assert client.proxy(NAME).enabled


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_latency_delays(client: ProxyClient, way: str, stream: str) -> None:
    """A round trip takes at least the latency, and the bytes are the same."""
    client.add(NAME, toxic("latency", stream, latency=150, jitter=0))
    with connected(way) as connection:
        begun = time.monotonic()
        connection.sendall(b"late")
        assert exactly(connection, 4) == b"late"
        assert time.monotonic() - begun >= 0.14


def test_bandwidth_limits(client: ProxyClient, way: str) -> None:
    """20 kB at 50 kB/s take at least 300 ms."""
    client.add(NAME, toxic("bandwidth", rate=50))
    sent = bytes(20_000)
    with connected(way) as connection:
        begun = time.monotonic()
        connection.sendall(sent)
        assert exactly(connection, len(sent)) == sent
        assert time.monotonic() - begun >= 0.3


def test_slow_close_delays_the_end(client: ProxyClient, echo: EchoServer, way: str) -> None:
    """The end of a connection arrives late."""
    client.add(NAME, toxic("slow_close", delay=200))
    with connected(way) as connection:
        connection.sendall(b"x")
        assert exactly(connection, 1) == b"x"
        begun = time.monotonic()
        echo.close()
        assert ends(connection)
        assert time.monotonic() - begun >= 0.19


def test_a_time_out_of_zero_swallows_everything(client: ProxyClient, echo: EchoServer, way: str) -> None:
    """An open connection goes silent without an end; after the heal a new one works."""
    with connected(way) as connection:
        connection.sendall(b"x")
        assert exactly(connection, 1) == b"x"
        client.add(NAME, toxic("timeout", "upstream", timeout=0), live=True)
        connection.sendall(b"lost")
        assert silent(connection)
        assert echo.received == b"x"
        client.lift(NAME)
        assert ends(connection)
    with connected(way) as connection:
        connection.sendall(b"y")
        assert exactly(connection, 1) == b"y"


def test_a_time_out_ends_the_connection(client: ProxyClient, way: str) -> None:
    """With a time, the connection ends without an answer."""
    client.add(NAME, toxic("timeout", timeout=100))
    with connected(way) as connection:
        connection.sendall(b"x")
        assert ends(connection)


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_reset_peer_resets(client: ProxyClient, way: str, stream: str) -> None:
    """The till sees an RST, not an orderly end."""
    client.add(NAME, toxic("reset_peer", stream, timeout=0))
    with connected(way) as connection:
        connection.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_slices_are_put_together_again(client: ProxyClient, way: str) -> None:
    """A sliced stream has the same bytes in the same order."""
    client.add(NAME, toxic("slicer", average_size=100, size_variation=50, delay=10))
    sent = random.Random(8).randbytes(5000)  # noqa: S311
    with connected(way) as connection:
        connection.sendall(sent)
        assert exactly(connection, len(sent)) == sent


@pytest.mark.parametrize("live", [True, False])
def test_limit_data_ends_after_so_many_bytes(client: ProxyClient, echo: EchoServer, way: str, live: bool) -> None:
    """The answer is cut after 3 bytes, while the server got the whole request: also on an open connection."""
    if live:
        with connected(way) as connection:
            connection.sendall(b"before")
            assert exactly(connection, 6) == b"before"
            client.add(NAME, toxic("limit_data", bytes=3), live=True)
            connection.sendall(b"request")
            assert exactly(connection, 7) == b"req"
        assert echo.ended.wait(WAIT_S)
        assert echo.received == b"beforerequest"
    else:
        client.add(NAME, toxic("limit_data", bytes=3))
        with connected(way) as connection:
            connection.sendall(b"request")
            assert exactly(connection, 7) == b"req"
        assert echo.ended.wait(WAIT_S)
        assert echo.received == b"request"


def test_limit_data_of_zero_loses_the_whole_answer(client: ProxyClient, echo: EchoServer, way: str) -> None:
    """A lost ack: the request arrived, of the answer not one byte."""
    with connected(way) as connection:
        connection.sendall(b"before")
        assert exactly(connection, 6) == b"before"
        client.add(NAME, toxic("limit_data", bytes=0), live=True)
        connection.sendall(b"request")
        assert ends(connection)
    assert echo.ended.wait(WAIT_S)
    assert echo.received == b"beforerequest"


def test_an_upstream_limit_cuts_the_request(client: ProxyClient, echo: EchoServer, way: str) -> None:
    """The other direction is cut where it says."""
    client.add(NAME, toxic("limit_data", "upstream", bytes=3))
    with connected(way) as connection:
        connection.sendall(b"request")
        assert echo.ended.wait(WAIT_S)
    assert echo.received == b"req"


def test_a_toxic_can_be_changed(client: ProxyClient, way: str) -> None:
    """New attributes hold for open connections."""
    client.add(NAME, toxic("latency", latency=60_000, jitter=0))
    changed = raw(client, "POST", f"/proxies/{NAME}/toxics/latency", {"attributes": {"latency": 1}})
    assert changed.status_code == 200
    assert client.proxy(NAME).toxics[0].attributes["latency"] == 1
    with connected(way) as connection:
        connection.sendall(b"x")
        assert exactly(connection, 1) == b"x"


def test_a_toxic_is_added_once(client: ProxyClient, way: str) -> None:
    """A second toxic of the same name is refused."""
    client.add(NAME, toxic("latency", latency=1, jitter=0))
    with pytest.raises(ProxyRefused, match="already exists"):
        client.add(NAME, toxic("latency", latency=2, jitter=0))
    assert [one.attributes["latency"] for one in client.proxy(NAME).toxics] == [1]


def test_toxicity_zero_spares_the_connection(client: ProxyClient, way: str) -> None:
    """A toxic with no chance does nothing."""
    never = Toxic(name="never", type="timeout", stream="downstream", attributes={"timeout": 0}, toxicity=0.0)
    client.add(NAME, never)
    with connected(way) as connection:
        connection.sendall(b"x")
        assert exactly(connection, 1) == b"x"


def test_reset_heals_everything(client: ProxyClient, way: str) -> None:
    """All proxies open, no toxics."""
    client.add(NAME, toxic("latency", latency=1, jitter=0))
    client.enable(NAME, False)
    now = client.reset()
    assert (now[NAME].enabled, now[NAME].toxics) == (True, ())


def test_populate_makes_and_replaces(client: ProxyClient, echo: EchoServer, way: str) -> None:
    """One that is there with another upstream is replaced, a new one is made."""
    other = EchoServer()
    try:
        now = client.populate(
            [(NAME, way, other.address), ("T02:server", f"127.0.0.1:{free_port()}", echo.address)]
        )
        assert {name: state.upstream for name, state in now.items()} == {
            NAME: other.address,
            "T02:server": echo.address,
        }
        with connected(way) as connection:
            connection.sendall(b"x")
            assert exactly(connection, 1) == b"x"
        assert other.received == b"x"
    finally:
        other.close()


def test_a_stalled_reader_does_not_keep_a_link_from_healing(client: ProxyClient) -> None:
    """A paused till stops reading under latency; the link heals at once and the server still lists its proxies."""
    flood = EchoServer(flood=64 * 1024 * 1024)
    try:
        listen = client.create(NAME, listen=f"127.0.0.1:{free_port()}", upstream=flood.address).listen
        client.add(NAME, toxic("latency", latency=100, jitter=0))
        with connected(listen) as connection:
            assert exactly(connection, 1) == b"\0"
            time.sleep(0.5)  # let all buffers on the way fill up
            healed = client.lift(NAME)
            assert (healed.enabled, healed.toxics) == (True, ())
            assert list(client.proxies()) == [NAME]
        with connected(listen) as connection:
            assert exactly(connection, 1) == b"\0"
    finally:
        flood.close()


def test_bytes_carried_are_counted(client: ProxyClient, way: str) -> None:
    """After a connection has ended, both directions are in the metrics."""
    streams = [(NAME, "upstream"), (NAME, "downstream")]
    before = [client.carried().get(stream, 0) for stream in streams]
    with connected(way) as connection:
        connection.sendall(b"12345")
        assert exactly(connection, 5) == b"12345"
    client.enable(NAME, False)
    end = time.monotonic() + WAIT_S
    while client.carried().get(streams[1], 0) < before[1] + 5 and time.monotonic() < end:
        time.sleep(0.02)
    assert [client.carried()[stream] for stream in streams] == [count + 5 for count in before]


def test_a_lift_keeps_address_and_counts(client: ProxyClient, way: str) -> None:
    """The healed proxy listens where it did, and what was carried before is not forgotten."""
    client.add(NAME, toxic("latency", latency=1, jitter=0))
    with connected(way) as connection:
        connection.sendall(b"12345")
        assert exactly(connection, 5) == b"12345"
    before = client.proxy(NAME)
    client.enable(NAME, False)
    after = client.lift(NAME)
    assert (after.listen, after.upstream, after.enabled, after.toxics) == (
        before.listen,
        before.upstream,
        True,
        (),
    )
    end = time.monotonic() + WAIT_S
    while client.carried().get((NAME, "upstream"), 0) < 5 and time.monotonic() < end:
        time.sleep(0.02)
    assert client.carried()[NAME, "upstream"] >= 5


def test_two_servers_are_told_apart(client: ProxyClient, engine: Engine, echo: EchoServer) -> None:
    """Clients of several servers live in one process."""
    process, second = started(engine)
    try:
        second.create("elsewhere", listen=f"127.0.0.1:{free_port()}", upstream=echo.address)
        assert list(second.proxies()) == ["elsewhere"]
        assert client.proxies() == {}
    finally:
        process.terminate()
        process.wait(WAIT_S)


def test_the_environments_proxy_is_not_used(client: ProxyClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laboratory behind a company proxy still reaches its own."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    assert client.proxies() == {}


def test_the_version_is_told(client: ProxyClient) -> None:
    """There is one, for the report."""
    assert client.version()
