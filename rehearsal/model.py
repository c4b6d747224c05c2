"""What a run is made of, as values: the record of a run, and what its judge says of it.

`Meta` is evidence/meta.json: the facts of a run that no other evidence file holds. `Judgement` is what
the judge concludes from an evidence folder alone. `RunRecord` joins both for verdict.json and the pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import msgspec

META_SCHEMA = 1
VERDICT_SCHEMA = 1


class Outcome(StrEnum):
    """What a run ends with."""

    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"


EXIT_CODE = {Outcome.GO: 0, Outcome.NO_GO: 10, Outcome.INCONCLUSIVE: 20}
EXIT_COULD_NOT_RUN = 30


class Verdict(StrEnum):
    """What a checker answers; the worst wins (INVALID, then UNKNOWN, then VALID)."""

    VALID = "VALID"
    INVALID = "INVALID"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One checker's answer. `evidence` holds every finding as a row of plain strings; pages show 20."""

    name: str
    verdict: Verdict
    detail: str
    evidence: tuple[dict[str, str], ...] = ()
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdResult:
    """A rule such as `sale.p99 <= 250ms`, what was measured (in words), and whether it held.

    `passed` is None when it could not be measured.
    """

    rule: str
    measured: str
    passed: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gross:
    """The same money by three witnesses, in minor units."""

    cashiers: int = 0
    tills: int = 0
    server: int = 0
    lost: int = 0  # of what cashiers saw, what a declared loss took from both others


