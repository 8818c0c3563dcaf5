"""Whether methods agree: rank correlations between their block scores, and the scores themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from markupsafe import Markup

from checker.judge.figures.form import AgreementRow, ValueRow
from checker.judge.form import Report
from checker.reports.charts import svg
from checker.reports.tables import numbers
from checker.reports.tables.agreement import cells_of, methods_of, pairs
from checker.reports.tables.table import Figure

_STEPS = (0.25, 0.5, 0.75)
_NAMES = 132.0


def agreement(report: Report) -> Figure | None:
    """The matrix of rank correlations; None where no two methods' scores were compared."""
    rows = report["agreement"]
    correlations = [correlation for row in rows for correlation in (row["spearman"], row["kendall"])]
    if not any(correlations):
        return None
    key = "Spearman's rank correlation below the diagonal, Kendall's above it."
    if None in correlations:
        key += " A dash was not measured."
    return svg.figure("agreement", _sentence(rows), partial(_draw, rows), pairs(report), key)


def _sentence(rows: Sequence[AgreementRow]) -> str:
    measured = [(row, row["spearman"]) for row in rows if row["spearman"] is not None]
    if not measured:
        return "Only Kendall's rank correlation was measured."
    low, high = (pick(measured, key=lambda pair: pair[1]["value"]) for pick in (min, max))
    if low is high:
        return f"The block scores of {_named(*low)}."
    return f"Most alike are the block scores of {_named(*high)}; least alike those of {_named(*low)}."


def _named(row: AgreementRow, spearman: ValueRow) -> str:
    ends = "" if spearman["interval"] is None else f" {numbers.interval(spearman['interval'], numbers.correlation)}"
    return f"{row['a']} and {row['b']} (Spearman {numbers.correlation(spearman['value'])}{ends})"


def _brief(value: float | None) -> str:
    """Two decimals without the leading zero, for small cells."""
    if value is None:
        return "–"
    if abs(value) >= 0.995:
        return f"{value:.0f}".replace("-", "−")
    return f"{value:.2f}".replace("-", "−").replace("0.", ".", 1)


def _draw(rows: Sequence[AgreementRow], width: float, label: str) -> Markup:
    methods, cells = methods_of(rows), cells_of(rows)
    beside = width >= svg.WIDE
    left, top = (_NAMES if beside else 24.0), 26.0
    side = min(46.0, (width - left - 4) / len(methods))
    height = min(side, 30.0)
    bottom = top + height * len(methods)
    parts = _shades(cells, len(methods), (left, top), (side, height))
    for place, method in enumerate(methods):
        y = top + height * (place + 0.5) + 4
        name = svg.shorten(f"{place + 1}  {method}", left - 8) if beside else str(place + 1)
        parts.append(svg.text(left - 8, y, name, "", "end"))
        parts.append(svg.text(left + side * (place + 0.5), top - 8, str(place + 1), "tick", "middle"))
        written = [
            svg.text(left + side * (column + 0.5), y, _brief(cells.get((place, column))))
            for column in range(len(methods))
            if column != place
        ]
        parts.append(svg.element("g", *written, class_="value", text_anchor="middle"))
    if not beside:
        parts += _names(methods, bottom + 20, width)
    return svg.drawing(width, bottom + (8 if beside else 12 + 16 * ((len(methods) + 1) // 2)), label, *parts)


def _shades(
    cells: dict[tuple[int, int], float], methods: int, at: tuple[float, float], size: tuple[float, float]
) -> list[Markup]:
    """All cells of one shade as one path, in units of a cell: the stronger the correlation, the deeper."""
    shades: dict[str, list[str]] = {}
    for row in range(methods):
        for column in range(methods):
            shades.setdefault(_shade(cells.get((row, column))), []).append(f"M{column} {row}h.97v.96h-.97z")
    transform = f"translate({svg.number(at[0])} {svg.number(at[1])}) scale({size[0]:.4f} {size[1]:.4f})"
    return [
        svg.element("path", d="".join(squares), class_=class_, transform=transform)
        for class_, squares in sorted(shades.items())
    ]


def _shade(value: float | None) -> str:
    if value is None:
        return "empty"
    step = 1 + sum(abs(value) >= edge for edge in _STEPS)
    return f"{'with' if value >= 0 else 'against'} o{step}"


def _names(methods: Sequence[str], top: float, width: float) -> list[Markup]:
    """The methods and their numbers in two columns, under a matrix that leaves no room beside it."""
    half = (len(methods) + 1) // 2
    room = width / 2 - svg.LETTER
    return [
        svg.text(width / 2 * (place // half), top + 16 * (place % half), svg.shorten(f"{place + 1}  {method}", room))
        for place, method in enumerate(methods)
    ]
