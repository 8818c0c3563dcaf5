"""Which blocks of a base checkpoint the blocks of another one are made of: by digest, else by nearest weights.

Every tensor of both is read once, for its digest and a sample. A block whose digests are not those of a base block is
held against the nearest one and against the weighted sum of base blocks that a least-squares fit on the samples of its
matrices gives (as merges in the manner of LaCo, arXiv 2402.11187, or averages make it), and what the samples suggest
is then decided on all values.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any, Literal

import numpy as np

from checker.checkpoints.provenance.blocks import Block, Parts
from checker.checkpoints.provenance.fits import DECIDED, Fit, Group, norm_of
from checker.checkpoints.provenance.weights import compare, quantised

State = Literal[
    "identical", "cast", "quantised", "retrained", "retrained and quantised", "merged", "merged and quantised",
    "merged and retrained", "open",
]  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """What a block is made of, and how far it is from that."""

    parts: Parts  # empty where it is not known
    state: State
    change: float | None = None  # Frobenius norm of the difference over that of the base's, over all its tensors
    changed: tuple[str, ...] = ()  # tensors that are neither as in the base nor rounded from it
    tensors: int = 0
    through: str | None = None  # cast or quantised: the type it was rounded to
    share: float = 0.0  # of the block's parameters: those of the tensors that were changed
    reason: str | None = None  # open: why
    twins: tuple[int, ...] = ()  # base blocks with the very same weights, where there are several

    @property
    def block(self) -> int | None:
        """The one base block whose weights these are, or were before they were changed."""
        alone = len(self.parts) == 1 and self.parts[0][1] == 1.0
        return self.parts[0][0] if alone else None

    @property
    def retrained(self) -> bool:
        """Whether it holds other values than what it is made of, beyond rounding."""
        return "retrained" in self.state

    @property
    def in_part(self) -> tuple[str, ...]:
        """The last meaningful names of the tensors that were changed, where most were not; as q_proj and v_proj."""
        few = self.retrained and 2 * len(self.changed) < self.tensors
        return tuple(dict.fromkeys(map(_short, self.changed))) if few else ()


def _short(name: str) -> str:
    parts = [part for part in name.split(".") if part not in ("weight", "bias")]
    return parts[-1] if parts else name


def origins(base: Sequence[Block], blocks: Sequence[Block]) -> list[Origin]:
    """For every block, in order, what of the base it is."""
    whole = _Base(base)
    taken: list[int] = []
    result = []
    for block in blocks:
        candidates = whole.by_digest.get(block.digest, [])
        if candidates:
            number = _next(candidates, taken)
            same = whole.twins.get(number, ())
            origin = Origin(((number, 1.0),), "identical", 0.0, tensors=len(block.placed), twins=same)
        else:
            origin = _unlike(whole, block)
        taken += [number for number, _ in origin.parts]
        result.append(origin)
    return result


def twins(base: Sequence[Block]) -> dict[int, tuple[int, ...]]:
    """Base blocks that have the very same weights as others, with all that have them."""
    groups: dict[str, list[int]] = defaultdict(list)
    for block in base:
        groups[block.digest].append(block.number)
    return {number: tuple(group) for group in groups.values() if len(group) > 1 for number in group}


def _next(candidates: Sequence[int], taken: Sequence[int]) -> int:
    """Of base blocks with the same weights, the first that is not taken yet and follows the last one taken."""
    free = [number for number in candidates if number not in taken] or list(candidates)
    later = [number for number in free if not taken or number > taken[-1]]
    return (later or free)[0]


class _Base:
    """The base's blocks, and what is worked out once of them."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self.twins = twins(blocks)
        self.by_digest: dict[str, list[int]] = defaultdict(list)
        self.owners: dict[tuple[str, str], set[int]] = defaultdict(set)  # of a tensor, by the rest of its name
        for block in blocks:
            self.by_digest[block.digest].append(block.number)
            for item in block.digests.items():
                self.owners[item].add(block.number)
        self._groups: dict[Any, Group] = {}

    def group(self, block: Block) -> Group | None:
        """The base blocks that a block can be compared with; of those with the same weights the first alone."""
        if block.shapes not in self._groups:
            fitting = [own for own in self.blocks if own.shapes == block.shapes and own.packed is None]
            first = [own for own in fitting if self.twins.get(own.number, (own.number,))[0] == own.number]
            self._groups[block.shapes] = Group(first)
        group = self._groups[block.shapes]
        return group if group.blocks else None

    def parts_of(self, block: Block) -> Counter[int]:
        """How many of its tensors are those of one base block and of no other, per base block."""
        owners = (self.owners.get(item, set()) for item in block.digests.items())
        return Counter(next(iter(numbers)) for numbers in owners if len(numbers) == 1)

    def whose_matrices(self, group: Group, block: Block) -> Block | None:
        """The base block that has some of a block's matrices, as they are or rounded; None if several or none."""
        telling = [name for name in block.wide if np.ptp(block.samples[name]) > 0.0]  # a constant is of no block
        of_all = (group.holding(block, name) for name in telling)
        owned = {owners[0].number: owners[0] for owners in of_all if len(owners) == 1}
        return next(iter(owned.values())) if len(owned) == 1 else None


