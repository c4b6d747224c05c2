"""Plans, seats and the goods: read, checked, shared out."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from loadtest.catalogue import Catalogue, Product, read_catalogue
from loadtest.options import options_plan, wanted_plan
from loadtest.plan import PlanInvalid, Seat, read_plan
from loadtest.seats import SeatBook


def plan_fields(**changes: Any) -> dict[str, Any]:
    """Return a good plan with changes."""
    people = [{"cashier_id": "1", "pin": "1234"}, {"cashier_id": "2", "pin": "1234"}]
    tills = [
        {"name": f"T0{i}", "url": "http://127.0.0.1:1", "rate_per_s": 1.0, "cashiers": people[:i]} for i in (1, 2)
    ]
    clerk = {"name": "a", "secret": "b", "url": "http://127.0.0.1:2", "rate_per_s": 1.0}
    return {
        "seed": 1, "out_dir": "out", "catalogue": "c", "tills": tills, "clerks": [clerk], "start_at_ms": 5,
        "duration_s": 10, "mix": {"refund": 0.1}, "pairs": [["A", "B", 100]], **changes,
    }  # fmt: skip


def written(folder: Path, **changes: Any) -> Path:
    """Write a plan file."""
    path = folder / "load.json"
    path.write_text(json.dumps(plan_fields(**changes)))
    return path


def test_a_plan_is_read_with_its_defaults(tmp_path: Path) -> None:
    """What a rehearsal leaves out has a value; keys that it adds for itself don't matter."""
    plan = read_plan(written(tmp_path, note="for the rehearsal"))
    assert (plan.sale_deadline_ms, plan.mix.refund, plan.mix.repeat_ok) == (5000, 0.1, 0.02)
    assert plan.run_key == "1-5"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": "x"}, "$.seed"),
        ({"tills": [], "clerks": []}, "at least one till or clerk"),
        ({"sale_deadline_ms": 0}, "sale_deadline_ms: 0 is not above 0"),
        ({"mix": {"refund": 2}}, "mix.refund: 2.0"),
        ({"mix": {"refund": 0.6, "void": 0.6}}, "refund, void and lookup together"),
        ({"duration_s": -1}, "duration_s"),
        ({"windows": [{"from_s": 0, "to_s": 1, "factor": -1}]}, "windows[0].factor"),
        ({"tills": [plan_fields()["tills"][0]] * 2}, "name 'T01' twice"),
        ({"tills": [{**plan_fields()["tills"][0], "name": "../T01"}]}, "tills[0].name: '../T01'"),
        ({"tills": [{**plan_fields()["tills"][0], "url": "ftp://x"}]}, "tills[0].url"),
        ({"tills": [{**plan_fields()["tills"][0], "cashiers": []}]}, "tills[0].cashiers"),
    ],
)
def test_a_bad_plan_names_its_key(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    """The error says which file and which key."""
    path = written(tmp_path, **changes)
    with pytest.raises(PlanInvalid) as caught:
        read_plan(path)
    assert told in str(caught.value) and str(path) in str(caught.value)


def test_half_a_plan_file_is_an_error(tmp_path: Path) -> None:
    """So is none at all."""
    (tmp_path / "load.json").write_text('{"seed": 1')
    for name in ("load.json", "none.json"):
        with pytest.raises(PlanInvalid, match=name):
            read_plan(tmp_path / name)


def test_seats_are_given_out_once_and_a_schedule_is_worked_through_once(tmp_path: Path) -> None:
    """Whoever asks, no seat has two owners; done seats are not given out again; then all is done."""
    book = SeatBook(read_plan(written(tmp_path)))
    seats = [book.claim("cashier", f"worker{i % 2}") for i in range(4)]
    assert [(seat.place, seat.slot) for seat in seats if seat] == [(0, 0), (1, 0), (1, 1)]
    assert book.claim("clerk", "worker0") == Seat(kind="clerk", index=0, place=0, slot=0)
    for index, owner in enumerate(("worker0", "worker1", "worker0")):
        book.leave("cashier", index, owner, done=True)
    assert book.claim("cashier", "worker1") is None and not book.all_done
    book.leave("clerk", 0, "worker1", done=True)
    assert not book.all_done, "a seat is given back by its owner only"
    book.leave("clerk", 0, "worker0", done=True)
    assert book.all_done


def test_a_lost_workers_seats_become_free(tmp_path: Path) -> None:
    """Another worker goes on with that till's schedule."""
    book = SeatBook(read_plan(written(tmp_path)))
    lost, kept = book.claim("cashier", "lost"), book.claim("cashier", "kept")
    book.keep_owners({"kept"})
    again = book.claim("cashier", "kept")
    assert lost is not None and again == dataclasses.replace(lost, again=True) and again != kept


def test_without_a_schedule_more_users_are_more_cashiers_at_the_tills_in_turn(tmp_path: Path) -> None:
    """Locust's users may be as many as one likes."""
    book = SeatBook(
        read_plan(
            written(
                tmp_path,
                start_at_ms=None,
                tills=[{**till, "cashiers": till["cashiers"][:1]} for till in plan_fields()["tills"]],
            )
        )
    )
    seats = [book.claim("cashier", "alone") for _ in range(5)]
    assert [(seat.place, seat.slot) for seat in seats if seat] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]
    book.leave("cashier", 1, "alone", done=False)
    taken = book.claim("cashier", "alone")
    assert taken is not None and (taken.index, taken.again) == (1, True)


