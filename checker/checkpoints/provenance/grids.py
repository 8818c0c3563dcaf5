"""The quantised types of GGUF files: stored groups -> values, and how far rounding to their grids moves a value.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and ggml-common.h there. A group holds whole levels
and what makes values of them: value = step * level + offset, where steps and offsets are of the group or of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from checker.checkpoints.gguf import GGML_TYPES

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_HALF = 2.0**-11  # what rounding to F16 moves a number by, over the number
_TINY = 2.0**-24  # the smallest F16 above 0
_EIGHT_BITS = (-127, 127)
# Steps. At most 1.17 in 640,000 values of normal weights whose steps were fitted with weights of any kind; one in
# 100,000 lies farther away than one step.
_FITTED = 1.25


@dataclass(frozen=True)
class Grid:
    """The levels of some groups, and their steps and offsets; shaped (groups, parts, values of a part)."""

    levels: Array
    steps: Array
    offsets: Array
    ends: tuple[int, int]  # the lowest and the highest level that a value can have
    unit: Array | None = None  # where steps are themselves rounded to multiples of one: that, per group
    fitted: bool = False  # whether quantisers may fit step and offset to the levels, once these are taken

    @property
    def values(self) -> Array:
        """The stored values as float32, in order; of damaged steps they are not finite."""
        return self._values.astype(np.float32, copy=False).reshape(-1)

    @cached_property
    def _values(self) -> Array:
        with np.errstate(invalid="ignore", over="ignore"):
            whole: Array = self.steps * self.levels + self.offsets
        return whole

    @property
    def reach(self) -> Array:
        """How far from a stored value the one that was rounded to it may lie; in order.

        Rounding takes the nearest level, so half a step; at the two ends of the grid whatever lies beyond is taken in.
        Where the step of a group is fitted to its levels after rounding, values come to lie up to ``_FITTED`` steps
        away. Steps and offsets were rounded to F16 after levels were taken with them.
        """
        low, high = self.ends
        values = np.nan_to_num(self._values)
        steps, share = np.abs(self.steps), _FITTED if self.fitted else 0.5
        rounding = _HALF * (np.abs(values) + 2.0 * np.abs(self.offsets)) + _TINY * (high - low)
        reach = share * steps + rounding
        if self.unit is not None:  # a step below half a unit became 0, and its part of the group is one value
            reach = np.where(steps == 0.0, (high - low) * np.abs(self.unit) + rounding, reach)
        end = ((self.levels == low) | (self.levels == high)) & (steps > 0.0)
        whole: Array = np.where(end, np.inf, reach).astype(np.float32)
        return whole.reshape(-1)


def grid(stored: Array, kind: str) -> Grid:
    """The grid of whole groups of a type in KINDS, from their bytes."""
    _, _, size = _TYPES[kind]
    return _READERS[kind](stored.reshape(-1, size))


def group(kind: str) -> tuple[int, int]:
    """Elements and bytes of a group."""
    _, elements, size = _TYPES[kind]
    return elements, size


def _float(stored: Array, place: int) -> Array:
    """The F16 at a place of every group, shaped (groups, 1, 1)."""
    number: Array = np.ascontiguousarray(stored[:, place : place + 2]).view("<f2").astype(np.float32)
    return number.reshape(-1, 1, 1)


def _parted(stored: Array, bits: int, run: int) -> Array:
    """Whole numbers of some bits, of which a byte holds several: all lowest ones of a run of bytes, then the next."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8).reshape(1, 1, -1, 1)
    parted = (stored.reshape(len(stored), -1, 1, run) >> shifts) & np.uint8((1 << bits) - 1)
    return parted.reshape(len(stored), -1).astype(np.int32)


def _fifth_bits(stored: Array) -> Array:
    bits = np.ascontiguousarray(stored).view("<u4").reshape(-1, 1) >> np.arange(32, dtype=np.uint32)
    return (bits & 1).astype(np.int32)


def _plain(levels: Array, step: Array, ends: tuple[int, int], offset: Array | None = None) -> Grid:
    """A group that is one part."""
    offsets = np.zeros_like(step) if offset is None else offset
    whole = levels.astype(np.float32).reshape(len(step), 1, -1)
    return Grid(whole, step, offsets, ends, fitted=ends != _EIGHT_BITS)


