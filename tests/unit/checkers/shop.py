"""A small shop whose evidence is consistent by construction, for tests to spoil.

It sells, refunds, voids and closes in memory and derives every evidence file from that, with its own
encoding of entries. Tests change `files`, `history` or `meta` after `derive()`, or plant a lie before it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

START_MS = 1_750_000_000_000
CLUSTER = "lab"
DATE = "2025-06-15"
VALID_FROM_MS = 1_700_000_000_000
RATES = {"STD": 1900, "RED": 700}
PAIR = ("P1", "P2", 1000)
TENDERS = ("cash", "card", "voucher")

Row = dict[str, Any]


def rounded(numerator: int, denominator: int) -> int:
    """Half away from zero, by halves."""
    sign = -1 if numerator < 0 else 1
    return sign * ((abs(numerator) * 2 + denominator) // (denominator * 2))


def priced(sku: str, qty: int, price: int, *, version: int, rate: int, discount: int) -> list[Any]:
    """An entry's line."""
    amount = rounded(qty * price, 1000) - discount
    return [sku, qty, price, version, rate, discount, rounded(amount * rate, 10000 + rate), amount]


def hex_id(text: str) -> str:
    """Sixteen bytes that follow from a text."""
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - an id, not a secret


@dataclass
class Till:
    name: str
    incarnation: str
    entries: list[list[Any]] = field(default_factory=list)
    counter: int = 0

    def number(self, counter: int) -> str:
        short = base64.b32encode(bytes.fromhex(self.incarnation))[:5].decode()
        return f"{self.name}-{short}-{counter:06d}"


