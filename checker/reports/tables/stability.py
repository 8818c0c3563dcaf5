"""Whether methods stay with their scores and selections on other prompts, and how many more would settle them."""

from __future__ import annotations

from collections.abc import Sequence

from checker.judge.figures.form import FurtherPromptsRow, PortionRow, StabilityRow
from checker.judge.form import Report
from checker.reports.tables import numbers
from checker.reports.tables.table import Cell, Field, Table, table, valued

_PORTIONS = {(0, 1): "First quarter", (0, 2): "First half", (0, 3): "First three quarters", (2, 4): "Second half"}


def sentence(report: Report) -> str:
    """The two halves' most and least stable methods, and how many selections are settled; empty without figures."""
    parts = []
    halves = [(row["halves"]["value"], row["method"]) for row in report["stability"] if row["halves"] is not None]
    if len(halves) > 1:
        low, high = (pick(halves, key=lambda half: half[0]) for pick in (min, max))
        parts.append(
            f"Between the two halves of the prompts, {high[1]} changes its ranking of blocks least (rank "
            f"correlation {numbers.correlation(high[0])}) and {low[1]} most ({numbers.correlation(low[0])})."
        )
    counted = []
    for budget in _budgets(report):
        answers = [further["prompts"] for row in report["stability"] for further in _further(row, budget)]
        counted.append(f"{sum(answer == 0 for answer in answers)} of {len(answers)} at {budget} removed")
    if counted:
        parts.append(f"Selections that the prompts at hand settle: {', '.join(counted)}.")
    return " ".join(parts)


def correlations(report: Report) -> Table:
    """How far scores on a part of the prompts rank blocks as those on all of them do."""
    fields = [
        Field("Method", lambda row: Cell(row["method"])),
        Field("Two halves with each other", lambda row: valued(row["halves"], numbers.correlation), numeric=True),
        *map(_portion_field, _portions(report)),
    ]
    caption = "Rank correlation of block scores on a part of the prompts with those on all of them"
    return table("stability", caption, fields, report["stability"])


def settling(report: Report) -> Table:
    """How many further prompts would settle each method's selection."""

    def column(budget: int) -> Field[StabilityRow]:
        return Field(f"{budget} removed", lambda row: _settled(_further(row, budget)))

    fields = [Field("Method", lambda row: Cell(row["method"])), *map(column, _budgets(report))]
    note = (
        "A selection is settled where the interval of the difference between the last block in and the first one out "
        "lies off 0."
    )
    if any(further["prompts"] is None for row in report["stability"] for further in row["further_prompts"]):
        note += (
            " No number: the two are equal, nothing else is left to choose, or the score is not a mean over prompts."
        )
    return table("settling", "Further prompts that would settle a selection", fields, report["stability"], note)


def overlaps(report: Report) -> Table:
    """How many blocks a selection on a part of the prompts shares with that on all of them."""
    portions = [portion for row in report["stability"] for portion in row["portions"]]
    budgets = sorted({overlap["budget"] for portion in portions for overlap in portion["overlap"]})
    rows = [(budget, row) for budget in budgets for row in report["stability"]]

    def column(portion: tuple[int, int]) -> Field[tuple[int, StabilityRow]]:
        return Field(_name(portion), lambda row: _shared(row[1], portion, row[0]), numeric=True)

    fields = [
        Field("Removed", lambda row: Cell(str(row[0]))),
        Field("Method", lambda row: Cell(row[1]["method"])),
        *map(column, _portions(report)),
    ]
    caption = "Blocks that a selection on a part of the prompts shares with that on all of them"
    note = "Among equal scores the lower block is taken."
    return table("overlaps", caption, fields, rows, note, by_budget=True)


def _budgets(report: Report) -> list[int]:
    return sorted({further["budget"] for row in report["stability"] for further in row["further_prompts"]})


def _further(row: StabilityRow, budget: int) -> list[FurtherPromptsRow]:
    return [further for further in row["further_prompts"] if further["budget"] == budget]


def _portions(report: Report) -> list[tuple[int, int]]:
    """The parts of the prompts that occur, from the first quarter on, those that start later after the others."""
    return sorted({_quarters(portion) for row in report["stability"] for portion in row["portions"]})


def _quarters(portion: PortionRow) -> tuple[int, int]:
    return portion["from_quarter"], portion["to_quarter"]


def _name(portion: tuple[int, int]) -> str:
    return _PORTIONS.get(portion, f"Quarters {portion[0] + 1} to {portion[1]}")


def _portion_field(portion: tuple[int, int]) -> Field[StabilityRow]:
    def write(row: StabilityRow) -> Cell:
        correlations = {_quarters(part): part["rank_correlation"] for part in row["portions"]}
        return valued(correlations.get(portion), numbers.correlation)

    return Field(_name(portion), write, numeric=True)


def _settled(further: Sequence[FurtherPromptsRow]) -> Cell:
    if not further:
        return Cell("–")
    prompts = further[0]["prompts"]
    if prompts is None:
        return Cell("no number", "", "na")
    if prompts == 0:
        return Cell("settled", "", "pass")
    return Cell(f"about {numbers.count(prompts)}", "", "open")


def _shared(row: StabilityRow, portion: tuple[int, int], budget: int) -> Cell:
    for part in row["portions"]:
        for overlap in part["overlap"]:
            if _quarters(part) == portion and overlap["budget"] == budget and overlap["shared"] is not None:
                return Cell(f"{overlap['shared']} of {overlap['of']}")
    return Cell("–")
