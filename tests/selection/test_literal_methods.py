"""Each method against a slow, literal transcription of its formula, on tiny random models of two families."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import literal_methods as literal
import numpy as np
import pytest
import torch
from literal_methods import Build
from reference_layouts import log_probabilities, quantity, weighted_sum
from tiny_audit import one_thread
from tiny_models import build, token_ids
from torch import nn

from checker.core.layouts import Geometry, Layout, pairs_within
from checker.core.questions import PORTIONS, Ask, Problem
from checker.core.records import MethodSettings
from checker.measure import passes
from checker.measure.blocks import BlockStack
from checker.measure.engine import Engine
from checker.measure.planted import Planted
from checker.measure.proof import prove
from checker.measure.texts import Batch, Window
from checker.selection.methods import METHODS, laco
from checker.selection.plan import Asked

BLOCKS, PROMPTS, TOKENS = 6, 6, 12
IDS = token_ids(PROMPTS, TOKENS)
BUILDS: dict[str, Build] = {
    "llama": partial(build, "llama", num_hidden_layers=BLOCKS),
    "gpt2": partial(build, "gpt2", n_layer=BLOCKS),
}
ANYWHERE = literal.spaced(0)
close = partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-6)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module", params=BUILDS)
def made(request: pytest.FixtureRequest) -> Build:
    return BUILDS[request.param]


@pytest.fixture(scope="module")
def model(made: Build) -> Planted:
    windows = tuple(Window(tuple(ids.tolist()), 0, TOKENS - 2) for ids in IDS)
    return Planted(Engine(BlockStack(made())), windows, ())


@pytest.fixture(scope="module")
def ask(model: Planted) -> Ask:
    return model.ask


def problem(spacing: int = 1, exclude: tuple[int, ...] = ()) -> Problem:
    return Problem(BLOCKS, pairs_within(BLOCKS, 1), Geometry(BLOCKS, spacing, exclude), "into", 0)


def distances(method: str, ask: Ask) -> Any:
    asked = METHODS[method].distances
    assert asked is not None
    return asked(ask, problem())


def chosen(method: str, ask: Ask, budget: int, where: Problem, native: bool = False, **settings: Any) -> Layout:
    chooses = METHODS[method].native if native else METHODS[method].sets
    assert chooses is not None
    found = chooses(ask, where, budget, MethodSettings(method, (budget,), **settings))
    assert len(found) == 1
    return found[0]


def taken(layout: Layout) -> tuple[int, ...]:
    return layout.removed(BLOCKS)


# --- the model as it is ----------------------------------------------------------------------------------------------


def test_block_influence_is_of_each_token(ask: Ask, made: Build) -> None:
    found = distances("block_influence", ask)
    for prompt in range(PROMPTS):
        expected = literal.block_influence(made(), IDS[prompt : prompt + 1])
        close([found[block,][prompt] for block in range(BLOCKS)], [expected[block] for block in range(BLOCKS)])
    flattened = literal.states(made(), IDS)
    whole = [literal.cosine(a.flatten(), b.flatten()) for a, b in pairwise(flattened)]
    assert max(abs(1 - found[block,].mean() - whole[block]) for block in range(BLOCKS)) > 1e-3, "another quantity"


@pytest.mark.parametrize("count", range(1, BLOCKS))
def test_angular_distance_of_every_run(ask: Ask, made: Build, count: int) -> None:
    """A run of n blocks goes from the input of block l to the output of block l + n - 1, before the final norm."""
    runs = [(first, first + count - 1) for first in range(BLOCKS - count + 1)]
    found = ask.hidden("angle", runs)
    close(
        [found[run].mean() for run in runs],
        [literal.angular_distance(made(), IDS, first, count) for first, _ in runs],
    )
    if count == 1:
        single = distances("angular_distance", ask)
        assert {key: values.tolist() for key, values in single.items()} == {
            (first,): found[first, first].tolist() for first in range(BLOCKS)
        }
    native = chosen("angular_distance", ask, count, problem(), native=True)
    assert taken(native) == literal.least_turning_run(made(), IDS, count)


def test_cka_of_every_portion_with_more_tokens_than_features(ask: Ask, made: Build) -> None:
    found, states = distances("cka", ask), literal.states(made(), IDS)
    features = states[0].shape[-1]
    quarters = [0, 2, 3, 4, 6]  # of six prompts
    portions = [range(quarters[start], quarters[end]) for start, end in PORTIONS]
    assert [len(portion) * TOKENS > features for portion in portions] == [True, True, True, True, False]
    for block in range(BLOCKS):
        expected = [
            1 - literal.cka(*(side[part.start : part.stop].flatten(0, 1) for side in states[block : block + 2]))
            for part in portions[:4]
        ]
        close(found[block,], expected)


def test_taylor_is_the_gradient_of_the_mean_loss_of_a_portion(model: Planted, made: Build) -> None:
    found = distances("taylor", model.ask)
    quarters = [0, 2, 3, 4, 6]
    for number, (start, end) in enumerate(PORTIONS):
        expected = literal.taylor(made(), IDS[quarters[start] : quarters[end]])
        close(
            [found[block,][number] for block in range(BLOCKS)], [expected[block] for block in range(BLOCKS)], rtol=1e-4
        )
    parameters = model.engine.stack.model.parameters()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in parameters)


def test_taylor_adds_up_over_batches(made: Build) -> None:
    stack, windows = BlockStack(made()), [Window(tuple(ids.tolist()), 0, TOKENS - 2) for ids in IDS]
    together, apart = (passes.taylor(stack, windows, tokens) for tokens in (1024, 2 * TOKENS))
    for block in range(BLOCKS):
        close(together[block], apart[block], rtol=1e-4)


# --- weights that move -----------------------------------------------------------------------------------------------


def kl_to(base: nn.Module, variant: nn.Module) -> list[float]:
    """Per prompt, over all its positions."""
    batch = Batch(IDS, 0, TOKENS - 1, range(PROMPTS), "prompt")
    return quantity(log_probabilities(base, batch), log_probabilities(variant, batch), batch, "kl")


def loaded(made: Build, weights: dict[int, list[tuple[int, float]]]) -> nn.Module:
    """A model whose blocks are loaded with weighted sums of other blocks' weights."""
    model, originals = made(), [block.state_dict() for block in literal.blocks_of(made())]
    for slot, parts in weights.items():
        sums = weighted_sum([(originals[block], share) for block, share in parts])
        literal.blocks_of(model)[slot].load_state_dict(sums)
    return model


