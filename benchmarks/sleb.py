"""SLEB by the engine against SLEB by whole forwards, on the same text and float32 model.

The loop deletes one block after the other as published code does: one whole forward per candidate, one prompt at a
time. Both run the same search, in its paper's own form, and take turns step by step. Their choices are asserted equal
at every budget before the table is printed. Its last line reads `ratio N.NNx`.

    python benchmarks/sleb.py [prompts] [tokens] [largest budget]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from checker.checkpoints import files as checkpoints
from checker.core import resources
from checker.core.layouts import Geometry, Layout, pairs_within
from checker.core.questions import Problem, Values
from checker.core.records import MethodSettings, ScoringContract, TextSource
from checker.measure import models, texts
from checker.measure.blocks import BlockStack, find_stack
from checker.measure.engine import Engine
from checker.measure.texts import Batch
from checker.selection.methods import sleb
from checker.spec import load


def main(prompts: int, tokens: int, largest: int) -> None:
    source = load.check("smollm2-135m").audit.model
    files = checkpoints.locate(source)
    model = models.load_model(files, "float32", torch.device("cpu"))
    text = TextSource("rows", path=str(resources.audits() / "data" / "prompts.jsonl"))
    contract = ScoringContract(text, prompts, tokens, assembly="rows")
    cut, _ = texts.selection(contract, models.load_tokenizer(files))
    loop, engine = Loop(model, cut.batches), Shared(model, cut.batches)
    blocks = len(find_stack(model))

    # Step by step in turns, so that whatever else the machine does meanwhile slows both.
    for budget in range(1, largest + 1):
        chosen = [search.to(budget) for search in (loop, engine)]
        assert chosen[0] == chosen[1], f"at budget {budget} the loop removes {chosen[0]}, the engine {chosen[1]}"
        print(f"budget {budget}: {', '.join(map(str, chosen[0]))}", flush=True)
    apart = max(float(np.abs(engine.known[layout] / values - 1).max()) for layout, values in loop.known.items())
    runs = loop.block_runs / prompts, engine.block_runs / len(cut.batches)
    assert largest == 1 or runs[0] >= 1.9 * runs[1], f"found {runs[1]:.0f} block runs; expected half of {runs[0]:.0f}"

    print(
        f"SmolLM2-135M, float32, {prompts} prompts of {tokens} tokens, {len(loop.known)} candidates of {blocks} blocks"
    )
    print(f"{'':30}{'seconds':>10}{'block runs per prompt':>24}")
    print(f"{'one forward per candidate':30}{loop.seconds:>10.1f}{runs[0]:>24.0f}")
    print(f"{'engine':30}{engine.seconds:>10.1f}{runs[1]:>24.0f}")
    print(f"largest relative difference of a prompt's loss: {apart:.1e}")
    print(f"ratio {loop.seconds / engine.seconds:.2f}x")


class Search:
    """SLEB in its own form; what was measured for a smaller budget is not measured again."""

    def __init__(self, model: nn.Module, batches: tuple[Batch, ...]) -> None:
        self.model, self.batches = model, batches
        self.blocks = len(find_stack(model))
        self.known: dict[Layout, Values] = {}
        self.seconds = 0.0
        self.block_runs = 0  # of one block on one prompt, or on one batch where prompts run together

    def to(self, budget: int) -> tuple[int, ...]:
        """The blocks that are removed at a budget."""
        problem = Problem(self.blocks, pairs_within(self.blocks, 1), Geometry(self.blocks), "into", 0)
        start = time.perf_counter()
        (layout,) = sleb.native(self, problem, budget, MethodSettings("sleb", (budget,)))  # type: ignore[arg-type]
        self.seconds += time.perf_counter() - start
        return layout.removed(self.blocks)

    def loss(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        wanted = list(layouts)
        new = [layout for layout in wanted if layout not in self.known]
        if new:
            self.known |= self.measured(new)
        return {layout: self.known[layout] for layout in wanted}

    def measured(self, layouts: list[Layout]) -> dict[Layout, Values]:
        """Per layout, the mean NLL per token of each prompt."""
        raise NotImplementedError


class Loop(Search):
    """One prompt at a time, the whole model per candidate, its list of blocks rewritten."""

    @torch.inference_mode()
    def measured(self, layouts: list[Layout]) -> dict[Layout, Values]:
        found: dict[Layout, Values] = {}
        stack = find_stack(self.model)
        original = list(stack)
        for layout in layouts:
            del stack[:]
            stack.extend(original[place.slot] for place in layout.places)
            prompts = [ids for batch in self.batches for ids in batch.ids]
            found[layout] = np.array([self._loss(ids) for ids in prompts])
            self.block_runs += len(layout) * len(prompts)
        del stack[:]
        stack.extend(original)
        return found

    def _loss(self, ids: torch.Tensor) -> float:
        logits = self.model(ids[None], use_cache=False).logits[0, :-1].float()  # (T - 1, V)
        return float(nn.functional.cross_entropy(logits, ids[1:]))


class Shared(Search):
    """All candidates of a step together, by the engine."""

    def __init__(self, model: nn.Module, batches: tuple[Batch, ...]) -> None:
        super().__init__(model, batches)
        self.engine = Engine(BlockStack(model))

    def measured(self, layouts: list[Layout]) -> dict[Layout, Values]:
        parts: dict[Layout, list[Values]] = {layout: [] for layout in layouts}
        for batch in self.batches:
            self.engine.measure(
                batch,
                {layout: {"nll"} for layout in layouts},
                lambda layout, _, values, positions=batch.positions: parts[layout].append(values / positions),
                lambda _, __: None,
            )
        self.block_runs = self.engine.block_runs
        return {layout: np.concatenate(values) for layout, values in parts.items()}


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:4]]
    main(*given, *(2, 64, 3)[len(given) :])