def given(**changes: Any) -> Namespace:
    """Return command line options."""
    fields = {
        "tills": "http://127.0.0.1:9", "host": None, "cashier": "1", "pin": "1", "catalogue": "c", "seed": None,
        "rate": 1.0, "out": "", "deadline_ms": 1000, "backoffice": "", "clerk": "", "clerk_secret": "",
        "edit_rate": 1.0,
    }  # fmt: skip
    return Namespace(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tills": ""}, "--tills: no till given"),
        ({"cashier": ""}, "--cashier"),
        ({"pin": ""}, "--pin"),
        ({"catalogue": ""}, "--catalogue"),
        ({"backoffice": "http://127.0.0.1:9"}, "--clerk"),
        ({"tills": "127.0.0.1:9"}, "no http:// or https:// address"),
        ({}, "http://127.0.0.1:9 doesn't answer"),
    ],
)
def test_a_missing_option_is_named(changes: dict[str, Any], told: str) -> None:
    """A lone user is told which option is missing, or which till is not there."""
    with pytest.raises(PlanInvalid, match=told):
        options_plan(given(**changes))


def test_a_rehearsals_plan_goes_before_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TILLPROOF_LOAD decides."""
    monkeypatch.setenv("TILLPROOF_LOAD", str(written(tmp_path)))
    assert wanted_plan(given()).seed == 1


def masters(folder: Path, products: str, prices: str = "sku,valid_from_ms,amount\nA,0,5\n") -> Path:
    """Write a masters folder."""
    (folder / "products.csv").write_text(products)
    (folder / "prices.csv").write_text(prices)
    return folder


def test_only_products_with_a_price_are_sold(tmp_path: Path) -> None:
    """Vendors and tax codes come from the products where they have no file."""
    catalogue = read_catalogue(masters(tmp_path, "sku,name,tax_code,vendor_id\nA,a,X,V\nB,b,Y,W\n"))
    assert [product.sku for product in catalogue.products] == ["A"]
    assert (catalogue.vendors, catalogue.tax_codes) == (("V",), ("X",))


@pytest.mark.parametrize(
    ("products", "told"),
    [
        ("sku,name\nA,a\n", "column tax_code is missing"),
        ("sku,name,tax_code,vendor_id\nB,b,X,V\n", "no product"),
    ],
)
def test_masters_that_can_not_be_sold_are_an_error(tmp_path: Path, products: str, told: str) -> None:
    """The message names file and column."""
    with pytest.raises(PlanInvalid, match=told):
        read_catalogue(masters(tmp_path, products))
    with pytest.raises(PlanInvalid, match="can't be read"):
        read_catalogue(tmp_path / "nowhere")


def test_popular_goods_are_spread_and_every_product_can_be_picked() -> None:
    """The skewed choice reaches each product, and another salt makes others popular."""
    products = tuple(Product(sku=str(i), name="", tax_code="", vendor_id="") for i in range(100))
    catalogue = Catalogue(products=products, vendors=(), tax_codes=())
    assert len({catalogue.pick((i / 10_000), salt=1).sku for i in range(10_000)}) == 100
    assert catalogue.pick(0.0, salt=1) != catalogue.pick(0.0, salt=2)
