"""How figures are written, the same in every format; a missing figure is written in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from checker.judge.figures.form import ArmRow, Ends

NOT_MEASURED = "not measured"
NO_INTERVAL = "no interval (fewer than 8 effective units)"
_SPACE = "\u00a0"
_MINUS = "\u2212"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Number = float | int
Writer = Callable[[Number], str]


def significant(value: Number, digits: int = 3) -> str:
    """``value`` in ``digits`` significant digits; powers of ten below 1e-4 and from 1e6."""
    if value == 0:
        return "0"
    exponent = _exponent(value, digits)
    if exponent < -4 or exponent >= 6:
        mantissa = f"{value:.{digits - 1}e}".partition("e")[0]  # of the smallest numbers no quotient could be taken
        return _signs(mantissa) + f"{_SPACE}×{_SPACE}10{str(exponent).translate(_SUPERSCRIPTS)}"
    return _signs(f"{round(value, digits - 1 - exponent):,.{max(0, digits - 1 - exponent)}f}")


def distance(value: Number | None) -> str:
    """A distance or another quantity in nats, three significant digits, without the unit."""
    return NOT_MEASURED if value is None else significant(value)


def change(value: Number | None) -> str:
    """A signed difference in nats, three significant digits."""
    return NOT_MEASURED if value is None else ("+" if value > 0 else "") + significant(value)


def percent(value: Number | None) -> str:
    """A change in percent: signed, one decimal, and at least two significant digits."""
    return NOT_MEASURED if value is None else f"{_change(value)}{_SPACE}%"


def declared(value: Number, unit: str = "") -> str:
    """A bound or threshold as its author wrote it: no digits are added."""
    text = _signs(f"{value:+g}" if unit == "percent" and value else f"{value:g}")
    return text + (unit and f"{_SPACE}{'%' if unit in ('percent', 'score') else unit}")


def share(value: Number | None) -> str:
    """A share from 0 to 1, as an unsigned percentage of at least two significant digits."""
    return NOT_MEASURED if value is None else proportion(100 * value)


def points(value: Number | None) -> str:
    """A change in percentage points, written as a change in percent is."""
    return NOT_MEASURED if value is None else f"{_change(value)}{_SPACE}points"


def proportion(value: Number) -> str:
    """An unsigned percentage; whole numbers stay whole."""
    text = f"{value:.0f}" if float(value).is_integer() else _decimals(value)
    return _signs(text) + f"{_SPACE}%"


def ratio(value: Number | None) -> str:
    """A ratio, at least two decimals' worth of digits."""
    if value is None:
        return NOT_MEASURED
    return _signs(f"{value:.2f}") if 0.1 <= abs(value) < 100 or value == 0 else significant(value)


def correlation(value: Number | None) -> str:
    """A rank correlation: signed, two decimals."""
    return NOT_MEASURED if value is None else _signs(f"{value:+.2f}")


def perplexity(value: Number | None) -> str:
    """A perplexity, four significant digits."""
    return NOT_MEASURED if value is None else significant(value, 4)


def probability(value: Number | None) -> str:
    """A p value, three decimals."""
    if value is None:
        return NOT_MEASURED
    return "< 0.001" if 0 < value < 0.0005 else f"{value:.3f}"


def count(value: int | None) -> str:
    """A whole number with thousands separated."""
    return NOT_MEASURED if value is None else f"{value:,}"


def ties(row: ArmRow) -> str:
    """How many resolutions of the ties a row says there are."""
    return f"{'' if row['ties_counted'] else 'at least '}{count(row['ties'])}"


def seconds(value: Number | None) -> str:
    """A time, in the two largest units that say something."""
    if value is None:
        return NOT_MEASURED
    whole = round(value)
    if whole >= 3600:
        return f"{whole // 3600}{_SPACE}h {whole % 3600 // 60}{_SPACE}min"
    if whole >= 60:
        return f"{whole // 60}{_SPACE}min {whole % 60}{_SPACE}s"
    return f"{significant(value, 2)}{_SPACE}s"


def size(value: int | None) -> str:
    """An amount of memory, decimal units."""
    if value is None:
        return NOT_MEASURED
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{significant(value / factor)}{_SPACE}{unit}"
    return f"{value}{_SPACE}bytes"


def interval(ends: Ends, write: Writer = significant) -> str:
    """``[low, high]``, each end written by ``write``; in words where there is none."""
    return NO_INTERVAL if ends is None else f"[{write(ends[0])},{_SPACE}{write(ends[1])}]"


def percents(ends: Ends) -> str:
    """An interval of changes in percent; the unit stands with the value beside it."""
    return interval(ends, _change)


def in_unit(value: Number | None, unit: str) -> str:
    """A figure with its unit: percent, nats, times, points or none; a score is percent without a sign."""
    written = {"percent": percent, "points": points, "score": proportion}.get(unit)
    if value is None:
        return NOT_MEASURED
    if written is not None:
        return written(value)
    return ratio(value) + f"{_SPACE}times" if unit == "times" else significant(value) + (unit and f"{_SPACE}{unit}")


def interval_in_unit(ends: Ends, unit: str) -> str:
    """An interval written as `in_unit` writes its value."""
    return interval(
        ends, {"percent": _change, "points": _change, "score": _score, "times": ratio}.get(unit, significant)
    )


def layers(blocks: Sequence[int]) -> str:
    """Numbers of blocks, in order."""
    return ", ".join(str(block) for block in blocks) or "none"


def _score(value: Number) -> str:
    return _signs(_decimals(value))


def _change(value: Number) -> str:
    return _signs(("+" if value > 0 else "") + _decimals(value))


def _decimals(value: Number) -> str:
    """At least one decimal and two significant digits; no decimals from 1,000, powers of ten from a million."""
    if abs(value) < 5e-4:
        return "0.0"
    if abs(value) >= 1e6:
        return significant(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    places = max(1, 1 - _exponent(value, 2))
    return f"{value:,.{places}f}"


def _exponent(value: Number, digits: int) -> int:
    """The power of ten after rounding to ``digits`` digits, so that 0.9996 counts as 1.00."""
    return int(f"{abs(value):.{digits - 1}e}".split("e")[1]) if math.isfinite(value) else 0


def _signs(text: str) -> str:
    return text.replace("-", _MINUS)
