"""Weights of eight bits in a folder of safetensors -> values, and how far rounding may have moved each.

Three ways of storing them are known, and each multiplies what is stored with a scale that stands beside it: whole
numbers with one per row (bitsandbytes; compressed-tensors), and floats of four and three bits with one per tensor, row
or square of values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from checker.checkpoints.files import Files
from checker.checkpoints.model_facts import placed_tensors
from checker.checkpoints.tensors import FLOATS, Placed
from checker.core.canonical import read_json
from checker.core.errors import CannotRun

Tensors = dict[str, torch.Tensor]

_SCALES = ("weight_scale_inv", "weight_scale", "SCB")
_BESIDE = (*_SCALES, "weight_format", "input_scale", "weight_zero_point")
_WIDEST = 127.0  # of bitsandbytes: what the largest value of a row is stored as, while its scale is that value
_MANTISSA, _LEAST = 2.0**-4, 2.0**-10  # half a step of F8_E4M3: over a value, and of the smallest ones


def unpacked(files: Files) -> tuple[Tensors, Tensors, str]:
    """Values, and how far each may lie from what it was rounded from, in float32 by their names; and the stored type.

    CannotRun where a weight is stored in another way.
    """
    stored = {placed.tensor.name: placed for placed in placed_tensors(files)}
    values: Tensors = {}
    reaches: Tensors = {}
    kinds: set[str] = set()
    square = _settings(files).get("weight_block_size")
    for name, placed in stored.items():
        if name.rpartition(".")[2] in _BESIDE:
            continue
        if placed.tensor.kind in FLOATS:
            values[name] = _read(placed).float()
            reaches[name] = torch.zeros_like(values[name])
            continue
        beside = next((stored[each] for each in _scales(name) if each in stored), None)
        scale = None if beside is None else _spread(placed, beside, square)
        if scale is None or placed.tensor.kind not in ("I8", "F8_E4M3"):
            raise _unknown(files, placed)
        kinds.add(placed.tensor.kind)
        values[name], reaches[name] = _values(placed, scale)
    return values, reaches, ", ".join(sorted(kinds))


def _scales(name: str) -> Iterator[str]:
    """What the scale of a weight may be called."""
    module = name.removesuffix("weight")
    return (f"{module}{ending}" for ending in _SCALES)


def _settings(files: Files) -> Mapping[str, Any]:
    assert files.config is not None
    settings = read_json(files.config).get("quantization_config")
    return settings if isinstance(settings, dict) else {}


def _unknown(files: Files, placed: Placed) -> CannotRun:
    method = str(_settings(files).get("quant_method"))[:40]
    return CannotRun.at(
        placed.path,
        f"tensor {placed.tensor.name!r} stored as {placed.tensor.kind}, by the method {method}",
        "weights of eight bits with their scales, which alone are de-quantised to be held against others",
        "name the checkpoint that it was quantised from",
    )


def _values(placed: Placed, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    values = _read(placed).float() * scale
    if placed.tensor.kind == "I8":
        return values, (0.5 * scale).expand_as(values).contiguous()
    return values, _MANTISSA * values.abs() + _LEAST * scale


def _spread(placed: Placed, beside: Placed, square: Any) -> torch.Tensor | None:
    """A scale of a tensor, of its rows, or of squares of its values, so that values can be multiplied with it.

    None where it has another shape.
    """
    scale, shape = _read(beside).float(), placed.tensor.shape
    if beside.tensor.name.endswith("SCB"):
        scale = scale / _WIDEST
    if scale.numel() == 1:
        return scale.reshape(1)
    if len(shape) == 2 and scale.numel() == shape[0]:
        return scale.reshape(-1, 1)
    sizes = (
        square if isinstance(square, list) and len(square) == 2 and all(type(each) is int for each in square) else ()
    )
    if (
        not sizes
        or len(shape) != 2
        or tuple(scale.shape) != tuple(-(-n // size) for n, size in zip(shape, sizes, strict=True))
    ):
        return None
    return scale.repeat_interleave(sizes[0], 0).repeat_interleave(sizes[1], 1)[: shape[0], : shape[1]]


def _read(placed: Placed) -> torch.Tensor:
    path: Path = placed.path
    with safe_open(str(path), framework="pt") as file:
        tensor: torch.Tensor = file.get_tensor(placed.tensor.name)
    return tensor
