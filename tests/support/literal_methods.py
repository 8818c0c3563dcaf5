"""The methods, written down once more from their papers: plain loops, whole forwards, nothing shared with the package.

A model is built anew for every change to it. Blocks are deleted by rewriting the model's list, merged by loading state
dicts; hidden states are caught by hooks on the blocks of the model's own forward. Sums are taken in float64.

Shapes: W windows, T tokens, D features, V vocabulary.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import torch
from reference_layouts import weighted_sum
from torch import nn

Layers = tuple[int, ...]
Build = Callable[[], nn.Module]


def blocks_of(model: nn.Module) -> nn.ModuleList:
    """The block stack of the two families: Llama's and GPT-2's."""
    inner: nn.Module = model.model if hasattr(model, "model") else model.transformer
    stack: nn.ModuleList = inner.layers if hasattr(inner, "layers") else inner.h
    return stack


def set_blocks(model: nn.Module, blocks: Iterable[nn.Module]) -> nn.Module:
    """Rewrites the model's list of blocks, and its configuration with it."""
    kept = nn.ModuleList(blocks)
    inner = model.model if hasattr(model, "model") else model.transformer
    setattr(inner, "layers" if hasattr(inner, "layers") else "h", kept)
    model.config.num_hidden_layers = len(kept)
    return model


def without(model: nn.Module, layers: Iterable[int]) -> nn.Module:
    """The model without some blocks."""
    gone = set(layers)
    return set_blocks(model, [block for number, block in enumerate(blocks_of(model)) if number not in gone])


# --- hidden states ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def states(model: nn.Module, ids: torch.Tensor) -> list[torch.Tensor]:
    """What enters block 0 and what leaves each block (W, T, D), before the final norm; one window at a time."""
    windows = [_states(model, window[None]) for window in ids]
    return [torch.cat(parts) for parts in zip(*windows, strict=True)]


def _states(model: nn.Module, ids: torch.Tensor) -> list[torch.Tensor]:
    entered: list[torch.Tensor] = []
    left: list[torch.Tensor] = []

    def before(_: nn.Module, args: tuple[torch.Tensor, ...], named: dict[str, torch.Tensor]) -> None:
        entered.append((args[0] if args else named["hidden_states"]).double())

    def after(_: nn.Module, __: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        left.append((output if isinstance(output, torch.Tensor) else output[0]).double())

    hooks = [block.register_forward_pre_hook(before, with_kwargs=True) for block in blocks_of(model)]
    hooks += [block.register_forward_hook(after) for block in blocks_of(model)]
    model(input_ids=ids, use_cache=False)
    for hook in hooks:
        hook.remove()
    return [entered[0], *left]


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    """Of two vectors (D,)."""
    return float((a * b).sum() / (math.sqrt(float((a * a).sum())) * math.sqrt(float((b * b).sum()))))


def block_influence(model: nn.Module, ids: torch.Tensor) -> dict[int, float]:
    """1 - E over texts and tokens of x_i . x_{i+1} / (|x_i| |x_{i+1}|)."""
    x = states(model, ids)
    tokens = [(w, t) for w in range(ids.shape[0]) for t in range(ids.shape[1])]
    return {i: 1 - sum(cosine(x[i][at], x[i + 1][at]) for at in tokens) / len(tokens) for i in range(len(x) - 1)}


def angular_distance(model: nn.Module, ids: torch.Tensor, first: int, count: int) -> float:
    """Mean over texts of arccos(x_l . x_{l+n} / (|x_l| |x_{l+n}|)) / pi at the last token; x_l enters block l."""
    x = states(model, ids)
    cosines = [cosine(a[-1], b[-1]) for a, b in zip(x[first], x[first + count], strict=True)]
    return sum(math.acos(min(1.0, max(-1.0, value))) for value in cosines) / len(cosines) / math.pi


def least_turning_run(model: nn.Module, ids: torch.Tensor, count: int) -> Layers:
    """The run of blocks whose removal the paper proposes."""
    starts = range(len(blocks_of(model)) - count + 1)
    first = min(starts, key=lambda start: angular_distance(model, ids, start, count))
    return tuple(range(first, first + count))


def cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of the linear kernels of (N, D) features, N tokens of all texts."""
    count = len(x)
    centring = torch.eye(count, dtype=torch.float64) - torch.full((count, count), 1 / count, dtype=torch.float64)
    kernels = [x @ x.T, y @ y.T]

    def hsic(one: torch.Tensor, other: torch.Tensor) -> float:
        return float(torch.trace(one @ centring @ other @ centring))

    return hsic(*kernels) / math.sqrt(hsic(kernels[0], kernels[0]) * hsic(kernels[1], kernels[1]))


# --- losses ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def loss(model: nn.Module, ids: torch.Tensor) -> float:
    """Mean NLL per predicted token, every token but the first of a window; one window, one whole forward at a time."""
    total, count = 0.0, 0
    for window in ids:
        logits = model(input_ids=window[None], use_cache=False).logits[0].double()
        for position in range(len(window) - 1):
            total -= float(torch.log_softmax(logits[position], -1)[window[position + 1]])
            count += 1
    return total / count


def deletion_losses(build: Build, ids: torch.Tensor) -> dict[int, float]:
    return {block: loss(without(build(), [block]), ids) for block in range(len(blocks_of(build())))}


def taylor(model: nn.Module, ids: torch.Tensor) -> dict[int, float]:
    """Sum over a block's parameters of abs(gradient x weight), of the mean loss over all tokens of all windows."""
    model.requires_grad_(True)
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1)).backward()
    return {
        number: sum(float((p.grad.double() * p.detach().double()).abs().sum()) for p in block.parameters())
        for number, block in enumerate(blocks_of(model))
    }


