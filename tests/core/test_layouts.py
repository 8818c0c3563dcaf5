"""Layouts against their text form, and the constraints on removal sets against counting by hand."""

from __future__ import annotations

from itertools import chain, combinations
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.core.layouts import Geometry, Layout, Place, pairs_within

BASE = Layout.base(4)

weights = st.floats(allow_nan=False, allow_infinity=False)
mixes = st.dictionaries(st.integers(0, 40), weights, min_size=1, max_size=4).map(lambda mix: tuple(sorted(mix.items())))
single = st.integers(0, 40).map(lambda block: ((block, 1.0),))
places = st.builds(Place, st.one_of(single, mixes), st.integers(0, 40))
layouts = st.lists(places, max_size=8).map(lambda found: Layout(tuple(found)))
geometries = st.builds(
    Geometry,
    st.integers(1, 10),
    st.integers(0, 4),
    st.sets(st.integers(0, 9), max_size=6).map(lambda blocks: tuple(sorted(blocks))),
)


# --- layouts ---------------------------------------------------------------------------------------------------------


def test_the_four_interventions_are_written_as_the_design_writes_them() -> None:
    half = {1: 0.5, 2: 0.5}
    assert str(BASE.without([2])) == "(0,1,3)"
    assert str(BASE.with_weights({2: 1})) == "(0,1,1@2,3)"
    assert str(BASE.with_weights({1: 2, 2: 1})) == "(0,2@1,1@2,3)"
    assert str(BASE.with_weights({1: half, 2: half})) == "(0,mix(1:.5,2:.5)@1,mix(1:.5,2:.5)@2,3)"
    assert str(BASE) == "(0,1,2,3)"
    assert BASE.without([2]).slots == (0, 1, 3)
    assert len(BASE.without([2])) == 3


@settings(deadline=None)
@given(layouts)
def test_the_text_form_gives_the_layout_back(layout: Layout) -> None:
    assert Layout.parse(str(layout)) == layout


@settings(deadline=None)
@given(layouts, layouts)
def test_layouts_have_one_text_form_each(one: Layout, other: Layout) -> None:
    assert (one == other) == (str(one) == str(other))


def test_a_weight_of_minus_zero_is_written_as_zero() -> None:
    one, other = (Layout((Place(((1, weight),), 2),)) for weight in (0.0, -0.0))
    assert one == other
    assert str(one) == str(other) == "(mix(1:0)@2)"


def test_whatever_names_the_same_weights_is_the_same_layout() -> None:
    assert BASE.with_weights({2: {2: 1.0}}) == BASE
    assert BASE.with_weights({1: {2: 0.25, 0: 0.75}}) == BASE.with_weights({1: {0: 0.75, 2: 0.25}})
    assert BASE.with_weights({1: {3: 1.0}}) == BASE.with_weights({1: 3})
    assert Layout.parse(" ( 0, mix(2:.5, 1:0.50)@1 ,2@2 ) ") == Layout.parse("(0,mix(1:.5,2:5e-1)@1,2)")
    assert Layout.parse("()") == BASE.without(range(4))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0,1", "found layout '0,1'; expected something like (0,2@1,1@2,3)"),
        ("(0,1", "found layout '(0,1'; expected something like (0,2@1,1@2,3)"),
        ("(0,x)", "found layout '(0,x)'; expected a place, as in 3, 1@2 or mix(1:.5,2:.5)@1, and found 'x'"),
        ("(0,,1)", "found layout '(0,,1)'; expected a place, as in 3, 1@2 or mix(1:.5,2:.5)@1, and found ',1'"),
        ("(0,1,)", "found layout '(0,1,)'; expected a place, as in 3, 1@2 or mix(1:.5,2:.5)@1, and found ''"),
        ("(1 2)", "found layout '(1 2)'; expected a comma before ' 2'"),
        ("(0,1@)", "found layout '(0,1@)'; expected a comma before '@'"),
        ("(0)(1)", "found layout '(0)(1)'; expected a comma before ')(1'"),
        ("(mix(1:.5))", "found layout '(mix(1:.5))'; expected a slot after 'mix(1:.5)', as in mix(1:.5)@1"),
        *(
            (
                f"({mix}@1)",
                f"found layout '({mix}@1)'; expected each block once with a weight, as in mix(1:.5,2:.5), "
                f"and found '{mix}@1'",
            )
            for mix in ("mix()", "mix(1)", "mix(1:.5,1:.5)", "mix(1:nan)", "mix(1:1e999)", "mix(a:1)", "mix(1:.5,)")
        ),
    ],
)
def test_what_is_no_layout_is_refused_with_the_place_where_it_stops(text: str, found: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        Layout.parse(text)
    assert str(caught.value) == found


# --- constraints -----------------------------------------------------------------------------------------------------


def feasible(geometry: Geometry, budget: int) -> list[tuple[int, ...]]:
    """Every set of ``budget`` blocks that the constraints leave, by trying all of them; in lexicographic order."""
    if not 0 < budget < geometry.blocks:
        return []
    return [
        layers
        for layers in combinations(range(geometry.blocks), budget)
        if all(b - a > geometry.spacing for a, b in combinations(layers, 2)) and not set(layers) & set(geometry.exclude)
    ]


@settings(deadline=None)
@given(geometries)
def test_sets_are_counted_and_numbered_as_trying_all_subsets_gives_them(geometry: Geometry) -> None:
    for budget in range(-1, geometry.blocks + 3):
        expected = feasible(geometry, budget)
        assert geometry.count(budget) == len(expected)
        assert [geometry.nth(budget, rank) for rank in range(len(expected))] == expected
        for beyond in (-1, len(expected)):
            with pytest.raises(IndexError):
                geometry.nth(budget, beyond)
    assert geometry.largest == max((b for b in range(geometry.blocks) if feasible(geometry, b)), default=0)


@settings(deadline=None)
@given(geometries)
def test_a_set_is_allowed_where_it_is_one_of_those_counted(geometry: Geometry) -> None:
    blocks = range(geometry.blocks)
    expected = {layers for budget in blocks for layers in feasible(geometry, budget)}
    for layers in chain.from_iterable(combinations(blocks, size) for size in range(1, geometry.blocks + 1)):
        assert geometry.allows(layers) == (layers in expected)
        assert geometry.allows(reversed(layers)) == (layers in expected)


def test_what_is_no_set_of_blocks_is_not_allowed() -> None:
    free = Geometry(4, spacing=0)
    assert free.allows([0, 1, 2])
    assert not free.allows([0, 1, 2, 3]), "one block has to stay"
    assert not free.allows([1, 1])
    assert not free.allows([4])
    assert not free.allows([-1])


def test_sets_of_a_large_stack_are_counted_without_listing_them() -> None:
    geometry = Geometry(126, spacing=1)
    assert geometry.count(30) == comb(126 - 29, 30)
    assert geometry.nth(30, 0) == tuple(range(0, 60, 2))
    assert geometry.nth(30, geometry.count(30) - 1) == tuple(range(67, 126, 2))
    assert geometry.largest == 63


# --- the rest --------------------------------------------------------------------------------------------------------


def test_pairs_within_a_gap() -> None:
    assert pairs_within(4, 1) == ((0, 1), (1, 2), (2, 3))
    assert pairs_within(4, 2) == ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3))
    assert len(pairs_within(30, 29)) == 435
