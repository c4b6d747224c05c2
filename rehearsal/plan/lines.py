"""Where a TOML key stands: tomllib gives values without lines, and an error must name its line."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\-\"']+)\s*=")

Path = tuple[str | int, ...]


def key_lines(text: str) -> dict[Path, int]:
    """Return path → line (from 1) of every table header and every key that begins a line.

    Elements of arrays of tables are numbered: ("faults", 0, "kind"). Strings over several lines are not
    told apart from keys, so a line is a help to the reader and nothing depends on it.
    """
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    prefix: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            names = _names(header[2])
            if header[1] == "[[":
                index = counts.get(names, 0)
                counts[names] = index + 1
                prefix = (*names, index)
            else:
                prefix = names
            found.setdefault(prefix, number)
        elif key := _KEY.match(line):
            found.setdefault((*prefix, *_names(key[1])), number)
    return found


def line_of(lines: dict[Path, int], path: Path) -> int:
    """Return the line of a path or of the nearest thing around it; 0 when there is none."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 0


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
