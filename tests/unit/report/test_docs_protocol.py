"""docs/protocol.md is a format: it must name what the code really sends."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from syncref import errors
from syncref.domain.identity import Key, chain_hash, genesis_hash, receipt_number
from syncref.domain.masters import MASTERS
from syncref.wire import entry, sync

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()


def table_after(marker: str) -> list[list[str]]:
    """Return the cells of the first table after an HTML comment, without its two heading rows."""
    text = PAGE.split(f"<!-- {marker} -->")[1].lstrip("\n")
    rows = text.split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


STRUCTS = re.findall(r"<!-- struct: (\S+)\.(\w+)(?: tag=(\w))? -->", PAGE)


@pytest.mark.parametrize(("module", "name", "tag"), STRUCTS, ids=[name for _, name, _ in STRUCTS])
def test_positions_are_those_of_the_struct(module: str, name: str, tag: str) -> None:
    """Item numbers and names follow the struct's fields, the tag first where there is one."""
    struct = getattr(importlib.import_module(module), name)
    expected = [*(["tag"] if tag else []), *struct.__struct_fields__]
    marker = f"struct: {module}.{name}" + (f" tag={tag}" if tag else "")
    rows = table_after(marker)
    assert [row[1] for row in rows] == expected
    assert [int(row[0]) for row in rows] == list(range(len(expected)))
    assert struct.__struct_config__.tag == (tag or None)


def test_every_wire_struct_is_on_the_page() -> None:
    """A struct that travels as an array can't be forgotten."""
    listed = {name for _, name, _ in STRUCTS}
    for module in (entry, sync):
        for name, thing in vars(module).items():
            config = getattr(thing, "__struct_config__", None)
            if config is not None and config.array_like and thing.__module__ == module.__name__:
                assert name in listed


def test_the_chain_example_is_what_the_code_computes() -> None:
    """Whoever implements the chain from the page can check it against the example."""
    block = PAGE.split("<!-- example: chain -->")[1].split("```")[1]
    words = " ".join(block.split("\n")[1:]).split()
    values: dict[str, str] = {}
    label = ""
    for word in words:
        if "(" in word:
            label = word
            values[label] = ""
        else:
            values[label] += word
    key = Key(till="T01", incarnation=bytes(range(16)))
    chain = genesis_hash(cluster="lab", key=key)
    assert values["hash(0)"] == chain.hex()
    for n in (1, 2):
        payload = bytes.fromhex(values[f"payload({n})"])
        assert entry.encode_entry(entry.decode_entry(payload)) == payload
        chain = chain_hash(chain, payload)
        assert values[f"hash({n})"] == chain.hex()
    sale = entry.decode_entry(bytes.fromhex(values["payload(2)"]))
    assert isinstance(sale, entry.Receipt)
    assert f"`{receipt_number(key=key, counter=sale.counter)}`" in PAGE


def test_master_tables_are_listed_with_their_columns() -> None:
    """Travelling order is part of the format."""
    expected = [
        [table.name, ", ".join(table.key_names), ", ".join(name for name, _ in table.values)] for table in MASTERS
    ]
    assert table_after("masters") == expected


def test_error_codes_statuses_and_definiteness_are_those_of_the_catalogue() -> None:
    """Codes are stable: the page lists each with its status and whether it is definite."""
    classes = [
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, errors.SyncrefError)
    ]
    expected = {(c.code, str(c.status), "yes" if c.definite else "no") for c in classes}
    assert {(row[0], row[1], row[2]) for row in table_after("errors")} == expected


def test_bounds_are_those_of_the_code() -> None:
    """Bounds on the page are the ones that are enforced."""
    for name, value, *_ in table_after("bounds"):
        bound = getattr(sync, name, None) or getattr(entry, name)
        assert int(value.split()[0].replace(",", "")) == bound
