"""The shop of the server's tests, for attacks on it."""

from __future__ import annotations

from tests.integration.server.conftest import shop

__all__ = ["shop"]
