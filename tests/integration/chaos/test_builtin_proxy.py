"""What the built-in proxy does better than the contract asks."""

from __future__ import annotations

import time

import requests

from chaos.proxy.client import Toxic
from chaos.proxy.engine import BUILTIN
from tests.contract.conftest import free_port, started
from tests.contract.peers import WAIT_S, EchoServer, connected, exactly


def test_a_stalled_reader_does_not_wedge_the_removal_of_a_toxic() -> None:
    """A client that stops reading under latency: the toxic goes from the enabled proxy, all else answers."""
    process, client = started(BUILTIN)
    flood = EchoServer(flood=64 * 1024 * 1024)
    try:
        listen = client.create("T01", listen=f"127.0.0.1:{free_port()}", upstream=flood.address).listen
        client.add("T01", Toxic(name="late", type="latency", stream="downstream", attributes={"latency": 100}))
        with connected(listen) as connection:
            assert exactly(connection, 1) == b"\0"
            time.sleep(0.5)  # let all buffers on the way fill up
            with requests.Session() as session:
                session.trust_env = False
                gone = session.delete(f"http://{client.address}/proxies/T01/toxics/late", timeout=WAIT_S)
            assert gone.status_code == 204
            assert client.proxy("T01").toxics == ()
            assert client.reset()["T01"].enabled
            assert len(exactly(connection, 1024 * 1024)) == 1024 * 1024
    finally:
        flood.close()
        process.terminate()
        process.wait(WAIT_S)
