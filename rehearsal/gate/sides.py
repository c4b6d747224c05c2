"""The base revision beside the tree at hand: git worktrees of it, each with an environment of its own.

An environment whose locked requirements are the same links to the packages that are installed already, and
only the project comes from the worktree; where they differ, it installs the base's own. Worktrees are gone
afterwards, however the gate ends.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rehearsal.gate.blocks import BENCHMARKS, TURNS, Place

REQUIREMENTS = (Path("requirements/run.txt"), Path("requirements/dev.txt"))


class NoBase(Exception):
    """The base can't be compared with; the message says why."""


def check_clone(root: Path) -> None:
    """Refuse a tree without the gate's benchmarks, such as an installed package. Raises NoBase."""
    if not (root / BENCHMARKS).is_file():
        raise NoBase(f"{root} is no clone of the project: {BENCHMARKS} is not there")


@contextmanager
def base_places(root: Path, revision: str) -> Iterator[tuple[Place, Place]]:
    """Yield two places of one revision, to run and to compare with itself. Raises NoBase."""
    commit = resolve(root, revision)
    with tempfile.TemporaryDirectory(prefix="tillproof-gate-") as name:
        folder = Path(name)
        trees = [folder / f"{folder.name}-{side}" for side in ("base", "again")]  # git goes by the last part alone
        try:
            for tree in trees:
                git(root, "worktree", "add", "--detach", "--quiet", str(tree), commit)
            if not (trees[0] / BENCHMARKS).is_file():
                raise NoBase(f"{revision} has no {BENCHMARKS}: it is older than the gate; choose a newer base")
            if TURNS.encode() not in (_content(trees[0] / BENCHMARKS.with_name("conftest.py")) or b""):
                raise NoBase(f"{revision}: its benchmarks take no turns with head's; choose a newer base")
            first, second = (place_of(tree, folder / f"env-{tree.name}", root) for tree in trees)
            yield first, second
        finally:
            for tree in trees:
                if tree.exists():
                    git(root, "worktree", "remove", "--force", str(tree))
            git(root, "worktree", "prune")


def resolve(root: Path, revision: str) -> str:
    """Return the commit that a revision names. Raises NoBase."""
    if revision.startswith("-"):
        raise NoBase(f"{revision!r} is no revision")
    words = ("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    return git(root, *words, otherwise=f"{revision!r} is no revision of {root}")


def same_benchmarks(root: Path, base: Path) -> bool:
    """Tell whether both sides time the same blocks, file by file."""
    folder = BENCHMARKS.parent
    names = {path.name for side in (root, base) for path in (side / folder).glob("*.py")}
    return all(_content(root / folder / name) == _content(base / folder / name) for name in names)


def place_of(tree: Path, environment: Path, root: Path) -> Place:
    """Make an environment whose project is `tree`, and return the place. Raises NoBase."""
    linked = all(_content(tree / name) == _content(root / name) for name in REQUIREMENTS)
    venv.create(environment, with_pip=not linked, symlinks=True)
    python = environment / "bin" / "python"
    site = next(environment.glob("lib/python*/site-packages"))
    lines = [str(tree)]
    if linked:
        lines += dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    else:
        _install(python, tree)
    (site / "tillproof-gate.pth").write_text("\n".join(lines) + "\n")
    return Place(root=tree, python=python)


def _install(python: Path, tree: Path) -> None:
    for name in REQUIREMENTS:
        command = [
            str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
            "-r", str(tree / name),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NoBase(f"the base's {name} can't be installed: {done.stderr.strip()[-500:]}")


def own_place(root: Path) -> Place:
    """Return the tree at hand with the interpreter at hand."""
    return Place(root=root, python=Path(sys.executable))


def git(root: Path, *words: str, otherwise: str = "") -> str:
    """Run git and return what it prints. Raises NoBase."""
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoBase(f"git can't be run: {error.strerror}") from error
    if done.returncode != 0:
        raise NoBase(otherwise or f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
