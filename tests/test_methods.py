"""Methods against distance tables made by hand; the random control against what uniform means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker import methods
from checker.methods import METHODS, PROTOCOLS, deletion, interchange, random, replacement
from checker.records import Geometry, Ground, Layout, MethodSettings, Values, pairs_within

BASE = Layout.base(4)
GROUND = Ground(4, ((0, 1), (1, 2), (2, 3)), Geometry(4), "into", seed=0)
MODULES = (deletion, interchange, random, replacement)


class Table:
    """Answers from a table of layouts, and keeps what was asked."""

    def __init__(self, values: Mapping[str, list[float]]) -> None:
        self.values = values
        self.asked: list[str] = []

    def kl(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        wanted = list(layouts)
        self.asked += map(str, wanted)
        return {layout: np.array(self.values[str(layout)]) for layout in wanted}


# --- the register ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_method_has_the_shape(module: object) -> None:
    method = module.METHOD  # type: ignore[attr-defined]
    assert method.name == module.__name__.rsplit(".", 1)[1]  # type: ignore[attr-defined]
    assert METHODS[method.name] is method
    assert method.summary
    assert not method.summary.endswith(".")
    assert method.source
    scores_blocks = method.distances is not None and method.scores is not None
    neither = method.distances is None and method.scores is None
    assert scores_blocks if method.sets is None else neither


def test_the_register_is_complete() -> None:
    assert {module.METHOD.name for module in MODULES} == set(METHODS)
    assert set(PROTOCOLS) < set(METHODS)
    assert methods.__doc__


# --- interchange -----------------------------------------------------------------------------------------------------


def test_interchange_asks_for_both_blocks_in_each_others_slots() -> None:
    table = Table({"(1@0,0@1,2,3)": [0.1, 0.3], "(0,2@1,1@2,3)": [0.5, 0.7], "(0,1,3@2,2@3)": [0.9, 1.1]})
    found = interchange.distances(table, GROUND)
    assert {pair: values.tolist() for pair, values in found.items()} == {
        (0, 1): [0.1, 0.3], (1, 2): [0.5, 0.7], (2, 3): [0.9, 1.1],
    }  # fmt: skip
    assert len(table.asked) == 3


def test_interchange_scores_a_block_by_its_nearest_partner() -> None:
    means: dict[tuple[int, ...], float] = {(0, 1): 0.2, (1, 2): 0.6, (2, 3): 0.4}
    assert interchange.scores(means, GROUND) == {0: 0.2, 1: 0.2, 2: 0.4, 3: 0.4}
    far = replace(GROUND, pairs=((0, 3), (1, 3)))
    assert interchange.scores({(0, 3): 0.3, (1, 3): 0.1}, far) == {0: 0.3, 1: 0.1, 3: 0.1}, "2 has no partner"


# --- replacement -----------------------------------------------------------------------------------------------------

DIRECTED: dict[tuple[int, ...], float] = {
    (0, 1): 0.9, (1, 0): 0.1, (1, 2): 0.3, (2, 1): 0.8, (2, 3): 0.7, (3, 2): 0.5,
}  # fmt: skip


def test_replacement_asks_for_both_directions_of_every_pair() -> None:
    table = Table({
        "(1@0,1,2,3)": [0.9], "(0,0@1,2,3)": [0.1], "(0,2@1,2,3)": [0.3],
        "(0,1,1@2,3)": [0.8], "(0,1,3@2,3)": [0.7], "(0,1,2,2@3)": [0.5],
    })  # fmt: skip
    found = replacement.distances(table, GROUND)
    assert {pair: values.tolist()[0] for pair, values in found.items()} == DIRECTED
    assert str(replacement.layout(BASE, 2, 1)) == "(0,1,1@2,3)", "2<-1 is the design's example"


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("into", {0: 0.9, 1: 0.1, 2: 0.7, 3: 0.5}),
        ("max", {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.7}),
        ("mean", {0: 0.5, 1: 0.5, 2: 0.55, 3: 0.6}),
    ],
)
def test_replacement_scores_in_each_direction(direction: str, expected: dict[int, float]) -> None:
    found = replacement.scores(DIRECTED, replace(GROUND, direction=direction))
    assert found == pytest.approx(expected)


def test_replacement_scores_only_blocks_with_a_partner() -> None:
    assert replacement.scores({(0, 3): 0.2, (3, 0): 0.4}, replace(GROUND, pairs=((0, 3),))) == {0: 0.2, 3: 0.4}


# --- deletion --------------------------------------------------------------------------------------------------------


def test_deletion_leaves_out_each_block_with_its_slot() -> None:
    table = Table({"(1,2,3)": [1.0, 2.0], "(0,2,3)": [3.0, 4.0], "(0,1,3)": [5.0, 6.0], "(0,1,2)": [7.0, 8.0]})
    found = deletion.distances(table, GROUND)
    assert {key: values.tolist() for key, values in found.items()} == {
        (0,): [1.0, 2.0], (1,): [3.0, 4.0], (2,): [5.0, 6.0], (3,): [7.0, 8.0],
    }  # fmt: skip
    means = {key: float(values.mean()) for key, values in found.items()}
    assert deletion.scores(means, GROUND) == {0: 1.5, 1: 3.5, 2: 5.5, 3: 7.5}


# --- random ----------------------------------------------------------------------------------------------------------


def ground_of(geometry: Geometry, seed: int = 0) -> Ground:
    return Ground(geometry.blocks, pairs_within(geometry.blocks, 1), geometry, "into", seed)


def control(budgets: tuple[int, ...] = (3,), draws: int = 39) -> MethodSettings:
    return MethodSettings("random", budgets, draws)


geometries = st.builds(
    Geometry, st.integers(2, 12), st.integers(0, 2), st.lists(st.integers(0, 11), max_size=3).map(tuple)
)


@settings(deadline=None)
@given(geometries, st.integers(1, 6), st.integers(1, 40), st.integers(0, 5))
def test_draws_are_distinct_and_feasible(geometry: Geometry, budget: int, draws: int, seed: int) -> None:
    found = random.sets(ground_of(geometry, seed), budget, control(draws=draws))
    assert len(found) == len(set(found)) == min(draws, geometry.count(budget))
    assert all(geometry.allows(layers) and len(layers) == budget for layers in found)
    assert found == random.sets(ground_of(geometry, seed), budget, control(draws=draws)), "the same seed, the same sets"


def test_all_sets_are_drawn_where_there_are_no_more() -> None:
    geometry = Geometry(6, spacing=1)
    every = [layers for layers in combinations(range(6), 3) if geometry.allows(layers)]
    assert len(every) == 4
    for draws in (4, 5, 39):
        assert list(random.sets(ground_of(geometry), 3, control(draws=draws))) == every
    assert random.sets(ground_of(geometry), 4, control()) == ()


def test_another_seed_draws_other_sets_and_other_budgets_or_draws_change_nothing() -> None:
    geometry = Geometry(30)
    alone = random.sets(ground_of(geometry), 3, control((3,)))
    assert alone == random.sets(ground_of(geometry), 3, control((1, 3, 5)))
    assert alone != random.sets(ground_of(geometry, seed=1), 3, control())
    assert random.sets(ground_of(geometry), 3, control(draws=60))[:39] == alone, "more draws keep those that were there"


def test_draws_are_uniform_over_the_feasible_sets() -> None:
    """Pearson's statistic over 2,000 seeds lies where it does for a uniform draw in all but 1 of 10,000 cases."""
    geometry = Geometry(7, spacing=1)
    feasible = [layers for layers in combinations(range(7), 3) if geometry.allows(layers)]
    assert len(feasible) == 10
    drawn: Counter[tuple[int, ...]] = Counter()
    together: Counter[tuple[tuple[int, ...], ...]] = Counter()
    for seed in range(2000):
        found = random.sets(ground_of(geometry, seed), 3, control(draws=2))
        drawn.update(found[:1])
        together[tuple(sorted(found))] += 1
    assert pearson(drawn, len(feasible)) < 33.7  # chi-square, 9 degrees of freedom
    assert pearson(together, 45) < 87.7  # 44 degrees: pairs of sets are uniform as well


def pearson(counts: Mapping[object, int], cells: int) -> float:
    assert len(counts) == cells
    expected = sum(counts.values()) / cells
    return sum((count - expected) ** 2 / expected for count in counts.values())


def test_draws_from_a_stack_too_large_to_list() -> None:
    geometry = Geometry(126, spacing=1, exclude=(0, 125))
    found = random.sets(ground_of(geometry), 30, control(draws=100))
    assert len(set(found)) == 100
    assert all(geometry.allows(layers) and len(layers) == 30 for layers in found)
    assert {layer for layers in found for layer in layers} == set(range(1, 125))
