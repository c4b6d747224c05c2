"""docs/monitoring asks for what the processes tell, by its right name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from syncref import metrics
from syncref.server import metrics as server
from syncref.server.overview import ServerStatus
from syncref.till import metrics as till
from syncref.wire.till_api import CursorState, DayState, StatusAnswer, SyncState

DOCS = Path(__file__).parents[3] / "docs"
SERVER = ServerStatus(
    role="live", term_n=1, term_id="", cluster="", tills=[], feed_lag_ms=0, oldest_transaction_ms=0, flags_open=0,
    duplicates=0, asides_open=0, stock_behind_entries=0, alarms=[], at_ms=0,
)  # fmt: skip
TILL = StatusAnswer(
    till="T01", incarnation="", mode="online", day=DayState(business_date=None, open=False), head=0, acked=0,
    safe=0, backlog=0, cursor=CursorState(term_n=None, pos=0), loaded=True, last_contact_ms=None, masters_ms=None,
    alarm=None,
    sync=SyncState(server="", uplink="", downlink="", continuous=True, uplink_error=None, downlink_error=None,
                   threads_alive=True, merging=False, disk=""),
)  # fmt: skip


def told() -> set[str]:
    """Return the names of all series that till, server and back office tell."""
    registry = metrics.Meter().registry
    till.Counts(registry)
    server.Counts(registry)
    families = [*till.families(TILL, failures=(0, 0)), *server.families(SERVER, []), *registry.collect()]
    names = {"syncref_backoffice_writable"}
    for family in families:
        suffix = {"counter": ["_total"], "info": ["_info"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {family.name + end for end in suffix.get(family.type, [""])}
    return names


@pytest.mark.parametrize("name", ["monitoring/grafana.json", "monitoring/alerts.yml"])
def test_what_the_examples_ask_for_is_told(name: str) -> None:
    """Every series named in the dashboard and in the alerts exists."""
    asked = set(re.findall(r"\bsyncref_[a-z_]+", (DOCS / name).read_text()))
    assert len(asked) > 5
    assert asked <= told()


def test_what_counts_servers_and_tills_counts_none_as_nought() -> None:
    """Where nobody answers there is no series, and a sum of none is nothing: no alert, and no alarms of tills."""
    alerts = (DOCS / "monitoring/alerts.yml").read_text()
    panels = json.loads((DOCS / "monitoring/grafana.json").read_text())["panels"]
    asked = {panel["title"]: panel["targets"][0]["expr"] for panel in panels}
    assert '(sum(syncref_server_role{role="live"}) or vector(0)) != 1' in alerts
    for title, sums in {"Live servers (should be 1)": 1, "Tills online": 1, "Alarms": 2}.items():
        assert len(re.findall(r"sum\([^)]+\) or vector\(0\)", asked[title])) == sums


def test_the_page_lists_every_family() -> None:
    """Whole, or by the ending that follows the names before it."""
    section = (DOCS / "api.md").read_text().split("\n## Metrics\n")[1]
    listed = set()
    for row in re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE):
        stem = ""
        for word in re.findall(r"`([a-z_]+)`", row):
            if word.startswith("syncref"):
                stem = "_".join(word.split("_")[:2])
                listed.add(word)
            else:
                listed.add(next(name for name in sorted(told()) if name.startswith(stem) and name.endswith(word)))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in told()}
    assert listed == families


def test_the_dashboard_can_be_imported() -> None:
    """Panels have distinct ids, a place within the grid, and a data source that is asked for."""
    board = json.loads((DOCS / "monitoring/grafana.json").read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["datasource"]["uid"] == "${datasource}"
    assert board["templating"]["list"][0]["type"] == "datasource"


def test_a_registry_of_its_own_is_told_by_each_application() -> None:
    """What one application counts is not in another's answer."""
    first, second = metrics.Meter(), metrics.Meter()
    first.refused("gone")
    label = {"code": "gone"}
    assert first.registry.get_sample_value("syncref_http_refused_total", label) == 1
    assert second.registry.get_sample_value("syncref_http_refused_total", label) is None
    assert isinstance(first.registry, CollectorRegistry)
