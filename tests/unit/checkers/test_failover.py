"""What the failover checker convicts and acquits, and what the others make of a failover."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from rehearsal.judge import CHECKERS
from rehearsal.model import Verdict
from tests.unit.checkers.conftest import Try, convicted
from tests.unit.checkers.shop import Shop, closed_shop, hex_id, open_shop

Row = dict[str, Any]
DIED, DETECTED, PROMOTED, FIRST, LAST, RETURNED, FENCED = (1000, 2200, 2700, 3000, 4000, 9000, 9800)
NEW = hex_id("term 2")


def reign(shop: Shop, at: int, server: str, role: str, *term: int | str) -> Row:
    """A row of reigns.csv, `at` ms after the start of the load; `term` is its number and id."""
    n, term_id = term or ("", "")
    start = shop.meta["load"]["started_ms"]
    return {
        "at_ms": start + at, "server": server, "role": role, "term_n": n, "term_id": term_id, "written": "",
        "received": "", "replayed": "",
    }  # fmt: skip


def probe(shop: Shop, at: int, ask: str, *, accepted: bool = False) -> Row:
    """A row of probes.csv."""
    start = shop.meta["load"]["started_ms"]
    return {
        "at_ms": start + at, "server": "server", "ask": ask, "term_n": 1, "accepted": accepted,
        "status": 200 if accepted else 503, "code": "" if accepted else "not_live",
    }  # fmt: skip


def failed_over(*, risky: bool = False) -> Shop:
    """A shop whose live server died after the first two entries of each journal, and came back fenced."""
    shop = open_shop()
    for till in ("T01", "T02"):
        shop.close_day(till)
    shop.derive()
    start, first = shop.meta["load"]["started_ms"], hex_id("term")
    for row in shop.files["server/journal.csv"]:
        early = row["seq"] <= 2
        late = LAST if row["till"] == "T02" else FIRST
        row |= {"term_n": 1 if early else 2, "received_ms": start + (500 if early else late)}
    shop.files["server-old/journal.csv"] = [
        dict(row) for row in shop.files["server/journal.csv"] if row["term_n"] == 1
    ]
    shop.files["server/term.csv"] = [{**shop.files["server/term.csv"][0], "n": 2, "id": NEW}]
    shop.files["server-old/term.csv"] = [{**shop.files["server/term.csv"][0], "n": 1, "id": first}]
    shop.files["server-old/edits.csv"] = copy.deepcopy(shop.files["server/edits.csv"])
    shop.files["reigns.csv"] = [
        reign(shop, -5000, "server", "live", 1, first),
        reign(shop, -5000, "preproduction", "standby", 1, first),
        reign(shop, DIED + 100, "server", "silent"),
        reign(shop, PROMOTED, "preproduction", "live", 2, NEW),
        reign(shop, RETURNED + 300, "server", "starting", 1, first),
        reign(shop, FENCED, "server", "fenced", 1, first),
    ]
    shop.files["probes.csv"] = [probe(shop, FENCED + 100, ask) for ask in ("hello of a stale term", "upload")]
    shop.meta["failovers"] = [
        {
            "how": "automatic", "from_server": "server", "to_server": "preproduction",
            "detected_ms": start + DETECTED, "promoted_ms": start + PROMOTED,
        }
    ]  # fmt: skip
    shop.meta["faults"] = [
        fault(shop, "kill_live", DIED, ("server", "postgres")),
        fault(shop, "old_server_returns", RETURNED, ("postgres", "server")),
    ]
    return shop


def fault(shop: Shop, kind: str, at: int, targets: tuple[str, ...]) -> Row:
    """A fault that bit."""
    start = shop.meta["load"]["started_ms"]
    return {
        "kind": kind, "targets": list(targets), "at_s": at / 1000, "for_s": 0, "ran": True, "bit": True,
        "evidence": "seen", "healed": True, "started_ms": start + at, "ended_ms": start + at,
    }  # fmt: skip


def test_a_clean_failover_is_acquitted_and_timed(ask: Try) -> None:
    """One writer in each term; from the death: detected, promoted, first entry, every till's first entry."""
    result = ask(failed_over(), "failover")
    assert result.verdict is Verdict.VALID, result.evidence
    timed = {
        name: result.figures[f"failover.{name}"] for name in ("detect", "promote", "recovery", "recovery.all")
    }
    assert timed == {
        "detect": DETECTED - DIED, "promote": PROMOTED - DETECTED, "recovery": FIRST - DIED,
        "recovery.all": LAST - DIED,
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in CHECKERS if name not in ("experience", "validity", "failover")])
def test_the_other_checkers_judge_across_a_failover(ask: Try, name: str) -> None:
    """An old server beside the new one makes nobody doubt the money."""
    assert ask(failed_over(), name).verdict is Verdict.VALID


