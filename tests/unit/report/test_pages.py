"""The page and its companions: complete, harmless whatever a run holds, and small."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from rehearsal.evidence.reader import Evidence
from rehearsal.model import CheckResult, Outcome, RunRecord, Sales, ThresholdResult, Verdict
from rehearsal.report import html
from rehearsal.report.benchmark import benchmark_json
from rehearsal.report.diff import difference
from rehearsal.report.html import report_html
from rehearsal.report.junit import junit_xml
from rehearsal.report.metrics import metrics_txt
from rehearsal.report.summary import BYTES_MAX, summary_md
from rehearsal.report.text import number, plainly
from rehearsal.report.verdict import verdict_of
from rehearsal.report.view import view_of
from rehearsal.report.write import findings_csv, write_report
from tests.unit.checkers.shop import DATE, closed_shop
from tests.unit.checkers.test_losses import rolled_back
from tests.unit.report.samples import DATES, HOSTILE, OUTCOMES, TILLS, sample


def page_of(record: RunRecord) -> str:
    """Return report.html of a sample."""
    return report_html(record, view_of(Evidence(record.evidence), record.meta))


class Outline(HTMLParser):
    """Collects tags, addresses and table shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and what it points to."""
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "data")]


def outline(page: str) -> Outline:
    """Parse a page."""
    parser = Outline()
    parser.feed(page)
    return parser


@pytest.mark.parametrize("kind", OUTCOMES)
def test_a_page_holds_one_known_script_no_form_and_no_outside_address(tmp_path: Path, kind: str) -> None:
    """It opens offline, no text becomes markup, and only the sorting may run, by its hash."""
    page = page_of(sample(tmp_path, kind))
    found = outline(page)
    assert found.tags.count("script") == 1
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page
    assert script == (Path(html.__file__).parent / "templates" / "sort.js").read_text()
    assert not {"form", "iframe", "object", "embed", "img"} & set(found.tags)
    assert not [name for name in found.attributes if name.startswith("on")]
    assert all(re.match(r"#|data:,$|findings/", address) for address in found.addresses)


@pytest.mark.parametrize(
    ("folder", "here", "command"),
    [
        ("our reports/r1", ".", "tillproof check &#39;our reports/r1&#39;"),
        ("reports/s-suite/runs/r1", ".", "tillproof check reports/s-suite/runs/r1"),
        ("reports/r1", "elsewhere", "tillproof check {base}/reports/r1"),
    ],
)
def test_a_page_says_how_its_own_folder_is_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, here: str, command: str
) -> None:
    """A suite's run lies below the suite, and reports go where somebody wants them."""
    record = sample(tmp_path / folder, "go")
    (tmp_path / here).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / here)
    assert f"<pre>{command.format(base=tmp_path)}</pre>" in page_of(record)


@pytest.mark.parametrize("kind", OUTCOMES)
def test_a_page_has_every_section_in_order(tmp_path: Path, kind: str) -> None:
    """Verdict first, then what to do, down to how to reproduce it; also of a run that was stopped."""
    page = page_of(sample(tmp_path, kind))
    names = (
        "next",
        "money",
        "claims",
        "real",
        "settlement",
        "timeline",
        "experience",
        "faults",
        "masters",
        "checks",
    )
    places = [page.index(f'<h2 id="{name}">') for name in (*names, "machines", "reproduce")]
    assert places == sorted(places)
    assert page.index('class="word"') < places[0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (999.7, "1,000"), (-999.7, "-1,000"), (999.4, "999"), (99.96, "100"), (1234.5, "1,234"),
        (0.00004, "0.00004"), (0.0123, "0.0123"), (7.0, "7"), (12345, "12,345"), (0, "0"),
    ],
)  # fmt: skip
def test_numbers_are_never_written_with_an_exponent(value: float, said: str) -> None:
    """A p99 of 999.7 ms is no "1e+03 ms", which the tables' sorting takes for 1."""
    assert number(value) == said


