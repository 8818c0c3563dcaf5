"""The tables of arms: cost per method and budget, every resolution and draw, other constraints, differences."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from checker.reports.tables import numbers
from checker.reports.tables.comparison import Comparison, groups
from checker.reports.tables.table import Cell, Field, Record, Table, plain, table, with_interval

Group = tuple[tuple[int, str], list[Record]]

_INCREASE = "Perplexity increase"
_REGRET = "Regret, nats per token"
_MERGED = re.compile(r"(?:mix\([^()]*\)|[0-9]{1,4})@[0-9]{1,4}")


def overview(found: Comparison) -> Table:
    """One row per method and budget; an arm with ties as a range over their resolutions."""
    size = {
        budget: _range(group, "parameters_removed_percent", numbers.proportion)
        for budget in {arm["budget"] for arm in found.chosen}
        for group in [[arm for arm in found.chosen if arm["budget"] == budget]]
    }
    fields = [
        Field("Removed", lambda row: Cell(str(row[0][0]), f"({size[row[0][0]]} of all parameters)")),
        Field("Method", lambda row: Cell(row[0][1])),
        Field(_INCREASE, lambda row: _increase(row[1]), numeric=True),
        Field(_REGRET, lambda row: _regret(row[1]), numeric=True),
        Field("p against random", lambda row: _chance(row[1]), numeric=True),
        Field("Layers", lambda row: _layers(row[1])),
        Field("Evaluations", lambda row: _spread(row[1], "calls", numbers.count), numeric=True),
        Field("KL to base", lambda row: _spread(row[1], "kl", numbers.distance), numeric=True),
        Field("Top-1 agreement", lambda row: _spread(row[1], "top1_agreement", numbers.share), numeric=True),
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
    fields = [
        Field("Removed", plain("budget")),
        Field("Method", plain("method")),
        Field("Layers", plain("layers", numbers.layers)),
        Field("Tie", lambda arm: Cell(f"{arm['tie'] + 1} of\u00a0{numbers.ties(arm)}" if arm["ties"] > 1 else "none")),
        Field("Perplexity", plain("perplexity", numbers.perplexity), numeric=True),
        Field(_INCREASE, with_interval("increase_percent", numbers.percent, write_ends=numbers.percents), numeric=True),
        Field("KL to base", plain("kl", numbers.distance), numeric=True),
        Field("Top-1 agreement", plain("top1_agreement", numbers.share), numeric=True),
        Field("Parameters removed", plain("parameters_removed", numbers.count), numeric=True),
        Field("p against random", lambda arm: _chance([arm]), numeric=True),
        Field("Kept by resamples", plain("stability", numbers.share), numeric=True),
        Field("selected on", lambda arm: Cell(arm["selected_on"] or "no text"), quiet=True),
        Field("constraints", _constraints, quiet=True),
        Field("evidence", plain("evidence"), quiet=True),
    ]
    if any(arm["merged"] for arm in found.chosen):
        fields.append(Field("Merged weights", lambda arm: Cell("; ".join(merges(arm)) or "none")))
    rows = [arm for group in groups(found.chosen).values() for arm in group]
    caption = "Every arm, each resolution of the ties in its own row"
    return table("every-arm", caption, fields, rows, by_budget=True)


def merges(arm: Record) -> list[str]:
    """The places of an arm's layout that run other weights than their own, as ``mix(4:-1,5:1,6:1)@4``."""
    return _MERGED.findall(arm["merged"] or "")


def draws(found: Comparison) -> Table:
    """Every draw of the random control."""
    fields = [
        Field("Removed", plain("budget")),
        Field("Layers", plain("layers", numbers.layers)),
        Field(_INCREASE, with_interval("increase_percent", numbers.percent, write_ends=numbers.percents), numeric=True),
        Field("Perplexity", plain("perplexity", numbers.perplexity), numeric=True),
        Field("KL to base", plain("kl", numbers.distance), numeric=True),
        Field("Top-1 agreement", plain("top1_agreement", numbers.share), numeric=True),
    ]
    measured = [  # nothing but the cost is measured of most draws
        field for field, key in zip(fields[3:], ("perplexity", "kl", "top1_agreement"), strict=True)
        if any(arm[key] is not None for arm in found.drawn)
    ]  # fmt: skip
    rows = [arm for group in groups(found.drawn).values() for arm in group]
    return table("draws", "Every random draw, by cost", [*fields[:3], *measured], rows, by_budget=True)


