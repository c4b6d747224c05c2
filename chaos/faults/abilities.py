"""What only some fleets can do. A fault that needs it asks in its `obstacle`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from chaos.caps.base import Counters
from chaos.fleet.node import State


@runtime_checkable
class Squeezes(Protocol):
    """A fleet whose nodes can be filled to their memory limit, and come back by themselves."""

    def squeeze(self, node: str) -> None: ...
    def relieve(self, node: str) -> None: ...
    def counters(self) -> Mapping[str, Counters]: ...
    def state(self, node: str) -> State: ...
    def pid(self, node: str) -> int | None: ...
    def healthy(self, node: str) -> bool: ...


@runtime_checkable
class Unplugs(Protocol):
    """A fleet whose nodes can be taken off the network that they share with the servers."""

    def unplug(self, node: str) -> None: ...
    def plug(self, node: str) -> None: ...
    def plugged(self, node: str) -> bool: ...
