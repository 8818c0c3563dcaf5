"""Repeats and overlap against slow references, on texts of any script, and on texts that only look alike."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import tiny_audit
from folders import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_texts import WITHOUT, plain, rows, words
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from checker.core.facts import SHARED_RUN, EvaluationFacts
from checker.core.records import EvaluationContract, ScoringContract, TextSource
from checker.measure import repeats, texts
from checker.measure.prepare import with_overlap
from checker.measure.repeats import Stretch, letters, longest_shared_run, overlap, repeated, same

ZERO_WIDTH = "\u200b"


@cache
def bytes_tokenizer() -> Any:
    """One token a byte: three for a Chinese letter, so that windows cut letters in two."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({sign: number for number, sign in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner)


def chinese(length: int, seed: int) -> str:
    """Letters at random, with a full stop now and then; no spaces."""
    generator = random.Random(seed)
    return "".join(chr(generator.randrange(0x4E00, 0x9000)) + "。" * (number % 20 == 19) for number in range(length))


def prose(length: int, seed: int) -> str:
    return tiny_audit.sentence(length, seed)


def sevenths(text: str, mark: str) -> str:
    """The text with a mark after every seventh word."""
    return " ".join(word + mark * (number % 7 == 6) for number, word in enumerate(text.split()))


def units(*parts: str) -> list[Stretch]:
    return [Stretch((number,), letters(part)) for number, part in enumerate(parts)]


def evaluated(folder: Path, text: str, window: int = 120, stride: int = 60, **changes: Any) -> EvaluationFacts:
    contract = EvaluationContract(plain(folder, text), window=window, stride=stride, **changes)
    return texts.evaluation(contract, bytes_tokenizer())[1]


def held_against(folder: Path, evaluation: str, scoring: str) -> EvaluationFacts:
    """The facts of an evaluation text, overlap with eight prompts from the beginning of a scoring text included."""
    contract = EvaluationContract(plain(folder, evaluation), window=120, stride=60)
    chosen_on = ScoringContract(plain(folder, scoring, "scoring.txt"), prompts=8, tokens=60, assembly="windows")
    cut, facts = texts.evaluation(contract, bytes_tokenizer())
    return with_overlap(facts, cut, texts.scoring(chosen_on, bytes_tokenizer())[0])


# --- letters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is, 3 p.m.!", "itis3pm"),
        ("Straße STRASSE", "strassestrasse"),
        ("ﬁn ２４ ①", "fin241"),
        ("e\u0301 \u00e9", "\u00e9\u00e9"),
        ("हिन्दी", "हिन्दी"),
        ("中文，没有空格。", "中文没有空格"),
        ("a\u200bb\u00adc\u2060d\ufefff\u0007g", "abcdfg"),
        ("a\u034fb\ufe0fc\u3164d\U000e0100e", "abcde"),
        ("_-—…\t\n¶", ""),
    ],
)
def test_letters_are_what_a_text_shows_without_case_and_spaces(text: str, expected: str) -> None:
    assert letters(text) == expected


@given(st.text())
def test_letters_of_letters_are_themselves(text: str) -> None:
    assert letters(letters(text)) == letters(text)


def test_a_letter_cut_in_two_belongs_to_the_part_before() -> None:
    ids = bytes_tokenizer()("中文字a", add_special_tokens=False)["input_ids"]
    cut = repeats.stretches([ids[:2], ids[2:4], ids[4:8], ids[8:]], bytes_tokenizer())
    assert [part.letters for part in cut] == ["中", "文", "字", "a"]
    lost = repeats.stretches([ids[:2], ids[9:]], bytes_tokenizer())
    assert [part.letters for part in lost] == ["", "a"], "what follows does not complete it"


# --- against slow references -----------------------------------------------------------------------------------------


def codes(text: str) -> Any:
    return np.array([ord(letter) for letter in text], np.uint64)


def by_brute_force(one: str, other: str) -> int:
    runs = {one[i:j] for i in range(len(one)) for j in range(i + 1, len(one) + 1)}
    return max((len(run) for run in runs if run in other), default=0)


few_letters = st.text("abc", max_size=30)


