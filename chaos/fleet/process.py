"""The process fleet: tills, servers, PostgreSQL and the proxy as child processes of this machine.

    with ProcessFleet(run_dir=run, seed=7) as fleet:
        fleet.start_postgres()                              # node "postgres"
        fleet.start_proxy()                                 # node "proxy"
        dsn = fleet.dsn("server")                           # makes the database on first use
        config = fleet.dir("server") / "server.toml"        # write it: listen = fleet.address("server")
        fleet.run_step(Step(name="provision-server", argv=(..., "provision", "server", "--config", str(config))))
        fleet.stage(NodePlan(name="server", argv=(...), health_url=fleet.url("server") + "/v1/health"))
        link = fleet.link("T01", "server")                  # the till's config has servers = [link.url]
        fleet.stage(*till_plans)                            # launches all, then waits until each is healthy
        fleet.kill("T01"); fleet.start("T01")               # also stop, pause, resume, restart
        fleet.counters()["T01"].throttled_s                 # what the kernel counted

`dir`, `port`, `address` and `url` work before a node is staged, so that configurations can be written first. A
node keeps its port, folder, caps and log over restarts. Logs are in `run_dir`/logs/NODE.log; everything else lies
in a temporary folder (`work`) that is gone after `close`, with every process, control group and mount: also after
Ctrl-C or kill -9 of the lab (chaos.fleet.warden). What a lab left that died with its warden, the next one sweeps.

Methods raise chaos.errors.ChaosError: NodeFailed with the log's tail, CannotRun with what is missing. All are safe
to call from several threads.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from chaos.caps.base import Capper
from chaos.caps.detect import detect
from chaos.errors import CannotRun, ChaosError, NodeUnknown, StepFailed
from chaos.fleet import postgres, rundir, smalldisk
from chaos.fleet.base import POSTGRES, PROXY
from chaos.fleet.belief import Belief
from chaos.fleet.common import CommonFleet
from chaos.fleet.links import Link
from chaos.fleet.node import Node
from chaos.fleet.plan import NO_CAPS, NodePlan, Step
from chaos.fleet.ports import Ports
from chaos.fleet.processes import identity
from chaos.fleet.wardship import Wardship
from chaos.power import shim
from chaos.profiles import Caps
from chaos.proxy.client import ProxyClient
from chaos.proxy.engine import Choice, choose

HOST = "127.0.0.1"
WARDEN = "warden"


class ProcessFleet(CommonFleet):
    """All child processes of one run; see the module's text.

    `capper` None: the best that works here (see chaos.caps.detect); `engine`: which proxy server the links use;
    `rewrite` may change what each node is started with, for whoever tests the lab with a node that is broken.
    """

    kind = "process"
    python = sys.executable
    tills_bring_postgres = False

    def __init__(
        self,
        *,
        run_dir: Path,
        seed: int = 0,
        engine: Choice = "auto",
        capper: Capper | None = None,
        rewrite: Callable[[NodePlan], NodePlan] | None = None,
    ) -> None:
        super().__init__()
        self.seed = seed
        self.engine = choose(engine)
        self.capper = capper or detect()
        self.logs = run_dir / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        sweep()
        self.work = rundir.make()
        self._record = rundir.Record(lab=(os.getpid(), identity(os.getpid())))
        self._record.write(self.work)
        try:
            self._warden = Wardship(self.work, self.logs / "warden.log")
        except CannotRun:
            rundir.clean(self.work)
            raise
        self._record.warden = (self._warden.pid, identity(self._warden.pid))
        self._record.write(self.work)
        self._ports = Ports()
        self._nodes: dict[str, Node] = {}
        self._clusters: dict[str, postgres.Cluster] = {}
        self._belief = Belief()
        self._rewrite = rewrite
        self._followed: dict[str, dict[str, str]] = {}

    @property
    def python_env(self) -> Mapping[str, str]:
        """Return what lets child processes find our packages."""
        return {"PYTHONPATH": python_path()}

    # places

    def dir(self, node: str) -> Path:
        """Return a node's own folder, made on first use."""
        folder = self.work / "data" / node
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def port(self, node: str) -> int:
        """Return a node's port, the same for the whole run."""
        with self._lock:
            return self._ports.of(node)

    def address(self, node: str) -> str:
        """Return host:port where a node is to listen."""
        return f"{HOST}:{self.port(node)}"

    def peer(self, node: str) -> str:
        """Return host:port where other nodes find a node: here, where it listens."""
        return self.address(node)

    def url(self, node: str) -> str:
        """Return the base URL of a node itself, beside any link: https:// once `trust` was called."""
        return f"{self._belief.scheme}://{self.address(node)}"

    def log(self, node: str) -> Path:
        """Return a node's log file."""
        return self.logs / f"{node}.log"

    def small_disk(self, node: str, size_bytes: int) -> Path:
        """Put a node's folder on a disk of its own before anything is in it; raise CannotRun where we may not."""
        folder = self.dir(node)
        if not os.path.ismount(folder):
            with self._lock:
                self._record.mounts.append(str(folder))
                self._record.write(self.work)
            smalldisk.mount(folder, size_bytes)
        return folder

    def keep_containers(self, run: str) -> None:
        """Put on record that this lab has things on a Docker Engine, for whoever cleans up after it."""
        self._record.containers = run
        self._record.write(self.work)

    def follow_disk(self, node: str, *, single: bool) -> None:
        """Follow what a node writes below its folder and does not sync, from its start on; before it is staged.

        `single`: one process does all the writing. Raises CannotRun where it can't be done.
        """
        library = shim.build(self.work / "power")
        folder = library.parent / node
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)  # a database runs under another account; the folder above can't be listed
        self._followed[node] = shim.environment(library, disk=self.dir(node), log=folder / "log", single=single)

    def disk_logs(self) -> dict[str, Path]:
        """Return the logs of what nodes have not synced, for those that are followed."""
        return {node: Path(env["TILLPROOF_DISK_LOG"]) for node, env in self._followed.items()}

    # staging

    def trust(self, ca_file: Path) -> None:
        """From now on the system under test is spoken to by TLS, and known by this authority, until `close`."""
        self._belief.trust(ca_file)

    def start_postgres(
        self, name: str = POSTGRES, *, caps: Caps = NO_CAPS, settings: Mapping[str, str] | None = None
    ) -> None:
        """Make and start a PostgreSQL server with durable settings; several may run under different names."""
        account = rundir.database_account()
        data = self.dir(name) / "cluster"
        self._clusters[name] = postgres.initialise(data, port=self.port(name), account=account)
        self._stage_postgres(name, caps=caps, settings=settings)

    def back_up_postgres(self, name: str) -> None:
        """Take a base backup of a running PostgreSQL node; one taken before is replaced."""
        postgres.back_up(self._cluster(name), self._backup(name), account=rundir.database_account())

    def lay_back_postgres(self, name: str) -> None:
        """Replace a stopped PostgreSQL node's cluster by its backup, to be started as a restored one."""
        postgres.lay_back(self._cluster(name), self._backup(name), account=rundir.database_account())

    def _backup(self, name: str) -> Path:
        return self.dir(name) / "backup"

    def _cluster(self, name: str) -> postgres.Cluster:
        if name not in self._clusters:
            raise NodeUnknown(f"no PostgreSQL named {name} was started")
        return self._clusters[name]

    def _lab_dsn(self, node: str, database: str) -> str:
        return self._cluster(node).dsn(database)

    def _copy_postgres(self, name: str, primary: str, link: Link, slot: str) -> None:
        data = self.dir(name) / "cluster"
        if data.exists():
            shutil.rmtree(data)
        through = int(link.url.rpartition(":")[2])
        self._clusters[name] = postgres.copy_primary(
            self._cluster(primary), data, port=self.port(name), host=HOST, through=through, slot=slot,
            account=rundir.database_account(),
        )  # fmt: skip

    def _stage_postgres(self, name: str, *, caps: Caps, settings: Mapping[str, str] | None = None) -> None:
        account = rundir.database_account()
        self.stage(postgres.node(name, self._cluster(name), account=account, caps=caps, settings=settings))

    def peer_dsn(self, database: str, *, node: str = POSTGRES) -> str:
        """Return the URL of a database as nodes reach it: here, as the lab does."""
        return self.dsn(database, node=node)

    def start_proxy(self) -> None:
        """Start the proxy server that links run through."""
        port = self.port(PROXY)
        plan = NodePlan(
            name=PROXY,
            argv=self.engine.argv(HOST, port, self.seed),
            health_url=f"http://{HOST}:{port}/proxies",
            env={"PYTHONPATH": python_path()},
        )
        self.stage(plan)
        self._client = ProxyClient(HOST, port)

    def _entrances(self) -> tuple[str, str | None]:
        return HOST, None

    def run_step(self, step: Step) -> str:
        """Run a one-shot command to its end and return its output; raise StepFailed on any code but 0."""
        log = self.log(step.name)
        before = log.stat().st_size if log.exists() else 0
        plan = NodePlan(name=step.name, argv=step.argv)
        argv = plan.argv if self._rewrite is None else self._rewrite(plan).argv
        pid = self._warden.spawn(
            argv, env=self._env(step.env), cwd=step.cwd or self.work, log=log, account=step.account
        )
        status = self._warden.wait(pid, step.deadline_s)
        output = log.read_bytes()[before:].decode(errors="replace")
        if status is None:
            self._warden.signal(pid, signal.SIGKILL, whole_family=True)
            raise StepFailed(f"{step.name} took longer than {step.deadline_s:g} s: {output[-2000:].strip()}")
        if status != 0:
            raise StepFailed(f"{step.name} ended with {status}: {output[-2000:].strip()}")
        return output

    def add(self, plan: NodePlan) -> None:
        """Take a plan in without starting it: its caps are set, `start` runs it later."""
        with self._lock:
            if plan.name in self._nodes:
                raise NodeUnknown(f"node {plan.name} is there already")
            if self._rewrite is not None:
                plan = self._rewrite(plan)
            if plan.name in self._followed:
                plan = replace(plan, env={**plan.env, **self._followed[plan.name]})
            cage = self.capper.cage(self.work.name, plan.name, plan.caps)
            self._record.groups.extend(str(folder) for folder in cage.folders)
            self._record.write(self.work)
            self._nodes[plan.name] = Node(
                plan=plan,
                warden=self._warden,
                cage=cage,
                log=self.log(plan.name),
                cwd=plan.cwd or self.dir(plan.name),
                env=self._env(plan.env),
            )

    def stage(self, *plans: NodePlan) -> None:
        """Take plans in, launch them in order, then wait until each is healthy."""
        for plan in plans:
            self.add(plan)
            self.life(plan.name).launch()
        for plan in plans:
            self.life(plan.name).wait_healthy()

    def life(self, node: str) -> Node:
        """Return a node that was taken in; raise NodeUnknown."""
        if node not in self._nodes:
            raise NodeUnknown(f"no node {node}: there is {', '.join(self._nodes) or 'none'}")
        return self._nodes[node]

    def names(self) -> list[str]:
        """Return all nodes in the order they were staged."""
        return list(self._nodes)

    def lost(self) -> list[str]:
        """Return what of the lab itself ended by itself; with the warden all nodes do."""
        return [*super().lost(), *[WARDEN] * self._warden.lost]

    # end

    def close(self) -> None:
        """End everything, databases last and the rest side by side, and remove the temporary folder."""
        for names in ([name for name in self._nodes if name not in self._clusters], list(self._clusters)):
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(self._stop_if_it_can, reversed(names)))
        self._ports.close()
        if not self._warden.close() or self.work.exists():
            rundir.clean(self.work)
        self._belief.forget()

    def _stop_if_it_can(self, name: str) -> None:
        """End a node; one that resists is left to the warden."""
        if name in self._nodes:
            with contextlib.suppress(ChaosError):
                self._nodes[name].stop()

    def _env(self, extra: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, **extra, rundir.MARKER: str(self.work)}


def source_path() -> str:
    """Return the folder that holds this package, for child processes of our own."""
    return str(Path(__file__).resolve().parent.parent.parent)


def python_path() -> str:
    """Return PYTHONPATH for child processes of our own: this source first, then the lab's own."""
    return os.pathsep.join(filter(None, (source_path(), os.environ.get("PYTHONPATH", ""))))


def sweep() -> list[Path]:
    """Clean up after this user's labs that died with their wardens; return the folders removed."""
    return rundir.sweep()
