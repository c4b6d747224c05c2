"""A till and back office in one small server that speaks the published API, for tests of the load alone.

It keeps op ids, checks payments to the cent, and can be told to commit and then not answer.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from syncref.domain.money import line_amount, tax_included

RATE_BP = 1900


class Refused(Exception):
    """A definite refusal."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class FakeTill:
    """The state of one till (and of a back office); `silent` commits this many operations unanswered.

    `overtaken`: of this many sales a price has just changed, so that exact payments are not what is due.
    """

    def __init__(self, name: str, *, token_lasts_s: float = 600) -> None:
        self.name = name
        self.token_lasts_s = token_lasts_s
        self.silent = 0
        self.stalled = 0
        self.overtaken = 0
        self.logins = 0
        self.tokens: dict[str, float] = {}
        self.operations: dict[str, tuple[str, dict[str, Any]]] = {}
        self.receipts: dict[str, dict[str, Any]] = {}
        self.day: dict[str, Any] = {"business_date": None, "open": False}
        self.prices: dict[str, int] = {}
        self.edits: list[tuple[str, dict[str, Any]]] = []
        self.requests = 0

    def price(self, sku: str) -> int:
        """Return a price: the last edited one, else one that follows from the SKU."""
        return self.prices.get(sku, 100 + sum(sku.encode()) % 900)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Return status and JSON answer of a request."""
        self.requests += 1
        url = urlsplit(target)
        path = url.path.removeprefix("/v1/")
        asked = json.loads(body) if body else {}
        try:
            if path == "status":
                return 200, {"till": self.name, "day": self.day}
            if path in ("session", "token"):
                return 200, self._log_in(asked)
            self._check_token(headers.get("authorization", ""))
            if method == "GET":
                return 200, self._price_answers(path, parse_qs(url.query))
            return 200, self._once(path, asked)
        except Refused as refused:
            problem = {"code": refused.code, "message": "no", "definite": True, "request_id": "r"}
            return refused.status, problem

    def _log_in(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("pin", asked.get("secret")) != "1234":
            raise Refused(401, "unauthorized")
        self.logins += 1
        token = f"t{self.logins}"
        self.tokens[token] = time.monotonic() + self.token_lasts_s
        return {"token": token, "expires_in_s": 600}

    def _check_token(self, header: str) -> None:
        if self.tokens.get(header.removeprefix("Bearer "), 0) < time.monotonic():
            raise Refused(401, "unauthorized")

    def _price_answers(self, path: str, query: dict[str, list[str]]) -> Any:
        answers = [
            {"sku": sku, "unit_price": self.price(sku), "price_version": 1, "tax_rate_bp": RATE_BP, "at_ms": 1}
            for sku in query.get("sku", [unquote(path.removeprefix("prices/"))])
        ]
        return answers if "sku" in query else answers[0]

    def _once(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        op_id = asked["op_id"]
        request = json.dumps([path, asked], sort_keys=True)
        if op_id in self.operations:
            before, answer = self.operations[op_id]
            if before != request:
                raise Refused(409, "operation_reused")
            return answer
        answer = self._do(path, asked)
        self.operations[op_id] = (request, answer)
        return answer

    def _do(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        if path == "day/open":
            self.day = {"business_date": asked["business_date"], "open": True}
            return {"op_id": asked["op_id"], **self.day}
        if path == "day/close":
            return self._close(asked)
        if path in ("sales", "refunds", "voids"):
            if not self.day["open"]:
                raise Refused(422, "rule_broken")
            return getattr(self, f"_{path}")(asked)
        self.edits.append((path, asked))
        for row in asked.get("prices", ()):
            self.prices[row["sku"]] = row["amount"]
        return {"op_id": asked["op_id"], "status": "ok", "rows": [], "at_ms": 1}

    def _sales(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self.overtaken and any(payment["amount"] is not None for payment in asked["payments"]):
            self.overtaken -= 1
            raise Refused(422, "unbalanced")
        lines = [
            {**line, "unit_price": self.price(line["sku"]), "price_version": 1, "tax_rate_bp": RATE_BP}
            for line in asked["lines"]
        ]
        return self._receipt("sale", 1, lines, asked, None)

    def _refunds(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._receipt("refund", -1, asked["lines"], asked, asked["receipt_no"])

    def _voids(self, asked: dict[str, Any]) -> dict[str, Any]:
        voided = self.receipts[asked["receipt_no"]]
        payments = [{"tender": "cash", "amount": None}]
        return self._receipt("void", -1, voided["lines"], {**asked, "payments": payments}, asked["receipt_no"])

    def _receipt(
        self, kind: str, sign: int, lines: list[dict[str, Any]], asked: dict[str, Any], ref: str | None
    ) -> dict[str, Any]:
        done = []
        for n, line in enumerate(lines, 1):
            amount = line_amount(qty=line["qty"], unit_price=line["unit_price"], discount=line["discount"])
            if amount < 0:
                raise Refused(422, "rule_broken")
            done.append(
                {
                    **line,
                    "line_no": n,
                    "amount": sign * amount,
                    "tax": tax_included(amount=amount, rate_bp=RATE_BP),
                }
            )
        gross = sum(line["amount"] for line in done)
        given = [payment["amount"] for payment in asked["payments"]]
        known = sum(amount or 0 for amount in given)
        if given.count(None) > 1 or (None not in given and known != abs(gross)) or known > abs(gross):
            raise Refused(422, "unbalanced")
        receipt_no = f"{self.name}-AAAAA-{len(self.receipts) + 1:06d}"
        self.receipts[receipt_no] = {
            "op_id": asked["op_id"],
            "receipt_no": receipt_no,
            "kind": kind,
            "gross": gross,
            "tax": 0,
            "lines": done,
            "ref": ref,
            "sync": "stored",
        }
        return self.receipts[receipt_no]

    def _close(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not self.day["open"]:
            raise Refused(422, "rule_broken")
        self.day = {**self.day, "open": False}
        gross = sum(receipt["gross"] for receipt in self.receipts.values())
        return {
            "op_id": asked["op_id"],
            "business_date": self.day["business_date"],
            "gross": gross,
            "counted_cash": asked["counted_cash"],
        }


class FakeServer:
    """Serves fake tills on ports of the system's choice, in a thread of its own."""

    def __init__(self, tills: list[FakeTill]) -> None:
        self.tills = tills
        self.urls: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def start(self) -> None:
        """Serve."""
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Stop, whatever is in flight."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        servers = []
        for till in self.tills:
            server = await asyncio.start_server(lambda r, w, till=till: self._connection(till, r, w), "127.0.0.1")
            servers.append(server)
            self.urls.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        self._ready.set()
        await self._stop.wait()
        for server in servers:
            server.close()
        for connection in list(self._tasks):
            connection.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(
        self, till: FakeTill, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._tasks.add(connection)
        try:
            while await self._exchange(till, reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(connection)
            writer.close()

    async def _exchange(self, till: FakeTill, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:-2])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        status, answer = till.answer(method, target, headers, body)
        if status == 200 and method == "POST" and "op_id" in answer:
            if till.silent > 0:
                till.silent -= 1
                return False
            if till.stalled > 0:
                till.stalled -= 1
                await asyncio.sleep(60)
        content = json.dumps(answer).encode()
        writer.write(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (status, len(content))
            + content
        )
        await writer.drain()
        return True


@contextmanager
def serving(*tills: FakeTill) -> Iterator[list[str]]:
    """Serve tills for a while and give their addresses."""
    server = FakeServer(list(tills))
    server.start()
    try:
        yield server.urls
    finally:
        server.stop()
