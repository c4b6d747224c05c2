"""The pipeline files: which service wants which file where, and what is filled in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A CI service: its template, and where it looks for the file."""

    template: str
    target: Path
    next_step: str


SERVICES = {
    "github": Service(
        template="github.yml", target=Path(".github/workflows/tillproof.yml"),
        next_step="commit it; GitHub shows the run's summary on the workflow's page",
    ),
    "gitlab": Service(
        template="gitlab.yml", target=Path(".gitlab-ci.yml"),
        next_step="commit it; a merge request shows junit.xml and the report",
    ),
    "jenkins": Service(
        template="Jenkinsfile", target=Path("Jenkinsfile"),
        next_step="commit it, and make a Multibranch Pipeline; its agents need git, make and Python 3.11",
    ),
}  # fmt: skip


def pipeline(service: str, *, scenario: str, on_inconclusive: str, branch: str) -> str:
    """Return a service's pipeline file. `on_inconclusive` is warn or fail."""
    text = (_TEMPLATES / SERVICES[service].template).read_text(encoding="utf-8")
    warn = on_inconclusive == "warn"
    for name, value in {
        "SCENARIO": scenario,
        "BRANCH": branch,
        "ON_INCONCLUSIVE": on_inconclusive,
        "ALLOW": "{ exit_codes: [20] }" if warn else "false",
        "INCONCLUSIVE_STEP": "unstable" if warn else "error",
    }.items():
        text = text.replace(f"@{name}@", value)
    return text
