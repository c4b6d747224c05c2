"""The import table of the architecture, enforced."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"syncref", "loadtest", "chaos", "rehearsal", "tests"}
PURE_ALLOWED = {
    "__future__", "base64", "collections", "dataclasses", "enum", "hashlib", "typing", "msgspec", "itertools",
    "functools", "math", "bisect", "operator",
}  # fmt: skip


def imports_of(path: Path) -> set[str]:
    """Return the dotted names that a module imports, wherever the statement stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def modules(folder: str) -> list[Path]:
    """Return the Python files below a folder of the repository."""
    return sorted((ROOT / folder).rglob("*.py"))


def own(names: set[str]) -> set[str]:
    """Return the project's packages among imported names."""
    return {name for name in names if name.split(".")[0] in PACKAGES}


@pytest.mark.parametrize("path", modules("syncref"), ids=str)
def test_syncref_knows_nothing_of_the_lab(path: Path) -> None:
    """The reference sync runs without loadtest, chaos or rehearsal."""
    assert {name for name in own(imports_of(path)) if not name.startswith("syncref")} == set()


@pytest.mark.parametrize("path", modules("loadtest"), ids=str)
def test_loadtest_uses_only_domain_and_wire(path: Path) -> None:
    """Cashiers speak the wire format; they never reach into a till's store or a protocol core."""
    allowed = ("loadtest", "syncref.domain", "syncref.wire")
    assert {name for name in own(imports_of(path)) if not name.startswith(allowed)} == set()


@pytest.mark.parametrize("path", modules("chaos"), ids=str)
def test_chaos_reaches_into_syncref_only_from_the_simulated_fleet(path: Path) -> None:
    """Faults and fleets treat the system as processes; only the simulator runs its cores."""
    allowed: tuple[str, ...] = ("chaos",)
    if "simulated" in path.parts:
        allowed = ("chaos", "syncref")
    assert {name for name in own(imports_of(path)) if not name.startswith(allowed)} == set()


@pytest.mark.parametrize("path", modules("rehearsal/checkers") + modules("rehearsal/evidence"), ids=str)
def test_checkers_share_no_code_with_the_defendant(path: Path) -> None:
    """The oracle reads evidence and databases; it imports nothing of syncref, not even its rounding."""
    assert {name for name in own(imports_of(path)) if not name.startswith("rehearsal")} == set()


@pytest.mark.parametrize("path", modules("syncref/core") + modules("syncref/domain"), ids=str)
def test_cores_and_domain_are_pure(path: Path) -> None:
    """No clock, randomness, socket, thread, database or logging in what production and simulation share."""
    foreign = {name for name in imports_of(path) if name.split(".")[0] not in PURE_ALLOWED}
    allowed = ("syncref.core", "syncref.domain", "syncref.wire", "syncref.errors")
    assert {name for name in foreign if not name.startswith(allowed)} == set()


def test_the_simulated_fleet_stands_in_layers() -> None:
    """No circle of imports, not even of those for types alone: what is below knows nothing of what is above."""
    left: dict[str, set[str]] = {}
    for path in modules("chaos/fleet/simulated"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        imported = imports_of(path)
        left[name] = {*imported, *(found.rpartition(".")[0] for found in imported)} - {name}
    while lowest := {name for name, below in left.items() if not below & left.keys()}:
        left = {name: below for name, below in left.items() if name not in lowest}
    assert sorted(left) == []
