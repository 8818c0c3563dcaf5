"""CSV and JSON tables of pair scores -> `scores`, through a mapping that says which column is which."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from checker.core.errors import UsageError
from checker.core.escape import one_line
from checker.core.exact_json import read_json_text, read_text
from checker.published.importers.draft import MODEL, Draft, blank, name_for
from checker.published.importers.importer import (
    LARGEST_TABLE,
    MOST_ROWS,
    Importer,
    Request,
    block_count,
    model,
    whole_number,
)
from checker.published.printed import Printed
from checker.published.score_files import is_decimal

REQUIRED = ("i", "j", "value")
KEYS = (*REQUIRED, "low", "high")
_DELIMITERS = ",\t;"
_SHOWN = 8  # names in a message
_MORE = None  # name of a row's values where there are more than columns
_PROTOCOL = "interchange, replacement, deletion or averaging"
_DIRECTION = "forward (i<-j: position i runs block j), backward, max, mean or undeclared"

Find = Callable[[Any, str], Any]


@dataclass
class _Table:
    """Rows of one column: those with the lower block first, and those with it last, turned round."""

    forward: dict[tuple[int, int], list[Any]] = field(default_factory=dict)
    turned: dict[tuple[int, int], list[Any]] = field(default_factory=dict)


def _from_csv(request: Request) -> Draft:
    lines = read_text(request.path, LARGEST_TABLE, "a CSV file").splitlines()
    records = list(islice(_records(request, lines), MOST_ROWS + 1))
    return _draft(request, records, lambda record, name: record.get(name), request.name)


def _records(request: Request, lines: list[str]) -> Iterator[tuple[str, dict[str | None, Any]]]:
    """The rows, each with its place; the header must have every mapped column once."""
    delimiter = max(_DELIMITERS, key=lines[0].count) if lines else ","
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(request, header)
        for fields in reader:
            if any(value.strip() for value in fields):
                more = any(value.strip() for value in fields[len(header) :])
                row: dict[str | None, Any] = {_MORE: fields} if more else dict(zip(header, fields, strict=False))
                yield f"{request.name}:{reader.line_num}", row
    except csv.Error as error:
        raise UsageError.at(
            f"{request.path}:{reader.line_num}",
            f"what CSV cannot read ({error})",
            "values joined by commas, tabs or semicolons",
            "correct the line",
        ) from None


def _check_header(request: Request, header: Sequence[str]) -> None:
    for name in chain(*_columns(request).values()):
        if header.count(name) != 1:
            wrong = "no column" if name not in header else "several columns"
            names = ", ".join(one_line(each, 40) for each in header[:_SHOWN]) or "nothing"
            raise UsageError.at(
                f"{request.path}:1",
                f"{wrong} {one_line(name, 40)!r} (the first line has {names})",
                "one",
                "say which column is which with --map, as in --map i=layer_a,j=layer_b,value=replacement_max",
            )


def _from_json(request: Request) -> Draft:
    content = read_json_text(request.path, LARGEST_TABLE, "JSON with a list of scores")
    where, records = _list(request, content)
    name = content.get("model") if isinstance(content, dict) else None
    placed = [(f"{where}, entry {number}", record) for number, record in enumerate(records)]
    return _draft(request, placed, _at, where, name if type(name) is str else None)


def _list(request: Request, content: Any) -> tuple[str, list[Any]]:
    """The list of records, and what to call its place."""
    records = content if request.records is None else _at(content, request.records)
    if isinstance(records, list):
        _check_size(request, records)
        return request.name + (f", {one_line(request.records)}" if request.records else ""), records
    lists = [key for key, value in content.items() if isinstance(value, list)] if isinstance(content, dict) else []
    names = ", ".join(one_line(key, 40) for key in lists[:_SHOWN]) or "none"
    wrong = "no list" if request.records is None else f"no list at {one_line(request.records, 40)!r}"
    raise UsageError.at(
        request.path,
        f"{wrong} (the lists at the top are: {names})",
        "a list of scores",
        "say where it stands with --records, as in --records pairwise_distances",
    )


def _at(content: Any, path: str) -> Any:
    """What stands at a dotted path; None where there is nothing. A key that holds dots itself comes first."""
    if isinstance(content, dict) and path in content:
        return content[path]
    for part in path.split("."):
        if isinstance(content, list) and (number := whole_number(part)) is not None and number < len(content):
            content = content[number]
        elif isinstance(content, dict) and part in content:
            content = content[part]
        else:
            return None
    return content


def _columns(request: Request) -> Mapping[str, tuple[str, ...]]:
    return {**{name: (name,) for name in REQUIRED}, **request.columns}


def _draft(request: Request, records: list[tuple[str, Any]], find: Find, where: str, known: str | None = None) -> Draft:
    _check_size(request, records)
    wrong: list[str] = []
    scores: list[dict[str, Any]] = []
    turned: list[str] = []
    for column in _columns(request)["value"]:
        table = _Table()
        for place, record in records:
            if problem := _add(table, record, find, {**_columns(request), "value": (column,)}):
                wrong.append(f"{place}: {problem}")
        entries = list(_entries(table, column, where, scores))
        turned += [entries[-1]["id"]] if table.turned else []
        scores += entries
    if not scores:
        first = f" (the first: {wrong[0]})" if wrong else ""
        remedy = f"see whether --map names the right columns{first}"
        raise UsageError.at(request.path, "no row with two blocks and a score", "some", remedy)
    remarks = [] if known is None else [f"the model's name is what stands under `model` in {request.name}"]
    remarks += [f"{name}: in these rows the higher block stood first; they are turned round" for name in turned]
    remarks.append(
        "scores are marked `archive`, as figures of a data file; take that away if they were typed from a page"
    )
    return Draft(
        origin=request.name,
        title=f"Published scores of {known or request.name}",
        source=blank("title of the paper, card or report that the file belongs to"),
        models={MODEL: model(known, block_count(request))},
        scores=scores,
        remarks=remarks,
        not_understood=wrong,
    )


def _check_size(request: Request, records: Sequence[Any]) -> None:
    if len(records) > MOST_ROWS:
        raise UsageError.at(
            request.path,
            f"more than {MOST_ROWS:,} rows",
            "at most that",
            "import a part of it, or name a CSV file with the columns i,j,value under `file:`",
        )


def _add(table: _Table, record: Any, find: Find, columns: Mapping[str, tuple[str, ...]]) -> str | None:
    """Adds a row, or says what is wrong with it."""
    if not isinstance(record, dict):
        return "no object with named values"
    if _MORE in record:  # 0,5 may be one number
        return "more values than the first line has names"
    cells = {key: find(record, names[0]) for key, names in columns.items()}
    i, j, value = whole_number(cells["i"]), whole_number(cells["j"]), _decimal(cells["value"])
    if i is None or j is None or i == j:
        return f"no pair of two blocks, but {_shown(cells['i'])} and {_shown(cells['j'])}"
    if value is None:
        score = f"score of the pair {i}, {j} under {columns['value'][0]}"
        return f"no decimal number, but {_shown(cells['value'])}, as {score}"
    rows, pair = (table.forward, (i, j)) if i < j else (table.turned, (j, i))
    if pair in rows:
        return f"the pair {i}, {j} a second time"
    low, high = (_decimal(cells.get(end)) for end in ("low", "high"))
    sound = low is not None and high is not None and not Printed.of(high).surely_below(Printed.of(low))
    rows[pair] = [*pair, value, low, high] if sound else [*pair, value]
    if not sound and any(cells.get(end) not in (None, "") for end in ("low", "high")):
        return f"no interval, but {_shown(cells['low'])} and {_shown(cells['high'])}, at the pair {i}, {j}"
    return None


def _decimal(value: Any) -> str | None:
    return str(value).strip() if isinstance(value, str) and is_decimal(value.strip()) else None


def _shown(value: Any) -> str:
    return "nothing" if value is None or value == "" else f"`{one_line(value, 40)}`"


def _entries(table: _Table, column: str, where: str, others: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    taken = [entry["id"] for entry in others]
    stem = name_for(column, taken)
    both = "; pairs stand there in both orders" if table.forward and table.turned else ""
    for name, rows in ((stem, table.forward), (name_for(f"{stem}-turned", [*taken, stem]), table.turned)):
        if rows:
            yield {
                "id": name,
                "model": MODEL,
                "protocol": blank(f"{_PROTOCOL} (the column is called {one_line(column, 60)})"),
                "direction": blank(_DIRECTION + both),
                "archive": True,
                "where": one_line(f"{where}, column {column}"),
                "values": list(rows.values()),
            }


CSV = Importer("csv", "a table of pair scores", frozenset({"columns", "base", "blocks"}), _from_csv)
JSON = Importer("json", "a list of pair scores", frozenset({"columns", "records", "base", "blocks"}), _from_json)
