"""The pair matrix: replacement below the diagonal, interchange above it, in steps of lightness."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count, pairwise

from markupsafe import Markup

from checker.core.records import PROTOCOLS
from checker.judge.figures.form import distance_of
from checker.judge.form import Report
from checker.reports.charts import svg
from checker.reports.tables import distances, numbers
from checker.reports.tables.table import Figure

_FACTORS = (2, 5, 10, 20, 50)


def matrix(report: Report) -> Figure | None:
    """Every measured pair; None where only neighbours were measured."""
    if all(pair["gap"] == 1 for pair in report["pairs"]):
        return None
    cells = distances.cells_of(report)
    if not cells:
        return None
    similar, conditional = report["thresholds"]["similar"], report["thresholds"]["conditional"]
    # Upper ends of the steps of lightness; the last step is open.
    edges = (similar, conditional, *(conditional * factor for factor in _FACTORS))
    draw = partial(_draw, cells, report["model"]["blocks"], edges)
    return svg.figure("matrix", _sentence(report), draw, distances.matrix(report))


def _sentence(report: Report) -> str:
    conditional = report["thresholds"]["conditional"]
    parts = []
    for protocol in PROTOCOLS:
        values = [distance["value"] for pair in report["pairs"] if (distance := distance_of(pair, protocol))]
        if values:
            below = sum(value < conditional for value in values)
            parts.append(f"{below} of {len(values)} pairs under {protocol}")
    return f"Below {numbers.declared(conditional)} nats lie {' and '.join(parts)}."


def _draw(cells: dict[tuple[int, int], float], blocks: int, edges: Sequence[float], width: float, label: str) -> Markup:
    left, top = 46.0, 40.0
    side = min(width - left - 8, 480.0)
    cell = side / blocks
    grid = svg.rectangle(left, top, side, side, "empty")
    steps = {at: sum(value >= edge for edge in edges) for at, value in cells.items()}
    paths = [_path(steps, place) for place in range(len(edges) + 1)]
    places = svg.element("g", *paths, transform=f"translate({svg.number(left)} {svg.number(top)}) scale({cell:.4f})")
    dots = _dots(cells, edges[1], cell, (left, top))
    diagonal = svg.line((left, top), (left + side, top + side), "axis")
    beside = width > left + side + 170
    key_at = (left + side + 28, top + 20) if beside else (left, top + side + 26)
    key = _key(edges, key_at)
    height = top + side + (20 if beside else 44 + 20 * (len(edges) + 2))
    words = svg.text(left, 12, "upper right interchange, lower left replacement", "title")
    return svg.drawing(
        width, height, label, grid, places, dots, diagonal, _numbers(blocks, cell, left, top), key, words
    )


def _path(steps: dict[tuple[int, int], int], place: int) -> Markup:
    """All cells of one step as one path, in cells; neighbours in a row are one rectangle, to keep the page small."""
    squares = []
    for row, column in sorted(at for at, taken in steps.items() if taken == place):
        if steps.get((row, column - 1)) == place:
            continue
        length = next(cells for cells in count(1) if steps.get((row, column + cells)) != place)
        squares.append(f"M{column} {row}h{length}v1h-{length}z")
    return svg.outlines(squares, f"heat h{place}")


def _dots(cells: dict[tuple[int, int], float], bound: float, cell: float, at: tuple[float, float]) -> Markup:
    """A dot in every cell below the bound, so that the smallest distances do not rest on shade alone."""
    radius = min(2.5, cell / 5)
    centres = sorted(place for place, value in cells.items() if value < bound)
    return svg.dots([(at[0] + (column + 0.5) * cell, at[1] + (row + 0.5) * cell) for row, column in centres], radius)


def _numbers(blocks: int, cell: float, left: float, top: float) -> Markup:
    scale = svg.Scale(0, blocks - 1, 0.5 * cell, (blocks - 0.5) * cell)
    parts = []
    for value in scale.ticks(24):
        parts.append(svg.text(left + scale(value), top - 7, str(int(value)), "tick", "middle"))
        parts.append(svg.text(left - 7, top + scale(value) + 4, str(int(value)), "tick", "end"))
    return Markup("").join(parts)


def _key(edges: Sequence[float], at: tuple[float, float]) -> Markup:
    names = [f"below {edges[0]:g} (similar)", f"{edges[0]:g} to {edges[1]:g} (conditional)"]
    names += [f"{low:g} to {high:g}" for low, high in pairwise(edges[1:])] + [f"{edges[-1]:g} and more"]
    parts = [svg.text(at[0], at[1] - 8, "nats", "title")]
    for place, words in enumerate(names):
        y = at[1] + 20 * place
        parts.append(svg.rectangle(at[0], y, 16, 14, f"key h{place}"))
        if place < 2:
            parts.append(svg.dots([(at[0] + 8, y + 7)], 2.5))
        parts.append(svg.text(at[0] + 24, y + 11, words))
    y = at[1] + 20 * len(names)
    parts += [svg.rectangle(at[0], y, 16, 14, "key empty"), svg.text(at[0] + 24, y + 11, numbers.NOT_MEASURED)]
    return Markup("").join(parts)
