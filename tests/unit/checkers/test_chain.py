"""What the chain checker convicts and acquits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rehearsal.checkers.payload import NotAnEntry, decode
from rehearsal.checkers.rules import genesis, link, number_on_paper
from rehearsal.model import CheckResult, Verdict
from tests.unit.checkers.conftest import Try, convicted
from tests.unit.checkers.shop import Shop, closed_shop, hex_id, open_shop


def test_a_consistent_shop_is_acquitted(ask: Try) -> None:
    """Same bytes, unbroken hashes, rows that follow."""
    assert ask(closed_shop(), "chain").verdict is Verdict.VALID


def test_the_documented_chain_is_computed() -> None:
    """docs/protocol.md's example, which can be checked by hand."""
    first = bytes.fromhex(
        "96a16fc41001010101010101010101010101010101aa323032342d30352d3031cf0000018f32bd0700a24331cd4e20"
    )
    start = genesis("lab", "T01", "000102030405060708090a0b0c0d0e0f")
    assert start.hex() == "5eaf78665534b940f85c42d4aca4cb228eecf4e655d34cea69d0d22e93e84269"
    assert link(start, first).hex() == "c4d3e0b750b4daa5966e104b520be4da3e860968c53e5c9b032f051781bdaf08"
    assert number_on_paper("T01", "000102030405060708090a0b0c0d0e0f", 1) == "T01-AAAQE-000001"


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc1", b"\x80", b"\x90", msgspec.msgpack.encode(["x"]), msgspec.msgpack.encode(["r", b"1"]),
     msgspec.msgpack.encode(["o", b"1", 5, "x"]), msgspec.msgpack.encode(["z", *[1] * 15]),
     b"\x91\xa1\xff", b"\x91" * 100_000],
)  # fmt: skip
def test_what_is_no_entry_is_named_as_such(payload: bytes) -> None:
    """Nothing is skipped or guessed."""
    with pytest.raises(NotAnEntry):
        decode(payload, till="T01", incarnation=hex_id("T01"), seq=1)


def _gap(shop: Shop) -> None:
    """S4: a batch that began after the end was accepted."""
    shop.files["server/journal.csv"].pop(2)


def _tail_missing(shop: Shop) -> None:
    shop.files["server/journal.csv"].pop()


def _ahead(shop: Shop) -> None:
    shop.files["tills/T02/journal.csv"].pop()


def _byte(shop: Shop) -> None:
    row = shop.row("server/journal.csv")
    row["payload_hex"] = row["payload_hex"][:-1] + ("0" if row["payload_hex"][-1] != "0" else "1")


def _hash(shop: Shop) -> None:
    shop.row("tills/T01/journal.csv")["hash"] = "0" * 64


def _swapped(shop: Shop) -> None:
    rows = shop.files["server/journal.csv"]
    rows[1]["payload_hex"], rows[2]["payload_hex"] = rows[2]["payload_hex"], rows[1]["payload_hex"]


def _other_cluster(shop: Shop) -> None:
    shop.row("server/term.csv")["cluster"] = "production"


def _row_missing(shop: Shop) -> None:
    shop.files["tills/T01/receipts.csv"].pop(0)


def _row_added(shop: Shop) -> None:
    row = shop.row("server/receipts.csv")
    shop.files["server/receipts.csv"].append({**row, "op_id": "e" * 32, "receipt_no": "T01-XXXXX-000009"})


def _line_of_nothing(shop: Shop) -> None:
    row = shop.row("server/lines.csv")
    shop.files["server/lines.csv"].append({**row, "receipt_no": "T01-XXXXX-000008"})


def _typed(column: str, value: object) -> Callable[[Shop], None]:
    def spoil(shop: Shop) -> None:
        shop.row("server/receipts.csv")[column] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_gap, "a sequence is missing or repeats"),
        (_tail_missing, "on the till only"),
        (_ahead, "on the server only"),
        (_byte, "till bytes and server bytes differ"),
        (_hash, "hash does not follow"),
        (_swapped, "hash does not follow"),
        (_other_cluster, "hash does not follow"),
        (_row_missing, "an entry has no typed receipt"),
        (_row_added, "a typed receipt has no entry"),
        (_line_of_nothing, "lines of no receipt"),
        (_typed("cashier", "K2"), "typed cashier"),
        (_typed("at_ms", 1), "typed at_ms"),
        (_typed("gross", 1), "typed gross"),
    ],
)
def test_a_broken_chain_is_convicted(ask: Try, spoil: Callable[[Shop], None], what: str) -> None:
    """Each trace is found and named."""
    shop = closed_shop()
    spoil(shop)
    assert convicted(ask(shop, "chain"), what)


def test_other_bytes_with_good_hashes_of_their_own_are_convicted(ask: Try) -> None:
    """S3: both chains are sound, but they are two."""
    shop = open_shop()
    entries = [list(entry) for entry in shop.tills["T01"].entries]
    entries[1][6] = "K9"
    shop.server_entries["T01"] = entries
    assert convicted(ask(shop, "chain"), "till bytes and server bytes differ")


def _aside_row(shop: Shop, seq: int) -> dict[str, Any]:
    return {
        "till": "T01",
        "incarnation": shop.tills["T01"].incarnation,
        "seq": seq,
        "reason": "poison",
        "at_ms": 1,
    }


def test_a_good_entry_that_was_set_aside_is_convicted(ask: Try) -> None:
    """S16: a transient error was taken for poison."""
    shop = closed_shop()
    shop.files["server/asides.csv"] = [_aside_row(shop, 2)]
    assert convicted(ask(shop, "chain"), "a good entry was set aside")


