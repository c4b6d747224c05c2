"""docs/scenarios.md lists every key, fault, parameter and figure that the validator knows, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaos.faults.catalogue import FAULTS
from chaos.faults.parameters import described
from chaos.profiles import PROFILES
from rehearsal.drive.faults import KnownFaults
from rehearsal.own_masters import COLUMNS, OWN
from rehearsal.plan.loader import ScenarioInvalid, load_scenario
from rehearsal.plan.scenario import CLAIMS, EDIT_KINDS, STAGE_CHECKS, STAGE_STEPS
from rehearsal.plan.threshold import EXACT, FIGURES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/scenarios.md").read_text()
TABLES = ("sync", "catalogue", "backoffice", "drain", "real")
EXAMPLE = PAGE.split("```toml")[1].split("```")[0]


def cells(marker: str, column: int = 0) -> list[str]:
    """Return a column of the first table after an HTML comment."""
    rows = PAGE.split(f"<!-- {marker} -->")[1].lstrip("\n").split("\n\n")[0].splitlines()[2:]
    return [row.strip("|").split("|")[column].strip() for row in rows]


def load(tmp_path: Path, text: str) -> None:
    """Read a scenario's text as the command line does."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    load_scenario(path, faults=KnownFaults(), profiles=tuple(PROFILES))


def test_the_example_is_a_scenario(tmp_path: Path) -> None:
    """What a reader copies is accepted."""
    load(tmp_path, EXAMPLE)


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("top", "zzz = 1\n" + EXAMPLE),
        ("fleet", EXAMPLE.replace("[fleet]", "[fleet]\nzzz = 1")),
        ("load", EXAMPLE.replace("[load]", "[load]\nzzz = 1")),
        ("stages", EXAMPLE.replace("[[stages]]", "[[stages]]\nzzz = 1")),
        *((name, f"{EXAMPLE}\n[{name}]\nzzz = 1\n") for name in TABLES),
        ("flips", f"{EXAMPLE}\n[[flips]]\nat = 5\nannounce = 2\nzzz = 1\n"),
    ],
)
def test_the_keys_of_a_table_are_those_of_the_validator(tmp_path: Path, section: str, text: str) -> None:
    """An unknown key makes the validator name the ones it knows; the page lists the same."""
    with pytest.raises(ScenarioInvalid) as caught:
        load(tmp_path, text)
    said = re.search(r"unknown key; known here: ([^;\n]*)", str(caught.value))
    assert said is not None
    listed = [name for cell in cells(f"keys: {section}") for name in cell.split(", ")]
    assert sorted(listed) == said[1].split(", ")


def test_every_fault_is_listed_with_its_parameters_and_defaults() -> None:
    """Kinds and parameters of the registry, in its order."""
    assert cells("faults") == list(FAULTS)
    for kind, said in zip(cells("faults"), cells("faults", 2), strict=True):
        known = [f"{one.name} ({one.default}" for one in described(FAULTS[kind].parameters)]
        assert said.count("(") == len(known)
        assert all(text in said for text in known)


def test_figures_claims_checks_and_edits_are_all_named() -> None:
    """Thresholds, claims, stage checks and steps, kinds of edits, files of own masters, profiles."""
    assert cells("figures") == list(FIGURES)
    for word in (*CLAIMS, *STAGE_CHECKS, *STAGE_STEPS, *PROFILES, *EXACT):
        assert word in PAGE
    assert f"Kinds of edits: {', '.join(EDIT_KINDS)}." in PAGE
    assert dict(zip(cells("masters"), cells("masters", 1), strict=True)) == {
        name: ", ".join(COLUMNS[name]) for name in OWN
    }
