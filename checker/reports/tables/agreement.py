"""Whether methods agree: rank correlations between their block scores, and the scores themselves."""

from __future__ import annotations

from collections.abc import Sequence

from checker.judge.figures.form import AgreementRow, ScoreRow
from checker.judge.form import Report
from checker.reports.tables import numbers
from checker.reports.tables.table import Cell, Field, Table, correlation, table, within


def matrix(report: Report) -> Table:
    """Spearman's rank correlations below the diagonal, Kendall's above it."""
    rows = report["agreement"]
    methods, cells = methods_of(rows), cells_of(rows)

    def column(place: int) -> Field[int]:
        return Field(str(place + 1), lambda row: Cell("–" if row == place else _written(cells.get((row, place)))))

    fields = [Field[int]("Method", lambda row: Cell(f"{row + 1} {methods[row]}"))]
    fields += [column(place) for place in range(len(methods))]
    caption = "Rank correlation of block scores: Spearman below the diagonal, Kendall above it"
    return table("agreement-matrix", caption, fields, range(len(methods)))


def sources(report: Report) -> Table:
    """Where each scoring method comes from, and how finely its scores are told apart."""
    fields: list[Field[ScoreRow]] = [
        Field("Method", lambda row: Cell(row["method"])),
        Field("Blocks scored", lambda row: Cell(str(sum(v is not None for v in row["values"]))), numeric=True),
        Field("Resolution", lambda row: _resolution(row["resolution"]), numeric=True),
        Field("Source", lambda row: Cell(row["source"])),
    ]
    note = "Scores closer than the resolution of the number format are no ranking."
    if all(row["resolution"] is None for row in report["scores"]):
        fields, note = [field for field in fields if field.title != "Resolution"], ""
    return table("sources", "Methods that score blocks", fields, report["scores"], note)


def scores(report: Report) -> Table:
    """Every method's score of every block."""

    def column(found: ScoreRow) -> Field[int]:
        return Field(found["method"], lambda block: _score(found["values"], block), numeric=True)

    blocks = range(max((len(found["values"]) for found in report["scores"]), default=0))
    fields = [Field("Block", lambda block: Cell(str(block))), *(column(found) for found in report["scores"])]
    caption = "Every method's score of every block, each in its own unit; the lowest go first"
    return table("scores", caption, fields, blocks)


def _resolution(value: float | None) -> Cell:
    return Cell("–" if value is None else numbers.significant(value, 2))


def _score(values: Sequence[float | None], block: int) -> Cell:
    value = values[block] if block < len(values) else None
    return Cell("–" if value is None else numbers.significant(value))


def pairs(report: Report) -> Table:
    fields: list[Field[AgreementRow]] = [
        Field("Methods", lambda row: Cell(f"{row['a']}, {row['b']}")),
        Field("Spearman", lambda row: within(row["spearman"], correlation), numeric=True),
        Field("Kendall", lambda row: within(row["kendall"], correlation), numeric=True),
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
        for place, found in (((second, first), row["spearman"]), ((first, second), row["kendall"])):
            if found is not None:
                cells[place] = found["value"]
    return cells


def _written(value: float | None) -> str:
    return "–" if value is None else numbers.correlation(value)
