"""The removal regime, single deletions, and whether methods' scores go with them."""

from __future__ import annotations

from checker.judge.figures.form import BlockRow, PredictionRow, RemovalRow
from checker.judge.form import Report
from checker.reports.tables import numbers
from checker.reports.tables.table import Cell, Field, Table, figure, increase, table


def removal(report: Report) -> Table:
    """The removal regime per budget."""

    def difference(row: RemovalRow) -> Cell:
        return figure(row["difference"], row["interval"], numbers.change)

    fields: list[Field[RemovalRow]] = [
        Field("Removed", lambda row: Cell(str(row["budget"]))),
        Field("Removal regime", lambda row: Cell(row["regime"])),
        Field("Replacement − interchange, nats per token", difference, numeric=True),
        Field("Margin", lambda row: Cell(f"±{numbers.declared(row['margin'])}"), numeric=True),
        Field("Resolutions compared", lambda row: Cell(numbers.count(row["resolutions"])), numeric=True),
        Field("In words", lambda row: Cell(row["sentence"])),
    ]
    return table("removal", "Removal regime: whose layers are cheaper to remove", fields, report["regime"]["removal"])


def single_deletions(report: Report) -> Table:
    """Every block: what deleting it alone costs, and what each protocol scores it."""

    def cost(row: BlockRow) -> Cell:
        return increase(row["single_deletion_increase_percent"], row["interval"])

    def deletion(row: BlockRow) -> Cell:
        return figure(row["deletion"], row["deletion_interval"], numbers.distance)

    fields: list[Field[BlockRow]] = [
        Field("Block", lambda row: Cell(str(row["block"]), "excluded" if row["excluded"] else "")),
        Field("Perplexity increase", cost, numeric=True),
        Field("Deletion distance", deletion, numeric=True),
        Field("Replacement score", lambda row: Cell(numbers.distance(row["replacement_score"])), numeric=True),
        Field("Interchange score", lambda row: Cell(numbers.distance(row["interchange_score"])), numeric=True),
    ]
    return table("blocks", "Deleting each block alone; distances and scores in nats", fields, report["blocks"])


def prediction(report: Report) -> Table:
    """Whether each method's block scores go with the cost of deleting single blocks."""

    def correlation(row: PredictionRow) -> Cell:
        return figure(row["rank_correlation"], row["interval"], numbers.correlation)

    fields: list[Field[PredictionRow]] = [
        Field("Method", lambda row: Cell(row["method"])),
        Field("Rank correlation", correlation, numeric=True),
        Field("p over shifts", lambda row: Cell(numbers.probability(row["p"])), numeric=True),
        Field("Blocks", lambda row: Cell(numbers.count(row["blocks"])), numeric=True),
    ]
    caption = "Rank correlation of each method's block scores with the cost of deleting single blocks"
    return table("prediction", caption, fields, report["prediction"])
