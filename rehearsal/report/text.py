"""What people wrote (product names, error texts, file names) made harmless for each place it is shown in.

A name may hold markup, control characters, or marks that turn the reading direction round, so that a line
of the report reads otherwise than it is. `visible` shows such characters by their number; every renderer
passes foreign text through it and then through the escaping of its own format.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

LONGEST = 2000
NO_MONEY = "Not known: there is no receipt, or a witness can't be read. The checks say which."
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~>:@-])")
_MINOR = re.compile(r"(-?\d+) minor units")
_NOT_METRIC = re.compile(r"[^a-zA-Z0-9_]+")


def visible(text: object, *, longest: int = LONGEST) -> str:
    """Return text on one line with hidden characters shown as \\u{number}, cut at `longest` characters."""
    raw = str(text)
    cut = raw if len(raw) <= longest else raw[: longest - 1] + "…"
    return "".join(_shown(char) for char in cut)


def _shown(char: str) -> str:
    if char in "\n\t\r":
        return " "
    if char.isascii():
        return char if char.isprintable() else f"\\u{{{ord(char):x}}}"
    return f"\\u{{{ord(char):x}}}" if unicodedata.category(char) in _HIDDEN_CATEGORIES else char


def markdown(text: object, *, longest: int = LONGEST) -> str:
    """Return text for a Markdown paragraph or table cell: no markup, link, mention or HTML gets through."""
    escaped = _MARKDOWN.sub(r"\\\1", visible(text, longest=longest))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def xml(text: object) -> str:
    """Return text that XML 1.0 allows; the writer still has to escape markup."""
    return "".join(
        char
        if char in "\n\t" or ("\x20" <= char <= "\ud7ff") or ("\ue000" <= char <= "\ufffd") or char > "\uffff"
        else f"\\u{{{ord(char):x}}}"
        for char in str(text)
    )


def metric_name(text: str) -> str:
    """Return a figure's or rule's name as an OpenMetrics name."""
    name = _NOT_METRIC.sub("_", text).strip("_").lower()
    return name if name and not name[0].isdigit() else f"_{name}"


def metric_label(text: object) -> str:
    """Return a label value for OpenMetrics, with its three escapes."""
    return visible(text).replace("\\", "\\\\").replace('"', '\\"')


def money(minor: int) -> str:
    """Return minor units with two decimals and thousands set apart, without a currency: 1,234.05."""
    sign = "\N{MINUS SIGN}" if minor < 0 else ""
    return f"{sign}{abs(minor) // 100:,}.{abs(minor) % 100:02d}"


def plainly(text: str, currency: str) -> str:
    """Return a text in which amounts in minor units are written as money."""
    return _MINOR.sub(lambda found: f"{money(int(found[1]))} {currency}", text)


def number(value: float) -> str:
    """Return a number as people read it: thousands set apart, at most three significant decimals."""
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 999.5:  # what rounds to four digits
        return f"{value:,.0f}"
    return f"{Decimal(f'{value:.3g}'):f}"  # never as 4e-05, which neither people nor the sorting reads


def instant(text: str) -> str:
    """Return an ISO 8601 time as people read it, in UTC to the second; anything else as it is."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at.tzinfo else text


def place(path: Path) -> Path:
    """Return a path as short as the working folder allows."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path.absolute()


def clock(seconds: float) -> str:
    """Return a time since the start as m:ss, or h:mm:ss from an hour on."""
    sign = "\N{MINUS SIGN}" if round(seconds) < 0 else ""
    hours, rest = divmod(abs(round(seconds)), 3600)
    return sign + (f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}")
