"""The removal regime, single deletions, and whether methods' scores go with them."""

from __future__ import annotations

from checker.reports.tables import numbers
from checker.reports.tables.table import Cell, Field, Record, Table, plain, table, with_interval


def removal(report: Record) -> Table:
    """The removal regime per budget."""
    fields = [
        Field("Removed", plain("budget")),
        Field("Removal regime", plain("regime")),
        Field(
            "Replacement − interchange, nats per token",
            with_interval("difference", numbers.change, write_ends=numbers.changes),
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
            "Perplexity increase",
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
            with_interval("rank_correlation", numbers.correlation, write_ends=numbers.correlations),
            numeric=True,
        ),
        Field("Blocks", plain("blocks", numbers.count), numeric=True),
    ]
    caption = "Rank correlation of each method's block scores with the cost of deleting single blocks"
    return table("prediction", caption, fields, report["prediction"])
