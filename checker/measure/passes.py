"""Questions -> answers on one batch or one text, among them whole passes of the unchanged model.

A pass shows hidden states between all blocks, or the gradient of the loss by all weights.

Shapes: W windows, T tokens, N tokens of all windows, D hidden.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import cast

import numpy as np
import torch
from torch import nn

from checker.core.errors import NotFinite
from checker.core.layouts import Layout
from checker.core.questions import PORTIONS, HiddenQuantity, Quantity, Question, Span, Values, check_tokens
from checker.measure.blocks import BlockStack
from checker.measure.engine import Engine
from checker.measure.texts import Batch, Cut, Window, batches
from checker.measure.walk import Tick

Put = Callable[[Question, Values], None]  # takes each answer as soon as it is known


def on_batch(engine: Engine, batch: Batch, begin: int, questions: Iterable[Question], put: Put, tick: Tick) -> None:
    """Answers what is not pooled, of one text: layouts as one prefix tree, runs of blocks in one pass per quantity.

    Hidden states count from position ``begin`` on, whichever positions ``batch`` scores.
    """
    layouts: dict[Layout, dict[Quantity, Question]] = defaultdict(dict)
    runs: dict[HiddenQuantity, dict[Span, Question]] = defaultdict(dict)
    for question in questions:
        if question.span is None:
            layouts[question.layout][cast(Quantity, question.quantity)] = question
        else:
            runs[cast(HiddenQuantity, question.quantity)][question.span] = question
    if layouts:
        engine.measure(batch, layouts, lambda layout, quantity, values: put(layouts[layout][quantity], values), tick)
    for quantity, spans in runs.items():
        for span, values in of_spans(engine.stack, replace(batch, first=begin), quantity, spans).items():
            put(spans[span], values)


def on_text(stack: BlockStack, pooled: Question, cut: Cut, begin: int, batch_tokens: int) -> dict[Question, Values]:
    """Answers a pooled question about every block: the passes are the same whichever block it is about."""
    if pooled.quantity == "taylor":
        answers = {(block, block): values for block, values in taylor(stack, cut.windows, batch_tokens).items()}
    else:
        answers = cka(stack, [replace(batch, first=begin) for batch in cut.batches])
    return {replace(pooled, span=span): values for span, values in answers.items()}


@torch.inference_mode()
def hidden_states(stack: BlockStack, batch: Batch) -> Iterator[torch.Tensor]:
    """Hidden states (W, T, D) of a batch: before block 0, and after each block; the last ones before the final norm."""
    ids = batch.ids.to(stack.device)
    entrance = stack.enter(ids)
    hidden = entrance.hidden
    yield hidden
    for place in Layout.base(len(stack)).places:
        hidden = stack.run(place, hidden, entrance)
        yield hidden


@torch.inference_mode()
def sample(model: nn.Module, begin: int, prompts: int, tokens: int, seed: int) -> list[list[int]]:
    """``prompts`` samples of ``tokens`` tokens from a causal language model, the begin token first; temperature 1."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    ids = torch.full((prompts, 1), begin, dtype=torch.long, device=device)  # (W, T)
    while ids.shape[1] < tokens:
        logits = model(input_ids=ids, use_cache=False).logits[:, -1].float().cpu()  # (W, V)
        if not bool(logits.isfinite().all()):
            raise NotFinite("the baseline", "a sample of its own", "logit")
        following = torch.multinomial(torch.softmax(logits, -1), 1, generator=generator)
        ids = torch.cat([ids, following.to(device)], 1)
    samples: list[list[int]] = ids.tolist()
    return samples


def of_spans(stack: BlockStack, batch: Batch, quantity: HiddenQuantity, spans: Collection[Span]) -> dict[Span, Values]:
    """``cosine`` or ``angle`` of runs of blocks, per window of a batch; NotFinite names the run's first block."""
    states = [state.float().cpu() for state in hidden_states(stack, batch)]
    answers = {}
    for first, last in spans:
        values = _compared(states[first], states[last + 1], batch, quantity)
        if not np.isfinite(values).all():
            unit = batch.units[int(np.flatnonzero(~np.isfinite(values))[0])]
            raise NotFinite(f"input and output of blocks {first} to {last}", f"{batch.name} {unit}", quantity)
        answers[first, last] = values
    return answers


