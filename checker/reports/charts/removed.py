"""The map of what each method removes: a row per method, a column per block, a panel per budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from markupsafe import Markup

from checker.core.words import counted
from checker.judge.figures.form import ArmRow
from checker.reports.charts import svg
from checker.reports.tables import numbers
from checker.reports.tables.arms import merges
from checker.reports.tables.comparison import Comparison, groups
from checker.reports.tables.table import Cell, Field, Figure, Table, table

_HEADING, _ROW, _AXIS, _GAP = 26.0, 15.0, 20.0, 14.0
_LONGEST_CELL = 18.0


@dataclass(frozen=True)
class Line:
    """What one method removes at one budget, over its resolutions."""

    budget: int
    method: str
    resolutions: Sequence[ArmRow]

    @property
    def always(self) -> list[int]:
        """Blocks that every resolution removes."""
        return sorted(set.intersection(*(set(arm["layers"]) for arm in self.resolutions)))

    @property
    def sometimes(self) -> list[int]:
        """Blocks that some resolutions remove, and others keep."""
        return sorted({layer for arm in self.resolutions for layer in arm["layers"]} - set(self.always))

    @property
    def merged_into(self) -> list[int]:
        """Blocks that run merged weights."""
        return sorted({int(place.rpartition("@")[2]) for arm in self.resolutions for place in merges(arm)})


def removed(comparison: Comparison, blocks: int) -> Figure | None:
    """Which blocks each method removes at each budget; None where no method chose any."""
    rows = [Line(budget, method, group) for (budget, method), group in groups(comparison.chosen).items()]
    if not rows:
        return None
    return svg.figure("removed", _sentence(rows), partial(_draw, rows, blocks), _table(rows), _key(rows))


def _panels(rows: Sequence[Line]) -> dict[int, list[Line]]:
    return {budget: list(group) for budget, group in groupby(rows, key=lambda row: row.budget)}


def _sentence(rows: Sequence[Line]) -> str:
    parts = []
    for budget, group in _panels(rows).items():
        removals = Counter(block for row in group for block in row.always)
        if removals:
            block, times = min(removals.items(), key=lambda item: (-item[1], item[0]))
            parts.append(f"at {budget} removed, block {block} ({times} of {len(group)} methods)")
    if not parts:
        return "No block is removed by any method whichever way its ties are broken."
    return f"The block that most methods remove: {'; '.join(parts)}."


def _key(rows: Sequence[Line]) -> str:
    sentences = ["A full cell is a block that the method removes."]
    if any(row.sometimes for row in rows):
        sentences.append("A half cell is removed in some resolutions of the ties only.")
    if any(row.merged_into for row in rows):
        sentences.append("A dot marks a block that stays and takes merged weights.")
    return " ".join(sentences)


def _table(rows: Sequence[Line]) -> Table:
    fields: list[Field[Line]] = [
        Field("Removed", lambda row: Cell(str(row.budget))),
        Field("Method", lambda row: Cell(row.method)),
        Field("Removed in every resolution", lambda row: Cell(numbers.layers(row.always))),
        Field("In some resolutions", lambda row: Cell(numbers.layers(row.sometimes))),
        Field("Resolutions", lambda row: Cell(numbers.ties(row.resolutions[0])), numeric=True),
    ]
    if any(row.merged_into for row in rows):
        fields.append(Field("Merged into", lambda row: Cell(numbers.layers(row.merged_into))))
    return table("removed", "Blocks that each method removes", fields, rows, by_budget=True)


def _draw(rows: Sequence[Line], blocks: int, width: float, label: str) -> Markup:
    left = min(132.0, 14 + svg.LETTER * max(len(row.method) for row in rows))
    cell = min(_LONGEST_CELL, (width - left - 10) / max(1, blocks))
    parts, y = [], 0.0
    for budget, group in _panels(rows).items():
        parts.append(svg.text(0, y + 14, f"{counted(budget, 'block')} removed", "heading"))
        parts += _panel(group, blocks, (left, y + _HEADING), cell)
        y += _HEADING + _ROW * len(group) + _AXIS + _GAP
    return svg.drawing(width, y, label, *parts)


def _panel(group: Sequence[Line], blocks: int, at: tuple[float, float], cell: float) -> list[Markup]:
    left, top = at
    height = _ROW * len(group)
    ticks = svg.Scale(0, max(1, blocks - 1), left + cell / 2, left + (max(2, blocks) - 0.5) * cell).ticks(24)
    lines = [
        ((left, top + _ROW * place), (left + cell * blocks, top + _ROW * place)) for place in range(len(group) + 1)
    ]
    lines += [((left + tick * cell, top), (left + tick * cell, top + height)) for tick in ticks]
    parts = [svg.rectangle(left, top, cell * blocks, height, "empty"), svg.strokes(lines, "rule")]
    for place, row in enumerate(group):
        parts.append(svg.text(left - 6, top + _ROW * (place + 0.76), svg.shorten(row.method, left - 6), "", "end"))
    full = [(place, block) for place, row in enumerate(group) for block in row.always]
    half = [(place, block) for place, row in enumerate(group) for block in row.sometimes]
    d = _cells(full, 0.1, 0.8) + _cells(half, 0.52, 0.38)
    if d:
        transform = f"translate({svg.number(left)} {svg.number(top)}) scale({cell:.4f} {_ROW:g})"
        parts.append(svg.element("path", d=d, class_="gone", transform=transform))
    parts.append(_dots(group, at, cell))
    parts += [
        svg.text(left + (tick + 0.5) * cell, top + height + 14, str(int(tick)), "tick", "middle") for tick in ticks
    ]
    return parts


def _cells(places: Iterable[tuple[int, int]], top: float, height: float) -> str:
    """Cells as one path, in units of a cell."""
    tall = f"{height:g}".lstrip("0")
    return "".join(f"M{block + 0.08:g} {place + top:g}h.84v{tall}h-.84z" for place, block in places)


def _dots(group: Sequence[Line], at: tuple[float, float], cell: float) -> Markup:
    centres = [
        (at[0] + (block + 0.5) * cell, at[1] + _ROW * (place + 0.5))
        for place, row in enumerate(group)
        for block in row.merged_into
    ]
    return svg.dots(centres, min(3.5, cell / 3))
