"""The chart of the arms: a panel per budget, in it a row per method, and the random control as a band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from checker.core.words import counted
from checker.judge.figures.form import ArmRow, RandomRow
from checker.reports.charts import svg
from checker.reports.tables import numbers
from checker.reports.tables.arms import cost, every_arm, measured_arms
from checker.reports.tables.comparison import Comparison, groups
from checker.reports.tables.table import Figure

_HEADING, _ROW, _AXIS, _GAP = 30.0, 22.0, 20.0, 16.0
# A method this many times dearer than most, in logarithms, stands at the panel's edge: a control that is meant to be
# catastrophic would press all others together.
_REACH = 2.5


@dataclass(frozen=True)
class Line:
    """One row of a panel: a method's resolutions that were measured, or the draws of the random control."""

    method: str
    arms: Sequence[ArmRow]
    random: bool

    @property
    def costs(self) -> list[float]:
        return [cost(arm) for arm in self.arms]

    @property
    def ends(self) -> list[float]:
        return [end for arm in self.arms for end in (arm["interval"] or ())]


@dataclass(frozen=True)
class Panel:
    """The rows of one budget and its random control, if it has one."""

    budget: int
    rows: tuple[Line, ...]
    control: RandomRow | None

    @property
    def methods(self) -> list[Line]:
        return [row for row in self.rows if row.costs and not row.random]

    @property
    def height(self) -> float:
        return _HEADING + _ROW * len(self.rows) + _AXIS + _GAP

    @property
    def best(self) -> float | None:
        """The cost of the best of all sets, which regret is measured from."""
        return next((min(row.costs) for row in self.methods if row.method == "exhaustive"), None)


def arms(comparison: Comparison) -> Figure | None:
    """Every method's cost with its interval, by budget; None where no arm was measured."""
    if not measured_arms(comparison.arms):
        return None
    panels = _panels(comparison)
    draw = partial(_draw, panels)
    return svg.figure("arms", _sentence(comparison), draw, every_arm(comparison), _key(panels))


def _panels(comparison: Comparison) -> list[Panel]:
    controls = {control["budget"]: control for control in comparison.random}
    rows: dict[int, list[Line]] = {}
    for arms, random in ((comparison.chosen, False), (comparison.drawn, True)):
        for (budget, method), group in groups(arms).items():
            rows.setdefault(budget, []).append(Line(method, measured_arms(group), random))
    return [Panel(budget, tuple(group), controls.get(budget)) for budget, group in sorted(rows.items())]


def _sentence(comparison: Comparison) -> str:
    by_cost = sorted(measured_arms(comparison.chosen), key=cost)
    best = {arm["budget"]: arm for arm in reversed(by_cost)}
    cheapest = [
        f"{budget} removed: {arm['method']} ({numbers.percent(arm['increase_percent'])})"
        for budget, arm in sorted(best.items())
    ]
    lead = f"Cheapest measured arm at each budget, by its value: {'; '.join(cheapest)}." if cheapest else ""
    middles = [
        f"at {control['budget']} removed, the middle half of {control['draws']} random draws costs "
        f"{numbers.percent(control['quartiles'][0])} to {numbers.percent(control['quartiles'][2])}"
        for control in comparison.random
    ]
    drawn = f"For comparison, {'; '.join(middles)}." if 0 < len(middles) < 3 else ""  # more stand in a table of theirs
    return " ".join(part for part in (lead, drawn) if part)


def _key(panels: Sequence[Panel]) -> str:
    """How the marks are read, as far as they occur."""
    scales = [_scale(panel, 0, 1) for panel in panels]
    occurs = {
        "Each budget has a scale of its own.": len(panels) > 1,
        "Whiskers are intervals.": any(row.ends for panel in panels for row in panel.methods),
        "A bar spans the resolutions of an arm's ties, its whisker the outermost ends of their intervals.": any(
            len(row.costs) > 1 for panel in panels for row in panel.methods
        ),
        "The dotted line is the best of all sets, by the selection text: regret is the distance to it.": any(
            panel.best is not None for panel in panels
        ),
        "An arrow stands for a cost beyond the panel's scale.": any(
            scale.beyond(max(row.costs))
            for panel, scale in zip(panels, scales, strict=True)
            for row in panel.rows
            if row.costs
        ),
    }
    return " ".join(sentence for sentence, applies in occurs.items() if applies)


