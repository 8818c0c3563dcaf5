"""Selections against every order of equal scores, tried one by one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import groupby, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.core.layouts import Geometry
from checker.selection.select import MEASURED_TIES, select

FREE = Geometry(5, spacing=0)


# --- references ------------------------------------------------------------------------------------------------------


def orders(scores: Mapping[int, float]) -> Iterator[list[int]]:
    """Every order of the blocks that ascends in score."""
    ranked = sorted(scores, key=lambda block: scores[block])
    tied = [list(permutations(group)) for _, group in groupby(ranked, key=lambda block: scores[block])]
    for resolution in product(*tied):
        yield [block for group in resolution for block in group]


def greedy(order: list[int], geometry: Geometry, budget: int) -> tuple[int, ...] | None:
    taken: list[int] = []
    for block in order:
        clear = all(abs(block - other) > geometry.spacing for other in taken)
        if clear and block not in geometry.exclude and len(taken) < budget:
            taken.append(block)
    return tuple(sorted(taken)) if len(taken) == budget else None


def in_order(scores: Mapping[int, float], geometry: Geometry, budget: int) -> list[tuple[int, ...]]:
    """The different sets, in the order in which taking the lower index first finds them."""

    def follow(taken: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(taken) == budget:
            yield tuple(sorted(taken))
            return
        clear = [b for b in geometry.candidates if b in scores and b not in taken
                 and all(abs(b - other) > geometry.spacing for other in taken)]  # fmt: skip
        best = min((scores[b] for b in clear), default=None)
        for block in (b for b in clear if scores[b] == best):
            yield from follow((*taken, block))

    return list(dict.fromkeys(follow(())))


@st.composite
def problems(draw: st.DrawFn) -> tuple[dict[int, float], Geometry, int]:
    blocks = draw(st.integers(2, 7))
    geometry = Geometry(blocks, draw(st.integers(0, 2)), tuple(draw(st.sets(st.integers(0, blocks - 1), max_size=2))))
    measured = draw(st.sets(st.integers(0, blocks - 1)))
    scores = {block: draw(st.sampled_from([0.1, 0.2, 0.3, 0.4])) for block in measured}
    return scores, geometry, draw(st.integers(1, blocks - 1))


@settings(deadline=None, max_examples=200)
@given(problems())
def test_all_ties_are_what_every_order_of_equals_gives(problem: tuple[dict[int, float], Geometry, int]) -> None:
    scores, geometry, budget = problem
    selected = select(scores, geometry, budget)
    every = {greedy(order, geometry, budget) for order in orders(scores)} - {None}
    assert selected.counted
    assert selected.total == len(every)
    assert list(selected.sets) == in_order(scores, geometry, budget)[:MEASURED_TIES]
    assert set(selected.sets) <= every
    assert all(geometry.allows(layers) for layers in selected.sets)


@settings(deadline=None, max_examples=200)
@given(problems())
def test_lower_ties_are_the_order_by_score_and_index(problem: tuple[dict[int, float], Geometry, int]) -> None:
    scores, geometry, budget = problem
    expected = greedy(sorted(scores, key=lambda block: (scores[block], block)), geometry, budget)
    selected = select(scores, geometry, budget, ties="lower")
    assert selected.sets == (() if expected is None else (expected,))
    assert selected.total == len(selected.sets)


# --- closed cases ----------------------------------------------------------------------------------------------------


def test_distinct_scores_give_the_lowest_ones() -> None:
    scores = {0: 0.5, 1: 0.1, 2: 0.4, 3: 0.2, 4: 0.3}
    assert select(scores, FREE, 1).sets == ((1,),)
    assert select(scores, FREE, 3).sets == ((1, 3, 4),)
    assert select(scores, FREE, 3).total == 1


def test_spacing_passes_over_the_neighbours_of_what_is_taken() -> None:
    scores = {0: 0.5, 1: 0.1, 2: 0.4, 3: 0.2, 4: 0.3}
    assert select(scores, Geometry(5, spacing=1), 2).sets == ((1, 3),)
    assert select(scores, Geometry(5, spacing=2), 2).sets == ((1, 4),)


def test_excluded_and_unmeasured_blocks_are_never_taken() -> None:
    scores = {0: 0.5, 1: 0.1, 3: 0.2, 4: 0.3}
    assert select(scores, Geometry(5, spacing=0, exclude=(1,)), 2).sets == ((3, 4),)
    assert select(scores, FREE, 4).sets == ((0, 1, 3, 4),)


def test_a_tied_pair_is_given_both_ways_the_lower_index_first() -> None:
    scores = {0: 0.9, 1: 0.1, 2: 0.1, 3: 0.5, 4: 0.8}
    geometry = Geometry(5, spacing=1)
    assert select(scores, geometry, 1).sets == ((1,), (2,))
    assert select(scores, geometry, 2).sets == ((1, 3), (2, 4))
    assert select(scores, geometry, 2, ties="lower").sets == ((1, 3),)


def test_no_set_where_the_greedy_order_blocks_itself() -> None:
    scores = {0: 0.3, 1: 0.1, 2: 0.3}
    assert Geometry(3, spacing=1).count(2) == 1, "(0, 2) would be feasible, but block 1 comes first"
    assert select(scores, Geometry(3, spacing=1), 2).sets == ()
    assert select(scores, Geometry(3, spacing=1), 2).total == 0
    assert select({}, FREE, 1).sets == ()


@pytest.mark.parametrize("budget", [-1, 0, 5, 6])
def test_no_set_where_a_budget_takes_nothing_or_leaves_no_block(budget: int) -> None:
    assert select(dict.fromkeys(range(5), 0.1), FREE, budget).sets == ()


def test_more_resolutions_than_are_measured_are_counted() -> None:
    selected = select(dict.fromkeys(range(7), 0.1), Geometry(7, spacing=0), 3)
    assert (selected.total, selected.counted) == (35, True)
    assert len(selected.sets) == MEASURED_TIES == 16
    assert selected.sets[:3] == ((0, 1, 2), (0, 1, 3), (0, 1, 4))


def test_equal_scores_that_all_fit_are_one_resolution_whatever_their_number() -> None:
    scores = {block: 0.1 if block % 2 else 0.2 for block in range(60)}
    selected = select(scores, Geometry(60, spacing=1), 30)
    assert selected.sets == (tuple(range(1, 60, 2)),)
    assert selected.counted


# --- time ------------------------------------------------------------------------------------------------------------


def test_counting_gives_up_on_a_stack_of_equals() -> None:
    started = time.perf_counter()
    selected = select(dict.fromkeys(range(40), 0.1), Geometry(40, spacing=1), 10)
    assert time.perf_counter() - started < 3
    assert not selected.counted
    assert selected.total > MEASURED_TIES == len(selected.sets)
    assert selected.sets[0] == tuple(range(0, 20, 2))


def test_a_selection_of_thirty_blocks_takes_little_time() -> None:
    """A judge repeats it on hundreds of resamples; interchange ties the two members of every nearest pair."""
    scores = {block: ((block // 2) * 7919) % 15 / 10 for block in range(30)}
    geometry = Geometry(30, spacing=1)
    assert select(scores, geometry, 5).total > 1
    times = []
    for _ in range(20):
        started = time.perf_counter()
        select(scores, geometry, 5)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.002
