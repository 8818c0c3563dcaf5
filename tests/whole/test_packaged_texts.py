"""The texts in audits/data: of enough words, clean, and apart from each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from folders import ROOT

DATA = ROOT / "audits" / "data"
RUN = 8  # words in a row
FILES = sorted(path for path in DATA.iterdir() if path.suffix in (".txt", ".jsonl"))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_are_utf8_with_plain_line_ends_and_no_control_characters(path: Path) -> None:
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\n")
    assert not text.startswith("\ufeff")
    assert [letter for letter in text if letter != "\n" and not letter.isprintable()] == []


def test_the_training_text_is_long_enough_to_train_on() -> None:
    assert 100_000 <= len(_words((DATA / "training.txt").read_text(encoding="utf-8"))) <= 130_000


def test_each_paragraph_of_the_training_text_is_one_line() -> None:
    paragraphs = (DATA / "training.txt").read_text(encoding="utf-8").rstrip("\n").split("\n\n")
    assert [paragraph for paragraph in paragraphs if "\n" in paragraph or paragraph != paragraph.strip()] == []


def test_the_page_about_the_training_text_states_its_words_and_paragraphs() -> None:
    text = (DATA / "training.txt").read_text(encoding="utf-8")
    stated = f"{len(text.split()):,} words in {len(text.split(chr(10) * 2)):,} paragraphs"
    assert stated in (DATA / "README.md").read_text(encoding="utf-8")


def test_the_training_text_shares_no_run_of_words_with_what_is_measured_on() -> None:
    trained = _runs((DATA / "training.txt").read_text(encoding="utf-8"))
    assert trained & _runs((DATA / "evaluation.txt").read_text(encoding="utf-8")) == set()
    for row in _rows(DATA / "prompts.jsonl"):
        assert trained & _runs(row["text"]) == set()
