"""Send sales bare and recorded in turn and print the pairs of their rates; argument: a folder.

Rates are operations per second of this process's CPU. Blocks are short, because a busy machine changes pace.

A program of its own, because Locust patches the process that imports it. The till is a process as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from locust import FastHttpUser
from locust.env import Environment

from loadtest.history import History
from loadtest.latency import LatencyBook, Samples
from loadtest.locust_http import LocustHttp
from loadtest.operations import Login, Operation, Performer, operation_id

PAIRS = 80
BLOCK = 200
BASKET = {
    "lines": [{"sku": f"S{i:05d}", "qty": 1000, "discount": 0} for i in range(3)],
    "payments": [{"tender": "cash", "amount": None}],
}
ANSWERING_TILL = """
import asyncio, sys
BODY = b'{"op_id":"0","receipt_no":"T01-AAAAA-000001","gross":300,"tax":48,"lines":[],"sync":"synced"}'
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
ANSWER = HEAD + b"Content-Length: %d\\r\\n\\r\\n%s" % (len(BODY), BODY)
SESSION = b'{"token":"t","expires_in_s":3600}'
LOGIN = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(SESSION), SESSION)
class Till(asyncio.Protocol):
    def connection_made(self, transport): self.transport, self.got = transport, b""
    def data_received(self, data):
        self.got += data
        head, found, body = self.got.partition(b"\\r\\n\\r\\n")
        if found and len(body) >= int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0]):
            self.got = b""
            self.transport.write(LOGIN if b"/session" in head else ANSWER)
async def main():
    server = await asyncio.get_running_loop().create_server(Till, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


class BareUser(FastHttpUser):
    """A Locust user as anybody would write it."""

    host = "http://127.0.0.1"


def rate(block: Callable[[int], None], first: int) -> float:
    """Return how many operations a block does per second of this process's CPU, which is what a generator
    runs out of; so the machine's other work doesn't count."""
    began = time.process_time()
    for n in range(first, first + BLOCK):
        block(n)
    return BLOCK / (time.process_time() - began)


def main(folder: Path) -> None:
    """Print the pairs."""
    with subprocess.Popen([sys.executable, "-c", ANSWERING_TILL], stdout=subprocess.PIPE, text=True) as till:
        assert till.stdout is not None
        url = f"http://127.0.0.1:{int(till.stdout.readline())}"
        try:
            print(json.dumps(measured(url, folder)))
        finally:
            till.terminate()


def measured(url: str, folder: Path) -> list[list[float]]:
    """Return the rates of interleaved blocks."""
    environment = Environment(user_classes=[BareUser])
    environment.create_local_runner()
    user = BareUser(environment)
    http = LocustHttp(BareUser(environment).client)
    samples, book = Samples(), LatencyBook()
    history = History(folder, "c0")
    login = Login(http, url=f"{url}/v1/session", credential={"cashier_id": "1", "pin": "1"})
    performer = Performer(http=http, login=login, history=history, samples=samples, deadline_ms=5000)

    def bare(n: int) -> None:
        headers = {"Authorization": "Bearer t"}
        sale: dict[str, Any] = {"op_id": f"{n:032x}", **BASKET}
        user.client.post(f"{url}/v1/sales", json=sale, headers=headers, name="sale")

    def recorded(n: int) -> None:
        operation = Operation(
            f="sale", op_id=operation_id("run", n), till="T01", url=f"{url}/v1/sales", body=BASKET,
            asked={"basket": BASKET},
        )  # fmt: skip
        performer.perform(operation, due_s=time.monotonic())
        if n % 100 == 0:
            book.merge(samples.take())

    rate(bare, 0)
    rate(recorded, 0)
    pairs = []
    for i in range(1, PAIRS + 1):
        first, second = (bare, recorded) if i % 2 else (recorded, bare)
        rates = {block: rate(block, i * BLOCK) for block in (first, second)}
        pairs.append([round(rates[bare], 1), round(rates[recorded], 1)])
    history.end()
    return pairs


if __name__ == "__main__":
    main(Path(sys.argv[1]))
