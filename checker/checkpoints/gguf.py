"""Reads the headers of GGUF files: metadata, and names, types and shapes of tensors, never their values.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Files may be hostile: every count and length is held
against the bytes that are there before anything is read or allocated.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from checker.checkpoints.tensors import DIMENSIONS_LIMIT, NAME_LIMIT, TENSORS_LIMIT, Placed, Tensor, check_apart
from checker.core.errors import refuse_file, refuse_unreadable
from checker.core.files import opened

# GGML type number -> name, elements per packed group, bytes per packed group.
GGML_TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip


@dataclass(frozen=True)
class GgufArray:
    """An array in GGUF metadata, of which only the length is kept."""

    length: int


@dataclass(frozen=True)
class GgufHeader:
    """What stands before the weights of a GGUF file.

    ``tokenizer_digest`` is the sha256 over the bytes (key, type and value, as stored) of every metadata entry whose
    key starts with ``tokenizer.``, in the order of the keys.
    """

    metadata: Mapping[str, str | int | float | bool | GgufArray]
    placed: tuple[Placed, ...]
    tokenizer_digest: str

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(placed.tensor for placed in self.placed)


_ENTRIES_LIMIT = 65_536
_ARRAY_LIMIT = 100_000_000
_WALK_LIMIT = 4_000_000  # strings and nested arrays of the whole header: what has to be stepped over one by one
_STRING_LIMIT = 16_777_216  # bytes; the longest are chat templates
_STRINGS_LIMIT = 268_435_456  # bytes of all strings that are kept
_NESTING_LIMIT = 2
_STRING, _ARRAY = 8, 9
# Metadata type number -> struct format of a scalar.
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_LENGTH = struct.Struct("<Q")


def read_gguf(path: Path) -> GgufHeader:
    """Metadata and tensors of a GGUF file, version 2 or 3, little-endian.

    CannotRun names the file and what is wrong: another format or version, counts and lengths that the file cannot
    hold, an unknown type, tensors outside the file.
    """
    try:
        with opened(path) as file:
            if os.fstat(file.fileno()).st_size == 0:  # which cannot be mapped
                refuse_file(path, "an empty file", "a GGUF file")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _GgufWalk(path, data).header()
    except OSError as error:
        refuse_unreadable(path, error)


class _GgufWalk:
    """Walks a header from its first byte; ``position`` is where the next value starts."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.size, self.position = path, data, len(data), 0
        self.steps, self.letters = _WALK_LIMIT, _STRINGS_LIMIT

    def header(self) -> GgufHeader:
        if self.data[:4] != b"GGUF":
            refuse_file(self.path, f"a file that starts with {self.data[:4]!r}", "b'GGUF'", "name a GGUF file")
        self.position = 4
        version = self.number("<I")
        if version not in (2, 3):
            refuse_file(self.path, f"GGUF version {version}", "2 or 3, little-endian", "convert the file again")
        tensors = self.count("tensors", 24, TENSORS_LIMIT)
        entries = self.count("metadata entries", 13, _ENTRIES_LIMIT)
        metadata, digest = self.entries(entries)
        placed = self.tensors(tensors, metadata.get("general.alignment", 32))
        return GgufHeader(metadata, placed, digest)

    def number(self, form: str) -> Any:
        end = self.position + struct.calcsize(form)
        if end > self.size:
            refuse_file(self.path, f"the end of the file at byte {self.size}", "more of its header")
        (value,) = struct.unpack_from(form, self.data, self.position)
        self.position = end
        return value

    def count(self, what: str, smallest: int, limit: int) -> int:
        """A count of things, each of which takes at least ``smallest`` bytes of what is left of the file."""
        value = int(self.number("<Q"))
        if value > limit or value * smallest > self.size - self.position:
            most = f"at most {limit}, and no more than the file's {self.size} bytes can hold"
            refuse_file(self.path, f"a count of {value} {what}", most)
        return value

    def text(self, what: str, limit: int = _STRING_LIMIT) -> str:
        length = self.count(f"bytes in {what}", 1, min(limit, self.letters))
        self.letters -= length
        start, self.position = self.position, self.position + length
        # Values may be cut inside a character; a replaced character changes no fact, and names stay distinct by bytes.
        return self.data[start : self.position].decode("utf-8", errors="backslashreplace")

    def entries(self, count: int) -> tuple[dict[str, str | int | float | bool | GgufArray], str]:
        metadata: dict[str, str | int | float | bool | GgufArray] = {}
        spans: dict[str, tuple[int, int]] = {}
        for _ in range(count):
            start = self.position
            key = self.text("a metadata key", 65_535)
            if key in metadata:
                refuse_file(self.path, f"metadata key {key!r} twice", "each key once")
            metadata[key] = self.value(key, self.number("<I"))
            if key.startswith("tokenizer."):
                spans[key] = start, self.position
        digest = hashlib.sha256()
        with memoryview(self.data) as view:  # without a copy, for vocabularies are long
            for key in sorted(spans):
                with view[slice(*spans[key])] as span:
                    digest.update(span)
        return metadata, digest.hexdigest()

    def value(self, key: str, kind: int, depth: int = 0) -> str | int | float | bool | GgufArray:
        if kind in _SCALARS:
            scalar: int | float | bool = self.number(_SCALARS[kind])
            return scalar
        if kind == _STRING:
            return self.text(f"the value of {key!r}")
        if kind != _ARRAY or depth == _NESTING_LIMIT:
            known = f"a type from 0 to 12, in at most {_NESTING_LIMIT} arrays"
            refuse_file(self.path, f"metadata {key!r} of type {kind} at depth {depth}", known)
        return self.array(key, depth + 1)

    def array(self, key: str, depth: int) -> GgufArray:
        kind = self.number("<I")
        width = struct.calcsize(_SCALARS[kind]) if kind in _SCALARS else 8
        length = self.count(f"elements in {key!r}", width, _ARRAY_LIMIT if kind in _SCALARS else self.steps)
        if kind in _SCALARS:
            self.position += length * width
            return GgufArray(length)
        self.steps -= length
        if kind == _STRING:
            self.skip_strings(key, length)
        else:
            for _ in range(length):
                self.value(key, kind, depth)
        return GgufArray(length)

    def skip_strings(self, key: str, count: int) -> None:
        # The one long loop: vocabularies hold some hundred thousand strings, so nothing but lengths is read.
        data, position, last, unpack = self.data, self.position, self.size - 8, _LENGTH.unpack_from
        for number in range(count):
            if position > last:
                where = f"string {number} of {key!r}"
                refuse_file(self.path, f"{where} beyond the file's end", f"{count} strings inside it")
            position += 8 + unpack(data, position)[0]
        if position > self.size:
            refuse_file(self.path, f"the last string of {key!r} beyond the file's end", f"{count} strings inside it")
        self.position = position

    def tensors(self, count: int, alignment: object) -> tuple[Placed, ...]:
        if type(alignment) is not int or not 0 < alignment <= 2**20:
            refuse_file(self.path, f"general.alignment {alignment!r}", "a whole number from 1 to 1048576")
        by_name: dict[str, Placed] = {}
        for _ in range(count):
            placed = self.tensor()
            if placed.tensor.name in by_name:
                refuse_file(self.path, f"tensor {placed.tensor.name!r} twice", "each tensor once")
            by_name[placed.tensor.name] = placed
        check_apart(self.path, by_name.values())
        start = -(-self.position // alignment) * alignment
        available = self.size - start
        for name, placed in by_name.items():
            if placed.end > available:
                place = f"tensor {name!r} at bytes {placed.start} to {placed.end} of the data"
                refuse_file(self.path, place, f"it to lie inside the {max(available, 0)} bytes of data")
        return tuple(replace(each, start=start + each.start, end=start + each.end) for each in by_name.values())

    def tensor(self) -> Placed:
        """One tensor; its place is in the file's data, which start after the header."""
        name = self.text("a tensor's name", NAME_LIMIT)
        dimensions = self.number("<I")
        if dimensions > DIMENSIONS_LIMIT:
            refuse_file(self.path, f"tensor {name!r} with {dimensions} dimensions", f"at most {DIMENSIONS_LIMIT}")
        shape = tuple(int(self.number("<Q")) for _ in range(dimensions))[::-1]  # the file has the fastest first
        number, offset = self.number("<I"), self.number("<Q")
        if number not in GGML_TYPES:
            remedy = "convert the file to another quantisation, or fetch it again"
            refuse_file(self.path, f"tensor {name!r} of GGML type {number}", "a type this version knows", remedy)
        kind, group, group_bytes = GGML_TYPES[number]
        tensor = Tensor(name, kind, shape)
        if tensor.elements % group:
            refuse_file(
                self.path, f"tensor {name!r} of shape {list(shape)}", f"a multiple of {group} elements for {kind}"
            )
        return Placed(tensor, self.path, offset, offset + tensor.elements // group * group_bytes)
