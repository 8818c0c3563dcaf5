"""The proof of what the engine rests on: a causal model, whose blocks pass on hidden states and nothing else."""

from __future__ import annotations

import torch

from checker.core.errors import CannotRun, NotFinite
from checker.core.layouts import Layout
from checker.measure.blocks import BlockStack
from checker.measure.explained import architecture_explained, memory_explained
from checker.measure.texts import Batch
from checker.measure.walk import run_through, scored_logits

# Tokens on which a model is proved to carry nothing but hidden states from block to block.
_PROOF_TOKENS = 32


@torch.inference_mode()
def prove(stack: BlockStack, batch: Batch) -> None:
    """Checks on a batch's first window what the engine rests on; CannotRun where it does not hold.

    Run block by block, the stack gives the model's own logits; a block's output follows from its hidden states and its
    slot's side inputs alone; and the model is causal. NotFinite where the model's own logits are not finite.
    """
    window = Batch(batch.ids[:1], batch.first, batch.last, batch.units[:1], batch.name)
    ids = window.ids.to(stack.device)
    with memory_explained(ids.numel()):
        logits = stack.own_logits(ids)[0]  # (T, V)
        own = logits[window.first : window.last + 1].float()  # (K, V)
        if not bool(own.isfinite().all()):
            raise NotFinite(str(Layout.base(len(stack))), f"{window.name} {window.units[0]}", "logit")
        with architecture_explained():
            _prove_logits(stack, window, ids, own)
            _prove_independence(stack, ids[:, :_PROOF_TOKENS])
        _prove_causality(stack, ids, logits)


def _prove_logits(stack: BlockStack, window: Batch, ids: torch.Tensor, own: torch.Tensor) -> None:
    base, entrance = Layout.base(len(stack)), stack.enter(ids)
    ours = torch.cat([part for _, part in scored_logits(stack, window, ids, run_through(stack, base, entrance))])
    if not _close(ours, own, tolerance(entrance.hidden.dtype)):
        raise CannotRun(
            f"run block by block, the model's logits differ from its own by {_apart(ours, own):.3g}; expected no "
            "difference; this architecture does more between its blocks than this version can follow"
        )


def _prove_independence(stack: BlockStack, ids: torch.Tensor) -> None:
    """Runs the blocks again, last one first, each on what it was given before: what one leaves behind would show.

    Models whose later blocks read the keys and values of earlier ones pass the first proof, but not this one.
    """
    base, entrance = Layout.base(len(stack)), stack.enter(ids)
    states = [entrance.hidden]
    for place in base.places:
        states.append(stack.run(place, states[-1].clone(), entrance))
    entrance = stack.enter(ids)
    for place in reversed(base.places):
        given = states[place.slot].clone()
        again = stack.run(place, given, entrance)
        expected = states[place.slot + 1]
        same_input = torch.equal(given, states[place.slot])
        if not (same_input and _close(again, expected, tolerance(expected.dtype))):
            raise CannotRun.at(
                None,
                f"that block {place.slot} depends on what ran before it by more than its hidden states",
                "nothing else",
                "this architecture cannot be audited by this version",
            )


def _prove_causality(stack: BlockStack, ids: torch.Tensor, logits: torch.Tensor) -> None:
    """Changes tokens at the end of a window (1, T); the logits (T, V) before them must not move.

    Once the last token alone, which shows a model that looks ahead however little; and once the second half, because a
    model that looks ahead inside chunks of tokens may have the last one in a chunk of its own.
    """
    tokens, last = ids.shape[1], ids[0, -1]
    others = ids[ids != last]
    other = others[0] if len(others) else (last + 1) % logits.shape[-1]
    for first in {tokens - 1, tokens // 2} - {0}:
        changed = ids.clone()
        changed[:, first:] = torch.where(ids[:, first:] == other, last, other)  # another token at each position
        again = stack.own_logits(changed)[0, :first]
        if not _close(again, logits[:first], tolerance(logits.dtype)):
            raise CannotRun.at(
                None,
                f"that the model's logits move by {_apart(again, logits[:first]):.3g} where only later tokens change",
                "a causal model, whose logits follow from the tokens so far",
                "a model that sees the tokens it is to predict has no perplexity; audit a causal model",
            )


def tolerance(dtype: torch.dtype) -> float:
    """Relative to the largest value: rounding of the dtype, which kernels may do in another order."""
    return max(1e-4, 2.0 * torch.finfo(dtype).eps)


def _apart(ours: torch.Tensor, own: torch.Tensor) -> float:
    return float((ours - own).abs().max())


def _close(ours: torch.Tensor, own: torch.Tensor, share: float) -> bool:
    return ours.shape == own.shape and _apart(ours, own) <= share * float(own.abs().max())
