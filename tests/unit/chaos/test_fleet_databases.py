"""What the fleet itself does in a database fails as a node does, and never waits for ever."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.errors import NodeFailed
from chaos.fleet import common
from chaos.fleet.process import ProcessFleet


@pytest.mark.parametrize(("listens", "said"), [(True, "timeout expired"), (False, "Connection refused")])
def test_a_database_that_does_not_answer_is_a_node_that_failed(
    monkeypatch: pytest.MonkeyPatch, listens: bool, said: str
) -> None:
    """One that stands still takes the connection, and says nothing."""
    monkeypatch.setattr(common, "CONNECT_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        fleet = SimpleNamespace(_lab_dsn=lambda *_: f"postgresql+psycopg2://me:word@127.0.0.1:{port}/x")
        if not listens:
            server.close()
        with pytest.raises(NodeFailed, match=f"(?s)postgres: .*{said}"):
            ProcessFleet._execute(cast(Any, fleet), "postgres", "SELECT {}", common.sql.Literal(1))
