"""Methods against tables made by hand; the random control against what uniform means.

What each quantity is, is proved on models: tests/test_literal_methods.py.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import Table, additive, problem_with, removed_from

from checker.core.errors import EvidenceMissing
from checker.core.layouts import Geometry, Layout, Place
from checker.core.questions import Problem
from checker.core.records import PROTOCOLS, MethodSettings
from checker.selection import methods
from checker.selection.methods import (
    METHODS,
    angular_distance,
    averaging,
    beam,
    block_influence,
    cka,
    deepest,
    deletion,
    deletion_loss,
    exhaustive,
    interchange,
    laco,
    random,
    replacement,
    sleb,
    taylor,
    worst_first,
)

BASE = Layout.base(4)
PROBLEM = Problem(4, ((0, 1), (1, 2), (2, 3)), Geometry(4), "into", seed=0)
NAMES = [info.name for info in pkgutil.iter_modules(methods.__path__) if info.name != "method"]
MODULES = tuple(importlib.import_module(f"checker.selection.methods.{name}") for name in NAMES)


def table(values: Mapping[str, list[float]]) -> Table:
    """Distances by the layouts' text."""
    return Table(kl=lambda layout: values[str(layout)])


# --- the register ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_method_has_the_shape(module: ModuleType) -> None:
    method = module.METHOD
    assert method.name == module.__name__.rsplit(".", 1)[1]
    assert METHODS[method.name] is method
    assert method.summary
    assert not method.summary.endswith(".")
    assert method.source
    ways = (method.distances is not None and method.scores is not None, method.sets is not None, method.turns_round)
    assert sum(ways) == 1, "a method scores blocks, or chooses sets, or turns another method's scores round"
    assert (method.distances is None) == (method.scores is None)


def test_the_register_is_complete() -> None:
    assert {module.METHOD.name for module in MODULES} == set(METHODS)
    assert len(METHODS) == 16
    assert set(PROTOCOLS) < set(METHODS)
    assert methods.__doc__


def test_what_methods_declare_of_themselves() -> None:
    def those(name: str) -> set[str]:
        return {method.name for method in METHODS.values() if getattr(method, name)}

    assert those("native") == {"angular_distance", "deepest", "sleb", "laco"}, "whose papers have a form of their own"
    assert those("capped") == {"sleb", "beam", "exhaustive", "laco"}
    assert those("pooled") == {"cka", "taylor"}
    assert those("resolved_by_dtype") == {"cka"}
    assert those("control") == {"random"}
    assert those("turns_round") == {"worst_first"}
    losses = {"deletion_loss", "sleb", "taylor", "beam", "exhaustive"}
    assert {method.name for method in METHODS.values() if method.looks_at == "selection"} == losses


# --- interchange -----------------------------------------------------------------------------------------------------


def test_interchange_asks_for_both_blocks_in_each_others_slots() -> None:
    known = table({"(1@0,0@1,2,3)": [0.1, 0.3], "(0,2@1,1@2,3)": [0.5, 0.7], "(0,1,3@2,2@3)": [0.9, 1.1]})
    found = interchange.distances(known, PROBLEM)
    assert {pair: values.tolist() for pair, values in found.items()} == {
        (0, 1): [0.1, 0.3], (1, 2): [0.5, 0.7], (2, 3): [0.9, 1.1],
    }  # fmt: skip
    assert len(known.asked) == 3


def test_interchange_scores_a_block_by_its_nearest_partner() -> None:
    means: dict[tuple[int, ...], float] = {(0, 1): 0.2, (1, 2): 0.6, (2, 3): 0.4}
    assert interchange.METHOD.scores(means, PROBLEM) == {0: 0.2, 1: 0.2, 2: 0.4, 3: 0.4}
    far = replace(PROBLEM, pairs=((0, 3), (1, 3)))
    assert interchange.METHOD.scores({(0, 3): 0.3, (1, 3): 0.1}, far) == {0: 0.3, 1: 0.1, 3: 0.1}, "2 has no partner"