def test_hidden_characters_are_shown_by_number(tmp_path: Path) -> None:
    """A mark that turns the reading direction round can't disguise a line."""
    page = page_of(sample(tmp_path, "hostile"))
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "\\u{202e}" in page


def test_a_page_shows_the_settlement_of_every_till_and_date(tmp_path: Path) -> None:
    """Ten tills, three dates: thirty rows, and the one that differs comes first and is marked."""
    page = page_of(sample(tmp_path, "no-go"))
    table = page.split('aria-label="Settlement"')[1].split("</table>")[0]
    body = table.split("<tbody>")[1]
    for till in TILLS:
        for date in DATES:
            assert f'{till}</th><td class="nowrap">{date}</td>' in body
    assert body.count("differs</td>") == 1
    assert body.index("T03") < body.index("T01")


def test_a_row_without_a_z_report_does_not_agree(tmp_path: Path) -> None:
    """A missing witness is never taken for agreement."""
    record = sample(tmp_path, "go")
    (record.evidence / "tills/T05/z.csv").unlink()
    view = view_of(Evidence(record.evidence), record.meta)
    assert {row.till for row in view.days if not row.agrees} == {"T05"}
    assert "tills/T05/z.csv is absent" in view.gaps


def test_seconds_in_which_all_were_refused_count_in_the_table_by_till(tmp_path: Path) -> None:
    """They have no percentile, and are why one looks there; lateness of nobody's second makes no row."""
    record = sample(tmp_path, "go")
    (record.evidence / "latency.csv").write_text(
        "second,till,n,p50_ms,p99_ms,max_ms,fail,info,late_max_ms\n"
        "1,T01,2,10,20,30,1,0,1\n2,T01,3,,,,3,0,1\n3,T02,4,,,,4,0,1\n3,backoffice,0,,,,0,0,7\n"
    )
    found = view_of(Evidence(record.evidence), record.meta).latency
    rows = [(one.till, one.asked, one.refused, one.worst_p99_ms, one.max_ms) for one in found.tills]
    assert rows == [("T01", 5, 4, 20, 30), ("T02", 4, 4, None, None)]
    assert found.p99 == ((1, 20),)
    (row,) = re.findall(r'<th scope="row">T02</th>(<td class="n">4</td>.*?)</tr>', page_of(record))
    assert re.findall(r">([^<]*)</td>", row) == ["4", *2 * ["\N{EN DASH}"], "4", "0"]


def test_money_that_nobody_could_count_is_not_shown_as_equal(tmp_path: Path) -> None:
    """0.00 = 0.00 = 0.00 in green is no answer to a database that can't be read."""
    made = sample(tmp_path, "inconclusive")
    record = replace(made, judgement=replace(made.judgement, sales=Sales()))
    body = page_of(record)
    money = body[body.index('id="money"') : body.index('id="claims"')]
    assert "can&#39;t be read" in money and "=</div>" not in money
    assert "Not known: there is no receipt" in summary_md(record) and "Cashiers 0.00" not in summary_md(record)
    assert '<div class="money">' in page_of(made)


def test_a_date_that_left_its_till_with_a_cleaning_agrees_by_the_server_alone(tmp_path: Path) -> None:
    """Its receipts and Z are where they were checked to be; a till that lost them otherwise does not agree."""
    shop = closed_shop()
    for table in ("receipts", "z"):
        shop.files[f"tills/T01/{table}.csv"] = []
    evidence = Evidence(shop.write(tmp_path))
    assert [row.till for row in view_of(evidence, evidence.meta()).days if not row.agrees] == ["T01"]
    shop.meta["cleaned"] = [
        {"till": "T01", "at_ms": 1, "incarnation": "", "head": 1, "date": DATE, "next_date": "2025-06-16"}
    ]
    evidence = Evidence(shop.write(tmp_path))
    assert all(row.agrees for row in view_of(evidence, evidence.meta()).days)


