"""What back-office clerks write, from the seed: one document after another, each all or nothing.

Pure: the clock's reading and what this clerk wrote before come in. Pairs keep their sum in every document.
A clerk deletes only products and vendors of its own making, so that the shelf stays sellable.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from loadtest.catalogue import Catalogue

REMEMBERED = 50
FUTURE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A document: what it is in the history, its path at the back office, its content without op id.

    `mark` is what its new keys are made of.
    """

    f: str
    mark: str
    path: str
    doc: dict[str, Any]
    repeat: bool
    repeat_after_ms: int


@dataclass(slots=True, kw_only=True)
class Desk:
    """What a clerk remembers of its own ok documents."""

    prices: list[tuple[str, int]] = field(default_factory=list)
    products: list[dict[str, Any]] = field(default_factory=list)
    vendors: list[str] = field(default_factory=list)
    cashiers: list[str] = field(default_factory=list)

    def remember(self, edit: Edit) -> None:
        """Take an ok document in."""
        for row in edit.doc.get("prices", ()):
            _keep(self.prices, (row["sku"], row["valid_from_ms"]))
        for row in edit.doc.get("products", ()):
            self.products = [known for known in self.products if known["sku"] != row["sku"]]
            if row["sku"] == new_sku(edit.mark):
                _keep(self.products, row)
        for row in edit.doc.get("vendors", ()):
            if not row.get("deleted"):
                _keep(self.vendors, row["vendor_id"])
        for row in edit.doc.get("cashiers", ()):
            _keep(self.cashiers, row["cashier_id"])


