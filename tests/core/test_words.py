"""Counts and lists in words."""

from __future__ import annotations

import pytest

from checker.core import words


@pytest.mark.parametrize(("number", "expected"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows")])
def test_a_count_has_its_noun_in_singular_or_plural(number: int, expected: str) -> None:
    assert words.counted(number, "row") == expected


@pytest.mark.parametrize(("numbers", "expected"), [([3], "block 3"), ([3, 4], "blocks 3, 4")])
def test_numbers_follow_the_noun_of_what_they_name(numbers: list[int], expected: str) -> None:
    assert words.numbered("block", numbers) == expected


def test_a_list_is_cut_after_the_first_few_and_says_how_many_follow() -> None:
    assert words.listed([]) == ""
    assert words.listed("abc") == "a, b, c"
    assert words.listed("abcde") == "a, b, c and 2 more"
    assert words.listed(range(3), 2, "; ") == "0; 1 and 1 more"


@pytest.mark.parametrize(("names", "expected"), [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")])
def test_the_last_of_several_names_stands_after_a_word(names: str, expected: str) -> None:
    assert words.enumerated(names) == expected
    assert words.enumerated(names, "or") == expected.replace("and", "or")
