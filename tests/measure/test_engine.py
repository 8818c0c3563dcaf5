"""The engine equals the obviously correct reference, shares every prefix once, and lets go of what it has used."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Literal

import numpy as np
import pytest
import reference_layouts as reference
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import BLOCKS, FAMILIES, LLAMA, VOCABULARY, build, from_settings, shared, token_ids
from torch import nn

from checker.core.errors import CannotRun, NotFinite
from checker.core.layouts import Geometry, Layout, Place, pairs_within
from checker.core.questions import Problem, Quantity, Values
from checker.core.records import MethodSettings
from checker.measure import engine as engine_module
from checker.measure import walk
from checker.measure.blocks import BlockStack
from checker.measure.engine import Engine
from checker.measure.proof import prove
from checker.measure.texts import Batch
from checker.measure.walk import Emit, kl_divergence, prefix_tree
from checker.selection.cost import block_runs
from checker.selection.methods import sleb

pytestmark = pytest.mark.usefixtures("one_thread")

ALL: tuple[Quantity, ...] = ("kl", "nll", "top1")
COMPARED: tuple[Quantity, ...] = ("kl", "top1")
BASE = Layout.base(BLOCKS)
Answers = dict[tuple[Layout, Quantity], Values]
PROPERTY = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])


@cache
def stack_of(family: str) -> BlockStack:
    return BlockStack(shared(family))


def batch_of(windows: int = 3, tokens: int = 12, first: int = 0, last: int | None = None, seed: int = 0) -> Batch:
    last = tokens - 2 if last is None else last
    return Batch(token_ids(windows, tokens, seed), first, last, range(windows), "prompt")


def measured(engine: Engine, batch: Batch, wanted: Mapping[Layout, Collection[Quantity]]) -> Answers:
    answers: Answers = {}
    engine.measure(batch, wanted, noting(answers), _no_tick)
    assert set(answers) == {(layout, quantity) for layout, quantities in wanted.items() for quantity in quantities}
    return answers


def noting(answers: Answers) -> Emit:
    def emit(layout: Layout, quantity: Quantity, values: Values) -> None:
        assert (layout, quantity) not in answers  # emitted once
        answers[layout, quantity] = values

    return emit


def _no_tick(part: Literal["block", "head"], tokens: int) -> None:
    pass


def expected(model: nn.Module, batch: Batch, wanted: Mapping[Layout, Collection[Quantity]]) -> Answers:
    base = reference.log_probabilities(model, batch)
    answers: Answers = {}
    for layout, quantities in wanted.items():
        variant = reference.log_probabilities(reference.rebuilt(model, layout), batch)
        for quantity in quantities:
            answers[layout, quantity] = np.array(reference.quantity(base, variant, batch, quantity))
    return answers


def assert_equal(ours: Answers, theirs: Answers) -> None:
    assert set(ours) == set(theirs)
    for (layout, quantity), values in theirs.items():
        found = ours[layout, quantity]
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-6, err_msg=f"{quantity} of {layout}")


def assert_same_bits(ours: Answers, theirs: Answers) -> None:
    for key, values in ours.items():
        assert values.tobytes() == theirs[key].tobytes(), key


# --- equality with the reference -------------------------------------------------------------------------------------


def partners(stack: BlockStack, slot: int) -> list[int]:
    return [block for block in range(len(stack)) if stack.same_shapes(block, slot)]


@st.composite
def arbitrary(draw: st.DrawFn, stack: BlockStack) -> Layout:
    """Any slots left out, any fitting weights in the others."""
    places = []
    for slot in range(len(stack)):
        blocks = st.sampled_from(partners(stack, slot))
        action = draw(st.sampled_from(["own", "deleted", "replaced", "mixed"]))
        if action == "own":
            places.append(Place.of(slot))
        elif action == "replaced":
            places.append(Place.of(draw(blocks), slot))
        elif action == "mixed":
            shares = st.sampled_from([0.5, 0.25, 1.0, -0.5])
            mix = draw(st.dictionaries(blocks, shares, min_size=1, max_size=3))
            places.append(Place(tuple(sorted(mix.items())), slot))
    return Layout(tuple(places)) if places else Layout.base(len(stack))


@st.composite
def interventions(draw: st.DrawFn, stack: BlockStack) -> Layout:
    """What the protocols ask for: deletion, replacement, interchange, the average in both places."""
    base = Layout.base(len(stack))
    i, j = draw(st.sampled_from([pair for pair in pairs_within(len(stack), 9) if stack.same_shapes(*pair)]))
    both = {i: 0.5, j: 0.5}
    changed = draw(st.sampled_from([{i: j}, {j: i}, {i: j, j: i}, {i: both, j: both}, {}]))
    gone = draw(st.sets(st.integers(0, len(stack) - 1), max_size=len(stack) - 1))
    return base.with_weights(changed) if changed else base.without(gone)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Batch, tuple[Quantity, ...]]:
    """All positions, the last one, or an evaluation window's new tokens; and what can be asked there."""
    windows, tokens = draw(st.integers(1, 3)), draw(st.integers(4, 14))
    kind = draw(st.sampled_from(["all", "last", "window"]))
    seed = draw(st.integers(0, 3))
    if kind == "all":
        return batch_of(windows, tokens, 0, tokens - 1, seed), COMPARED
    if kind == "last":
        return batch_of(windows, tokens, tokens - 1, tokens - 1, seed), COMPARED
    first = draw(st.integers(0, tokens - 2))
    return batch_of(windows, tokens, first, draw(st.integers(first, tokens - 2)), seed), ALL