def test_protocols_are_what_loading_weights_makes_of_the_model(ask: Ask, made: Build) -> None:
    replaced, swapped, averaged = (distances(name, ask) for name in ("replacement", "interchange", "averaging"))
    deleted = distances("deletion", ask)
    for i, j in pairs_within(BLOCKS, 1):
        close(replaced[i, j], kl_to(made(), loaded(made, {i: [(j, 1.0)]})), rtol=1e-4)
        close(replaced[j, i], kl_to(made(), loaded(made, {j: [(i, 1.0)]})), rtol=1e-4)
        close(swapped[i, j], kl_to(made(), loaded(made, {i: [(j, 1.0)], j: [(i, 1.0)]})), rtol=1e-4)
        mean = [(i, 0.5), (j, 0.5)]
        close(averaged[i, j], kl_to(made(), loaded(made, {i: mean, j: mean})), rtol=1e-4)
    for block in range(BLOCKS):
        close(deleted[block,], kl_to(made(), literal.without(made(), [block])), rtol=1e-4)


# --- searches by loss ------------------------------------------------------------------------------------------------


def test_deletion_loss(ask: Ask, made: Build) -> None:
    found, expected = distances("deletion_loss", ask), literal.deletion_losses(made, IDS)
    close([found[block,].mean() for block in range(BLOCKS)], [expected[block] for block in range(BLOCKS)])


