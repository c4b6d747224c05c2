"""What a checker found, and the answer that follows from it.

Property kept: a contradiction convicts, a doubt withholds, and having checked nothing is never an
acquittal.
"""

from __future__ import annotations

from rehearsal.model import CheckResult, Verdict

_UNITS = {"_ms": "ms", "_s": "s", "_mib": "MiB"}
Value = str | int | float | None
Where = dict[str, Value]


def _row(verdict: Verdict, what: str, where: Where) -> dict[str, str]:
    return {"verdict": str(verdict), "what": what} | {
        name: "" if value is None else str(value) for name, value in where.items()
    }


class Findings:
    """Collects one checker's findings. `checked` counts what was really compared."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.checked = 0
        self.figures: dict[str, float] = {}
        self._convictions: list[dict[str, str]] = []
        self._doubts: list[dict[str, str]] = []
        self._unexplained: list[tuple[str, str, Where]] = []

    def convict(self, what: str, **where: Value) -> None:
        """Record a contradiction between witnesses, or of a rule."""
        self._convictions.append(_row(Verdict.INVALID, what, where))

    def doubt(self, what: str, **where: Value) -> None:
        """Record something that can't be judged."""
        self._doubts.append(_row(Verdict.UNKNOWN, what, where))

    def unexplained(self, what: str, *, cause: str, **where: Value) -> None:
        """Record an effect that nobody asked for: a lie, unless a lost line of history explains it.

        Effects with one `cause` would be explained by one line.
        """
        self._unexplained.append((cause, what, where))

    def differ(self, what: str, expected: object, found: object, **where: Value) -> bool:
        """Convict when two values differ; say whether they did."""
        self.checked += 1
        if expected == found:
            return False
        self.convict(what, expected=str(expected), found=str(found), **where)
        return True

    @property
    def clean(self) -> bool:
        """Whether nothing was found so far."""
        return not (self._convictions or self._doubts or self._unexplained)

    def result(self, acquittal: str, *, missing_lines: int | None = 0) -> CheckResult:
        """Return the answer. `missing_lines` of history may explain as many causes (None: any number)."""
        causes = {cause for cause, _, _ in self._unexplained}
        lost = missing_lines is None or len(causes) <= missing_lines
        for _, what, where in self._unexplained:
            if lost:
                self.doubt(f"{what} (or its line of history is lost)", **where)
            else:
                self.convict(what, **where)
        if self._convictions:
            verdict, detail = Verdict.INVALID, _summary(self._convictions)
        elif self._doubts:
            verdict, detail = Verdict.UNKNOWN, _summary(self._doubts)
        elif not self.checked:
            verdict, detail = Verdict.UNKNOWN, "nothing to check"
        else:
            verdict, detail = Verdict.VALID, acquittal
        return CheckResult(
            name=self.name,
            verdict=verdict,
            detail=detail,
            evidence=(*self._convictions, *self._doubts),
            figures=self.figures,
        )


def _summary(rows: list[dict[str, str]]) -> str:
    first = dict(rows[0])
    first.pop("verdict")
    text = first.pop("what")
    where = ", ".join(_said(name, value) for name, value in first.items() if value)
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    return f"{text}: {where}{more}" if where else f"{text}{more}"


def _said(name: str, value: str) -> str:
    """Return a column and its value as people say it: took_s 60.5 is "took 60.5 s"."""
    for suffix, unit in _UNITS.items():
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix).replace('_', ' ')} {value} {unit}"
    return f"{name.replace('_', ' ')} {value}"