# --- replacement -----------------------------------------------------------------------------------------------------

DIRECTED: dict[tuple[int, ...], float] = {
    (0, 1): 0.9, (1, 0): 0.1, (1, 2): 0.3, (2, 1): 0.8, (2, 3): 0.7, (3, 2): 0.5,
}  # fmt: skip


def test_replacement_asks_for_both_directions_of_every_pair() -> None:
    known = table({
        "(1@0,1,2,3)": [0.9], "(0,0@1,2,3)": [0.1], "(0,2@1,2,3)": [0.3],
        "(0,1,1@2,3)": [0.8], "(0,1,3@2,3)": [0.7], "(0,1,2,2@3)": [0.5],
    })  # fmt: skip
    found = replacement.distances(known, PROBLEM)
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
    found = replacement.scores(DIRECTED, replace(PROBLEM, direction=direction))
    assert found == pytest.approx(expected)


def test_replacement_scores_only_blocks_with_a_partner() -> None:
    assert replacement.scores({(0, 3): 0.2, (3, 0): 0.4}, replace(PROBLEM, pairs=((0, 3),))) == {0: 0.2, 3: 0.4}


# --- deletion --------------------------------------------------------------------------------------------------------


def test_deletion_leaves_out_each_block_with_its_slot() -> None:
    known = table({"(1,2,3)": [1.0, 2.0], "(0,2,3)": [3.0, 4.0], "(0,1,3)": [5.0, 6.0], "(0,1,2)": [7.0, 8.0]})
    found = deletion.distances(known, PROBLEM)
    assert {key: values.tolist() for key, values in found.items()} == {
        (0,): [1.0, 2.0], (1,): [3.0, 4.0], (2,): [5.0, 6.0], (3,): [7.0, 8.0],
    }  # fmt: skip
    means = {key: float(values.mean()) for key, values in found.items()}
    assert deletion.METHOD.scores(means, PROBLEM) == {0: 1.5, 1: 3.5, 2: 5.5, 3: 7.5}


# --- averaging -------------------------------------------------------------------------------------------------------


def test_averaging_puts_the_mean_into_both_slots() -> None:
    assert str(averaging.layout(BASE, 1, 2)) == "(0,mix(1:.5,2:.5)@1,mix(1:.5,2:.5)@2,3)", "the design's example"
    known = table({
        "(mix(0:.5,1:.5)@0,mix(0:.5,1:.5)@1,2,3)": [0.3], "(0,mix(1:.5,2:.5)@1,mix(1:.5,2:.5)@2,3)": [0.1],
        "(0,1,mix(2:.5,3:.5)@2,mix(2:.5,3:.5)@3)": [0.2],
    })  # fmt: skip
    found = averaging.distances(known, PROBLEM)
    assert {pair: values.tolist() for pair, values in found.items()} == {(0, 1): [0.3], (1, 2): [0.1], (2, 3): [0.2]}
    assert averaging.METHOD.scores is not None
    assert averaging.METHOD.scores({pair: values[0] for pair, values in found.items()}, PROBLEM) == {
        0: 0.3, 1: 0.1, 2: 0.1, 3: 0.2,
    }  # fmt: skip


# --- hidden states and gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "quantity", "expected"),
    [(block_influence, "cosine", [0.9, 0.8, 0.7, 0.6]), (cka, "cka", [0.9, 0.8, 0.7, 0.6]),
     (angular_distance, "angle", [0.1, 0.2, 0.3, 0.4])],
)  # fmt: skip
def test_a_blocks_own_input_and_output_are_compared(module: ModuleType, quantity: str, expected: list[float]) -> None:
    known = Table(**{quantity: lambda span: [0.1 + 0.1 * span[0], 0.2]})
    found = module.distances(known, PROBLEM)
    assert [span for _, span in known.asked] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert [found[block,][0] for block in range(4)] == pytest.approx(expected)
    means = {key: float(values[0]) for key, values in found.items()}
    assert module.METHOD.scores(means, PROBLEM) == pytest.approx(dict(enumerate(expected)))


