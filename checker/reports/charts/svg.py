"""Parts of charts, as SVG: scales with their ticks, marks, lines and bands. Numbers in, markup out.

Colours, dashes and fonts are classes, so that the page's style sheet decides them for light, dark and print.
Lengths are in CSS pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal, TypeVar

from markupsafe import Markup, escape

from checker.core.records import PROTOCOLS
from checker.judge.figures.form import ValueRow
from checker.reports.tables.table import Figure, Table

Kind = Literal["linear", "log", "growth"]
Point = tuple[float, float]
T = TypeVar("T")

WIDE, NARROW = 760.0, 340.0  # every chart is drawn for a page and for a telephone
LETTER = 6.4  # mean width of a letter at the charts' font size of 12
_GROWTH_TICKS = (0, 100, 1000, 10, 50, 10_000, 20, 200, 500, 5, 2, 1, -10, -50, -20, -5, -2, -1, 2000, 5000, 100_000)
_SHAPES = ("circle", "diamond", "triangle", "square")
_KNOWN = ("replacement", "interchange", "deletion")


@dataclass(frozen=True)
class Scale:
    """Maps values from ``low`` .. ``high`` to pixels from ``start`` .. ``end``; what lies outside lands on the edge.

    ``log`` needs positive ends. ``growth`` takes percent and is linear in the logarithm of the perplexity.
    """

    low: float
    high: float
    start: float
    end: float
    kind: Kind = "linear"

    def __call__(self, value: float) -> float:
        low, high = self._bend(self.low), self._bend(self.high)
        share = (self._bend(min(max(value, self.low), self.high)) - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, apart: float) -> list[float]:
        """Round values inside the scale, at least ``apart`` pixels from each other, rounder ones first.

        A linear scale counts something: its ticks are whole, and the same step apart.
        """
        if self.kind == "linear":
            return self._whole(apart)
        taken: list[float] = []
        for value in self._candidates():
            if self.low <= value <= self.high and all(abs(self(value) - self(tick)) >= apart for tick in taken):
                taken.append(value)
        return sorted(taken)

    def beyond(self, value: float) -> bool:
        return value > self.high * (1 + 1e-9)

    def _bend(self, value: float) -> float:
        if self.kind == "log":
            return math.log(value)
        return math.log1p(max(value, -99.9) / 100) if self.kind == "growth" else value

    def _candidates(self) -> Iterable[float]:
        if self.kind == "growth":
            return _GROWTH_TICKS
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        return [digit * 10.0**power for digit in (1, 5, 2, 3) for power in decades]

    def _whole(self, apart: float) -> list[float]:
        whole = range(math.ceil(self.low), math.floor(self.high) + 1)
        length = abs(self.end - self.start) / max(self.high - self.low, 1)
        step = next((step for step in (1, 2, 5, 10, 20, 50, 100) if step * length >= apart), 200)
        return [float(value) for value in whole if value % step == 0]


def log_scale(values: Sequence[float], start: float, end: float) -> Scale:
    """A logarithmic scale around the positive ones of ``values``, over four decades at most."""
    positive = [value for value in values if value > 0] or [0.01, 1.0]
    high = max(positive) * 1.15
    return Scale(max(min(positive) / 1.15, high / 1e4), high, start, end, "log")


def element(name: str, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """One element; text and attributes are escaped, ``class_`` means ``class``, ``stroke_width`` ``stroke-width``."""
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    opening = Markup(f"<{name}{''.join(parts)}")
    inner = Markup("").join(children)
    return opening + (Markup(">") + inner + Markup(f"</{name}>") if children else Markup("/>"))


def _value(value: str | float) -> str:
    return number(value) if isinstance(value, int | float) else str(escape(value))


def number(value: float) -> str:
    """A length in at most one decimal, as short as it can be written."""
    written = f"{value:.1f}".removesuffix(".0")
    return "0" if written == "-0" else written


def figure(name: str, sentence: str, draw: Callable[[float, str], Markup], table: Table, key: str = "") -> Figure:
    """A chart in both widths, under its sentence; ``draw`` takes a width and the sentence."""
    return Figure(name, sentence, draw(WIDE, sentence), draw(NARROW, sentence), table, key)


def drawing(width: float, height: float, label: str, *children: Markup) -> Markup:
    """The chart itself; ``label`` is what a screen reader says of it."""
    return element(
        "svg",
        *children,
        role="img",
        aria_label=label,
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
    )


def text(x: float, y: float, words: str, class_: str = "", anchor: str | None = None) -> Markup:
    return element("text", words, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def line(start: Point, end: Point, class_: str) -> Markup:
    return element("path", d=f"M{_at(start)}L{_at(end)}", class_=class_)


def strokes(lines: Iterable[tuple[Point, Point]], class_: str) -> Markup:
    """Many lines of one class as one path, to keep the page small."""
    return element("path", d="".join(f"M{_at(start)}L{_at(end)}" for start, end in lines) or None, class_=class_)


def outlines(parts: Iterable[str], class_: str) -> Markup:
    """Many outlines of one class as one path; nothing where there are none."""
    d = "".join(parts)
    return element("path", d=d, class_=class_) if d else Markup("")


def polyline(points: Sequence[Point | None], class_: str) -> Markup:
    """A line through the points; None interrupts it."""
    return outlines(("M" + "L".join(map(_at, run)) for run in _runs(points)), class_)


def band(edges: Sequence[tuple[float, float, float] | None], class_: str) -> Markup:
    """The area between (x, y of one edge, y of the other); None interrupts it."""
    areas = []
    for run in _runs(edges):
        onward = [_at((x, low)) for x, low, _ in run]
        back = [_at((x, high)) for x, _, high in reversed(run)]
        areas.append("M" + "L".join(onward + back) + "Z")
    return outlines(areas, class_)


def _runs(items: Sequence[T | None]) -> list[list[T]]:
    """The stretches of ``items`` between the ones that are None."""
    runs = groupby(items, key=lambda item: item is None)
    return [[item for item in run if item is not None] for missing, run in runs if not missing]


def rectangle(x: float, y: float, width: float, height: float, class_: str) -> Markup:
    return element("rect", x=x, y=y, width=max(width, 0), height=height, class_=class_)


def whisker(start: Point, end: Point, class_: str) -> Markup:
    """A line with a cap at either end, horizontal or vertical."""
    (x, y), (right, low) = start, end
    if y == low:
        d = f"M{_at((x, y - 3))}v6m0-3h{number(right - x)}m0-3v6"
    else:
        d = f"M{_at((x - 3, y))}h6m-3 0v{number(low - y)}m-3 0h6"
    return element("path", d=d, class_=f"whisker {class_}")


def mark(shape: str, at: Point, class_: str, title: str = "") -> Markup:
    """A filled shape around a point; ``title`` shows when a pointer rests on it."""
    inner = [element("title", title)] if title else []
    return element("path", *inner, d=_OUTLINES[shape](*at), class_=f"mark {class_}")


def dots(centres: Iterable[Point], radius: float) -> Markup:
    """A dot at every point, all as one path."""
    onward, back = (f"a{number(radius)} {number(radius)} 0 1 0 {number(way * 2 * radius)} 0" for way in (1, -1))
    return outlines((f"M{number(x - radius)} {number(y)}{onward}{back}z" for x, y in centres), "dot")


def style(method: str) -> tuple[str, str]:
    """(shape, class) of a method: its own for the three protocols, the same for all others."""
    place = _KNOWN.index(method) if method in _KNOWN else 3
    return _SHAPES[place], f"s{place + 1}"


def _at(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _polygon(*offsets: Point) -> Callable[[float, float], str]:
    steps = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(offsets)]
    rest = "".join(f"l{_at(step)}" for step in steps) + "z"
    return lambda x, y: f"M{_at((x + offsets[0][0], y + offsets[0][1]))}{rest}"


_OUTLINES: dict[str, Callable[[float, float], str]] = {
    "circle": lambda x, y: f"M{_at((x - 4, y))}a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "diamond": _polygon((-5, 0), (0, -5), (5, 0), (0, 5)),
    "triangle": _polygon((-4.6, 3.6), (0, -4.8), (4.6, 3.6)),
    "square": _polygon((-3.7, -3.7), (3.7, -3.7), (3.7, 3.7), (-3.7, 3.7)),
    "arrow": _polygon((-4, -5), (4, 0), (-4, 5)),
}


def legend(x: float, y: float) -> Markup:
    """The marks of both protocols with their names, in a row."""
    parts = []
    for protocol in PROTOCOLS:
        shape, class_ = style(protocol)
        parts += [
            line((x, y), (x + 22, y), f"line {class_}"),
            mark(shape, (x + 11, y), class_),
            text(x + 28, y + 4, protocol),
        ]
        x += 28 + LETTER * len(protocol) + 18
    return Markup("").join(parts)


def value_axis(
    y: Scale, start: float, end: float, write: Callable[[float], str] = lambda value: f"{value:g}"
) -> Markup:
    """Lines across a chart that begins and ends at these pixels, with the values that they stand for."""
    parts = []
    for value in y.ticks(26):
        parts.append(line((start - 8, y(value)), (end + 8, y(value)), "grid"))
        parts.append(text(start - 13, y(value) + 4, write(value), "tick", "end"))
    return Markup("").join(parts)


def curve(protocol: str, figures: Sequence[tuple[float, ValueRow | None]], y: Scale) -> Markup:
    """A protocol's figures, each at its pixel: intervals as a band, a line, and marks; None interrupts them."""
    shape, class_ = style(protocol)
    points: list[Point | None] = []
    edges: list[tuple[float, float, float] | None] = []
    for at, figure in figures:
        ends = figure and figure["interval"]
        points.append((at, y(figure["value"])) if figure else None)
        edges.append((at, y(ends[0]), y(ends[1])) if ends else None)
    marks = [mark(shape, point, class_) for point in points if point is not None]
    return Markup("").join([band(edges, f"band {class_}"), polyline(points, f"line {class_}"), *marks])


def growth_label(value: float) -> str:
    """A tick of a perplexity increase: whole percent with its sign."""
    return f"{value:+,.0f}%".replace("-", "\u2212") if value else "0%"


def shorten(words: str, room: float) -> str:
    """As much of a name as fits into ``room`` pixels; the table beside the chart has all of it."""
    most = max(3, int(room / LETTER))
    return words if len(words) <= most else words[: most - 1] + "…"
