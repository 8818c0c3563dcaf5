"""What headings, labels and cells of a card's tables say, and what a word inside of them does not say."""

from __future__ import annotations

import pytest

from checker.published.importers import headings


@pytest.mark.parametrize(
    "heading",
    ["PPL", "WikiText-2 perplexity ↓", "WikiText+C4 PPL", "word_perplexity", "wikitext_ppl", "PPL (25 % removed)"],
)
def test_a_heading_of_perplexities(heading: str) -> None:
    assert headings.is_perplexity(heading)
    assert not headings.is_change(heading)


@pytest.mark.parametrize(
    "heading",
    ["PPL (%)", "PPL %", "+%", "ΔPPL", "∆ PPL", "PPL increase", "delta", "Perplexity degradation", "PPL diff"],
)
def test_a_heading_of_changes(heading: str) -> None:
    assert headings.is_change(heading)
    assert not headings.is_perplexity(heading)


@pytest.mark.parametrize(
    "heading", ["Pruned (25 %)", "Pruned (25%)", "MMLU (%)", "Sparsity (%)", "WikiText+C4", "DeltaNet"]
)
def test_a_heading_of_something_else(heading: str) -> None:
    assert not headings.is_change(heading)
    assert not headings.is_perplexity(heading)


@pytest.mark.parametrize(
    "heading", ["log PPL", "PPL ratio", "PPL std", "word_perplexity_stderr", "Base PPL", "PPL (dense)"]
)
def test_what_is_no_perplexity_of_the_row(heading: str) -> None:
    """A logarithm, an error, and the perplexity of the unpruned model beside that of the row."""
    assert not headings.is_perplexity(heading)


def test_a_change_that_speaks_of_another_measure() -> None:
    assert headings.is_change_alone("WikiText-2 increase (%)", "WikiText-2 PPL")
    assert headings.is_change_alone("Increase over the base", "PPL") is False  # `base` may be a name
    assert not headings.is_change_alone("MMLU change (%)", "WikiText-2 PPL")
    assert not headings.is_change_alone("ShortGPT + delta tuning")


@pytest.mark.parametrize(
    "label", ["Base", "baseline", "Dense", "Original model", "the unpruned model", "0 %", "0%", "none"]
)
def test_a_label_that_says_unpruned(label: str) -> None:
    assert headings.is_unpruned(label)


@pytest.mark.parametrize(
    "label", ["Qwen-Base-8B", "Llama-3-8B-Base", "SLEB (original)", "Full-rank", "Base, pruned", ""]
)
def test_a_label_that_holds_such_a_word(label: str) -> None:
    assert not headings.is_unpruned(label)


@pytest.mark.parametrize(
    ("cell", "removes"),
    [("21, 22", True), ("[21]", True), ("21-28", True), ("21\u201328", True), ("7", True), ("25 %", True),
     ("4/32", True), ("", False), ("-", False), ("\u2014", False), ("none", False), ("0", False),
     ("0.0 %", False), ("0 layers", False), ("[]", False), ("2:4", None), ("see text", None)],
)  # fmt: skip
def test_a_cell_says_whether_something_is_removed(cell: str, removes: bool | None) -> None:
    assert headings.amount(cell) is removes


@pytest.mark.parametrize(
    ("heading", "cells", "is_amount"),
    [("Removed layers", ["-", "3"], True), ("Sparsity (%)", [], True), ("Pruning ratio", [], True),
     ("Pruned", [], True), ("Layers", ["-", "21, 22"], True), ("Layers", ["32", "28"], False),
     ("Remaining layers", ["0, 1"], False),
     ("Params after pruning", [], False), ("Pruning method", [], False), ("Pruned PPL", [], False)],
)  # fmt: skip
def test_a_column_says_how_much_is_removed(heading: str, cells: list[str], is_amount: bool) -> None:
    assert headings.is_amount(heading, cells) is is_amount


def test_a_name_is_the_stem_of_those_that_say_how_much_is_removed() -> None:
    stems = headings.stems(["Qwen-Base-8B-7L-less", "Llama (ours, 25 %)", "SLEB"])
    assert stems == {"qwen", "qwen-base", "qwen-base-8b", "llama", "llama (ours"}
    assert headings.is_stem("Qwen-Base-8B", stems)
    assert headings.is_stem("Llama (0 %)", stems)
    assert not headings.is_stem("Qwen-Base-8", stems)  # ends inside of a word
    assert not headings.is_stem("Qwen-Base-8B-4L", stems)
    assert not headings.is_stem("SLEB", stems)
    assert headings.is_stem("0.0 %", headings.stems(["25 %"]))


def test_a_cell_without_its_markup() -> None:
    assert headings.plain(" **[Qwen-Base](https://example.org/a_b)**  `8B` ") == "Qwen-Base 8B"
    assert headings.plain("__7.40__ (+35.3 \\%)") == "7.40 (+35.3 %)"
