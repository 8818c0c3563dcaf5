"""Planted models hold what was planted, exactly; the self-test passes on them, and fails where a method is broken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tiny_audit import one_thread

from checker.core.errors import NotFinite
from checker.core.layouts import Geometry, Layout, pairs_within
from checker.core.questions import Problem
from checker.measure import passes, planted, selftest, walk
from checker.measure.planted import BLOCKS, Plant, plant
from checker.measure.proof import prove
from checker.measure.selftest import Check
from checker.selection.methods import METHODS, deletion_loss, laco, random, sleb

CPU = torch.device("cpu")
DTYPES = ("float32", "bfloat16", "float16")
BASE = Layout.base(BLOCKS)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def states_of(what: Plant, dtype: str, *layouts: Layout) -> list[torch.Tensor]:
    """Hidden states after the last block of each layout, block by block without an engine."""
    model = plant(what, getattr(torch, dtype), CPU)
    found = []
    for layout in layouts:
        hidden = model.engine.stack.model.embedding(model.cuts["scoring"].batches[0].ids)
        entrance = model.engine.stack.enter(model.cuts["scoring"].batches[0].ids)
        for place in layout.places:
            hidden = model.engine.stack.run(place, hidden, entrance)
        found.append(hidden)
    return found


# --- what is planted -------------------------------------------------------------------------------------------------

EQUAL = [
    ("identity", "(0,1,3,4,5)"),
    ("identity", "(0,1,3,5)"),
    ("twins", "(0,1,3@2,3,4,5)"),
    ("twins", "(0,1,3@2,2@3,4,5)"),
    ("twins", "(0,1,mix(2:.5,3:.5)@2,mix(2:.5,3:.5)@3,4,5)"),
    ("commuting", "(0,1,3@2,2@3,4,5)"),
    ("undoing", "(0,1,4,5)"),
]
OTHER = [
    ("identity", "(1,2,3,4,5)"),
    ("twins", "(0,1,3,4,5)"),
    ("commuting", "(0,1,3@2,3,4,5)"),
    ("commuting", "(0,1,mix(2:.5,3:.5)@2,mix(2:.5,3:.5)@3,4,5)"),
    ("undoing", "(0,1,3,4,5)"),
    ("scaling", "(0,1,3,4,5)"),
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_should_be_nothing_is_exactly_nothing(dtype: str) -> None:
    for what, text in EQUAL:
        one, other = states_of(what, dtype, BASE, Layout.parse(text))  # type: ignore[arg-type]
        assert torch.equal(one, other), (what, text)
    for what, text in OTHER:
        one, other = states_of(what, dtype, BASE, Layout.parse(text))  # type: ignore[arg-type]
        assert float((one - other).float().abs().mean()) > 0.1, (what, text)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_block_that_scales_changes_no_direction(dtype: str) -> None:
    one, other = states_of("scaling", dtype, BASE, BASE.without([2]))
    assert torch.equal(one, 2 * other)


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_without_its_guard_does_the_planted_block_overflow(dtype: str) -> None:
    whole, without_guard, without_both = states_of("overflowing", dtype, BASE, BASE.without([2]), BASE.without([2, 3]))
    assert whole.isfinite().all()
    assert without_both.isfinite().all()
    assert not without_guard.isfinite().all()
    (broken,) = states_of("broken", dtype, BASE)
    assert broken.isnan().all()


@pytest.mark.parametrize("what", get_args(Plant))
def test_a_planted_model_is_the_same_every_time(what: Plant) -> None:
    one, other, another = (plant(what, torch.float32, CPU, seed) for seed in (0, 0, 1))
    assert one.windows == other.windows
    for a, b in zip(*(made.engine.stack.model.parameters() for made in (one, other)), strict=True):
        assert torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))
    assert one.windows != another.windows
    assert all(0 <= block < BLOCKS for block in one.blocks)


def test_the_windows_are_what_the_model_holds_most_likely() -> None:
    model = plant("identity", torch.float32, CPU)
    for window in model.windows:
        logits = model.engine.stack.model(torch.tensor([window.ids])).logits[0]
        assert logits.argmax(-1)[:-1].tolist() == list(window.ids[1:])
    assert len(model.cuts["scoring"].batches[0].ids) * len(model.windows[0].ids) > planted.FEATURES, (
        "enough tokens for CKA"
    )


def test_the_block_by_block_model_is_the_model() -> None:
    for what in get_args(Plant):
        if what != "broken":
            model = plant(what, torch.float32, CPU)
            prove(model.engine.stack, model.cuts["scoring"].batches[0])


def test_planted_answers_have_the_shapes_of_records() -> None:
    model = plant("identity", torch.float32, CPU)
    ask, count = model.ask, len(model.windows)
    assert ask.kl([BASE])[BASE].tolist() == [0.0] * count
    assert ask.similarity([BASE])[BASE] == pytest.approx([1.0] * count)
    assert ask.loss([BASE])[BASE].shape == (count,)
    assert ask.hidden("angle", [(0, 3)])[0, 3].shape == (count,)
    assert ask.hidden("cka", [(1, 1)]).keys() == {(1, 1)}
    assert ask.taylor([2]).keys() == {2}


# --- the self-test ---------------------------------------------------------------------------------------------------


def failed(checks: list[Check]) -> list[Check]:
    return [check for check in checks if not check.passed]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_planted_answers_hold(dtype: str) -> None:
    started = time.perf_counter()
    checks = selftest.selftest(dtype, CPU)
    assert time.perf_counter() - started < 60.0
    assert failed(checks) == []
    assert {check.method for check in checks} == set(METHODS), "every method is checked"
    for check in checks:
        assert check.expected
        assert check.found
    looking = set(METHODS) - {"random", "deepest"}
    refused = {check.method for check in checks if check.expected == "an error" and check.found == "an error"}
    assert refused == looking, "no method that looks at a model takes a NaN for a score"


def test_the_self_test_leaves_the_threads_as_they_were() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    selftest.selftest("float32", CPU)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


Break = Callable[[pytest.MonkeyPatch], None]


def changed(name: str, **fields: Any) -> Break:
    return lambda patch: patch.setitem(METHODS, name, replace(METHODS[name], **fields))


def one_block_late(name: str) -> Break:
    """Scores a block by what belongs to the next one."""
    asked = METHODS[name].distances
    assert asked is not None

    def late(ask: Any, problem: Problem) -> dict[tuple[int, ...], Any]:
        found = asked(ask, problem)
        return {key: found[tuple((block + 1) % BLOCKS for block in key)] for key in found}

    return changed(name, distances=late)


def a_run_too_short(patch: pytest.MonkeyPatch) -> None:
    """Compares with what enters a run's last block, not with what leaves it."""
    compared = passes.of_spans

    def short(stack: Any, batch: Any, quantity: Any, spans: Any) -> Any:
        found = compared(stack, batch, quantity, [(first, max(first, last - 1)) for first, last in spans])
        return {(first, last): found[first, max(first, last - 1)] for first, last in spans}

    patch.setattr(passes, "of_spans", short)


