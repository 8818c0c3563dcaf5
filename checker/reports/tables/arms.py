"""The tables of arms: cost per method and budget, every resolution and draw, other constraints, differences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from checker.judge.figures.distances import outermost
from checker.judge.figures.form import ArmRow, DifferenceRow, RandomRow
from checker.reports.tables import numbers
from checker.reports.tables.comparison import Comparison, groups
from checker.reports.tables.table import Cell, Field, Table, figure, increase, table

N = TypeVar("N", int, float)
Group = tuple[tuple[int, str], list[ArmRow]]

_INCREASE = "Perplexity increase"
_REGRET = "Regret, nats per token"
_CHANCE = "p against random"
_MERGED = re.compile(r"(?:mix\([^()]*\)|[0-9]{1,4})@[0-9]{1,4}")

# The columns that an arm and a random draw have in common.
_BUDGET = Field[ArmRow]("Removed", lambda arm: Cell(str(arm["budget"])))
_LAYERS = Field[ArmRow]("Layers", lambda arm: Cell(numbers.layers(arm["layers"])))
_PERPLEXITY = Field[ArmRow]("Perplexity", lambda arm: Cell(numbers.perplexity(arm["perplexity"])), numeric=True)
_ONE_INCREASE = Field[ArmRow](_INCREASE, lambda arm: increase(arm["increase_percent"], arm["interval"]), numeric=True)
_BEHAVIOUR = (
    Field[ArmRow]("KL to base", lambda arm: Cell(numbers.distance(arm["kl"])), numeric=True),
    Field[ArmRow]("Top-1 agreement", lambda arm: Cell(numbers.share(arm["top1_agreement"])), numeric=True),
)


def measured_arms(arms: Iterable[ArmRow]) -> list[ArmRow]:
    """The arms whose cost was measured."""
    return [arm for arm in arms if arm["increase_percent"] is not None]


def cost(arm: ArmRow) -> float:
    """The increase in perplexity of an arm that was measured, in percent."""
    return arm["increase_percent"] or 0.0


def overview(comparison: Comparison) -> Table:
    """One row per method and budget; an arm with ties as a range over their resolutions."""
    arms = comparison.chosen

    def size(budget: int) -> str:
        return _range(
            (arm["parameters_removed_percent"] for arm in arms if arm["budget"] == budget), numbers.proportion
        )

    fields: list[Field[Group]] = [
        Field("Removed", lambda row: Cell(str(row[0][0]), f"({size(row[0][0])} of all parameters)")),
        Field("Method", lambda row: Cell(row[0][1])),
        Field(_INCREASE, lambda row: _increase(row[1]), numeric=True),
        Field(_REGRET, lambda row: _regret(row[1]), numeric=True),
        Field(_CHANCE, lambda row: _chance(row[1]), numeric=True),
        Field("Layers", lambda row: _layers(row[1])),
        Field("Evaluations", lambda row: Cell(_range((arm["calls"] for arm in row[1]), numbers.count)), numeric=True),
        Field("KL to base", lambda row: Cell(_range((arm["kl"] for arm in row[1]), numbers.distance)), numeric=True),
        Field(
            "Top-1 agreement",
            lambda row: Cell(_range((arm["top1_agreement"] for arm in row[1]), numbers.share)),
            numeric=True,
        ),
    ]
    if all(arm["regret"] is None for arm in arms):
        fields = [field for field in fields if field.title != _REGRET]
    if comparison.native:
        fields = [field for field in fields if field.title != _CHANCE]
    terms = "each under the constraints of its own paper" if comparison.native else "under one evaluation contract"
    caption = f"Cost of each method at each budget, {terms}"
    return table("arms", caption, fields, list(groups(arms).items()), " ".join(_notes(arms)), by_budget=True)


def every_arm(comparison: Comparison) -> Table:
    """Every arm that a method chose, each resolution of the ties in its own row."""
    fields: list[Field[ArmRow]] = [
        _BUDGET,
        Field("Method", lambda row: Cell(row["method"])),
        _LAYERS,
        Field("Tie", lambda arm: Cell(f"{arm['tie'] + 1} of\u00a0{numbers.ties(arm)}" if arm["ties"] > 1 else "none")),
        _PERPLEXITY,
        _ONE_INCREASE,
        *_BEHAVIOUR,
        Field("Parameters removed", lambda row: Cell(numbers.count(row["parameters_removed"])), numeric=True),
        Field(_CHANCE, lambda arm: _chance([arm]), numeric=True),
        Field("Kept by resamples", lambda row: Cell(numbers.share(row["stability"])), numeric=True),
        Field("selected on", lambda arm: Cell(arm["selected_on"] or "no text"), quiet=True),
        Field("constraints", _constraints, quiet=True),
        Field("evidence", lambda row: Cell(row["evidence"]), quiet=True),
    ]
    if any(arm["merged"] for arm in comparison.chosen):
        fields.append(Field("Merged weights", lambda arm: Cell("; ".join(merges(arm)) or "none")))
    caption = "Every arm, each resolution of the ties in its own row"
    return table("every-arm", caption, fields, _ordered(comparison.chosen), by_budget=True)


def merges(arm: ArmRow) -> list[str]:
    """The places of an arm's layout that run other weights than their own, as ``mix(4:-1,5:1,6:1)@4``."""
    return _MERGED.findall(arm["merged"] or "")