@settings(deadline=None, max_examples=300)
@given(few_letters, few_letters, few_letters)
def test_the_longest_shared_run(one: str, other: str, shared: str) -> None:
    assert longest_shared_run(codes(one), codes(other)) == by_brute_force(one, other)
    mixed = (one + shared, shared + other)
    assert longest_shared_run(*map(codes, mixed)) == by_brute_force(*mixed) >= len(shared)


def slow_shares(parts: Sequence[str], other: str | None, run: int) -> list[float]:
    """Per part, the share of letters in a run of that length that ends before the part, or stands in ``other``."""
    whole, shares, start = "".join(parts), [], 0
    for part in parts:
        before = whole[:start] if other is None else other
        there = [
            any(whole[i : i + run] in before for i in range(max(0, at - run + 1), at + 1) if i + run <= len(whole))
            for at in range(start, start + len(part))
        ]
        shares.append(sum(there) / max(1, len(part)))
        start += len(part)
    return shares


@settings(deadline=None, max_examples=300)
@given(st.lists(st.text("ab", max_size=12), max_size=8), st.text("ab", max_size=30), st.integers(2, 5))
def test_repeats_and_shares_of_windows(parts: list[str], other: str, run: int) -> None:
    with patch.object(repeats, "RUN", run):
        assert repeated(units(*parts)) == {k for k, share in enumerate(slow_shares(parts, None, run)) if share >= 0.5}
        there = [share >= 0.5 for share in slow_shares(parts, other, run)]
        found = overlap(units(*parts), units(other))
    assert found.letters == by_brute_force("".join(parts), other)
    assert found.windows == (pytest.approx(sum(there) / len(there)) if there else 0)


def test_texts_without_letters_are_compared_by_their_tokens() -> None:
    generator = random.Random(0)
    signs = [tuple(generator.randrange(50) for _ in range(80)) for _ in range(4)]
    prompts = [Stretch(ids, "") for ids in (signs[0], signs[1], signs[0][40:] + signs[1][:40], signs[2])]
    assert same(prompts) == set()
    assert repeated(prompts) == {2}
    assert same([*prompts, prompts[1]]) == {4}
    assert overlap(prompts, [Stretch(signs[3][:40] + signs[2][10:], "")]) == (0, 70, 0.25)
    assert same([Stretch((1, 2), "ab"), Stretch((3, 4), "ab")]) == {1}, "letters alone, whatever the tokens"
    assert same([Stretch((1, 2), ""), Stretch((3, 4), "")]) == set(), "no letters are no likeness"


@pytest.mark.parametrize("most", [1000, 3000])
def test_of_a_long_text_a_sample_of_runs_is_compared(most: int) -> None:
    parts = [prose(40, seed) for seed in range(60)]
    with patch.object(repeats, "MOST", most):
        assert repeated(units(*parts, *parts[:10])) == set(range(60, 70))
        found = overlap(units(*parts), units(*parts[:30]))
        assert found.letters <= len("".join(map(letters, parts[:30])))
        assert found.letters > SHARED_RUN
        assert found.windows == 0.5
        assert repeated(units(*parts)) == set()
        assert overlap(units(*parts), units(*(prose(40, seed) for seed in range(100, 130)))).letters < SHARED_RUN


def test_a_million_letters_are_held_against_a_hundred_thousand_tokens_in_seconds() -> None:
    generator = random.Random(0)
    letter = "etaoinshrdlu"
    windows = [Stretch((0,) * 64, "".join(generator.choices(letter, k=256))) for _ in range(4000)]
    prompts = [Stretch((0,) * 64, unit.letters) for unit in windows[1000:2560]]
    began = time.process_time()
    assert overlap(windows, prompts).windows == 0.39
    assert time.process_time() - began < 3
    began = time.process_time()
    assert repeated(windows) == set()
    assert time.process_time() - began < 3


# --- what is done to texts -------------------------------------------------------------------------------------------


def test_one_prompt_sixteen_times(tmp_path: Path) -> None:
    source = rows(tmp_path, *[words(0, 9)] * 16)
    contract = ScoringContract(source, prompts=16, tokens=4, assembly="rows")
    assert texts.scoring(contract, WITHOUT)[1].repeats == tuple(range(1, 16))


