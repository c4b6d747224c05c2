"""The live page against a real run: every button does what it says, is evidence, and is written back.

How busy the machine is decides how long things take, so nothing here depends on when; the load is long enough
for all of it and ended by the page's own button.
"""

from __future__ import annotations

import json
import re
from itertools import groupby
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from chaos.profiles import PROFILES
from rehearsal.drive.faults import KnownFaults
from rehearsal.plan.loader import load_scenario
from tests.browser.test_live_page import SIDEWAYS, SMALL
from tests.browser.test_pages import CONTRAST
from tests.browser.test_start_page import program, shots

pytestmark = pytest.mark.browser
SCENARIO = Path(__file__).parent / "live.toml"
SHOP_S = 480_000  # ms, for Playwright: to stage or to settle a shop on a busy machine
DONE_S = 120_000  # ms, for one thing to be done


def press(page: Page, name: str, then: str) -> None:
    """Press a button by its name, and wait for what the page says next."""
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#told")).to_contain_text(re.compile(then), timeout=DONE_S)


def sync_t01(page: Page) -> None:
    """Sync T01 by hand until it could; on a busy machine an answer may come too late."""
    for _ in range(10):
        press(page, "Sync T01", r"T01 synced, up to \d+|Not done: T01 did not sync")
        if "synced" in page.locator("#told").inner_text():
            return
    pytest.fail("T01 did not sync: " + page.locator("#told").inner_text())


