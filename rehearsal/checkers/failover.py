"""Failover: one accepted writer in each term, and an old live server that takes nothing from anybody.

Convicts when one term number has two identities or two live servers, when an entry was accepted twice in one
term, when a fenced or returned server took anything, a probe till's question included, or when nobody was
promoted although it was asked for. Measures how long the shop was without a server.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from rehearsal.checkers.case import Case
from rehearsal.checkers.columns import pick
from rehearsal.checkers.findings import Findings
from rehearsal.measures import percentile, served
from rehearsal.model import CheckResult, FailoverRecord

NAME = "failover"
AFTER_FENCE_MS = 1000  # an entry's time is taken before its commit, which the fence waits for
ZOMBIE_MS = 5000  # a server that stood still may believe itself live until it hears of another
SIDES = {"server": ("postgres", "backoffice"), "preproduction": ("postgres-standby", "backoffice-preproduction")}
RULES = frozenset({"rule_broken", "operation_reused"})  # the shop's own, such as a product that was just withdrawn
ENDING = frozenset({"kill_live", "kill", "pause", "power_cut", "promotion", "partition"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """What a server's database said of itself, from `at_ms` on until its next row."""

    at_ms: int
    server: str
    role: str
    term_n: int
    term_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An entry as a server took it in: in which term, and when by its clock."""

    key: tuple[str, str, int]
    hash: str
    term_n: int
    received_ms: int


Taken = tuple[list[Accepted], list[Accepted]]  # by the server that is live in the end, and by the other


def check(case: Case) -> CheckResult:
    """Judge who was live, and what came of it."""
    findings = Findings(NAME)
    if not case.evidence.has("reigns.csv"):
        findings.doubt("there was one server only")
        return findings.result("")
    reigns = read_reigns(case)
    now, old = accepted(case, "server"), accepted(case, "server-old")
    _identities(findings, case, reigns)
    _one_live(findings, reigns, _deaf(case))
    _accepted_once(findings, now, old)
    _one_writer(findings, case, now, old)
    _fenced(findings, case, reigns, old)
    _probes(findings, case)
    first = min((reign.term_n for reign in reigns if reign.role == "live"), default=0)
    terms = sorted({entry.term_n for entry in now if entry.term_n > first})
    for record in case.meta.failovers:
        findings.checked += 1
        if record.promoted_ms is None:
            findings.convict("the standby was not promoted", server=record.to_server, how=record.how)
    if not terms:
        findings.doubt("no entry was accepted in a newer term, so nobody took over")
    _figures(findings, case, reigns, (now, old), terms)
    recovery = findings.figures.get("failover.recovery")
    took = f"; {recovery / 1000:.1f} s without a server at worst" if recovery is not None else ""
    take_overs = f"{len(terms)} take-over{'s' if len(terms) != 1 else ''}"
    return findings.result(f"{take_overs}, one accepted writer in each term{took}")


def read_reigns(case: Case) -> list[Reign]:
    """Return every change of a server's role, in order of time; a database that was silent has term 0."""
    columns = ("at_ms", "server", "role", "term_n", "term_id")
    found = [
        Reign(at_ms=int(at_ms), server=server, role=role, term_n=int(term_n or 0), term_id=term_id)
        for at_ms, server, role, term_n, term_id in pick(case.evidence, "reigns.csv", columns)
    ]
    return sorted(found, key=lambda reign: reign.at_ms)


def accepted(case: Case, folder: str) -> list[Accepted]:
    """Return what a server has taken in, by its own journal; nothing where there was no such server."""
    name = f"{folder}/journal.csv"
    if not case.evidence.has(name):
        return []
    columns = ("till", "incarnation", "seq", "hash", "term_n", "received_ms")
    return [
        Accepted(key=(till, incarnation, int(seq)), hash=hashed, term_n=int(term_n), received_ms=int(received_ms))
        for till, incarnation, seq, hashed, term_n, received_ms in pick(case.evidence, name, columns)
    ]


def _identities(findings: Findings, case: Case, reigns: list[Reign]) -> None:
    """One number, one identity: from what was seen and from what the databases hold at the end."""
    ids: dict[int, dict[str, str]] = defaultdict(dict)
    for reign in reigns:
        if reign.term_n:
            ids[reign.term_n].setdefault(reign.term_id, reign.server)
    for folder in ("server", "server-old"):
        for row in case.evidence.rows_if_any(f"{folder}/term.csv"):
            ids[int(row["n"])].setdefault(row["id"], folder)
    for number, known in sorted(ids.items()):
        findings.checked += 1
        if len(known) > 1:
            findings.convict("one term number has two identities", term=number, servers=" ".join(known.values()))