def test_one_server_shows_nothing_of_a_failover(ask: Try) -> None:
    """Nothing to judge is no acquittal."""
    assert ask(closed_shop(), "failover").verdict is Verdict.UNKNOWN


def _nobody_took_over(shop: Shop) -> None:
    for row in shop.files["server/journal.csv"]:
        row["term_n"] = 1
    shop.files["server-old/journal.csv"] = [dict(row) for row in shop.files["server/journal.csv"]]


def test_a_run_in_which_nobody_took_over_proves_nothing(ask: Try) -> None:
    """It withholds."""
    shop = failed_over()
    _nobody_took_over(shop)
    assert ask(shop, "failover").verdict is Verdict.UNKNOWN


def _probe_served(shop: Shop) -> None:
    """S32: the fence was forgotten."""
    shop.files["probes.csv"][1] |= {"accepted": "True", "status": 200, "code": ""}


def _fenced_took(shop: Shop) -> None:
    start = shop.meta["load"]["started_ms"]
    row = shop.files["server-old/journal.csv"][0]
    shop.meta["faults"].pop()
    shop.files["server-old/journal.csv"].append({**row, "seq": 90, "received_ms": start + FENCED + 5000})


def _returned_took(shop: Shop) -> None:
    start = shop.meta["load"]["started_ms"]
    row = shop.files["server-old/journal.csv"][0]
    shop.files["server-old/journal.csv"].append({**row, "seq": 90, "received_ms": start + RETURNED + 100})


def _live_unasked(shop: Shop) -> None:
    """The start-up confirmation is missing."""
    row = shop.row("reigns.csv", lambda row: row["role"] == "fenced")
    shop.files["reigns.csv"].insert(-1, {**row, "role": "live", "at_ms": row["at_ms"] - 200})


def _twin_terms(shop: Shop) -> None:
    """S33: both opened the same number."""
    shop.files["server-old/term.csv"][0] |= {"n": 2, "id": hex_id("another")}


def _two_live(shop: Shop) -> None:
    row = shop.row("reigns.csv", lambda row: row["role"] == "starting")
    row |= {"role": "live", "term_n": 2, "term_id": NEW}


def _stayed_live(shop: Shop) -> None:
    """It never heard of the other."""
    silent = shop.row("reigns.csv", lambda row: row["role"] == "silent")
    shop.files["reigns.csv"].remove(silent)


def test_parted_servers_may_both_be_live_until_they_hear_of_each_other(ask: Try) -> None:
    """The old one's time beside the new one counts from the heal."""
    shop = failed_over()
    _stayed_live(shop)
    shop.meta["faults"][0] |= fault(shop, "partition", DIED, ("server",))
    shop.meta["faults"][0]["ended_ms"] += RETURNED - DIED
    assert ask(shop, "failover").verdict is Verdict.VALID


def test_a_parted_server_that_serves_on_has_not_ended_before_its_last_entry(ask: Try) -> None:
    """Nobody was without a server while the old one still took entries."""
    shop = failed_over()
    shop.meta["faults"][0] |= fault(shop, "partition", DIED, ("server",))
    dead = ask(shop, "failover").figures["failover.recovery"]
    last_ms = shop.meta["load"]["started_ms"] + FIRST - 200
    for file in ("server/journal.csv", "server-old/journal.csv"):
        shop.row(file, lambda row: row["term_n"] == 1)["received_ms"] = last_ms
    assert (dead, ask(shop, "failover").figures["failover.recovery"]) == (FIRST - DIED, 200)


def test_a_server_that_died_before_its_first_entry_died_of_its_fault(ask: Try) -> None:
    """Nothing was taken in the earlier term, so there is no last entry: the fault ended it."""
    shop = failed_over()
    for row in shop.files["server/journal.csv"]:
        if row["term_n"] == 1:
            row |= {"term_n": 2, "received_ms": shop.meta["load"]["started_ms"] + FIRST}
    del shop.files["server-old/journal.csv"]
    assert ask(shop, "failover").figures["failover.recovery"] == FIRST - DIED


