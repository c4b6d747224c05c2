"""The live page in a browser: every button does what it says; the page fits, can be read, and says when lost.

The shop is played (played.py), the page and what it is served by are real.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from rehearsal.drive import faults as faults_module
from rehearsal.live.board import Board
from rehearsal.live.serving import live_page
from tests.browser.played import Played, playing
from tests.browser.test_pages import CONTRAST

pytestmark = [pytest.mark.browser, pytest.mark.long]
WAIT = 20_000  # ms, for Playwright
SIDEWAYS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
SMALL = """() => [...document.querySelectorAll('button')]
  .filter(b => b.checkVisibility() && b.getBoundingClientRect().height < 24).map(b => b.textContent)"""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[Board, str]]:
    """Yield a board and its page's address."""
    with live_page(0) as made:
        yield made


@pytest.fixture
def played(live: tuple[Board, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """Yield a shop that sells on the board."""
    with playing(live[0], tmp_path, lambda make: monkeypatch.setattr(faults_module, "fault", make)) as made:
        yield made


def shot(page: Page, folder: Path, name: str) -> None:
    """Keep a picture, where TILLPROOF_SCREENSHOTS says or with the test's files."""
    page.screenshot(
        path=Path(os.environ.get("TILLPROOF_SCREENSHOTS") or folder) / f"live-{name}.png", full_page=True
    )


def press(page: Page, name: str, told: str) -> None:
    """Press a button by its name, and wait for what the page says of it."""
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#told")).to_contain_text(told, timeout=WAIT)


def test_a_fault_that_a_pause_holds_back_is_said_to_be_due(
    browser: Browser, live: tuple[Board, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins the moment somebody resumes, so the page says so before."""
    board, address = live
    board.control.pause()
    replacing = partial(monkeypatch.setattr, faults_module, "fault")
    with playing(board, tmp_path, replacing):
        page = browser.new_page()
        page.goto(address)
        said = "Due, begins on resuming: latency on T02 at 0:00. Next by schedule: cut on T02 at 9:50 (held back"
        expect(page.locator("#next-fault")).to_contain_text(said, timeout=WAIT)
        press(page, "Resume the schedule", "the schedule goes on")
        expect(page.locator("#next-fault")).to_have_text("Next by schedule: cut on T02 at 9:50", timeout=WAIT)


def test_every_button_does_what_it_says(
    browser: Browser, live: tuple[Board, str], played: Played, tmp_path: Path
) -> None:
    """By mouse or keyboard; what can't be done says why; all of it is on record, in order."""
    board, address = live
    complaints: list[str] = []
    outside: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: outside.append(request.url))
    page.goto(address)
    t01, t02 = page.locator("#tills tbody tr").nth(0), page.locator("#tills tbody tr").nth(1)
    expect(page.locator("#word")).to_have_text("Nothing disproved yet", timeout=WAIT)
    expect(page.locator("#faults li")).to_contain_text(re.compile("latency on T02.* s left"), timeout=WAIT)
    expect(t01).to_contain_text("1,480", timeout=WAIT)
    expect(t01.locator("[data-label='Wait p99, 30 s']")).to_have_text("29 ms", timeout=WAIT)
    expect(t01.locator("[data-label='Price version']")).to_have_text("7", timeout=WAIT)

    press(page, "Cut T01", "cut on T01")
    expect(t01.locator("[data-label='Link']")).to_have_text("cut", timeout=WAIT)
    expect(t01.locator("[data-label='Mode']")).to_have_text("offline", timeout=WAIT)
    press(page, "Sync T01", "Not done: T01 did not sync: no answer")
    press(page, "Heal T01", "cut on T01 is being lifted")
    expect(t01.locator("[data-label='Mode']")).to_have_text("online", timeout=WAIT)
    press(page, "Sync T01", "T01 synced, up to 41")
    press(page, "Cut T02", "Not done: latency is already on T02")
    press(page, "End latency on T02 now", "latency on T02 is being lifted")
    expect(page.locator("#no-faults")).to_be_visible(timeout=WAIT)
    press(page, "Kill T02", "kill on T02")
    expect(t02.locator("[data-label='Mode']")).to_have_text("stopped", timeout=WAIT)
    shot(page, tmp_path, "wide")
    press(page, "Restart T02", "kill on T02 is being lifted")
    expect(t02.locator("[data-label='Mode']")).to_have_text("online", timeout=WAIT)

    page.get_by_role("button", name="Pause the schedule").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#next-fault")).to_contain_text("held back while paused", timeout=WAIT)
    assert board.control.paused
    press(page, "Resume the schedule", "the schedule goes on")
    assert not board.control.paused
    page.get_by_label("Note").fill("the cable <b>of till 1</b> was loose")
    page.get_by_label("Note").press("Enter")
    expect(page.locator("#by-hand")).to_contain_text("note: the cable <b>of till 1</b> was loose", timeout=WAIT)
    expect(page.get_by_label("Note")).to_have_value("")

    servers = page.locator("#servers tbody tr")
    expect(servers.nth(1).locator("[data-label='Standby behind']")).to_have_text("2,048 B", timeout=WAIT)
    press(page, "Kill server", "kill on server")
    press(page, "Promote preproduction", "live in term 2")
    expect(servers.nth(1).locator("[data-label='Role']")).to_have_text("live", timeout=WAIT)
    expect(page.get_by_role("button", name="Promote preproduction")).to_be_hidden(timeout=WAIT)
    press(page, "Restart server", "kill on server is being lifted")
    expect(servers.nth(0).locator("[data-label='Role']")).to_have_text("fenced", timeout=WAIT)

    page.get_by_role("button", name="Halt and heal…").click()
    page.get_by_role("button", name="Go on selling").click()
    expect(page.locator("#sure")).to_be_hidden()
    assert not board.control.halted
    page.get_by_role("button", name="Halt and heal…").click()
    page.get_by_role("button", name="Halt and heal", exact=True).click()
    expect(page.get_by_role("button", name="Cut T01")).to_be_disabled(timeout=WAIT)
    assert board.control.halted
    assert [(done.what, done.targets) for done in board.control.done()] == [
        ("cut", ("T01",)), ("manual sync", ("T01",)), ("end cut", ("T01",)), ("manual sync", ("T01",)),
        ("end latency", ("T02",)), ("kill", ("T02",)), ("end kill", ("T02",)), ("pause the schedule", ()),
        ("resume the schedule", ()), ("note", ()), ("kill", ("server",)), ("promote", ("preproduction",)),
        ("end kill", ("server",)), ("halt and heal", ()),
    ]  # fmt: skip
    assert complaints == []
    assert [url for url in outside if not url.startswith((address, "data:"))] == []
    page.close()


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1280, True)])
def test_the_page_fits_and_can_be_read(
    browser: Browser, live: tuple[Board, str], played: Played, tmp_path: Path, *, width: int, dark: bool
) -> None:
    """Nothing is cut off, too small to press, or hard to read, with faults on and a till down."""
    board, address = live
    for what, target in (("cut", "T01"), ("kill", "server"), ("note", "")):
        board.hands.do(what, target, "x" * 200)
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", bypass_csp=True
    )
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#faults li")).to_have_count(3, timeout=WAIT)
    expect(page.locator("#tills tbody tr").nth(0)).to_contain_text("offline", timeout=WAIT)
    expect(page.locator("#chart-latency svg path")).to_have_count(2, timeout=WAIT)
    shot(page, tmp_path, f"{width}-{'dark' if dark else 'light'}")
    assert not page.evaluate(SIDEWAYS)
    assert page.evaluate(SMALL) == []
    assert page.evaluate(CONTRAST.replace("e.closest('svg')", "e.closest('svg, button:disabled')")) == []
    context.close()


def test_before_the_shop_sells_after_it_failed_and_when_the_program_is_gone_the_page_says_so(
    browser: Browser, tmp_path: Path
) -> None:
    """No button can be pressed, and a reason is given."""
    with live_page(0) as (board, address):
        lost = browser.new_page()
        lost.goto(address)
        expect(lost.locator("#no-tills")).to_have_text("The shop is being staged; tills appear when it sells.")
        expect(lost.get_by_role("button", name="Pause the schedule")).to_be_disabled()
        ended = browser.new_page()
        ended.goto(address)
        expect(ended.locator("#no-tills")).to_be_visible()
        lost.route("**/events", lambda route: route.abort())
        lost.reload()
        expect(lost.locator("#banner")).to_contain_text("Connection lost", timeout=WAIT)
        expect(lost.locator("#banner")).to_contain_text("is gone or can't be reached", timeout=WAIT)
        shot(lost, tmp_path, "lost")
        lost.close()
        board.gave_up("could not run: no PostgreSQL")
        expect(ended.locator("#word")).to_have_text("could not run", timeout=WAIT)
        expect(ended.locator("#why")).to_have_text("could not run: no PostgreSQL")
        ended.close()
