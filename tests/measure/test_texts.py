"""Windows against a slow literal reference; prompts and special tokens on a tokenizer small enough to read."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_texts import BEGIN, WITH_BEGIN, WITHOUT, plain, refused, rows, tokenizer, tokens, words
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from checker.core.canonical import digest
from checker.core.records import EvaluationContract, ScoringContract, TextSource
from checker.measure import texts
from checker.measure.texts import Batch, Window, batches, evaluation_windows

NOWHERE = TextSource("file", path="/nowhere.txt")


# --- evaluation windows ----------------------------------------------------------------------------------------------


def reference(length: int, window: int, stride: int, boundary: str) -> list[tuple[range, list[int]]]:
    """Windows of a text of numbered tokens, and which tokens each one scores, by the words of the design."""
    spans = []
    for start in range(0, length, stride):
        spans.append(range(start, min(start + window, length)))
        if start + window >= length:
            break
    if boundary == "whole_window":
        return [(span, list(span[1:])) for span in spans if len(span) == window and window > 1]
    scored: list[list[int]] = [[] for _ in spans]
    for token in range(1, length):  # the very first is never scored
        holding = next(number for number, span in enumerate(spans) if token in span)
        scored[holding].append(token)
    if boundary == "skip_first":
        scored = [one if number == 0 else one[1:] for number, one in enumerate(scored)]
    return [(span, one) for span, one in zip(spans, scored, strict=True) if one]


def scored_tokens(window: Window) -> list[int]:
    """Position p predicts what stands at p + 1."""
    return [window.ids[position + 1] for position in range(window.first, window.last + 1)]


lengths = st.integers(0, 60)
shapes = st.integers(2, 20).flatmap(lambda window: st.tuples(st.just(window), st.integers(1, window - 1)))
boundaries = st.sampled_from(["every_token", "skip_first", "whole_window"])


@settings(deadline=None, max_examples=300)
@given(lengths, shapes, boundaries, st.integers(0, 2))
def test_windows_are_those_of_the_reference(length: int, shape: tuple[int, int], boundary: Any, prefix: int) -> None:
    contract = EvaluationContract(NOWHERE, *shape, boundary=boundary)
    found = list(evaluation_windows(range(length), contract, (-1,) * prefix))
    expected = reference(length, *shape, boundary)
    assert [scored_tokens(window) for window in found] == [scored for _, scored in expected]
    assert [window.ids for window in found] == [(-1,) * prefix + tuple(span) for span, _ in expected]


@settings(deadline=None, max_examples=300)
@given(st.integers(2, 80), shapes)
def test_every_token_but_the_first_is_scored_once_in_one_window(length: int, shape: tuple[int, int]) -> None:
    found = list(evaluation_windows(range(length), EvaluationContract(NOWHERE, *shape)))
    assert [token for window in found for token in scored_tokens(window)] == list(range(1, length))
    assert found[-1].ids[-1] == length - 1, "the tail is kept"
    assert all(len(window.ids) <= shape[0] for window in found)
    later = [window.first + 1 for window in found[1:]]
    assert all(context == shape[0] - shape[1] for context in later), "as much left context as the window gives"


def test_the_published_contract_gives_its_22_windows() -> None:
    found = list(evaluation_windows(range(5734), EvaluationContract(NOWHERE, 512, 256)))
    assert len(found) == 22
    assert [len(window.ids) for window in found] == [512] * 21 + [5734 - 21 * 256]
    assert sum(len(scored_tokens(window)) for window in found) == 5733
    skipping = EvaluationContract(NOWHERE, 512, 256, boundary="skip_first")
    assert sum(len(scored_tokens(window)) for window in evaluation_windows(range(5734), skipping)) == 5733 - 21
    whole = list(evaluation_windows(range(5734), EvaluationContract(NOWHERE, 512, 256, boundary="whole_window")))
    assert len(whole) == 21
    assert sum(len(scored_tokens(window)) for window in whole) == 21 * 511


# --- batches ---------------------------------------------------------------------------------------------------------

window_shapes = st.tuples(st.integers(2, 9), st.integers(0, 1)).map(
    lambda shape: Window(tuple(range(shape[0])), shape[1], shape[0] - 1)
)


@settings(deadline=None, max_examples=200)
@given(st.lists(window_shapes, max_size=30), st.integers(1, 40))
def test_batches_hold_neighbours_of_one_shape_within_the_limit(windows: list[Window], limit: int) -> None:
    found = list(batches(windows, limit, "window"))
    assert [unit for batch in found for unit in batch.units] == list(range(len(windows)))
    for batch in found:
        held = [windows[unit] for unit in batch.units]
        assert [tuple(row) for row in batch.ids.tolist()] == [window.ids for window in held]
        assert {(window.first, window.last) for window in held} == {(batch.first, batch.last)}
        assert batch.ids.numel() <= limit or len(held) == 1
        assert (batch.ids.dtype, batch.name) == (torch.long, "window")
        assert batch.positions == batch.last - batch.first + 1
    for batch, following in pairwise(found):
        alike = (batch.ids.shape[1], batch.first, batch.last) == (
            following.ids.shape[1], following.first, following.last,
        )  # fmt: skip
        assert not alike or batch.ids.numel() + batch.ids.shape[1] > limit, "no batch is smaller than it has to be"


# --- prompts ---------------------------------------------------------------------------------------------------------


def prompts_of(contract: ScoringContract, with_tokenizer: Any) -> list[tuple[int, ...]]:
    cut, facts = texts.scoring(contract, with_tokenizer)
    ids = [tuple(row) for batch in cut.batches for row in batch.ids.tolist()]
    assert ids == [window.ids for window in cut.windows]
    assert (facts.prompts, facts.tokens, facts.batches) == (len(ids), len(ids[0]), len(cut.batches))
    assert facts.tokens_digest == digest(ids)
    return ids


def test_windows_follow_each_other_from_the_start_of_the_text(tmp_path: Path) -> None:
    contract = ScoringContract(plain(tmp_path, words(0, 14)), prompts=3, tokens=4, special_tokens="none")
    assert prompts_of(contract, WITH_BEGIN) == [tokens(0, 4), tokens(4, 8), tokens(8, 12)]
    cut, facts = texts.scoring(contract, WITH_BEGIN)
    assert [part.letters for part in cut.stretches] == ["w0w1w2w3", "w4w5w6w7", "w8w9w10w11"]
    assert facts.kinds == ("", "", "")
    assert [(window.first, window.last) for window in cut.windows] == [(0, 3)] * 3


def test_special_tokens_of_windows(tmp_path: Path) -> None:
    contract = ScoringContract(plain(tmp_path, words(0, 14)), prompts=2, tokens=4)
    assert prompts_of(contract, WITH_BEGIN) == [(BEGIN, *tokens(0, 3)), (BEGIN, *tokens(3, 6))]
    assert prompts_of(contract, WITHOUT) == [tokens(0, 4), tokens(4, 8)]
    every = replace(contract, special_tokens="every_window")
    assert prompts_of(every, WITH_BEGIN) == [(BEGIN, *tokens(0, 4)), (BEGIN, *tokens(4, 8))]
    cut, _ = texts.scoring(every, WITH_BEGIN)
    assert [(batch.first, batch.last) for batch in cut.batches] == [(1, 4)], "the begin token is not scored"
    assert refused(texts.scoring, every, WITHOUT) == (
        "special_tokens: found `every_window`, but the tokenizer has no begin token; use `none`"
    )


def test_an_end_token_is_not_put_at_the_start(tmp_path: Path) -> None:
    contract = ScoringContract(plain(tmp_path, words(0, 8)), prompts=2, tokens=4)
    assert prompts_of(contract, tokenizer(template="<s> $A </s>")) == [(BEGIN, *tokens(0, 3)), (BEGIN, *tokens(3, 6))]
    assert prompts_of(contract, tokenizer(template="$A </s>")) == [tokens(0, 4), tokens(4, 8)]


def test_the_last_position_alone(tmp_path: Path) -> None:
    contract = ScoringContract(plain(tmp_path, words(0, 8)), prompts=2, tokens=4, positions="last")
    cut, _ = texts.scoring(contract, WITH_BEGIN)
    assert [(batch.first, batch.last, batch.positions) for batch in cut.batches] == [(3, 3, 1)]


def test_a_text_too_short_for_its_windows(tmp_path: Path) -> None:
    contract = ScoringContract(plain(tmp_path, words(0, 11)), prompts=3, tokens=4, special_tokens="none")
    assert refused(texts.scoring, contract, WITH_BEGIN) == (
        "text.txt: found 2 prompts of 4 tokens; expected 3; lower `prompts` or use a longer text"
    )
    assert refused(texts.scoring, replace(contract, source=plain(tmp_path, "")), WITH_BEGIN).startswith(
        "text.txt: found 0 prompts"
    )


@pytest.mark.parametrize("assembly", ["rows", "windows"])
def test_prompts_that_hold_nothing_but_special_tokens_are_refused(tmp_path: Path, assembly: Any) -> None:
    contract = ScoringContract(rows(tmp_path, words(0, 9)), prompts=1, tokens=1, assembly=assembly)
    assert refused(texts.scoring, contract, WITH_BEGIN) == (
        "data.scoring.tokens: found 1; expected more than the 1 that the tokenizer puts at the start of each prompt; "
        "raise `tokens`, or use `special_tokens: none`"
    )
    assert prompts_of(contract, WITHOUT) == [tokens(0, 1)]


@pytest.mark.parametrize("letters", [8, 25, *range(30, 37), 50, 70])
def test_prompts_of_a_long_text_are_those_of_the_whole_text(tmp_path: Path, letters: int) -> None:
    """Only a beginning of a long text is tokenised: wherever it ends, no prompt may show it."""
    generator = random.Random(letters)
    text = " ".join(("a" if generator.random() < 0.5 else "b") * letters for _ in range(2000))
    names = {"<unk>": 0, "a" * letters: 1, "b" * letters: 2}
    inner = Tokenizer(models.WordLevel(names, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    whole = [names[word] for word in text.split()]
    for prompts in (1, 7, 40):
        contract = ScoringContract(plain(tmp_path, text), prompts=prompts, tokens=12, special_tokens="none")
        cut, _ = texts.scoring(contract, PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>"))
        assert [token for window in cut.windows for token in window.ids] == whole[: prompts * 12]


def test_the_first_rows_give_one_prompt_each(tmp_path: Path) -> None:
    source = rows(tmp_path, words(0, 9), words(10, 16), words(20, 29))
    contract = ScoringContract(source, prompts=2, tokens=4, assembly="rows")
    assert prompts_of(contract, WITHOUT) == [tokens(0, 4), tokens(10, 14)]
    assert prompts_of(contract, WITH_BEGIN) == [(BEGIN, *tokens(0, 3)), (BEGIN, *tokens(10, 13))]
    every = replace(contract, special_tokens="every_window")
    assert prompts_of(every, WITH_BEGIN) == [(BEGIN, *tokens(0, 4)), (BEGIN, *tokens(10, 14))]
    cut, facts = texts.scoring(contract, WITHOUT)
    assert facts.kinds == ("k0", "k1")
    assert [part.letters for part in cut.stretches] == ["w0w1w2w3", "w10w11w12w13"], "what is used of a row"


def test_rows_that_do_not_suffice_are_named(tmp_path: Path) -> None:
    contract = ScoringContract(rows(tmp_path, words(0, 9), words(0, 3)), prompts=2, tokens=4, assembly="rows")
    assert refused(texts.scoring, contract, WITHOUT) == (
        "rows.jsonl, row 2: found 3 tokens; expected at least 4; lower `tokens` or leave the row out"
    )
    assert prompts_of(contract, WITH_BEGIN)[1] == (BEGIN, *tokens(0, 3)), "the begin token is one of its tokens"
    assert refused(texts.scoring, replace(contract, prompts=3, tokens=2), WITHOUT) == (
        "rows.jsonl: found 2 prompts of 2 tokens; expected 3; lower `prompts` or use a longer text"
    )


def test_empty_rows_are_dropped_before_they_are_counted(tmp_path: Path) -> None:
    texts_of_rows = ("", words(0, 4), " \n", words(4, 6))
    source = rows(tmp_path, *texts_of_rows, drop_empty=True)
    contract = ScoringContract(source, prompts=1, tokens=4, assembly="rows", special_tokens="none")
    assert prompts_of(contract, WITHOUT) == [tokens(0, 4)]
    assert "row 4: found 2 tokens" in refused(texts.scoring, replace(contract, prompts=2), WITHOUT)
    kept = replace(contract, source=replace(source, drop_empty=False))
    assert "row 1: found 0 tokens" in refused(texts.scoring, kept, WITHOUT)


def test_the_lines_of_a_plain_text_are_rows(tmp_path: Path) -> None:
    source = plain(tmp_path, f"{words(0, 4)}\r\n{words(4, 8)}\n")
    contract = ScoringContract(source, prompts=2, tokens=3, assembly="rows")
    assert prompts_of(contract, WITHOUT) == [tokens(0, 3), tokens(4, 7)]
    assert "found 2 prompts" in refused(texts.scoring, replace(contract, prompts=3), WITHOUT)


# --- evaluation ------------------------------------------------------------------------------------------------------


def evaluated(contract: EvaluationContract, with_tokenizer: Any) -> list[tuple[int, ...]]:
    cut, facts = texts.evaluation(contract, with_tokenizer)
    assert facts.scored == tuple(len(scored_tokens(window)) for window in cut.windows)
    assert facts.batches == len(cut.batches)
    assert facts.tokens_digest == digest([window.ids for window in cut.windows])
    return [window.ids for window in cut.windows]


def test_special_tokens_of_an_evaluation(tmp_path: Path) -> None:
    contract = EvaluationContract(plain(tmp_path, words(0, 6)), window=4, stride=2)
    assert evaluated(contract, WITHOUT) == [tokens(0, 4), tokens(2, 6)]
    assert evaluated(contract, WITH_BEGIN) == [(BEGIN, *tokens(0, 3)), tokens(1, 5), tokens(3, 6)], "once per text"
    assert evaluated(replace(contract, special_tokens="none"), WITH_BEGIN) == [tokens(0, 4), tokens(2, 6)]
    every = replace(contract, special_tokens="every_window")
    assert evaluated(every, WITH_BEGIN) == [(BEGIN, *tokens(0, 4)), (BEGIN, *tokens(2, 6))]
    cut, facts = texts.evaluation(every, WITH_BEGIN)
    assert [scored_tokens(window) for window in cut.windows] == [list(tokens(1, 4)), list(tokens(4, 6))]
    assert facts.tokens == 6
    assert "no begin token" in refused(texts.evaluation, every, WITHOUT)


def test_the_first_words_are_joined_by_single_spaces(tmp_path: Path) -> None:
    contract = EvaluationContract(plain(tmp_path, " w0\n\nw1\tw2  w3 "), window=9, stride=3, words=3)
    cut, facts = texts.evaluation(contract, WITHOUT)
    assert cut.windows[0].ids == tokens(0, 3)
    assert (cut.stretches[0].letters, facts.tokens) == ("w0w1w2", 3)
    assert refused(texts.evaluation, replace(contract, words=5), WITHOUT) == (
        "text.txt: found 4 words; expected at least 5; lower `words`"
    )


@pytest.mark.parametrize(("boundary", "expected"), [("every_token", 2), ("skip_first", 2), ("whole_window", 9)])
def test_a_text_too_short_to_evaluate(tmp_path: Path, boundary: Any, expected: int) -> None:
    contract = EvaluationContract(plain(tmp_path, "w0"), window=9, stride=3, boundary=boundary)
    assert refused(texts.evaluation, contract, WITHOUT) == (
        f"text.txt: found 1 tokens; expected at least {expected}; use a longer text"
    )


def test_what_a_window_adds_to_its_text(tmp_path: Path) -> None:
    contract = EvaluationContract(plain(tmp_path, words(0, 9)), window=4, stride=3)

    def added(**changes: Any) -> list[tuple[int, ...]]:
        cut, _ = texts.evaluation(replace(contract, **changes), WITH_BEGIN)
        return [part.ids for part in cut.stretches]

    assert added(special_tokens="none") == [tokens(0, 4), tokens(4, 7), tokens(7, 9)]
    assert added(special_tokens="none", boundary="skip_first") == [tokens(0, 4), tokens(4, 7), tokens(7, 9)]
    assert added(special_tokens="none", boundary="whole_window") == [tokens(0, 4), tokens(4, 7)]
    assert added(special_tokens="every_window") == [tokens(0, 4), tokens(4, 7), tokens(7, 9)]
    assert added() == [(BEGIN, *tokens(0, 3)), tokens(3, 6), tokens(6, 9)]
    assert texts.evaluation(contract, WITH_BEGIN)[0].stretches[0].letters == "w0w1w2"


def test_the_begin_token_is_measured_on_one_window_both_ways(tmp_path: Path) -> None:
    contract = EvaluationContract(plain(tmp_path, words(0, 30)), window=6, stride=2)
    without, with_begin = texts.begin_token_windows(contract, WITH_BEGIN) or pytest.fail("it has a begin token")
    assert [tuple(row) for row in without.ids.tolist()] == [tokens(0, 5)]
    assert [tuple(row) for row in with_begin.ids.tolist()] == [(BEGIN, *tokens(0, 5))], "no longer than the window"

    def targets(batch: Batch) -> list[int]:
        return scored_tokens(Window(tuple(batch.ids[0].tolist()), batch.first, batch.last))

    assert targets(without) == targets(with_begin) == list(tokens(1, 5))
    short, _ = texts.begin_token_windows(replace(contract, words=3), WITH_BEGIN) or pytest.fail("it has three words")
    assert short.ids.tolist() == [list(tokens(0, 3))]
    assert texts.begin_token_windows(contract, WITHOUT) is None
    assert texts.begin_token_windows(replace(contract, window=2, stride=1), WITH_BEGIN) is None
