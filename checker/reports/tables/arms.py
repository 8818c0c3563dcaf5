"""The tables of arms: cost per method and budget, every resolution and draw, other constraints, differences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from checker.judge.figures.form import ArmRow, DifferenceRow, Ends, RandomRow
from checker.reports.tables import numbers
from checker.reports.tables.comparison import Comparison, groups
from checker.reports.tables.table import Cell, Field, Table, figure, table

N = TypeVar("N", int, float)
Group = tuple[tuple[int, str], list[ArmRow]]

_INCREASE = "Perplexity increase"
_REGRET = "Regret, nats per token"
_MERGED = re.compile(r"(?:mix\([^()]*\)|[0-9]{1,4})@[0-9]{1,4}")


def overview(found: Comparison) -> Table:
    """One row per method and budget; an arm with ties as a range over their resolutions."""
    size = {
        budget: _range((arm["parameters_removed_percent"] for arm in group), numbers.proportion)
        for budget in {arm["budget"] for arm in found.chosen}
        for group in [[arm for arm in found.chosen if arm["budget"] == budget]]
    }
    fields: list[Field[Group]] = [
        Field("Removed", lambda row: Cell(str(row[0][0]), f"({size[row[0][0]]} of all parameters)")),
        Field("Method", lambda row: Cell(row[0][1])),
        Field(_INCREASE, lambda row: _increase(row[1]), numeric=True),
        Field(_REGRET, lambda row: _regret(row[1]), numeric=True),
        Field("p against random", lambda row: _chance(row[1]), numeric=True),
        Field("Layers", lambda row: _layers(row[1])),
        Field("Evaluations", lambda row: Cell(_range((arm["calls"] for arm in row[1]), numbers.count)), numeric=True),
        Field("KL to base", lambda row: Cell(_range((arm["kl"] for arm in row[1]), numbers.distance)), numeric=True),
        Field("Top-1 agreement", lambda row: _agreement(row[1]), numeric=True),
    ]
    left_out = {_REGRET} - {_REGRET for arm in found.chosen if arm["regret"] is not None}
    left_out |= {"p against random"} if found.native else set()
    rows = list(groups(found.chosen).items())
    caption = (
        "Cost of each method at each budget, each under the constraints of its own paper"
        if found.native
        else "Cost of each method at each budget, under one evaluation contract"
    )
    kept = [field for field in fields if field.title not in left_out]
    return table("arms", caption, kept, rows, " ".join(_notes(found)), by_budget=True)


def every_arm(found: Comparison) -> Table:
    """Every arm that a method chose, each resolution of the ties in its own row."""
    fields: list[Field[ArmRow]] = [
        Field("Removed", lambda row: Cell(str(row["budget"]))),
        Field("Method", lambda row: Cell(row["method"])),
        Field("Layers", lambda row: Cell(numbers.layers(row["layers"]))),
        Field("Tie", lambda arm: Cell(f"{arm['tie'] + 1} of\u00a0{numbers.ties(arm)}" if arm["ties"] > 1 else "none")),
        Field("Perplexity", lambda row: Cell(numbers.perplexity(row["perplexity"])), numeric=True),
        Field(_INCREASE, _one_increase, numeric=True),
        Field("KL to base", lambda row: Cell(numbers.distance(row["kl"])), numeric=True),
        Field("Top-1 agreement", lambda row: Cell(numbers.share(row["top1_agreement"])), numeric=True),
        Field("Parameters removed", lambda row: Cell(numbers.count(row["parameters_removed"])), numeric=True),
        Field("p against random", lambda arm: _chance([arm]), numeric=True),
        Field("Kept by resamples", lambda row: Cell(numbers.share(row["stability"])), numeric=True),
        Field("selected on", lambda arm: Cell(arm["selected_on"] or "no text"), quiet=True),
        Field("constraints", _constraints, quiet=True),
        Field("evidence", lambda row: Cell(row["evidence"]), quiet=True),
    ]
    if any(arm["merged"] for arm in found.chosen):
        fields.append(Field("Merged weights", lambda arm: Cell("; ".join(merges(arm)) or "none")))
    rows = [arm for group in groups(found.chosen).values() for arm in group]
    caption = "Every arm, each resolution of the ties in its own row"
    return table("every-arm", caption, fields, rows, by_budget=True)


def merges(arm: ArmRow) -> list[str]:
    """The places of an arm's layout that run other weights than their own, as ``mix(4:-1,5:1,6:1)@4``."""
    return _MERGED.findall(arm["merged"] or "")