@dataclass
class Shop:
    """`prices` is (sku, valid_from) → (amount, version); stock is sku → thousandths."""

    tills: dict[str, Till] = field(default_factory=dict)
    earlier: dict[str, list[Till]] = field(default_factory=dict)  # journals that the present one continues
    server_entries: dict[str, list[list[Any]]] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    files: dict[str, list[Row]] = field(default_factory=dict)
    meta: Row = field(default_factory=dict)
    now: int = START_MS
    prices: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    products: dict[str, Row] = field(default_factory=dict)
    vendors: dict[str, Row] = field(default_factory=dict)
    taxes: dict[str, Row] = field(default_factory=dict)
    stock: dict[str, int] = field(default_factory=dict)
    opening: dict[str, list[Row]] = field(default_factory=dict)
    edits: list[Row] = field(default_factory=list)
    documents: dict[str, list[Row]] = field(default_factory=dict)
    samples: list[Row] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    count: int = 0
    sealed: bool = False

    # -- history ---------------------------------------------------------------------------------
    def say(self, worker: str, **what: Any) -> int:
        """Append a line of history; return its number."""
        if worker not in self.numbers:
            self.numbers[worker] = 0
            self.history.append({"worker": worker, "n": 0, "type": "start", "at_ms": self.now})
        self.numbers[worker] += 1
        self.history.append({"worker": worker, "n": self.numbers[worker], "at_ms": self.now, **what})
        return self.numbers[worker]

    def invoke(self, worker: str, f: str, op_id: str, till: str, **extra: Any) -> int:
        self.now += 500
        return self.say(worker, type="invoke", f=f, op_id=op_id, till=till, **extra)

    def answer(self, worker: str, of: int, kind: str, **extra: Any) -> None:
        """Complete the operation that a worker asked for on line `of`."""
        self.now += 40
        asked = next(line for line in self.history if line["worker"] == worker and line["n"] == of)
        same = {name: asked[name] for name in ("f", "op_id", "till")}
        self.say(worker, type=kind, of=of, ms=40.0, **same, **extra)

    def answer_to(self, asked: Row) -> Row:
        """The completion of an invoke."""
        return next(
            line for line in self.history if line.get("of") == asked["n"] and line["worker"] == asked["worker"]
        )

    def op(self) -> str:
        self.count += 1
        return hex_id(f"op {self.count}")

    # -- masters ---------------------------------------------------------------------------------
    def stage(self, tills: tuple[str, ...] = ("T01", "T02")) -> Shop:
        """Opening masters and tills."""
        for name in tills:
            self.tills[name] = Till(name, hex_id(name))
        for code, rate in RATES.items():
            self.taxes[code] = {"tax_code": code, "rate_bp": rate, "version": 1}
        self.vendors["V1"] = {"vendor_id": "V1", "name": "Dairy", "version": 1}
        for sku, amount, code in (
            ("A", 199, "STD"), ("B", 1990, "RED"), ("C", 333, "STD"), ("P1", 400, "STD"), ("P2", 600, "STD"),
        ):  # fmt: skip
            self.products[sku] = {
                "sku": sku, "name": f"Article {sku}", "tax_code": code, "vendor_id": "V1", "active": 1,
                "version": 1,
            }  # fmt: skip
            self.prices[sku, VALID_FROM_MS] = (amount, 1)
            self.stock[sku] = 100_000
        self.opening = {
            "products": [dict(row) for row in self.products.values()],
            "prices": self.price_rows(),
            "vendors": [dict(row) for row in self.vendors.values()],
            "tax_rates": [dict(row) for row in self.taxes.values()],
            "stock": self.stock_rows(),
        }
        self.sample()
        return self

    def price_rows(self) -> list[Row]:
        return [
            {"sku": sku, "list": "STD", "valid_from_ms": since, "amount": amount, "version": version}
            for (sku, since), (amount, version) in sorted(self.prices.items())
        ]

    def stock_rows(self) -> list[Row]:
        return [{"sku": sku, "qty": qty, "version": 1} for sku, qty in sorted(self.stock.items())]

    def sample(self) -> None:
        """Look at the pair on every till."""
        a, b = self.price_of(PAIR[0])[0], self.price_of(PAIR[1])[0]
        for till in self.tills:
            self.samples.append({"till": till, "at_ms": self.now, "pair": f"{PAIR[0]}+{PAIR[1]}", "a": a, "b": b})

    def price_of(self, sku: str) -> tuple[int, int]:
        """The amount and version in force now."""
        since = max(since for (name, since) in self.prices if name == sku and since <= self.now)
        return self.prices[sku, since]

    def edit(self, kind: str, doc: Row, rows: list[tuple[str, list[Any], int]], *, told: str = "ok") -> str:
        """A clerk's operation; `told` info: the clerk was not answered, though it happened."""
        op_id = self.op()
        of = self.invoke("b0", kind, op_id, "", doc=doc)
        listed = [{"table": table, "key": key, "version": version} for table, key, version in rows]
        result = [[table, key, version] for table, key, version in rows]
        self.edits.append(
            {"op_id": op_id, "clerk": "anna", "kind": kind, "at_ms": self.now + 10, "result": json.dumps(result)}
        )
        self.answer("b0", of, told, **({"rows": listed} if told == "ok" else {}))
        return op_id

    def edit_prices(self, *changes: tuple[str, int, int], told: str = "ok") -> str:
        """Set (sku, valid from, amount) in one document."""
        rows: list[tuple[str, list[Any], int]] = []
        for sku, since, amount in changes:
            version = self.prices.get((sku, since), (0, 0))[1] + 1
            self.prices[sku, since] = (amount, version)
            rows.append(("price", [sku, "STD", since], version))
        doc = {
            "prices": [{"sku": sku, "valid_from_ms": since, "amount": amount} for sku, since, amount in changes]
        }
        op_id = self.edit("price", doc, rows, told=told)
        self.sample()
        return op_id

    def edit_product(self, sku: str, **values: Any) -> str:
        row = self.products[sku]
        row.update(values, version=row["version"] + 1)
        doc = {"products": [{name: row[name] for name in ("sku", "name", "tax_code", "vendor_id", "active")}]}
        return self.edit("product", doc, [("product", [sku], row["version"])])

    def edit_vendor(self, vendor: str, name: str) -> str:
        row = self.vendors.setdefault(vendor, {"vendor_id": vendor, "version": 0})
        row.update(name=name, version=row["version"] + 1)
        doc = {"vendors": [{"vendor_id": vendor, "name": name}]}
        return self.edit("vendor", doc, [("vendor", [vendor], row["version"])])

    def move_goods(self, kind: str, doc_no: str, lines: list[tuple[str, int]], *, told: str = "ok") -> str:
        """A goods receipt or vendor return."""
        sign = 1 if kind == "goods_receipt" else -1
        rows: list[tuple[str, list[Any], int]] = []
        for line_no, (sku, qty) in enumerate(lines, 1):
            self.stock[sku] += sign * qty
            rows.append((kind, [doc_no, line_no], 1))
            self.documents.setdefault(f"{kind}s", []).append(
                {"doc_no": doc_no, "line_no": line_no, "vendor_id": "V1", "sku": sku, "qty": qty,
                 "at_ms": self.now, "version": 1}
            )  # fmt: skip
        doc = {"doc_no": doc_no, "vendor_id": "V1", "lines": [{"sku": sku, "qty": qty} for sku, qty in lines]}
        return self.edit(kind, doc, rows, told=told)

    def count_stock(self, doc_no: str, sku: str, counted: int) -> str:
        self.documents.setdefault("stock_counts", []).append(
            {
                "doc_no": doc_no,
                "sku": sku,
                "counted": counted,
                "delta": counted - self.stock[sku],
                "at_ms": self.now,
            }
        )
        self.stock[sku] = counted
        doc = {"doc_no": doc_no, "lines": [{"sku": sku, "counted": counted}]}
        return self.edit("stock_count", doc, [("stock", [sku], 2)])

    # -- the till --------------------------------------------------------------------------------
    def open_day(self, till: str, date: str = DATE) -> None:
        op_id = self.op()
        of = self.invoke("d0", "open", op_id, till, business_date=date)
        self.tills[till].entries.append(["o", bytes.fromhex(op_id), date, self.now, "K1", 20_000])
        self.answer("d0", of, "ok")

    def sell(
        self, till: str, lines: list[tuple[str, int, int]], payments: list[tuple[str, int | None]] | None = None,
        *, told: str = "ok", op_id: str = "", price: dict[str, tuple[int, int]] | None = None,
    ) -> str:  # fmt: skip
        """A sale of (sku, qty, discount); return its op id. `price` overrides what the till used."""
        payments = payments or [("cash", None)]
        op_id = op_id or self.op()
        basket = {
            "lines": [{"sku": sku, "qty": qty, "discount": discount} for sku, qty, discount in lines],
            "payments": [{"tender": tender, "amount": amount} for tender, amount in payments],
        }
        of = self.invoke(f"c-{till}", "sale", op_id, till, basket=basket)
        if told == "fail":
            self.answer(f"c-{till}", of, "fail", code="rule_broken")
            return op_id
        entry_lines = []
        for sku, qty, discount in lines:
            amount, version = (price or {}).get(sku) or self.price_of(sku)
            rate = self.taxes[self.products[sku]["tax_code"]]["rate_bp"]
            entry_lines.append(priced(sku, qty, amount, version=version, rate=rate, discount=discount))
        self.store(till, op_id, "sale", entry_lines, payments=payments)
        self.told(till, of, told, op_id)
        return op_id

    def store(
        self, till: str, op_id: str, kind: str, lines: list[list[Any]], *,
        payments: list[tuple[str, int | None]], ref: str | None = None, date: str = DATE,
    ) -> None:  # fmt: skip
        """Journal a receipt; a payment of None takes the rest."""
        keeper = self.tills[till]
        keeper.counter += 1
        gross = sum(line[7] for line in lines)
        rest = gross - sum(amount for _, amount in payments if amount is not None)
        paid = [[tender, rest if amount is None else amount] for tender, amount in payments]
        keeper.entries.append(
            ["r", bytes.fromhex(op_id), kind, keeper.counter, date, self.now + 5, "K1", lines, paid, gross,
             sum(line[6] for line in lines), ref]
        )  # fmt: skip
        for line in lines:
            self.stock[line[0]] -= line[1]

    def told(self, till: str, of: int, told: str, op_id: str) -> None:
        entry = self.entry(op_id)
        extra: Row = {}
        if told == "ok":
            extra = {
                "receipt_no": self.tills[till].number(entry[3]), "gross": entry[9], "tax": entry[10],
                "sync": "synced",
            }  # fmt: skip
        self.answer(f"c-{till}", of, told, **extra)

    def entry(self, op_id: str) -> list[Any]:
        """The stored entry of an operation."""
        for till in self.tills.values():
            for entry in till.entries:
                if entry[1].hex() == op_id:
                    return entry
        raise KeyError(op_id)

    def repeat(self, op_id: str, *, edited: bool = False) -> None:
        """Ask again under the same id; edited repeats are refused."""
        first = next(line for line in self.history if line.get("op_id") == op_id)
        worker, till = first["worker"], first["till"]
        basket = json.loads(json.dumps(first["basket"]))
        if edited:
            basket["lines"][0]["qty"] += 1000
        of = self.invoke(worker, "sale", op_id, till, basket=basket, **{"edited" if edited else "repeat": True})
        if edited:
            self.answer(worker, of, "fail", code="operation_reused")
        else:
            self.told(till, of, "ok", op_id)

    def number_of(self, op_id: str) -> str:
        """The receipt number of an operation."""
        till = next(till for till in self.tills.values() for entry in till.entries if entry[1].hex() == op_id)
        return till.number(self.entry(op_id)[3])

    def refund(self, till: str, of_op: str, part: int = 1) -> str:
        """Give the first `part` lines of a receipt back, possibly on another till."""
        op_id, original = self.op(), self.entry(of_op)
        number = self.number_of(of_op)
        names = ("sku", "qty", "unit_price", "price_version", "tax_rate_bp", "discount")
        asked = [dict(zip(names, line[:6], strict=True)) for line in original[7][:part]]
        basket = {"receipt_no": number, "lines": asked, "payments": [{"tender": "cash", "amount": None}]}
        of = self.invoke(f"c-{till}", "refund", op_id, till, basket=basket)
        lines = [
            priced(line[0], -line[1], line[2], version=line[3], rate=line[4], discount=-line[5])
            for line in original[7][:part]
        ]
        self.store(till, op_id, "refund", lines, payments=[("cash", None)], ref=number)
        self.told(till, of, "ok", op_id)
        return op_id

    def void(self, till: str, of_op: str) -> str:
        op_id, original = self.op(), self.entry(of_op)
        number = self.number_of(of_op)
        of = self.invoke(f"c-{till}", "void", op_id, till, basket={"receipt_no": number})
        lines = [[*line[:1], -line[1], *line[2:5], -line[5], -line[6], -line[7]] for line in original[7]]
        self.store(
            till, op_id, "void", lines, payments=[(tender, -amount) for tender, amount in original[8]], ref=number
        )
        self.told(till, of, "ok", op_id)
        return op_id

    def close_day(self, till: str, date: str = DATE) -> None:
        op_id, keeper = self.op(), self.tills[till]
        of = self.invoke("d0", "close", op_id, till, counted_cash=20_000)
        known = [(keeper, entry) for entry in keeper.entries]
        for old in reversed(self.earlier.get(till, ())):
            first = known[0][1]
            known = [*((old, entry) for entry in old.entries[: first[3] if first[0] == "c" else 0]), *known]
        printed = [(one, entry) for one, entry in known if entry[0] == "r" and entry[4] == date]
        receipts = [entry for _, entry in printed]
        tenders: dict[str, int] = {}
        rates: dict[int, list[int]] = {}
        for entry in receipts:
            for tender, amount in entry[8]:
                tenders[tender] = tenders.get(tender, 0) + amount
            for line in entry[7]:
                sums = rates.setdefault(line[4], [0, 0])
                sums[0] += line[7]
                sums[1] += line[6]
        kinds = [sum(entry[2] == kind for entry in receipts) for kind in ("sale", "refund", "void")]
        gross, tax = sum(entry[9] for entry in receipts), sum(entry[10] for entry in receipts)
        ends = [printed[place][0].number(printed[place][1][3]) if printed else None for place in (0, -1)]
        keeper.entries.append(
            ["z", bytes.fromhex(op_id), date, self.now, "K1", *kinds, gross, tax,
             sorted(map(list, tenders.items())), [[rate, *sums] for rate, sums in sorted(rates.items())],
             20_000, *ends, b""]
        )  # fmt: skip
        z = {
            "business_date": date,
            "sales": kinds[0],
            "refunds": kinds[1],
            "voids": kinds[2],
            "gross": gross,
            "tax": tax,
        }
        self.answer("d0", of, "ok", z=z)

    # -- evidence --------------------------------------------------------------------------------
    def derive(self) -> Shop:
        """Derive every evidence file from what the tills journaled."""
        for worker, last in self.numbers.items():
            self.history.append({"worker": worker, "type": "end", "n": last + 1, "at_ms": self.now})
        for name, till in self.tills.items():
            self._database(f"tills/{name}", [(one, one.entries) for one in (*self.earlier.get(name, ()), till)])
            self._masters(f"tills/{name}")
            self.files[f"tills/{name}/state.csv"] = [
                {"till": name, "cluster": CLUSTER, "incarnation": till.incarnation, "head_seq": len(till.entries)}
            ]
        self._database(
            "server",
            [
                *((one, one.entries) for name in self.tills for one in self.earlier.get(name, ())),
                *((till, self.server_entries.get(name, till.entries)) for name, till in self.tills.items()),
            ],
        )
        self._masters("server")
        self.files["server/settlement.csv"] = [
            dict(row) for name in self.tills for row in self.files[f"tills/{name}/z.csv"]
        ]
        self.files["server/term.csv"] = [{"cluster": CLUSTER, "n": 1, "id": hex_id("term")}]
        self.files["server/edits.csv"] = self.edits
        for table in ("goods_receipts", "vendor_returns", "stock_counts"):
            self.files[f"server/{table}.csv"] = self.documents.get(table, [])
        for table, rows in self.opening.items():
            self.files[f"opening/{table}.csv"] = [
                {name: value for name, value in row.items() if name != "version"} for row in rows
            ]
        self.files["samples.csv"] = self.samples
        self.files["masters_samples.csv"] = [
            {"till": name, "at_ms": self.now, "online": 1, "age_ms": 0, "term_n": 1, "cursor_pos": 1}
            for name in self.tills
        ]
        self.files["latency.csv"] = [self._latency(name) for name in self.tills]
        self.meta = self._meta()
        return self

    def continue_journal(self, name: str, after: int) -> None:
        """Let a till go on in a new journal that continues its present one after a sequence."""
        old = self.tills[name]
        self.earlier.setdefault(name, []).append(old)
        self.tills[name] = Till(name, hex_id(f"{name} {len(self.earlier[name])}"))
        previous = _genesis(name, old.incarnation)
        for entry in old.entries[:after]:
            previous = hashlib.sha256(previous + msgspec.msgpack.encode(entry)).digest()
        op_id = bytes.fromhex(hex_id(f"continued {name}"))
        self.tills[name].entries.append(["c", op_id, bytes.fromhex(old.incarnation), after, previous, self.now])

    def lose(self, name: str, *, kept: int, arrived: int, at_ms: int, journal: int = 0) -> None:
        """After `derive`: a disk lost all of a till's earlier journal after `kept`, of which some had arrived."""
        old = [*self.earlier.get(name, ()), self.tills[name]][journal]
        gone = [
            row
            for row in self.files[f"tills/{name}/journal.csv"]
            if row["incarnation"] == old.incarnation and row["seq"] > kept
        ]
        self.files["losses/entries.csv"] = [{"loss": 0, **row} for row in gone]
        lost = {row["seq"] for row in gone if row["seq"] > arrived}
        self._forget(f"tills/{name}", old, {row["seq"] for row in gone})
        self._forget("server", old, lost)
        self.meta["losses"] = [
            {"loss": 0, "kind": "disk_rollback", "till": name, "at_ms": at_ms, "incarnation": old.incarnation,
             "kept": kept, "head": len(old.entries), "arrived": arrived}
        ]  # fmt: skip
        for table in ("server", *(f"tills/{till}" for till in self.tills)):
            for row in self.files[f"{table}/stock.csv"]:
                row["qty"] += sum(
                    line[1] for seq in lost if old.entries[seq - 1][0] == "r" for line in old.entries[seq - 1][7]
                    if line[0] == row["sku"]
                )  # fmt: skip

    def _forget(self, folder: str, till: Till, seqs: set[int]) -> None:
        """Take entries of a journal, and what is typed of them, out of a database's files."""
        numbers = {till.number(till.entries[seq - 1][3]) for seq in seqs if till.entries[seq - 1][0] == "r"}
        for table in ("receipts", "lines", "payments"):
            self.files[f"{folder}/{table}.csv"] = [
                row for row in self.files[f"{folder}/{table}.csv"] if row["receipt_no"] not in numbers
            ]
        self.files[f"{folder}/journal.csv"] = [
            row
            for row in self.files[f"{folder}/journal.csv"]
            if row["incarnation"] != till.incarnation or row["seq"] not in seqs
        ]

    def _database(self, folder: str, journals: list[tuple[Till, list[list[Any]]]]) -> None:
        tables: dict[str, list[Row]] = {name: [] for name in ("receipts", "lines", "payments", "journal", "z")}
        for till, entries in journals:
            name = till.name
            previous = _genesis(name, till.incarnation)
            for seq, entry in enumerate(entries, 1):
                if entry[0] == "z" and not entry[-1]:
                    entry[-1] = previous
                payload = msgspec.msgpack.encode(entry)
                previous = hashlib.sha256(previous + payload).digest()
                tables["journal"].append(
                    {"till": name, "incarnation": till.incarnation, "seq": seq, "hash": previous.hex(),
                     "payload_hex": payload.hex()}
                )  # fmt: skip
                if entry[0] == "r":
                    self._typed(tables, till, entry)
                elif entry[0] == "z":
                    tables["z"] += _z_rows(name, entry)
        if folder == "server":
            del tables["z"]
        for table, rows in tables.items():
            self.files[f"{folder}/{table}.csv"] = rows

    def _typed(self, tables: dict[str, list[Row]], till: Till, entry: list[Any]) -> None:
        number = till.number(entry[3])
        tables["receipts"].append(
            {"till": till.name, "incarnation": till.incarnation, "receipt_no": number, "op_id": entry[1].hex(),
             "kind": entry[2], "status": "posted", "business_date": entry[4], "at_ms": entry[5], "gross": entry[9],
             "tax": entry[10], "ref": entry[11] or "", "cashier": entry[6]}
        )  # fmt: skip
        names = ("sku", "qty", "unit_price", "price_version", "tax_rate_bp", "discount", "tax", "amount")
        for n, line in enumerate(entry[7], 1):
            tables["lines"].append(
                {"till": till.name, "receipt_no": number, "line_no": n, **dict(zip(names, line, strict=True))}
            )
        for n, (tender, amount) in enumerate(entry[8], 1):
            tables["payments"].append(
                {"till": till.name, "receipt_no": number, "n": n, "tender": tender, "amount": amount}
            )

    def _masters(self, folder: str) -> None:
        self.files[f"{folder}/products.csv"] = [dict(row) for row in self.products.values()]
        self.files[f"{folder}/vendors.csv"] = [dict(row) for row in self.vendors.values()]
        self.files[f"{folder}/tax_rates.csv"] = [dict(row) for row in self.taxes.values()]
        self.files[f"{folder}/prices.csv"] = self.price_rows()
        self.files[f"{folder}/stock.csv"] = [{**row, "version": 7} for row in self.stock_rows()]

    def report(self, state: str) -> list[Row]:
        """The server's settlement of every date that has a receipt, whether it is closed or not."""
        rows: list[Row] = []
        for name, till in self.tills.items():
            receipts = [entry for entry in till.entries if entry[0] == "r"]
            for date in sorted({entry[4] for entry in receipts}):
                ours = [entry for entry in receipts if entry[4] == date]
                head = {
                    "till": name, "business_date": date, "receipts": len(ours), "state": state,
                    "gross": sum(entry[9] for entry in ours), "tax": sum(entry[10] for entry in ours),
                }  # fmt: skip
                paid = [payment for entry in ours for payment in entry[8]]
                for tender in sorted({tender for tender, _ in paid}):
                    amount = sum(amount for name, amount in paid if name == tender)
                    rows.append({**head, "tender": tender, "amount": amount})
        return rows

    def _latency(self, till: str) -> Row:
        """One row: what the history says of a till's first attempts."""
        first = {
            (line["worker"], line["n"])
            for line in self.history
            if line["type"] == "invoke" and line["f"] in ("sale", "refund", "void") and line["till"] == till
            and not (line.get("repeat") or line.get("edited"))
        }  # fmt: skip
        done = [line["type"] for line in self.history if (line["worker"], line.get("of")) in first]
        return {
            "second": START_MS // 1000, "till": till, "n": len(done), "p50_ms": 40, "p99_ms": 40, "max_ms": 40,
            "fail": done.count("fail"), "info": done.count("info"),
        }  # fmt: skip

    def _meta(self) -> Row:
        return {
            "schema": 1, "run_id": "r", "scenario": "shop", "title": "A shop", "seed": 1, "commit": "c",
            "started": "2025-06-15T00:00:00Z", "ended": "2025-06-15T00:10:00Z", "reproduce": "", "options": {},
            "fleet": {
                "kind": "process", "tills": list(self.tills), "profile": "p", "till_database": "sqlite",
                "fault_engine": "builtin", "caps_enforced": True, "caps_how": "cgroup",
            },
            "load": {
                "started_ms": START_MS, "ended_ms": self.now, "rate_per_s": 1.0, "edits_per_s": 1.0, "products": 5,
                "business_dates": [DATE], "min_sales": 1, "min_sales_in_fault": 0, "sale_deadline_ms": 10_000,
            },
            "drain": {"quiet": True, "took_s": 1.0, "deadline_s": 60.0, "progressed": True, "pending": []},
            "stages": [], "thresholds": ["sale.p99 <= 250ms", "settlement == exact"],
            "faults": [
                {"kind": "lost_ack", "targets": ["T02"], "at_s": 1.0, "for_s": 0.0, "ran": True, "bit": True,
                 "evidence": "server has 7, till saw 6", "healed": True, "heal_evidence": "no toxic left",
                 "started_ms": START_MS + 1000, "ended_ms": START_MS + 1500}
            ],
            "claims": ["receipts", "money", "settlement", "masters", "documents", "edits", "prices", "stock",
                       "chain", "drain", "experience"],
            "expected_z": [[row["till"], row["business_date"]] for name in self.tills
                           for row in self.files[f"tills/{name}/z.csv"][:1]],
            "pairs": [list(PAIR)],
        }  # fmt: skip

    def write(self, folder: Path) -> Path:
        """Write the evidence folder, with the digests of its files unless they are sealed already."""
        for name, rows in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="") as file:
                columns = COLUMNS.get(name.split("/")[-1][:-4], [])
                writer = csv.DictWriter(file, list(rows[0]) if rows else columns)
                writer.writeheader()
                writer.writerows(rows)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.history))
        if not self.sealed:
            self.meta["digests"] = {
                path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(folder.rglob("*"))
                if path.is_file() and path.name != "meta.json"
            }
        (folder / "meta.json").write_text(json.dumps(self.meta))
        return folder

    def row(self, file: str, when: Callable[[Row], bool] = lambda row: True) -> Row:
        """The first row of a file that fits."""
        return next(row for row in self.files[file] if when(row))


