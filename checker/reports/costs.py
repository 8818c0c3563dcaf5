"""What removing layers costs: arms, their ranges over ties, the random control, and single deletions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import numbers
from .tables import Cell, Field, Record, Table, plain, table, with_interval

_INCREASE = "Perplexity increase"


def chosen(report: Record) -> list[Record]:
    """The arms that a method chose, without the random draws."""
    return [arm for arm in report["arms"] if not arm["draw"]]


def groups(arms: Sequence[Record]) -> dict[tuple[int, str], list[Record]]:
    """Arms by (budget, method), budgets ascending, methods in the report's order, resolutions by cost."""
    methods = list(dict.fromkeys(arm["method"] for arm in arms))
    keys = sorted({(arm["budget"], methods.index(arm["method"])) for arm in arms})
    return {
        (budget, methods[place]): sorted(
            (arm for arm in arms if (arm["budget"], arm["method"]) == (budget, methods[place])),
            key=lambda arm: (arm["increase_percent"] is None, arm["increase_percent"] or 0.0, arm["tie"]),
        )
        for budget, place in keys
    }


def overview(report: Record) -> Table:
    """One row per method and budget; an arm with ties as a range over their resolutions."""
    fields = [
        Field("Removed", lambda row: Cell(str(row[0][0]))),
        Field("Method", lambda row: Cell(row[0][1])),
        Field("Layers", lambda row: _layers(row[1])),
        Field(_INCREASE, lambda row: _increase(row[1]), numeric=True),
        Field("KL to base", lambda row: _spread(row[1], "kl", numbers.distance), numeric=True),
        Field("Top-1 agreement", lambda row: _spread(row[1], "top1_agreement", numbers.share), numeric=True),
        Field(
            "Parameters removed",
            lambda row: _spread(row[1], "parameters_removed_percent", numbers.proportion),
            numeric=True,
        ),
        Field("p against random", lambda row: _chance(row[1]), numeric=True),
    ]
    rows = list(groups(chosen(report)).items())
    note = " ".join(_notes(chosen(report)))
    return table("arms", "Cost of each method at each budget, under one evaluation contract", fields, rows, note)


def every_arm(report: Record) -> Table:
    """Every arm that a method chose, each resolution of the ties in its own row."""
    fields = [
        Field("Removed", plain("budget")),
        Field("Method", plain("method")),
        Field("Layers", plain("layers", numbers.layers)),
        Field("Tie", lambda arm: Cell(f"{arm['tie'] + 1} of {arm['ties']}" if arm["ties"] > 1 else "none")),
        Field("Perplexity", plain("perplexity", numbers.perplexity), numeric=True),
        Field(_INCREASE, with_interval("increase_percent", numbers.percent, write_ends=numbers.percents), numeric=True),
        Field("KL to base", plain("kl", numbers.distance), numeric=True),
        Field("Top-1 agreement", plain("top1_agreement", numbers.share), numeric=True),
        Field("Parameters removed", lambda arm: _parameters([arm]), numeric=True),
        Field("p against random", lambda arm: _chance([arm]), numeric=True),
        Field("Kept by resamples", plain("stability", numbers.share), numeric=True),
        Field("selected on", lambda arm: Cell(arm["selected_on"] or "no text"), quiet=True),
        Field("spacing", plain("spacing"), quiet=True),
        Field("evidence", plain("evidence"), quiet=True),
    ]
    rows = [arm for group in groups(chosen(report)).values() for arm in group]
    return table("every-arm", "Every arm, each resolution of the ties in its own row", fields, rows)


def draws(report: Record) -> Table:
    """Every draw of the random control."""
    fields = [
        Field("Removed", plain("budget")),
        Field("Layers", plain("layers", numbers.layers)),
        Field("Perplexity", plain("perplexity", numbers.perplexity), numeric=True),
        Field(_INCREASE, with_interval("increase_percent", numbers.percent, write_ends=numbers.percents), numeric=True),
        Field("KL to base", plain("kl", numbers.distance), numeric=True),
        Field("Top-1 agreement", plain("top1_agreement", numbers.share), numeric=True),
    ]
    drawn = [arm for arm in report["arms"] if arm["draw"]]
    rows = [arm for group in groups(drawn).values() for arm in group]
    return table("draws", "Every random draw, by cost", fields, rows)


def control(report: Record) -> Table:
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
    return table("random", "Perplexity increase of random removal sets", fields, report["random"])


