"""Configuration files of the system under test. Secrets stay in the fleet's temporary folder."""

from __future__ import annotations

import csv
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_toml(path: Path, sections: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write a configuration of flat sections and return its path."""
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {toml_value(value)}" for key, value in values.items()]
        lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o600)
    return path


def toml_value(value: object) -> str:
    """Return a value as TOML: text, numbers, switches, lists and inline tables."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def write_secrets(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Draw a secret for each name, write them as `name,secret`, and return them."""
    drawn = {name: secrets.token_urlsafe(24) for name in names}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "secret"))
        writer.writerows(drawn.items())
    path.chmod(0o600)
    return drawn


def write_secret(path: Path, secret: str) -> Path:
    """Write one credential file."""
    path.write_text(secret + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path
