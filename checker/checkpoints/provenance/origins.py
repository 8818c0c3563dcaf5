"""Which blocks of a base checkpoint the blocks of another one are made of: by digest, else by nearest weights.

Every tensor of both is read once, for its digest and a sample. A block whose digests are not those of a base block is
held against the nearest one and against the weighted sum of base blocks that a least-squares fit on the samples of its
matrices gives (as merges in the manner of LaCo, arXiv 2402.11187, or averages make it), and what the samples suggest
is then decided on all values.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import sqrt
from typing import Any, Literal

import numpy as np

from checker.checkpoints.provenance.weights import (
    READABLE,
    Array,
    Checkpoint,
    check_finite,
    compare,
    quantised,
    read,
    rounded,
)
from checker.checkpoints.tensors import FLOATS, Placed

State = Literal[
    "identical", "cast", "quantised", "retrained", "retrained and quantised", "merged", "merged and quantised",
    "merged and retrained", "open",
]  # fmt: skip
Parts = tuple[tuple[int, float], ...]  # base blocks with their weights

_SAMPLE = 1 << 16  # values of a block
_SAMPLES = 1 << 24  # values of all blocks
_DECIDED = 0.5  # the nearest block is the origin where it is at most half as far away as the next
_SMALLEST = 0.002  # of a part of a merge: its norm, relative to the block's
_MOST_PARTS = 8
_FIRST = 64  # values of a sample that most unlike tensors differ in
_SCALAR = 2.0**-24  # what a merge's weight may have lost where it was held in single precision


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


@dataclass(frozen=True)
class Block:
    """A block's tensors, their digests and samples; all by the rest of their names, in its order."""

    number: int
    placed: Mapping[str, Placed]
    digests: Mapping[str, str]
    samples: Mapping[str, Array]

    @cached_property
    def digest(self) -> str:
        """sha256 of names and tensors."""
        return hashlib.sha256("".join(f"{name} {value}\n" for name, value in self.digests.items()).encode()).hexdigest()

    @cached_property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        return tuple((name, placed.tensor.shape) for name, placed in self.placed.items())

    @property
    def packed(self) -> str | None:
        """The first type that holds no weight as it is, or None."""
        kinds = (placed.tensor.kind for placed in self.placed.values())
        return next((kind for kind in kinds if kind not in READABLE), None)

    @cached_property
    def matrices(self) -> Array:
        """The samples of what has rows and columns, one after another; of everything where nothing has."""
        # The weights of norms are much alike in all blocks, so they tell little.
        for name in self.wide or self.samples:
            check_finite(self.placed[name], self.samples[name])
        return np.concatenate([self.samples[name] for name in self.wide or self.samples])

    @cached_property
    def wide(self) -> tuple[str, ...]:
        """What has rows and columns."""
        return tuple(name for name, placed in self.placed.items() if len(placed.tensor.shape) > 1)

    @property
    def quantised(self) -> str | None:
        """The quantised types that its values were read from."""
        return ", ".join(sorted({kind for placed in self.placed.values() if (kind := quantised(placed))})) or None


def read_blocks(checkpoint: Checkpoint) -> list[Block]:
    """Every block of a checkpoint, read once. The samples of blocks with equal names and shapes can be compared."""
    return [_read_block(number, tensors, len(checkpoint.blocks)) for number, tensors in checkpoint.blocks.items()]


