"""verdict.json keeps to its schema, which forbids what it doesn't describe, and the page explains all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from rehearsal.model import Outcome
from rehearsal.report import verdict as verdict_file
from rehearsal.report.verdict import VerdictUnreadable, to_json, verdict_of
from tests.unit.report.samples import OUTCOMES, sample

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "rehearsal/report/verdict.schema.json").read_text())
PAGE = (ROOT / "docs/verdict-schema.md").read_text()


@pytest.mark.parametrize("kind", OUTCOMES)
def test_every_kind_of_run_keeps_to_the_schema(tmp_path: Path, kind: str) -> None:
    """No field is missing and none is there that the schema does not describe."""
    written = json.loads(to_json(verdict_of(sample(tmp_path, kind))))
    jsonschema_rs.validator_for(SCHEMA).validate(written)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdict",), "MAYBE"),
        (("fleet", "tills"), "10"),
        (("sales", "gross_minor", "server"), 1.5),
        (("new",), 1),
    ],
)
def test_the_schema_convicts_a_wrong_file(tmp_path: Path, path: tuple[str, ...], value: object) -> None:
    """The schema is strict enough to notice one wrong field."""
    written = json.loads(to_json(verdict_of(sample(tmp_path, "go"))))
    inner = written
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    assert not jsonschema_rs.is_valid(SCHEMA, written)


def test_it_reads_back_what_it_wrote(tmp_path: Path) -> None:
    """Writing and reading lose nothing, from the file as from its folder."""
    verdict = verdict_of(sample(tmp_path, "no-go"))
    (tmp_path / "verdict.json").write_text(to_json(verdict))
    assert verdict_file.read(tmp_path) == verdict == verdict_file.read(tmp_path / "verdict.json")


@pytest.mark.parametrize("content", [None, "{", "{}", "[]", '{"schema": 1}'])
def test_a_file_that_is_no_verdict_is_named_in_the_error(tmp_path: Path, content: str | None) -> None:
    """The error says which file and why."""
    path = tmp_path / "verdict.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(VerdictUnreadable, match=r"verdict\.json"):
        verdict_file.read(path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A file of the future is not misread."""
    written = json.loads(to_json(verdict_of(sample(tmp_path / "a", "go"))))
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps({**written, "schema": 2}))
    with pytest.raises(VerdictUnreadable, match="newer"):
        verdict_file.read(path)


def test_fields_of_a_later_minor_version_are_ignored(tmp_path: Path) -> None:
    """A reader does not break on a field that it doesn't know."""
    written = json.loads(to_json(verdict_of(sample(tmp_path / "a", "go"))))
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps({**written, "later": {"x": 1}}))
    assert verdict_file.read(path).verdict is Outcome.GO


def test_the_first_twenty_findings_are_inside_and_the_rest_is_counted(tmp_path: Path) -> None:
    """41 findings: 20 in the file, all in the CSV that it names."""
    receipts = next(c for c in verdict_of(sample(tmp_path, "no-go")).checks if c.name == "receipts")
    assert (len(receipts.evidence), receipts.findings) == (20, 41)
    assert receipts.evidence_file == "findings/receipts.csv"


def fields(path: str, node: dict[str, Any]) -> set[str]:
    """Return the paths of all properties below a schema node, as the page writes them."""
    found = {path} if path else set()
    for branch in [node, *node.get("anyOf", [])]:
        for name, inner in branch.get("properties", {}).items():
            found |= fields(f"{path}.{name}" if path else name, inner)
        for name, inner in branch.get("items", {}).get("properties", {}).items():
            found |= fields(f"{path}[].{name}", inner)
    return found


def test_the_page_lists_exactly_the_fields_of_the_schema() -> None:
    """docs/verdict-schema.md forgets none and invents none."""
    listed = {line.split("`")[1] for line in PAGE.split("## Fields")[1].splitlines() if line.startswith("| `")}
    assert listed == fields("", SCHEMA)
