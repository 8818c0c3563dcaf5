"""The chart of the arms: a panel per budget, in it a row per method, and the random control as a band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from checker.judge.figures.form import ArmRow, RandomRow
from checker.reports.charts.distances import NARROW, WIDE
from checker.reports.charts.svg import (
    LETTER,
    Scale,
    drawing,
    growth_label,
    line,
    mark,
    rectangle,
    shorten,
    strokes,
    style,
    text,
    whisker,
)
from checker.reports.tables import numbers
from checker.reports.tables.arms import every_arm
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
        return [_cost(arm) for arm in self.arms]

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


def arms(found: Comparison) -> Figure | None:
    """Every method's cost with its interval, by budget; None where no arm was measured."""
    if not any(arm["increase_percent"] is not None for arm in found.arms):
        return None
    panels = _panels(found)
    sentence = _sentence(found)
    wide, narrow = (_draw(panels, width, sentence) for width in (WIDE, NARROW))
    return Figure("arms", sentence, wide, narrow, every_arm(found), _key(panels))


def _panels(found: Comparison) -> list[Panel]:
    controls = {control["budget"]: control for control in found.random}
    rows: dict[int, list[Line]] = {}
    for arms, random in ((found.chosen, False), (found.drawn, True)):
        for (budget, method), group in groups(arms).items():
            measured = [arm for arm in group if arm["increase_percent"] is not None]
            rows.setdefault(budget, []).append(Line(method, measured, random))
    return [Panel(budget, tuple(group), controls.get(budget)) for budget, group in sorted(rows.items())]


def _sentence(found: Comparison) -> str:
    cheapest = []
    for budget in sorted({arm["budget"] for arm in found.chosen}):
        measured = [arm for arm in found.chosen if arm["budget"] == budget and arm["increase_percent"] is not None]
        if measured:
            best = min(measured, key=_cost)
            cheapest.append(f"{budget} removed: {best['method']} ({numbers.percent(best['increase_percent'])})")
    said = f"Cheapest measured arm at each budget, by its value: {'; '.join(cheapest)}." if cheapest else ""
    middles = [
        f"at {control['budget']} removed, the middle half of {control['draws']} random draws costs "
        f"{numbers.percent(control['quartiles'][0])} to {numbers.percent(control['quartiles'][2])}"
        for control in found.random
    ]
    drawn = f"For comparison, {'; '.join(middles)}." if 0 < len(middles) < 3 else ""  # more stand in a table of theirs
    return " ".join(part for part in (said, drawn) if part)


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
    return " ".join(said for said, shown in occurs.items() if shown)