def _one_increase(arm: ArmRow) -> Cell:
    return figure(arm["increase_percent"], arm["interval"], numbers.percent, numbers.percents)


def draws(found: Comparison) -> Table:
    """Every draw of the random control."""
    fields: list[Field[ArmRow]] = [
        Field("Removed", lambda row: Cell(str(row["budget"]))),
        Field("Layers", lambda row: Cell(numbers.layers(row["layers"]))),
        Field(_INCREASE, _one_increase, numeric=True),
        Field("Perplexity", lambda row: Cell(numbers.perplexity(row["perplexity"])), numeric=True),
        Field("KL to base", lambda row: Cell(numbers.distance(row["kl"])), numeric=True),
        Field("Top-1 agreement", lambda row: Cell(numbers.share(row["top1_agreement"])), numeric=True),
    ]
    figures = [(arm["perplexity"], arm["kl"], arm["top1_agreement"]) for arm in found.drawn]
    measured = [  # nothing but the cost is measured of most draws
        field for place, field in enumerate(fields[3:]) if any(row[place] is not None for row in figures)
    ]
    rows = [arm for group in groups(found.drawn).values() for arm in group]
    return table("draws", "Every random draw, by cost", [*fields[:3], *measured], rows, by_budget=True)


def control(found: Comparison) -> Table:
    """The random control in a few figures."""
    fields: list[Field[RandomRow]] = [
        Field("Removed", lambda row: Cell(str(row["budget"]))),
        Field("Draws", lambda row: Cell(numbers.count(row["draws"])), numeric=True),
        Field("Least", lambda row: Cell(numbers.percent(row["least"])), numeric=True),
        Field("First quartile", lambda row: Cell(numbers.percent(row["quartiles"][0])), numeric=True),
        Field("Median", lambda row: Cell(numbers.percent(row["quartiles"][1])), numeric=True),
        Field("Third quartile", lambda row: Cell(numbers.percent(row["quartiles"][2])), numeric=True),
        Field("Most", lambda row: Cell(numbers.percent(row["most"])), numeric=True),
    ]
    return table("random", "Perplexity increase of random removal sets", fields, found.random)


def differences(found: Comparison, confidence: float) -> Table:
    """The paired difference of every two methods' arms at each budget."""
    fields: list[Field[DifferenceRow]] = [
        Field("Removed", lambda row: Cell(str(row["budget"]))),
        Field("a − b", lambda row: Cell(f"{row['a']} − {row['b']}")),
        Field(
            "Difference",
            lambda row: figure(row["difference"], row["interval"], numbers.change, numbers.changes),
            numeric=True,
        ),
        Field("Cheaper", _cheaper),
    ]
    note = (
        "Mean NLL of a minus that of b, nats per token, paired by window; over ties, the mean of all combinations and "
        f"the outermost ends of their intervals. Each {numbers.share(confidence)} interval speaks for its own pair "
        f"alone: of {len(found.differences)} comparisons, some exclude 0 by chance."
    )
    rows = sorted(found.differences, key=lambda row: int(row["budget"]))
    return table("differences", "Difference in cost of every two methods", fields, rows, note, by_budget=True)


def across(found: Sequence[Comparison]) -> Table:
    """Each method's cost under every selection's constraints, side by side."""
    grouped = [groups(one.chosen) for one in found]
    rows = sorted({key: None for one in grouped for key in one}, key=lambda key: key[0])

    def column(place: int) -> Field[tuple[int, str]]:
        return Field(found[place].title, lambda key: _increase(grouped[place].get(key, [])), numeric=True)

    fields: list[Field[tuple[int, str]]] = [
        Field("Removed", lambda key: Cell(str(key[0]))),
        Field("Method", lambda key: Cell(key[1])),
    ]
    fields += [column(place) for place in range(len(found))]
    caption = "Perplexity increase of each method under each selection's constraints"
    return table("across", caption, fields, rows, by_budget=True)


def cheapest(found: Sequence[Comparison]) -> Table:
    """The cheapest method under every selection's constraints, at each budget."""
    rows = sorted({arm["budget"] for one in found for arm in one.chosen})

    def column(one: Comparison) -> Field[int]:
        return Field(one.title, lambda budget: _cheapest([arm for arm in one.chosen if arm["budget"] == budget]))

    fields = [Field[int]("Removed", lambda budget: Cell(str(budget))), *(column(one) for one in found)]
    return table("cheapest", "Cheapest measured method under each selection's constraints", fields, rows)