def _deaf(case: Case) -> dict[str, list[tuple[int, int]]]:
    """Return, by server, when it could not hear of another: parted from it, or killed or paused itself.

    Of a killed process the database goes on saying that it is live.
    """
    found: dict[str, list[tuple[int, int]]] = {server: [] for server in SIDES}
    for fault in case.meta.faults:
        if fault.started_ms is None or fault.ended_ms is None:
            continue
        for server, spans in found.items():
            still = fault.kind in ("kill", "pause") and fault.bit is True and server in fault.targets
            if still or fault.kind == "partition":
                spans.append((fault.started_ms, fault.ended_ms))
    return found


def _one_live(findings: Findings, reigns: list[Reign], deaf: dict[str, list[tuple[int, int]]]) -> None:
    """In one term one server is live; one that is surpassed stops as soon as it hears of it."""
    live_in: dict[int, str] = {}
    latest: dict[str, Reign] = {}
    for place, reign in enumerate(reigns):
        before = latest.get(reign.server)
        latest[reign.server] = reign
        if reign.role != "live":
            continue
        findings.checked += 1
        other = live_in.setdefault(reign.term_n, reign.server)
        if other != reign.server:
            findings.convict(
                "two servers were live in one term", term=reign.term_n, servers=f"{other} {reign.server}"
            )
        higher = max((one.term_n for one in reigns[:place] if one.role == "live"), default=0)
        if reign.term_n < higher and before is not None and before.role == "starting":
            findings.convict(
                "a server that came back was live in its old term", server=reign.server, term=reign.term_n,
                higher=higher, at_ms=reign.at_ms,
            )  # fmt: skip
    for server, until in _overtaken(reigns, deaf).items():
        findings.convict("an old server stayed live beside the new one", server=server, for_ms=until)


def _overtaken(reigns: list[Reign], deaf: dict[str, list[tuple[int, int]]]) -> dict[str, int]:
    """Return how long each server was live in a term while another was live in a higher one, if too long.

    As long as it could not hear of the other it does not count.
    """
    found: dict[str, int] = {}
    end_ms = reigns[-1].at_ms if reigns else 0
    for place, reign in enumerate(reigns):
        if reign.role != "live":
            continue
        ended = next((one.at_ms for one in reigns[place + 1 :] if one.server == reign.server), end_ms)
        rival = next(
            (
                one.at_ms
                for one in reigns
                if one.role == "live" and one.term_n > reign.term_n and one.at_ms < ended
            ),
            None,
        )
        if rival is None:
            continue
        since = max(rival, reign.at_ms)
        since = max([since, *(healed for begun, healed in deaf.get(reign.server, ()) if begun <= since < healed)])
        if ended - since > ZOMBIE_MS:
            found[reign.server] = ended - since
    return found


def _accepted_once(findings: Findings, now: list[Accepted], old: list[Accepted]) -> None:
    """What both servers took in the same term is one acceptance, copied; not two."""
    here = {entry.key: entry for entry in now}
    for entry in old:
        findings.checked += 1
        twin = here.get(entry.key)
        if twin is None or twin.term_n != entry.term_n:
            continue
        if (twin.hash, twin.received_ms) != (entry.hash, entry.received_ms):
            findings.convict(
                "two servers accepted an entry in one term", till=entry.key[0], seq=entry.key[2], term=entry.term_n
            )


def _one_writer(findings: Findings, case: Case, now: list[Accepted], old: list[Accepted]) -> None:
    """What was accepted in the old server's own term the old server accepted: a copy can't have more of it."""
    own = {int(row["n"]) for row in case.evidence.rows_if_any("server-old/term.csv")}
    there = {entry.key for entry in old}
    for entry in now:
        if entry.term_n in own and entry.key not in there:
            findings.convict(
                "two servers accepted entries in one term: the old one never took this of its own",
                term=entry.term_n, till=entry.key[0], seq=entry.key[2],
            )  # fmt: skip