@pytest.mark.parametrize(("kind", "bit", "verdict"), [
    ("kill", True, Verdict.VALID), ("pause", True, Verdict.VALID), ("kill", False, Verdict.INVALID),
    ("kill T01", True, Verdict.INVALID),
])  # fmt: skip
def test_a_process_that_was_down_was_not_live_whatever_its_database_says(
    ask: Try, kind: str, bit: bool, verdict: Verdict
) -> None:
    """A killed or paused server hears of nobody; one that went on does, and so does one whose till was killed."""
    shop = failed_over()
    _stayed_live(shop)
    what, _, target = kind.partition(" ")
    shop.meta["faults"][0] |= fault(shop, what, DIED, (target or "server",)) | {"bit": bit}
    shop.meta["faults"][0]["ended_ms"] += RETURNED - DIED
    assert ask(shop, "failover").verdict is verdict


def _accepted_twice(shop: Shop) -> None:
    """R11: writes were open before the term was."""
    shop.files["server-old/journal.csv"][0]["received_ms"] += 5


def _copy_took_more(shop: Shop) -> None:
    """The timeline check is missing: a copy goes on in its original's term."""
    shop.files["server-old/journal.csv"].pop()


def _never_promoted(shop: Shop) -> None:
    shop.meta["failovers"][0]["promoted_ms"] = None


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_probe_served, "serves a probe till"),
        (_fenced_took, "a fenced server took an entry"),
        (_returned_took, "came back took an entry"),
        (_live_unasked, "was live in its old term"),
        (_twin_terms, "two identities"),
        (_two_live, "two servers were live in one term"),
        (_stayed_live, "stayed live beside the new one"),
        (_accepted_twice, "two servers accepted an entry in one term"),
        (_copy_took_more, "two servers accepted entries in one term"),
        (_never_promoted, "was not promoted"),
    ],
)
def test_a_broken_failover_is_convicted(ask: Try, spoil: Callable[[Shop], None], what: str) -> None:
    """Each lie by itself."""
    shop = failed_over()
    spoil(shop)
    assert convicted(ask(shop, "failover"), what)


def _at_risk(shop: Shop) -> str:
    """Let the first price edit be told at risk, and let the failover take it back; return its op id."""
    edit = next(row for row in shop.files["server/edits.csv"] if row["kind"] == "vendor")
    op_id = str(edit["op_id"])
    told = next(line for line in shop.history if line.get("op_id") == op_id and line["type"] == "ok")
    told["status"] = "at_risk"
    shop.files["server/edits.csv"].remove(edit)
    return op_id


def test_a_document_that_was_told_to_be_at_risk_may_be_lost_with_its_server(ask: Try) -> None:
    """No promise is broken; the same document told ok convicts."""
    shop = failed_over()
    op_id = _at_risk(shop)
    names = {row["op_id"]: row for row in shop.files["server-old/edits.csv"]}
    assert op_id in names
    vendors = [
        row for row in shop.files["server/vendors.csv"] if str(row["vendor_id"]) in str(names[op_id]["result"])
    ]
    for row in vendors:
        shop.files["server/vendors.csv"].remove(row)
    assert ask(shop, "edits").verdict is Verdict.VALID
    told = next(line for line in shop.history if line.get("op_id") == op_id and line["type"] == "ok")
    told.pop("status")
    assert convicted(ask(shop, "edits"), "ok, but the server does not have the operation")


def test_a_document_at_risk_that_is_lost_without_a_failover_is_convicted(ask: Try) -> None:
    """The only server that ever was live has lost it: there was nothing that might have taken it back."""
    shop = closed_shop()
    edit = next(row for row in shop.files["server/edits.csv"] if row["kind"] == "vendor")
    told = next(line for line in shop.history if line.get("op_id") == edit["op_id"] and line["type"] == "ok")
    told["status"] = "at_risk"
    assert ask(shop, "edits").verdict is Verdict.VALID
    shop.files["server/edits.csv"].remove(edit)
    shop.files["server/vendors.csv"].pop()
    assert convicted(ask(shop, "edits"), "ok, but the server does not have the operation")
    shop.files["reigns.csv"] = [reign(shop, -5000, "server", "live", 1, hex_id("term"))]
    assert convicted(ask(shop, "edits"), "ok, but the server does not have the operation")
    shop.files["reigns.csv"].append(reign(shop, DIED, "preproduction", "live", 2, NEW))
    assert ask(shop, "edits").verdict is Verdict.VALID
