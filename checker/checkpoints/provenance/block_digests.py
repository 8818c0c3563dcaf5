"""Digests and norms of a checkpoint's blocks, by which steps of a training run are told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import sqrt

import numpy as np

from checker.checkpoints.files import Files
from checker.checkpoints.provenance.weights import READABLE, of_files, pieces, widened
from checker.checkpoints.tensors import Placed
from checker.core.errors import CannotRun
from checker.core.facts import StepFacts


def step_facts(files: Files, stack: str | None = None) -> StepFacts:
    """Reads all weights. CannotRun where files are damaged; two blocks have one digest where all bytes are equal."""
    checkpoint = of_files(files, stack=stack)
    blocks = [_of_tensors(tensors) for tensors in checkpoint.blocks.values()]
    around, _ = _of_tensors(checkpoint.outside)
    types = {placed.tensor.kind for tensors in checkpoint.blocks.values() for placed in tensors.values()}
    digests, norms = tuple(digest for digest, _ in blocks), tuple(norm for _, norm in blocks)
    return StepFacts(digests, around, norms, tuple(sorted(types)))


def _of_tensors(tensors: Mapping[str, Placed]) -> tuple[str, float]:
    """One digest of all tensors, names and shapes included, and the root of the sum of their values' squares."""
    hashed, squares = hashlib.sha256(), 0.0
    for name in sorted(tensors):
        placed = tensors[name]
        hashed.update(f"{name} {placed.tensor.kind} {list(placed.tensor.shape)}\n".encode())
        for piece in pieces(placed):
            hashed.update(piece.tobytes())
            if placed.tensor.kind in READABLE:
                squares += float(np.square(widened(piece, placed.tensor.kind), dtype=np.float64).sum())
    if not np.isfinite(squares):
        raise CannotRun(f"found weights that are not finite; expected finite ones in {sorted(tensors)[:1]}")
    return hashed.hexdigest(), sqrt(squares)
