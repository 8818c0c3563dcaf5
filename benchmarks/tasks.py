"""A task on ten single deletions: all layouts in one prefix tree, against ten runs of lm-evaluation-harness.

The harness's own class asks one request at a time, of a model that the block was taken out of; the engine runs requests
of one shape together. Neither pads, and loading is left out. Log-likelihoods are asserted equal (1e-3) before the table
is printed. Block runs are counted in tokens that pass through one block.

    python benchmarks/tasks.py [documents]      # default: 200
"""

from __future__ import annotations

import sys
import time
from copy import deepcopy
from typing import Any

import torch
from lm_eval import evaluator
from lm_eval.models.huggingface import HFLM

from checker.checkpoints import files as checkpoints
from checker.core import resources
from checker.core.layouts import Layout
from checker.core.records import Location, Task
from checker.measure import harness, models, task_requests
from checker.measure.blocks import BlockStack
from checker.measure.cut_checkpoint import cut
from checker.measure.engine import Engine
from checker.selection.cost import block_runs
from checker.spec import load

DELETED = tuple(range(2, 30, 3))
_BATCH = 1024  # tokens


def main(documents: int) -> None:
    files = checkpoints.locate(load.check("smollm2-135m").audit.model)
    tokenizer = models.load_tokenizer(files)
    model = models.load_model(files, "float32", torch.device("cpu"))
    path = str(resources.audits() / "tasks" / "plain_facts.yaml")
    task = harness.load(Task("plain_facts", Location(path), path, limit=documents))
    requests = task_requests.cut(task, tokenizer, 8192, _BATCH)
    base = Layout.base(len(BlockStack(model)))
    layouts = [base.without([block]) for block in DELETED]

    began = time.perf_counter()
    ours = by_engine(model, requests, layouts)
    engine_seconds = time.perf_counter() - began
    harness_seconds, apart = 0.0, 0.0
    for layout in layouts:
        alone = deepcopy(model)
        cut(alone, layout)
        began = time.perf_counter()
        theirs = by_harness(alone, tokenizer, task, documents)
        harness_seconds += time.perf_counter() - began
        apart = max(apart, *(abs(a - b) for a, b in zip(ours[layout], theirs, strict=True)))
    assert apart <= 1e-3, f"the two disagree by {apart:.2g} nats"

    tokens = sum(len(window.ids) for window in requests.cut.windows)
    shared, each = block_runs(layouts) * tokens, sum(map(len, layouts)) * tokens
    print(
        f"SmolLM2-135M, float32, {documents} documents, {len(task.requests)} requests, {len(layouts)} single deletions"
    )
    print(f"largest difference of a log-likelihood {apart:.1g} nats\n")
    print("| | runs of one block, tokens | seconds |\n|---|--:|--:|")
    print(f"| the harness, one layout after another | {each:,} | {harness_seconds:.0f} |")
    print(f"| one prefix tree | {shared:,} | {engine_seconds:.0f} |")
    print(f"| share | {shared / each:.2f} | {engine_seconds / harness_seconds:.2f} |")


def by_engine(model: Any, requests: task_requests.TokenRequests, layouts: list[Layout]) -> dict[Layout, list[float]]:
    """Per layout, the log-likelihood of every request."""
    engine = Engine(BlockStack(model))
    sums: dict[Layout, list[float]] = {layout: [0.0] * len(requests.owners) for layout in layouts}
    wanted = dict.fromkeys(layouts, ("nll", "greedy"))
    for batch in requests.cut.batches:
        units = list(batch.units)

        def emit(layout: Layout, quantity: str, values: Any, units: list[int] = units) -> None:
            if quantity == "nll":
                for unit, value in zip(units, values, strict=True):
                    sums[layout][requests.owners[unit]] = -float(value)

        engine.measure(batch, wanted, emit, lambda *_: None)
    return sums


def by_harness(model: Any, tokenizer: Any, task: harness.LoadedTask, documents: int) -> list[float]:
    written = HFLM(pretrained=model, tokenizer=deepcopy(tokenizer), batch_size=1)
    ran = evaluator.evaluate(
        lm=written,
        task_dict={"tasks": {task.facts.name: task.task}},
        limit=documents,
        log_samples=True,
        bootstrap_iters=0,
    )
    return [response[0][0] for sample in ran["samples"][task.facts.name] for response in sample["resps"]]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
