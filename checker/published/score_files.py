"""A CSV file of pair scores -> its rows, every mistake with its line."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from checker.core.errors import Mistake
from checker.core.files import beginning
from checker.published.printed import PATTERN, Printed
from checker.published.publication import Pair, Score

LARGEST_FILE = 10_000_000  # bytes
COLUMNS = ("i", "j", "value")
WITH_INTERVAL = (*COLUMNS, "low", "high")

_DECIMAL = re.compile(PATTERN)
_BLOCK = re.compile(r"[0-9]{1,4}")
_SHOWN = 20  # mistakes that are listed of one file
_LONGEST = 40  # characters of a field that a message repeats


@dataclass(frozen=True)
class ScoreFile:
    rows: tuple[Score, ...]
    name: str  # base name
    sha256: str


Complain = Callable[[int, str, str, str], None]  # column, found, expected, remedy


class Unreadable(Exception):
    """No row of the file could be read: what was found, what was expected, what to do."""


def read(path: Path, name: str) -> tuple[ScoreFile, list[Mistake]]:
    """The rows of a file that ``name`` names, and the mistakes in them; Unreadable where it is no such table at all."""
    try:
        content = beginning(path, LARGEST_FILE)
    except OSError as error:
        expected = "a CSV file of scores (relative paths start at the audit file's folder)"
        raise Unreadable(f"`{name}`, which cannot be read ({error.strerror})", expected, "correct the path") from None
    if len(content) > LARGEST_FILE:
        raise Unreadable(f"a file of more than {LARGEST_FILE} bytes", "at most so many", "split it")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Unreadable(f"`{name}`, which is not UTF-8", "a text file in UTF-8", "save it in UTF-8") from None
    header, rows, mistakes = _parse(lines, name)
    if header not in (COLUMNS, WITH_INTERVAL):
        # The line itself is not repeated: an audit file can name any file of this machine.
        other = f"`{name}` with another first line"
        raise Unreadable(other, "the header `i,j,value`, or `i,j,value,low,high`", "name the columns so")
    if further := len(mistakes[_SHOWN:]):
        mistakes[_SHOWN:] = [Mistake(name, 0, 0, f"{further} further mistakes", "none", "correct those above first")]
    return ScoreFile(tuple(rows), path.name, hashlib.sha256(content).hexdigest()), mistakes


def is_decimal(text: str) -> bool:
    return _DECIMAL.fullmatch(text) is not None


def _parse(lines: list[str], name: str) -> tuple[tuple[str, ...], list[Score], list[Mistake]]:
    reader = csv.reader(lines, strict=True)
    rows: list[Score] = []
    mistakes: list[Mistake] = []
    header: tuple[str, ...] = ()
    first: dict[Pair, int] = {}  # the line of each pair

    def complain(column: int, found: str, expected: str, remedy: str) -> None:
        mistakes.append(Mistake(name, reader.line_num, column, found, expected, remedy))

    try:
        header = tuple(field.strip() for field in next(reader, []))
        for fields in reader:
            row = _row([field.strip() for field in fields], len(header), complain) if any(fields) else None
            if row is not None and _stands(row, first, complain):
                first[row.i, row.j] = reader.line_num
                rows.append(row)
    except csv.Error as error:
        complain(1, f"what CSV cannot read ({error})", "values joined by commas", "correct the line")
    return header, rows, mistakes


def _row(fields: list[str], width: int, complain: Complain) -> Score | None:
    if len(fields) != width:
        complain(1, f"{len(fields)} values", f"{width}, as in the header", "add or remove values")
        return None
    sound = True
    for place, field in enumerate(fields):
        pattern, expected = (_BLOCK, "the number of a block, from 0") if place < 2 else (_DECIMAL, "a decimal number")
        if not pattern.fullmatch(field):
            sound = False
            column = sum(len(before) + 1 for before in fields[:place]) + 1
            complain(column, f"`{_cut(field)}`", expected, "correct it")
    if not sound:
        return None
    value, *ends = map(Printed.of, fields[2:])
    return Score(int(fields[0]), int(fields[1]), value, (ends[0], ends[1]) if ends else None)


def _stands(row: Score, first: Mapping[Pair, int], complain: Complain) -> bool:
    """Whether a row may stand: its lower block first, its pair not given before, its interval in order."""
    pair, low_high = f"the pair {row.i}, {row.j}", row.interval
    if row.i >= row.j:
        complain(1, pair, "its lower block first", "swap them; for the other direction, give a table of its own")
    elif (row.i, row.j) in first:
        once = f"each pair once (the first is on line {first[row.i, row.j]})"
        complain(1, f"{pair} a second time", once, "remove one of them")
    elif low_high and low_high[1].surely_below(low_high[0]):
        complain(1, f"an interval from {low_high[0]} to {low_high[1]}", "its lower end first", "swap low and high")
    else:
        return True
    return False


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