def _keep(known: list[Any], item: Any) -> None:
    if item not in known:
        known.append(item)
    del known[:-REMEMBERED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """All that a document is made from."""

    rng: random.Random
    mark: str
    catalogue: Catalogue
    pairs: Sequence[tuple[str, str, int]]
    desk: Desk
    salt: int
    now_ms: int

    def sku(self) -> str:
        """Return a product that cashiers like to sell, but none of a pair."""
        paired = {sku for a, b, _ in self.pairs for sku in (a, b)}
        for _ in range(20):
            sku = self.catalogue.pick(self.rng.random(), salt=self.salt).sku
            if sku not in paired:
                return sku
        return next(product.sku for product in self.catalogue.products if product.sku not in paired)

    def one_of(self, items: Sequence[Any]) -> Any:
        """Return one of the items."""
        return items[int(self.rng.random() * len(items))]

    def amount(self) -> int:
        """Return a price in minor units."""
        return 49 + 10 * int(500 * self.rng.random() ** 2)


def draw_edit(
    *,
    seed: int,
    stream: str,
    n: int,
    mark: str,
    catalogue: Catalogue,
    pairs: Sequence[tuple[str, str, int]],
    desk: Desk,
    now_ms: int,
    repeat_share: float,
    factors: Mapping[str, float] = MappingProxyType({}),
) -> Edit:
    """Return the n-th document of a clerk. `mark` makes its new keys and document numbers unique.

    `factors` says how many times as often as usual a kind (as in the history's f) is drawn.
    """
    rng = random.Random(f"{seed}|edit|{stream}|{n}")  # noqa: S311 - reproducible on purpose
    repeat, after_ms = rng.random() < repeat_share, 100 + int(1900 * rng.random())
    draw = Draw(rng=rng, mark=mark, catalogue=catalogue, pairs=pairs, desk=desk, salt=seed, now_ms=now_ms)
    weights = [weight * factors.get(kind_of(name), 1) for name, (_, weight) in KINDS.items()]
    kind = rng.choices(list(KINDS), weights=weights)[0]
    f, path, doc = KINDS[kind][0](draw)
    return Edit(f=f, mark=mark, path=path, doc=doc, repeat=repeat, repeat_after_ms=after_ms)


def kind_of(name: str) -> str:
    """Return the history's name for a way to edit: price_pair is a price."""
    return name.split("_", maxsplit=1)[0] if name.startswith(("price_", "product_")) else name


Made = tuple[str, str, dict[str, Any]]


def price_single(draw: Draw) -> Made:
    """One price from now on, or three of them in one document."""
    count = 3 if draw.rng.random() < 0.25 else 1
    skus = dict.fromkeys(draw.sku() for _ in range(count))
    rows = [{"sku": sku, "valid_from_ms": draw.now_ms, "amount": draw.amount()} for sku in skus]
    return "price", "prices", {"prices": rows}


def price_pair(draw: Draw) -> Made:
    """Both prices of a pair, from now on; their sum stays. Without pairs a single price."""
    if not draw.pairs:
        return price_single(draw)
    a, b, total = draw.one_of(draw.pairs)
    amount = 1 + int((total - 1) * draw.rng.random())
    rows = [
        {"sku": a, "valid_from_ms": draw.now_ms, "amount": amount},
        {"sku": b, "valid_from_ms": draw.now_ms, "amount": total - amount},
    ]
    return "price", "prices", {"prices": rows}


def price_urgent(draw: Draw) -> Made:
    """A correction that can't wait: the same price row once more if this clerk wrote one, else a new one."""
    paired = {sku for a, b, _ in draw.pairs for sku in (a, b)}
    known = [price for price in draw.desk.prices if price[0] not in paired]
    sku, from_ms = draw.one_of(known) if known else (draw.sku(), draw.now_ms)
    rows = [{"sku": sku, "valid_from_ms": min(from_ms, draw.now_ms), "amount": draw.amount()}]
    return "price", "prices", {"urgent": True, "prices": rows}


def price_future(draw: Draw) -> Made:
    """A price that begins within the next minute."""
    from_ms = draw.now_ms + 1000 + int(FUTURE_MS * draw.rng.random())
    return "price", "prices", {"prices": [{"sku": draw.sku(), "valid_from_ms": from_ms, "amount": draw.amount()}]}


def new_sku(mark: str) -> str:
    """Return the SKU of a product that a document brings in."""
    return f"N{mark[:10].upper()}"


def product_new(draw: Draw) -> Made:
    """A new product."""
    row = {
        "sku": new_sku(draw.mark),
        "name": f"New product {draw.mark[:6]}",
        "tax_code": draw.one_of(draw.catalogue.tax_codes),
        "vendor_id": draw.one_of(draw.catalogue.vendors),
        "active": True,
    }
    return "product", "products", {"products": [row]}


def product_rename(draw: Draw) -> Made:
    """A product under another name; everything else as at opening."""
    product = draw.catalogue.pick(draw.rng.random(), salt=draw.salt)
    row = {
        "sku": product.sku,
        "name": f"{product.name.split(' #')[0]} #{draw.mark[:4]}",
        "tax_code": product.tax_code,
        "vendor_id": product.vendor_id,
        "active": True,
    }
    return "product", "products", {"products": [row]}


def product_delete(draw: Draw) -> Made:
    """A product of this clerk's own making, deleted; a new one when there is none."""
    if not draw.desk.products:
        return product_new(draw)
    return "product", "products", {"products": [{**draw.one_of(draw.desk.products), "deleted": True}]}


def vendor(draw: Draw) -> Made:
    """A new vendor, or one of this clerk's under another name."""
    vendor_id = f"V{draw.mark[:8].upper()}"
    if draw.desk.vendors and draw.rng.random() < 0.5:
        vendor_id = draw.one_of(draw.desk.vendors)
    return "vendor", "vendors", {"vendors": [{"vendor_id": vendor_id, "name": f"Vendor {draw.mark[:6]}"}]}


def tax_rate(draw: Draw) -> Made:
    """One of two reserved tax codes, at another rate."""
    row = {"tax_code": draw.one_of(("R1", "R2")), "rate_bp": 100 * int(26 * draw.rng.random())}
    return "tax_rate", "tax-rates", {"tax_rates": [row]}


def goods_receipt(draw: Draw) -> Made:
    """Goods in, of several products."""
    return "goods_receipt", "goods-receipts", _delivery(draw, "GR", 100)


def vendor_return(draw: Draw) -> Made:
    """Goods back to their vendor."""
    return "vendor_return", "vendor-returns", _delivery(draw, "VR", 10)


def _delivery(draw: Draw, prefix: str, pieces: int) -> dict[str, Any]:
    skus = dict.fromkeys(draw.sku() for _ in range(1 + int(5 * draw.rng.random())))
    return {
        "doc_no": f"{prefix}-{draw.mark[:12]}",
        "vendor_id": draw.one_of(draw.catalogue.vendors),
        "lines": [{"sku": sku, "qty": 1000 * (1 + int(pieces * draw.rng.random()))} for sku in skus],
    }


def stock_count(draw: Draw) -> Made:
    """Goods counted on the shelf."""
    skus = dict.fromkeys(draw.sku() for _ in range(1 + int(3 * draw.rng.random())))
    lines = [{"sku": sku, "counted": 1000 * int(200 * draw.rng.random())} for sku in skus]
    return "stock_count", "stock-counts", {"doc_no": f"SC-{draw.mark[:12]}", "lines": lines}


def cashier(draw: Draw) -> Made:
    """A new cashier with a PIN, or one of this clerk's renamed."""
    row: dict[str, Any] = {"name": f"Cashier {draw.mark[:6]}", "active": True}
    if draw.desk.cashiers and draw.rng.random() < 0.5:
        row["cashier_id"] = draw.one_of(draw.desk.cashiers)
    else:
        row |= {"cashier_id": f"K{draw.mark[:8].upper()}", "pin": f"{int(draw.mark[:8], 16) % 10**6:06d}"}
    return "cashier", "cashiers", {"cashiers": [row]}


KINDS = {
    "price_single": (price_single, 36),
    "price_pair": (price_pair, 16),
    "price_urgent": (price_urgent, 8),
    "price_future": (price_future, 7),
    "product_new": (product_new, 6),
    "product_rename": (product_rename, 6),
    "product_delete": (product_delete, 3),
    "vendor": (vendor, 3),
    "tax_rate": (tax_rate, 2),
    "goods_receipt": (goods_receipt, 6),
    "vendor_return": (vendor_return, 3),
    "stock_count": (stock_count, 3),
    "cashier": (cashier, 1),
}
