"""A checkpoint's blocks, each tensor read once: digests, and samples that blocks of equal names and shapes share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from checker.checkpoints.provenance.weights import READABLE, Array, Checkpoint, check_finite, quantised, read
from checker.checkpoints.tensors import Placed

Parts = tuple[tuple[int, float], ...]  # base blocks with their weights

_SAMPLE = 1 << 16  # values of a block
_SAMPLES = 1 << 24  # values of all blocks


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
