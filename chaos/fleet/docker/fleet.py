"""The Docker fleet: tills, servers, databases and Toxiproxy as containers, with the process fleet's interface.

Two networks: `counter`, on which cashiers reach tills, and `shop`, which joins tills, proxy and servers; so a till
can lose its network and sell on. Nodes find each other by name. A node's folder is a volume bound to the lab's
working folder, at the same path inside, so that configurations hold for both and witnesses read the files of the
till itself. Every published port is on 127.0.0.1. The lab's own processes (`NodePlan.beside`) run on this machine.

Everything made on the engine carries the run's labels. It is removed by `close`, by the warden when the lab dies,
and by the next lab where both died (chaos.fleet.docker.labels).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from docker.errors import DockerException, NotFound
from docker.models.containers import Container
from docker.types import Mount

from chaos.caps.none import NoCaps
from chaos.errors import CannotRun, ChaosError, NodeUnknown, StepFailed
from chaos.fleet.base import POSTGRES, PROXY
from chaos.fleet.common import CommonFleet, Life
from chaos.fleet.docker import database, labels
from chaos.fleet.docker.container import ContainerNode, told
from chaos.fleet.docker.engine import connect, images
from chaos.fleet.docker.hulls import Hull, accounts, user
from chaos.fleet.docker.networks import Networks
from chaos.fleet.docker.readiness import check_source
from chaos.fleet.docker.watching import Watch
from chaos.fleet.links import Link
from chaos.fleet.plan import NO_CAPS, NodePlan, Step
from chaos.fleet.process import ProcessFleet
from chaos.profiles import Caps
from chaos.proxy.client import ProxyClient
from chaos.proxy.engine import BUILTIN, Choice, Engine

AT_ONCE = 4
FREE = NoCaps(reason="a process of the lab")
TOXIPROXY = Engine(name="toxiproxy", program=Path("toxiproxy"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerCaps:
    """How containers are capped."""

    kind: str
    reason: str = ""


class DockerFleet(CommonFleet):
    """All containers of one run; see the module's text. Raises CannotRun with what is missing."""

    kind = "docker"
    python = "python3"
    tills_bring_postgres = True
    python_env: Mapping[str, str] = {}

    def __init__(self, *, run_dir: Path, seed: int = 0, engine: Choice = "auto") -> None:
        super().__init__()
        self.seed = seed
        self.engine = BUILTIN if engine == "builtin" else TOXIPROXY
        self._docker = connect()
        try:
            self._images = images(self._docker)
            check_source(self._docker, self._images.tillproof)
            labels.sweep(self._docker)
            self._lab = ProcessFleet(run_dir=run_dir, seed=seed, engine="builtin", capper=FREE)
        except BaseException:
            self._docker.close()
            raise
        self.work, self.logs = self._lab.work, self._lab.logs
        self.run = self.work.name
        self._lab.keep_containers(self.run)
        self.capper = self._capper()
        self._nodes: dict[str, ContainerNode] = {}
        self._order: list[str] = []
        self._servers: dict[str, database.Server] = {}
        try:
            self._networks = Networks(self._docker, self.run)
            self._watch = Watch(self._docker, self.run, self._nodes)
        except ChaosError:
            self._lab.close()
            self._docker.close()
            raise

    # places

    def dir(self, node: str) -> Path:
        """Return a node's own folder, made on first use; at the same path in its container."""
        return self._lab.dir(node)

    def port(self, node: str) -> int:
        """Return a node's port, the same in its container and on 127.0.0.1."""
        return self._lab.port(node)

    def log(self, node: str) -> Path:
        """Return a node's log file; what a container says is collected when it ends."""
        return self._lab.log(node)

    def address(self, node: str) -> str:
        """Return host:port where a node is to listen in its container."""
        return f"0.0.0.0:{self.port(node)}"

    def peer(self, node: str) -> str:
        """Return host:port where other containers find a node."""
        return f"{node}:{self.port(node)}"

    def url(self, node: str) -> str:
        """Return the base URL of a node for the lab, beside any link: https:// once `trust` was called."""
        return self._lab.url(node)

    def small_disk(self, node: str, size_bytes: int) -> Path:
        """Put a node's folder on a disk of its own before anything is in it; raise CannotRun where we may not."""
        return self._lab.small_disk(node, size_bytes)

    # staging

    def trust(self, ca_file: Path) -> None:
        """From now on the system under test is spoken to by TLS, and known by this authority, until `close`."""
        self._lab.trust(ca_file)

    def start_postgres(
        self, name: str = POSTGRES, *, caps: Caps = NO_CAPS, settings: Mapping[str, str] | None = None
    ) -> None:
        """Make and start a PostgreSQL server with durable settings; several may run under different names."""
        self._servers[name] = database.server(name, self.dir(name), port=self.port(name))
        self._stage_postgres(name, caps=caps, settings=settings)

    def peer_dsn(self, database: str, *, node: str = POSTGRES) -> str:
        """Return the same for a node of the fleet."""
        self.dsn(database, node=node)
        return self._server(node).dsn(node, database)

    def start_proxy(self) -> None:
        """Start the proxy server that links run through."""
        port = self.port(PROXY)
        argv = self.engine.argv("0.0.0.0", port, self.seed)  # noqa: S104 - within its container
        image = self._images.tillproof if self.engine is BUILTIN else self._images.toxiproxy
        words = (self.python, *argv[1:]) if self.engine is BUILTIN else argv[1:]
        plan = NodePlan(name=PROXY, argv=words, health_url=f"http://127.0.0.1:{port}/proxies")
        self._add(plan, image=image)
        self.start(PROXY)
        self._client = ProxyClient("127.0.0.1", port)

    def _entrances(self) -> tuple[str, str | None]:
        return PROXY, self._networks.address_of(self._node(PROXY).container)

    def run_step(self, step: Step) -> str:
        """Run a one-shot command in a container of its own and return its output; raise StepFailed."""
        return self._step_in(step, image=self._images.tillproof, mounts=self._mounts(step.folders))

    def add(self, plan: NodePlan) -> None:
        """Take a plan in without starting it: its container is made, `start` runs it later."""
        if plan.beside:
            self._lab.add(plan)
            self._enter(plan.name)
        else:
            self._add(plan, image=self._images.tillproof)

    def stage(self, *plans: NodePlan) -> None:
        """Take plans in, launch them, then wait until each is healthy."""
        with self._lock:
            self._order += [plan.name for plan in plans]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._launch_new, plans))
        for plan in plans:
            self.wait_healthy(plan.name)

    # life

    def life(self, node: str) -> Life:
        """Return a node that was taken in; raise NodeUnknown."""
        return self._lab.life(node) if self._beside(node) else self._node(node)

    def start(self, node: str, *, wait: bool = True) -> int:
        """Start a node that isn't running and wait until it is healthy; return its process id on this machine."""
        if not self._beside(node):
            self._own_folders(self._node(node).plan)
        return super().start(node, wait=wait)

    def unplug(self, node: str) -> None:
        """Take a node off the shop's network; a till still serves its cashiers."""
        self._networks.leave(self._node(node).container)

    def plug(self, node: str) -> None:
        """Put a node back on the shop's network."""
        self._networks.join(self._node(node).container, node)

    def plugged(self, node: str) -> bool:
        """Tell whether the engine has a node on the shop's network."""
        return self._networks.joined(self._node(node).container)

    def squeeze(self, node: str) -> None:
        """Use up a node's memory until the kernel kills it at its limit; the engine starts it again."""
        self._node(node).squeeze()

    def relieve(self, node: str) -> None:
        """Give back the memory that `squeeze` used up, if the node was not killed."""
        self._node(node).relieve()

    def names(self) -> list[str]:
        """Return all nodes in the order they were staged."""
        known = {*self._nodes, *self._lab.names()}
        return [name for name in self._order if name in known]

    def lost(self) -> list[str]:
        """Return what of the lab itself ended by itself, on the engine or beside it."""
        return [*super().lost(), *self._lab.lost()]

    # end

    def close(self) -> None:
        """Stop everything, databases last, collect the logs, and remove containers, volumes and networks."""
        lasting = [name for name in self._nodes if name in self._servers]
        try:
            for names in ([name for name in self._nodes if name not in lasting], lasting):
                with ThreadPoolExecutor(max_workers=8) as pool:
                    list(pool.map(self._farewell, reversed(names)))
            self._watch.close()
            with contextlib.suppress(DockerException, requests.RequestException, CannotRun):
                labels.remove_run(self.run)
        finally:
            self._lab.close()
            self._docker.close()

    # containers

    def _launch_new(self, plan: NodePlan) -> None:
        self.add(plan)
        self.start(plan.name, wait=False)

    def _add(self, plan: NodePlan, *, image: str, mounts: Sequence[Mount] = (), own_account: bool = False) -> None:
        with self._lock:
            if plan.name in self._nodes:
                raise NodeUnknown(f"node {plan.name} is there already")
        mine = () if own_account or plan.name == PROXY else self._mounts((plan.name, *plan.folders))
        capped = plan.caps != NO_CAPS
        hull = Hull(
            name=f"{self.run}-{plan.name}", image=image, command=plan.argv, environment=dict(plan.env),
            labels=labels.labels(self.run, plan.name), alias=plan.name, mounts=(*mine, *mounts),
            network=self._networks.first(capped=capped), caps=plan.caps, stop_signal=plan.stop_signal.name,
            ports=[self.port(name) for name in (plan.name, *plan.ports)], own_account=own_account, restarts=capped,
        )  # fmt: skip
        container = self._create(hull)
        if capped:
            self._networks.join(container, plan.name)
        with self._lock:
            self._nodes[plan.name] = ContainerNode(plan=plan, container=container, log=self.log(plan.name))
            self._enter(plan.name)

    def _create(self, hull: Hull) -> Container:
        with told(f"container {hull.name} can't be made"):
            endpoint = self._docker.api.create_endpoint_config(aliases=[hull.alias])
            return self._docker.containers.create(**hull.arguments(endpoint))

    def _step_in(
        self, step: Step, *, image: str, mounts: Sequence[Mount], account: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        hull = Hull(
            name=f"{self.run}-{step.name}", image=image, command=step.argv, alias=step.name, mounts=mounts,
            environment={**step.env, **(environment or {})}, labels=labels.labels(self.run, step.name),
            network=self._networks.first(capped=False), own_account=account is not None,
        )  # fmt: skip
        container = self._create(hull)
        try:
            with told(f"{step.name} could not be run"):
                container.start()
            try:
                status = int(container.wait(timeout=step.deadline_s)["StatusCode"])
            except requests.RequestException as error:
                raise StepFailed(f"{step.name} took longer than {step.deadline_s:g} s") from error
            output = bytes(container.logs())
            with self.log(step.name).open("ab") as log:
                log.write(output)
        finally:
            with contextlib.suppress(DockerException, requests.RequestException):
                container.remove(force=True, v=True)
        text = output.decode(errors="replace")
        if status != 0:
            raise StepFailed(f"{step.name} ended with {status}: {text[-2000:].strip()}")
        return text

    def _mounts(self, nodes: Sequence[str]) -> list[Mount]:
        """Return the folders of nodes as labelled volumes, at their own paths, owned by the nodes' account."""
        with self._lock:
            mounts = [] if os.geteuid() == 0 else [accounts(self.work)]
        for node in dict.fromkeys(nodes):
            folder = self.dir(node)
            if os.geteuid() == 0:
                hand_over(folder, *user())
            name = f"{self.run}-{node}"
            self._volume(name, node, {"type": "none", "o": "bind", "device": str(folder)})
            mounts.append(Mount(target=str(folder), source=name, type="volume"))
        return mounts

    def _own_folders(self, plan: NodePlan) -> None:
        """Give to the node's account what the lab has put into its folders since."""
        if os.geteuid() == 0 and plan.name not in (PROXY, *self._servers):
            for name in (plan.name, *plan.folders):
                hand_over(self.dir(name), *user())

    def _volume(self, name: str, node: str, options: dict[str, str]) -> None:
        with told(f"volume {name} can't be made"):
            try:
                self._docker.volumes.get(name)
            except NotFound:
                self._docker.volumes.create(
                    name, driver="local", driver_opts=options, labels=labels.labels(self.run, node)
                )

    # databases

    def _copy_postgres(self, name: str, primary: str, link: Link, slot: str) -> None:
        made = database.server(name, self.dir(name), port=self.port(name), password=self._server(primary).password)
        self._servers[name] = made
        parts = urlsplit(link.url)
        self._step_in(
            Step(name=f"copy-{name}", argv=database.copy_argv(parts.hostname or "", parts.port or 0, slot)),
            image=self._images.postgres, mounts=self._database_mounts(made), account="postgres",
            environment=made.environment,
        )  # fmt: skip

    def _stage_postgres(self, name: str, *, caps: Caps, settings: Mapping[str, str] | None = None) -> None:
        made = self._server(name)
        plan = database.node(made, caps=caps, settings=settings, health_url=made.dsn("127.0.0.1"))
        self._add(plan, image=self._images.postgres, mounts=self._database_mounts(made), own_account=True)
        self.start(name)

    def _database_mounts(self, made: database.Server) -> list[Mount]:
        volume = f"{self.run}-{made.name}-data"
        self._volume(volume, made.name, {})
        return [
            Mount(target=database.DATA, source=volume, type="volume"),
            Mount(target=database.KEYS, source=str(made.keys), type="bind", read_only=True),
            Mount(target=database.SCRIPTS, source=str(made.scripts), type="bind", read_only=True),
        ]

    def _server(self, node: str) -> database.Server:
        if node not in self._servers:
            raise NodeUnknown(f"no PostgreSQL named {node} was started")
        return self._servers[node]

    def _lab_dsn(self, node: str, database: str) -> str:
        return self._server(node).dsn("127.0.0.1", database)

    # odds

    def _enter(self, name: str) -> None:
        if name not in self._order:
            self._order.append(name)

    def _node(self, name: str) -> ContainerNode:
        if name not in self._nodes:
            raise NodeUnknown(f"no node {name}: there is {', '.join(self._nodes) or 'none'}")
        return self._nodes[name]

    def _beside(self, node: str) -> bool:
        return node not in self._nodes and node in self._lab.names()

    def _farewell(self, name: str) -> None:
        """End a node and collect its log; one that resists is removed by force afterwards."""
        node = self._nodes[name]
        with contextlib.suppress(ChaosError):
            node.stop()
        with contextlib.suppress(ChaosError):
            node.collect_log()

    def _capper(self) -> ContainerCaps:
        told_by = self._docker.info()
        version, groups = told_by.get("ServerVersion"), told_by.get("CgroupVersion", "1")
        return ContainerCaps(kind=f"Docker Engine {version}, cgroup v{groups}")


def hand_over(folder: Path, uid: int, gid: int) -> None:
    """Give a folder and all in it to an account."""
    for place, _, files in os.walk(folder):
        for path in (place, *(os.path.join(place, file) for file in files)):  # noqa: PTH118 - os.walk's own words
            with contextlib.suppress(FileNotFoundError):
                os.chown(path, uid, gid, follow_symlinks=False)