Allowed = Callable[[Layers], bool]


def spaced(spacing: int, barred: Sequence[int] = ()) -> Allowed:
    """Whether all index distances exceed ``spacing`` and nothing barred is in a set."""
    return lambda layers: (
        all(abs(a - b) > spacing for a, b in combinations(layers, 2)) and not set(layers) & set(barred)
    )


def sleb(build: Build, ids: torch.Tensor, budget: int, allowed: Allowed) -> Layers:
    """Greedy: each step tries every block that is left, whole, and deletes the one without which the loss is least."""
    taken: list[int] = []
    for _ in range(budget):
        tried = {
            block: loss(without(build(), [*taken, block]), ids)
            for block in range(len(blocks_of(build())))
            if block not in taken and allowed((*taken, block))
        }
        taken.append(min(tried, key=lambda block: tried[block]))
    return tuple(sorted(taken))


def exhaustive(build: Build, ids: torch.Tensor, budget: int, allowed: Allowed) -> Layers:
    sets = [layers for layers in combinations(range(len(blocks_of(build()))), budget) if allowed(layers)]
    losses = {layers: loss(without(build(), layers), ids) for layers in sets}
    return min(losses, key=lambda layers: losses[layers])


def beam(build: Build, ids: torch.Tensor, budget: int, width: int, allowed: Allowed) -> Layers:
    """The best ``width`` sets of each size, each grown by every block that may join it."""
    kept: list[Layers] = [()]
    for _ in range(budget):
        grown = {
            tuple(sorted((*layers, block)))
            for layers in kept
            for block in range(len(blocks_of(build())))
            if block not in layers and allowed((*layers, block))
        }
        losses = {layers: loss(without(build(), layers), ids) for layers in grown}
        kept = sorted(losses, key=lambda layers: losses[layers])[:width]
    return kept[0]


# --- LaCo ------------------------------------------------------------------------------------------------------------


def collapsed(model: nn.Module, place: int, following: int) -> nn.Module:
    """w_l + sum over k of (w_{l+k} - w_l), loaded into block l; the m blocks that follow it are taken out."""
    model = copy.deepcopy(model)
    blocks = list(blocks_of(model))
    weights = [block.state_dict() for block in blocks[place : place + following + 1]]
    shares = [1.0 - following, *[1.0] * following]
    parts = [(copy.deepcopy(own), share) for own, share in zip(weights, shares, strict=True)]
    blocks[place].load_state_dict(weighted_sum(parts))
    return set_blocks(model, [*blocks[: place + 1], *blocks[place + 1 + following :]])


def similarity(model: nn.Module, variant: nn.Module, ids: torch.Tensor) -> float:
    """Cosine of what leaves the last blocks, mean over texts and tokens."""
    one, other = states(model, ids)[-1], states(variant, ids)[-1]
    pairs = [(a, b) for w in range(len(ids)) for a, b in zip(one[w], other[w], strict=True)]
    return sum(cosine(a, b) for a, b in pairs) / len(pairs)


def without_merged(left: list[int], at: int, following: int) -> list[int]:
    """The blocks that a merge leaves."""
    if following == 1:
        return [*left[:at], *left[at + 1 :]]
    return [*left[: at + 1], *left[at + 1 + following :]]


Done = list[tuple[int, int, bool]]  # l, from 0; the blocks merged into it; whether the merge was kept


def laco(
    model: nn.Module,
    ids: torch.Tensor,
    budget: int,
    combined: int,
    threshold: float,
    allowed: Allowed,
    interval: int = 1,
    lowest: int = 0,
) -> tuple[nn.Module, Layers, Done]:
    """Algorithm 1 with C = ``combined`` and H the number of blocks, until ``budget`` are gone; and what was done.

    Blocks count from 0: l begins at H - C, and after a merge it is at most len - C. Where one block is merged into
    another, it is the other that is gone: nothing of its weights is left.
    """
    variant, left, done = model, list(range(len(blocks_of(model)))), Done()
    depth = len(left)
    at = depth - combined
    while at >= lowest and len(left) > depth - budget:
        following = min(combined - 1, budget - (depth - len(left)))
        kept = without_merged(left, at, following)
        merged = collapsed(variant, at, following)
        gone = tuple(block for block in range(depth) if block not in kept)
        good = allowed(gone) and similarity(model, merged, ids) > threshold
        done.append((at, following, good))
        at -= interval if good else 1
        if good:
            variant, left = merged, kept
            at = min(at, len(left) - combined)
    return variant, tuple(block for block in range(depth) if block not in left), done
