"""Shared by all tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take how long the fuzz tests go on; without it they are short and always the same."""
    parser.addoption("--fuzz-s", type=int, default=0, help="seconds for each fuzz test, with new seeds")
