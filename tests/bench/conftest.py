"""Benchmarks run when a file is named; a run of all tests leaves them out."""

from __future__ import annotations

collect_ignore_glob = ["test_*.py"]
