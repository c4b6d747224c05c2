"""The back office: documents are all or nothing, done once per op id, and versioned under row locks."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import text

from chaos.waiting import wait_until
from tests.integration.server.shop import Answer, Shop, new_op


def price(sku: str, amount: int, valid_from_ms: int = 0) -> dict[str, Any]:
    """Return a price row."""
    return {"sku": sku, "valid_from_ms": valid_from_ms, "amount": amount}


def stock(shop: Shop, sku: str) -> int:
    """Return a product's stock on the server."""
    return int(shop.value("SELECT coalesce(max(qty), 0) FROM stock WHERE sku = :sku", sku=sku))


def test_the_same_op_id_and_request_answer_the_same_and_write_once(shop: Shop) -> None:
    """A clerk whose answer was lost sends again."""
    clerk, op_id = shop.clerk(), new_op()
    body = {"doc_no": "GR-1", "vendor_id": "V1", "lines": [{"sku": "P1", "qty": 5000}]}
    before = stock(shop, "P1")
    first = clerk.document("goods-receipts", op_id=op_id, **body)
    again = clerk.document("goods-receipts", op_id=op_id, **body)
    assert (first.status, first.json["status"]) == (200, "ok")
    assert again.json == first.json
    assert stock(shop, "P1") == before + 5000


def test_the_same_op_id_for_another_request_is_refused(shop: Shop) -> None:
    """Neither another body nor another kind of document passes."""
    clerk, op_id = shop.clerk(), new_op()
    assert clerk.document("prices", op_id=op_id, prices=[price("P1", 10)]).status == 200
    for answer in (
        clerk.document("prices", op_id=op_id, prices=[price("P1", 11)]),
        clerk.document("vendors", op_id=op_id, vendors=[{"vendor_id": "V1", "name": "x"}]),
    ):
        assert (answer.status, answer.json["code"], answer.json["definite"]) == (409, "operation_reused", True)
    assert shop.value("SELECT amount FROM price WHERE sku = 'P1' AND valid_from_ms = 0") == 10


def test_two_requests_at_once_under_one_op_id_are_done_once(shop: Shop) -> None:
    """The second waits for the first and gets its answer."""
    clerk, op_id = shop.clerk(), new_op()
    body = {"doc_no": "GR-2", "vendor_id": "V1", "lines": [{"sku": "P2", "qty": 1000}]}
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(clerk.document("goods-receipts", op_id=op_id, **body)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200] * 4
    assert len({answer.data for answer in answers}) == 1
    assert shop.value("SELECT count(*) FROM goods_receipt WHERE doc_no = 'GR-2' AND version > 0") == 1


def test_a_document_with_one_bad_row_writes_nothing(shop: Shop) -> None:
    """The error says which row; neither rows nor op id are kept, so that it can be corrected and sent again."""
    clerk, op_id = shop.clerk(), new_op()
    refused = clerk.document("prices", op_id=op_id, prices=[price("P3", 1, 77), price("NOPE", 2)])
    assert (refused.status, refused.json["code"]) == (422, "rule_broken")
    assert "'NOPE'" in refused.json["message"]
    assert shop.value("SELECT count(*) FROM price WHERE valid_from_ms = 77") == 0
    assert clerk.document("prices", op_id=op_id, prices=[price("P3", 1, 77)]).status == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("products", {"products": [{"sku": "X", "name": "x", "tax_code": "NONE"}]}, 422),
        ("products", {"products": [{"sku": "X", "name": "x", "tax_code": "A", "vendor_id": "NONE"}]}, 422),
        ("products", {"products": [{"sku": "X", "tax_code": "A"}]}, 400),
        ("products", {"products": [{"sku": "X", "deleted": True}]}, 404),
        ("products", {"products": []}, 400),
        ("prices", {"prices": [price("P1", 1), price("P1", 2)]}, 422),
        ("prices", {"prices": [price("P1", -1)]}, 400),
        ("prices", {"prices": [{"sku": "P1", "valid_from_ms": 0}]}, 400),
        ("tax-rates", {"tax_rates": [{"tax_code": "A", "rate_bp": "1900"}]}, 400),
        ("vendors", {"vendors": [{"vendor_id": "V\0", "name": "x"}]}, 400),
        ("vendors", {"vendors": [{"vendor_id": "V1\n", "name": "x"}]}, 400),
        ("cashiers", {"cashiers": [{"cashier_id": "new", "name": "No Pin"}]}, 422),
        ("goods-receipts", {"doc_no": "D", "vendor_id": "V1", "lines": [{"sku": "P1", "qty": 0}]}, 400),
        ("stock-counts", {"doc_no": "D", "lines": [{"sku": "P1", "counted": 1}] * 2}, 422),
    ],
)
def test_a_bad_document_is_refused_with_the_right_status(
    shop: Shop, path: str, body: dict[str, Any], status: int
) -> None:
    """What can't be read is 400, what the shop forbids 422; all of it definite."""
    answer = shop.clerk().document(path, **body)
    assert (answer.status, answer.json["definite"]) == (status, True)
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]