@pytest.mark.long
def test_every_button_of_a_run_does_what_it_says_and_is_evidence(browser: Browser, tmp_path: Path) -> None:
    """One run: cut, heal, kill, restart, sync, pause, resume, note, end, promote, halt; then report and files."""
    complaints: list[str] = []
    outside: list[str] = []
    recorded = tmp_path / "recorded.toml"
    words = (
        "run", str(SCENARIO), "--ui", "--fleet", "process", "--reports", str(tmp_path / "reports"),
        "--record", str(recorded),
    )  # fmt: skip
    with program(*words) as (process, address):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: outside.append(request.url))
        page.goto(address)
        expect(page.locator("#word")).to_have_text("Nothing disproved yet")
        expect(page.get_by_role("button", name="Pause the schedule")).to_be_disabled()
        shots(page, tmp_path, "staging")
        expect(page.get_by_role("button", name="Pause the schedule")).to_be_enabled(timeout=SHOP_S)
        expect(page.locator("#stage")).to_contain_text("stage 1 of 1", timeout=DONE_S)

        t01, t02 = page.locator("#tills tbody tr").nth(0), page.locator("#tills tbody tr").nth(1)
        expect(t01.locator("[data-label='Backlog']")).to_have_text(re.compile(r"\d"), timeout=DONE_S)
        expect(t01.locator("[data-label='Price version']")).to_have_text(re.compile(r"\d"), timeout=DONE_S)
        expect(page.locator("#faults li")).to_contain_text(re.compile("latency on T02.* s left"), timeout=DONE_S)
        press(page, "Cut T01", "cut on T01")
        expect(t01.locator("[data-label='Link']")).to_contain_text("cut", timeout=DONE_S)
        expect(t01.locator("[data-label='Mode']")).to_have_text("offline", timeout=DONE_S)
        expect(t01.locator("[data-label='Backlog']")).to_have_text(re.compile(r"[3-9]|\d\d"), timeout=DONE_S)
        layouts(browser, address, tmp_path)
        shots(page, tmp_path, "wide")
        press(page, "Heal T01", "cut on T01 is being lifted")
        expect(t01.locator("[data-label='Mode']")).to_have_text("online", timeout=DONE_S)
        sync_t01(page)

        page.get_by_role("button", name="End latency on T02 now").click()
        expect(page.locator("#no-faults")).to_be_visible(timeout=DONE_S)
        press(page, "Kill T02", "kill on T02")
        expect(t02.locator("[data-label='Mode']")).not_to_have_text("online", timeout=DONE_S)
        press(page, "Restart T02", "kill on T02 is being lifted")
        expect(t02.locator("[data-label='Mode']")).to_have_text("online", timeout=DONE_S)

        page.get_by_role("button", name="Pause the schedule").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#next-fault")).to_contain_text("held back while paused", timeout=DONE_S)
        press(page, "Resume the schedule", "the schedule goes on")
        page.get_by_label("Note").fill("the cable <b>of till 1</b> was loose")
        page.get_by_label("Note").press("Enter")
        expect(page.locator("#by-hand")).to_contain_text(
            "note: the cable <b>of till 1</b> was loose", timeout=DONE_S
        )
        assert page.get_by_label("Note").input_value() == ""

        press(page, "Kill server", "kill on server")
        expect(page.get_by_role("button", name="Restart server")).to_be_enabled(timeout=DONE_S)
        expect(page.get_by_role("button", name="Promote preproduction")).to_be_enabled(timeout=DONE_S)
        press(page, "Promote preproduction", "live, term 2")
        role = page.locator("#servers tbody tr").nth(1).locator("[data-label='Role']")
        expect(role).to_have_text("live", timeout=DONE_S)
        press(page, "Restart server", "kill on server is being lifted")
        expect(page.locator("#no-faults")).to_be_visible(timeout=SHOP_S)

        page.get_by_role("button", name="Halt and heal…").click()
        page.get_by_role("button", name="Go on selling").click()
        expect(page.locator("#sure")).to_be_hidden()
        page.get_by_role("button", name="Halt and heal…").click()
        page.get_by_role("button", name="Halt and heal", exact=True).click()
        expect(page.locator("#report")).to_be_visible(timeout=SHOP_S)
        expect(page.get_by_role("button", name="Cut T01")).to_be_disabled()
        shots(page, tmp_path, "ended")
        word = page.locator("#word").inner_text()
        process.communicate(timeout=120)
        page.locator("#report").click()
        expect(page.locator("h3#by-hand")).to_be_visible()
        refused = "status of 409"  # a sync by hand that came too late, which is pressed again
        assert not [text for text in complaints if text and refused not in text]
        assert [url for url in outside if not url.startswith((address, "data:", "blob:"))] == []
        page.close()

    assert {"NO-GO": 10, "INCONCLUSIVE": 20}[word] == process.returncode
    (folder,) = (path for path in (tmp_path / "reports").iterdir() if path.name != "latest")
    meta = json.loads((folder / "evidence" / "meta.json").read_text())
    done = [(done["what"], done["targets"]) for done in meta["interventions"]]
    assert [one for one, _ in groupby(done)] == [
        ("cut", ["T01"]), ("end cut", ["T01"]), ("manual sync", ["T01"]), ("end latency", ["T02"]),
        ("kill", ["T02"]),
        ("end kill", ["T02"]), ("pause the schedule", []), ("resume the schedule", []), ("note", []),
        ("kill", ["server"]), ("promote", ["preproduction"]), ("end kill", ["server"]), ("halt and heal", []),
    ]  # fmt: skip
    faults = {(fault["kind"], fault["targets"][0]): fault for fault in meta["faults"]}
    by_hand = [("cut", "T01"), ("kill", "T02"), ("kill", "server")]
    assert {key for key, fault in faults.items() if fault["params"].get("by") == "hand"} == set(by_hand)
    for key in by_hand[:2]:
        assert (faults[key]["bit"], faults[key]["healed"]) == (True, True), faults[key]
    assert not faults["cut", "T02"]["ran"]
    slow_s = load_scenario(SCENARIO, faults=KnownFaults(), profiles=tuple(PROFILES)).faults[0].for_s
    checks = {one["name"]: one["verdict"] for one in json.loads((folder / "verdict.json").read_text())["checks"]}
    assert "INVALID" not in {checks[name] for name in ("receipts", "money", "chain", "failover")}, checks
    for file in (recorded, folder / "as-run.toml"):
        again = load_scenario(file, faults=KnownFaults(), profiles=tuple(PROFILES))
        assert [(plan.kind, plan.targets[0]) for plan in again.faults] == [("latency", "T02"), *by_hand]
        assert again.faults[0].for_s < slow_s
    assert str(folder.name) in meta["reproduce"]


def layouts(browser: Browser, address: str, folder: Path) -> None:
    """The page amid a run, narrow and dark: nothing is cut off, too small to press, or hard to read."""
    for width, dark in ((360, False), (360, True), (1280, True)):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", bypass_csp=True
        )
        page = context.new_page()
        page.goto(address)
        expect(page.locator("#tills tbody tr")).to_have_count(2, timeout=DONE_S)
        expect(page.locator("#chart-latency svg")).to_be_visible(timeout=DONE_S)
        shots(page, folder, f"{width}-{'dark' if dark else 'light'}")
        assert not page.evaluate(SIDEWAYS), width
        assert page.evaluate(SMALL) == []
        assert page.evaluate(CONTRAST.replace("e.closest('svg')", "e.closest('svg, button:disabled')")) == []
        context.close()
