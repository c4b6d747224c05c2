"""The pages as a browser lays them out: no sideways scrolling, readable in the dark, whole on paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.conftest import Opener
from tests.unit.report.samples import OUTCOMES

pytestmark = pytest.mark.browser
PAGES = (*OUTCOMES, "diff", "suite")
VARIED = (
    "no-go",
    "inconclusive",
    "hostile",
    "diff",
    "suite",
)  # together they show everything that a page can hold
A4_CONTENT_PX = 695  # 210 mm less two margins of 13 mm, at 96 px to the inch

CONTRAST = """() => {
  const parse = c => { const m = c.match(/[\\d.]+/g).map(Number); return [m[0], m[1], m[2], m.length > 3 ? m[3] : 1]; };
  const over = (top, under) => { const a = top[3];
    return [0, 1, 2].map(i => top[i] * a + under[i] * (1 - a)).concat([1]); };
  const light = c => { const v = c.slice(0, 3).map(x => { x /= 255; return x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4; });
    return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const ground = e => { const layers = [];
    for (let n = e; n; n = n.parentElement) layers.push(parse(getComputedStyle(n).backgroundColor));
    let c = parse(getComputedStyle(document.body).backgroundColor);
    for (const layer of layers.reverse()) c = over(layer, c);
    if (e.classList.contains('name') && e.parentElement.classList.contains('lane')) {
      const bar = getComputedStyle(e.parentElement.querySelector('.bar'));
      const shade = parse(bar.backgroundColor); shade[3] *= Number(bar.opacity); c = over(shade, c); }
    return c; };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || e.closest('svg') || !e.checkVisibility()) continue;
    const style = getComputedStyle(e), back = ground(e), ink = over(parse(style.color), back);
    const [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05), large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) poor.push([e.tagName, e.className, walk.currentNode.data.trim().slice(0, 40), ratio.toFixed(2)].join(' '));
  }
  return [...new Set(poor)];
}"""  # noqa: E501

TOO_WIDE = """() => {
  const limit = document.documentElement.clientWidth + 1, found = [];
  for (const e of document.querySelectorAll('table, tr, figure, pre, p, li, h2, .money, .verdict, .lanes')) {
    if (e.getBoundingClientRect().right > limit) found.push(e.tagName + ' ' + e.textContent.trim().slice(0, 60));
  }
  for (const e of document.querySelectorAll('.scroll')) {
    if (e.scrollWidth > e.clientWidth + 1) found.push('cut: ' + e.getAttribute('aria-label'));
  }
  return found;
}"""

LABELS = """() => {
  const found = [];
  for (const t of document.querySelectorAll('table')) {
    if (!t.querySelector('th[scope]')) found.push('a table without headings');
    for (const r of t.querySelectorAll('tbody tr')) if (!r.children.length) found.push('an empty row');
  }
  for (const s of document.querySelectorAll('svg')) if (!s.getAttribute('aria-label')) found.push('a chart without words');
  for (const s of document.querySelectorAll('.scroll')) {
    if (s.tabIndex !== 0 || s.getAttribute('role') !== 'region' || !s.getAttribute('aria-label')) found.push('a region without a name');
  }
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) found.push('an id twice');
  for (const a of document.querySelectorAll('nav a')) {
    if (!document.querySelector(a.getAttribute('href'))) found.push('a dead link ' + a.getAttribute('href'));
  }
  const levels = [...document.querySelectorAll('h1, h2, h3')].map(h => Number(h.tagName[1]));
  if (levels[0] !== 1 || levels.filter(l => l === 1).length !== 1) found.push('not one first heading');
  levels.forEach((l, i) => { if (i && l > levels[i - 1] + 1) found.push('a heading level is jumped'); });
  return found;
}"""  # noqa: E501


@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways(pages: dict[str, Path], open_page: Opener, name: str) -> None:
    """Wide tables scroll inside their own region; the page itself never does, on a phone or a wide screen."""
    page = open_page(pages[name]).page
    for width in (390, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.body.scrollWidth") <= width


@pytest.mark.parametrize("name", ["go", "no-go", "hostile"])
def test_no_name_on_the_timeline_begins_outside_of_a_phone(
    pages: dict[str, Path], open_page: Opener, name: str
) -> None:
    """A name that stands before its bar is cut with dots at its end, not at the page's edge."""
    page = open_page(pages[name], width=390).page
    lefts = page.evaluate("[...document.querySelectorAll('.lane .name')].map(e => e.getBoundingClientRect().left)")
    assert lefts
    assert min(lefts) >= 0


@pytest.mark.parametrize("name", PAGES)
def test_no_page_asks_the_network_or_complains(pages: dict[str, Path], open_page: Opener, name: str) -> None:
    """One file, nothing fetched, an empty console: also where product names hold scripts."""
    opened = open_page(pages[name])
    assert opened.requests == [pages[name].as_uri()]
    assert opened.complaints == []


