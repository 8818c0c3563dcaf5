"""The chart of the arms: per budget and method a dot with its whisker, and the random control as a band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from . import numbers
from .charts import LETTER, Scale, drawing, line, mark, rectangle, style, text, whisker
from .costs import chosen, every_arm, groups
from .figures import NARROW, WIDE, growth_label, shorten
from .tables import Figure, Record

_HEADING, _ROW, _RESOLUTION, _GAP = 30.0, 24.0, 8.0, 14.0
_TOP = 24.0


@dataclass(frozen=True)
class Row:
    """One row of the chart: a method at a budget, or the draws of the random control."""

    method: str
    arms: Sequence[Record]

    @property
    def random(self) -> bool:
        return bool(self.arms) and bool(self.arms[0]["draw"])

    @property
    def height(self) -> float:
        return _ROW if self.random else _ROW + _RESOLUTION * (max(1, len(self.measured)) - 1)

    @property
    def measured(self) -> list[Record]:
        return [arm for arm in self.arms if arm["increase_percent"] is not None]


@dataclass(frozen=True)
class Group:
    """The rows of one budget and its random control, if it has one."""

    budget: int
    rows: tuple[Row, ...]
    control: Record | None

    @property
    def height(self) -> float:
        return _HEADING + sum(row.height for row in self.rows) + _GAP


def arms(report: Record) -> Figure | None:
    """Every arm with its interval, by budget; None where no arm was measured."""
    if not any(arm["increase_percent"] is not None for arm in report["arms"]):
        return None
    found = _groups(report)
    sentence = _sentence(report)
    table = every_arm(report)
    return Figure("arms", sentence, _draw(found, WIDE, sentence), _draw(found, NARROW, sentence), table)


def _groups(report: Record) -> list[Group]:
    controls = {control["budget"]: control for control in report["random"]}
    rows: dict[int, list[Row]] = {}
    for (budget, method), group in groups(report["arms"]).items():
        rows.setdefault(budget, []).append(Row(method, group))
    ordered = {budget: tuple(sorted(found, key=lambda row: row.random)) for budget, found in rows.items()}
    return [Group(budget, found, controls.get(budget)) for budget, found in sorted(ordered.items())]


def _sentence(report: Record) -> str:
    cheapest = []
    for budget in sorted({arm["budget"] for arm in chosen(report)}):
        measured = [arm for arm in chosen(report) if arm["budget"] == budget and arm["increase_percent"] is not None]
        if measured:
            best = min(measured, key=lambda arm: float(arm["increase_percent"]))
            cheapest.append(f"{budget} removed: {best['method']} ({numbers.percent(best['increase_percent'])})")
    said = f"Cheapest measured arm at each budget, by its value: {'; '.join(cheapest)}." if cheapest else ""
    middles = [
        f"at {control['budget']} removed, the middle half of {control['draws']} random draws costs "
        f"{numbers.percent(control['quartiles'][0])} to {numbers.percent(control['quartiles'][2])}"
        for control in report["random"]
    ]
    drawn = f"For comparison, {'; '.join(middles)}." if middles else ""
    return " ".join(part for part in (said, drawn) if part)


def _scale(found: Sequence[Group], start: float, end: float) -> Scale:
    """Wide enough for every chosen arm and the control's quartiles; catastrophic draws land on the edge."""
    measured = [arm for group in found for row in group.rows for arm in row.measured]
    kept = [float(arm["increase_percent"]) for arm in measured if not arm["draw"]]
    kept += [end for group in found if group.control for end in group.control["quartiles"]]
    kept = kept or [float(arm["increase_percent"]) for arm in measured]
    ends = [end for arm in measured if not arm["draw"] for end in (arm["interval"] or ())]
    most = max(1.0, *kept)
    high = max(most, *(min(end, 3 * most + 20) for end in ends), most)
    return Scale(max(-90.0, min(0.0, *kept, *ends)), high * 1.06, start, end, "growth")


def _draw(found: Sequence[Group], width: float, label: str) -> Markup:
    names = [row.method for group in found for row in group.rows]
    room = 118.0 if width >= WIDE else 0.0  # the headings stand clear of the zero line where there is room
    left = max(room, min(132.0, 16 + LETTER * max(map(len, names))))
    x = _scale(found, left + 14, width - 18)
    bottom = _TOP + sum(group.height for group in found)
    parts = _grid(x, bottom)
    y = _TOP
    for group in found:
        parts += _group(group, x, y, left)
        y += group.height
    title = text((x.start + x.end) / 2, bottom + 34, "perplexity increase, logarithmic", "title", "middle")
    return drawing(width, bottom + 42, label, *parts, title)


def _grid(x: Scale, bottom: float) -> list[Markup]:
    parts = []
    for value in x.ticks(44):
        parts.append(line((x(value), _TOP - 6), (x(value), bottom), "grid" if value else "baseline"))
        parts += [text(x(value), y, growth_label(value), "tick", "middle") for y in (_TOP - 11, bottom + 15)]
    return parts


def _group(group: Group, x: Scale, top: float, left: float) -> list[Markup]:
    plural = "block" if group.budget == 1 else "blocks"
    parts = []
    if group.control is not None:
        parts += _band(group.control, x, top + _HEADING - 4, group.height - _HEADING - _GAP + 8)
    parts.append(text(0, top + 18, f"{group.budget} {plural} removed", "heading halo"))
    y = top + _HEADING
    for row in group.rows:
        parts.append(text(left, y + row.height / 2 + 4, shorten(row.method, left), "", "end"))
        parts += _draws(row, x, y) if row.random else _resolutions(row, x, y)
        y += row.height
    return parts


def _band(control: Record, x: Scale, top: float, height: float) -> list[Markup]:
    first, middle, third = (x(quartile) for quartile in control["quartiles"])
    words = "random, middle half"
    room = LETTER * len(words)
    anchor, at = ("end", third) if third - x.start > room else ("start", first)
    return [
        rectangle(first, top, third - first, height, "control"),
        line((middle, top), (middle, top + height), "median"),
        text(at, top - 5, words, "note halo", anchor),
    ]


def _draws(row: Row, x: Scale, y: float) -> list[Markup]:
    parts = []
    for arm in row.measured:
        value = float(arm["increase_percent"])
        shape = "arrow" if x.beyond(value) else "tick"
        parts.append(
            mark(shape, (x(value), y + row.height / 2), "s0", f"draw {arm['tie'] + 1}: {numbers.percent(value)}")
        )
    return parts or _nothing(row, x, y)


def _resolutions(row: Row, x: Scale, y: float) -> list[Markup]:
    shape, class_ = style(row.method)
    parts = []
    for place, arm in enumerate(row.measured):
        value, middle = float(arm["increase_percent"]), y + _ROW / 2 + place * _RESOLUTION
        if arm["interval"] is not None:
            low, high = arm["interval"]
            parts.append(whisker((x(low), middle), (x(high), middle), class_))
        hover = f"{row.method}, layers {numbers.layers(arm['layers'])}: {numbers.percent(value)}"
        parts.append(mark("arrow" if x.beyond(value) else shape, (x(value), middle), class_, hover))
    return parts or _nothing(row, x, y)


def _nothing(row: Row, x: Scale, y: float) -> list[Markup]:
    return [text(x.start, y + row.height / 2 + 4, numbers.NOT_MEASURED, "note")]
