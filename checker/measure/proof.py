"""The proof that a model is what the engine rests on: a stack of blocks that pass on hidden states and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from checker.core.errors import CannotRun, NotFinite, PruneauditError
from checker.core.layouts import Layout
from checker.measure.blocks import BlockStack
from checker.measure.texts import Batch
from checker.measure.walk import is_memory, memory_explained, run_through, scored_logits

# Tokens on which a model is proved to carry nothing but hidden states from block to block.
_PROOF_TOKENS = 32


@torch.inference_mode()
def prove(stack: BlockStack, batch: Batch) -> None:
    """Checks on a batch's first window what the engine rests on; CannotRun where it does not hold.

    Run block by block, the stack gives the model's own logits; and a block's output follows from its hidden states
    and its slot's side inputs alone. NotFinite where the model's own logits are not finite.
    """
    window = Batch(batch.ids[:1], batch.first, batch.last, batch.units[:1], batch.name)
    ids = window.ids.to(stack.device)
    with memory_explained(window):
        own = stack.model(input_ids=ids, use_cache=False).logits[0, window.first : window.last + 1].float()  # (K, V)
        if not bool(own.isfinite().all()):
            raise NotFinite(str(Layout.base(len(stack))), f"{window.name} {window.units[0]}", "logit")
        with _architecture_explained():
            _prove_logits(stack, window, ids, own)
            _prove_independence(stack, ids[:, :_PROOF_TOKENS])


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


def tolerance(dtype: torch.dtype) -> float:
    """Relative to the largest value: rounding of the dtype, which kernels may do in another order."""
    return max(1e-4, 2.0 * torch.finfo(dtype).eps)


def _apart(ours: torch.Tensor, own: torch.Tensor) -> float:
    return float((ours - own).abs().max())


def _close(ours: torch.Tensor, own: torch.Tensor, share: float) -> bool:
    return ours.shape == own.shape and _apart(ours, own) <= share * float(own.abs().max())


@contextmanager
def _architecture_explained() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever a block raises that misses what another block left behind
        if isinstance(error, PruneauditError) or is_memory(error):
            raise
        raise CannotRun(
            f"run block by block, the model raised {type(error).__name__}: {error}; expected each block to need only "
            "hidden states and its slot's side inputs; this architecture cannot be audited by this version"
        ) from error