COLUMNS = {
    "receipts": ["till", "incarnation", "receipt_no", "op_id", "kind", "status", "business_date", "at_ms", "gross",
                 "tax", "ref", "cashier"],
    "lines": ["till", "receipt_no", "line_no", "sku", "qty", "unit_price", "price_version", "discount", "tax",
              "amount", "tax_rate_bp"],
    "payments": ["till", "receipt_no", "n", "tender", "amount"],
    "journal": ["till", "incarnation", "seq", "hash", "payload_hex"],
    "settlement": ["till", "business_date", "receipts", "gross", "tax", "tender", "amount", "state"],
    "z": ["till", "business_date", "receipts", "gross", "tax", "tender", "amount", "state"],
    "edits": ["op_id", "clerk", "kind", "at_ms", "result"],
    "goods_receipts": ["doc_no", "line_no", "vendor_id", "sku", "qty", "at_ms", "version"],
    "vendor_returns": ["doc_no", "line_no", "vendor_id", "sku", "qty", "at_ms", "version"],
    "stock_counts": ["doc_no", "sku", "counted", "delta", "at_ms"],
    "samples": ["till", "at_ms", "pair", "a", "b"],
    "prices": ["sku", "list", "valid_from_ms", "amount", "version"],
    "products": ["sku", "name", "tax_code", "vendor_id", "active", "version"],
}  # fmt: skip


