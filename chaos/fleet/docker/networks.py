"""A run's two networks, and who is on them.

`counter` carries what cashiers send to tills; `shop` joins tills, proxy, servers and databases. A capped node is
on both, with its port published on the first, for the engine publishes ports on a container's first network only:
so a till that is taken off `shop` still serves its cashiers.
"""

from __future__ import annotations

from docker.models.containers import Container

import docker
from chaos.errors import NodeFailed
from chaos.fleet.docker import labels
from chaos.fleet.docker.container import told


class Networks:
    """Both networks, made at once."""

    def __init__(self, client: docker.DockerClient, run: str) -> None:
        with told("networks can't be made"):
            self._counter, self._shop = (
                client.networks.create(f"{run}-{name}", driver="bridge", labels=labels.labels(run, name))
                for name in ("counter", "shop")
            )

    def first(self, *, capped: bool) -> str:
        """Return the network that a container is made on."""
        return str((self._counter if capped else self._shop).name)

    def join(self, container: Container, alias: str) -> None:
        """Put a container on the shop's network; raise NodeFailed unless the engine confirms it."""
        with told(f"{alias} can't join the shop's network"):
            self._shop.connect(container, aliases=[alias])
        if not self.joined(container):
            raise NodeFailed(f"{alias} is not on the shop's network, although the engine took it")

    def leave(self, container: Container) -> None:
        """Take a container off the shop's network; raise NodeFailed unless the engine confirms it."""
        with told(f"{container.name} can't leave the shop's network"):
            self._shop.disconnect(container)
        if self.joined(container):
            raise NodeFailed(f"{container.name} is still on the shop's network")

    def joined(self, container: Container) -> bool:
        """Tell whether the engine has a container on the shop's network."""
        with told(str(container.name)):
            container.reload()
        return str(self._shop.name) in container.attrs["NetworkSettings"]["Networks"]

    def address_of(self, container: Container) -> str:
        """Return a container's address on the shop's network, which this machine reaches without a port."""
        with told(str(container.name)):
            container.reload()
        return str(container.attrs["NetworkSettings"]["Networks"][str(self._shop.name)]["IPAddress"])