def test_taylor_asks_for_every_blocks_gradient() -> None:
    known = Table(taylor=lambda block: [block + 1.0, 9.0])
    assert {key: values.tolist() for key, values in taylor.distances(known, PROBLEM).items()} == {
        (0,): [1.0, 9.0], (1,): [2.0, 9.0], (2,): [3.0, 9.0], (3,): [4.0, 9.0],
    }  # fmt: skip


@pytest.mark.parametrize(("budget", "expected"), [(1, (5,)), (2, (2, 3)), (3, (1, 2, 3)), (5, (1, 2, 3, 4, 5))])
def test_angular_distance_removes_the_run_that_turns_least(budget: int, expected: tuple[int, ...]) -> None:
    turns = {(5, 5): 0.1, (2, 3): 0.2, (1, 3): 0.2, (2, 4): 0.2, (0, 4): 0.3, (1, 5): 0.1}
    known = Table(angle=lambda span: turns.get(span, 0.5))
    own = MethodSettings("angular_distance", (budget,))
    found = angular_distance.native(known, problem_with(Geometry(6)), budget, own)
    assert [removed_from(layout, 6) for layout in found] == [expected], "of equal runs the one that begins lower"
    assert [span for _, span in known.asked] == [(first, first + budget - 1) for first in range(7 - budget)]


def test_deepest_leaves_the_last_block() -> None:
    where = problem_with(Geometry(6))
    own = MethodSettings("deepest", (3,))
    assert [removed_from(layout, 6) for layout in deepest.native(Table(), where, 3, own)] == [(2, 3, 4)]
    assert [removed_from(layout, 6) for layout in deepest.native(Table(), where, 5, own)] == [(0, 1, 2, 3, 4)]
    assert deepest.scores({}, where) == {0: 0.0, 1: -1.0, 2: -2.0, 3: -3.0, 4: -4.0}, "and the last one has none"
    assert deepest.distances(Table(), where) == {}


def test_worst_first_turns_an_order_round() -> None:
    assert worst_first.turned_round({0: 0.5, 1: -0.25, 2: 0.0}) == {0: -0.5, 1: 0.25, 2: 0.0}


# --- searches --------------------------------------------------------------------------------------------------------


def test_deletion_loss_is_of_each_block_alone() -> None:
    known = Table(loss=additive([0.4, 0.1, 0.3, 0.2]))
    found = deletion_loss.distances(known, PROBLEM)
    means = {key: values[0] for key, values in found.items()}
    assert means == pytest.approx({(0,): 3.4, (1,): 3.1, (2,): 3.3, (3,): 3.2})


def search(module: ModuleType, known: Table, geometry: Geometry, budget: int, **own: int) -> list[tuple[int, ...]]:
    found = module.sets(known, problem_with(geometry), budget, MethodSettings(module.METHOD.name, (budget,), **own))
    return [removed_from(layout, geometry.blocks) for layout in found]


def together(layout: Layout) -> float:
    """Block 0 is the cheapest alone; 1 and 2 together cost nothing; 4 stands between."""
    costs = {(0,): 0.1, (1,): 0.5, (2,): 0.6, (3,): 0.9, (4,): 0.4, (1, 2): 0.0, (0, 4): 0.4, (0, 1, 2): 0.05}
    layers = removed_from(layout, 5)
    return costs.get(layers, 1.0 + 0.1 * len(layers) + 0.01 * sum(layers))


