"""The page of `tillproof diff`: two runs side by side, under the same rules as report.html."""

from __future__ import annotations

from rehearsal.model import Outcome
from rehearsal.report.diff import Difference
from rehearsal.report.html import environment

TONES = {Outcome.GO: "good", Outcome.NO_GO: "bad", Outcome.INCONCLUSIVE: "open"}


def diff_html(found: Difference) -> str:
    """Return the page's text."""
    template = environment().get_template("diff.html.j2")
    return template.render(found=found, runs=(("A", found.a), ("B", found.b)), tones=TONES)
