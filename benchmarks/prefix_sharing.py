"""The engine against the loop that published tools use, on the same pairs, prompts and float32 model.

The loop scores one prompt at a time, runs the whole model for every variant, and takes log-softmax over full logits.
Scores are asserted equal (relative 1e-3: changing the batch size alone moves float32 distances by some 4e-4) before the
table is printed. Its last line reads `ratio N.NNx`.

    python benchmarks/prefix_sharing.py [prompts] [tokens]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from checker.checkpoints import files as checkpoints
from checker.core import resources
from checker.core.layouts import Layout, pairs_within
from checker.core.questions import Values
from checker.core.records import ScoringContract, TextSource
from checker.measure import models, texts
from checker.measure.blocks import BlockStack, find_stack
from checker.measure.engine import Engine
from checker.measure.texts import Batch
from checker.selection.cost import block_runs
from checker.selection.methods import interchange, replacement
from checker.spec import load

Result = TypeVar("Result")


def main(prompts: int, tokens: int) -> None:
    source = load.check("smollm2-135m").audit.model
    files = checkpoints.locate(source)
    model = models.load_model(files, "float32", torch.device("cpu"))
    text = TextSource("rows", path=str(resources.audits() / "data" / "prompts.jsonl"))
    contract = ScoringContract(text, prompts, tokens, assembly="rows", batch_tokens=512)
    cut, _ = texts.scoring(contract, models.load_tokenizer(files))
    layouts = adjacent_pairs(len(find_stack(model)))

    # Batch by batch in turns, so that whatever else the machine does meanwhile slows both.
    loop_seconds = engine_seconds = apart = 0.0
    rates = []
    for batch in cut.batches:
        rates.append(timed(matrix_products)[1])
        loop, seconds = timed(partial(by_loop, model, batch, layouts))
        loop_seconds += seconds
        engine, seconds = timed(partial(by_engine, model, batch, layouts))
        engine_seconds += seconds
        apart = max(apart, *(float(np.abs(engine[layout] / loop[layout] - 1).max()) for layout in layouts))
        assert apart <= 1e-3, f"the two disagree by {apart:.2g}, relative"
    operations = shared_operations(model, layouts, prompts * tokens)
    share = operations / engine_seconds / (MATRIX_OPERATIONS / min(rates))
    print(f"SmolLM2-135M, float32, {prompts} prompts of {tokens} tokens, {len(layouts)} variants of adjacent pairs")
    print(f"{'':24}{'seconds':>10}{'block runs per prompt':>24}")
    print(f"{'one prompt at a time':24}{loop_seconds:>10.1f}{sum(map(len, layouts)) + len(find_stack(model)):>24}")
    print(f"{'engine':24}{engine_seconds:>10.1f}{block_runs([base_of(model), *layouts]):>24}")
    print(f"largest relative difference of a prompt's distance: {apart:.1e}")
    print(f"engine's share of the machine's matrix-multiply rate: {share:.0%}")
    print(f"ratio {loop_seconds / engine_seconds:.2f}x")


def base_of(model: nn.Module) -> Layout:
    return Layout.base(len(find_stack(model)))


def adjacent_pairs(blocks: int) -> list[Layout]:
    """Both directions of replacement, and interchange, of every adjacent pair."""
    base = Layout.base(blocks)
    return [
        layout
        for i, j in pairs_within(blocks, 1)
        for layout in (replacement.layout(base, i, j), replacement.layout(base, j, i), interchange.layout(base, i, j))
    ]


@torch.inference_mode()
def by_loop(model: nn.Module, batch: Batch, layouts: list[Layout]) -> dict[Layout, Values]:
    """One prompt at a time, the whole model per variant, log-softmax over full logits."""
    stack = find_stack(model)
    original = list(stack)
    scores: dict[Layout, list[float]] = {layout: [] for layout in layouts}
    for prompt in (ids[None] for ids in batch.ids):
        base = torch.log_softmax(model(prompt, use_cache=False).logits.float(), -1)
        for layout in layouts:
            for slot, place in enumerate(layout.places):
                stack[slot] = original[place.weights[0][0]]
            variant = torch.log_softmax(model(prompt, use_cache=False).logits.float(), -1)
            scores[layout].append(float((base.exp() * (base - variant)).sum(-1).mean()))
        for slot, block in enumerate(original):
            stack[slot] = block
    return {layout: np.array(values) for layout, values in scores.items()}


def by_engine(model: nn.Module, batch: Batch, layouts: list[Layout]) -> dict[Layout, Values]:
    engine = Engine(BlockStack(model))
    scores: dict[Layout, Values] = {}
    engine.measure(
        batch,
        {layout: {"kl"} for layout in layouts},
        lambda layout, _, values: scores.update({layout: values}),
        lambda _, __: None,
    )
    return scores


def shared_operations(model: nn.Module, layouts: list[Layout], tokens: int) -> float:
    """Multiplications and additions of the matrix products that are left once prefixes are shared."""
    block = sum(parameter.numel() for parameter in find_stack(model)[0].parameters() if parameter.dim() == 2)
    head = model.get_output_embeddings().weight.numel()
    base = base_of(model)
    return 2.0 * tokens * (block * block_runs([base, *layouts]) + head * (len(layouts) + 1))


SIZE = 1024
MATRIX_OPERATIONS = 2.0 * SIZE**3 * 20


def matrix_products() -> None:
    a = torch.ones(SIZE, SIZE)
    for _ in range(20):
        a @ a


def timed(action: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3] or ("8", "128")))
