"""Reads the headers of safetensors files: names, types and shapes of tensors, never their values.

Format: https://github.com/huggingface/safetensors (README, "Format"). Files may be hostile: every count and length is
held against the bytes that are there before anything is read or allocated.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from checker.checkpoints.tensors import DIMENSIONS_LIMIT, NAME_LIMIT, TENSORS_LIMIT, Placed, Tensor, check_apart
from checker.core.canonical import JSON_LIMIT, json_object, read_json
from checker.core.errors import refuse_file, refuse_unreadable
from checker.core.files import opened

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def read_index(path: Path) -> dict[str, str]:
    """Tensor -> shard, as a sharded checkpoint's index has it; CannotRun where it has no such map."""
    names = read_json(path).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        refuse_file(path, "no `weight_map` of tensors to files", "one")
    return names


def read_safetensors(path: Path) -> tuple[Placed, ...]:
    """The tensors of a safetensors file and their places, in the header's order, from its JSON header alone.

    CannotRun names the file and what is wrong: a header longer than the file or 100 MB, one that is not JSON, an
    unknown type, offsets outside the file or not as long as type and shape say.
    """
    try:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            prefix = file.read(8)
            if len(prefix) < 8:
                refuse_file(path, f"a file of {size} bytes", "a safetensors file, which has at least 8")
            length = int.from_bytes(prefix, "little")
            if length > JSON_LIMIT or length > size - 8:
                most = f"a header inside the file and of at most {JSON_LIMIT} bytes"
                refuse_file(path, f"a header of {length} bytes in a file of {size}", most)
            header = json_object(path, file.read(length))
    except OSError as error:
        refuse_unreadable(path, error)
    header.pop("__metadata__", None)
    if len(header) > TENSORS_LIMIT:
        refuse_file(path, f"{len(header)} tensors", f"at most {TENSORS_LIMIT}")
    placed = [_safetensor(path, name, entry, (8 + length, size)) for name, entry in header.items()]
    check_apart(path, placed)
    return tuple(placed)


def _safetensor(path: Path, name: str, entry: Any, data: tuple[int, int]) -> Placed:
    """One tensor; ``data`` is where the file's data starts and ends."""
    available = data[1] - data[0]
    if len(name) > NAME_LIMIT or not name.isprintable():
        refuse_file(path, f"a tensor called {name[:80]!r}", f"at most {NAME_LIMIT} printable characters")
    entry = entry if isinstance(entry, dict) else {}
    kind, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(kind, str) or kind not in _BITS:
        remedy = "this version of pruneaudit cannot read it; convert the weights, or fetch the file again"
        known = f"one of {', '.join(sorted(_BITS))}"
        refuse_file(path, f"tensor {name!r} of type {str(kind)[:40]!r}", known, remedy)
    if not _whole_numbers(shape) or len(shape) > DIMENSIONS_LIMIT:
        refuse_file(path, f"tensor {name!r} with shape {str(shape)[:80]}", f"at most {DIMENSIONS_LIMIT} whole numbers")
    if not _whole_numbers(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= available:
        inside = f"two offsets inside the {available} bytes of data"
        refuse_file(path, f"tensor {name!r} at offsets {str(offsets)[:80]}", inside)
    tensor = Tensor(name, kind, tuple(shape))
    size, expected = offsets[1] - offsets[0], (tensor.elements * _BITS[kind] + 7) // 8
    if size != expected:
        announced = f"{expected}, as its type {kind} and shape {list(tensor.shape)} say"
        refuse_file(path, f"tensor {name!r} in {size} bytes", announced)
    return Placed(tensor, path, data[0] + offsets[0], data[0] + offsets[1])


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 2**63 for number in value)