def _fenced(findings: Findings, case: Case, reigns: list[Reign], old: list[Accepted]) -> None:
    """A fenced server takes nothing; nor does one that came back, whatever it believes."""
    fences = [reign for reign in reigns if reign.role == "fenced"]
    tilled = [entry for entry in old if entry.key[0] in case.meta.fleet.tills]
    for fence in fences[-1:]:
        findings.checked += 1
        since = [entry for entry in tilled if entry.received_ms > fence.at_ms + AFTER_FENCE_MS]
        for entry in since:
            findings.convict(
                "a fenced server took an entry", server=fence.server, till=entry.key[0], seq=entry.key[2]
            )
    for fault in case.meta.faults:
        if fault.kind == "old_server_returns" and fault.started_ms is not None:
            findings.checked += 1
            for entry in tilled:
                if entry.received_ms > fault.started_ms:
                    findings.convict(
                        "a server that came back took an entry", till=entry.key[0], seq=entry.key[2],
                        received_ms=entry.received_ms,
                    )  # fmt: skip


def _probes(findings: Findings, case: Case) -> None:
    """The probe till, of a stale term or of none, is served by no server that is live no more."""
    for row in case.evidence.rows_if_any("probes.csv"):
        findings.checked += 1
        if row["accepted"].lower() in ("true", "1"):
            findings.convict(
                "an old server serves a probe till", server=row["server"], ask=row["ask"], term=row["term_n"],
                at_ms=row["at_ms"],
            )  # fmt: skip


def _figures(findings: Findings, case: Case, reigns: list[Reign], taken: Taken, terms: list[int]) -> None:
    """How long it took, at worst: to notice, to promote, to the first entry, and to every till's.

    A server that was parted from its standby and served on had not ended then, but with the last entry it took.
    """
    now, old = taken
    figures: dict[str, list[float]] = defaultdict(list)
    calm: list[float] = []
    rough: list[float] = []
    windows = []
    for term in terms:
        of_term = [entry for entry in now if entry.term_n == term]
        first_ms = min(entry.received_ms for entry in of_term)
        writer = next((reign.server for reign in reigns if reign.role == "live" and reign.term_n == term), "")
        record = _record(case, writer, first_ms)
        died_ms = _died(case, writer, first_ms) or (record.detected_ms if record else None)
        if died_ms is None:
            continue
        before = (entry.received_ms for entry in (*now, *old) if entry.term_n < term)
        died_ms = max([died_ms, *(at_ms for at_ms in before if at_ms <= first_ms)])
        by_till: dict[str, int] = {}
        for entry in of_term:
            by_till[entry.key[0]] = min(entry.received_ms, by_till.get(entry.key[0], entry.received_ms))
        figures["failover.recovery"].append(first_ms - died_ms)
        figures["failover.recovery.all"].append(max(by_till.values()) - died_ms)
        windows.append((died_ms, max(by_till.values())))
        if record is not None and record.how == "automatic":
            figures["failover.detect"].append(record.detected_ms - died_ms)
        if record is not None and record.promoted_ms is not None:
            figures["failover.promote"].append(record.promoted_ms - record.detected_ms)
    findings.figures |= {name: float(max(0.0, *values)) for name, values in figures.items()}
    refused = asked = 0
    for sale in served(case):
        inside = any(begin <= sale.due_ms + sale.ms and sale.due_ms <= end for begin, end in windows)
        (rough if inside else calm).append(sale.ms)
        asked += inside
        refused += inside and sale.refused and sale.code not in RULES
    if asked:
        findings.figures["failover.sales"] = float(asked)
        findings.figures["failover.refused"] = refused / asked
    if rough and calm:
        findings.figures["failover.p99_ratio"] = percentile(rough, 0.99) / percentile(calm, 0.99)


def _record(case: Case, writer: str, first_ms: int) -> FailoverRecord | None:
    """Return the operator's promotion of the server that took the first entry."""
    fitting = [one for one in case.meta.failovers if one.to_server == writer and one.detected_ms <= first_ms]
    return max(fitting, key=lambda one: one.detected_ms, default=None)


def _died(case: Case, writer: str, first_ms: int) -> int | None:
    """Return when the fault began that ended the other server's reign."""
    begun = [
        fault.started_ms
        for fault in case.meta.faults
        if fault.kind in ENDING and fault.started_ms is not None and fault.started_ms <= first_ms
        and (fault.kind in ("promotion", "partition") or _about_other(fault.targets, writer))
    ]  # fmt: skip
    return max(begun, default=None)


def _about_other(targets: tuple[str, ...], writer: str) -> bool:
    return any(
        target == server or target in nodes
        for server, nodes in SIDES.items()
        if server != writer
        for target in targets
    )
