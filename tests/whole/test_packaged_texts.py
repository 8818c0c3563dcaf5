"""The texts and tasks in audits/: of enough words, clean, apart from each other, and balanced."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from folders import ROOT

DATA = ROOT / "audits" / "data"
TASKS = ROOT / "audits" / "tasks"
RUN = 8  # words in a row
FILES = sorted(
    path for folder in (DATA, TASKS) for path in folder.iterdir() if path.suffix in (".txt", ".jsonl", ".yaml")
)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _task(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    settings = yaml.safe_load((TASKS / f"{name}.yaml").read_text(encoding="utf-8"))
    return settings, _rows(TASKS / settings["dataset_kwargs"]["data_files"]["test"])


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
    for row in _task("plain_facts")[1]:
        assert trained & _runs(f"{row['question']} {row['choices'][row['answer']]}") == set()
    for row in _task("next_in_line")[1]:
        assert trained & _runs(f"{row['items']} {row['next']}") == set()


def test_plain_facts_are_multiple_choice_of_four() -> None:
    settings, rows = _task("plain_facts")
    assert (settings["task"], settings["output_type"]) == ("plain_facts", "multiple_choice")
    assert [metric["metric"] for metric in settings["metric_list"]] == ["acc", "acc_norm"]
    assert 200 <= len(rows) <= 300
    assert len({row["question"] for row in rows}) == len(rows)
    for row in rows:
        assert set(row) == {"subject", "question", "choices", "answer"}
        assert len(set(row["choices"])) == len(row["choices"]) == 4
        assert row["answer"] in range(4)
        assert all(text and text == text.strip() for text in (row["subject"], row["question"], *row["choices"]))


def test_the_right_answers_of_plain_facts_stand_in_every_place_alike() -> None:
    _, rows = _task("plain_facts")
    places = Counter(row["answer"] for row in rows)
    assert max(places.values()) <= 0.3 * len(rows)
    assert len(places) == 4


def test_plain_facts_are_of_many_subjects() -> None:
    _, rows = _task("plain_facts")
    subjects = Counter(row["subject"] for row in rows)
    assert len(subjects) >= 10
    assert max(subjects.values()) <= 0.2 * len(rows)


def test_next_in_line_asks_for_one_word_after_a_list() -> None:
    settings, rows = _task("next_in_line")
    assert (settings["task"], settings["output_type"]) == ("next_in_line", "generate_until")
    assert [metric["metric"] for metric in settings["metric_list"]] == ["exact_match"]
    assert settings["generation_kwargs"]["until"] == ["\n"]
    assert settings["generation_kwargs"]["max_gen_toks"] <= 12
    assert not settings["generation_kwargs"]["do_sample"]
    assert 50 <= len(rows) <= 100
    assert len({row["items"] for row in rows}) == len(rows)
    pattern = settings["filter_list"][0]["filter"][0]["regex_pattern"]
    for row in rows:
        assert set(row) == {"subject", "items", "next"}
        assert all(text and text == text.strip() for text in row.values())
        assert re.fullmatch(pattern, row["next"])  # the harness keeps the first such word of what is generated