def _read_block(number: int, tensors: Mapping[str, Placed], blocks: int) -> Block:
    values = max(32, min(_SAMPLE, _SAMPLES // blocks) // len(tensors))
    placed = dict(sorted(tensors.items()))
    reads = {name: read(tensor, values) for name, tensor in placed.items()}
    digests = {name: each.digest for name, each in reads.items()}
    return Block(number, placed, digests, {name: each.sample for name, each in reads.items()})


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
        self._groups: dict[Any, _Group] = {}

    def group(self, block: Block) -> _Group | None:
        """The base blocks that a block can be compared with; of those with the same weights the first alone."""
        if block.shapes not in self._groups:
            fitting = [own for own in self.blocks if own.shapes == block.shapes and own.packed is None]
            first = [own for own in fitting if self.twins.get(own.number, (own.number,))[0] == own.number]
            self._groups[block.shapes] = _Group(first)
        group = self._groups[block.shapes]
        return group if group.blocks else None

    def parts_of(self, block: Block) -> Counter[int]:
        """How many of its tensors are those of one base block and of no other, per base block."""
        owners = (self.owners.get(item, set()) for item in block.digests.items())
        return Counter(next(iter(numbers)) for numbers in owners if len(numbers) == 1)

    def whose_matrices(self, group: _Group, block: Block) -> Block | None:
        """The base block that has some of a block's matrices, as they are or rounded; None if several or none."""
        telling = [name for name in block.wide if np.ptp(block.samples[name]) > 0.0]  # a constant is of no block
        of_all = ([own for own in group.blocks if _same(own, block, name)] for name in telling)
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
    if not (norm := _norm(block.matrices)):
        return _open(block, "all its sampled values are zero")
    # Samples only propose, all values decide. A matrix that is one base block's, as it is or rounded, tells whose block
    # it is, however far others were moved, as merged adapters move a few. Else: does a weighted sum come far nearer
    # than any base block alone? Then every value must bear it out. Else it is the nearest block, provided that the next
    # one is much further away: training moves weights by far less than two blocks lie apart.
    if (source := base.whose_matrices(group, block)) is not None:
        return _from_one(source, block, base.twins.get(source.number, ()))
    fit = _Fit(group, block, norm)
    if (parts := fit.merged()) is not None:
        origin = _confirmed_merge({source.number: source for source in group.blocks}, block, parts)
        if origin is not None:
            return origin
    nearest, apart, further = fit.nearest()
    if apart > _DECIDED * further:
        return _open(
            block,
            f"base block {nearest.number} is the nearest, and hardly nearer than the next: {apart:.3g} of its own norm "
            f"away, against {further:.3g}",
        )
    return _from_one(nearest, block, base.twins.get(nearest.number, ()))


def _same(source: Block, block: Block, name: str) -> bool:
    """Whether a tensor's sample is that of the base's tensor, as it is or rounded."""
    ours, theirs, kind = block.samples[name], source.samples[name], block.placed[name].tensor.kind
    kinds = dict.fromkeys((kind if kind in FLOATS else "F32", "BF16", "F16"))
    return any(np.array_equal(rounded(theirs[:_FIRST], each), ours[:_FIRST]) for each in kinds) and any(
        np.array_equal(rounded(theirs, each), ours) for each in kinds
    )


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


class _Group:
    """Base blocks of equal names and shapes, with the samples of their matrices as rows, and these rows' products."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        if blocks:
            self.rows = np.stack([block.matrices for block in blocks]).astype(np.float64)
            self.products = self.rows @ self.rows.T
            self.norms = np.sqrt(np.diag(self.products))


class _Fit:
    """Least squares of a block on base blocks, on the samples of their matrices."""

    def __init__(self, group: _Group, block: Block, norm: float) -> None:
        self.group, self.norm = group, norm
        self.values = block.matrices.astype(np.float64)
        self.apart = np.array([_norm(self.values - row) for row in group.rows])

    def nearest(self) -> tuple[Block, float, float]:
        """The nearest base block; its distance and that of the next one, each over the base block's own norm."""
        apart = self.apart / np.where(self.group.norms > 0.0, self.group.norms, 1.0)
        order = np.argsort(apart, kind="stable")
        further = float(apart[order[1]]) if len(order) > 1 else 2.0  # nothing else to take it for
        return self.group.blocks[order[0]], float(apart[order[0]]), further

    def merged(self) -> Parts | None:
        """The weighted sum that comes near the block; None where one base block alone, unscaled, does as well."""
        # A fit on all base blocks gives every one of them some weight. Those whose share chance alone could give are
        # dropped, the others fitted again; the sum has to halve what the nearest block leaves. Last, each weight is
        # written as plainly as fits as well: 0.5 for 0.4999.
        every = self._solve(range(len(self.group.blocks)))
        left = self._left(every)
        # Fitting noise of this size gives each base block about left / sqrt(values), by chance.
        least = max(_SMALLEST, 20.0 * left / sqrt(len(self.values)))
        chosen = [
            number for number, weight in every.items() if abs(weight) * self.group.norms[number] >= least * self.norm
        ]
        if not 0 < len(chosen) <= _MOST_PARTS:
            return None
        weights = self._solve(chosen)
        left, alone = self._left(weights), float(self.apart.min()) / self.norm
        if left > _DECIDED * alone or left > _DECIDED:
            return None
        for number, weight in list(weights.items()):
            written = (weights | {number: form(weight)} for form in _FORMS)
            weights = next((plain for plain in written if self._left(plain) <= 1.02 * left + _SCALAR), weights)
        return tuple((self.group.blocks[number].number, weight) for number, weight in sorted(weights.items()))

    def _solve(self, chosen: Sequence[int]) -> dict[int, float]:
        """The weights of the chosen base blocks; by the normal equations, and once more on what they leave."""
        # The products of n blocks are taken once, so that a fit costs n³ and not n² times the values. They square the
        # condition of the problem; the second pass wins back the digits that this loses.
        index = np.array(chosen)
        products = self.group.products[np.ix_(index, index)]
        weights, left = np.zeros(len(index)), self.values
        for _ in range(2):
            weights = weights + np.linalg.lstsq(products, self.group.rows[index] @ left, rcond=1e-12)[0]
            left = self.values - weights @ self.group.rows[index]
        return dict(zip(chosen, weights.tolist(), strict=True))

    def _left(self, weights: Mapping[int, float]) -> float:
        """Norm of what a weighted sum leaves of the block, over the block's."""
        index, shares = np.array(list(weights)), np.array(list(weights.values()))
        return _norm(self.values - shares @ self.group.rows[index]) / self.norm


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


# Weights as somebody would have written them: fractions of small numbers, then more and more digits.
_FORMS: tuple[Callable[[float], float], ...] = (
    lambda weight: float(Fraction(weight).limit_denominator(16)),
    lambda weight: round(weight, 4),
    lambda weight: round(weight, 6),
)


def _norm(values: Array) -> float:
    return float(np.linalg.norm(values.astype(np.float64, copy=False)))