@pytest.mark.parametrize("spacing", [0, 1])
@pytest.mark.parametrize("budget", [1, 2, 3])
def test_sleb_deletes_one_block_after_the_other(ask: Ask, made: Build, budget: int, spacing: int) -> None:
    expected = literal.sleb(made, IDS, budget, literal.spaced(spacing))
    assert taken(chosen("sleb", ask, budget, problem(spacing))) == expected


def test_slebs_own_form_bars_both_ends_and_spaces_nothing(ask: Ask, made: Build) -> None:
    for budget in (1, 3):
        expected = literal.sleb(made, IDS, budget, literal.spaced(0, barred=(0, BLOCKS - 1)))
        assert taken(chosen("sleb", ask, budget, problem(spacing=2, exclude=(2,)), native=True)) == expected


def test_a_seeded_beam_is_the_same_search_begun_elsewhere(ask: Ask, made: Build) -> None:
    """With as many beams as blocks, where it begins makes no difference; with one, it may."""
    where = problem(0)
    for seeds in ({block: float(block) for block in range(BLOCKS)}, {block: -float(block) for block in range(BLOCKS)}):
        wide = taken(chosen("beam", ask, 2, replace(where, seeds=seeds), width=BLOCKS))
        assert wide == literal.beam(made, IDS, 2, BLOCKS, ANYWHERE)
        first = min(seeds, key=lambda block: seeds[block])
        assert first in taken(chosen("beam", ask, 2, replace(where, seeds=seeds), width=1))


@pytest.mark.parametrize("spacing", [0, 1])
def test_beam_keeps_the_best_sets_of_each_size(ask: Ask, made: Build, spacing: int) -> None:
    for width in (1, 2):
        expected = literal.beam(made, IDS, 3, width, literal.spaced(spacing))
        assert taken(chosen("beam", ask, 3, problem(spacing), width=width)) == expected
    assert taken(chosen("beam", ask, 3, problem(spacing), width=1)) == taken(chosen("sleb", ask, 3, problem(spacing)))


@pytest.mark.parametrize(("spacing", "exclude"), [(0, ()), (1, (3,))])
def test_exhaustive_looks_at_every_set(ask: Ask, made: Build, spacing: int, exclude: tuple[int, ...]) -> None:
    expected = literal.exhaustive(made, IDS, 2, literal.spaced(spacing, exclude))
    assert taken(chosen("exhaustive", ask, 2, problem(spacing, exclude))) == expected


# --- LaCo ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "following"), [(0, 1), (2, 1), (1, 2), (2, 3)])
def test_a_merge_is_the_weights_added_up_and_loaded(ask: Ask, made: Build, place: int, following: int) -> None:
    merged = laco.merge(problem().base, place, following)
    variant = literal.collapsed(made(), place, following)
    assert list(merged.slots) == literal.without_merged(list(range(BLOCKS)), place, following)
    close(ask.loss([merged])[merged].mean(), literal.loss(variant, IDS))
    close(ask.similarity([merged])[merged].mean(), literal.similarity(made(), variant, IDS))
    twice = laco.merge(merged, 0, 1)
    close(ask.loss([twice])[twice].mean(), literal.loss(literal.collapsed(variant, 0, 1), IDS))


THRESHOLDS = (-1.0, 0.3, 0.6, 0.8, 0.9)


