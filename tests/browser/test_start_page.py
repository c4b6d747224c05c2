"""The start page starts a real run, leaves it alone when it is closed, and takes it along when it is ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import PROGRAM

pytestmark = [pytest.mark.browser, pytest.mark.long]
DONE_S = 60_000  # ms, for one thing to be done


@contextmanager
def program(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a `tillproof` that serves a page, and the page's address; end it as Ctrl-C does."""
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([*PROGRAM, *words], stdout=subprocess.PIPE, text=True, env=environ)
    assert process.stdout is not None
    try:
        found = None
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+/[\w-]+/", line):
                break
        assert found is not None, "no address was printed"
        yield process, found.group()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=180)


def until(claim: Callable[[], bool], what: str) -> None:
    """Wait for something outside of the page."""
    end = time.monotonic() + DONE_S / 1000
    while not claim():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def shots(page: Page, folder: Path, name: str) -> None:
    """Keep a picture, where TILLPROOF_SCREENSHOTS says or with the test's files."""
    target = Path(os.environ.get("TILLPROOF_SCREENSHOTS") or folder)
    page.screenshot(path=target / f"live-{name}.png", full_page=True)


def test_the_start_page_starts_a_run_and_its_end_ends_the_run(browser: Browser, tmp_path: Path) -> None:
    """Start and watch; leaving the page changes nothing; Ctrl-C ends the run too, and both pages say so."""
    with program("ui", "--reports", str(tmp_path)) as (process, address):
        page = browser.new_page(viewport={"width": 360, "height": 800})
        page.goto(address)
        expect(page.locator("#no-runs")).to_be_visible()
        page.get_by_label("Scenario").select_option("smoke")
        page.get_by_label("Seed").fill("11")
        shots(page, tmp_path, "start")
        page.get_by_role("button", name="Start and watch").click()
        expect(page.locator("#title")).to_have_text(
            "Two tills, one of them unplugged for a moment", timeout=DONE_S
        )
        run = page.url
        assert run != address
        page.get_by_role("link", name="All runs").click()
        expect(page.locator("#now-word")).to_have_text("smoke is running", timeout=DONE_S)
        expect(page.get_by_role("button", name="Start and watch")).to_be_disabled()
        watching = browser.new_page()
        watching.goto(run)
        expect(watching.locator("#facts")).to_contain_text("smoke, seed 11", timeout=DONE_S)
        started = psutil.Process(process.pid).children()
        assert len(started) == 1
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=180)
        assert process.returncode == 0
        until(lambda: not started[0].is_running(), "the run outlived the program that started it")
        expect(page.locator("#banner")).to_contain_text("not running any more", timeout=DONE_S)
        expect(
            watching.locator("#banner:visible, #links:has-text('disk'), #word:has-text('could not run')").first
        ).to_be_visible(timeout=DONE_S)
        page.close()
        watching.close()