def _genesis(till: str, incarnation: str) -> bytes:
    hashed = hashlib.sha256(b"syncref journal 1")
    for part in (CLUSTER.encode(), till.encode(), bytes.fromhex(incarnation)):
        hashed.update(len(part).to_bytes(4, "big") + part)
    return hashed.digest()


def _z_rows(till: str, entry: list[Any]) -> list[Row]:
    head = {
        "till": till, "business_date": entry[2], "receipts": sum(entry[5:8]), "gross": entry[8], "tax": entry[9],
        "state": "TALLIED",
    }  # fmt: skip
    return [{**head, "tender": tender, "amount": amount} for tender, amount in entry[10]] or [
        {**head, "tender": "", "amount": 0}
    ]


def open_shop() -> Shop:
    """A morning with everything in it, not yet derived: sales, edits, a refund, a void, repeats, a refusal."""
    shop = Shop().stage()
    for till in shop.tills:
        shop.open_day(till)
    first = shop.sell("T01", [("A", 2000, 0), ("B", 250, 10)], [("card", 300), ("cash", None)])
    shop.sell("T02", [("C", 1000, 0)])
    shop.edit_prices(("A", shop.now + 1, 249))
    shop.edit_prices(("P1", VALID_FROM_MS, 450), ("P2", VALID_FROM_MS, 550))
    shop.edit_product("C", name="Better C")
    shop.edit_vendor("V2", "Bakery")
    shop.move_goods("goods_receipt", "G1", [("A", 10_000), ("B", 5_000)])
    shop.move_goods("vendor_return", "R1", [("A", 1_000)])
    shop.count_stock("S1", "C", 90_000)
    shop.now += 40_000
    shop.sell("T01", [("A", 1000, 0), ("P1", 1000, 0), ("P2", 1000, 0)])
    late = shop.sell("T02", [("A", 3000, 5)], told="info")
    shop.repeat(late)
    shop.repeat(late, edited=True)
    shop.refund("T02", first)
    wrong = shop.sell("T01", [("C", 2000, 0)], [("voucher", 100), ("card", None)])
    shop.void("T01", wrong)
    shop.sell("T01", [("A", 1000, 0)], told="fail")
    shop.sell("T02", [("B", 1000, 0)], told="info")
    return shop


def closed_shop() -> Shop:
    """The same with both days closed, derived and ready to be written."""
    shop = open_shop()
    for till in shop.tills:
        shop.close_day(till)
    return shop.derive()