@pytest.mark.parametrize(
    ("combined", "spacing", "budget", "interval"), [(2, 0, 3, 1), (2, 1, 2, 1), (3, 0, 3, 1), (3, 0, 3, 2)]
)
def test_laco_accepts_from_the_top_what_stays_similar(
    ask: Ask, made: Build, combined: int, spacing: int, budget: int, interval: int
) -> None:
    """One collapse at each threshold: the merges in their order, which of them are kept, and the model they make."""
    orders = set()
    for threshold in THRESHOLDS:
        lowest = interval - 1
        variant, gone, done = literal.laco(
            made(), IDS, budget, combined, threshold, literal.spaced(spacing), interval, lowest
        )
        looks = Asked(ask.answer)
        noted = replace(ask, answer=looks)
        found = laco._collapse(noted, problem(spacing), budget, laco._Steps(combined - 1, interval, lowest), threshold)
        assert taken(found) == gone
        looked_at = sum(allowed for *_, allowed in attempts(done, spacing))
        assert sum(map(len, looks.steps)) == looked_at
        close(ask.loss([found])[found].mean(), literal.loss(variant, IDS))
        orders.add(tuple(done))
    assert len(orders) > 1, "the thresholds make a difference"


def attempts(done: literal.Done, spacing: int) -> Iterator[tuple[int, int, bool]]:
    """The merges that were tried, and whether the constraints let them be looked at."""
    left, allowed = list(range(BLOCKS)), literal.spaced(spacing)
    for at, following, good in done:
        kept = literal.without_merged(left, at, following)
        yield at, following, allowed(tuple(block for block in range(BLOCKS) if block not in kept))
        left = kept if good else left


@pytest.mark.parametrize(("native", "merge"), [(False, 4), (True, 3)])
def test_laco_searches_the_highest_threshold_that_reaches_the_budget(
    model: Planted, made: Build, native: bool, merge: int
) -> None:
    budget = 2
    combined, allowed = (min(merge, budget + 1), ANYWHERE) if native else (2, literal.spaced(1))
    walk = (2, 1) if native else (1, 0)
    low, high, expected = -1.0, 1.0, None
    for _ in range(12):
        middle = (low + high) / 2
        variant, gone, _ = literal.laco(made(), IDS[:2], budget, combined, middle, allowed, *walk)
        if len(gone) == budget:
            low, expected = middle, (variant, gone)
        else:
            high = middle
    assert expected is not None
    few = replace(model, windows=model.windows[:2]).ask
    found = chosen("laco", few, budget, problem(1), native=native, merge=merge)
    assert taken(found) == expected[1]
    close(few.loss([found])[found].mean(), literal.loss(expected[0], IDS[:2]))
    assert any(not place.own for place in found.places) == native, "a merge of one block is a deletion"


# --- other architectures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("family", ["gemma3", "mixtral", "bloom", "lfm2", "deepseek_v3", "qwen3_next"])
def test_every_method_answers_on_other_families(family: str, dtype: torch.dtype) -> None:
    """Sliding and linear attention, experts, blocks of unequal shapes; after the engine has proved the model."""
    stack = BlockStack(build(family).to(dtype))
    windows = tuple(Window(tuple(ids.tolist()), 0, TOKENS - 2) for ids in IDS)
    model = Planted(Engine(stack), windows, ())
    ask = model.ask
    prove(stack, model.cuts["selection"].batches[0])
    pairs = tuple(pair for pair in pairs_within(len(stack), 1) if stack.same_shapes(*pair))
    where = Problem(len(stack), pairs, Geometry(len(stack), spacing=0), "into", 0)
    for method in METHODS.values():
        if method.distances is not None and method.scores is not None:
            found = method.distances(ask, where)
            assert all(np.isfinite(values).all() for values in found.values()), method.name
            means = {key: float(values[0]) for key, values in found.items()}
            assert set(method.scores(means, where)) <= set(range(len(stack)))
        for chooses in (method.sets, method.native):
            for layout in () if chooses is None else chooses(ask, where, 2, MethodSettings(method.name, (2,))):
                assert len(layout) == len(stack) - 2
                mixed = {block for place in layout.places if not place.own for block, _ in place.weights}
                assert all(stack.same_shapes(one, other) for one in mixed for other in mixed), method.name