def test_a_receipt_that_is_declared_lost_is_one_of_its_date(tmp_path: Path) -> None:
    """It stands with the cashiers, and makes no row of its own that differs."""
    evidence = Evidence(rolled_back().write(tmp_path))
    days = view_of(evidence, evidence.meta()).days
    assert [(row.till, row.date, row.agrees) for row in days] == [("T01", DATE, True), ("T02", DATE, True)]


def test_evidence_that_is_cut_or_edited_still_gives_a_page(tmp_path: Path) -> None:
    """The judge convicts it; the page names what it could not read."""
    record = sample(tmp_path, "go")
    (record.evidence / "history.jsonl").write_bytes(b'{"type": "ok"}\n\xff\xfe{{{\n')
    (record.evidence / "latency.csv").write_text('second,till,n,p50_ms,p99_ms\n1,T01,x,nan,"\n')
    (record.evidence / "backlog.csv").write_bytes(b"at_ms,till\n\x00,\n")
    (record.evidence / "server/receipts.csv.zst").write_bytes(b"not zstandard")
    (record.evidence / "server/receipts.csv").unlink()
    page = page_of(record)
    assert "Evidence that this page could not read" in page
    assert "history.jsonl:" in page


def test_a_page_of_a_large_fleet_stays_below_three_megabytes(tmp_path: Path) -> None:
    """1,000 tills, 1,000 faults, 200,000 findings: bounded, and what is left out is said."""
    record = sample(tmp_path, "no-go")
    tills = tuple(f"X{n:04d}" for n in range(1000))
    for name in ("throughput.csv", "latency.csv", "backlog.csv"):
        head, *rows = (record.evidence / name).read_text().splitlines()
        more = [row.replace("T0", f"X{n:03d}") for n in range(40) for row in rows[:200]]
        (record.evidence / name).write_text("\n".join([head, *rows, *more]) + "\n")
    findings = tuple({"op_id": f"{n:032x}", "detail": "x" * 400} for n in range(20_000))
    checks = tuple(
        CheckResult(name=f"c{n}", verdict=Verdict.INVALID, detail="x" * 5000, evidence=findings) for n in range(10)
    )
    meta = replace(record.meta, faults=record.meta.faults * 120, fleet=replace(record.meta.fleet, tills=tills))
    record = replace(record, meta=meta, judgement=replace(record.judgement, checks=checks))
    page = page_of(record)
    assert len(page.encode()) < 3_000_000
    assert "more are in verdict.json" in page
    assert len(summary_md(record).encode()) < BYTES_MAX


def test_advice_is_there_for_every_outcome(tmp_path: Path) -> None:
    """Each kind of run ends in concrete steps; a NO-GO names the failed check's findings."""
    for kind in OUTCOMES:
        page = page_of(sample(tmp_path / kind, kind))
        steps = page.split('<ol class="steps">')[1].split("</ol>")[0]
        assert steps.count("<li>") >= 1
    assert "findings/receipts.csv" in page_of(sample(tmp_path / "again", "no-go")).split('<ol class="steps">')[1]


@pytest.mark.parametrize("kind", OUTCOMES)
def test_junit_counts_agree_and_nothing_is_skipped(tmp_path: Path, kind: str) -> None:
    """Totals are the sums of the cases; UNKNOWN, a fault without evidence and INCONCLUSIVE are errors."""
    record = sample(tmp_path, kind)
    root = Xml.fromstring(junit_xml(verdict_of(record)))  # noqa: S314 - our own output
    cases = root.findall(".//testcase")
    assert not root.findall(".//skipped")
    assert int(root.get("tests", "")) == len(cases)
    assert int(root.get("failures", "")) == len(root.findall(".//failure"))
    assert int(root.get("errors", "")) == len(root.findall(".//error"))
    bad = len(root.findall(".//failure")) + len(root.findall(".//error"))
    assert (bad == 0) == (record.judgement.verdict is Outcome.GO)