def test_greedy_beam_and_all_sets_differ_where_blocks_go_together() -> None:
    free = Geometry(5, spacing=0)
    assert search(sleb, Table(loss=together), free, 2) == [(0, 4)], "each step keeps what was taken"
    assert search(exhaustive, Table(loss=together), free, 2) == [(1, 2)]
    assert search(beam, Table(loss=together), free, 2, width=1) == [(0, 4)]
    assert search(beam, Table(loss=together), free, 2, width=3) == [(1, 2)]
    assert search(beam, Table(loss=together), free, 3, width=3) == [(0, 1, 2)]


@pytest.mark.parametrize("module", [sleb, beam, exhaustive], ids=lambda module: module.METHOD.name)
def test_among_equal_losses_the_lower_blocks_are_taken(module: ModuleType) -> None:
    assert search(module, Table(loss=lambda _: 1.0), Geometry(6, spacing=1), 2) == [(0, 2)]


@pytest.mark.parametrize("module", [sleb, beam, exhaustive], ids=lambda module: module.METHOD.name)
def test_searches_reach_no_set_where_there_is_none(module: ModuleType) -> None:
    assert search(module, Table(loss=additive([0.1] * 5)), Geometry(5, spacing=1), 4) == []
    assert search(module, Table(loss=additive([0.1] * 5)), Geometry(5, exclude=(0, 1, 2, 3, 4)), 1) == []


def test_greedy_steps_may_miss_a_budget_that_sets_reach() -> None:
    middle_first = Table(loss=additive([0.5, 0.1, 0.5, 0.5]))
    assert search(sleb, middle_first, Geometry(4, spacing=2), 2) == [], "only 0 and 3 are far enough apart"
    assert search(exhaustive, middle_first, Geometry(4, spacing=2), 2) == [(0, 3)]


def test_beam_never_measures_a_set_twice() -> None:
    known = Table(loss=additive([0.3, 0.1, 0.4, 0.15, 0.9, 0.2]))
    assert search(beam, known, Geometry(6, spacing=0), 4, width=4) == [(0, 1, 3, 5)]
    assert len(known.asked) == len(set(known.asked))


def test_beams_calls_bound_what_it_looks_at() -> None:
    costs = additive([0.3, 0.1, 0.4, 0.15, 0.9, 0.2])
    whole = Table(loss=costs)
    assert search(beam, whole, Geometry(6, spacing=0), 2, width=1) == [(1, 3)]
    assert whole.times == [6, 5]
    bounded = Table(loss=costs)
    assert search(beam, bounded, Geometry(6, spacing=0), 2, width=1, calls=7) == [(1, 3)], "cheap ones are tried first"
    assert bounded.times == [6, 1]
    with pytest.raises(EvidenceMissing, match="its 6 evaluations end before 2 blocks are removed; raise `calls`"):
        search(beam, Table(loss=costs), Geometry(6, spacing=0), 2, calls=6)
    assert search(beam, Table(loss=costs), Geometry(6, spacing=0), 1, calls=6) == [(1,)]


def test_exhaustive_beyond_its_calls_is_missing() -> None:
    costs = additive([0.1] * 30)
    with pytest.raises(EvidenceMissing, match=r"budget 3 leaves 3,276 sets, more than the 1,000 evaluations declared"):
        search(exhaustive, Table(loss=costs), Geometry(30), 3)
    known = Table(loss=costs)
    assert search(exhaustive, known, Geometry(30), 2, calls=406) == [(0, 2)]
    assert known.times == [406]


