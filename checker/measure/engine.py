"""Runs layouts over batches of windows: each shared prefix once, values dropped after their last use.

The layouts of a batch form a prefix tree over places. The tree is walked depth first with the baseline in front, so
that its log-probabilities are at hand when another leaf is compared with them, and only the hidden states of the
branch at hand are alive. Nothing here knows what a protocol is.

Some states outlive their walk. A search by loss asks for one tree after another on the same batches and goes on from
the best layout so far. All candidates of its next step branch off that layout; so its states are kept for each batch,
and the trunk of the next tree, n of some n(n + 1)/2 block runs, need not run again. A search by similarity asks for one
layout after another, so the baseline's last states are kept as well.

Shapes: W windows of a batch, T tokens, K scored positions of a window, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch

from checker.core.layouts import Layout
from checker.core.questions import Quantity, Values
from checker.measure.blocks import BlockStack
from checker.measure.explained import memory_explained
from checker.measure.texts import Batch
from checker.measure.walk import (
    Emit,
    Node,
    Tick,
    Trail,
    Walk,
    by_unit,
    check_values,
    kl_divergence,
    prefix_tree,
    run_through,
    scored_logits,
)

# Bytes of hidden states that are kept for the trees to come, all batches together.
_KEPT_BYTES = 512 << 20


class Engine:
    """Measures quantities of layouts on one model; counts the block runs it spends."""

    def __init__(self, stack: BlockStack) -> None:
        self.stack = stack
        self.base = Layout.base(len(stack))
        self.block_runs = 0  # of one block on one batch
        self._kept: dict[int, tuple[torch.Tensor, Trail]] = {}  # per batch, by its token ids
        self._base_hidden: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # the baseline's last states, likewise

    def measure(self, batch: Batch, asked: Mapping[Layout, Collection[Quantity]], emit: Emit, tick: Tick) -> None:
        """Measures what is ``asked`` of each layout, on one batch.

        Each answer, one float64 per unit, goes to ``emit`` as soon as it is known.

        NotFinite names the layout and the unit; what was emitted before stays valid. Quantities that compare with the
        baseline bring the baseline along.
        """
        layouts, quantities = set(asked), set().union(*asked.values())
        _, base_hidden = self._base_hidden.get(id(batch.ids), (None, None))
        if quantities & {"kl", "top1"} or ("similarity" in quantities and base_hidden is None):
            layouts.add(self.base)
        tree = prefix_tree(layouts, self.base)
        with torch.inference_mode(), memory_explained(batch.ids.numel()):
            walk = Walk(self.stack, batch, asked, emit, tick)
            walk.base_hidden = base_hidden
            # One layout alone, or the baseline among others, is no search.
            searches = len(layouts) > 1 and self.base not in layouts and quantities == {"nll"}
            walk.keeps = searches and self._has_room(batch, walk.entrance.hidden)
            if walk.keeps:
                self._graft(tree, batch)
            try:
                walk.start(tree)
            finally:
                self.block_runs += walk.block_runs
            if walk.best is not None:
                self._kept[id(batch.ids)] = batch.ids, walk.best
            if "similarity" in quantities and walk.base_hidden is not None and self._holds(walk.base_hidden):
                self._base_hidden[id(batch.ids)] = batch.ids, walk.base_hidden

    def _has_room(self, batch: Batch, hidden: torch.Tensor) -> bool:
        batches = len(self._kept.keys() | {id(batch.ids)})
        return batches * len(self.stack) * hidden.nbytes <= _KEPT_BYTES

    def _holds(self, base_hidden: torch.Tensor) -> bool:
        return (len(self._base_hidden) + 1) * base_hidden.nbytes <= _KEPT_BYTES

    def _graft(self, root: Node, batch: Batch) -> None:
        """Puts the states that were kept of a batch where the tree begins with the same places."""
        _, trail = self._kept.get(id(batch.ids), (None, None))
        along = []
        while trail is not None:
            along.append(trail)
            trail = trail.before
        node = root
        for known in reversed(along):
            if known.place not in node.children:
                return
            node = node.children[known.place]
            node.state = known.hidden

    @torch.inference_mode()
    def last_states(self, batch: Batch) -> torch.Tensor:
        """Hidden states (W, T, D) of a batch after the unchanged model's last block."""
        with memory_explained(batch.ids.numel()):
            self.block_runs += len(self.stack)
            return run_through(self.stack, self.base, self.stack.enter(batch.ids.to(self.stack.device)))

    def last_states_apart(self, batch: Batch) -> torch.Tensor:
        """As ``last_states``, with every window run by itself: what differs is rounding alone."""
        parts = [
            replace(
                batch,
                ids=batch.ids[place : place + 1],
                units=batch.units[place : place + 1],
                following=None if batch.following is None else batch.following[place : place + 1],
            )
            for place in range(len(batch.ids))
        ]
        return torch.cat([self.last_states(part) for part in parts])

    @torch.inference_mode()
    def gap(self, batch: Batch, reference: BlockStack, states: torch.Tensor) -> tuple[Values, Values]:
        """How far this model is from another one, whose last hidden states (W, T, D) on the batch are given.

        KL(reference || this) averaged over a unit's scored positions, in nats, and the share of them where the most
        likely token is the same; both per unit. Both vocabularies are of one size. NotFinite names the unit.
        """
        kl, top1 = [], []
        with memory_explained(batch.ids.numel()):
            theirs = scored_logits(reference, batch, batch.ids.to(reference.device), states)
            ours = scored_logits(self.stack, batch, batch.ids.to(self.stack.device), self.last_states(batch))
            for (_, before), (_, now) in zip(theirs, ours, strict=True):
                first = before.to(now.device)
                top1.append((first.argmax(-1) == now.argmax(-1)).float())
                kl.append(kl_divergence(torch.log_softmax(first, -1), torch.log_softmax(now, -1)))
        distance, agreement = (by_unit(torch.cat(rows), batch).mean(1) for rows in (kl, top1))
        check_values(batch, self.base, "kl", distance)
        return distance, agreement
