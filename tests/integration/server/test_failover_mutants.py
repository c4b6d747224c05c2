"""What keeps an old server from taking anything, taken out piece by piece: the failover checker must convict.

Each story runs on a real primary and its streaming standby. What it leaves, the servers' databases and the
answers to a till that never met the new server, is judged as a rehearsal's evidence is. The other two pieces
are taken out in the simulated fleet (tests/simulation): the overlap hash check (S03, chain) and the safe rule
(S07, receipts).
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from rehearsal.checkers.case import Case
from rehearsal.drive.probe import COLUMNS as PROBE_COLUMNS
from rehearsal.drive.reigns import Reigns
from rehearsal.evidence.databases import Database
from rehearsal.evidence.export import export_old_server, export_server, write_rows
from rehearsal.evidence.reader import Evidence
from rehearsal.judge import CHECKERS, run_checker
from rehearsal.model import CheckResult, Verdict
from rehearsal.witness import Witness
from syncref.core.failover import Role
from syncref.server import reign as reign_shell
from syncref.server.reign import Reign
from syncref.store import server_ingest, server_term
from syncref.store.server_term import TermRow
from tests.integration.server.pair import Pair, Site, until
from tests.integration.server.shop import Till
from tests.unit.checkers.shop import open_shop

NAMES = ("server", "preproduction")


class Story:
    """A pair with one till that sells, and the evidence that it leaves."""

    def __init__(self, pair: Pair, folder: Path) -> None:
        self.pair = pair
        self.folder = folder
        self.probes: list[tuple[object, ...]] = []
        self.rows: list[tuple[object, ...]] = []
        pair.start()
        self.till = pair.till(pair.live)
        self.till.greet()
        self.till.sell()
        self.till.flush()
        until(lambda: pair.preprod.value("SELECT count(*) FROM entry") == 1, "the replay")
        self.look()

    def site(self, name: str) -> Site:
        """The site of a server's node."""
        return self.pair.live if name == "server" else self.pair.preprod

    def look(self) -> None:
        """Note what each database says that it is, as the rehearsal's sampler does."""
        running = {
            name: Database(self.site(name).dsn()) for name in NAMES if self.site(name).postgres.running_port()
        }
        witness = Witness({}, running)
        try:
            sampler = Reigns(witness)
            for name in running:
                sampler.look(name)
            self.rows += sampler.rows
        finally:
            witness.close()

    def sell_at(self, site: Site) -> None:
        """Let the till go on at a server; it must take the entry."""
        self.till.url = site.url
        self.till.close()
        self.till.log_in()
        answer = self.till.greet()
        self.till.sell()
        assert self.till.upload(answer.durable_seq + 1).status == 200
        self.look()

    def probe(self, site: Site) -> None:
        """Ask as a till that knows no term whether the old server takes its sale."""
        stranger = self.pair.till(site, "T02")
        greeted = stranger.hello()
        asked = [("hello of no term", greeted.status)]
        if greeted.status == 200:
            stranger.greet()
            stranger.sell()
            asked.append(("upload", stranger.upload(1).status))
        for ask, status in asked:
            self.probes.append((_now(), "server", ask, 0, status == 200, status, ""))
        self.look()

    def judged(self) -> CheckResult:
        """Write the evidence and ask the checker; both databases are read as they are."""
        shop = open_shop().derive()
        shop.meta |= {"faults": [], "failovers": []}
        self.folder.mkdir()
        (self.folder / "meta.json").write_text(json.dumps(shop.meta))
        (self.folder / "history.jsonl").write_text("")
        for site in (self.pair.live, self.pair.preprod):
            site.postgres.start()
        export_server(self.folder, Database(self.pair.preprod.dsn()), [])
        export_old_server(self.folder, Database(self.pair.live.dsn()))
        write_rows(self.folder, "reigns", ("at_ms", "server", "role", "term_n", "term_id", "written", "received",
                                           "replayed"), self.rows)  # fmt: skip
        write_rows(self.folder, "probes", PROBE_COLUMNS, self.probes)
        return run_checker("failover", CHECKERS["failover"], Case(Evidence(self.folder)))


