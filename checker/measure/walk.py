"""One walk down the prefix tree of one batch's layouts: each shared prefix once, values dropped after their last use.

Shapes: W windows of a batch, T tokens, K scored positions of a window, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from checker.core.errors import CannotRun, NotFinite
from checker.core.layouts import Layout, Place
from checker.core.questions import Quantity, Values
from checker.core.statistics import LEAST_DISTANCE
from checker.measure.blocks import BlockStack, Entrance, text_config
from checker.measure.explained import own_forward_explained
from checker.measure.texts import Batch

# Rows of logits reduced at a time: their float32 temporaries fit the cache (16 x 49,152 x 4 bytes = 3 MB).
_REDUCED_ROWS = 16
# Bytes of float32 logits that leave the head at a time.
_LOGIT_BYTES = 64 << 20

# How a quantity's values at a unit's positions become one; others are averaged.
_OVER_POSITIONS: dict[Quantity, Callable[..., Values]] = {"nll": np.sum, "greedy": np.min}

Rows = dict[Quantity, torch.Tensor]  # per scored position (W * K,)
Emit = Callable[[Layout, Quantity, Values], None]
Part = Literal["block", "head"]
Tick = Callable[[Part, int], None]  # takes the tokens of each block run and of each exit


@dataclass
class Node:
    """A place in the prefix tree; ``layout`` is set where a layout ends, ``state`` where an earlier walk kept it."""

    children: dict[Place, Node] = field(default_factory=dict)
    layout: Layout | None = None
    state: torch.Tensor | None = None  # (W, T, D), after the place


@dataclass(frozen=True)
class Trail:
    """Hidden states (W, T, D) along a layout, the last place first."""

    before: Trail | None
    place: Place
    hidden: torch.Tensor


def prefix_tree(layouts: Collection[Layout], base: Layout) -> Node:
    """The prefix tree of ``layouts``, with the baseline's branch first."""
    root = Node()
    for layout in sorted(layouts, key=lambda layout: layout != base):
        node = root
        for place in layout.places:
            node = node.children.setdefault(place, Node())
        node.layout = layout
    return root


