"""Whole passes: hidden states, CKA over portions, gradients, samples; and what they refuse.

That they compute the right quantities is proved in tests/test_literal_methods.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_audit import one_thread
from tiny_models import BLOCKS, VOCABULARY, build, shared, token_ids
from torch import nn

from checker.core.errors import EvidenceMissing, NotFinite
from checker.core.questions import PORTIONS
from checker.measure import passes
from checker.measure.blocks import BlockStack
from checker.measure.texts import Batch, Window

FEATURES = 32


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def stack() -> BlockStack:
    return BlockStack(shared("llama"))


def batch_of(windows: int, tokens: int = 12, first: int = 0, seed: int = 0, start: int = 0) -> Batch:
    ids = token_ids(windows, tokens, seed)
    return Batch(ids, first, tokens - 1, range(start, start + windows), "prompt")


def broken(block: int, what: float) -> BlockStack:
    """A model in which one block yields something that is not finite."""
    model = build("llama")
    stack = BlockStack(model)
    model.model.layers[block].mlp.down_proj.weight[0, 0] = what
    return stack


# --- hidden states ---------------------------------------------------------------------------------------------------


def test_hidden_states_are_one_more_than_blocks(stack: BlockStack) -> None:
    states = list(passes.hidden_states(stack, batch_of(3)))
    assert [tuple(state.shape) for state in states] == [(3, 12, FEATURES)] * (BLOCKS + 1)
    own = stack.model(input_ids=batch_of(3).ids, output_hidden_states=True).hidden_states
    for ours, theirs in zip(states[:-1], own[:-1], strict=True):
        torch.testing.assert_close(ours, theirs)
    final = stack.model.model.norm(states[-1])
    torch.testing.assert_close(final, own[-1])  # ours are taken before the final norm


def test_begin_tokens_are_left_out_and_the_last_token_stays(stack: BlockStack) -> None:
    whole, without = batch_of(2), batch_of(2, first=3)
    spans = [(0, 0), (1, 2)]
    states = [state.double() for state in passes.hidden_states(stack, whole)]
    for first, last in spans:
        cosine = torch.nn.functional.cosine_similarity(states[first], states[last + 1], dim=-1)
        found = passes.of_spans(stack, without, "cosine", spans)[first, last]
        np.testing.assert_allclose(found, cosine[:, 3:].mean(1).numpy(), rtol=1e-6)
        angle = passes.of_spans(stack, without, "angle", spans)[first, last]
        np.testing.assert_allclose(angle, torch.arccos(cosine[:, -1]).numpy() / np.pi, rtol=1e-5)
    assert passes.of_spans(stack, without, "angle", spans).keys() == set(spans)


@pytest.mark.parametrize("quantity", ["cosine", "angle"])
@pytest.mark.parametrize("what", [torch.nan, torch.inf])
def test_states_that_are_not_finite_name_their_run_and_prompt(quantity: Any, what: float) -> None:
    with pytest.raises(NotFinite, match=r"input and output of blocks 1 to 2, prompt 5: found a (cosine|angle)"):
        passes.of_spans(broken(2, what), batch_of(2, start=5), quantity, [(0, 1), (1, 2), (3, 3)])


def test_runs_before_a_broken_block_are_still_told() -> None:
    found = passes.of_spans(broken(2, torch.nan), batch_of(2), "cosine", [(0, 0), (0, 1)])
    assert all(np.isfinite(values).all() for values in found.values())


# --- portions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (16, [(0, 16), (0, 12), (0, 8), (8, 16), (0, 4)]),
        (6, [(0, 6), (0, 4), (0, 3), (3, 6), (0, 2)]),
        (5, [(0, 5), (0, 4), (0, 2), (2, 5), (0, 1)]),
        (4, [(0, 4), (0, 3), (0, 2), (2, 4), (0, 1)]),
        (2, [(0, 2), (0, 2), (0, 1), (1, 2)]),
        (1, [(0, 1), (0, 1)]),
    ],
)
def test_portions_are_quarters_rounded(count: int, expected: list[tuple[int, int]]) -> None:
    assert [(part.start, part.stop) for part in passes.portion_ranges(count)] == expected


@given(st.integers(1, 200))
def test_portions_are_what_their_names_say(count: int) -> None:
    ranges = passes.portion_ranges(count)
    assert len(ranges) <= len(PORTIONS)
    assert ranges[0] == range(count)
    assert all(ranges), "none is empty"
    if count >= 4:
        assert len(ranges) == len(PORTIONS)
        assert [*ranges[2], *ranges[3]] == list(range(count)), "the halves make up the whole"


# --- CKA -------------------------------------------------------------------------------------------------------------


def test_batches_make_no_difference_to_cka(stack: BlockStack) -> None:
    whole = batch_of(8)
    halves = [Batch(whole.ids[:5], 0, 11, range(5), "prompt"), Batch(whole.ids[5:], 0, 11, range(5, 8), "prompt")]
    together, apart = passes.cka(stack, [whole]), passes.cka(stack, halves)
    assert together.keys() == {(block, block) for block in range(BLOCKS)}
    for span, values in together.items():
        np.testing.assert_allclose(values, apart[span], rtol=1e-6)
        assert all(0.0 < value < 1.0 for value in values)


def test_cka_ends_at_the_first_portion_that_is_too_small(stack: BlockStack) -> None:
    """Of five prompts the second half is larger than the first: it must not be taken for it."""
    found = passes.cka(stack, [batch_of(5, tokens=12)])
    assert {len(values) for values in found.values()} == {2}, "24 tokens are too few, and 36 come after them"
    assert {len(values) for values in passes.cka(stack, [batch_of(16, tokens=12)]).values()} == {5}
    assert {len(values) for values in passes.cka(stack, [batch_of(12, tokens=10)]).values()} == {4}


def test_too_few_tokens_for_cka_are_missing_evidence(stack: BlockStack) -> None:
    with pytest.raises(EvidenceMissing, match=r"found 24 tokens and 32 features; raise `prompts` or `tokens`"):
        passes.cka(stack, [batch_of(2)])
    with pytest.raises(EvidenceMissing, match="found 32 tokens"):
        passes.cka(stack, [batch_of(4, tokens=8)])
    short = replace(batch_of(4, tokens=9), first=1)
    with pytest.raises(EvidenceMissing, match="found 32 tokens"):
        passes.cka(stack, [short])


def test_cka_of_states_that_are_not_finite_is_an_error() -> None:
    with pytest.raises(NotFinite, match="input and output of block 1, all prompts: found a cka"):
        passes.cka(broken(1, torch.nan), [batch_of(4)])


def features(seed: int, tokens: int = 20, width: int = 5) -> torch.Tensor:
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(0.01, 100.0), st.floats(-10.0, 10.0))
def test_cka_knows_no_rotation_scale_or_shift(seed: int, scale: float, shift: float) -> None:
    x, y = features(seed), features(seed + 5000, width=7)
    rotation = torch.linalg.qr(features(seed + 9000, 5, 5))[0]
    value = passes.linear_cka(x, y)
    assert passes.linear_cka(scale * x @ rotation + shift, y) == pytest.approx(value, rel=1e-9)
    assert passes.linear_cka(y, x) == pytest.approx(value, rel=1e-12)
    assert passes.linear_cka(x, scale * x @ rotation + shift) == pytest.approx(1.0, abs=1e-12)
    assert 0.0 < value < 1.0


def test_cka_of_features_that_have_nothing_in_common_is_0() -> None:
    x = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    y = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    assert passes.linear_cka(x, y) == 0.0
    assert passes.linear_cka(x + 5.0, 3.0 * y + 7.0) == 0.0, "centred"
    assert np.isnan(passes.linear_cka(torch.ones(4, 2), y)), "states that never change have no CKA"


# --- gradients -------------------------------------------------------------------------------------------------------


def windows(count: int, tokens: int = 10) -> list[Window]:
    return [Window(tuple(ids.tolist()), 0, tokens - 2) for ids in token_ids(count, tokens)]


def test_taylor_has_a_value_for_every_portion(stack: BlockStack) -> None:
    found = passes.taylor(stack, windows(8), 1024)
    assert found.keys() == set(range(BLOCKS))
    assert all(values.shape == (5,) and (values > 0).all() for values in found.values())
    first_half = passes.taylor(stack, windows(8)[:4], 1024)
    for block, values in found.items():
        assert values[2] == pytest.approx(first_half[block][0], rel=1e-5)
    assert all(values.shape == (2,) for values in passes.taylor(stack, windows(1), 1024).values())


def test_taylor_leaves_the_model_as_it_was(stack: BlockStack) -> None:
    before = {name: parameter.clone() for name, parameter in stack.model.named_parameters()}
    passes.taylor(stack, windows(4), 20)
    for name, parameter in stack.model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None
        assert not parameter.requires_grad
    assert not stack.model.training


def test_gradients_that_are_not_finite_are_an_error_and_leave_nothing_behind() -> None:
    stack = broken(3, torch.nan)
    with pytest.raises(NotFinite, match="gradient of block 0, the selection text: found a taylor"):
        passes.taylor(stack, windows(4), 1024)
    assert all(p.grad is None and not p.requires_grad for p in stack.model.parameters())


# --- samples ---------------------------------------------------------------------------------------------------------


def test_samples_are_the_seeds_and_begin_with_the_begin_token() -> None:
    model = shared("llama")
    found = passes.sample(model, begin=1, prompts=3, tokens=7, seed=5)
    assert [len(ids) for ids in found] == [7, 7, 7]
    assert {ids[0] for ids in found} == {1}
    assert all(0 <= token < VOCABULARY for ids in found for token in ids)
    assert found == passes.sample(model, 1, 3, 7, 5)
    assert found != passes.sample(model, 1, 3, 7, 6)
    assert len({tuple(ids) for ids in found}) == 3


class Coin(nn.Module):
    """Says 2 with probability 3/4, else 1, whatever came before."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> Any:
        return SimpleNamespace(logits=self.logits.expand(*input_ids.shape, 3))


def test_samples_follow_the_models_own_probabilities() -> None:
    found = passes.sample(Coin([-100.0, 0.0, float(np.log(3.0))]), 0, prompts=40, tokens=101, seed=0)
    counts = Counter(token for ids in found for token in ids[1:])
    assert counts[0] == 0
    assert counts[2] / 4000 == pytest.approx(0.75, abs=0.03)  # four standard errors


def test_a_model_that_is_not_finite_is_not_sampled() -> None:
    with pytest.raises(NotFinite, match="a sample of its own"):
        passes.sample(Coin([0.0, float("nan"), 0.0]), 0, 1, 3, 0)
