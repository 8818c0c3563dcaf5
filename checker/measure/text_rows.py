"""A text's source -> its rows, or the whole of it; every size is bounded, because texts come from strangers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from checker.core.errors import CannotRun
from checker.core.files import beginning, opened
from checker.core.records import TextSource
from checker.spec.sources import holds_rows, text_file

LARGEST_TEXT = 1_000_000_000  # bytes of a file, and letters of all rows that are read of one source
LONGEST_ROW = 16_000_000  # bytes of a line, letters of a row's text
_LONGEST_KIND = 200  # letters
_BYTE_ORDER_MARK = "\ufeff"
_HALF_LETTERS = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class TextRow:
    text: str
    kind: str = ""


def read_rows(source: TextSource) -> Iterator[TextRow]:
    """The rows of a source, in order (of a plain text: its lines); CannotRun names a row that is not one."""
    path = text_file(source)
    if path is not None and not holds_rows(source):
        yield from (TextRow(line) for line in _plain_text(path, source).removesuffix("\n").split("\n"))
        return
    rows = _hub_rows(source) if path is None else _file_rows(path, (source.column, source.kind_column))
    letters = 0
    for number, columns in enumerate(rows, 1):
        row = _row(source, columns, number)
        letters += len(row.text)
        if letters > LARGEST_TEXT:
            raise CannotRun.at(
                f"{source.name}, row {number}",
                f"more than {LARGEST_TEXT} letters up to here",
                "at most so many in all rows",
                "use a part of the text",
            )
        yield row


def read_whole(source: TextSource) -> str:
    """The whole text of a source; rows are joined by ``join``, empty ones left out where ``drop_empty`` says so."""
    path = text_file(source)
    if path is not None and not holds_rows(source):
        return _plain_text(path, source)
    return source.join.join(row.text for _, row in kept(source))


def kept(source: TextSource) -> Iterator[tuple[int, TextRow]]:
    """The rows, numbered from 1, without the empty ones where ``drop_empty`` says so."""
    for number, row in enumerate(read_rows(source), 1):
        if row.text.strip() or not source.drop_empty:
            yield number, row


def _plain_text(path: Path, source: TextSource) -> str:
    content = beginning(path, LARGEST_TEXT)
    if len(content) > LARGEST_TEXT:
        raise CannotRun.at(path, f"more than {LARGEST_TEXT} bytes", "a text of at most so many", "use a part of it")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CannotRun.at(
            path, f"byte {error.start} to be no UTF-8", "a text in UTF-8", "save it in that encoding"
        ) from None
    return _line_ends(source, text.removeprefix(_BYTE_ORDER_MARK))


def _line_ends(source: TextSource, text: str) -> str:
    """The text with its line ends as the contract says."""
    return text if source.newlines == "keep" else text.replace("\r\n", "\n").replace("\r", "\n")


def _row(source: TextSource, row: dict[str, Any], number: int) -> TextRow:
    text = row.get(source.column)
    if not isinstance(text, str):
        raise CannotRun.at(
            f"{source.name}, row {number}",
            f"no text in column {source.column!r} (the row has {', '.join(map(str, row)) or 'no columns'})",
            "text there",
            "set `column`, or leave the row out",
        )
    if len(text) > LONGEST_ROW or _HALF_LETTERS.search(text):
        found = "half of a letter (a surrogate)" if len(text) <= LONGEST_ROW else f"{len(text)} letters"
        raise CannotRun.at(
            f"{source.name}, row {number}",
            found,
            f"a text of at most {LONGEST_ROW} letters, all of them whole",
            "correct the row, or leave it out",
        )
    kind = row.get(source.kind_column)
    named = str(kind or "")[:_LONGEST_KIND] if isinstance(kind, str | int | float) else ""
    return TextRow(_line_ends(source, text), named)


def _file_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    yield from _parquet_rows(path, columns) if path.suffix == ".parquet" else read_objects(path)


def read_objects(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines; CannotRun names a line that holds none."""
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode().removeprefix(_BYTE_ORDER_MARK if number == 1 else ""))
        except (ValueError, RecursionError) as error:
            raise CannotRun.at(
                f"{path}:{number}", f"no JSON ({error})", "one object a line, in UTF-8", "correct the line"
            ) from None
        if not isinstance(row, dict):
            raise CannotRun.at(f"{path}:{number}", f"a {type(row).__name__}", "an object", "correct the line")
        yield row


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file, numbered from 1; CannotRun at one that is too long, before it is read whole."""
    with opened(path) as file:
        for number in count(1):
            line = file.readline(LONGEST_ROW + 1)
            if len(line) > LONGEST_ROW:
                raise CannotRun.at(
                    f"{path}:{number}", f"a line of more than {LONGEST_ROW} bytes", "at most so many", "split the row"
                )
            if not line:
                return
            yield number, line


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a parquet file; of other columns than ``columns`` the names alone, without values."""
    # Not through datasets, which would copy the file into its cache.
    from pyarrow import ArrowException, parquet

    try:
        with opened(path) as bytes_of, parquet.ParquetFile(bytes_of) as file:
            names = dict.fromkeys(file.schema_arrow.names)
            present = [name for name in columns if name in names]
            _check_unpacked(path, file.metadata, present)
            if not present and file.metadata.num_rows:  # which would read as no rows at all
                yield dict(names)
            for batch in file.iter_batches(batch_size=64, columns=present):
                yield from (names | row for row in batch.to_pylist())
    except (ArrowException, OSError, ValueError, OverflowError) as error:
        raise CannotRun.at(path, f"no readable parquet file ({error})", "one", "fetch it again") from error


def _check_unpacked(path: Path, metadata: Any, columns: Sequence[str]) -> None:
    """CannotRun where a part of the file would take too much room once it is unpacked: little can stand for much."""
    for group in range(metadata.num_row_groups):
        part = metadata.row_group(group)
        chunks = (part.column(number) for number in range(part.num_columns))
        size = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns)
        if size > LARGEST_TEXT:
            raise CannotRun.at(
                path,
                f"{size} bytes of text in row group {group}",
                f"at most {LARGEST_TEXT}",
                "write the file in smaller row groups",
            )


def _hub_rows(source: TextSource) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset_builder  # here, because it takes seconds to import and most texts do not need it

    if "/" not in str(source.repo):
        raise CannotRun.at(
            f"dataset {source.name}",
            "a name without an owner",
            "`owner/name`, because the library takes a single word for one of its own readers, which look for "
            "files where you stand",
            "name the owner too",
        )
    if Path(str(source.repo)).exists():
        raise CannotRun.at(
            f"dataset {source.name}",
            "a folder of that name here, which the library would read in the hub's stead",
            "none",
            "start from another folder, or use `kind: rows` for local files",
        )
    try:
        builder = load_dataset_builder(source.repo, name=source.config, revision=source.revision)
        builder.download_and_prepare()
        rows = builder.as_dataset(split=source.split)
    except Exception as error:  # the library raises many kinds; each means that the text is not to be had
        raise CannotRun.at(
            f"dataset {source.name}",
            f"no way to load it ({type(error).__name__}: {error})",
            "it on the hub or in the local cache",
            "check the name, or point the contract at a local file with `kind: file`",
        ) from error
    # Without the hub, the library takes whatever commit its cache holds.
    if re.fullmatch("[0-9a-f]{40}", source.revision or "") and builder.hash != source.revision:
        raise CannotRun.at(
            f"dataset {source.name}",
            f"commit {builder.hash} in the local cache",
            f"{source.revision}, as the contract pins it",
            "load it once with the hub at hand, or pin the one that is there",
        )
    yield from rows
