"""Marks of slots: kept together and told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.core.slots import Comparison, compared, difference, of_slot, together

names, values = st.sampled_from(["layer_type", "attn.scaling", "mlp.class"]), st.text("ab", min_size=1, max_size=2)
slots = st.lists(st.dictionaries(names, values), min_size=1, max_size=5)


@given(slots)
def test_marks_kept_together_are_the_same(marks: list[dict[str, str]]) -> None:
    assert [of_slot(together(marks), slot) for slot in range(len(marks))] == marks


def test_what_all_slots_have_is_kept_once() -> None:
    assert together([{"a": "1", "b": "1"}, {"a": "1", "b": "2"}, {"a": "1"}]) == {"a": ("1",), "b": ("1", "2", "")}


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        ({"a": "1"}, {"a": "1"}, None),
        ({"a": "1", "attn.layer_type": "x"}, {"a": "2", "attn.layer_type": "y"}, "attn.layer_type"),
        ({"a.class": "X", "b.class": "X"}, {"b.class": "Y"}, "b.class"),  # rather what both have
        ({"a.b.class": "X", "c.class": "X"}, {"a.b.class": "Y", "c.class": "Y"}, "c.class"),  # rather what is outside
        ({"b": "1", "a": "1"}, {"b": "2", "a": "2"}, "a"),
    ],
)
def test_the_mark_that_says_most_is_named(one: dict[str, str], other: dict[str, str], name: str | None) -> None:
    assert difference(one, other) == name
    assert difference(other, one) == name


def test_slots_are_held_against_their_places() -> None:
    base = [{"attn.scaling": str(number)} for number in range(4)]
    assert compared(base, [base[0], base[2], base[3]], [0, 2, 3]) == Comparison("same")
    assert compared(base, base[:3], [0, 2, 3]) == Comparison(
        "differ", "block 2 ran in a slot with attn.scaling 2 and runs with 1 in the checkpoint"
    )
    assert compared(base, [{}, {}], [0, 1]).why == (
        "block 0 ran in a slot with attn.scaling 0 and runs with none in the checkpoint"
    )
    assert compared(base, base, [0, 2, 3]) == Comparison(
        "open", "its slots could not be told: its configuration describes 4 blocks, and its weights are 3"
    )