def test_an_entry_that_can_not_be_decoded_may_be_set_aside(ask: Try) -> None:
    """Its bytes are kept and compared all the same."""
    shop = open_shop()
    shop.tills["T01"].entries.append(["?", bytes(16)])
    shop.derive()
    assert convicted(ask(shop, "chain"), "not an entry")
    shop.files["server/asides.csv"] = [_aside_row(shop, len(shop.tills["T01"].entries))]
    assert ask(shop, "chain").verdict is Verdict.VALID


def _found(result: CheckResult) -> set[str]:
    return {row["what"] for row in result.evidence}


@pytest.mark.parametrize(
    ("line", "good"),
    [
        ({1: 10**9}, True),
        ({1: 10**9 + 1}, False),
        ({1: -(2**63)}, False),
        ({6: 10**12, 7: 10**12}, True),
        ({7: -(10**12) - 1}, False),
        ({6: 10**12 + 1}, False),
        ({0: "A" * 64}, True),
        ({0: "A" * 65}, False),
    ],
)
def test_a_receipt_out_of_bounds_may_be_set_aside_though_it_balances(
    ask: Try, line: dict[int, int | str], good: bool
) -> None:
    """Exactly those of docs/protocol.md, and nothing within them."""
    shop = open_shop()
    shop.sell("T01", [("A", 1000, 0)])
    entry = shop.tills["T01"].entries[-1]
    for item, value in line.items():
        entry[7][0][item] = value
    entry[9], entry[10] = entry[7][0][7], entry[7][0][6]
    entry[8] = [["cash", entry[9]]]
    shop.derive()
    shop.files["server/asides.csv"] = [_aside_row(shop, len(shop.tills["T01"].entries))]
    assert ("a good entry was set aside" in _found(ask(shop, "chain"))) is good


@pytest.mark.parametrize(("counter", "good"), [(0, False), (10**9 - 1, True), (10**9, False)])
def test_a_counter_out_of_bounds_may_be_set_aside(ask: Try, counter: int, good: bool) -> None:
    """No receipt with such a number can be posted."""
    shop = open_shop()
    shop.sell("T01", [("A", 1000, 0)])
    shop.tills["T01"].entries[-1][3] = counter
    shop.derive()
    shop.files["server/asides.csv"] = [_aside_row(shop, len(shop.tills["T01"].entries))]
    assert ("a good entry was set aside" in _found(ask(shop, "chain"))) is good


@pytest.mark.parametrize(("seq", "good"), [(0, True), (2**62 - 1, True), (2**62, False), (-1, False)])
def test_a_continuation_from_nowhere_may_be_set_aside(ask: Try, seq: int, good: bool) -> None:
    """No other one."""
    shop = open_shop()
    shop.tills["T01"].entries.append(["c", bytes(16), bytes(16), seq, bytes(32), 1])
    shop.derive()
    shop.files["server/asides.csv"] = [_aside_row(shop, len(shop.tills["T01"].entries))]
    assert ("a good entry was set aside" in _found(ask(shop, "chain"))) is good


def test_a_pruned_start_is_held_to_its_anchor(ask: Try) -> None:
    """What the till pruned is on the server, under the hash that the till kept."""
    shop = closed_shop()
    rows = shop.files["tills/T01/journal.csv"]
    anchor = [rows.pop(0) for _ in range(3)][-1]
    shop.files["tills/T01/anchor.csv"] = [{name: anchor[name] for name in ("till", "incarnation", "seq", "hash")}]
    kept = shop.files["tills/T01/receipts.csv"][2:]
    gone = {row["receipt_no"] for row in shop.files["tills/T01/receipts.csv"][:2]}
    shop.files["tills/T01/receipts.csv"] = kept
    for table in ("lines", "payments"):
        rows = shop.files[f"tills/T01/{table}.csv"]
        shop.files[f"tills/T01/{table}.csv"] = [row for row in rows if row["receipt_no"] not in gone]
    for name in ("chain", "receipts", "money", "settlement", "prices", "stock"):
        assert ask(shop, name).verdict is Verdict.VALID, name
    shop.files["tills/T01/anchor.csv"][0]["hash"] = hashlib.sha256(b"another").hexdigest()
    assert convicted(ask(shop, "chain"), "anchor")


def test_a_pruned_journal_of_which_the_server_has_nothing_is_convicted(ask: Try) -> None:
    """The till has its anchor only, the server not even that."""
    shop = open_shop()
    mark = len(shop.tills["T01"].entries)
    shop.continue_journal("T01", mark)
    shop.derive()
    old = shop.earlier["T01"][0]
    last = shop.row(
        "tills/T01/journal.csv", lambda row: (row["incarnation"], row["seq"]) == (old.incarnation, mark)
    )
    shop.files["tills/T01/anchor.csv"] = [{name: last[name] for name in ("till", "incarnation", "seq", "hash")}]
    for place in ("tills/T01", "server"):
        for table in ("receipts", "journal"):
            rows = shop.files[f"{place}/{table}.csv"]
            shop.files[f"{place}/{table}.csv"] = [row for row in rows if row["incarnation"] != old.incarnation]
    assert convicted(ask(shop, "chain"), "the server's hash is not the pruned start's anchor")


def test_an_empty_journal_is_nothing_known(ask: Try) -> None:
    """No entry, no acquittal."""
    assert ask(Shop().stage(), "chain").verdict is Verdict.UNKNOWN