@pytest.mark.parametrize("name", VARIED)
def test_text_has_contrast(pages: dict[str, Path], open_page: Opener, name: str) -> None:
    """4.5 to 1, or 3 to 1 for large type (WCAG 2.2, AA), on the ground that is really behind it."""
    page = open_page(pages[name]).page
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CONTRAST) == []


def test_the_dark_page_is_dark_and_paper_is_white(pages: dict[str, Path], open_page: Opener) -> None:
    """The colour scheme follows the reader's system on the screen, never on paper."""
    ground = "getComputedStyle(document.body).backgroundColor"
    assert open_page(pages["go"]).page.evaluate(ground) == "rgb(255, 255, 255)"
    assert open_page(pages["go"], dark=True).page.evaluate(ground) == "rgb(20, 23, 27)"
    assert open_page(pages["go"], dark=True, printed=True).page.evaluate(ground) == "rgb(255, 255, 255)"


@pytest.mark.parametrize("name", VARIED)
def test_paper_cuts_nothing(pages: dict[str, Path], open_page: Opener, name: str) -> None:
    """At the width of an A4 page no table, figure or paragraph reaches beyond the margin."""
    page = open_page(pages[name], width=A4_CONTENT_PX, printed=True).page
    assert page.evaluate(TOO_WIDE) == []
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("name", ["go", "diff"])
def test_paper_shows_what_the_screen_folds_away(pages: dict[str, Path], open_page: Opener, name: str) -> None:
    """A closed section is open on paper: its findings can't be unfolded there."""
    page = open_page(pages[name], width=A4_CONTENT_PX, printed=True).page
    assert page.locator("details:not([open])").count() > 0
    heights = page.evaluate(
        "[...document.querySelectorAll('details table')].map(t => t.getBoundingClientRect().height)"
    )
    assert all(height > 10 for height in heights)


def test_it_prints_on_a4(pages: dict[str, Path], open_page: Opener) -> None:
    """A GO of ten tills and three dates fits on a dozen sheets of A4."""
    raw = open_page(pages["go"]).page.pdf(prefer_css_page_size=True)
    sizes = set(re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", raw))
    assert {(round(float(w)), round(float(h))) for w, h in sizes} == {(595, 842)}
    assert 4 <= len(re.findall(rb"/Type /Page\b(?!s)", raw)) <= 12


@pytest.mark.parametrize("name", VARIED)
def test_tables_charts_and_headings_speak_to_a_screen_reader(
    pages: dict[str, Path], open_page: Opener, name: str
) -> None:
    """Tables have headings, charts a sentence, scrolling regions a name and a place in the tab order."""
    assert open_page(pages[name]).page.evaluate(LABELS) == []


def test_the_verdict_is_seen_without_scrolling(pages: dict[str, Path], open_page: Opener) -> None:
    """The word and the reason stand in the first screenful of a phone."""
    for name in ("go", "no-go", "inconclusive"):
        page = open_page(pages[name], width=390).page
        box = page.locator(".why").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 700


def test_a_chart_tells_its_figures_under_the_pointer(pages: dict[str, Path], open_page: Opener) -> None:
    """Each column of a chart has a title with time and figures."""
    page = open_page(pages["go"]).page
    title = page.locator("figure.chart rect.hit title").first.text_content()
    assert title is not None
    assert re.match(r"\d+:\d\d  ok \d+", title)


def test_a_table_is_sorted_by_keyboard_and_says_so(pages: dict[str, Path], open_page: Opener) -> None:
    """Enter on a heading sorts its column, again turns it round; numbers sort as numbers, with their units."""
    page = open_page(pages["go"]).page
    table = page.locator('[aria-label="Latency by till"] table')
    heading = table.locator("thead th").nth(1)
    heading.locator("button").focus()
    for order in ("ascending", "descending"):
        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == order
        values = [int(text.replace(",", "")) for text in table.locator("tbody td:nth-child(2)").all_inner_texts()]
        assert values == sorted(values, reverse=order == "descending")
    assert table.locator("[aria-sort]").count() == 1


@pytest.mark.parametrize("name", ["hostile", "diff"])
def test_no_other_script_can_run(pages: dict[str, Path], open_page: Opener, name: str, tmp_path: Path) -> None:
    """The page's policy lets only the sorting through, also where somebody's text became markup."""
    tampered = tmp_path / "page.html"
    text = pages[name].read_text(encoding="utf-8")
    tampered.write_text(
        text.replace("</main>", "<script>document.title = 'taken'</script></main>"), encoding="utf-8"
    )
    opened = open_page(tampered)
    assert opened.page.title() != "taken"
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)