def test_junit_calls_unknown_an_error_and_invalid_a_failure(tmp_path: Path) -> None:
    """A pipeline that only looks for failures and errors sees both."""
    for kind, name, tag in (("inconclusive", "stock", "error"), ("no-go", "receipts", "failure")):
        text = junit_xml(verdict_of(sample(tmp_path / kind, kind)))
        root = Xml.fromstring(text)  # noqa: S314 - our own output
        case = root.find(f".//testcase[@name='{name}']")
        assert case is not None
        assert [child.tag for child in case] == [tag]


def test_summary_escapes_what_people_wrote(tmp_path: Path) -> None:
    """No link, mention, table break or HTML of a product name gets through to the CI page."""
    text = summary_md(sample(tmp_path, "hostile"))
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    for line in text.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5)


@pytest.mark.parametrize("kind", OUTCOMES)
def test_metrics_are_openmetrics(tmp_path: Path, kind: str) -> None:
    """The reference parser, which refuses repeated series and a missing end, reads the verdict out of it."""
    verdict = verdict_of(sample(tmp_path, kind))
    families = {found.name: found for found in text_string_to_metric_families(metrics_txt(verdict))}
    assert all(found.documentation and found.type == "gauge" for found in families.values())
    told = {each.labels["verdict"]: each.value for each in families["tillproof_verdict"].samples}
    assert told == {outcome.value: float(outcome is verdict.verdict) for outcome in Outcome}
    assert {each.labels["scenario"] for each in families["tillproof_receipts"].samples} == {verdict.scenario}


def test_benchmark_lists_figures_with_unit_and_range(tmp_path: Path) -> None:
    """Names are unique, shares are per cent; what is sold in half of the time is half as much a second."""
    record = sample(tmp_path, "go")
    text = benchmark_json(verdict_of(record), view_of(Evidence(record.evidence), record.meta))
    entries = {entry["name"]: entry for entry in json.loads(text)}
    assert len(entries) == len(json.loads(text))
    assert entries["go-live/sale.p99"]["unit"] == "ms"
    assert entries["go-live/sale.refused"] == {
        "name": "go-live/sale.refused",
        "unit": "%",
        "value": 0.21,
        "range": "",
    }
    assert entries["go-live/sale.p99"]["range"] == ""  # by second there are only other tills' latencies
    assert re.fullmatch(r"[\d.,]+\u2013[\d.,]+", entries["go-live/receipts_per_s"]["range"])
    path = record.evidence / "throughput.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))
    half = json.loads(benchmark_json(verdict_of(record), view_of(Evidence(record.evidence), record.meta)))[-1]
    assert half["name"] == "go-live/receipts_per_s"
    assert half["value"] == pytest.approx(entries["go-live/receipts_per_s"]["value"] / 2, rel=0.1)