def _compared(before: torch.Tensor, after: torch.Tensor, batch: Batch, quantity: HiddenQuantity) -> Values:
    """Per window: mean cosine over its tokens, or the angle at its last token over pi; each token is one vector."""
    a, b = before[:, batch.first :].double(), after[:, batch.first :].double()  # (W, T, D)
    cosine = torch.linalg.vecdot(a, b) / (a.norm(dim=-1) * b.norm(dim=-1))  # (W, T)
    if quantity == "angle":
        cosine = torch.arccos(cosine[:, -1:].clamp(-1.0, 1.0)) / torch.pi
    values: Values = cosine.mean(1).numpy()
    return values


def portion_ranges(count: int) -> list[range]:
    """The numbers of the windows in each portion of ``count``, quarters rounded; the first portion is all of them.

    From the first portion that would be empty on, none is given.
    """
    ends = [round(quarter * count / 4) for quarter in range(5)]
    ranges = [range(ends[start], ends[end]) for start, end in PORTIONS]
    return ranges[: next((number for number, part in enumerate(ranges) if not part), len(ranges))]


def cka(stack: BlockStack, parts: Sequence[Batch]) -> dict[Span, Values]:
    """Linear CKA of each block's input and output, per portion, the tokens of all its windows pooled.

    A portion with no more tokens than features, and all that follow it, are left out: CKA is near 1 there whatever the
    states. EvidenceMissing where even all windows together have too few.
    """
    states: list[list[torch.Tensor]] = [[] for _ in range(len(stack) + 1)]
    for batch in parts:
        for number, state in enumerate(hidden_states(stack, batch)):
            states[number].append(state[:, batch.first :].float().cpu())
    joined = [torch.cat(parts) for parts in states]  # (W, T, D) each
    windows, tokens, features = joined[0].shape
    check_tokens(windows * tokens, features)
    # Up to the first that is too small: a later one that is not would be taken for it.
    ranges = list(takewhile(lambda part: len(part) * tokens > features, portion_ranges(windows)))
    answers = {}
    for block in range(len(stack)):
        pairs = [(joined[block][part.start : part.stop], joined[block + 1][part.start : part.stop]) for part in ranges]
        values = np.array([linear_cka(x.flatten(0, 1), y.flatten(0, 1)) for x, y in pairs])
        if not np.isfinite(values).all():
            raise NotFinite(f"input and output of block {block}", "all prompts", "cka")
        answers[block, block] = values
    return answers


def taylor(stack: BlockStack, windows: Sequence[Window], batch_tokens: int) -> dict[int, Values]:
    """Per block, sum over its parameters of abs(gradient x weight), per portion of the windows.

    The gradient is that of the mean NLL per token over a portion, in evaluation mode; sums are taken in float64.
    """
    ranges = portion_ranges(len(windows))
    per_portion = [_taylor(stack, windows[part.start : part.stop], batch_tokens) for part in ranges]
    return {block: np.array([values[block] for values in per_portion]) for block in range(len(stack))}


def _taylor(stack: BlockStack, windows: Sequence[Window], batch_tokens: int) -> list[float]:
    parameters = [parameter for block in stack.blocks for parameter in block.parameters()]
    tokens = sum(window.last - window.first + 1 for window in windows)
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        for batch in batches(windows, batch_tokens, "prompt"):
            torch.autograd.backward(_loss(stack, batch).div(tokens))
        sums = [_gradient_times_weight(block) for block in stack.blocks]
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)
            parameter.grad = None
    for block, value in enumerate(sums):
        if not np.isfinite(value):
            raise NotFinite(f"gradient of block {block}", "the selection text", "taylor")
    return sums


def _gradient_times_weight(block: nn.Module) -> float:
    """Sum over a block's parameters of abs(gradient x weight), in float64."""
    return sum(
        float((parameter.grad.double() * parameter.detach().double()).abs().sum())
        for parameter in block.parameters()
        if parameter.grad is not None
    )


def _loss(stack: BlockStack, batch: Batch) -> torch.Tensor:
    """Summed NLL of a batch's scored tokens, with its graph."""
    ids = batch.ids.to(stack.device)
    logits = stack.model(input_ids=ids, use_cache=False).logits[:, batch.first : batch.last + 1].float()  # (W, K, V)
    targets = ids[:, batch.first + 1 : batch.last + 2]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


def linear_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """||Yc^T Xc||^2 / (||Xc^T Xc|| ||Yc^T Yc||), Frobenius, of features (N, D) centred over tokens; in float64."""
    x, y = (states.double() - states.double().mean(0) for states in (x, y))
    return float((y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm()))