def _unlike(base: _Base, block: Block) -> Origin:
    """The origin of a block that has the digest of no base block."""
    group = None if block.packed else base.group(block)
    if group is None:
        return _open(block, _why_incomparable(base.blocks, block))
    if len(several := base.parts_of(block)) > 1:
        copies = ", ".join(f"{count} of block {number}" for number, count in sorted(several.items())[:4])
        return _open(block, f"its tensors are copies from several base blocks: {copies}")
    if not (norm := norm_of(block.matrices)):
        return _open(block, "all its sampled values are zero")
    # Samples only propose, all values decide. A matrix that is one base block's, as it is or rounded, tells whose block
    # it is, however far others were moved, as merged adapters move a few. Else: does a weighted sum come far nearer
    # than any base block alone? Then every value must bear it out. Else it is the nearest block, provided that the next
    # is much further away, or that it is akin to this one alone: training moves weights by less than two blocks lie
    # apart, unless it starts from next to nothing.
    if (source := base.whose_matrices(group, block)) is not None:
        return _from_one(source, block, base.twins.get(source.number, ()))
    fit = Fit(group, block, norm)
    if (parts := fit.merged()) is not None:
        origin = _confirmed_merge({source.number: source for source in group.blocks}, block, parts)
        if origin is not None:
            return origin
    nearest, apart, further = fit.nearest()
    if apart > DECIDED * further and fit.akin() is not nearest:
        return _open(
            block,
            f"base block {nearest.number} is the nearest, and hardly nearer than the next: {apart:.3g} of its own norm "
            f"away, against {further:.3g}",
        )
    return _from_one(nearest, block, base.twins.get(nearest.number, ()))


def _open(block: Block, reason: str) -> Origin:
    return Origin((), "open", tensors=len(block.placed), reason=reason)


def _why_incomparable(base: Sequence[Block], block: Block) -> str:
    if block.packed:
        return f"it is stored as {block.packed}, which is compared by digest alone, and no base block has its digest"
    packed = {source.packed for source in base} - {None}
    if packed:
        return f"the base is stored as {', '.join(sorted(map(str, packed)))}, which is compared by digest alone"
    shapes = dict(max((source.shapes for source in base), key=lambda shapes: len({*shapes} & {*block.shapes})))
    for name, shape in block.shapes:
        if name not in shapes:
            return f"no base block has a tensor {name}"
        if shapes[name] != shape:
            return f"its tensor {name} has shape {list(shape)}, and {list(shapes[name])} in the base"
    return f"it has no tensor {next(iter(sorted({*shapes} - set(block.placed))))}, and every base block has one"


def _from_one(source: Block, block: Block, same: tuple[int, ...]) -> Origin:
    """What became of one base block's tensors."""
    squares, reference, changed, through, within = 0.0, 0.0, [], set(), set()
    for name, placed in block.placed.items():
        if block.digests[name] == source.digests[name]:
            reference += compare(placed, [(placed, 1.0)]).reference
            continue
        difference = compare(placed, [(source.placed[name], 1.0)])
        squares, reference = squares + difference.squares, reference + difference.reference
        if difference.through is not None:
            through.add(difference.through)
        elif difference.within:
            within.add(quantised(placed))
        else:
            changed.append(name)
    known = Origin(
        ((source.number, 1.0),),
        "cast",
        sqrt(squares / reference) if reference else None,
        tuple(changed),
        len(block.placed),
        ", ".join(sorted(through)),
        share=_share(block, changed),
        twins=same,
    )
    if changed:
        return replace(
            known, state="retrained and quantised" if block.quantised else "retrained", through=block.quantised
        )
    return replace(known, state="quantised", through=block.quantised) if within else known


def _share(block: Block, names: Sequence[str]) -> float:
    """Of a block's parameters, those of some of its tensors."""
    sizes = {name: placed.tensor.elements for name, placed in block.placed.items()}
    return sum(sizes[name] for name in names) / max(1, sum(sizes.values()))


def _confirmed_merge(base: Mapping[int, Block], block: Block, parts: Parts) -> Origin | None:
    """What all values say of a weighted sum; None where it is no better than the nearest base block, changed."""
    squares, reference, changed, within = 0.0, 0.0, [], False
    for name, placed in block.placed.items():
        difference = compare(placed, [(base[number].placed[name], weight) for number, weight in parts])
        squares, reference = squares + difference.squares, reference + difference.reference
        within = within or (difference.within and not difference.exact)
        if not (difference.exact or difference.within):
            changed.append(name)
    change = sqrt(squares / reference) if reference else None
    if not changed:
        state: State = "merged and quantised" if within else "merged"
        return Origin(parts, state, change, tensors=len(block.placed), through=block.quantised if within else None)
    scaled = len(parts) == 1  # training, too, moves a block along itself
    if scaled:
        return None
    share = _share(block, changed)
    return Origin(parts, "merged and retrained", change, tuple(changed), len(block.placed), share=share)
