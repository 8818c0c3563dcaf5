"""The charts over training: the two distances and their ratio against steps, and block scores, steps by depth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import log

from markupsafe import Markup

from checker.core.records import PROTOCOLS
from checker.judge.figures.form import SeriesRow, StepRow
from checker.reports.charts import svg
from checker.reports.tables import numbers
from checker.reports.tables.table import Figure, Table

_LEFT, _RIGHT = 62.0, 18.0
_ZERO = 0.12  # of the axis: where steps above 0 begin, beside step 0, which has no logarithm
_SHADES = 8
_ROW = 18.0


class _Steps:
    """Places of steps along an axis: logarithmic, with step 0 at its start."""

    def __init__(self, numbers_of: Sequence[int], start: float, end: float) -> None:
        self.positive = [number for number in numbers_of if number > 0]
        self.start, self.end = start, end
        self.first = start + _ZERO * (end - start) if 0 in numbers_of else start

    def __call__(self, number: int) -> float:
        if number == 0:
            return self.start
        low, high = log(self.positive[0]), log(self.positive[-1])
        share = (log(number) - low) / (high - low) if high > low else 1.0
        return self.first + share * (self.end - self.first)


def distances(number: int, row: SeriesRow, table: Table) -> Figure | None:
    """Both distances and the gap against steps; None with fewer than two measured steps."""
    steps = [step for step in row["steps"] if step["gap"] is not None]
    if len(steps) < 2:
        return None
    first, last = (step["gap"]["value"] for step in (steps[0], steps[-1]) if step["gap"])
    ratios = [numbers.ratio(step["kl_ratio"]["value"]) for step in (steps[0], steps[-1]) if step["kl_ratio"]]
    sentence = f"The gap goes from {numbers.distance(first)} to {numbers.distance(last)} nats"
    sentence += (
        f", the ratio of interchange to replacement from {ratios[0]} to {ratios[1]}." if len(ratios) == 2 else "."
    )
    return svg.figure(f"training-{number}", sentence, partial(_distances, steps), table)


def scores(number: int, row: SeriesRow, method: str, table: Table) -> Figure | None:
    """A method's block scores, steps by depth, in shades; None with fewer than two measured steps."""
    lines = [(step["step"], _scores(step, method)) for step in row["steps"]]
    known = [(step, values) for step, values in lines if any(value is not None for value in values)]
    if len(known) < 2:
        return None
    order = "from the first step at the top to the last"
    sentence = f"Block scores by {method}, {order}; the stronger the shade, the higher the score."
    return svg.figure(f"scores-{number}-{method}", sentence, partial(_heat, known), table)


def _scores(step: StepRow, method: str) -> Sequence[float | None]:
    return next((each["values"] for each in step["scores"] if each["method"] == method), ())


def _distances(steps: Sequence[StepRow], width: float, label: str) -> Markup:
    height, top, bottom = 330.0, 44.0, 282.0
    x = _Steps([step["step"] for step in steps], _LEFT, width - _RIGHT)
    values = [figure["value"] for step in steps for name in PROTOCOLS if (figure := step[name])]
    y = svg.log_scale(values, bottom, top)
    parts = [svg.line((_LEFT - 8, bottom), (width - _RIGHT + 8, bottom), "axis")]
    parts.append(svg.value_axis(y, x.start, x.end))
    parts += _axis(steps, x, bottom)
    parts += [svg.curve(name, [(x(step["step"]), step[name]) for step in steps], y) for name in PROTOCOLS]
    parts.append(svg.legend(_LEFT, 12))
    parts.append(svg.text(_LEFT, 34, "nats, logarithmic", "title"))
    parts.append(svg.text((_LEFT + width - _RIGHT) / 2, bottom + 38, "step, logarithmic beyond 0", "title", "middle"))
    return svg.drawing(width, height, label, *parts)


def _axis(steps: Sequence[StepRow], x: _Steps, bottom: float) -> list[Markup]:
    """Numbers of steps under the chart, as far as there is room for them."""
    parts, taken = [], -1e9
    for step in steps:
        words, at = numbers.count(step["step"]), x(step["step"])
        parts.append(svg.line((at, bottom), (at, bottom + 4), "axis"))
        if at - taken > svg.LETTER * (len(words) + 2):
            parts.append(svg.text(at, bottom + 17, words, "tick", "end" if step is steps[-1] else "middle"))
            taken = at
    return parts


def _heat(lines: Sequence[tuple[int, Sequence[float | None]]], width: float, label: str) -> Markup:
    blocks, left, top = len(lines[0][1]), 80.0, 34.0
    cell = min(28.0, (width - left - 8) / blocks)
    known = sorted(value for _, values in lines for value in values if value is not None)
    edges = [known[len(known) * place // _SHADES] for place in range(1, _SHADES)]  # as many cells in each shade
    paths = []
    for shade in range(_SHADES):
        squares = [
            f"M{svg.number(left + column * cell)} {svg.number(top + row * _ROW)}h{svg.number(cell)}v{svg.number(_ROW)}"
            f"h-{svg.number(cell)}z"
            for row, (_, values) in enumerate(lines)
            for column, value in enumerate(values)
            if value is not None and sum(value >= edge for edge in edges) == shade
        ]
        paths.append(svg.outlines(squares, f"heat h{shade}"))
    steps = [
        svg.text(left - 7, top + (row + 0.75) * _ROW, numbers.count(step), "tick", "end")
        for row, (step, _) in enumerate(lines)
    ]
    scale = svg.Scale(0, blocks - 1, left + 0.5 * cell, left + (blocks - 0.5) * cell)
    ticks = [svg.text(scale(value), top - 6, str(int(value)), "tick", "middle") for value in scale.ticks(24)]
    title = svg.text(left, 12, "block", "title")
    return svg.drawing(width, top + _ROW * len(lines) + 10, label, *paths, *steps, *ticks, title)