def _scale(panel: Panel, start: float, end: float) -> svg.Scale:
    """Wide enough for most arms and the control's median; what is catastrophic beside them lands on the edge."""
    costs = sorted(value for row in panel.methods for value in row.costs)
    costs = costs or sorted(value for row in panel.rows for value in row.costs) or [0.0]
    usual = max(10.0, costs[3 * (len(costs) - 1) // 4])
    limit = 100 * math.expm1(_REACH * math.log1p(usual / 100))
    quartiles = panel.control["quartiles"] if panel.control else []
    most = max(1.0, min(costs[-1], limit), *(min(quartile, limit) for quartile in quartiles), *quartiles[1:2])
    ends = [end for row in panel.methods for end in row.ends if max(row.costs) <= most]
    high = max(most, *(min(end, 3 * most + 20) for end in ends), most)
    return svg.Scale(max(-90.0, min(0.0, *costs, *ends)), high * 1.06, start, end, "growth")


def _draw(panels: Sequence[Panel], width: float, label: str) -> Markup:
    names = [row.method for panel in panels for row in panel.rows]
    room = 118.0 if width >= svg.WIDE else 0.0  # the headings stand clear of the zero line where there is room
    left = max(room, min(132.0, 16 + svg.LETTER * max(map(len, names))))
    parts, y = [], 0.0
    for panel in panels:
        parts += _panel(panel, _scale(panel, left + 14, width - 18), y, left)
        y += panel.height
    title = svg.text((left + width) / 2, y + 12, "perplexity increase, logarithmic", "title", "middle")
    return svg.drawing(width, y + 20, label, *parts, title)


def _panel(panel: Panel, x: svg.Scale, top: float, left: float) -> list[Markup]:
    first = top + _HEADING
    bottom = first + _ROW * len(panel.rows)
    ticks = x.ticks(44)
    parts = [svg.strokes([((x(tick), first - 4), (x(tick), bottom)) for tick in ticks if tick], "grid")]
    if panel.control is not None:
        parts += _band(panel.control, x, first - 4, bottom - first + 8)
    parts.append(svg.strokes([((x(0), first - 4), (x(0), bottom))], "baseline"))
    if panel.best is not None:
        parts.append(svg.line((x(panel.best), first - 4), (x(panel.best), bottom), "threshold"))
    parts += [svg.text(x(tick), bottom + 15, svg.growth_label(tick), "tick", "middle") for tick in ticks]
    parts.append(svg.text(0, top + 18, f"{counted(panel.budget, 'block')} removed", "heading halo"))
    for place, row in enumerate(panel.rows):
        y = first + _ROW * (place + 0.5)
        parts.append(svg.text(left, y + 4, svg.shorten(row.method, left), "", "end"))
        parts += _random(row, x, y) if row.random else _method(row, x, y)
    return parts


def _band(control: RandomRow, x: svg.Scale, top: float, height: float) -> list[Markup]:
    first, middle, third = (x(quartile) for quartile in control["quartiles"])
    words = "random, middle half"
    room = svg.LETTER * len(words)
    anchor, at = ("end", third) if third - x.start > room else ("start", first)
    return [
        svg.rectangle(first, top, third - first, height, "control"),
        svg.line((middle, top), (middle, top + height), "median"),
        svg.text(at, top - 5, words, "note halo", anchor),
    ]


def _random(row: Line, x: svg.Scale, y: float) -> list[Markup]:
    if not row.costs:
        return _nothing(x, y)
    inside = [value for value in row.costs if not x.beyond(value)]
    parts = [svg.strokes([((x(value), y - 6), (x(value), y + 6)) for value in inside], "draws")] if inside else []
    beyond = len(row.costs) - len(inside)
    return parts + ([svg.mark("arrow", (x.end, y), "s0", f"{beyond} draws cost more")] if beyond else [])


def _method(row: Line, x: svg.Scale, y: float) -> list[Markup]:
    """The marks of a method's cheapest and dearest resolution, joined by a bar, with the outermost interval ends."""
    if not row.costs:
        return _nothing(x, y)
    shape, class_ = svg.style(row.method)
    parts = []
    if row.ends and not x.beyond(min(row.costs)):
        parts.append(svg.whisker((x(min(row.ends)), y), (x(max(row.ends)), y), class_))
    least, most = min(row.costs), max(row.costs)
    if most > least:
        parts.append(svg.rectangle(x(least), y - 4, x(most) - x(least), 8, f"span {class_}"))
    if x.beyond(most):
        anchor_at = (x.end - 8, y + 4) if x.beyond(least) else (x.end - 8, y - 6)
        parts.append(svg.text(*anchor_at, numbers.percent(most), "note halo", "end"))
    cheapest, dearest = (pick(row.arms, key=cost) for pick in (min, max))
    for arm in [cheapest, dearest] if most > least else [cheapest]:
        hover = f"{row.method}, layers {numbers.layers(arm['layers'])}: {numbers.percent(arm['increase_percent'])}"
        at = (x(cost(arm)), y)
        parts.append(svg.mark("arrow" if x.beyond(cost(arm)) else shape, at, class_, hover))
    return parts


def _nothing(x: svg.Scale, y: float) -> list[Markup]:
    return [svg.text(x.start, y + 4, numbers.NOT_MEASURED, "note")]