def a_nan_is_nothing(patch: pytest.MonkeyPatch) -> None:
    """What a published tool did: NaN became a score of 0, and the block was pruned first."""
    patch.setattr(walk, "check_values", lambda *_: None)
    by_unit = walk.by_unit
    patch.setattr(walk, "by_unit", lambda rows, batch: np.nan_to_num(by_unit(rows, batch)))


def the_greatest_loss(patch: pytest.MonkeyPatch) -> None:
    least = sleb.mean_losses
    patch.setattr(sleb, "mean_losses", lambda *args: {key: -value for key, value in least(*args).items()})


def weights_summed_up(patch: pytest.MonkeyPatch) -> None:
    """Forgets to take the differences: w_l + w_{l+1}."""

    def merge(layout: Layout, place: int, following: int) -> Layout:
        merged = original(layout, place, following)
        both = {merged.places[place].slot: 1.0, layout.places[place + 1].slot: 1.0}
        return merged.with_weights({merged.places[place].slot: both})

    original = laco.merge
    patch.setattr(laco, "merge", merge)


def states_that_never_change(patch: pytest.MonkeyPatch) -> None:
    """Blocks that stand still: hidden states that never change are all alike."""
    states = passes.hidden_states

    def first_only(stack: Any, batch: Any) -> Any:
        first = next(iter(states(stack, batch)))
        return iter([first] * (len(stack) + 1))

    patch.setattr(passes, "hidden_states", first_only)