def _q4_0(stored: Array) -> Grid:
    return _plain(_parted(stored[:, 2:], 4, 16) - 8, _float(stored, 0), (-8, 7))


def _q4_1(stored: Array) -> Grid:
    return _plain(_parted(stored[:, 4:], 4, 16), _float(stored, 0), (0, 15), _float(stored, 2))


def _q5_0(stored: Array) -> Grid:
    levels = _parted(stored[:, 6:], 4, 16) + 16 * _fifth_bits(stored[:, 2:6]) - 16
    return _plain(levels, _float(stored, 0), (-16, 15))


def _q5_1(stored: Array) -> Grid:
    levels = _parted(stored[:, 8:], 4, 16) + 16 * _fifth_bits(stored[:, 4:8])
    return _plain(levels, _float(stored, 0), (0, 31), _float(stored, 2))


def _q8_0(stored: Array) -> Grid:
    return _plain(stored[:, 2:].view(np.int8), _float(stored, 0), _EIGHT_BITS)


def _of_parts(levels: Array, codes: Array, unit: Array, ends: tuple[int, int], offsets: Array | None = None) -> Grid:
    """A group of parts, each with a step of so many units, and an offset."""
    parts = codes.shape[1]
    steps = unit * codes.astype(np.float32).reshape(-1, parts, 1)
    shaped = levels.astype(np.float32).reshape(-1, parts, levels.shape[1] // parts)
    return Grid(shaped, steps, np.zeros_like(steps) if offsets is None else offsets, ends, unit)


def _lowered(codes: Array, unit: Array) -> Array:
    return -(unit * codes.astype(np.float32).reshape(len(codes), -1, 1))


def _q2_k(stored: Array) -> Grid:
    codes = stored[:, :16]
    offsets = _lowered(codes >> 4, _float(stored, 82))
    return _of_parts(_parted(stored[:, 16:80], 2, 32), codes & 15, _float(stored, 80), (0, 3), offsets)


def _q3_k(stored: Array) -> Grid:
    levels = _parted(stored[:, 32:96], 2, 32) + 4 * _parted(stored[:, :32], 1, 32) - 4
    codes = _parted(stored[:, 96:104], 4, 8) + 16 * _parted(stored[:, 104:108], 2, 4) - 32
    return _of_parts(levels, codes, _float(stored, 108), (-4, 3))


def _six_bits(stored: Array) -> tuple[Array, Array]:
    """Eight codes of steps and eight of offsets, of six bits each, out of twelve bytes."""
    steps, offsets, rest = stored[:, :4], stored[:, 4:8], stored[:, 8:12]
    later = (rest & 15) | ((steps >> 6) << 4), (rest >> 4) | ((offsets >> 6) << 4)
    return np.hstack([steps & 63, later[0]]), np.hstack([offsets & 63, later[1]])


def _q4_k(stored: Array) -> Grid:
    codes, lows = _six_bits(stored[:, 4:16])
    offsets = _lowered(lows, _float(stored, 2))
    return _of_parts(_parted(stored[:, 16:144], 4, 32), codes, _float(stored, 0), (0, 15), offsets)


def _q5_k(stored: Array) -> Grid:
    codes, lows = _six_bits(stored[:, 4:16])
    levels = _parted(stored[:, 48:176], 4, 32) + 16 * _parted(stored[:, 16:48], 1, 32)
    return _of_parts(levels, codes, _float(stored, 0), (0, 31), _lowered(lows, _float(stored, 2)))


def _q6_k(stored: Array) -> Grid:
    levels = _parted(stored[:, :128], 4, 64) + 16 * _parted(stored[:, 128:192], 2, 32) - 32
    return _of_parts(levels, stored[:, 192:208].view(np.int8), _float(stored, 208), (-32, 31))


_READERS: Mapping[str, Callable[[Array], Grid]] = {
    "Q4_0": _q4_0, "Q4_1": _q4_1, "Q5_0": _q5_0, "Q5_1": _q5_1, "Q8_0": _q8_0,
    "Q2_K": _q2_k, "Q3_K": _q3_k, "Q4_K": _q4_k, "Q5_K": _q5_k, "Q6_K": _q6_k,
}  # fmt: skip
_TYPES = {name: (name, elements, size) for name, elements, size in GGML_TYPES.values()}
KINDS = frozenset(_READERS)
