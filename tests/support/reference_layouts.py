"""What a layout means, with no cleverness: weights are loaded into slots, blocks are deleted, the model runs itself.

The engine is compared with this. Nothing here shares a prefix, a forward or a reduction with it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from checker.core.layouts import Layout
from checker.core.questions import Quantity
from checker.measure.blocks import find_stack
from checker.measure.texts import Batch


def rebuilt(model: nn.Module, layout: Layout) -> nn.Module:
    """A copy of ``model`` that is ``layout``; its slots must ascend."""
    rebuilt_model = copy.deepcopy(model)
    originals = [block.state_dict() for block in find_stack(model)]
    stack = find_stack(rebuilt_model)
    for place in layout.places:
        stack[place.slot].load_state_dict(weighted_sum([(originals[block], share) for block, share in place.weights]))
    for slot in reversed(range(len(originals))):
        if slot not in layout.slots:
            del stack[slot]
    for config in configurations(rebuilt_model):
        cut(config, len(originals), layout.slots)
    return rebuilt_model


def weighted_sum(parts: Sequence[tuple[dict[str, torch.Tensor], float]]) -> dict[str, torch.Tensor]:
    """Sum of state dicts times their shares, in float32; what is not floating is taken from the first."""
    total = {}
    for key, first in parts[0][0].items():
        if first.is_floating_point():
            total[key] = torch.stack([weights[key].float() * share for weights, share in parts]).sum(0).to(first.dtype)
        else:
            total[key] = first
    return total


def configurations(model: nn.Module) -> list[Any]:
    """Every configuration that a part of the model holds, each once."""
    found = {id(part.config): part.config for part in model.modules() if hasattr(part, "config")}
    return list(found.values())


def cut(config: Any, blocks: int, slots: Sequence[int]) -> None:
    """Makes a configuration say that only ``slots`` of its ``blocks`` are left: the depth, and lists per layer."""
    for name, value in vars(config).items():
        if isinstance(value, list) and len(value) == blocks:
            setattr(config, name, [value[slot] for slot in slots])
        elif name in ("num_hidden_layers", "n_layer", "num_layers", "n_layers"):
            setattr(config, name, len(slots))


@torch.no_grad()
def log_probabilities(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Log-probabilities of the next token at the scored positions (W, K, V), from the model's own full logits."""
    logits = model(input_ids=batch.ids, use_cache=False).logits.float()
    return torch.log_softmax(logits, dim=-1)[:, batch.first : batch.last + 1]


def quantity(base: torch.Tensor, variant: torch.Tensor, batch: Batch, what: Quantity) -> list[float]:
    """One value per window, from log-probabilities (W, K, V) of baseline and variant."""
    values = []
    for window in range(len(batch.ids)):
        p, q = base[window].double(), variant[window].double()
        if what == "kl":
            values.append(float((p.exp() * (p - q)).sum(dim=-1).mean()))
        elif what == "top1":
            values.append(float((p.argmax(dim=-1) == q.argmax(dim=-1)).double().mean()))
        else:
            following = batch.ids[window, batch.first + 1 : batch.last + 2]
            values.append(float(-q[range(len(following)), following].sum()))
    return values