class Walk:
    """One walk down the prefix tree of one batch."""

    def __init__(
        self, stack: BlockStack, batch: Batch, asked: Mapping[Layout, Collection[Quantity]], emit: Emit, tick: Tick
    ) -> None:
        self.stack, self.batch, self.asked, self.emit, self.tick = stack, batch, asked, emit, tick
        self.base = Layout.base(len(stack))
        self.block_runs = 0
        self.ids = batch.ids.to(stack.device)
        with own_forward_explained():
            self.entrance = stack.enter(self.ids)
        self.rows_at_a_time = _REDUCED_ROWS if self.ids.device.type == "cpu" else batch.ids.numel()
        self.compares = any(quantity in ("kl", "top1") for quantities in asked.values() for quantity in quantities)
        self.base_log_p: torch.Tensor | None = None  # (W * K, V), float32
        self.base_top: torch.Tensor | None = None  # (W * K,)
        self.base_hidden: torch.Tensor | None = None  # (W, K, D), after the last block
        self.keeps = False  # whether the states along the layout with the least loss are kept
        self.best: Trail | None = None
        self.least = float("inf")  # its loss

    def start(self, root: Node) -> None:
        self._down(root, self.entrance.hidden, None)

    def _down(self, node: Node, hidden: torch.Tensor, trail: Trail | None) -> None:
        """Runs what hangs below ``node``, whose hidden states are given; the last child may reuse their memory.

        A layout that ends here waits for the longer ones, because the baseline may be among them.
        """
        # Each place of the tree runs once. All children but the last go down by recursion, while the states that they
        # begin with wait; the last one goes on in this loop, which lets go of them. So states wait only at forks.
        while node.children:
            branches = list(node.children.items())
            through = branches.pop() if node.layout is None else None
            for place, child in branches:
                self._down(child, *self._step(place, child, hidden, trail))
            if through is None:
                break
            place, node = through
            hidden, trail = self._step(place, node, hidden, trail)
        if node.layout is not None:
            self._leaf(node.layout, hidden, trail)

    def _step(
        self, place: Place, node: Node, hidden: torch.Tensor, trail: Trail | None
    ) -> tuple[torch.Tensor, Trail | None]:
        """The hidden states after a place, run unless they are known, and the trail that leads there."""
        after = node.state
        if after is None:
            self.block_runs += 1
            self.tick("block", self.ids.numel())
            after = self.stack.run(place, hidden, self.entrance)
        return after, Trail(trail, place, after) if self.keeps else None

    def _leaf(self, layout: Layout, hidden: torch.Tensor, trail: Trail | None) -> None:
        quantities = self.asked.get(layout, ())
        is_base = layout == self.base
        rows = self._rows(quantities, hidden, is_base)
        self.tick("head", self.batch.positions * len(self.ids))
        for quantity in sorted(quantities):
            per_unit = by_unit(rows[quantity], self.batch)
            answer = _OVER_POSITIONS.get(quantity, np.mean)(per_unit, axis=1)
            check_values(self.batch, layout, quantity, answer)
            self.emit(layout, quantity, answer)
            if self.keeps and answer.sum() < self.least:
                self.best, self.least = trail, float(answer.sum())

    def _rows(self, quantities: Collection[Quantity], hidden: torch.Tensor, is_base: bool) -> Rows:
        """Each quantity per scored position (W * K,)."""
        # Logits are the largest thing by far: V numbers at each of W * K positions. They leave the head a part at a
        # time and are reduced to one number a row, a few rows at a time; only the baseline's log-probabilities stay
        # whole. Its branch comes first in the tree, so they are there when another layout is held against them.
        positions = self.batch.positions * len(self.ids)
        rows: Rows = {quantity: torch.empty(positions, device=self.ids.device) for quantity in quantities}
        if is_base:
            self.base_hidden = hidden[:, self.batch.first : self.batch.last + 1].float()
        if "similarity" in quantities:
            rows["similarity"] = self._similarity(hidden)
        keep = is_base and self.compares
        if not keep and set(quantities) <= {"similarity"}:
            return rows  # the head is not needed
        targets = self._targets() if {"nll", "greedy"} & set(quantities) else None
        for start, logits in scored_logits(self.stack, self.batch, self.ids, hidden):
            if keep:
                self._keep_base(start, logits, positions)
            for first in range(0, len(logits), self.rows_at_a_time):
                where = slice(start + first, start + min(first + self.rows_at_a_time, len(logits)))
                self._reduce(logits[first : first + self.rows_at_a_time], where, rows, targets)
            del logits  # before the next part's leave the head
        return rows

    def _similarity(self, hidden: torch.Tensor) -> torch.Tensor:
        """Cosine (W * K,) of hidden states after the last block with the baseline's, each position one vector."""
        assert self.base_hidden is not None
        scored = hidden[:, self.batch.first : self.batch.last + 1].float()
        return torch.nn.functional.cosine_similarity(scored, self.base_hidden, dim=-1, eps=0.0).reshape(-1)

    def _keep_base(self, start: int, logits: torch.Tensor, positions: int) -> None:
        if self.base_log_p is None or self.base_top is None:
            self.base_log_p = torch.empty(positions, logits.shape[-1], device=logits.device)
            self.base_top = torch.empty(positions, dtype=torch.long, device=logits.device)
        where = slice(start, start + len(logits))
        torch.log_softmax(logits, -1, out=self.base_log_p[where])
        self.base_top[where] = logits.argmax(-1)
        lowest = self.base_log_p[where].amin(-1)  # a NaN anywhere, too, shows in it
        if not bool(lowest.isfinite().all()):
            row = start + int(lowest.isfinite().logical_not().nonzero()[0])
            unit = self.batch.units[row // self.batch.positions]
            raise NotFinite(str(self.base), f"{self.batch.name} {unit}", "log-probability")

    def _reduce(self, logits: torch.Tensor, where: slice, rows: Rows, targets: torch.Tensor | None) -> None:
        log_p = torch.log_softmax(logits, -1)
        if targets is not None and "nll" in rows:
            rows["nll"][where] = -log_p.gather(1, targets[where, None]).squeeze(1)
        if targets is not None and "greedy" in rows:
            rows["greedy"][where] = (log_p.argmax(-1) == targets[where]).float()
        if "top1" in rows:
            assert self.base_top is not None
            most, top = logits.max(-1)
            agree = (top == self.base_top[where]).float()
            rows["top1"][where] = torch.where(most.isfinite(), agree, torch.nan)
        if "kl" in rows:
            assert self.base_log_p is not None
            rows["kl"][where] = kl_divergence(self.base_log_p[where], log_p)

    def _targets(self) -> torch.Tensor:
        ids = self.batch.whole
        if self.batch.last >= ids.shape[1] - 1:
            raise ValueError("a window's last position has no next token; expected to score NLL before it")
        return ids[:, self.batch.first + 1 : self.batch.last + 2].reshape(-1).to(self.ids.device)


def scored_logits(
    stack: BlockStack, batch: Batch, ids: torch.Tensor, hidden: torch.Tensor
) -> Iterator[tuple[int, torch.Tensor]]:
    """Float32 logits (w * K, V) of some windows at a time, each with the number of its first row."""
    scored = hidden[:, batch.first : batch.last + 1]  # (W, K, D)
    stand_in = ids[:, : batch.positions]  # (W, K)
    vocabulary = int(text_config(stack.model).vocab_size)
    step = max(1, _LOGIT_BYTES // (4 * vocabulary * batch.positions))
    for start in range(0, len(ids), step):
        part = slice(start, start + step)
        # Not bound to a name, so that one part's logits are gone before the next part's leave the head.
        yield start * batch.positions, stack.leave(scored[part], stand_in[part]).float().flatten(0, 1)


def run_through(stack: BlockStack, layout: Layout, entrance: Entrance) -> torch.Tensor:
    """Hidden states (W, T, D) after the last block of a layout, from a batch's entrance."""
    hidden = entrance.hidden
    for place in layout.places:
        hidden = stack.run(place, hidden, entrance)
    return hidden


def kl_divergence(base_log_p: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
    """KL(base || variant) per row (N,), in nats, of float32 log-probabilities (N, V). Overwrites ``log_p``."""
    difference = torch.sub(base_log_p, log_p, out=log_p)
    return difference.mul_(base_log_p.exp()).sum(-1)


def by_unit(rows: torch.Tensor, batch: Batch) -> Values:
    values: Values = rows.reshape(-1, batch.positions).double().cpu().numpy()
    return values


def check_values(batch: Batch, layout: Layout, quantity: Quantity, answer: Values) -> None:
    """Refuses what is no measurement: a value that is not finite, or a KL further below 0 than rounding goes."""
    for unit, value in zip(batch.units, answer, strict=True):
        if not np.isfinite(value):
            raise NotFinite(str(layout), f"{batch.name} {unit}", quantity)
        if quantity == "kl" and value < LEAST_DISTANCE:
            raise CannotRun.at(
                f"layout {layout}, {batch.name} {unit}",
                f"a KL of {value:.3g} nats",
                f"at least {LEAST_DISTANCE:g}, which rounding may leave of a zero",
                "something is wrong where it was measured",
            )