def draws(comparison: Comparison) -> Table:
    """Every draw of the random control, with what was measured of any: of most, nothing but the cost."""
    rows = _ordered(comparison.drawn)
    measured = [
        field
        for field in (_PERPLEXITY, *_BEHAVIOUR)
        if any(field.write(arm).text != numbers.NOT_MEASURED for arm in rows)
    ]
    fields = [_BUDGET, _LAYERS, _ONE_INCREASE, *measured]
    return table("draws", "Every random draw, by cost", fields, rows, by_budget=True)


def _ordered(arms: Sequence[ArmRow]) -> list[ArmRow]:
    return [arm for group in groups(arms).values() for arm in group]


def control(comparison: Comparison) -> Table:
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
    return table("random", "Perplexity increase of random removal sets", fields, comparison.random)


def differences(comparison: Comparison, confidence: float) -> Table:
    """The paired difference of every two methods' arms at each budget."""
    fields: list[Field[DifferenceRow]] = [
        Field("Removed", lambda row: Cell(str(row["budget"]))),
        Field("a − b", lambda row: Cell(f"{row['a']} − {row['b']}")),
        Field("Difference", lambda row: figure(row["difference"], row["interval"], numbers.change), numeric=True),
        Field("Cheaper", _cheaper),
    ]
    note = (
        "Mean NLL of a minus that of b, nats per token, paired by window; over ties, the mean of all combinations and "
        f"the outermost ends of their intervals. Each {numbers.share(confidence)} interval speaks for its own pair "
        f"alone: of {len(comparison.differences)} comparisons, some exclude 0 by chance."
    )
    rows = sorted(comparison.differences, key=lambda row: row["budget"])
    return table("differences", "Difference in cost of every two methods", fields, rows, note, by_budget=True)


def across(comparisons: Sequence[Comparison]) -> Table:
    """Each method's cost under every selection's constraints, side by side."""
    rows = sorted(
        {key: None for comparison in comparisons for key in groups(comparison.chosen)}, key=lambda key: key[0]
    )

    def column(comparison: Comparison) -> Field[tuple[int, str]]:
        grouped = groups(comparison.chosen)
        return Field(comparison.title, lambda key: _increase(grouped.get(key, [])), numeric=True)

    fields = [
        Field[tuple[int, str]]("Removed", lambda key: Cell(str(key[0]))),
        Field[tuple[int, str]]("Method", lambda key: Cell(key[1])),
        *map(column, comparisons),
    ]
    caption = "Perplexity increase of each method under each selection's constraints"
    return table("across", caption, fields, rows, by_budget=True)


def cheapest(comparisons: Sequence[Comparison]) -> Table:
    """The cheapest method under every selection's constraints, at each budget."""
    rows = sorted({arm["budget"] for comparison in comparisons for arm in comparison.chosen})

    def column(comparison: Comparison) -> Field[int]:
        arms = measured_arms(comparison.chosen)
        return Field(comparison.title, lambda budget: _cheapest([arm for arm in arms if arm["budget"] == budget]))

    fields = [Field[int]("Removed", lambda budget: Cell(str(budget))), *map(column, comparisons)]
    return table("cheapest", "Cheapest measured method under each selection's constraints", fields, rows)


def _cheapest(arms: Sequence[ArmRow]) -> Cell:
    if not arms:
        return Cell(numbers.NOT_MEASURED)
    best = min(arms, key=cost)
    return Cell(f"{best['method']} {numbers.percent(best['increase_percent'])}", numbers.percents(best["interval"]))


def _constraints(arm: ArmRow) -> Cell:
    spacing = "its own" if arm["spacing"] is None else f"spacing {arm['spacing']}"
    return Cell(spacing if arm["selection"] in ("matched", "native") else f"{arm['selection']}, {spacing}")


def _cheaper(row: DifferenceRow) -> Cell:
    if row["interval"] is None:
        return Cell("open")
    low, high = row["interval"]
    return Cell(row["b"] if low > 0 else row["a"] if high < 0 else "open")


def _notes(arms: Sequence[ArmRow]) -> list[str]:
    """What a reader of the arms' overview must know of ties, of regret and of the smallest p."""
    notes = []
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
    measured = len(measured_arms(arms))
    share = "all" if measured == arms[0]["ties"] and arms[0]["ties_counted"] else str(measured)
    return Cell(f"{numbers.ties(arms[0])} tie resolutions, {share} measured")


def _increase(arms: Sequence[ArmRow]) -> Cell:
    measured = measured_arms(arms)
    if not measured:
        return Cell(numbers.NOT_MEASURED)
    outer = outermost([arm["interval"] for arm in measured])
    return Cell(_range(map(cost, measured), numbers.percent), numbers.percents(outer))


def _regret(arms: Sequence[ArmRow]) -> Cell:
    regrets = [arm["regret"] for arm in arms if arm["regret"] is not None]
    if not regrets:
        return Cell(numbers.NOT_MEASURED)
    outer = outermost([regret["interval"] for regret in regrets])
    aside = (
        "" if outer and outer[0] == outer[1] else numbers.interval(outer, numbers.change)
    )  # of the best set to itself
    return Cell(_range((regret["value"] for regret in regrets), numbers.change), aside)


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