def test_a_beam_begins_with_the_scores_that_seed_it() -> None:
    """Block 4 is dear alone; only a search that begins with it finds that it costs nothing beside block 2."""
    alone = additive([0.1, 0.2, 0.5, 0.6, 0.9, 0.7])

    def loss(layout: Layout) -> float:
        return 0.0 if removed_from(layout, 6) == (2, 4) else alone(layout)

    free = Geometry(6, spacing=0)
    assert search(beam, Table(loss=loss), free, 2, width=1) == [(0, 1)]
    known, seeds = Table(loss=loss), {4: 0.1, 3: 0.2, 2: 0.3, 1: 0.4, 0: 0.5}
    own = MethodSettings("beam", (2,), width=1)
    found = beam.sets(known, replace(problem_with(free), seeds=seeds), 2, own)
    assert [removed_from(layout, 6) for layout in found] == [(2, 4)]
    assert known.times == [1, 4], "block 5 has no score"
    with pytest.raises(EvidenceMissing, match="its 0 evaluations that the scores leave it end before 2 blocks"):
        beam.sets(known, replace(problem_with(free), seeds=seeds), 2, replace(own, calls=0))


# --- LaCo ------------------------------------------------------------------------------------------------------------


def test_a_merge_adds_differences_up() -> None:
    base = Layout.base(6)
    assert str(laco.merge(base, 1, 3)) == "(0,mix(1:-2,2:1,3:1,4:1)@1,5)", "(1 - m) w_l + sum of w_{l+k}"
    assert str(laco.merge(base, 2, 1)) == "(0,1,3,4,5)", "of one block nothing of w_l is left"
    again = laco.merge(laco.merge(base, 3, 2), 2, 1)
    assert again.places[2] == Place(((3, -1.0), (4, 1.0), (5, 1.0)), 3)
    assert str(laco.merge(laco.merge(base, 3, 2), 1, 2)) == "(0,mix(1:-1,2:1,3:-1,4:1,5:1)@1)"


def merging(similar: Mapping[tuple[int, ...], float], geometry: Geometry, budget: int, native: int = 0) -> list[str]:
    """What LaCo makes of similarities by removed slots; by default 0.5."""
    known = Table(similarity=lambda layout: similar.get(removed_from(layout, geometry.blocks), 0.5))
    chooses = laco.native if native else laco.sets
    found = chooses(known, problem_with(geometry), budget, MethodSettings("laco", (budget,), merge=native or 4))
    return [str(layout) for layout in found]


def test_laco_merges_from_the_top_where_all_is_alike() -> None:
    assert merging({}, Geometry(6), 1) == ["(0,1,2,3,5)"], "the block below the last one goes, as the merge leaves it"
    assert merging({}, Geometry(6), 2) == ["(0,1,3,5)"]
    assert merging({}, Geometry(6, spacing=0), 2) == ["(0,1,2,mix(3:-1,4:1,5:1)@3)"]
    assert merging({}, Geometry(6), 2, native=4) == ["(0,1,2,mix(3:-1,4:1,5:1)@3)"], "the last block is merged as well"
    assert merging({}, Geometry(8), 5, native=4) == ["(0,mix(1:-1,2:1,3:1)@1,mix(4:-2,5:1,6:1,7:1)@4)"]
    assert merging({}, Geometry(6), 5, native=4) == [], "nothing is merged into block 0"


def test_laco_passes_by_what_is_less_alike() -> None:
    assert merging({(3,): 0.9}, Geometry(6), 1) == ["(0,1,2,4,5)"]
    assert merging({(4,): 0.9, (3,): 0.95, (1, 4): 0.2}, Geometry(6), 1) == ["(0,1,2,4,5)"]
    assert merging({(4,): 0.9, (2, 4): 0.6, (3,): 0.95, (1, 3): 0.1}, Geometry(6), 2) == ["(0,1,3,5)"]


def test_laco_keeps_out_of_what_is_excluded_or_of_another_shape() -> None:
    assert merging({}, Geometry(6, exclude=(4,)), 1) == ["(0,1,2,4,5)"], "neither removed"
    assert merging({}, Geometry(6, 0, (3,)), 2) == ["(mix(0:-1,1:1,2:1)@0,3,4,5)"], "nor merged into"
    assert merging({}, Geometry(6, exclude=(0, 1, 2, 3, 4)), 1) == []
    known, own = Table(similarity=lambda _: 0.5), MethodSettings("laco", (1,), merge=3)
    apart = replace(problem_with(Geometry(6)), pairs=((0, 1), (2, 3), (4, 5)))
    assert [str(layout) for layout in laco.sets(known, apart, 1, own)] == ["(0,1,2,3,5)"], "deletions add no weights"
    assert [removed_from(layout, 6) for layout in laco.native(known, apart, 2, own)] == []


