"""Runs layouts over batches of windows: each shared prefix once, values dropped after their last use.

The layouts of a batch form a prefix tree over places. The tree is walked depth first with the baseline in front, so
that its log-probabilities are at hand when another leaf is compared with them, and only the hidden states of the
branch at hand are alive. A search by loss asks for one tree after another on the same batches and goes on from the best
layout it found; so the states along a batch's best layout are kept, and the next tree begins with them. A search by
similarity asks for one layout after another; so the baseline's last states are kept as well. Nothing here knows what a
protocol is.

Shapes: W windows of a batch, T tokens, K scored positions of a window, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from checker.core.errors import CannotRun, NotFinite, PruneauditError
from checker.core.layouts import Layout, Place
from checker.core.questions import Quantity, Values
from checker.core.statistics import LEAST_DISTANCE
from checker.measure.blocks import BlockStack, Entrance, text_config
from checker.measure.texts import Batch

# Rows of logits reduced at a time: their float32 temporaries fit the cache (16 x 49,152 x 4 bytes = 3 MB).
_REDUCED_ROWS = 16
# Bytes of float32 logits that leave the head at a time.
_LOGIT_BYTES = 64 << 20
# Bytes of hidden states that are kept for the trees to come, all batches together.
_KEPT_BYTES = 512 << 20
# Tokens on which a model is proved to carry nothing but hidden states from block to block.
_PROOF_TOKENS = 32

Rows = dict[Quantity, torch.Tensor]  # per scored position (W * K,)
Emit = Callable[[Layout, Quantity, Values], None]
Tick = Callable[[Literal["block", "head"], int], None]  # told the tokens of each block run and of each exit


@dataclass
class _Node:
    """A place in the prefix tree; ``layout`` is set where a layout ends, ``state`` where an earlier walk kept it."""

    children: dict[Place, _Node] = field(default_factory=dict)
    layout: Layout | None = None
    state: torch.Tensor | None = None  # (W, T, D), after the place


@dataclass(frozen=True)
class _Trail:
    """Hidden states (W, T, D) along a layout, the last place first."""

    before: _Trail | None
    place: Place
    hidden: torch.Tensor


def prefix_tree(layouts: Collection[Layout], base: Layout) -> _Node:
    """The prefix tree of ``layouts``, with the baseline's branch first."""
    root = _Node()
    for layout in sorted(layouts, key=lambda layout: layout != base):
        node = root
        for place in layout.places:
            node = node.children.setdefault(place, _Node())
        node.layout = layout
    return root