@dataclass(frozen=True, slots=True, kw_only=True)
class Sales:
    """Receipts (sales, refunds and voids) counted by each witness. `settled`: receipts in tallied dates."""

    attempted: int = 0
    ok: int = 0
    fail: int = 0
    info: int = 0
    on_tills: int = 0
    on_server: int = 0
    settled: int = 0
    lost: int = 0  # receipts of declared losses, which are on neither side
    gross_minor: Gross = Gross()

    @property
    def known(self) -> bool:
        """Whether anything was counted; nought by all is also what a witness that can't be read leaves."""
        return self != Sales()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something a scenario may claim. `why` says why it is not claimed, or what GO would cover."""

    name: str
    claimed: bool
    why: str
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the judge concludes from an evidence folder, and nothing else."""

    verdict: Outcome
    why: str
    checks: tuple[CheckResult, ...]
    thresholds: tuple[ThresholdResult, ...] = ()
    sales: Sales = Sales()
    claims: tuple[Claim, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRecord:
    """One fault as asked for, and what came of it. Seconds count from the start of the load.

    `bit` says whether it hit the step it was aimed at (None: it could not be told); `healed` whether
    the lifted fault was read back as gone. `ran` is False for a fault that this fleet can't do.
    `for_s` 0 marks a fault of an instant. `ended_ms` is None when it was never lifted. `left_behind`: targets
    that the lab could not bring back by its own failure; nothing counts against the system then.
    """

    kind: str
    targets: tuple[str, ...]
    at_s: float
    for_s: float
    params: dict[str, str] = field(default_factory=dict)
    ran: bool = True
    bit: bool | None = None
    evidence: str = ""
    healed: bool | None = None
    heal_evidence: str = ""
    started_ms: int | None = None
    ended_ms: int | None = None
    stage: str = ""
    left_behind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """Something done by hand at a second of the load; `text` says what came of it."""

    at_s: float
    what: str
    targets: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """A stage of the run. `asked`: the steps and checks by which it passes; it has none where it only sells.

    `passed` None: nothing to pass, or not seen to its end, as `unseen` tells.
    """

    name: str
    title: str
    started_s: float
    ended_s: float
    passed: bool | None = None
    detail: str = ""
    asked: tuple[str, ...] = ()

    @property
    def unseen(self) -> bool:
        """Whether there was something to pass, and nobody knows whether it did."""
        return self.passed is None and bool(self.asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverRecord:
    """A promotion by the operator. `how`: automatic or by hand. Times are epoch ms of the lab's machine.

    `promoted_ms` is None when the new server was never promoted.
    """

    how: str
    from_server: str
    to_server: str
    detected_ms: int
    promoted_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How the system came to rest after the heal, read from the witness databases by SQL.

    `pending` holds what was not quiet at the deadline; `progressed` says whether it still moved during
    the last fifth of the allowed time (slow, rather than stuck).
    """

    quiet: bool
    took_s: float
    deadline_s: float
    progressed: bool
    pending: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What really ran."""

    kind: str
    tills: tuple[str, ...]
    profile: str
    till_database: str
    fault_engine: str
    caps_enforced: bool
    caps_how: str
    host_cpus: int = 0
    host_ghz: float = 0.0
    host_memory_mib: int = 0
    till_memory_mib: int = 0
    till_cpu_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One node's resources over the run. None: the kernel did not say."""

    node: str
    capped: bool
    memory_limit_mib: int | None = None
    memory_peak_mib: float | None = None
    oom_kills: int | None = None
    cpu_limit_share: float | None = None
    cpu_used_s: float | None = None
    throttled_s: float | None = None
    throttled_periods: int | None = None
    periods: int | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the cashiers were asked to do, and the clock of it (ms are epoch, of the lab's machine)."""

    started_ms: int
    ended_ms: int
    rate_per_s: float
    edits_per_s: float
    products: int
    business_dates: tuple[str, ...]
    min_sales: int
    min_sales_in_fault: int
    sale_deadline_ms: int
    generator_exit: int | None = None
    generator_late_p99_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a till's disk lost of one journal, declared by whoever watched it go: entries kept + 1 to head.

    Those up to `arrived` were on the server at that moment, and must stay there; those after it are missing,
    exactly those. evidence/losses/entries.csv holds the bytes of all of them under `loss`. `receipts` and
    `gross_minor` count what is missing.
    """

    loss: int
    kind: str
    till: str
    at_ms: int
    incarnation: str
    kept: int
    head: int
    arrived: int
    receipts: int = 0
    gross_minor: int = 0

    @property
    def missing_from(self) -> int:
        """The first sequence that is on neither side."""
        return max(self.kept, self.arrived) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone:
    """A copy of a till that sold under its identity: evidence/tills/<name>, copied at (incarnation, seq)."""

    name: str
    till: str
    at_ms: int
    incarnation: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """A server's database restored from a backup: how many entries and clerks' operations it lacked at first.

    The entries must come again. The operations are lost: evidence/losses/edits.csv has them, one by one.
    """

    server: str
    at_ms: int
    entries: int
    edits: int
    timeline: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """A till that was cleaned between two business dates: its journal left it, and is on the server to `head`."""

    till: str
    at_ms: int
    incarnation: str
    head: int
    date: str
    next_date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """evidence/meta.json. Times are ISO 8601 UTC; `digests` is file → SHA-256 of its stored bytes.

    expected_z    (till, business date) pairs whose Z report must exist
    pairs         (sku, sku, sum): prices whose sum every consistent state keeps
    clock_error   till → largest ms by which a fault moved its clock (absent: 0)
    failovers     what the operator promoted, and when
    operator_started nodes that the operator started again, as often as they are named
    losses        what disks lost, and may be missing: exactly that
    clones        copies of tills that sold, too
    restores      servers restored from a backup
    interventions what was done by hand, from the live page
    cleaned       tills that were cleaned on the way
    left_behind   what the lab itself lost, or had not let go of, when the run was settled: nobody is convicted
    stale_bound_s how old the masters of a till that is online may be
    """

    schema: int
    run_id: str
    scenario: str
    title: str
    seed: int
    commit: str
    started: str
    ended: str
    reproduce: str
    options: dict[str, str]
    fleet: Fleet
    load: Load
    drain: Drain | None
    stages: tuple[StageRecord, ...]
    faults: tuple[FaultRecord, ...]
    thresholds: tuple[str, ...]
    claims: tuple[str, ...]
    machines: tuple[Machine, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    parity: dict[str, str] = field(default_factory=dict)
    real: dict[str, float] = field(default_factory=dict)
    expected_z: tuple[tuple[str, str], ...] = ()
    pairs: tuple[tuple[str, str, int], ...] = ()
    clock_error: dict[str, int] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    clones: tuple[Clone, ...] = ()
    cleaned: tuple[Cleaned, ...] = ()
    restores: tuple[Restore, ...] = ()
    failovers: tuple[FailoverRecord, ...] = ()
    operator_started: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()
    stale_bound_s: float = 30.0
    currency: str = "EUR"
    interventions: tuple[Intervention, ...] = ()
    interrupted: bool = False
    trouble: tuple[str, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load_from(cls, path: Path) -> Meta:
        """Read meta.json; raises msgspec.MsgspecError or OSError."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def save(self, path: Path) -> None:
        """Write meta.json, indented, so that it can be read without tools."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Everything that verdict.json and the pages say of one run. `folder` is reports/<run_id>."""

    folder: Path
    meta: Meta
    judgement: Judgement

    @property
    def run_id(self) -> str:
        """UTC time, scenario and seed: the report folder's name."""
        return self.meta.run_id

    @property
    def evidence(self) -> Path:
        """The evidence folder."""
        return self.folder / "evidence"