def control(found: Comparison) -> Table:
    """The random control in a few figures."""
    fields = [
        Field("Removed", plain("budget")),
        Field("Draws", plain("draws", numbers.count), numeric=True),
        Field("Least", plain("least", numbers.percent), numeric=True),
        Field("First quartile", lambda row: Cell(numbers.percent(row["quartiles"][0])), numeric=True),
        Field("Median", lambda row: Cell(numbers.percent(row["quartiles"][1])), numeric=True),
        Field("Third quartile", lambda row: Cell(numbers.percent(row["quartiles"][2])), numeric=True),
        Field("Most", plain("most", numbers.percent), numeric=True),
    ]
    return table("random", "Perplexity increase of random removal sets", fields, found.random)


def differences(found: Comparison, confidence: float) -> Table:
    """The paired difference of every two methods' arms at each budget."""
    fields = [
        Field("Removed", plain("budget")),
        Field("a − b", lambda row: Cell(f"{row['a']} − {row['b']}")),
        Field("Difference", with_interval("difference", numbers.change, write_ends=numbers.changes), numeric=True),
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

    def column(place: int) -> Field:
        return Field(found[place].title, lambda key: _increase(grouped[place].get(key, [])), numeric=True)

    fields = [Field("Removed", lambda key: Cell(str(key[0]))), Field("Method", lambda key: Cell(key[1]))]
    fields += [column(place) for place in range(len(found))]
    caption = "Perplexity increase of each method under each selection's constraints"
    return table("across", caption, fields, rows, by_budget=True)


def cheapest(found: Sequence[Comparison]) -> Table:
    """The cheapest method under every selection's constraints, at each budget."""
    rows = sorted({arm["budget"] for one in found for arm in one.chosen})

    def column(one: Comparison) -> Field:
        return Field(one.title, lambda budget: _cheapest([arm for arm in one.chosen if arm["budget"] == budget]))

    fields = [Field("Removed", lambda budget: Cell(str(budget))), *(column(one) for one in found)]
    return table("cheapest", "Cheapest measured method under each selection's constraints", fields, rows)


def _cheapest(arms: Sequence[Record]) -> Cell:
    measured = [arm for arm in arms if arm["increase_percent"] is not None]
    if not measured:
        return Cell(numbers.NOT_MEASURED)
    best = min(measured, key=lambda arm: float(arm["increase_percent"]))
    return Cell(f"{best['method']} {numbers.percent(best['increase_percent'])}", numbers.percents(best["interval"]))


def _constraints(arm: Record) -> Cell:
    spacing = "its own" if arm["spacing"] is None else f"spacing {arm['spacing']}"
    return Cell(spacing if arm["selection"] in ("matched", "native") else f"{arm['selection']}, {spacing}")


def _cheaper(row: Record) -> Cell:
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
        draws, smallest = _range(drawn, "draws", numbers.count), _range(drawn, "smallest_p", numbers.probability)
        notes.append(f"{draws} random draws can give no p below {smallest}.")
    notes.append("Evaluations are the layouts and passes that choosing took.")
    return notes


def _layers(arms: Sequence[Record]) -> Cell:
    if arms[0]["ties"] == 1:
        return Cell(numbers.layers(arms[0]["layers"]), "merged into others" if arms[0]["merged"] else "")
    found = sum(arm["increase_percent"] is not None for arm in arms)
    measured = "all" if found == arms[0]["ties"] and arms[0]["ties_counted"] else str(found)
    return Cell(f"{numbers.ties(arms[0])} tie resolutions, {measured} measured")


def _increase(arms: Sequence[Record]) -> Cell:
    found = [arm for arm in arms if arm["increase_percent"] is not None]
    if not found:
        return Cell(numbers.NOT_MEASURED)
    return Cell(_range(found, "increase_percent", numbers.percent), numbers.percents(_outer(found)))


def _regret(arms: Sequence[Record]) -> Cell:
    found = [arm["regret"] for arm in arms if arm["regret"] is not None]
    if not found:
        return Cell(numbers.NOT_MEASURED)
    outer = _outer(found)
    aside = "" if outer and outer[0] == outer[1] else numbers.changes(outer)  # of the best set to itself
    return Cell(_range(found, "value", numbers.change), aside)


def _outer(found: Sequence[Record]) -> tuple[float, float] | None:
    """The outermost ends; None where one has no interval."""
    ends = [part["interval"] for part in found]
    return None if None in ends else (min(low for low, _ in ends), max(high for _, high in ends))


def _spread(arms: Sequence[Record], key: str, write: Callable[[Any], str]) -> Cell:
    return Cell(_range(arms, key, write))


def _range(arms: Sequence[Record], key: str, write: Callable[[Any], str]) -> str:
    values = [arm[key] for arm in arms if arm[key] is not None]
    if not values:
        return numbers.NOT_MEASURED
    least, most = write(min(values)), write(max(values))
    return least if least == most else f"{least} to\u00a0{most}"


def _chance(arms: Sequence[Record]) -> Cell:
    if all(arm["p"] is None for arm in arms):
        return Cell("no control")
    return Cell(_range(arms, "p", numbers.probability))
