"""A headless Chromium of the system, and the pages of all sample runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from rehearsal.model import Outcome
from rehearsal.report.diff import compare
from rehearsal.report.diff_html import diff_html
from rehearsal.report.write import write_report
from rehearsal.suite.capacity import Capacity
from rehearsal.suite.plan import load_suite
from rehearsal.suite.report import write_suite
from rehearsal.suite.run import Ran
from rehearsal.suite.windows import Stretch
from tests.unit.report.samples import OUTCOMES, sample

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Yield the system's Chromium. Without one: skip, or fail when TILLPROOF_REQUIRE_BROWSER=1."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        message = f"no Chromium on PATH ({', '.join(NAMES)})"
        if os.environ.get("TILLPROOF_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return name → page: a report of each kind of run, and a comparison of two."""
    root = tmp_path_factory.mktemp("reports")
    found = {kind: write_report(sample(root / kind, kind)) for kind in OUTCOMES}
    found["diff"] = root / "diff.html"
    found["diff"].write_text(diff_html(compare(root / "go", root / "hostile")), encoding="utf-8")
    found["suite"] = suite_page(root / "suite")
    return found


def suite_page(folder: Path) -> Path:
    """Return the page of a suite with a capacity, a run as usual, and one that could not run."""
    suite = load_suite(Path(__file__).parents[2] / "suite" / "standard.toml", reports=folder / "runs")
    everyday, ramp = suite.runs[0], suite.runs[-1]
    parts = tuple(
        Stretch(
            from_s=3.0 * n, to_s=3.0 * n + 3, asked_per_s=20.0 * n, done_per_s=min(20.0 * n, 140), sales=60,
            figures={"sale.p50": 4.0 * n, "sale.p99": 9.0 * 2**n},
        )
        for n in range(10)
    )  # fmt: skip
    found = Capacity(
        of="server", per_s=120.0, per_till_s=15.0, most_per_s=140.0, broke="sale.p99 <= 1s", measured=1152.0,
        from_s=21.0, ran_out=("the machine's processors (100 % busy; cores used: T06 0.17, T01 0.17)",),
    )  # fmt: skip
    done = (
        Ran(planned=everyday, outcome=Outcome.GO, why="all held", record=sample(folder / "runs" / "a", "go")),
        Ran(planned=ramp, outcome=Outcome.GO, why=found.text, record=sample(folder / "runs" / "b", "go"),
            stretches=parts, capacity=found),
        Ran(planned=everyday, outcome=Outcome.INCONCLUSIVE, why="could not run: no PostgreSQL"),
    )  # fmt: skip
    return write_suite(folder, suite, done, outcome=Outcome.INCONCLUSIVE, why="1 of 3 runs")


@dataclass
class Opened:
    """A page that was opened, what it asked the network for, and what it complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


class Opener:
    """Opens files in a browser of a given size and media, and closes all of them in the end."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._pages: list[Page] = []

    def __call__(self, path: Path, *, width: int = 1280, dark: bool = False, printed: bool = False) -> Opened:
        """Open a page. `printed` applies the rules for paper to a window of that width."""
        page = self._browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        self._pages.append(page)
        opened = Opened(page=page)
        page.on("request", lambda request: opened.requests.append(request.url))
        page.on("console", lambda message: opened.complaints.append(message.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        if printed:
            page.emulate_media(media="print", color_scheme="dark" if dark else "light")
        page.goto(path.as_uri(), wait_until="load")
        return opened

    def close(self) -> None:
        """Close every page that was opened."""
        for page in self._pages:
            page.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Opener]:
    """Yield a function that opens a page."""
    opener = Opener(browser)
    yield opener
    opener.close()