def the_order_as_it_was(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("checker.selection.arms.turned_round", dict)


def the_last_too(ask: Any, problem: Problem, budget: int, settings: Any) -> tuple[Layout, ...]:
    return (problem.base.without(range(BLOCKS - budget, BLOCKS)),)


def one_draw(ask: Any, problem: Problem, budget: int, settings: Any) -> tuple[Layout, ...]:
    return random.sets(ask, problem, budget, settings)[:1] * 5


BROKEN: dict[str, tuple[Break, str]] = {
    "block influence off by one": (one_block_late("block_influence"), "block_influence"),
    "cka off by one": (one_block_late("cka"), "cka"),
    "taylor off by one": (one_block_late("taylor"), "taylor"),
    "deletion off by one": (one_block_late("deletion"), "deletion"),
    "deletion loss off by one": (one_block_late("deletion_loss"), "deletion_loss"),
    "angular distance off by one": (one_block_late("angular_distance"), "angular_distance"),
    "a run one block too short": (a_run_too_short, "angular_distance"),
    "states that never change": (states_that_never_change, "block_influence"),
    "a NaN that is nothing": (a_nan_is_nothing, "deletion"),
    "sleb takes the worst": (the_greatest_loss, "sleb"),
    "worst first the right way round": (the_order_as_it_was, "worst_first"),
    "merges without differences": (weights_summed_up, "laco"),
    "interchange that replaces": (changed("interchange", distances=METHODS["replacement"].distances), "interchange"),
    "replacement that swaps": (changed("replacement", distances=METHODS["interchange"].distances), "replacement"),
    "averaging that swaps": (changed("averaging", distances=METHODS["interchange"].distances), "averaging"),
    "beam without a search": (changed("beam", sets=METHODS["deepest"].native), "beam"),
    "exhaustive that is greedy": (changed("exhaustive", sets=sleb.sets), "exhaustive"),
    "the deepest blocks and the last": (changed("deepest", native=the_last_too), "deepest"),
    "draws that are the same": (changed("random", sets=one_draw), "random"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_self_test_fails_where_a_method_is_broken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And names the method. What it is not told, it does not excuse."""
    break_it, method = BROKEN[name]
    break_it(monkeypatch)
    found = failed(selftest.selftest("float32", CPU))
    assert method in {check.method for check in found}


def test_a_nan_taken_for_a_score_fails_every_method_that_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    a_nan_is_nothing(monkeypatch)
    found = failed(selftest.selftest("float32", CPU))
    assert {check.found for check in found} == {"a score"}
    assert {"deletion", "deletion_loss", "sleb", "beam", "exhaustive", "laco"} <= {check.method for check in found}


def test_a_check_that_raises_has_failed_with_its_error_as_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any) -> Any:
        raise RuntimeError("no kernel for this")

    monkeypatch.setitem(METHODS, "deletion_loss", replace(METHODS["deletion_loss"], distances=nothing))
    found = failed(selftest.selftest("float32", CPU))
    assert {check.method for check in found} == {"deletion_loss"}
    assert {check.found for check in found} == {"RuntimeError: no kernel for this"}, "an error, but not the right one"
    assert len(found) == 3


def test_a_layout_that_overflows_is_named() -> None:
    ask = plant("overflowing", torch.bfloat16, CPU).ask
    where = Problem(BLOCKS, pairs_within(BLOCKS, 1), Geometry(BLOCKS), "into", 0)
    with pytest.raises(NotFinite, match=r"layout \(0,1,3,4,5\), prompt 0: found a nll"):
        deletion_loss.distances(ask, where)
