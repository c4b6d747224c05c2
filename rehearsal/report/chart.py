"""Charts as inline SVG, drawn by the server: nothing to load, nothing to run, and they print.

A plot's shapes live in an SVG that stretches with the page (strokes keep their width); its labels are
plain HTML placed by percentages, so that text is as large on a narrow screen as on a wide one. Every plot
carries a sentence for those who can't see it, and hover titles with its figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rehearsal.report.text import clock, number, visible

BUCKETS_MAX = 240
SHADE_MAX = 0.34
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
Points = tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A span of time shaded through a plot: seconds from the start; `kind` is fault or stage.

    `depth` says how many faults it stands for; more of them shade a little darker.
    """

    label: str
    from_s: float
    to_s: float
    kind: str = "fault"
    depth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line: (seconds from the start, value or None for a hole). `tone` picks its colour, 0 to 3."""

    name: str
    points: Points
    tone: int = 0
    area: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A horizontal line that a series should stay below (or above), with its rule as text."""

    label: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Maps values to per cent of height; `ticks` are the values worth a label."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    def up(self, value: float) -> float:
        """Return how far up `value` is, 0 to 100."""
        if self.log:
            value = max(value, self.low)
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)


def linear(top: float) -> Scale:
    """Return a scale from 0 to a round number at or above `top`, with two to five labels."""
    if top <= 0:
        return Scale(low=0, high=1, log=False, ticks=(0, 1))
    rough = top / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough)
    count = math.ceil(round(top / step, 6))
    return Scale(low=0, high=step * count, log=False, ticks=tuple(step * i for i in range(count + 1)))


def logarithmic(lowest: float, top: float) -> Scale:
    """Return a scale of whole decades that holds both values."""
    first = math.floor(math.log10(max(lowest, 0.001)))
    last = max(math.ceil(math.log10(max(top, 0.001))), first + 1)
    return Scale(low=10.0**first, high=10.0**last, log=True, ticks=tuple(10.0**p for p in range(first, last + 1)))


def time_ticks(duration_s: float) -> tuple[float, ...]:
    """Return at most seven round times within a duration."""
    step = next((s for s in _STEPS_S if duration_s / s <= 6), _STEPS_S[-1])
    return tuple(float(t) for t in range(0, int(duration_s) + 1, step))