# --- random ----------------------------------------------------------------------------------------------------------


def drawn(geometry: Geometry, budget: int, draws: int = 39, seed: int = 0) -> tuple[tuple[int, ...], ...]:
    own = MethodSettings("random", (budget,), draws=draws)
    found = random.sets(Table(), problem_with(geometry, seed), budget, own)
    assert all(place.own for layout in found for place in layout.places)
    return tuple(removed_from(layout, geometry.blocks) for layout in found)


geometries = st.builds(
    Geometry, st.integers(2, 12), st.integers(0, 2), st.lists(st.integers(0, 11), max_size=3).map(tuple)
)


@settings(deadline=None)
@given(geometries, st.integers(1, 6), st.integers(1, 40), st.integers(0, 5))
def test_draws_are_distinct_and_feasible(geometry: Geometry, budget: int, draws: int, seed: int) -> None:
    found = drawn(geometry, budget, draws, seed)
    assert len(found) == len(set(found)) == min(draws, geometry.count(budget))
    assert all(geometry.allows(layers) and len(layers) == budget for layers in found)
    assert found == drawn(geometry, budget, draws, seed), "the same seed, the same sets"


def test_all_sets_are_drawn_where_there_are_no_more() -> None:
    geometry = Geometry(6, spacing=1)
    every = [layers for layers in combinations(range(6), 3) if geometry.allows(layers)]
    assert len(every) == 4
    for draws in (4, 5, 39):
        assert list(drawn(geometry, 3, draws)) == every
    assert drawn(geometry, 4) == ()


def test_another_seed_draws_other_sets_and_other_budgets_or_draws_change_nothing() -> None:
    geometry = Geometry(30)
    alone = drawn(geometry, 3)
    several = random.sets(Table(), problem_with(geometry), 3, MethodSettings("random", (1, 3, 5)))
    assert alone == tuple(removed_from(layout, 30) for layout in several)
    assert alone != drawn(geometry, 3, seed=1)
    assert drawn(geometry, 3, draws=60)[:39] == alone, "more draws keep those that were there"


def test_draws_are_uniform_over_the_feasible_sets() -> None:
    """Pearson's statistic over 2,000 seeds lies where it does for a uniform draw in all but 1 of 10,000 cases."""
    geometry = Geometry(7, spacing=1)
    feasible = [layers for layers in combinations(range(7), 3) if geometry.allows(layers)]
    assert len(feasible) == 10
    first: Counter[tuple[int, ...]] = Counter()
    together: Counter[tuple[tuple[int, ...], ...]] = Counter()
    for seed in range(2000):
        found = drawn(geometry, 3, draws=2, seed=seed)
        first.update(found[:1])
        together[tuple(sorted(found))] += 1
    assert pearson(first, len(feasible)) < 33.7  # chi-square, 9 degrees of freedom
    assert pearson(together, 45) < 87.7  # 44 degrees: pairs of sets are uniform as well


def pearson(counts: Mapping[object, int], cells: int) -> float:
    assert len(counts) == cells
    expected = sum(counts.values()) / cells
    return sum((count - expected) ** 2 / expected for count in counts.values())


def test_draws_from_a_stack_too_large_to_list() -> None:
    geometry = Geometry(126, spacing=1, exclude=(0, 125))
    found = drawn(geometry, 30, draws=100)
    assert len(set(found)) == 100
    assert all(geometry.allows(layers) and len(layers) == 30 for layers in found)
    assert {layer for layers in found for layer in layers} == set(range(1, 125))
