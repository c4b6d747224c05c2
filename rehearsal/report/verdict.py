"""verdict.json: one run for machines. docs/verdict-schema.md explains it, verdict.schema.json checks it.

The file holds all that the judge said and all that was really run, so that two runs can be compared, and a
CI step can decide, without reading the evidence.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from rehearsal.model import (
    VERDICT_SCHEMA,
    CheckResult,
    Claim,
    Clone,
    Drain,
    FailoverRecord,
    FaultRecord,
    Fleet,
    Load,
    Loss,
    Machine,
    Outcome,
    RunRecord,
    Sales,
    StageRecord,
    ThresholdResult,
    Verdict,
)

EVIDENCE_SHOWN = 20
FINDINGS_FOLDER = "findings"


class VerdictUnreadable(Exception):
    """A file that should be a verdict.json can't be read; the message names it and says why."""


class CheckEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One check: its first findings, how many there are, and the file that holds them all."""

    name: str
    verdict: Verdict
    detail: str
    evidence: tuple[dict[str, str], ...] = ()
    evidence_file: str | None = None
    findings: int = 0
    figures: dict[str, float] = {}


class FleetEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What really ran. `tills` counts them, `till_names` names them."""

    kind: str
    tills: int
    till_names: tuple[str, ...]
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


class _Versioned(msgspec.Struct, frozen=True, kw_only=True):
    schema: int


class VerdictFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of verdict.json. `schema` rises when a reader of the last one could be misled."""

    schema: int
    run_id: str
    scenario: str
    title: str
    seed: int
    commit: str
    started: str
    ended: str
    interrupted: bool
    verdict: Outcome
    why: str
    trouble: tuple[str, ...]
    claims: tuple[Claim, ...]
    fleet: FleetEntry
    load: Load
    sales: Sales
    checks: tuple[CheckEntry, ...]
    thresholds: tuple[ThresholdResult, ...]
    faults: tuple[FaultRecord, ...]
    stages: tuple[StageRecord, ...]
    drain: Drain | None
    figures: dict[str, float]
    machines: tuple[Machine, ...]
    versions: dict[str, str]
    parity: dict[str, str]
    real: dict[str, float]
    options: dict[str, str]
    currency: str
    reproduce: str
    losses: tuple[Loss, ...] = ()
    clones: tuple[Clone, ...] = ()
    failovers: tuple[FailoverRecord, ...] = ()


def verdict_of(record: RunRecord) -> VerdictFile:
    """Return what verdict.json says of a run."""
    meta, judged = record.meta, record.judgement
    return VerdictFile(
        schema=VERDICT_SCHEMA,
        run_id=meta.run_id,
        scenario=meta.scenario,
        title=meta.title,
        seed=meta.seed,
        commit=meta.commit,
        started=meta.started,
        ended=meta.ended,
        interrupted=meta.interrupted,
        verdict=judged.verdict,
        why=judged.why,
        trouble=meta.trouble,
        claims=judged.claims,
        fleet=_fleet(meta.fleet),
        load=meta.load,
        sales=judged.sales,
        checks=tuple(_check(check) for check in judged.checks),
        thresholds=judged.thresholds,
        faults=meta.faults,
        stages=meta.stages,
        drain=meta.drain,
        figures=dict(sorted(judged.figures.items())),
        machines=meta.machines,
        versions=meta.versions,
        parity=meta.parity,
        real=meta.real,
        options=meta.options,
        currency=meta.currency,
        reproduce=meta.reproduce,
        losses=meta.losses,
        failovers=meta.failovers,
        clones=meta.clones,
    )


def findings_file(check: CheckResult) -> str | None:
    """Return the file, relative to the run's folder, that holds all findings of a check; None without any."""
    return f"{FINDINGS_FOLDER}/{check.name}.csv" if check.evidence else None


def to_json(verdict: VerdictFile) -> str:
    """Return verdict.json's text, indented."""
    return msgspec.json.format(msgspec.json.encode(verdict), indent=2).decode() + "\n"


def read(path: Path) -> VerdictFile:
    """Read a verdict.json, or that of a run's folder.

    Raises VerdictUnreadable when it is absent, no such file, or of a schema newer than this program.
    """
    path = path / "verdict.json" if path.is_dir() else path
    try:
        raw = path.read_bytes()
        schema = msgspec.json.decode(raw, type=_Versioned).schema
        if schema > VERDICT_SCHEMA:  # before anything else that a newer one may lack
            raise VerdictUnreadable(f"{path}: schema {schema} is newer than {VERDICT_SCHEMA}")
        return msgspec.json.decode(raw, type=VerdictFile)
    except (OSError, msgspec.MsgspecError) as error:
        raise VerdictUnreadable(f"{path}: {error}") from error


def _check(check: CheckResult) -> CheckEntry:
    return CheckEntry(
        name=check.name,
        verdict=check.verdict,
        detail=check.detail,
        evidence=check.evidence[:EVIDENCE_SHOWN],
        evidence_file=findings_file(check),
        findings=len(check.evidence),
        figures=check.figures,
    )


def _fleet(fleet: Fleet) -> FleetEntry:
    return FleetEntry(
        kind=fleet.kind,
        tills=len(fleet.tills),
        till_names=fleet.tills,
        profile=fleet.profile,
        till_database=fleet.till_database,
        fault_engine=fleet.fault_engine,
        caps_enforced=fleet.caps_enforced,
        caps_how=fleet.caps_how,
        host_cpus=fleet.host_cpus,
        host_ghz=fleet.host_ghz,
        host_memory_mib=fleet.host_memory_mib,
        till_memory_mib=fleet.till_memory_mib,
        till_cpu_share=fleet.till_cpu_share,
    )