def test_writing_a_report_leaves_every_file_and_no_part(tmp_path: Path) -> None:
    """All files are there, findings hold every row, and an earlier judgement's findings are gone."""
    record = sample(tmp_path, "no-go")
    (tmp_path / "findings").mkdir()
    (tmp_path / "findings/old.csv").write_text("x\n")
    assert write_report(record) == tmp_path / "report.html"
    written = "report.html verdict.json junit.xml summary.md metrics.txt benchmark.json findings evidence"
    assert {path.name for path in tmp_path.iterdir()} == set(written.split())
    assert not list(tmp_path.rglob("*.part"))
    assert not (tmp_path / "findings/old.csv").exists()
    with (tmp_path / "findings/receipts.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 41


def test_findings_start_no_formula_in_a_spreadsheet() -> None:
    """A cell that begins like a formula is quoted; a negative number stays a number."""
    rows = ({"a": "=1+1", "b": "-5", "c": "@x", "d": "-2+3", "e": "-1.50"},)
    check = CheckResult(name="x", verdict=Verdict.INVALID, detail="", evidence=rows)
    assert findings_csv(check).splitlines()[1] == "'=1+1,-5,'@x,'-2+3,-1.50"


def test_the_hostile_text_is_hostile() -> None:
    """The sample keeps what the tests above rely on."""
    assert {"<", '"', "|", "`", "\u202e", "\x00", "]]>"} <= {part for part in HOSTILE if part} | {"]]>"}


def test_a_failover_is_told_in_the_order_in_which_it_went_and_how_it_was_measured(tmp_path: Path) -> None:
    """Each figure has a unit, and stands by itself: none says "from there" or "of them"."""
    record = sample(tmp_path, "go")
    told = {
        "failover.refused": 0.0, "failover.recovery.all": 4783.0, "failover.detect": 880.0,
        "failover.sales": 32.0, "failover.promote": 229.0, "failover.p99_ratio": 0.644,
        "failover.recovery": 1354.0,
    }  # fmt: skip
    record = replace(record, judgement=replace(record.judgement, figures={**record.judgement.figures, **told}))
    text = page_of(record)
    section = text[text.index('<h2 id="failover">') : text.index('<h2 id="faults">')]
    rows = re.findall(r"<tr><th.*?>(.*?)</th><td.*?>(.*?)</td><td.*?>(.*?)</td><td><code>(.*?)</code>", section)
    assert [name for _, _, _, name in rows] == [
        "failover.detect", "failover.promote", "failover.recovery", "failover.recovery.all", "\N{EN DASH}",
        "failover.refused", "failover.p99_ratio",
    ]  # fmt: skip
    assert [value for _, value, _, _ in rows] == [
        "880 ms",
        "229 ms",
        "1,354 ms",
        "4,783 ms",
        "32",
        "0 %",
        "0.644 \N{MULTIPLICATION SIGN}",
    ]
    assert all(len(how) > 20 for _, _, how, _ in rows)


def test_amounts_in_a_checks_words_are_money(tmp_path: Path) -> None:
    """The checkers say minor units, whose places the page knows."""
    assert plainly("T01: 16 receipts, 72014 minor units; -5 minor units", "EUR") == (
        "T01: 16 receipts, 720.14 EUR; \N{MINUS SIGN}0.05 EUR"
    )
    record = sample(tmp_path, "go")
    stage = replace(record.meta.stages[0], detail="16 receipts, 72014 minor units on both")
    text = page_of(replace(record, meta=replace(record.meta, stages=(stage,))))
    assert "16 receipts, 720.14 EUR on both" in text


def stage_cases(record: RunRecord) -> list[tuple[str | None, list[str]]]:
    """Return junit.xml's cases of stages, each with its problems."""
    root = Xml.fromstring(junit_xml(verdict_of(record)))  # noqa: S314 - our own output
    cases = [case for case in root.iter("testcase") if str(case.get("classname")).endswith(".stages")]
    return [(case.get("name"), [problem.tag for problem in case]) for case in cases]


def test_a_stage_that_was_not_seen_to_its_end_is_shown_as_such(tmp_path: Path) -> None:
    """One with nothing to pass is not: on the page, for CI and in a comparison."""
    record = sample(tmp_path, "go")
    idle = replace(record.meta.stages[0], passed=None)
    cut = replace(idle, asked=("masters",))
    run, other = (replace(record, meta=replace(record.meta, stages=(stage,))) for stage in (cut, idle))
    assert "? not seen to its end" in page_of(run)
    assert "not seen to its end" not in page_of(other)
    assert stage_cases(run) == [("parity", ["error"])]
    assert stage_cases(other) == []
    (row,) = [row for part in difference(verdict_of(other), verdict_of(run)).sections for row in part.changes]
    assert (row.a, row.b) == ("nothing to pass", "not seen to its end")


def test_a_threshold_is_told_in_words(tmp_path: Path) -> None:
    """Beside the rule as it was written stands what it is about."""
    record = sample(tmp_path, "go")
    rule = ThresholdResult(rule="sale.p99 <= 250ms", measured="120 ms", passed=True)
    text = page_of(replace(record, judgement=replace(record.judgement, thresholds=(rule,))))
    assert '<td class="wide">Sale: 99 of 100 within</td><td>120 ms</td>' in text