def _now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def story(pair: Pair, tmp_path: Path) -> Story:
    """Return a story that has begun."""
    return Story(pair, tmp_path / "evidence")


def surpassed(story: Story, *, fenced: bool) -> CheckResult:
    """The live server goes on while preproduction is promoted; it hears of it, and a strange till asks it."""
    pair = story.pair
    pair.preprod.reign().promote()
    story.sell_at(pair.preprod)
    until(lambda: (pair.live.role().role is Role.FENCED) is fenced, "what the old server makes of it")
    story.look()
    story.probe(pair.live)
    return story.judged()


def came_back_alone(story: Story) -> CheckResult:
    """The old live server comes back when nobody is there to tell it of the new one; a strange till asks it."""
    pair = story.pair
    pair.live.kill()
    pair.preprod.reign().promote()
    story.sell_at(pair.preprod)
    pair.preprod.stop()
    pair.live.start()
    story.probe(pair.live)
    return story.judged()


def promoted_behind(story: Story) -> CheckResult:
    """Somebody promotes the database alone, behind the servers' backs, while the live one goes on."""
    pair = story.pair
    pair.preprod.value("SELECT pg_promote(true, 30)")
    story.look()
    stranger: Till = pair.till(pair.preprod, "T02")
    if stranger.hello().status == 200:
        stranger.greet()
        stranger.sell()
        stranger.upload(1)
    story.look()
    return story.judged()


def test_the_fence_keeps_a_surpassed_server_from_taking_anything(story: Story) -> None:
    """With it: fenced, the strange till is refused, the checker acquits."""
    result = surpassed(story, fenced=True)
    assert result.verdict is Verdict.VALID, result.evidence


def test_without_the_fence_the_failover_checker_convicts(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fence is answered and not kept."""
    monkeypatch.setattr(reign_shell, "persist_fence", lambda connection, *, by: None)
    monkeypatch.setattr(reign_shell, "close_guard", lambda connection: None)
    result = surpassed(story, fenced=False)
    assert result.verdict is Verdict.INVALID
    assert "serves a probe till" in result.detail, result.evidence


def test_a_server_that_comes_back_takes_nothing_before_somebody_confirms_it(story: Story) -> None:
    """With the confirmation: the strange till is refused."""
    result = came_back_alone(story)
    assert result.verdict is Verdict.VALID, result.evidence


def test_without_the_start_up_confirmation_the_failover_checker_convicts(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes live as soon as it starts."""
    real = Reign.begin

    def begin(self: Reign) -> TermRow:
        row = real(self)
        return self.confirm() if row.role is Role.STARTING else row

    monkeypatch.setattr(Reign, "begin", begin)
    result = came_back_alone(story)
    assert result.verdict is Verdict.INVALID
    assert "serves a probe till" in result.detail, result.evidence


def test_another_timeline_is_nobody_s_live_server(story: Story) -> None:
    """With the check: the promoted database is no second live server, and nobody took over."""
    assert promoted_behind(story).verdict is Verdict.UNKNOWN


def test_without_the_timeline_check_the_failover_checker_convicts(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the database goes on in the term of the one that it was copied from."""
    monkeypatch.setattr(TermRow, "timeline_ok", property(lambda row: True))
    view = server_ingest._VIEW.replace(f"t.timeline = {server_term.TIMELINE_SQL}", "true")
    assert view != server_ingest._VIEW
    monkeypatch.setattr(server_ingest, "_VIEW", view)
    real = server_term.CONFIRMED_SQL
    monkeypatch.setattr(server_ingest, "_VIEW", view.replace(real, "true"))
    result = promoted_behind(story)
    assert result.verdict is Verdict.INVALID, result.evidence
    assert "two" in result.detail
