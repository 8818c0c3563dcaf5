"""Tables of a Markdown text, and the perplexities in them, each with the line it stands in.

What a figure is follows from what stands in its row and column as a whole: a word inside of a name says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from checker.checkpoints.model_card import markdown_blocks
from checker.core.escape import one_line
from checker.core.words import listed
from checker.published.importers import headings
from checker.published.importers.importer import BROKEN, not_finite
from checker.published.printed import PATTERN

MOST_CELLS = 20_000
_VALUE = re.compile(
    rf"(?P<value>(?![+\-\u2212]){PATTERN})(?:\s*\(?\s*(?:±|\+/-|\\pm)\s*(?P<spread>{PATTERN})\s*\)?)?"
    rf"(?:\s*(?P<beside>\(\s*(?P<change>(?=[+\-\u2212]){PATTERN})\s*(?P<percent>%?)\s*\)))?"
)
_INCREASE = re.compile(rf"({PATTERN})\s*(%?)")
_METRIC, _SCORE = "metric", "value"  # columns of the table that lm-evaluation-harness prints
_TASKS = ("task", "tasks", "groups")  # its first column

Left = list[tuple[int, str]]  # lines, and what stands there and was not taken over


@dataclass(frozen=True)
class Table:
    """Cells as text, header first; ``lines`` are those of the rows in the file, from 1."""

    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Fence:
    """A block of code: its text, and the line in the file that its first line is."""

    text: str
    line: int


@dataclass(frozen=True)
class Figure:
    """A perplexity: what it is of (``label``), what its row or column is called, and what stands beside it."""

    label: str
    measure: str
    text: str
    line: int
    unpruned: bool = False
    bold: bool = False
    spread: str | None = None  # what stands after ±
    increase: str | None = None  # percent
    layers: str = ""  # the removed ones as they are printed, where several are listed


def parse(text: str, first_line: int) -> tuple[list[Table], list[Fence], list[int]]:
    """Tables, code blocks and the lines with HTML tables of a Markdown text that starts at a line of its file.

    Tables inside of code blocks count too: what a program printed is pasted there.
    """
    tables: list[Table] = []
    fences: list[Fence] = []
    html: list[int] = []
    tokens = markdown_blocks(text, tables=True)
    for number, token in enumerate(tokens):
        line = token.map[0] + first_line if token.map else 0
        if token.type == "table_open":
            tables.append(_table(tokens, number, first_line))
        elif token.type in ("fence", "code_block"):
            fences.append(Fence(token.content, line + (token.type == "fence")))
            inside = markdown_blocks(token.content, tables=True)
            tables += [
                _table(inside, at, fences[-1].line) for at, each in enumerate(inside) if each.type == "table_open"
            ]
        elif token.type == "html_block" and "<table" in token.content.lower():
            html.append(line)
    return tables, fences, html


def _table(tokens: Sequence[Any], start: int, first_line: int) -> Table:
    rows: list[list[str]] = []
    lines: list[int] = []
    for token in tokens[start + 1 :]:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
            lines.append(token.map[0] + first_line)
        elif token.type == "inline" and rows:
            rows[-1].append(token.content.strip())
    return Table(tuple(map(tuple, rows)), tuple(lines))


def figures(table: Table) -> tuple[list[Figure], Left]:
    """The perplexities of a table, and what stands in it that is not among them."""
    names = [headings.plain(name).lower() for name in table.rows[0]]
    if names[0] in _TASKS and {_METRIC, _SCORE} <= set(names):
        return _of_harness(table, names)
    grid = _Grid.of(table)
    found: list[Figure] = []
    rest: dict[tuple[int, int], str] = {}
    for row in grid.subjects:
        if row not in grid.doubtful:
            found += _in_row(grid, row, rest)
    return found, [*_doubts(grid), *_left(grid, rest)]


@dataclass(frozen=True)
class _Grid:
    """A table whose measures are columns: turned round where they are the rows of the card."""

    table: Table
    turned: bool
    rows: tuple[tuple[str, ...], ...]

    @staticmethod
    def of(table: Table) -> _Grid:
        in_columns = any(map(headings.is_perplexity, table.rows[0][1:]))
        turned = not in_columns and any(headings.is_perplexity(row[0]) for row in table.rows[1:])
        return _Grid(table, turned, tuple(zip(*table.rows, strict=True)) if turned else table.rows)

    def line(self, row: int, column: int) -> int:
        return self.table.lines[column if self.turned else row]

    def cells(self, column: int) -> list[str]:
        return [headings.plain(row[column]) for row in self.rows[1:]]

    @cached_property
    def measures(self) -> list[int]:
        """The columns of perplexities. The first one may be a heading over labels: it counts if it holds figures."""
        named = [column for column, name in enumerate(self.rows[0]) if headings.is_perplexity(name)]
        return [column for column in named if column or any(map(_VALUE.fullmatch, self.cells(0)))]

    @cached_property
    def names(self) -> list[int]:
        """The columns that say what a row is of: the first, and that of methods."""
        others = [column for column in range(len(self.rows[0])) if column not in self.measures]
        return [column for column in others if column == others[0] or headings.is_method(self.rows[0][column])]

    @cached_property
    def amounts(self) -> list[int]:
        """The columns that say how much a row removes."""
        return [column for column, name in enumerate(self.rows[0]) if headings.is_amount(name, self.cells(column))]

    @cached_property
    def increase(self) -> int | None:
        """The column of increases, if there is one, and one of perplexities, and it speaks of no other measure."""
        changes = [column for column, name in enumerate(self.rows[0]) if column and headings.is_change(name)]
        if len(self.measures) != 1 or len(changes) != 1:
            return None
        measure, change = self.rows[0][self.measures[0]], self.rows[0][changes[0]]
        return changes[0] if headings.is_change_alone(change, measure) else None

    @cached_property
    def parts(self) -> list[list[str]]:
        """What names each row; beside a method, an empty first cell goes on with the name above."""
        parts: list[list[str]] = []
        for row in self.rows:
            own = [headings.plain(row[column]) for column in self.names]
            parts.append([parts[-1][0], *own[1:]] if len(own) > 1 and not own[0] and parts else own)
        return parts

    def label(self, row: int) -> str:
        return ", ".join(filter(None, self.parts[row]))

    @cached_property
    def subjects(self) -> list[int]:
        """The rows that are of a model, and not of a change."""
        return [row for row in range(1, len(self.rows)) if not any(map(headings.is_change_alone, self.parts[row]))]

    def removes(self, row: int) -> bool | None:
        """Whether the row prints that something is removed; False: that nothing is; None: it does not say."""
        said = [headings.amount(headings.plain(self.rows[row][column])) for column in self.amounts]
        return True if True in said else False if False in said else None

    @cached_property
    def unpruned(self) -> frozenset[int]:
        """The rows that may be the baseline: by a label that says so and nothing else, because nothing is removed there
        and something in others, or because the label is the stem of others that say how much is removed."""
        rows = [row for row in self.subjects if any(self.rows[row][column] for column in self.measures)]
        removes = {row: self.removes(row) for row in rows}
        stems = headings.stems(self.label(row) for row in rows)

        def may_be(row: int) -> bool:
            if removes[row] is False and True in removes.values():
                return True
            return any(map(headings.is_unpruned, self.parts[row])) or headings.is_stem(self.label(row), stems)

        return frozenset(row for row in rows if removes[row] is not True and may_be(row))

    @property
    def doubtful(self) -> frozenset[int]:
        return self.unpruned if len(self.unpruned) > 1 else frozenset()


def _in_row(grid: _Grid, row: int, rest: dict[tuple[int, int], str]) -> Iterator[Figure]:
    """The perplexities of a row; ``rest`` gets what is left of the cells that were read."""
    cells, unpruned = grid.rows[row], row in grid.unpruned
    layers = next((column for column in grid.amounts if headings.is_list(headings.plain(cells[column]))), None)
    for column in grid.measures:
        match = _VALUE.fullmatch(headings.plain(cells[column]))
        if match is None:
            continue
        increase = match["change"] if match["percent"] and not unpruned else None
        rest[row, column] = "" if increase else match["beside"] or ""
        if grid.increase is not None and not increase and not unpruned:
            increase = _increase(grid.rows[0][grid.increase], cells[grid.increase])
            rest |= {(row, grid.increase): ""} if increase else {}
        read = [at for at in grid.amounts if at == layers or headings.amount(headings.plain(cells[at])) is False]
        rest |= {(row, at): "" for at in read}
        yield Figure(
            label=grid.label(row),
            measure=grid.rows[0][column],
            text=match["value"],
            line=grid.line(row, column),
            unpruned=unpruned,
            bold=cells[column].startswith(("**", "__")),
            spread=match["spread"],
            increase=increase,
            layers="" if layers is None else headings.plain(cells[layers]),
        )


def _increase(heading: str, cell: str) -> str | None:
    """An increase in percent; None where it is none, or not in percent."""
    match = _INCREASE.fullmatch(headings.plain(cell))
    return match[1] if match and (match[2] or headings.in_percent(heading)) else None


def _doubts(grid: _Grid) -> Left:
    if not grid.doubtful:
        return []
    labels = listed((one_line(grid.label(row), 60) or "no name" for row in sorted(grid.doubtful)), 5, "; ")
    several = f"several that may be the baseline, and none is taken ({labels}); write it under `baselines`"
    return [(grid.table.lines[0], several)]


def _left(grid: _Grid, rest: Mapping[tuple[int, int], str]) -> Iterator[tuple[int, str]]:
    """What was not read: whatever stands under a measure, and numbers elsewhere."""
    header = grid.table.rows[0]
    for number, cells in enumerate(grid.table.rows[1:], 1):
        over = []
        for place, cell in enumerate(cells):
            row, column = (place, number) if grid.turned else (number, place)
            text = rest.get((row, column), cell)
            if row and column not in grid.names and (column in grid.measures or _is_figure(text)):
                over.append((header[place], text))
        yield from _not_taken(grid.table.lines[number], cells[0] if grid.turned else grid.label(number), over)


def _of_harness(table: Table, names: Sequence[str]) -> tuple[list[Figure], Left]:
    """The table that lm-evaluation-harness prints: a task stands only in the first row of its metrics."""
    header, metric, score = table.rows[0], names.index(_METRIC), names.index(_SCORE)
    found: list[Figure] = []
    left: Left = []
    above: Sequence[str] = [""] * metric
    for cells, line in list(zip(table.rows, table.lines, strict=True))[1:]:
        own = [headings.plain(cell).lstrip("- ") for cell in cells[:metric]]
        above = own if own[0] else [cell or former for cell, former in zip(own, above, strict=True)]
        name = headings.plain(cells[metric])
        measure = ", ".join([above[0], name, *(f"{header[at]} {above[at]}" for at in range(1, metric) if above[at])])
        match = _VALUE.fullmatch(headings.plain(cells[score])) if headings.is_perplexity(name) else None
        if match and not match["beside"]:
            found.append(Figure(f"{above[0]}, {name}", measure, match["value"], line, spread=match["spread"]))
            cells = (*cells[:score], "", *cells[score + 1 :])
        over = [(header[at], cells[at]) for at in range(metric + 1, len(cells)) if at == score or _is_figure(cells[at])]
        left += _not_taken(line, measure, over)
    return found, left


def _is_figure(cell: str) -> bool:
    return re.search("[0-9]", cell) is not None or not_finite(headings.plain(cell))


def _not_taken(line: int, label: str, cells: Sequence[tuple[str, str]]) -> Left:
    """The line of a list: what a row is called, and those of its cells that hold anything, with their headings."""
    shown = [
        f"{heading} {cell}" + (f" ({BROKEN})" if not_finite(headings.plain(cell)) else "")
        for heading, cell in cells
        if cell
    ]
    return [(line, f"not taken over: {'; '.join([label, *shown])}")] if shown else []
