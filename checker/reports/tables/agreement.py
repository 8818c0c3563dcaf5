"""Whether methods agree: rank correlations between their block scores, and the scores themselves."""

from __future__ import annotations

from collections.abc import Sequence

from checker.judge.figures.form import AgreementRow, ScoreRow
from checker.judge.form import Report
from checker.reports.tables import numbers
from checker.reports.tables.table import Cell, Field, Table, table, valued


def matrix(report: Report) -> Table:
    """Spearman's rank correlations below the diagonal, Kendall's above it."""
    rows = report["agreement"]
    methods, cells = methods_of(rows), {at: numbers.correlation(value) for at, value in cells_of(rows).items()}

    def column(place: int) -> Field[int]:
        return Field(str(place + 1), lambda row: Cell("–" if row == place else cells.get((row, place), "–")))

    fields = [Field[int]("Method", lambda row: Cell(f"{row + 1} {methods[row]}"))]
    fields += [column(place) for place in range(len(methods))]
    caption = "Rank correlation of block scores: Spearman below the diagonal, Kendall above it"
    return table("agreement-matrix", caption, fields, range(len(methods)))


def sources(report: Report) -> Table:
    """Where each scoring method comes from, and how finely its scores are told apart."""
    fields: list[Field[ScoreRow]] = [
        Field("Method", lambda row: Cell(row["method"])),
        Field("Blocks scored", lambda row: Cell(str(sum(v is not None for v in row["values"]))), numeric=True),
        Field("Resolution", lambda row: _score(row["resolution"], 2), numeric=True),
        Field("Source", lambda row: Cell(row["source"])),
    ]
    note = "Scores closer than the resolution of the number format are no ranking."
    if all(row["resolution"] is None for row in report["scores"]):
        fields, note = [field for field in fields if field.title != "Resolution"], ""
    return table("sources", "Methods that score blocks", fields, report["scores"], note)


def scores(report: Report) -> Table:
    """Every method's score of every block."""

    def column(row: ScoreRow) -> Field[int]:
        scores = dict(enumerate(row["values"]))
        return Field(row["method"], lambda block: _score(scores.get(block)), numeric=True)

    blocks = range(max((len(row["values"]) for row in report["scores"]), default=0))
    fields = [Field("Block", lambda block: Cell(str(block))), *map(column, report["scores"])]
    caption = "Every method's score of every block, each in its own unit; the lowest go first"
    return table("scores", caption, fields, blocks)


def _score(value: float | None, digits: int = 3) -> Cell:
    return Cell("–" if value is None else numbers.significant(value, digits))


def pairs(report: Report) -> Table:
    fields: list[Field[AgreementRow]] = [
        Field("Methods", lambda row: Cell(f"{row['a']}, {row['b']}")),
        Field("Spearman", lambda row: valued(row["spearman"], numbers.correlation), numeric=True),
        Field("Kendall", lambda row: valued(row["kendall"], numbers.correlation), numeric=True),
        Field("Blocks", lambda row: Cell(numbers.count(row["blocks"])), numeric=True),
    ]
    return table("agreement", "Rank correlation of every two methods' block scores", fields, report["agreement"])


def methods_of(rows: Sequence[AgreementRow]) -> list[str]:
    return list(dict.fromkeys(row[end] for row in rows for end in ("a", "b")))


def cells_of(rows: Sequence[AgreementRow]) -> dict[tuple[int, int], float]:
    """(row, column) -> rank correlation, Spearman's below the diagonal and Kendall's above it."""
    methods, cells = methods_of(rows), {}
    for row in rows:
        first, second = sorted((methods.index(row["a"]), methods.index(row["b"])))
        if row["spearman"] is not None:
            cells[second, first] = row["spearman"]["value"]
        if row["kendall"] is not None:
            cells[first, second] = row["kendall"]["value"]
    return cells