def removal(report: Record) -> Table:
    """The removal regime per budget."""
    fields = [
        Field("Removed", plain("budget")),
        Field("Removal regime", plain("regime")),
        Field(
            "Replacement − interchange, nats per token",
            with_interval("difference", _signed, write_ends=_signed_ends),
            numeric=True,
        ),
        Field("Margin", lambda row: Cell(f"±{numbers.declared(row['margin'])}"), numeric=True),
        Field("Resolutions compared", plain("resolutions", numbers.count), numeric=True),
        Field("In words", plain("sentence")),
    ]
    return table("removal", "Removal regime: whose layers are cheaper to remove", fields, report["regime"]["removal"])


def single_deletions(report: Record) -> Table:
    """Every block: what deleting it alone costs, and what each protocol scores it."""
    fields = [
        Field("Block", lambda row: Cell(str(row["block"]), "excluded" if row["excluded"] else "")),
        Field(
            _INCREASE,
            with_interval("single_deletion_increase_percent", numbers.percent, write_ends=numbers.percents),
            numeric=True,
        ),
        Field("Deletion distance", with_interval("deletion", numbers.distance, "deletion_interval"), numeric=True),
        Field("Replacement score", plain("replacement_score", numbers.distance), numeric=True),
        Field("Interchange score", plain("interchange_score", numbers.distance), numeric=True),
    ]
    return table("blocks", "Deleting each block alone; distances and scores in nats", fields, report["blocks"])


def prediction(report: Record) -> Table:
    """Whether each method's block scores go with the cost of deleting single blocks."""
    fields = [
        Field("Method", plain("method")),
        Field(
            "Rank correlation",
            with_interval("rank_correlation", numbers.correlation, write_ends=_correlations),
            numeric=True,
        ),
        Field("Blocks", plain("blocks", numbers.count), numeric=True),
    ]
    caption = "Rank correlation of each method's block scores with the cost of deleting single blocks"
    return table("prediction", caption, fields, report["prediction"])


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + numbers.distance(value)


def _signed_ends(ends: Sequence[float] | None) -> str:
    return numbers.interval(ends, _signed)


def _correlations(ends: Sequence[float] | None) -> str:
    return numbers.interval(ends, numbers.correlation)


def _notes(arms: Sequence[Record]) -> list[str]:
    """What a reader of the arms' overview must know of ties and of the smallest p."""
    notes = []
    if any(arm["ties"] > 1 for arm in arms):
        notes.append(
            "Arms with ties show the range over the resolutions measured, and the outermost ends of their intervals."
        )
    for draws, smallest in sorted(
        {(arm["draws"], arm["smallest_p"]) for arm in arms if arm["draws"] and arm["smallest_p"]}
    ):
        notes.append(f"{numbers.count(draws)} random draws can give no p below {numbers.probability(smallest)}.")
    return notes


def _layers(arms: Sequence[Record]) -> Cell:
    if arms[0]["ties"] == 1:
        return Cell(numbers.layers(arms[0]["layers"]))
    found = sum(arm["increase_percent"] is not None for arm in arms)
    measured = "all" if found == arms[0]["ties"] else str(found)
    return Cell(f"{arms[0]['ties']} tie resolutions, {measured} measured")


def _increase(arms: Sequence[Record]) -> Cell:
    found = [arm for arm in arms if arm["increase_percent"] is not None]
    if not found:
        return Cell(numbers.NOT_MEASURED)
    ends = [arm["interval"] for arm in found]
    outer = None if None in ends else (min(low for low, _ in ends), max(high for _, high in ends))
    return Cell(_range(found, "increase_percent", numbers.percent), numbers.percents(outer))


def _spread(arms: Sequence[Record], key: str, write: Callable[[Any], str]) -> Cell:
    return Cell(_range(arms, key, write))


def _range(arms: Sequence[Record], key: str, write: Callable[[Any], str]) -> str:
    values = [arm[key] for arm in arms if arm[key] is not None]
    if not values:
        return numbers.NOT_MEASURED
    least, most = write(min(values)), write(max(values))
    return least if least == most else f"{least} to {most}"


def _parameters(arms: Sequence[Record]) -> Cell:
    return Cell(
        _range(arms, "parameters_removed_percent", numbers.proportion),
        f"({_range(arms, 'parameters_removed', numbers.count)})",
    )


def _chance(arms: Sequence[Record]) -> Cell:
    if all(arm["p"] is None for arm in arms):
        return Cell("no control")
    return Cell(_range(arms, "p", numbers.probability))