def _scale(panel: Panel, start: float, end: float) -> Scale:
    """Wide enough for most arms and the control's median; what is catastrophic beside them lands on the edge."""
    costs = sorted(cost for row in panel.methods for cost in row.costs)
    costs = costs or sorted(cost for row in panel.rows for cost in row.costs) or [0.0]
    usual = max(10.0, costs[3 * (len(costs) - 1) // 4])
    limit = 100 * math.expm1(_REACH * math.log1p(usual / 100))
    quartiles = panel.control["quartiles"] if panel.control else []
    most = max(1.0, min(costs[-1], limit), *(min(quartile, limit) for quartile in quartiles), *quartiles[1:2])
    shown = [end for row in panel.methods for end in row.ends if max(row.costs) <= most]
    high = max(most, *(min(end, 3 * most + 20) for end in shown), most)
    return Scale(max(-90.0, min(0.0, *costs, *shown)), high * 1.06, start, end, "growth")


def _draw(panels: Sequence[Panel], width: float, label: str) -> Markup:
    names = [row.method for panel in panels for row in panel.rows]
    room = 118.0 if width >= WIDE else 0.0  # the headings stand clear of the zero line where there is room
    left = max(room, min(132.0, 16 + LETTER * max(map(len, names))))
    parts, y = [], 0.0
    for panel in panels:
        parts += _panel(panel, _scale(panel, left + 14, width - 18), y, left)
        y += panel.height
    title = text((left + width) / 2, y + 12, "perplexity increase, logarithmic", "title", "middle")
    return drawing(width, y + 20, label, *parts, title)


def _panel(panel: Panel, x: Scale, top: float, left: float) -> list[Markup]:
    plural = "block" if panel.budget == 1 else "blocks"
    first = top + _HEADING
    bottom = first + _ROW * len(panel.rows)
    ticks = x.ticks(44)
    parts = [strokes([((x(tick), first - 4), (x(tick), bottom)) for tick in ticks if tick], "grid")]
    if panel.control is not None:
        parts += _band(panel.control, x, first - 4, bottom - first + 8)
    parts.append(strokes([((x(0), first - 4), (x(0), bottom))], "baseline"))
    if panel.best is not None:
        parts.append(line((x(panel.best), first - 4), (x(panel.best), bottom), "threshold"))
    parts += [text(x(tick), bottom + 15, growth_label(tick), "tick", "middle") for tick in ticks]
    parts.append(text(0, top + 18, f"{panel.budget} {plural} removed", "heading halo"))
    for place, row in enumerate(panel.rows):
        y = first + _ROW * (place + 0.5)
        parts.append(text(left, y + 4, shorten(row.method, left), "", "end"))
        parts += _random(row, x, y) if row.random else _method(row, x, y)
    return parts


def _band(control: RandomRow, x: Scale, top: float, height: float) -> list[Markup]:
    first, middle, third = (x(quartile) for quartile in control["quartiles"])
    words = "random, middle half"
    room = LETTER * len(words)
    anchor, at = ("end", third) if third - x.start > room else ("start", first)
    return [
        rectangle(first, top, third - first, height, "control"),
        line((middle, top), (middle, top + height), "median"),
        text(at, top - 5, words, "note halo", anchor),
    ]


def _random(row: Line, x: Scale, y: float) -> list[Markup]:
    if not row.costs:
        return _nothing(x, y)
    inside = [cost for cost in row.costs if not x.beyond(cost)]
    parts = [strokes([((x(cost), y - 6), (x(cost), y + 6)) for cost in inside], "draws")] if inside else []
    beyond = len(row.costs) - len(inside)
    return parts + ([mark("arrow", (x.end, y), "s0", f"{beyond} draws cost more")] if beyond else [])


def _method(row: Line, x: Scale, y: float) -> list[Markup]:
    """The marks of a method's cheapest and dearest resolution, joined by a bar, with the outermost interval ends."""
    if not row.costs:
        return _nothing(x, y)
    shape, class_ = style(row.method)
    parts = []
    if row.ends and not x.beyond(min(row.costs)):
        parts.append(whisker((x(min(row.ends)), y), (x(max(row.ends)), y), class_))
    least, most = min(row.costs), max(row.costs)
    if most > least:
        parts.append(rectangle(x(least), y - 4, x(most) - x(least), 8, f"span {class_}"))
    if x.beyond(most):
        anchor_at = (x.end - 8, y + 4) if x.beyond(least) else (x.end - 8, y - 6)
        parts.append(text(*anchor_at, numbers.percent(most), "note halo", "end"))
    cheapest, dearest = (pick(row.arms, key=_cost) for pick in (min, max))
    for arm in [cheapest, dearest] if most > least else [cheapest]:
        hover = f"{row.method}, layers {numbers.layers(arm['layers'])}: {numbers.percent(arm['increase_percent'])}"
        at = (x(_cost(arm)), y)
        parts.append(mark("arrow" if x.beyond(_cost(arm)) else shape, at, class_, hover))
    return parts


def _cost(arm: ArmRow) -> float:
    """Of an arm that was measured."""
    return arm["increase_percent"] or 0.0


def _nothing(x: Scale, y: float) -> list[Markup]:
    return [text(x.start, y + 4, numbers.NOT_MEASURED, "note")]