def bucketed(points: Points, duration_s: float) -> Points:
    """Return at most BUCKETS_MAX points, each the highest value of its bucket; a hole stays a hole."""
    width = max(1, math.ceil(duration_s / BUCKETS_MAX))
    if width == 1:
        return points
    found: dict[int, float | None] = {}
    for at, value in points:
        slot = int(at // width)
        before = found.get(slot)
        found[slot] = value if before is None else max(before, value if value is not None else before)
    return tuple((float(slot * width), value) for slot, value in sorted(found.items()))


def plot(
    *,
    title: str,
    unit: str,
    series: Sequence[Series],
    duration_s: float,
    bands: Sequence[Band] = (),
    limits: Sequence[Limit] = (),
    log: bool = False,
) -> Markup:
    """Return a figure with all series over one time axis, fault and stage bands behind them."""
    drawn = [Series(name=s.name, points=bucketed(s.points, duration_s), tone=s.tone, area=s.area) for s in series]
    values = [v for s in drawn for _, v in s.points if v is not None]
    if not values:
        return Markup(
            '<figure class="chart"><figcaption>{}</figcaption><p class="quiet">No samples.</p></figure>'
        ).format(title)
    top = max(values + [limit.value for limit in limits])
    scale = logarithmic(min((v for v in values if v > 0), default=1), top) if log else linear(top)
    shapes = [*_bands(bands, duration_s), *_grid(scale), *_limits(limits, scale)]
    shapes += [_line(s, scale, duration_s) for s in drawn]
    shapes += _hits(drawn, unit, duration_s)
    legend = Markup("").join(
        Markup('<span class="key"><i class="tone{}"></i>{}</span>').format(s.tone, s.name) for s in drawn
    )
    legend += Markup("").join(
        Markup('<span class="key"><i class="limit"></i>{}</span>').format(visible(limit.label)) for limit in limits
    )
    return Markup(
        '<figure class="chart"><figcaption><b>{}</b> <span class="quiet">{}</span>{}</figcaption>'
        '<div class="frame"><div class="y" aria-hidden="true">{}</div>'
        '<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg></div>'
        "{}</figure>"
    ).format(
        title, unit, legend, _y_labels(scale), _sentence(title, unit, drawn), Markup("").join(shapes),
        time_axis(duration_s),
    )  # fmt: skip


def time_axis(duration_s: float) -> Markup:
    """Return the labels below a plot."""
    marks = Markup("").join(
        Markup('<span style="left:{}%">{}</span>').format(_share(t, duration_s), clock(t))
        for t in time_ticks(duration_s)
    )
    return Markup('<div class="x" aria-hidden="true">{}</div>').format(marks)


def strip(points: Points, *, duration_s: float, top: float, bands: Sequence[Band], label: str) -> Markup:
    """Return one till's row: a filled line without labels, on a scale that all rows share."""
    area = _line(Series(name="", points=bucketed(points, duration_s), area=True), linear_to(top), duration_s)
    return Markup(
        '<svg class="strip" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{}">'
        "{}{}</svg>"
    ).format(label, Markup("").join(_bands(bands, duration_s)), area)


def linear_to(top: float) -> Scale:
    """Return a scale from 0 to exactly `top`."""
    return Scale(low=0, high=max(top, 1), log=False, ticks=())


def _share(at_s: float, duration_s: float) -> float:
    return round(100 * min(max(at_s / duration_s, 0.0), 1.0), 2) if duration_s > 0 else 0.0


def _bands(bands: Sequence[Band], duration_s: float) -> list[Markup]:
    found = []
    for band in bands:
        left, right = _share(band.from_s, duration_s) * 10, _share(band.to_s, duration_s) * 10
        found.append(
            Markup(
                '<rect class="band-{}" x="{:.1f}" y="0" width="{:.1f}" height="100" fill-opacity="{:.2f}">'
                "<title>{}</title></rect>"
            ).format(band.kind, left, max(right - left, 0.3), _shade(band), visible(band.label))
        )
    return found


def _shade(band: Band) -> float:
    return 0.1 if band.kind == "stage" else min(0.12 + 0.05 * band.depth, SHADE_MAX)


def _grid(scale: Scale) -> list[Markup]:
    return [
        Markup('<path class="grid" d="M0 {y}H1000"/>').format(y=round(100 - scale.up(t), 2)) for t in scale.ticks
    ]


def _limits(limits: Sequence[Limit], scale: Scale) -> list[Markup]:
    return [
        Markup('<path class="limit" d="M0 {y}H1000"><title>{label}</title></path>').format(
            y=round(100 - scale.up(limit.value), 2), label=visible(limit.label)
        )
        for limit in limits
    ]


def _line(series: Series, scale: Scale, duration_s: float) -> Markup:
    """Return the path of a series; a hole ends one piece and the next value begins another."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, value in series.points:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((round(_share(at, duration_s) * 10, 1), round(100 - scale.up(value), 2)))
    path = ""
    for piece in filter(None, pieces):
        run = "L".join(f"{x:g} {y:g}" for x, y in piece)
        path += (
            f"M{piece[0][0]:g} 100L{run}L{piece[-1][0]:g} 100Z"
            if series.area
            else f"M{run}" + ("h0" if len(piece) == 1 else "")
        )
    return Markup('<path class="{} tone{}" d="{}"/>').format("area" if series.area else "line", series.tone, path)


def _hits(series: Sequence[Series], unit: str, duration_s: float) -> list[Markup]:
    """Return invisible columns whose titles tell the figures under the pointer."""
    by_time: dict[float, list[str]] = {}
    for one in series:
        for at, value in one.points:
            if value is not None:
                by_time.setdefault(at, []).append(f"{one.name} {number(value)} {unit}")
    times = sorted(by_time)
    found = []
    for index, at in enumerate(times):
        end = times[index + 1] if index + 1 < len(times) else at + 1
        left = _share(at, duration_s) * 10
        width = max(_share(end, duration_s) * 10 - left, 1.0)
        title = f"{clock(at)}  " + ", ".join(by_time[at])
        found.append(
            Markup(
                '<rect class="hit" x="{:.1f}" y="0" width="{:.1f}" height="100"><title>{}</title></rect>'
            ).format(left, width, title)
        )
    return found


def _y_labels(scale: Scale) -> Markup:
    return Markup("").join(
        Markup('<span style="bottom:{}%">{}</span>').format(scale.up(t), number(t)) for t in scale.ticks
    )


def _sentence(title: str, unit: str, series: Sequence[Series]) -> str:
    parts = []
    for one in series:
        values = [v for _, v in one.points if v is not None]
        if values:
            parts.append(f"{one.name} between {number(min(values))} and {number(max(values))} {unit}")
    return f"{title} over time: " + "; ".join(parts)