class Engine:
    """Measures quantities of layouts on one model; counts the block runs it spends."""

    def __init__(self, stack: BlockStack) -> None:
        self.stack = stack
        self.base = Layout.base(len(stack))
        self.block_runs = 0  # of one block on one batch
        self._kept: dict[int, tuple[torch.Tensor, _Trail]] = {}  # per batch, by its token ids
        self._base_hidden: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # the baseline's last states, likewise

    def measure(self, batch: Batch, wanted: Mapping[Layout, Collection[Quantity]], emit: Emit, tick: Tick) -> None:
        """Measures ``wanted`` on one batch and hands each answer, one float64 per unit, to ``emit`` as it is known.

        NotFinite names the layout and the unit; what was emitted before stays valid. Quantities that compare with the
        baseline bring the baseline along.
        """
        layouts, quantities = set(wanted), {quantity for asked in wanted.values() for quantity in asked}
        _, base_hidden = self._base_hidden.get(id(batch.ids), (None, None))
        if quantities & {"kl", "top1"} or ("similarity" in quantities and base_hidden is None):
            layouts.add(self.base)
        tree = prefix_tree(layouts, self.base)
        with torch.inference_mode(), _memory_explained(batch):
            walk = _Walk(self, batch, wanted, emit, tick)
            walk.base_hidden = base_hidden
            # One layout alone, or the baseline among others, is no search.
            searches = len(layouts) > 1 and self.base not in layouts and quantities == {"nll"}
            walk.keeps = searches and self._has_room(batch, walk.entrance.hidden)
            if walk.keeps:
                self._graft(tree, batch)
            walk.start(tree)
            if walk.best is not None:
                self._kept[id(batch.ids)] = batch.ids, walk.best
            if "similarity" in quantities and walk.base_hidden is not None and self._holds(walk.base_hidden):
                self._base_hidden[id(batch.ids)] = batch.ids, walk.base_hidden

    def _has_room(self, batch: Batch, hidden: torch.Tensor) -> bool:
        batches = len(self._kept.keys() | {id(batch.ids)})
        return batches * len(self.stack) * hidden.nbytes <= _KEPT_BYTES

    def _holds(self, base_hidden: torch.Tensor) -> bool:
        return (len(self._base_hidden) + 1) * base_hidden.nbytes <= _KEPT_BYTES

    def _graft(self, root: _Node, batch: Batch) -> None:
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
    def prove(self, batch: Batch) -> None:
        """Checks on a batch's first window what the engine rests on; CannotRun where it does not hold.

        Run block by block, the stack gives the model's own logits; and a block's output follows from its hidden states
        and its slot's side inputs alone. NotFinite where the model's own logits are not finite.
        """
        one = Batch(batch.ids[:1], batch.first, batch.last, batch.units[:1], batch.name)
        ids = one.ids.to(self.stack.device)
        with _memory_explained(one):
            own = self.stack.model(input_ids=ids, use_cache=False).logits[0, one.first : one.last + 1].float()  # (K, V)
            if not bool(own.isfinite().all()):
                raise NotFinite(str(self.base), f"{one.name} {one.units[0]}", "logit")
            with _architecture_explained():
                self._prove_logits(one, ids, own)
                self._prove_independence(ids[:, :_PROOF_TOKENS])

    def _prove_logits(self, one: Batch, ids: torch.Tensor, own: torch.Tensor) -> None:
        entrance = self.stack.enter(ids)
        ours = torch.cat([part for _, part in self.logits(one, ids, self._through(self.base, entrance))])
        if not _close(ours, own, self._tolerance(entrance.hidden)):
            raise CannotRun(
                f"run block by block, the model's logits differ from its own by {_apart(ours, own):.3g}; expected no "
                "difference; this architecture does more between its blocks than this version can follow"
            )

    def _prove_independence(self, ids: torch.Tensor) -> None:
        """Runs the blocks again, last one first, each on what it was given before: what one leaves behind would show.

        Models whose later blocks read the keys and values of earlier ones pass the first proof, but not this one.
        """
        entrance = self.stack.enter(ids)
        states = [entrance.hidden]
        for place in self.base.places:
            states.append(self.stack.run(place, states[-1].clone(), entrance))
        entrance = self.stack.enter(ids)
        for place in reversed(self.base.places):
            given = states[place.slot].clone()
            again = self.stack.run(place, given, entrance)
            expected = states[place.slot + 1]
            same_input = torch.equal(given, states[place.slot])
            if not (same_input and _close(again, expected, self._tolerance(expected))):
                raise CannotRun(
                    f"found that block {place.slot} depends on what ran before it by more than its hidden states; "
                    "expected nothing else; this architecture cannot be audited by this version"
                )

    @staticmethod
    def _tolerance(hidden: torch.Tensor) -> float:
        """Relative to the largest value: rounding of the dtype, which kernels may do in another order."""
        return max(1e-4, 2.0 * torch.finfo(hidden.dtype).eps)

    @torch.inference_mode()
    def baseline_gap(self, batch: Batch, reference: Engine) -> Values:
        """KL(reference baseline || this baseline) per unit, in nats: the numerical floor of this model's dtype.

        NotFinite names the unit.
        """
        with _memory_explained(batch):
            ids = batch.ids.to(self.stack.device)
            pairs = []
            for engine in (reference, self):
                entrance = engine.stack.enter(ids)
                pairs.append(engine.logits(batch, ids, engine._through(engine.base, entrance)))
            rows = [
                kl_divergence(torch.log_softmax(theirs, -1), torch.log_softmax(ours, -1))
                for (_, theirs), (_, ours) in zip(*pairs, strict=True)
            ]
        floor: Values = _per_unit(torch.cat(rows), batch).mean(1)
        _check(batch, self.base, "kl", floor)
        return floor

    def logits(self, batch: Batch, ids: torch.Tensor, hidden: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Float32 logits (w * K, V) of some windows at a time, each with the number of its first row."""
        scored = hidden[:, batch.first : batch.last + 1]  # (W, K, D)
        stand_in = ids[:, : batch.positions]  # (W, K)
        vocabulary = int(text_config(self.stack.model).vocab_size)
        step = max(1, _LOGIT_BYTES // (4 * vocabulary * batch.positions))
        for start in range(0, len(ids), step):
            part = slice(start, start + step)
            # Not bound to a name, so that one part's logits are gone before the next part's leave the head.
            yield start * batch.positions, self.stack.leave(scored[part], stand_in[part]).float().flatten(0, 1)

    def _through(self, layout: Layout, entrance: Entrance) -> torch.Tensor:
        hidden = entrance.hidden
        for place in layout.places:
            hidden = self.stack.run(place, hidden, entrance)
        return hidden


class _Walk:
    """One walk down the prefix tree of one batch."""

    def __init__(
        self, engine: Engine, batch: Batch, wanted: Mapping[Layout, Collection[Quantity]], emit: Emit, tick: Tick
    ) -> None:
        self.engine, self.batch, self.wanted, self.emit, self.tick = engine, batch, wanted, emit, tick
        self.ids = batch.ids.to(engine.stack.device)
        self.entrance = engine.stack.enter(self.ids)
        self.rows_at_a_time = _REDUCED_ROWS if self.ids.device.type == "cpu" else batch.ids.numel()
        self.compares = any(quantity in ("kl", "top1") for quantities in wanted.values() for quantity in quantities)
        self.base_log_p: torch.Tensor | None = None  # (W * K, V), float32
        self.base_top: torch.Tensor | None = None  # (W * K,)
        self.base_hidden: torch.Tensor | None = None  # (W, K, D), after the last block
        self.keeps = False  # whether the states along the layout with the least loss are kept
        self.best: _Trail | None = None
        self.least = float("inf")  # its loss

    def start(self, root: _Node) -> None:
        self._down(root, self.entrance.hidden, None)

    def _down(self, node: _Node, hidden: torch.Tensor, trail: _Trail | None) -> None:
        """Runs what hangs below ``node``, whose hidden states are given; the last child may reuse their memory.

        A layout that ends here waits for the longer ones, because the baseline may be among them.
        """
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
        self, place: Place, node: _Node, hidden: torch.Tensor, trail: _Trail | None
    ) -> tuple[torch.Tensor, _Trail | None]:
        """The hidden states after a place, run unless they are known, and the trail that leads there."""
        after = self._run(place, hidden) if node.state is None else node.state
        return after, _Trail(trail, place, after) if self.keeps else None

    def _run(self, place: Place, hidden: torch.Tensor) -> torch.Tensor:
        self.engine.block_runs += 1
        self.tick("block", self.ids.numel())
        return self.engine.stack.run(place, hidden, self.entrance)

    def _leaf(self, layout: Layout, hidden: torch.Tensor, trail: _Trail | None) -> None:
        quantities = self.wanted.get(layout, ())
        is_base = layout == self.engine.base
        rows = self._rows(quantities, hidden, is_base)
        self.tick("head", self.batch.positions * len(self.ids))
        for quantity in sorted(quantities):
            per_unit = _per_unit(rows[quantity], self.batch)
            answer = per_unit.sum(1) if quantity == "nll" else per_unit.mean(1)
            _check(self.batch, layout, quantity, answer)
            self.emit(layout, quantity, answer)
            if self.keeps and answer.sum() < self.least:
                self.best, self.least = trail, float(answer.sum())

    def _rows(self, quantities: Collection[Quantity], hidden: torch.Tensor, is_base: bool) -> Rows:
        """Each quantity per scored position (W * K,)."""
        positions = self.batch.positions * len(self.ids)
        rows: Rows = {quantity: torch.empty(positions, device=self.ids.device) for quantity in quantities}
        if is_base:
            self.base_hidden = hidden[:, self.batch.first : self.batch.last + 1].float()
        if "similarity" in quantities:
            rows["similarity"] = self._similarity(hidden)
        keep = is_base and self.compares
        if not keep and set(quantities) <= {"similarity"}:
            return rows  # the head is not needed
        targets = self._targets() if "nll" in quantities else None
        for start, logits in self.engine.logits(self.batch, self.ids, hidden):
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
            raise NotFinite(str(self.engine.base), f"{self.batch.name} {unit}", "log-probability")

    def _reduce(self, logits: torch.Tensor, where: slice, rows: Rows, targets: torch.Tensor | None) -> None:
        log_p = torch.log_softmax(logits, -1)
        if targets is not None:
            rows["nll"][where] = -log_p.gather(1, targets[where, None]).squeeze(1)
        if "top1" in rows:
            assert self.base_top is not None
            most, top = logits.max(-1)
            agree = (top == self.base_top[where]).float()
            rows["top1"][where] = torch.where(most.isfinite(), agree, torch.nan)
        if "kl" in rows:
            assert self.base_log_p is not None
            rows["kl"][where] = kl_divergence(self.base_log_p[where], log_p)

    def _targets(self) -> torch.Tensor:
        if self.batch.last >= self.batch.ids.shape[1] - 1:
            raise ValueError("a window's last position has no next token; expected to score NLL before it")
        return self.ids[:, self.batch.first + 1 : self.batch.last + 2].reshape(-1)


def kl_divergence(base_log_p: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
    """KL(base || variant) per row (N,), in nats, of float32 log-probabilities (N, V). Overwrites ``log_p``."""
    difference = torch.sub(base_log_p, log_p, out=log_p)
    return difference.mul_(base_log_p.exp()).sum(-1)


def _per_unit(rows: torch.Tensor, batch: Batch) -> Values:
    values: Values = rows.reshape(-1, batch.positions).double().cpu().numpy()
    return values


def _check(batch: Batch, layout: Layout, quantity: Quantity, answer: Values) -> None:
    """Refuses what is no measurement: a value that is not finite, or a KL further below 0 than rounding goes."""
    for unit, value in zip(batch.units, answer, strict=True):
        if not np.isfinite(value):
            raise NotFinite(str(layout), f"{batch.name} {unit}", quantity)
        if quantity == "kl" and value < LEAST_DISTANCE:
            raise CannotRun(
                f"layout {layout}, {batch.name} {unit}: found a KL of {value:.3g} nats; expected at least "
                f"{LEAST_DISTANCE:g}, which rounding may leave of a zero; something is wrong where it was measured"
            )


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def _close(one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    return one.shape == other.shape and _apart(one, other) <= tolerance * float(other.abs().max())


@contextmanager
def _architecture_explained() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever a block raises that misses what another one left behind
        if isinstance(error, PruneauditError) or _is_memory(error):
            raise
        raise CannotRun(
            f"run block by block, the model raised {type(error).__name__}: {error}; expected each block to need only "
            "hidden states and its slot's side inputs; this architecture cannot be audited by this version"
        ) from error


def _is_memory(error: Exception) -> bool:
    """Whether memory ran out; on a CPU, torch says so in the words of a RuntimeError."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


@contextmanager
def _memory_explained(batch: Batch) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not _is_memory(error):
            raise
        raise CannotRun(
            f"out of memory on a batch of {batch.ids.numel()} tokens; expected it to fit; lower `batch_tokens` in the "
            "contract (which makes it another contract), or use a larger device; evidence so far is kept"
        ) from error
