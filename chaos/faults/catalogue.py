"""Every kind of fault by name: what a scenario may ask for, and how it becomes a fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaos.errors import FaultInvalid
from chaos.faults import parameters
from chaos.faults.bandwidth import Bandwidth
from chaos.faults.base import Fault
from chaos.faults.black_hole import BlackHole
from chaos.faults.clock_jump import ClockJump
from chaos.faults.clone_till import CloneTill
from chaos.faults.cut import Cut
from chaos.faults.dead_line import DeadLine
from chaos.faults.disk_full import DiskFull
from chaos.faults.disk_rollback import DiskRollback
from chaos.faults.duplicate_uploader import DuplicateUploader
from chaos.faults.kill import Kill
from chaos.faults.kill_live import KillLive
from chaos.faults.kill_promoting import KillPromoting
from chaos.faults.latency import Latency
from chaos.faults.lost_ack import LostAck
from chaos.faults.memory_hog import MemoryHog
from chaos.faults.noop import Noop
from chaos.faults.old_server_returns import OldServerReturns
from chaos.faults.partition import Partition
from chaos.faults.pause import Pause
from chaos.faults.postgres_restart import PostgresRestart
from chaos.faults.power_cut import PowerCut
from chaos.faults.promotion import Promotion
from chaos.faults.reimage_till import ReimageTill
from chaos.faults.reset import Reset
from chaos.faults.restart import Restart
from chaos.faults.restored_backup import RestoredBackup
from chaos.faults.slow_clerk import SlowClerk
from chaos.faults.standby_lag import StandbyLag
from chaos.faults.unplug import Unplug
from chaos.faults.vanished_client import VanishedClient

FAULTS: Mapping[str, type[Fault]] = {
    fault.kind: fault
    for fault in (
        Noop,
        Cut,
        BlackHole,
        Latency,
        Bandwidth,
        DeadLine,
        Reset,
        LostAck,
        Kill,
        PowerCut,
        Pause,
        Restart,
        PostgresRestart,
        VanishedClient,
        DuplicateUploader,
        ClockJump,
        DiskFull,
        SlowClerk,
        MemoryHog,
        Unplug,
        KillLive,
        OldServerReturns,
        Partition,
        StandbyLag,
        Promotion,
        KillPromoting,
        DiskRollback,
        CloneTill,
        ReimageTill,
        RestoredBackup,
    )
}


def fault(kind: str, targets: Sequence[str], given: Mapping[str, object] | None = None) -> Fault:
    """Make a fault from a scenario's words; raise FaultInvalid naming what is wrong and what is allowed."""
    if kind not in FAULTS:
        raise FaultInvalid(f"there is no fault {kind!r}; there is: {', '.join(FAULTS)}")
    if not targets:
        raise FaultInvalid(f"fault {kind} has no targets")
    made = FAULTS[kind]
    p = parameters.read(kind, made.parameters, given or {})
    for problem in made.misfits(targets, p).values():
        raise FaultInvalid(problem)
    return made(tuple(targets), p)
