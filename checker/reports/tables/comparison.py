"""Which arms stand beside each other: those of one form under one set of constraints, and never any others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from checker.judge.figures.form import ArmRow, DifferenceRow, RandomRow
from checker.judge.form import Report

R = TypeVar("R", ArmRow, RandomRow, DifferenceRow)


@dataclass(frozen=True)
class Comparison:
    """Arms that may be held against each other, with the random control under the same constraints."""

    form: str
    selection: str
    arms: tuple[ArmRow, ...]
    random: tuple[RandomRow, ...]
    differences: tuple[DifferenceRow, ...]

    @property
    def chosen(self) -> list[ArmRow]:
        """The arms that a method chose, without the random draws."""
        return [arm for arm in self.arms if not arm["draw"]]

    @property
    def drawn(self) -> list[ArmRow]:
        """The draws of the random control."""
        return [arm for arm in self.arms if arm["draw"]]

    @property
    def native(self) -> bool:
        return self.form == "native"

    @property
    def title(self) -> str:
        """The constraints in words."""
        spacings = sorted({arm["spacing"] for arm in self.arms if arm["spacing"] is not None})
        return self.selection + (f" (spacing {', '.join(map(str, spacings))})" if spacings else "")


def comparisons(report: Report) -> tuple[Comparison, Comparison | None, list[Comparison]]:
    """The matched arms of the first selection, the native forms (None without), and every further selection."""
    first = first_selection(report)
    names = list(dict.fromkeys(arm["selection"] for arm in report["arms"] if arm["form"] == "matched"))
    native = _comparison(report, "native", None)
    further = [_comparison(report, "matched", name) for name in names if name != first]
    return _comparison(report, "matched", first), native if native.arms else None, further


def first_selection(report: Report) -> str:
    """The name of the constraints that verdicts and regimes rest on.

    Where the report does not name them, they are those that most methods' arms begin with: every method runs under
    them first, and may reach no set there.
    """
    if (selection := report["thresholds"].get("selection")) is not None:
        return selection
    begins: dict[str, str] = {}
    for arm in report["arms"]:
        if arm["form"] == "matched":
            begins.setdefault(arm["method"], arm["selection"])
    return Counter(begins.values()).most_common(1)[0][0] if begins else ""


def groups(arms: Sequence[ArmRow]) -> dict[tuple[int, str], list[ArmRow]]:
    """Arms by (budget, method), budgets ascending, methods in the report's order, resolutions by cost."""
    methods = list(dict.fromkeys(arm["method"] for arm in arms))

    def order(arm: ArmRow) -> tuple[int, int, bool, float, int]:
        cost = arm["increase_percent"]
        return arm["budget"], methods.index(arm["method"]), cost is None, cost or 0.0, arm["tie"]

    ordered = groupby(sorted(arms, key=order), key=lambda arm: (arm["budget"], arm["method"]))
    return {key: list(group) for key, group in ordered}


def _comparison(report: Report, form: str, selection: str | None) -> Comparison:
    def kept(rows: Sequence[R]) -> tuple[R, ...]:
        same_form = [row for row in rows if row.get("form", "matched") == form]
        return tuple(row for row in same_form if selection in (None, row["selection"]))

    arms, random, differences = kept(report["arms"]), kept(report["random"]), kept(report["differences"])
    return Comparison(form, selection or form, arms, random, differences)