def test_a_prompt_in_other_letters_and_signs_is_the_same_prompt(tmp_path: Path) -> None:
    text = prose(30, seed=1)
    others = (text.upper(), sevenths(text, ","), sevenths(text, ZERO_WIDTH), text.replace(" ", "\n\n"))
    source = rows(tmp_path, prose(30, seed=2), text, *others)
    contract = ScoringContract(source, prompts=6, tokens=60, assembly="rows")
    assert texts.scoring(contract, bytes_tokenizer())[1].repeats == (2, 3, 4, 5)


@pytest.mark.parametrize("boundary", ["every_token", "skip_first", "whole_window"])
@pytest.mark.parametrize("script", [prose, chinese])
def test_one_paragraph_repeated_to_fill_a_text(tmp_path: Path, script: Any, boundary: Any) -> None:
    paragraph = script(101, seed=3)
    taken = len(paragraph.encode())
    found = evaluated(tmp_path, paragraph * 12, boundary=boundary)
    assert 2 < taken / 60 < len(found.scored) / 4
    fresh = [unit for unit in range(len(found.scored)) if unit not in found.repeats]
    assert fresh == list(range(len(fresh))), "none but the first, up to the paragraph's end"
    assert abs(len(fresh) - taken / 60) <= 1.5


@pytest.mark.parametrize("boundary", ["every_token", "skip_first", "whole_window"])
def test_shared_context_repeats_nothing(tmp_path: Path, boundary: Any) -> None:
    found = evaluated(tmp_path, prose(300, seed=4), window=120, stride=7, boundary=boundary)
    assert len(found.scored) > 100
    assert found.repeats == ()


def test_a_unit_may_repeat_itself() -> None:
    laughter = "ha" * 100
    assert repeated(units(prose(40, seed=5), laughter, prose(40, seed=6))) == set()
    assert repeated(units(laughter, prose(40, seed=5), laughter)) == {2}


@pytest.mark.parametrize(
    "changed",
    [
        str,
        str.upper,
        lambda text: sevenths(text, ","),
        lambda text: sevenths(text, ZERO_WIDTH),
        lambda text: text.replace(" ", "").replace("。", ""),
    ],
)
@pytest.mark.parametrize("script", [prose, chinese])
def test_the_same_text_for_both_overlaps(tmp_path: Path, script: Any, changed: Any) -> None:
    text = script(600, seed=7)
    found = held_against(tmp_path, text, changed(text))
    assert found.overlaps
    assert found.shared_letters > SHARED_RUN
    assert found.shared_windows > 0.1
    assert not held_against(tmp_path, text, changed(script(600, seed=8))).overlaps


# --- honest texts ----------------------------------------------------------------------------------------------------


def test_the_texts_that_come_with_the_audits_neither_repeat_nor_overlap() -> None:
    data = ROOT / "audits" / "data"
    number = len((data / "prompts.jsonl").read_text(encoding="utf-8").splitlines())
    prompts = ScoringContract(
        TextSource("rows", path=str(data / "prompts.jsonl")), prompts=number, tokens=256, assembly="rows"
    )
    contract = EvaluationContract(TextSource("file", path=str(data / "evaluation.txt")), window=512, stride=256)
    scoring, scoring_facts = texts.scoring(prompts, bytes_tokenizer())
    cut, facts = texts.evaluation(contract, bytes_tokenizer())
    facts = with_overlap(facts, cut, scoring)
    assert (scoring_facts.repeats, facts.repeats) == ((), ())
    assert (facts.shared_windows, facts.overlaps) == (0, False)
    assert facts.shared_letters < 20


def test_words_drawn_at_random_neither_repeat_nor_overlap(tmp_path: Path) -> None:
    tiny_audit.write_texts(tmp_path)
    tokenizer = tiny_audit.tokenizer(begin_token=True)
    prompts = ScoringContract(
        TextSource("rows", path=str(tmp_path / "prompts.jsonl")), tiny_audit.PROMPTS, tiny_audit.PROMPT_TOKENS
    )
    contract = EvaluationContract(
        TextSource("file", path=str(tmp_path / "evaluation.txt")), tiny_audit.WINDOW, tiny_audit.STRIDE
    )
    scoring, scoring_facts = texts.scoring(replace(prompts, assembly="rows"), tokenizer)
    cut, facts = texts.evaluation(contract, tokenizer)
    facts = with_overlap(facts, cut, scoring)
    assert (scoring_facts.repeats, facts.repeats, facts.overlaps) == ((), (), False)
