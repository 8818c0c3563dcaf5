"""Tables of a Markdown text, and the perplexities in them, each with the line it stands in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from checker.checkpoints.model_card import markdown_blocks
from checker.published.score_files import is_decimal

MOST_CELLS = 20_000
_PERPLEXITY = re.compile(r"perplexit|\bppl\b", re.IGNORECASE)
_CHANGE = re.compile(r"increase|\bchange|degradation|delta|[\u0394\u2206]|[%+]", re.IGNORECASE)
_LAYERS = re.compile(r"layers?|blocks?", re.IGNORECASE)
_LIST = re.compile(r"\[?\s*([0-9]{1,4}(?:\s*,\s*[0-9]{1,4})+)\s*\]?|\[\s*([0-9]{1,4})\s*\]")
_UNPRUNED = re.compile(r"\b(?:base|baseline|original|unpruned|full|dense|before)\b", re.IGNORECASE)
_PRUNED = re.compile(r"prun|remov|drop|delet|\bcut\b|after", re.IGNORECASE)
_BOLD = re.compile(r"(\*\*|__)(.+)\1")


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
    bold: bool = False
    increase: str | None = None
    layers: tuple[int, ...] = ()

    @property
    def of_unpruned(self) -> bool:
        return _UNPRUNED.search(self.label) is not None and _PRUNED.search(self.label) is None


def parse(text: str, first_line: int) -> tuple[list[Table], list[Fence], list[int]]:
    """Tables, code blocks and the lines with HTML tables of a Markdown text that starts at a line of its file."""
    tables: list[Table] = []
    fences: list[Fence] = []
    html: list[int] = []
    tokens = markdown_blocks(text, tables=True)
    for number, token in enumerate(tokens):
        line = token.map[0] + first_line if token.map else 0
        if token.type == "table_open":
            tables.append(_table(tokens, number, first_line))
        elif token.type == "fence":
            fences.append(Fence(token.content, line + 1))
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


def figures(table: Table) -> tuple[list[Figure], list[tuple[int, str]]]:
    """The perplexities of a table, whose measures are its columns or its rows; and, by line, the numbers left over."""
    header, body = table.rows[0], list(zip(table.rows, table.lines, strict=True))[1:]
    columns = [place for place, name in enumerate(header) if place and _is_perplexity(name)]
    figures: list[Figure] = []
    unread: list[tuple[int, str]] = []
    for row, line in body:
        if columns:
            own, used = _in_columns(header, row, line, columns)
        elif row and _is_perplexity(row[0]):
            own, used = _in_row(header, row, line)
        else:
            own, used = [], set()
        figures += own
        over = [place for place, cell in enumerate(row) if place not in used and place and re.search(r"[0-9]", cell)]
        if over:
            unread.append((line, "; ".join([row[0], *(f"{header[place]} {row[place]}" for place in over)])))
    return figures, unread


def _is_perplexity(name: str) -> bool:
    return _PERPLEXITY.search(name) is not None and _CHANGE.search(name) is None


def _in_columns(
    header: Sequence[str], row: Sequence[str], line: int, columns: Sequence[int]
) -> tuple[list[Figure], set[int]]:
    """The perplexities of a row, and which of its cells were read. An increase belongs to the only perplexity there."""
    numbers = {place: _number(cell) for place, cell in enumerate(row)}
    measured = [place for place in columns if numbers[place][0] is not None]
    changes = [place for place, name in enumerate(header) if place and _CHANGE.search(name)]
    change = changes[0] if len(columns) == len(changes) == 1 and numbers[changes[0]][0] is not None else None
    listed = next((place for place, name in enumerate(header) if _LAYERS.search(name) and _blocks(row[place])), None)
    increase = numbers[change][0] if change is not None else None
    layers = _blocks(row[listed]) if listed is not None else ()
    figures = [
        Figure(row[0], header[place], numbers[place][0] or "", line, numbers[place][1], increase, layers)
        for place in measured
    ]
    return figures, {*measured, *(place for place in (change, listed) if measured and place is not None)}


def _in_row(header: Sequence[str], row: Sequence[str], line: int) -> tuple[list[Figure], set[int]]:
    figures, used = [], set()
    for place in range(1, len(row)):
        text, bold = _number(row[place])
        if text is not None and not _CHANGE.search(header[place]):
            figures.append(Figure(header[place], row[0], text, line, bold))
            used.add(place)
    return figures, used


def _blocks(cell: str) -> tuple[int, ...]:
    match = _LIST.fullmatch(cell.strip("*` "))
    return tuple(int(number) for number in (match[1] or match[2]).split(",")) if match else ()


def _number(cell: str) -> tuple[str | None, bool]:
    """The decimal in a cell as it is written, and whether it is bold; None where there is anything else."""
    bold = _BOLD.fullmatch(cell.strip())
    text = (bold[2] if bold else cell).strip("*`_ ").removesuffix("%").strip()
    return (text if is_decimal(text) else None), bold is not None
