"""Texts of strangers: sizes, depth, letters that are none, readers that are named like datasets."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from checker.core.errors import CannotRun
from checker.core.records import TextSource
from checker.measure import text_rows


def refused(source: TextSource) -> str:
    with pytest.raises(CannotRun) as caught:
        list(text_rows.read_rows(source))
    return str(caught.value)


def rows(path: Path, *lines: object) -> TextSource:
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return TextSource("rows", path=str(path))


def test_a_huge_text_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.touch()
    os.truncate(path, 1_000_000_001)  # a hole, which takes no room on the disk
    message = f"{path}: found more than 1000000000 bytes; expected a text of at most so many; use a part of it"
    assert refused(TextSource("file", path=str(path))) == message
    with pytest.raises(CannotRun) as caught:
        text_rows.read_whole(TextSource("file", path=str(path)))
    assert str(caught.value) == message


def test_a_line_without_an_end_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.touch()
    os.truncate(path, 4_000_000_000)
    assert refused(TextSource("rows", path=str(path))) == (
        f"{path}:1: found a line of more than 16000000 bytes; expected at most so many; split the row"
    )


@pytest.mark.parametrize("line", ["[" * 100_000, '{"text": ' * 100_000, '{"text": ' + "9" * 5000 + "}"])
def test_a_line_that_no_reader_takes(line: str, tmp_path: Path) -> None:
    assert refused(rows(tmp_path / "t.jsonl", line)).startswith(f"{tmp_path / 't.jsonl'}:1: found no JSON (")


def test_half_a_letter_is_named(tmp_path: Path) -> None:
    """The tokenizer would crash on it."""
    assert refused(rows(tmp_path / "t.jsonl", {"text": "fine"}, {"text": "a\ud800b"})) == (
        "t.jsonl, row 2: found half of a letter (a surrogate); expected a text of at most 16000000 letters, all of "
        "them whole; correct the row, or leave it out"
    )


def test_all_rows_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rows, "LARGEST_TEXT", 10)
    assert refused(rows(tmp_path / "t.jsonl", {"text": "12345"}, {"text": "12345"}, {"text": "1"})) == (
        "t.jsonl, row 3: found more than 10 letters up to here; expected at most so many in all rows; use a part of "
        "the text"
    )


@pytest.mark.parametrize(("kind", "found"), [("k" * 900, "k" * 200), ([[]], ""), ({"a": 1}, ""), (7, "7"), (None, "")])
def test_kinds_are_short_words(kind: Any, found: str, tmp_path: Path) -> None:
    assert next(text_rows.read_rows(rows(tmp_path / "t.jsonl", {"text": "x", "kind": kind}))).kind == found


# --- parquet ---------------------------------------------------------------------------------------------------------


def table(path: Path, **columns: Any) -> TextSource:
    parquet.write_table(pyarrow.table(columns), path)
    return TextSource("rows", path=str(path))


def test_a_small_parquet_file_may_not_unpack_to_a_huge_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"text": ["a" * 3_000_000]}), path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(text_rows, "LARGEST_TEXT", 1_000_000)
    message = refused(TextSource("rows", path=str(path)))
    assert message.startswith(f"{path}: found 3000")
    assert message.endswith(
        " bytes of text in row group 0; expected at most 1000000; write the file in smaller row groups"
    )


def test_columns_that_are_not_asked_for_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = table(tmp_path / "t.parquet", text=["one"], bomb=["a" * 3_000_000], kind=["k"])
    monkeypatch.setattr(text_rows, "LARGEST_TEXT", 1_000_000)
    assert list(text_rows.read_rows(source)) == [text_rows.TextRow("one", "k")]


def test_a_table_without_the_column_names_those_it_has(tmp_path: Path) -> None:
    source = table(tmp_path / "t.parquet", other=["x"], more=[1])
    assert "row 1: found no text in column 'text' (the row has other, more)" in refused(source)


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" * 50, b"PAR1" + b"\xff" * 64 + b"\xff\xff\xff\x7fPAR1", b""])
def test_a_damaged_parquet_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    assert refused(TextSource("rows", path=str(path))).startswith(f"{path}: found no readable parquet file (")


def test_letters_that_are_no_utf8_are_damage(tmp_path: Path) -> None:
    letters = pyarrow.array([b"\xff\xfe"], pyarrow.binary()).view(pyarrow.string())
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"text": letters}), path)
    assert refused(TextSource("rows", path=str(path))).startswith(f"{path}: found no readable parquet file (")


# --- datasets --------------------------------------------------------------------------------------------------------


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {os.environ['RAN']}",)


@pytest.mark.parametrize("reader", ["pandas", "json", "text", "webdataset"])
def test_a_reader_of_the_library_is_no_dataset(reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pandas` would unpickle what lies in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    (tmp_path / "train.pkl").write_bytes(pickle.dumps(Bomb()))
    assert refused(TextSource("hub", repo=reader, split="train")) == (
        f"dataset {reader}/train: found a name without an owner; expected `owner/name`, because the library takes a "
        "single word for one of its own readers, which look for files where you stand; name the owner too"
    )
    assert not (tmp_path / "ran").exists()