def test_a_row_whose_key_no_database_holds_is_refused(shop: Shop) -> None:
    """A number of more than 64 bits is the clerk's mistake, and no failure of the database to try again after."""
    answer = shop.clerk().ask("GET", '/v1/price/["P2","STD",9223372036854775808]')
    assert (answer.status, answer.json["where"]) == (400, "key")


def test_clerks_who_edit_one_key_at_once_raise_its_version_one_by_one(shop: Shop) -> None:
    """No version is given twice, and the last version's values are the row's."""
    clerks = [shop.clerk() for _ in range(4)]
    answers: list[tuple[int, Answer]] = []

    def edit(amount: int) -> None:
        clerk = clerks[amount % 4]
        answers.append((amount, clerk.document("prices", prices=[price("P2", amount, 42)])))

    threads = [threading.Thread(target=edit, args=(amount,)) for amount in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = {answer.json["rows"][0]["version"]: amount for amount, answer in answers}
    assert sorted(versions) == list(range(1, 13))
    row = shop.clerk().ask("GET", '/v1/price/["P2","STD",42]').json
    assert (row["version"], row["values"]["amount"]) == (12, versions[12])


def test_goods_returns_and_counts_move_the_stock_at_once(shop: Shop) -> None:
    """Receipts add, returns take away, a count sets and keeps what it changed."""
    clerk = shop.clerk()
    before = stock(shop, "P3")
    lines = [{"sku": "P3", "qty": 7000}, {"sku": "P3", "qty": 500}]
    assert clerk.document("goods-receipts", doc_no="GR-3", vendor_id="V1", lines=lines).status == 200
    lines = [{"sku": "P3", "qty": 1000}]
    assert clerk.document("vendor-returns", doc_no="VR-3", vendor_id="V1", lines=lines).status == 200
    assert stock(shop, "P3") == before + 6500
    counted = [{"sku": "P3", "counted": 1234}]
    assert clerk.document("stock-counts", doc_no="SC-3", lines=counted).status == 200
    assert stock(shop, "P3") == 1234
    assert shop.value("SELECT delta FROM stock_count WHERE doc_no = 'SC-3'") == 1234 - before - 6500
    again = clerk.document("goods-receipts", doc_no="GR-3", vendor_id="V1", lines=lines)
    assert (again.status, again.json["code"]) == (422, "rule_broken")


@pytest.mark.parametrize(
    ("path", "table", "bodies"),
    [
        ("goods-receipts", "goods_receipt", [{"vendor_id": "V1", "lines": [{"sku": "P1", "qty": 5000}]}] * 2),
        ("vendor-returns", "vendor_return", [{"vendor_id": "V1", "lines": [{"sku": "P1", "qty": 2000}]}] * 2),
        ("stock-counts", "stock_count", [{"lines": [{"sku": "P1", "counted": n}]} for n in (700, 900)]),
    ],
)
def test_a_document_number_that_two_clerks_use_at_once_is_booked_once(
    shop: Shop, path: str, table: str, bodies: list[dict[str, Any]]
) -> None:
    """Both are on their way before either commits: the second is refused, and neither stock nor document moves."""
    clerks = [shop.clerk(), shop.clerk()]
    assert (
        clerks[0].document("stock-counts", doc_no=f"{path}-0", lines=[{"sku": "P1", "counted": 1}]).status == 200
    )
    answers: list[Answer] = []
    threads = [
        threading.Thread(
            target=lambda who=who, body=body: answers.append(who.document(path, doc_no="N-1", **body))
        )
        for who, body in zip(clerks, bodies, strict=True)
    ]
    waiting = (
        "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with shop.engine.begin() as holder:
        holder.execute(text("SELECT 1 FROM stock WHERE sku = 'P1' FOR UPDATE"))
        for thread in threads:
            thread.start()
        assert wait_until(lambda: bool(shop.value(waiting)), 10.0, every_s=0.02)
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200, 422]
    refused = max(answers, key=lambda answer: answer.status).json
    assert (refused["code"], refused["message"]) == ("rule_broken", f"{table} 'N-1' is there already")
    assert stock(shop, "P1") in {"goods_receipt": {5001}, "vendor_return": {-1999}}.get(table, {700, 900})


def test_a_pin_is_stored_as_argon2id_and_never_told(shop: Shop) -> None:
    """Neither a row nor the operation table gives it away."""
    clerk = shop.clerk()
    row = {"cashier_id": "c7", "name": "Carla", "pin": "735519"}
    assert clerk.document("cashiers", cashiers=[row]).status == 200
    assert shop.value("SELECT secret_hash FROM cashier WHERE cashier_id = 'c7'").startswith("$argon2id$")
    told = clerk.ask("GET", "/v1/cashier/c7")
    assert told.json["values"] == {"name": "Carla", "active": 1}
    before = shop.value("SELECT secret_hash FROM cashier WHERE cashier_id = 'c7'")
    assert clerk.document("cashiers", cashiers=[{"cashier_id": "c7", "name": "C."}]).status == 200
    assert shop.value("SELECT secret_hash FROM cashier WHERE cashier_id = 'c7'") == before


def test_a_csv_import_names_line_column_and_value_and_writes_nothing(shop: Shop) -> None:
    """A bad row in the middle leaves the good ones out as well."""
    clerk = shop.clerk()
    csv = "sku,valid_from_ms,amount\nP1,900,5\nP2,900,five\n"
    answer = clerk.ask("POST", f"/v1/import/price?op_id={new_op()}", body=csv)
    assert (answer.status, answer.json["code"]) == (422, "rule_broken")
    assert "line 3: amount = 'five'" in answer.json["message"]
    assert shop.value("SELECT count(*) FROM price WHERE valid_from_ms = 900") == 0
    good = csv.replace("five", "55")
    assert clerk.ask("POST", f"/v1/import/price?op_id={new_op()}", body=good).status == 200
    assert shop.value("SELECT sum(amount) FROM price WHERE valid_from_ms = 900") == 60
    assert clerk.ask("POST", f"/v1/import/nothing?op_id={new_op()}", body=good).status == 404


def test_an_import_of_stock_keeps_what_was_sold_and_received_since(shop: Shop) -> None:
    """Opening stock is a start, not a reset."""
    clerk = shop.clerk()
    product = {"sku": "S1", "name": "Stocked", "tax_code": "A"}
    assert clerk.document("products", products=[product]).status == 200
    for qty, expected in ((10_000, 10_000), (10_000, 13_000), (12_000, 15_000)):
        answer = clerk.ask("POST", f"/v1/import/stock?op_id={new_op()}", body=f"sku,qty\nS1,{qty}\n")
        assert answer.status == 200
        if expected == 10_000:
            lines = [{"sku": "S1", "qty": 3000}]
            clerk.document("goods-receipts", doc_no="GR-S", vendor_id="V1", lines=lines)
            continue
        assert stock(shop, "S1") == expected


def test_tills_and_strangers_have_no_say_in_the_back_office(shop: Shop) -> None:
    """A till's token, none, a forged and a wrong log-in are refused."""
    till, clerk = shop.till("T01"), shop.clerk()
    good = clerk.token
    for token, status in ((till.token, 403), ("", 401), (good[:-4] + "AAAA", 401), ("x" * 5000, 401)):
        clerk.token = token
        assert clerk.document("vendors", vendors=[{"vendor_id": "V1", "name": "x"}]).status == status
    assert clerk.log_in("wrong-secret-wrong").status == 401


def test_an_identity_that_fails_to_log_in_must_wait_and_others_need_not(shop: Shop) -> None:
    """Throttling is per identity."""
    clerk, other = shop.clerk(), shop.clerk()
    other.kind, other.name = "clerk", "mallory"
    statuses = [other.log_in(f"guess-number-{n}").status for n in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    refused = other.log_in("guess")
    assert (refused.json["code"], int(refused.headers["Retry-After"])) == ("too_many_attempts", 1)
    assert clerk.log_in().status == 200
