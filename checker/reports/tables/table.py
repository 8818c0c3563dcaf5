"""What a section is made of, whatever the format: tables of cells, figures with a sentence and a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from markupsafe import Markup

from checker.judge.figures.form import Ends, ValueRow
from checker.reports.tables import numbers
from checker.reports.tables.words import MARKS

R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """Text, a quieter text after it (an interval), and the word of a verdict where the cell is one."""

    text: str
    aside: str = ""
    word: str = ""  # pass, fail, open or na

    @property
    def mark(self) -> str:
        return MARKS[self.word] if self.word else ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.mark, self.text, self.aside) if part)


@dataclass(frozen=True)
class Table:
    """Rows under columns; the first cell of a row names it.

    Where rows stand ``by_budget``, the first cell is the budget and the second one names the row.
    """

    name: str
    caption: str
    columns: tuple[Field[Any], ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    by_budget: bool = False


@dataclass(frozen=True)
class Figure:
    """A chart drawn wide and narrow, the sentence that says what it shows, its data, and how its marks are read."""

    name: str
    sentence: str
    wide: Markup
    narrow: Markup
    table: Table
    key: str = ""


@dataclass(frozen=True)
class Field(Generic[R]):
    """How one column is made from a row. A ``quiet`` column whose cells are all equal becomes part of the note."""

    title: str
    write: Callable[[R], Cell]
    numeric: bool = False
    quiet: bool = False


def table(
    name: str,
    caption: str,
    fields: Sequence[Field[R]],
    rows: Sequence[R],
    note: str = "",
    by_budget: bool = False,
) -> Table:
    """One line per row; equal quiet columns and a missing interval are said once, in the note."""
    cells = [[field.write(row) for field in fields] for row in rows]
    constant = [
        place
        for place, field in enumerate(fields)
        if field.quiet and len({line[place] for line in cells}) == 1 and len(cells) > 1
    ]
    remarks = [f"{fields[place].title}: {cells[0][place]}" for place in constant]
    if any(cell.aside == numbers.NO_INTERVAL for line in cells for cell in line):
        remarks.append("no interval: fewer than 8 effective units")
    kept = [place for place in range(len(fields)) if place not in constant]
    sentence = "; ".join(remarks) and f"{'In every row, ' if constant else ''}{'; '.join(remarks)}."
    return Table(
        name,
        caption,
        tuple(fields[place] for place in kept),
        tuple(tuple(_short(line[place]) for place in kept) for line in cells),
        " ".join(part for part in (note, sentence[:1].upper() + sentence[1:]) if part),
        by_budget,
    )


def pairs_of(name: str, caption: str, rows: Iterable[tuple[str, str | None]]) -> Table:
    """A table of names and values."""
    fields: list[Field[tuple[str, str | None]]] = [
        Field("What", lambda row: Cell(row[0])),
        Field("Value", lambda row: within(row[1], Cell)),
    ]
    return table(name, caption, fields, list(rows))


def figure(value: float | None, ends: Ends, write: Callable[[float], str]) -> Cell:
    """A value and its interval, written alike; no interval where nothing was measured."""
    return Cell(numbers.NOT_MEASURED) if value is None else Cell(write(value), numbers.interval(ends, write))


def increase(percent: float | None, ends: Ends) -> Cell:
    """An increase in perplexity and its interval, whose unit stands with the value."""
    return Cell(numbers.percent(percent), "" if percent is None else numbers.percents(ends))


def valued(row: ValueRow | None, write: Callable[[float], str]) -> Cell:
    """As ``figure``, of a row that may be missing."""
    return figure(row and row["value"], row and row["interval"], write)


def within(part: T | None, write: Callable[[T], Cell]) -> Cell:
    """A cell about a part of a row that may be missing."""
    return Cell(numbers.NOT_MEASURED) if part is None else write(part)


def _short(cell: Cell) -> Cell:
    return Cell(cell.text, "no interval", cell.word) if cell.aside == numbers.NO_INTERVAL else cell
