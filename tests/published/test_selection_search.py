"""Sets that selection rules give on published scores, against every order tried one by one."""

from __future__ import annotations

from itertools import combinations, groupby, permutations, product

import published_sample
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.core.layouts import Geometry
from checker.published.printed import Printed
from checker.published.publication import SourceRule
from checker.published.selection_search import Choice, Ranking, Search, Table, in_words, ranking, tables

BLOCKS = 6


def chosen(groups: list[list[int]], geometry: Geometry, budget: int) -> set[tuple[int, ...]]:
    """The reference: greedy along every order of equals."""
    found = set()
    for orders in product(*(permutations(group) for group in groups)):
        taken: list[int] = []
        for block in (block for order in orders for block in order):
            clear = all(abs(block - other) > geometry.spacing for other in taken)
            if clear and block in geometry.candidates and len(taken) < budget:
                taken.append(block)
        if len(taken) == budget:
            found.add(tuple(sorted(taken)))
    return found


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 2), min_size=BLOCKS, max_size=BLOCKS),
    st.integers(0, 3),
    st.sets(st.integers(0, BLOCKS - 1), max_size=2),
    st.integers(1, 3),
)
def test_a_set_is_given_where_some_order_of_equals_gives_it(
    ranks: list[int], spacing: int, exclude: set[int], budget: int
) -> None:
    order = sorted(range(BLOCKS), key=lambda block: (ranks[block], block))
    groups = [list(group) for _, group in groupby(order, key=lambda block: ranks[block])]
    geometry = Geometry(BLOCKS, spacing, tuple(sorted(exclude)))
    expected = chosen(groups, geometry, budget)
    found = Ranking(tuple(map(tuple, groups)), apart=True)
    for layers in combinations(range(BLOCKS), budget):
        assert found.gives(layers, geometry, "any") == (layers in expected)
    assert set(found.sets(geometry, budget, "any").sets) <= expected
    for ties, key in (("lower", 1), ("higher", -1)):
        single = [[block] for block in sorted(range(BLOCKS), key=lambda b: (ranks[b], key * b))]
        assert set(found.sets(geometry, budget, ties).sets) == chosen(single, geometry, budget)


def table(*rows: tuple[int, int, str]) -> Table:
    scores = {way: Printed.of(value) for i, j, value in rows for way in ((i, j), (j, i))}
    return Table("interchange", "symmetric", scores)


def test_the_two_blocks_of_a_pair_are_tied_and_a_tie_rule_settles_them() -> None:
    found = ranking(table((0, 1, "0.90"), (1, 2, "0.08"), (2, 3, "0.04")), "least_over_partners", 1)
    assert found == Ranking(((2, 3), (1,), (0,)), apart=True)
    assert (found.ranks(3), found.ranks(1), found.ranks(5)) == ((1, 2), (3, 3), None)


def test_pairs_that_look_equal_as_printed_are_settled_by_no_tie_rule() -> None:
    found = ranking(table((0, 1, "0.05"), (3, 4, "0.05")), "least_over_partners", 1)
    assert found == Ranking(((0, 1, 3, 4),), apart=False)
    assert found.gives([4], Geometry(5), "lower")


def test_neighbouring_printed_values_are_told_apart_and_coarser_ones_are_not() -> None:
    assert ranking(table((0, 1, "0.21"), (2, 3, "0.22")), "least_over_partners", 1).groups == ((0, 1), (2, 3))
    assert ranking(table((0, 1, "0.21"), (2, 3, "0.2")), "least_over_partners", 1).groups == ((0, 1, 2, 3),)


def test_only_partners_within_the_largest_gap_count() -> None:
    pairs = table((0, 1, "0.90"), (1, 2, "0.50"), (0, 2, "0.10"))
    assert ranking(pairs, "least_over_partners", 1).groups == ((1, 2), (0,))
    assert ranking(pairs, "least_over_partners", 2).groups == ((0, 2), (1,))


DIRECTED = {
    "scores": [
        {"id": "f", "model": "m", "protocol": "replacement", "direction": "forward", "where": "Table 4",
         "values": [[0, 1, "0.10"], [1, 2, "0.40"]]},
        {"id": "g", "model": "m", "protocol": "replacement", "direction": "backward", "where": "Table 4",
         "values": [[0, 1, "0.30"], [1, 2, "0.20"]]},
    ]
}  # fmt: skip


@pytest.mark.parametrize(
    ("symmetrisation", "groups"),
    [
        ("into", ((0,), (2,), (1,))),  # least into 0: 0.10; into 1: 0.30 and 0.40; into 2: 0.20
        ("max", ((0, 1), (2,))),
        ("min", ((0, 1), (2,))),
        ("forward", ((0, 1), (2,))),
        ("backward", ((1, 2), (0,))),
    ],
)
def test_what_follows_from_the_two_directions(symmetrisation: str, groups: tuple[tuple[int, ...], ...]) -> None:
    found = {one.symmetrisation: one for one in tables(published_sample.publication(DIRECTED), "m")}
    assert set(found) == {"into", "max", "mean", "min", "forward", "backward"}
    assert ranking(found[symmetrisation], "least_over_partners", 1).groups == groups


def test_what_is_stated_is_kept_and_what_is_unsaid_is_tried() -> None:
    found = published_sample.publication(DIRECTED)
    search = Search(found, "m")
    place = found.scores[0].location
    stated = SourceRule("r", "Section 3", place, symmetrisation="max", spacing=1, score="least_over_partners")
    assert search.stated(stated, "replacement") == [
        Choice("replacement", "max", "least_over_partners", 1, 1, ties) for ties in ("lower", "higher", "any")
    ]
    assert search.stated(stated, "interchange") == []
    assert len(search.every(stated)) == 6 * 4 * 3
    assert len(search.every(SourceRule("r", "Section 3", place))) == 2 * 6 * 4 * 3


def test_combinations_that_differ_little_are_listed_together() -> None:
    def choice(gap: int, spacing: int, ties: str) -> Choice:
        return Choice("interchange", "symmetric", "least_over_partners", gap, spacing, ties)  # type: ignore[arg-type]

    found = [choice(gap, spacing, ties) for gap in (1, 2) for spacing in (0, 1) for ties in ("lower", "any")]
    assert in_words([*found, choice(3, 2, "any")]) == [
        "interchange, largest gap 1 or 2, spacing 0 or 1, ties to the lower index",
        "interchange, largest gap 3, spacing 2, under some way of breaking ties",
    ]
