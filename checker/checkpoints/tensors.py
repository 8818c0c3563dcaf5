"""What headers say of tensors, whatever the format of the file: names, types, shapes and places; never their values."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from checker.core.errors import refuse_file

FLOATS = frozenset({"F64", "F32", "F16", "BF16"})  # types that hold a weight as it is

NAME_LIMIT = 1024  # bytes of a tensor's name
DIMENSIONS_LIMIT = 16
TENSORS_LIMIT = 1_000_000
_NUMBER = re.compile(r"[0-9]{1,6}")
_CONSTANTS = ("inv_freq", "masked_bias", "rope_freqs", "rope_factors_long", "rope_factors_short")


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file: name, element type (``BF16``, ``Q4_1`` …) and shape, slowest dimension first."""

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def constant(self) -> bool:
        """Whether it is no parameter but a causal mask or a rotary table, which some files carry along."""
        mask = len(self.shape) == 4 and self.shape[:2] == (1, 1) and self.shape[2] == self.shape[3]
        return mask or self.name.removesuffix(".weight").endswith(_CONSTANTS)


@dataclass(frozen=True)
class Placed:
    """A tensor and its bytes in a file: the offset of the first one, and the one after the last."""

    tensor: Tensor
    path: Path
    start: int
    end: int


def stacks(tensors: Iterable[Tensor]) -> dict[str, dict[int, list[Tensor]]]:
    """Prefix -> number -> the tensors called ``<prefix>.<number>.<rest>``, with only ``<rest>`` left as their names.

    The first number in a name counts; later ones number experts and the like.
    """
    numbered: dict[str, dict[int, list[Tensor]]] = defaultdict(lambda: defaultdict(list))
    for tensor in tensors:
        parts = tensor.name.split(".")
        place = next((place for place, part in enumerate(parts[:-1]) if _NUMBER.fullmatch(part)), None)
        if place is not None:
            rest = replace(tensor, name=".".join(parts[place + 1 :]))
            numbered[".".join(parts[:place])][int(parts[place])].append(rest)
    return numbered


def check_apart(path: Path, placed: Iterable[Placed]) -> None:
    """No two tensors share a byte: a small file would otherwise stand for any amount of memory."""
    spans = sorted((each.start, each.end, each.tensor.name) for each in placed if each.end > each.start)
    for (_, end, name), (start, _, following) in pairwise(spans):
        if start < end:
            shared = f"tensor {name!r} and tensor {following!r} in the same bytes"
            refuse_file(path, shared, "each tensor in bytes of its own")
