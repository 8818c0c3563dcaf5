"""A block held against the base's by samples of matrices: the nearest, the one it goes with, the best sum of several.

Samples only propose; what they suggest is decided on all values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from math import sqrt

import numpy as np

from checker.checkpoints.provenance.blocks import Block, Parts
from checker.checkpoints.provenance.weights import Array, rounded
from checker.checkpoints.tensors import FLOATS

DECIDED = 0.5  # the nearest block is the origin where it is at most half as far away as the next
_AKIN = 0.2  # the least cosine with an origin that was moved by more than its own size
_FIRST = 64  # values of a sample that most unlike tensors differ in
_SMALLEST = 0.002  # of a part of a merge: its norm, relative to the block's
_MOST_PARTS = 8
_SCALAR = 2.0**-24  # what a merge's weight may have lost where it was held in single precision


class Group:
    """Base blocks of equal names and shapes, with the samples of their matrices as rows, and these rows' products."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self._starts: dict[str, Array] = {}
        if blocks:
            self.rows = np.stack([block.matrices for block in blocks]).astype(np.float64)
            self.products = self.rows @ self.rows.T
            self.norms = np.sqrt(np.diag(self.products))

    def holding(self, block: Block, name: str) -> list[Block]:
        """The base blocks that hold one of a block's tensors as it is, or from which it is rounded; by samples."""
        if name not in self._starts:
            self._starts[name] = np.stack([own.samples[name][:_FIRST] for own in self.blocks])
        ours, kind = block.samples[name], block.placed[name].tensor.kind
        found: dict[int, Block] = {}
        for each in dict.fromkeys((kind if kind in FLOATS else "F32", "BF16", "F16")):
            begun = (rounded(self._starts[name], each) == ours[:_FIRST]).all(axis=1)
            for own in (self.blocks[number] for number in np.flatnonzero(begun).tolist()):
                if np.array_equal(rounded(own.samples[name], each), ours):
                    found[own.number] = own
        return list(found.values())

    @cached_property
    def alike(self) -> float:
        """The largest cosine of two of them."""
        sizes = np.outer(self.norms, self.norms)
        cosines = np.abs(self.products) / np.where(sizes > 0.0, sizes, 1.0)
        np.fill_diagonal(cosines, 0.0)
        return float(cosines.max())


class Fit:
    """Least squares of a block on base blocks, on the samples of their matrices."""

    def __init__(self, group: Group, block: Block, norm: float) -> None:
        self.group, self.norm = group, norm
        self.values = block.matrices.astype(np.float64)
        self.apart = np.array([norm_of(self.values - row) for row in group.rows])

    def nearest(self) -> tuple[Block, float, float]:
        """The nearest base block; its distance and that of the next one, each over the base block's own norm."""
        apart = self.apart / np.where(self.group.norms > 0.0, self.group.norms, 1.0)
        order = np.argsort(apart, kind="stable")
        further = float(apart[order[1]]) if len(order) > 1 else 2.0  # nothing else to take it for
        return self.group.blocks[order[0]], float(apart[order[0]]), further

    def akin(self) -> Block | None:
        """The base block that it goes with, and with no other, however far it was moved; None where there is none.

        By cosines. Those of unlike blocks are chance, and what all blocks of a model have in common.
        """
        norms = self.group.norms * np.linalg.norm(self.values)
        cosines = (self.group.rows @ self.values) / np.where(norms > 0.0, norms, 1.0)
        first, second = np.argsort(-cosines, kind="stable")[:2].tolist() if len(cosines) > 1 else (0, None)
        least = max(_AKIN, 10.0 / sqrt(len(self.values)), 4.0 * self.group.alike)
        rest = 0.0 if second is None else float(cosines[second])
        return self.group.blocks[first] if cosines[first] >= least and rest <= DECIDED * cosines[first] else None

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
        if left > DECIDED * alone or left > DECIDED:
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
        return norm_of(self.values - shares @ self.group.rows[index]) / self.norm


# Weights as somebody would have written them: fractions of small numbers, then more and more digits.
_FORMS: tuple[Callable[[float], float], ...] = (
    lambda weight: float(Fraction(weight).limit_denominator(16)),
    lambda weight: round(weight, 4),
    lambda weight: round(weight, 6),
)


def norm_of(values: Array) -> float:
    return float(np.linalg.norm(values.astype(np.float64, copy=False)))