def _cheapest(arms: Sequence[ArmRow]) -> Cell:
    measured = [arm for arm in arms if arm["increase_percent"] is not None]
    if not measured:
        return Cell(numbers.NOT_MEASURED)
    best = min(measured, key=lambda arm: arm["increase_percent"] or 0.0)
    return Cell(f"{best['method']} {numbers.percent(best['increase_percent'])}", numbers.percents(best["interval"]))


def _constraints(arm: ArmRow) -> Cell:
    spacing = "its own" if arm["spacing"] is None else f"spacing {arm['spacing']}"
    return Cell(spacing if arm["selection"] in ("matched", "native") else f"{arm['selection']}, {spacing}")


def _cheaper(row: DifferenceRow) -> Cell:
    if row["interval"] is None:
        return Cell("open")
    low, high = row["interval"]
    return Cell(row["b"] if low > 0 else row["a"] if high < 0 else "open")


def _notes(found: Comparison) -> list[str]:
    """What a reader of the arms' overview must know of ties, of regret and of the smallest p."""
    arms, notes = found.chosen, []
    if any(arm["ties"] > 1 for arm in arms):
        notes.append(
            "Arms with ties show the range over the resolutions measured, and the outermost ends of their intervals."
        )
    if any(arm["regret"] is not None for arm in arms):
        notes.append(
            "Regret is the cost above the arm of exhaustive; that is the best set on the selection text, so another "
            "set may cost less on the evaluation text."
        )
    drawn = [arm for arm in arms if arm["draws"] and arm["smallest_p"]]
    if drawn:
        draws = _range((arm["draws"] for arm in drawn), numbers.count)
        smallest = _range((arm["smallest_p"] for arm in drawn), numbers.probability)
        notes.append(f"{draws} random draws can give no p below {smallest}.")
    notes.append("Evaluations are the layouts and passes that choosing took.")
    return notes


def _layers(arms: Sequence[ArmRow]) -> Cell:
    if arms[0]["ties"] == 1:
        return Cell(numbers.layers(arms[0]["layers"]), "merged into others" if arms[0]["merged"] else "")
    found = sum(arm["increase_percent"] is not None for arm in arms)
    measured = "all" if found == arms[0]["ties"] and arms[0]["ties_counted"] else str(found)
    return Cell(f"{numbers.ties(arms[0])} tie resolutions, {measured} measured")


def _increase(arms: Sequence[ArmRow]) -> Cell:
    found = [arm for arm in arms if arm["increase_percent"] is not None]
    if not found:
        return Cell(numbers.NOT_MEASURED)
    outer = _outer([arm["interval"] for arm in found])
    return Cell(_range((arm["increase_percent"] for arm in found), numbers.percent), numbers.percents(outer))


def _regret(arms: Sequence[ArmRow]) -> Cell:
    found = [arm["regret"] for arm in arms if arm["regret"] is not None]
    if not found:
        return Cell(numbers.NOT_MEASURED)
    outer = _outer([part["interval"] for part in found])
    aside = "" if outer and outer[0] == outer[1] else numbers.changes(outer)  # of the best set to itself
    return Cell(_range((part["value"] for part in found), numbers.change), aside)


def _outer(intervals: Sequence[Ends]) -> Ends:
    """The outermost ends; None where one has no interval."""
    ends = [interval for interval in intervals if interval is not None]
    return None if len(ends) < len(intervals) else (min(low for low, _ in ends), max(high for _, high in ends))


def _agreement(arms: Sequence[ArmRow]) -> Cell:
    return Cell(_range((arm["top1_agreement"] for arm in arms), numbers.share))


def _range(values: Iterable[N | None], write: Callable[[N], str]) -> str:
    measured = [value for value in values if value is not None]
    if not measured:
        return numbers.NOT_MEASURED
    least, most = write(min(measured)), write(max(measured))
    return least if least == most else f"{least} to\u00a0{most}"


def _chance(arms: Sequence[ArmRow]) -> Cell:
    if all(arm["p"] is None for arm in arms):
        return Cell("no control")
    return Cell(_range((arm["p"] for arm in arms), numbers.probability))