def check_against_reference(data: st.DataObject, family: str) -> None:
    stack = stack_of(family)
    layouts = data.draw(st.lists(arbitrary(stack) | interventions(stack), min_size=1, max_size=4, unique=True))
    batch, quantities = data.draw(batches())
    wanted = dict.fromkeys(layouts, quantities)
    assert_equal(measured(Engine(stack), batch, wanted), expected(stack.model, batch, wanted))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_equals_the_reference(family: str) -> None:
    @settings(PROPERTY, max_examples=6)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        check_against_reference(data, family)

    check()


@settings(PROPERTY, max_examples=60)
@given(st.data(), st.sampled_from(["llama", "gpt2_inverse", "gemma3", "qwen2", "cohere2", "smollm3", "qwen3_moe"]))
def test_layouts_equal_the_reference(data: st.DataObject, family: str) -> None:
    check_against_reference(data, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_protocols_of_every_family_equal_the_reference(family: str) -> None:
    stack, batch = stack_of(family), batch_of()
    i, j = next(pair for pair in pairs_within(BLOCKS, 3) if stack.same_shapes(*pair))
    both = {i: 0.5, j: 0.5}
    changes: list[dict[int, Any]] = [{i: j}, {j: i}, {i: j, j: i}, {i: both, j: both}]
    layouts = [BASE, *(BASE.with_weights(change) for change in changes), *(BASE.without([b]) for b in range(BLOCKS))]
    wanted = dict.fromkeys([*layouts, BASE.without([0, 2])], ALL)
    answers = measured(Engine(stack), batch, wanted)
    assert_equal(answers, expected(stack.model, batch, wanted))
    assert np.array_equal(answers[BASE, "kl"], np.zeros(3))
    assert np.array_equal(answers[BASE, "top1"], np.ones(3))
    for layout in layouts[1:]:  # well above float noise, or the comparison would say nothing
        assert answers[layout, "kl"].min() > 0.01, layout


def test_slots_keep_their_kind() -> None:
    """A full-attention slot that runs a sliding slot's weights still attends to everything, and so after a deletion."""
    stack, batch = stack_of("gemma3"), batch_of(1, 14)
    assert stack.model.config.layer_types == ["sliding_attention", "full_attention"] * 2
    for layout in (BASE.with_weights({1: 2}), BASE.with_weights({2: 1}), BASE.without([0]), BASE.without([1])):
        wanted: Mapping[Layout, Collection[Quantity]] = {layout: ALL}
        assert_equal(measured(Engine(stack), batch, wanted), expected(stack.model, batch, wanted))


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_layout_that_is_the_beginning_of_the_baseline(missing: int) -> None:
    """Its hidden states are on the baseline's way, but it cannot be compared before the baseline has arrived."""
    stack, batch = stack_of("llama"), batch_of()
    engine = Engine(stack)
    wanted = {BASE.without(range(BLOCKS - missing, BLOCKS)): ALL, BASE.without([3]): ALL, BASE: ALL}
    assert_equal(measured(engine, batch, wanted), expected(stack.model, batch, wanted))
    assert engine.block_runs == BLOCKS


def test_no_block_at_all() -> None:
    stack, batch = stack_of("llama"), batch_of()
    wanted = {Layout(()): ALL, BASE.without([0]): ALL}
    assert_equal(measured(Engine(stack), batch, wanted), expected(stack.model, batch, wanted))


def test_a_model_is_the_same_before_and_after() -> None:
    stack, batch = stack_of("gpt2"), batch_of()
    before = reference.log_probabilities(stack.model, batch)
    measured(Engine(stack), batch, {BASE.with_weights({0: {1: 0.5, 2: 0.5}}): ALL, BASE.without([1]): ALL})
    assert torch.equal(before, reference.log_probabilities(stack.model, batch))


# --- sharing ---------------------------------------------------------------------------------------------------------


def prefixes(layouts: Iterable[Layout]) -> int:
    return len({layout.places[:length] for layout in layouts for length in range(1, len(layout) + 1)})


def adjacent_pairs(blocks: int) -> list[Layout]:
    base = Layout.base(blocks)
    layouts = [base]
    for i in range(blocks - 1):
        layouts += [base.with_weights(change) for change in ({i: i + 1}, {i + 1: i}, {i: i + 1, i + 1: i})]
    return layouts


@settings(PROPERTY, max_examples=30)
@given(st.data())
def test_each_prefix_is_run_once(data: st.DataObject) -> None:
    stack = stack_of("llama")
    layouts = data.draw(st.lists(arbitrary(stack) | interventions(stack), min_size=1, max_size=8, unique=True))
    compared = data.draw(st.booleans())
    engine = Engine(stack)
    measured(engine, batch_of(1, 4), dict.fromkeys(layouts, ALL if compared else ("nll",)))
    assert engine.block_runs == prefixes([*layouts, BASE] if compared else layouts)


@pytest.fixture(scope="module")
def deep() -> BlockStack:
    """A model of 30 blocks."""
    sizes = {"num_hidden_layers": 30, "hidden_size": 16, "head_dim": 4, "intermediate_size": 16}
    return BlockStack(from_settings("llama", LLAMA | sizes))


def test_adjacent_pairs_of_30_blocks_take_1364_block_runs(deep: BlockStack) -> None:
    layouts = adjacent_pairs(30)
    assert len(layouts) * 30 == 2640
    assert prefixes(layouts) == 1364
    engine, ticks = Engine(deep), {"block": 0, "head": 0}

    def tick(part: Literal["block", "head"], tokens: int) -> None:
        ticks[part] += tokens

    batch = batch_of(1, 4)
    answers: Answers = {}
    engine.measure(batch, dict.fromkeys(layouts, ("kl",)), noting(answers), tick)
    assert engine.block_runs == 1364
    assert ticks == {"block": 1364 * 4, "head": len(layouts) * 3}
    some: dict[Layout, Collection[Quantity]] = dict.fromkeys([layouts[1], layouts[45], layouts[-1]], ("kl",))
    assert_equal({(layout, "kl"): answers[layout, "kl"] for layout in some}, expected(deep.model, batch, some))


def test_the_baseline_is_the_first_branch() -> None:
    layouts = [BASE.with_weights({0: 1}), BASE.without([2]), BASE, BASE.without([3])]
    node, length = prefix_tree(layouts, BASE), 0
    while node.children:
        place, node = next(iter(node.children.items()))
        assert place == BASE.places[length]
        length += 1
    assert node.layout == BASE


def test_the_baseline_is_not_run_where_nothing_is_compared_with_it() -> None:
    engine = Engine(stack_of("llama"))
    measured(engine, batch_of(), {BASE.with_weights({0: 1}): ("nll",)})
    assert engine.block_runs == BLOCKS


# --- searches by loss ------------------------------------------------------------------------------------------------


class Searching:
    """Answers a search's losses on one batch, each layout once, and keeps what each step cost."""

    def __init__(self, stack: BlockStack, batch: Batch) -> None:
        self.engine, self.batch = Engine(stack), batch
        self.known: dict[Layout, Values] = {}
        self.steps: list[tuple[list[Layout], int]] = []  # the layouts measured together, and the block runs they took

    def loss(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        wanted = list(layouts)
        new = [layout for layout in wanted if layout not in self.known]
        if new:
            before = self.engine.block_runs
            answers = measured(self.engine, self.batch, dict.fromkeys(new, ("nll",)))
            self.known |= {layout: answers[layout, "nll"] / self.batch.positions for layout in new}
            self.steps.append((new, self.engine.block_runs - before))
        return {layout: self.known[layout] for layout in wanted}

    @property
    def of_whole_forwards(self) -> int:
        return sum(len(layout) for layouts, _ in self.steps for layout in layouts)


def search_by_sleb(stack: BlockStack, spacing: int = 0, native: bool = False) -> tuple[Searching, list[Layout]]:
    """SLEB at budgets 1 to 5 on one batch, and what it chose at each."""
    asked = Searching(stack, batch_of(2, 6))
    where = Problem(30, pairs_within(30, 1), Geometry(30, spacing), "into", 0)
    chooses = sleb.native if native else sleb.sets
    chosen = [chooses(asked, where, budget, MethodSettings("sleb", (budget,)))[0] for budget in range(1, 6)]  # type: ignore[arg-type]
    return asked, chosen


@pytest.mark.parametrize(("spacing", "native"), [(0, False), (1, False), (0, True)], ids=["free", "spaced", "native"])
def test_sleb_takes_half_the_block_runs_of_whole_forwards(deep: BlockStack, spacing: int, native: bool) -> None:
    """A step's candidates share their beginnings, and those of the best layout of the step before are kept."""
    asked, chosen = search_by_sleb(deep, spacing, native)
    assert len(asked.steps) == 5, "a larger budget goes on from what a smaller one measured"
    for number, (layouts, spent) in enumerate(asked.steps):
        alone = block_runs(layouts)
        kept = block_runs([chosen[number - 1]]) if number else 0
        shared = kept + alone - block_runs([*layouts, chosen[number - 1]]) if number else 0
        assert spent == alone - shared
        if not spacing and not native:
            blocks = 30 - number
            assert alone == (blocks - 1) * (blocks + 2) // 2
            assert shared == (blocks - 1 if number else 0), "all that candidates have in common"
    spent = sum(runs for _, runs in asked.steps)
    assert asked.of_whole_forwards >= 1.9 * spent
    if not spacing and not native:
        assert (asked.of_whole_forwards, spent) == (3790, 1924)


def test_what_is_kept_changes_no_value(deep: BlockStack) -> None:
    asked, _ = search_by_sleb(deep, spacing=1)
    fresh = measured(Engine(deep), asked.batch, dict.fromkeys(asked.known, ("nll",)))
    values = {(layout, "nll"): known * asked.batch.positions for layout, known in asked.known.items()}
    for key, value in values.items():
        np.testing.assert_allclose(value, fresh[key], rtol=1e-12)  # type: ignore[index]
    one_by_one = {layout: measured(Engine(deep), asked.batch, {layout: ("nll",)}) for layout in list(asked.known)[::20]}
    for layout, alone in one_by_one.items():
        assert_same_bits(alone, fresh)
        assert layout in asked.known


def test_states_are_kept_of_batches_apart_and_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    stack, singles = stack_of("llama"), [BASE.without([block]) for block in range(BLOCKS)]
    wanted: dict[Layout, Collection[Quantity]] = dict.fromkeys(singles, ("nll",))
    engine, alone = Engine(stack), prefixes(singles)
    for number in range(2):
        measured(engine, batch_of(seed=number), wanted)
    assert engine.block_runs == 2 * alone, "another batch begins anew"
    batch = batch_of()
    engine = Engine(stack)
    measured(engine, batch, wanted)
    measured(engine, batch, wanted)
    assert engine.block_runs == 2 * alone - (BLOCKS - 1), "the best one's blocks are known"
    measured(engine, batch, dict.fromkeys([BASE, *singles], ("nll",)))
    measured(engine, batch, dict.fromkeys(singles, ("kl",)))
    with_base = prefixes([BASE, *singles])
    assert engine.block_runs == 2 * alone - (BLOCKS - 1) + 2 * with_base, "what compares with the baseline is no search"
    monkeypatch.setattr(engine_module, "_KEPT_BYTES", 4 * 3 * 12 * 32 * BLOCKS - 1)
    engine = Engine(stack)
    measured(engine, batch, wanted)
    measured(engine, batch, wanted)
    assert engine.block_runs == 2 * alone, "too large to be kept"


def test_the_baselines_last_states_are_kept_for_similarities(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search asks for one layout after another; what it is told is what all together would be told."""
    stack, batch = stack_of("llama"), batch_of()
    singles = [BASE.without([block]) for block in range(BLOCKS)]
    together = measured(Engine(stack), batch, dict.fromkeys(singles, ("similarity",)))
    for room in (engine_module._KEPT_BYTES, 0):
        monkeypatch.setattr(engine_module, "_KEPT_BYTES", room)
        engine = Engine(stack)
        for single in singles:
            assert_same_bits(measured(engine, batch, {single: ("similarity",)}), together)
        whole = [prefixes([BASE, single]) for single in singles]
        assert engine.block_runs == (sum(whole) if room == 0 else whole[0] + (BLOCKS - 1) * (BLOCKS - 1))
    engine = Engine(stack)
    measured(engine, batch, {singles[0]: ("similarity",)})
    both = measured(engine, batch, {singles[1]: ("similarity", "kl")})
    assert_same_bits(both, measured(Engine(stack), batch, {singles[1]: ("similarity", "kl")}))


# --- the same bits, whatever else is measured ------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gemma3", "mixtral", "bloom", "qwen3_next"])
def test_values_do_not_depend_on_what_else_is_measured_nor_on_order(family: str) -> None:
    stack, batch = stack_of(family), batch_of(3, 14, 2)
    i, j = next(pair for pair in pairs_within(BLOCKS, 3) if stack.same_shapes(*pair))
    both = {i: 0.5, j: 0.5}
    changes: list[dict[int, Any]] = [{i: j}, {j: i}, {i: j, j: i}, {i: both, j: both}, {j: both}]
    layouts = [BASE, *(BASE.with_weights(change) for change in changes), *(BASE.without([b]) for b in range(BLOCKS))]
    together = measured(Engine(stack), batch, dict.fromkeys(layouts, ALL))
    engine = Engine(stack)
    assert_same_bits(measured(engine, batch, dict.fromkeys(reversed(layouts), ALL)), together)
    for layout in layouts:
        assert_same_bits(measured(engine, batch, {layout: ALL}), together)
        for quantity in ALL:
            assert_same_bits(measured(engine, batch, {layout: (quantity,)}), together)


@pytest.mark.parametrize("chunk", [1, 3, 1 << 30])
def test_values_hardly_depend_on_how_logits_are_cut(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stack, batch = stack_of("llama"), batch_of(5, 12, 3)
    wanted = {BASE: ALL, BASE.without([1]): ALL, BASE.with_weights({0: 1}): ALL}
    monkeypatch.setattr(walk, "_LOGIT_BYTES", 4 * VOCABULARY * batch.positions * chunk)
    monkeypatch.setattr(walk, "_REDUCED_ROWS", chunk)
    assert_equal(measured(Engine(stack), batch, wanted), expected(stack.model, batch, wanted))


# --- what is not finite ----------------------------------------------------------------------------------------------


HUGE = BASE.with_weights({1: {2: 1e38}})


@pytest.mark.parametrize("quantities", [("kl",), ("nll",), ("top1",), ALL])
def test_a_layout_that_breaks_the_model_is_named(quantities: tuple[Quantity, ...]) -> None:
    engine, batch = Engine(stack_of("llama")), batch_of()
    answers: Answers = {}
    wanted = {BASE.without([3]): quantities, HUGE: quantities, BASE: quantities}
    with pytest.raises(NotFinite) as caught:
        engine.measure(batch, wanted, noting(answers), _no_tick)
    assert str(caught.value).startswith(
        f"layout (0,mix(2:1e+38)@1,2,3), prompt 0: found a {min(quantities)} that is not a finite number; expected"
    )
    kept = {BASE.without([3]): quantities, BASE: quantities}
    assert set(answers) == {(layout, quantity) for layout in kept for quantity in quantities}
    assert_same_bits(answers, measured(engine, batch, kept))


def broken(where: int) -> tuple[nn.Module, Batch]:
    """A model that knows no number for one token, and prompts that hold this token in prompt ``where`` only."""
    model = build("llama", tie_word_embeddings=False)
    batch = batch_of(4, 12)
    token = 50
    batch.ids[batch.ids == token] = token + 1
    batch.ids[where, 3] = token
    model.model.embed_tokens.weight[token] = torch.nan
    return model, batch


@pytest.mark.parametrize("where", [0, 2, 3])
@pytest.mark.parametrize("quantity", ALL)
def test_the_prompt_is_named(where: int, quantity: Quantity, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = broken(where)
    monkeypatch.setattr(walk, "_LOGIT_BYTES", 1)  # one window at a time
    batch = Batch(batch.ids, batch.first, batch.last, range(20, 24), "window")
    with pytest.raises(NotFinite, match=rf"layout \(0,1,2,3\), window {20 + where}: "):
        measured(Engine(BlockStack(model)), batch, {BASE: (quantity,)})
    named = r"\(0,1,2,3\)" if quantity != "nll" else r"\(0,1,3\)"  # what is compared fails with the baseline
    with pytest.raises(NotFinite, match=rf"layout {named}, window {20 + where}: "):
        measured(Engine(BlockStack(model)), batch, {BASE.without([2]): (quantity,)})


def test_nan_weights_are_named_before_anything_is_measured() -> None:
    model = build("llama")
    model.model.layers[2].mlp.down_proj.weight[0, 0] = torch.nan
    engine = Engine(BlockStack(model))
    with pytest.raises(NotFinite, match=r"layout \(0,1,2,3\), prompt 0: found a logit that is not a finite number"):
        prove(engine.stack, batch_of())
    with pytest.raises(NotFinite, match=r"layout \(0,1,2,3\), prompt 0"):
        gap(engine, Engine(stack_of("llama")))
    # Where the broken block is gone, nothing is wrong.
    assert np.isfinite(measured(engine, batch_of(), {BASE.without([2]): ("nll",)})[BASE.without([2]), "nll"]).all()


def test_a_token_with_probability_zero_is_not_scored_as_a_number() -> None:
    model = build("llama", tie_word_embeddings=False)
    never = torch.tensor([7])
    model.lm_head.register_forward_hook(lambda _module, _inputs, logits: logits.index_fill(-1, never, -torch.inf))
    with pytest.raises(NotFinite, match=r"layout \(0,1,2,3\), prompt 0"):
        measured(Engine(BlockStack(model)), batch_of(), {BASE.without([1]): ("kl",)})


def test_nll_at_a_windows_last_position_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no next token"):
        measured(Engine(stack_of("llama")), batch_of(2, 8, 0, 7), {BASE: ("nll",)})


# --- causality -------------------------------------------------------------------------------------------------------


def test_a_bidirectional_model_is_refused() -> None:
    stack = BlockStack(build("gemma3", use_bidirectional_attention=True))
    with pytest.raises(CannotRun) as error:
        prove(stack, batch_of())
    message = re.sub(r"move by \S+", "move by X", str(error.value))
    assert message == (
        "found that the model's logits move by X where only later tokens change; expected a causal model, whose logits "
        "follow from the tokens so far; a model that sees the tokens it is to predict has no perplexity; audit a "
        "causal model"
    )


@pytest.mark.parametrize("reach", [1, 4], ids=["the-next-token", "chunks-of-tokens"])
def test_a_model_that_looks_ahead_a_little_is_refused(reach: int) -> None:
    """With 13 tokens and chunks of four, the last token has a chunk of its own and shows nothing."""

    def look_ahead(_module: nn.Module, _inputs: Any, hidden: torch.Tensor) -> torch.Tensor:
        if reach == 1:
            return hidden + 0.1 * hidden.roll(-1, 1)
        places = range(0, hidden.shape[1], reach)
        means = [hidden[:, k : k + reach].mean(1, keepdim=True).expand_as(hidden[:, k : k + reach]) for k in places]
        return hidden + torch.cat(means, 1)

    model = build("llama")
    model.model.embed_tokens.register_forward_hook(look_ahead)
    with pytest.raises(CannotRun, match=r"logits move by .* where only later tokens change"):
        prove(BlockStack(model), batch_of(1, 13))


def test_equal_tokens_prove_causality_too() -> None:
    ids = torch.full((1, 8), 5)
    batch = Batch(ids, 0, 6, range(1), "prompt")
    prove(stack_of("llama"), batch)
    with pytest.raises(CannotRun, match="where only later tokens change"):
        prove(BlockStack(build("gemma3", use_bidirectional_attention=True)), batch)


# --- memory ----------------------------------------------------------------------------------------------------------


class _Watched(BlockStack):
    """A stack that notes how many of its hidden states are alive whenever it makes more."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.hidden: list[weakref.ref[torch.Tensor]] = []
        self.hidden_alive = 0

    def run(self, place: Place, hidden: torch.Tensor, entrance: Any) -> torch.Tensor:
        after = super().run(place, hidden, entrance)
        self.hidden = [kept for kept in self.hidden if kept() is not None] + [weakref.ref(after)]
        self.hidden_alive = max(self.hidden_alive, len(self.hidden))
        return after


class _WatchedExit(BlockStack):
    """A stack that notes how many tensors as wide as the vocabulary are alive whenever it makes more."""

    exits = logits_alive = 0

    def leave(self, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        self.exits += 1
        self.logits_alive = max(self.logits_alive, alive_logits())
        return super().leave(hidden, ids)


def alive_logits() -> int:
    """Storages of tensors (…, V); weights are (V, …). Only what was made since ``gc.freeze`` is counted."""
    tensors = (thing for thing in gc.get_objects() if type(thing) is torch.Tensor)
    wide = [tensor for tensor in tensors if tensor.dim() > 1 and tensor.shape[-1] == VOCABULARY]
    return len({tensor.untyped_storage().data_ptr() for tensor in wide})


@pytest.fixture
def only_new_objects() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("only_new_objects")
def test_logits_are_dropped_before_more_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    stack, batch = _WatchedExit(shared("llama")), batch_of(4, 8)
    monkeypatch.setattr(walk, "_LOGIT_BYTES", 4 * VOCABULARY * batch.positions)  # one window at a time
    layouts = [BASE.with_weights({0: 1}), BASE.with_weights({0: 1, 1: 0}), BASE.without([3]), BASE.without([1])]
    measured(Engine(stack), batch, dict.fromkeys(layouts, ALL))
    assert stack.exits == 4 * 5
    assert stack.logits_alive == 1  # the baseline's log-probabilities, and no leaf's logits
    assert alive_logits() == 0


def test_hidden_states_are_bounded_by_the_depth(deep: BlockStack) -> None:
    stack = _Watched(deep.model)
    measured(Engine(stack), batch_of(1, 4), dict.fromkeys(adjacent_pairs(30), ("kl",)))
    assert stack.hidden_alive <= 31
    assert all(kept() is None for kept in stack.hidden)  # and none is left
    stack = _Watched(deep.model)
    measured(Engine(stack), batch_of(1, 4), {Layout.base(30): ("nll",)})
    assert stack.hidden_alive == 2  # what goes into a block and what comes out


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("… can't allocate memory: …"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_running_out_of_memory_is_explained(error: Exception) -> None:
    def fail(*_: Any) -> None:
        raise error

    model = build("llama")
    engine = Engine(BlockStack(model))
    model.model.layers[1].mlp.register_forward_hook(fail)
    with pytest.raises(CannotRun, match=r"out of memory on a batch of 36 tokens; .* lower `batch_tokens`"):
        measured(engine, batch_of(), {BASE: ("kl",)})
    with pytest.raises(CannotRun, match=r"out of memory on a batch of 12 tokens; .* lower `batch_tokens`"):
        prove(engine.stack, batch_of())


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def emit(*_: Any) -> None:
        raise RuntimeError("the store is closed")

    with pytest.raises(RuntimeError, match="the store is closed"):
        Engine(stack_of("llama")).measure(batch_of(), {BASE: ("kl",)}, emit, _no_tick)


# --- low precision ---------------------------------------------------------------------------------------------------


LOW = ["llama", "gpt2", "gemma3", "opt", "qwen3_moe", "falcon"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
@pytest.mark.parametrize("family", LOW)
def test_low_precision_is_close_to_float32(family: str, dtype: torch.dtype) -> None:
    batch = batch_of()
    exact, engine = Engine(stack_of(family)), Engine(BlockStack(build(family).to(dtype)))
    prove(engine.stack, batch)
    wanted = dict.fromkeys([BASE, BASE.without([1]), BASE.with_weights({0: 1, 1: 0})], ALL)
    ours, theirs = measured(engine, batch, wanted), measured(exact, batch, wanted)
    for key, values in ours.items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values.mean(), theirs[key].mean(), rtol=0.1, atol=0.02, err_msg=str(key))
    assert np.array_equal(ours[BASE, "kl"], np.zeros(3))
    distances, agreement = gap(engine, exact)
    assert distances.shape == agreement.shape == (3,)
    assert distances.min() > -1e-6
    assert 0 < distances.mean() < 0.02
    assert agreement.mean() > 0.9


def test_the_gap_of_a_baseline_to_itself_is_nothing() -> None:
    engine = Engine(stack_of("llama"))
    distances, agreement = gap(engine, engine)
    assert np.array_equal(distances, np.zeros(3))
    assert np.array_equal(agreement, np.ones(3))


def gap(engine: Engine, reference: Engine) -> tuple[Values, Values]:
    return engine.gap(batch_of(), reference.stack, reference.last_states(batch_of()))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_model_whose_blocks_were_let_go_of_still_gives_its_logits(family: str) -> None:
    """Of its blocks nothing stays but what is used outside of them too; the gap to it is that to the whole model."""
    reference, other = Engine(BlockStack(build(family))), Engine(BlockStack(build(family)))
    for weight in other.stack.blocks[1].parameters():
        weight.data.mul_(1.1)
    states = reference.last_states(batch_of())
    before = other.gap(batch_of(), reference.stack, states)
    reference.stack.let_go()
    after = other.gap(batch_of(), reference.stack, states)
    assert sum(weight.numel() for block in reference.stack.blocks for weight in block.parameters()) == 0
    assert float(before[0].mean()) > 0.0
    for whole, kept in zip(before, after, strict=True):
        assert np.array_equal(whole, kept)


# --- the divergence --------------------------------------------------------------------------------------------------


def test_kl_is_that_of_the_definition() -> None:
    p = torch.tensor([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]])
    q = torch.tensor([[0.25, 0.5, 0.25], [1 / 3, 1 / 3, 1 / 3]])
    distance = kl_divergence(p.log(), q.log())
    torch.testing.assert_close(distance, torch.tensor([0.25 * np.log(2), 0.0], dtype=torch.float32))


# --- CUDA ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_families_equal_the_reference_on_the_cpu() -> None:
    batch = batch_of()
    for family in FAMILIES:
        stack = BlockStack(build(family).to("cuda"))
        engine = Engine(stack)
        prove(engine.stack, batch)
        i, j = next(pair for pair in pairs_within(BLOCKS, 3) if stack.same_shapes(*pair))
        layouts = [BASE.with_weights(change) for change in ({i: j}, {i: j, j: i}, {i: {i: 0.5, j: 0.5}})]
        wanted = dict.fromkeys([*layouts, BASE.without([1]), BASE.without([3])], ALL)
        theirs = expected(shared(family), batch, wanted)
        for key, values in measured(engine, batch, wanted).items():
            np.testing.assert_allclose(values, theirs[key], rtol=1e-3, atol=1e-5, err_msg=f"{family}: {key}")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_on_cuda_low_precision_is_close_to_float32(dtype: torch.dtype) -> None:
    exact, engine = Engine(stack_of("llama")), Engine(BlockStack(build("llama").to("cuda", dtype)))
    prove(engine.stack, batch_of())
    wanted = dict.fromkeys([BASE.without([1]), BASE.with_weights({0: 1})], ALL)
    theirs = measured(exact, batch_of(), wanted)
    for key, values in measured(engine, batch_of(), wanted).items():
        np.testing.assert_allclose(values.mean(), theirs[key].mean(), rtol=0.1, atol=0.02, err_msg=str(key))
