"""Rows, plain texts and datasets of the hub, as they are read and as they are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pytest
from pyarrow import parquet
from tiny_texts import WITHOUT, plain, refused, rows, tokens, words

from checker.core.records import ScoringContract, TextSource
from checker.measure import text_rows, texts

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_rows_are_joined_and_empty_ones_dropped(tmp_path: Path) -> None:
    source = rows(tmp_path, "one", "", " ", "two\n")
    assert text_rows.read_whole(source) == "one\n\n\n\n \n\ntwo\n"
    assert text_rows.read_whole(replace(source, join=" | ", drop_empty=True)) == "one | two\n"
    assert text_rows.read_whole(plain(tmp_path, "one\n\n\ntwo\n")) == "one\n\n\ntwo\n", "a plain text stays as it is"


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(b"\xef\xbb\xbfone\ntwo\xef\xbb\xbf\n")
    source = TextSource("file", path=str(tmp_path / "text.txt"))
    assert text_rows.read_whole(source) == "one\ntwo\ufeff\n", "only the one at the start is a mark"
    assert all_rows(source) == [text_rows.TextRow("one"), text_rows.TextRow("two\ufeff")]
    rows_source = lines(tmp_path, b'\xef\xbb\xbf{"text": "one"}\n{"text": "two"}\n')
    assert [row.text for row in all_rows(rows_source)] == ["one", "two"]
    message = refused(all_rows, lines(tmp_path, b'{"text": "one"}\n\xef\xbb\xbf{"text": "two"}\n'))
    assert "rows.jsonl:2: found no JSON" in message


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_are_read_as_the_contract_says(tmp_path: Path, end: str) -> None:
    text = end.join(["one", "", "two", ""])
    (tmp_path / "text.txt").write_bytes(text.encode())
    whole = TextSource("file", path=str(tmp_path / "text.txt"))
    (tmp_path / "rows.jsonl").write_bytes(json.dumps({"text": text}).encode())
    in_rows = TextSource("rows", path=str(tmp_path / "rows.jsonl"))
    in_parquet = write_parquet(tmp_path / "rows.parquet", text=[text])
    for source in (whole, in_rows, in_parquet):
        assert text_rows.read_whole(source) == "one\n\ntwo\n"
        assert text_rows.read_whole(replace(source, newlines="keep")) == text


def write_parquet(path: Path, **columns: list[Any]) -> TextSource:
    parquet.write_table(pyarrow.table(columns), path)
    return TextSource("rows", path=str(path))


def test_jsonl_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    source = rows(tmp_path, *(f"text {number}" for number in range(600)))
    found = all_rows(source)
    assert found[7] == text_rows.TextRow("text 7", "k7")
    columns = {"text": [row.text for row in found], "kind": [row.kind for row in found]}
    same = write_parquet(tmp_path / "rows[1].parquet", **columns)
    assert all_rows(same) == found
    assert text_rows.read_whole(same) == text_rows.read_whole(source)
    assert next(text_rows.read_rows(replace(same, column="kind", kind_column="none"))) == text_rows.TextRow("k0", "")


def test_a_parquet_file_is_read_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for text in ("one", "two"):
        assert all_rows(write_parquet(tmp_path / "rows.parquet", text=[text])) == [text_rows.TextRow(text)]
    assert not (tmp_path / "cache").exists(), "no copy is left in a cache"
    assert refused(all_rows, write_parquet(tmp_path / "rows.parquet", text=["one", None])).startswith(
        "rows.parquet, row 2: found no text in column 'text'"
    )


def lines(tmp_path: Path, content: bytes, name: str = "rows.jsonl") -> TextSource:
    (tmp_path / name).write_bytes(content)
    return TextSource("rows", path=str(tmp_path / name))


def all_rows(source: TextSource) -> list[text_rows.TextRow]:
    return list(text_rows.read_rows(source))


def test_blank_lines_between_rows_are_no_rows(tmp_path: Path) -> None:
    found = all_rows(lines(tmp_path, b'{"text": "one"}\r\n\n  \n{"text": "two", "kind": null}'))
    assert found == [text_rows.TextRow("one"), text_rows.TextRow("two")]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert refused(all_rows, lines(tmp_path, b'{"text": "one"}\n\n{"text": }\n')) == (
        f"{path}:3: found no JSON (Expecting value: line 1 column 10 (char 9)); expected one object a line, in UTF-8; "
        "correct the line"
    )
    assert refused(all_rows, lines(tmp_path, b'["one"]\n')) == (
        f"{path}:1: found a list; expected an object; correct the line"
    )
    assert refused(all_rows, lines(tmp_path, b'{"text": "\xff"}\n')).startswith(f"{path}:1: found no JSON ('utf-8'")


def test_a_row_without_text_is_named(tmp_path: Path) -> None:
    assert refused(all_rows, lines(tmp_path, b'{"text": "one"}\n{"body": "two", "kind": "k"}\n')) == (
        "rows.jsonl, row 2: found no text in column 'text' (the row has body, kind); expected text there; "
        "set `column`, or leave the row out"
    )
    assert "row 1: found no text in column 'text' (the row has text)" in refused(
        all_rows, lines(tmp_path, b'{"text": 5}\n')
    )
    assert "(the row has no columns)" in refused(all_rows, lines(tmp_path, b"{}\n"))


def test_files_that_are_not_what_they_should_be(tmp_path: Path) -> None:
    source = TextSource("file", path=str(tmp_path / "latin.txt"))
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    assert refused(text_rows.read_whole, source) == (
        f"{tmp_path}/latin.txt: found byte 3 to be no UTF-8; expected a text in UTF-8; save it in that encoding"
    )
    broken = refused(all_rows, lines(tmp_path, b"no parquet", "rows.parquet"))
    assert broken.startswith(f"{tmp_path}/rows.parquet: found no readable parquet file (")
    assert "found no such file" in refused(text_rows.read_whole, replace(source, path=str(tmp_path / "none.txt")))


# --- datasets of the hub ---------------------------------------------------------------------------------------------


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache laid out as the library leaves it after loading ``org/prose`` once; the hub itself is out of reach."""
    folder = tmp_path / "cache" / "org___prose" / "plain" / "0.0.0" / COMMIT
    folder.mkdir(parents=True)
    table = pyarrow.table({"text": ["", words(0, 4), words(4, 8)]})
    path = str(folder / "prose-test.arrow")
    with pyarrow.OSFile(path, "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    split = {"name": "test", "num_examples": 3, "num_bytes": 99, "dataset_name": "prose"}
    info = {"config_name": "plain", "dataset_name": "prose", "builder_name": "parquet", "splits": {"test": split},
            "features": {"text": {"dtype": "string", "_type": "Value"}}, "version": "0.0.0"}  # fmt: skip
    (folder / "dataset_info.json").write_text(json.dumps(info))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "cache"


PROSE = TextSource("hub", repo="org/prose", config="plain", split="test", revision=COMMIT, drop_empty=True, join="\n")


@pytest.mark.usefixtures("hub_cache")
def test_a_hub_dataset_is_read_from_its_cache() -> None:
    assert text_rows.read_whole(PROSE) == f"{words(0, 4)}\n{words(4, 8)}"
    assert text_rows.read_whole(replace(PROSE, revision=None, config=None)) == text_rows.read_whole(PROSE)
    cut, _ = texts.scoring(ScoringContract(PROSE, prompts=2, tokens=3, assembly="rows"), WITHOUT)
    assert [window.ids for window in cut.windows] == [tokens(0, 3), tokens(4, 7)]


@pytest.mark.usefixtures("hub_cache")
def test_another_commit_in_the_cache_is_not_taken_for_the_pinned_one() -> None:
    assert refused(text_rows.read_whole, replace(PROSE, revision="f" * 40)) == (
        f"dataset org/prose/plain/test: found commit {COMMIT} in the local cache; expected {'f' * 40}, as the contract "
        "pins it; load it once with the hub at hand, or pin the one that is there"
    )


@pytest.mark.usefixtures("hub_cache")
@pytest.mark.parametrize("source", [replace(PROSE, repo="org/other"), replace(PROSE, config="fine"),
                                    replace(PROSE, split="train")])  # fmt: skip
def test_a_dataset_that_is_not_to_be_had_is_named_with_its_remedy(source: TextSource) -> None:
    message = refused(text_rows.read_whole, source)
    assert message.startswith(f"dataset {source.name}: found no way to load it (")
    assert message.endswith("check the name, or point the contract at a local file with `kind: file`")


@pytest.mark.usefixtures("hub_cache")
def test_a_local_folder_is_not_taken_for_a_hub_dataset() -> None:
    Path("org/prose").mkdir(parents=True)
    Path("org/prose/test.txt").write_text("something else")
    message = refused(text_rows.read_whole, PROSE)
    assert message.startswith("dataset org/prose/plain/test: found a folder of that name here")
