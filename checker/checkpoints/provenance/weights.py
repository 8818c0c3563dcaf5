"""The tensors of a checkpoint's files: digests, samples and values, read in pieces with numpy alone.

Files are read, not mapped: one that is cut off meanwhile is then an error, where a mapping would end the process. What
is held in memory is one piece of a tensor, whatever the size of the tensor.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from checker.checkpoints.config import announced
from checker.checkpoints.files import Files, locate
from checker.checkpoints.model_facts import placed_tensors
from checker.checkpoints.model_facts import settings as settings_of
from checker.checkpoints.provenance import grids
from checker.checkpoints.tensors import FLOATS, Placed, Tensor, stacks
from checker.core.canonical import read_json
from checker.core.errors import CannotRun
from checker.core.records import ModelSource

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

# Half the distance between 1 and the next larger value of a type, and its smallest value above 0.
ROUNDING: Mapping[str, tuple[float, float]] = {
    "F64": (2.0**-53, 5e-324), "F32": (2.0**-24, 2.0**-149), "F16": (2.0**-11, 2.0**-24), "BF16": (2.0**-8, 2.0**-133),
}  # fmt: skip

READABLE = FLOATS | grids.KINDS  # types whose values are known here

_STORED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_PIECE = 1 << 20  # elements, or bytes where the elements of a type are not known here
_LARGEST_STACK = 2000  # blocks; the deepest models that are published have some 130
_NUMBER = re.compile(r"0|[1-9][0-9]{0,5}")  # one way of writing each, so that no two tensors have one name
_FETCH = "fetch the checkpoint again"


@dataclass(frozen=True)
class Checkpoint:
    """A folder of safetensors, or a GGUF file: configuration, block stack and the tensors outside, none of them read.

    ``blocks`` holds, per block number, the tensors by the rest of their names. ``root`` is what names start with before
    the last part of the stack's own, so that ``model.layers.0.x`` has the root ``model.``.
    """

    place: Path  # the folder or the file
    config: Mapping[str, Any]  # with what stands in text_config on top
    blocks: Mapping[int, Mapping[str, Placed]]
    outside: Mapping[str, Placed]
    prefix: str
    root: str

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def announced(self) -> int | None:
        """The number of blocks that the configuration says."""
        return announced(self.config)


@dataclass(frozen=True)
class Dequantised(Placed):
    """A tensor of values that were read from a quantised type, and how far rounding to its grid may have moved each."""

    kind: str  # the quantised type
    reach: Placed  # of the same shape, as ``grids.Grid.reach`` has it; 0 or less where nothing was rounded


def files_of(path: Path) -> Files:
    """The files of a checkpoint in a folder or of a GGUF file; CannotRun where there is none."""
    if path.suffix.lower() == ".gguf" and not path.is_dir():
        return locate(ModelSource("gguf", path=str(path)))
    if not path.is_dir():
        expected = "one with config.json and safetensors, or a GGUF file"
        raise CannotRun.at(path, "no such folder", expected, "check the path")
    return locate(ModelSource("directory", path=str(path)))


def form(files: Files) -> Literal["gguf", "packed", "plain"]:
    """How weights are stored: under the names of GGUF, packed as config.json says, or as they are."""
    if files.config is None:
        return "gguf"
    return "packed" if read_json(files.config).get("quantization_config") else "plain"


def open_folder(path: Path, like: Checkpoint | None = None) -> Checkpoint:
    """The checkpoint in a folder or a GGUF file, from headers; ``like`` is the one it was made from.

    CannotRun where files are missing or damaged, or where no tensors are numbered as blocks are.
    """
    return of_files(files_of(path), like)


def of_files(files: Files, like: Checkpoint | None = None, stack: str | None = None) -> Checkpoint:
    """As ``open_folder``, of files that were found already; ``stack`` is the block stack's name where it is known."""
    config = settings_of(files)
    parameters = [placed for placed in placed_tensors(files) if not placed.tensor.constant]
    prefix = _prefix(files, [placed.tensor for placed in parameters], config, like, stack)
    blocks: dict[int, dict[str, Placed]] = {}
    outside = {}
    for placed in parameters:
        name = placed.tensor.name
        number, _, rest = name.removeprefix(f"{prefix}.").partition(".")
        if name.startswith(f"{prefix}.") and _NUMBER.fullmatch(number) and rest:
            blocks.setdefault(int(number), {})[rest] = placed
        else:
            outside[name] = placed
    if len(blocks) > _LARGEST_STACK:
        raise CannotRun.at(_place(files), f"{len(blocks)} blocks", f"at most {_LARGEST_STACK}", _FETCH)
    root = prefix[: prefix.rfind(".") + 1]
    return Checkpoint(_place(files), config, dict(sorted(blocks.items())), outside, prefix, root)


def _place(files: Files) -> Path:
    return files.folder if files.config is not None else files.weights[0]


def _prefix(
    files: Files, tensors: Sequence[Tensor], config: Mapping[str, Any], like: Checkpoint | None, stack: str | None
) -> str:
    """What the names of the block stack's tensors start with.

    That of the checkpoint it was made from; else the stack whose tensors are called as there; else the one as deep as
    the configuration says, and of several the one that holds most parameters.
    """
    by_prefix = stacks(tensors)
    if not by_prefix:
        raise CannotRun.at(_place(files), "no numbered blocks", "a stack of them", _FETCH)
    if like is not None and like.prefix in by_prefix:
        return like.prefix
    rests = {rest for block in like.blocks.values() for rest in block} if like is not None else set()
    depth, parts = announced(config), set((stack or "").split("."))

    def fit(prefix: str) -> tuple[int, bool, int, int]:
        numbers = by_prefix[prefix]
        shared = len(rests & {tensor.name for block in numbers.values() for tensor in block})
        size = sum(tensor.elements for block in numbers.values() for tensor in block)
        return shared, len(numbers) == depth, len(parts & set(prefix.split("."))), size

    return max(sorted(by_prefix), key=fit)


def pieces(placed: Placed) -> Generator[Array, None, None]:
    """The tensor's elements as they are stored, in order, a million at a time. Bytes where the type is no float.

    Of quantised types that are known here, the bytes of whole groups that hold a million. CannotRun where the file ends
    before the tensor does.
    """
    kind = placed.tensor.kind
    stored = np.dtype(_STORED.get(kind, "u1"))
    most = _PIECE
    if kind in grids.KINDS:
        elements, size = grids.group(kind)
        most = max(1, _PIECE // elements) * size
    left = placed.end - placed.start
    with placed.path.open("rb", buffering=0) as file:
        file.seek(placed.start)
        while left:
            size = min(left, most * stored.itemsize)
            piece = np.empty(size // stored.itemsize, stored)
            _fill(file, piece.view(np.uint8).data, placed)
            yield piece
            left -= size


def _fill(file: Any, into: memoryview, placed: Placed) -> None:
    done = 0
    while done < len(into):
        read = file.readinto(into[done:])
        if not read:
            place = f"its end inside of tensor {placed.tensor.name!r}"
            raise CannotRun.at(placed.path, place, "the bytes that its header announces", _FETCH)
        done += read


def widened(piece: Array, kind: str) -> Array:
    """Stored elements as float32, which holds all values of the smaller types; F64 as float64."""
    if kind in grids.KINDS:
        return grids.grid(piece, kind).values
    if kind == "BF16":
        return (piece.astype(np.uint32) << 16).view(np.float32)
    return piece.astype(np.float64 if kind == "F64" else np.float32, copy=False)


def rounded(values: Array, kind: str) -> Array:
    """Values rounded to a type of floats, to the nearest, to even where two are as near; as float32, F64 as float64."""
    if kind == "F64":
        return values.astype(np.float64, copy=False)
    with np.errstate(over="ignore"):  # what is too large for a type becomes infinite there
        if kind == "F16":
            return values.astype(np.float16).astype(np.float32)
        narrow = values.astype(np.float32, copy=False)
    if kind == "F32":
        return narrow
    bits = narrow.view(np.uint32)
    up = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return np.where(np.isnan(narrow), narrow, ((bits + up) & np.uint32(0xFFFF0000)).view(np.float32))


@dataclass(frozen=True)
class Read:
    """What one pass over a tensor gives: sha256 over its type, shape and bytes, and values at even steps (float32).

    The places of the sample depend on the number of elements alone, so that samples of tensors of one shape can be
    compared. It is empty where the type's values are not known.
    """

    digest: str
    sample: Array


def read(placed: Placed, most: int) -> Read:
    """Digest and a sample of at most ``most`` values, in one pass."""
    tensor = placed.tensor
    total = hashlib.sha256(f"{tensor.kind} {list(tensor.shape)} ".encode())
    step = max(1, -(-tensor.elements // max(1, most))) | 1  # odd, so that it does not keep to one column
    sampled, first = [np.empty(0, np.float32)], 0
    for piece in pieces(placed):
        total.update(piece.view(np.uint8).data)
        if tensor.kind in READABLE:
            # Of floats what is sampled alone is widened; groups are read whole.
            values, kind = (widened(piece, tensor.kind), "F32") if tensor.kind in grids.KINDS else (piece, tensor.kind)
            sampled.append(widened(values[first::step], kind).astype(np.float32))
            first = (first - len(values)) % step
    return Read(total.hexdigest(), np.concatenate(sampled))


def check_finite(placed: Placed, values: Array) -> None:
    """CannotRun where a value is not a finite number."""
    if not np.isfinite(values).all():
        wrong = f"a value in tensor {placed.tensor.name!r} that is not a finite number"
        raise CannotRun.at(placed.path, wrong, "finite ones, for no others can be compared", _FETCH)


@dataclass(frozen=True)
class Difference:
    """How a tensor differs from a weighted sum of tensors of the same shape."""

    squares: float  # of the differences, summed
    reference: float  # of the weighted sum's own values
    through: str | None  # the type to which rounding the one reference gives this tensor, value for value
    exact: bool  # no value farther away than rounding the terms, their sum and the result explains
    within: bool = False  # of a quantised tensor: no value farther away than rounding to its grid explains


def compare(placed: Placed, parts: Sequence[tuple[Placed, float]]) -> Difference:
    """The tensor against the weighted sum of ``parts``, all of one shape and of types in READABLE; in one pass."""
    kind, kinds = placed.tensor.kind, [part.tensor.kind for part, _ in parts]
    plain = [name if name in FLOATS else "F32" for name in (kind, *kinds)]
    alone = len(parts) == 1 and parts[0][1] == 1.0
    through = [name for name in dict.fromkeys((plain[0], "BF16", "F16")) if alone]
    unit = max(ROUNDING[name][0] for name in plain) * (len(parts) + 1)
    tiny = max(ROUNDING[name][1] for name in plain) * (len(parts) + 1)
    squares, reference, exact, within = 0.0, 0.0, True, quantised(placed) is not None
    tensors = (placed, *(part for part, _ in parts))
    with ExitStack() as opened:
        streams = [opened.enter_context(closing(pieces(tensor))) for tensor in tensors]
        reaches = opened.enter_context(closing(_reaches(placed)))
        for stored in zip(*streams, strict=True):
            values = widened(stored[0], kind)
            terms = [widened(piece, name) for piece, name in zip(stored[1:], kinds, strict=True)]
            for tensor, piece in zip(tensors, (values, *terms), strict=True):
                check_finite(tensor, piece)
            through = [name for name in through if np.array_equal(rounded(terms[0], name), values)]
            total = terms[0] if alone else _sum(terms, [weight for _, weight in parts])
            apart = values - total
            squares += _dot(apart)
            reference += _dot(total)
            if exact and not alone:
                size = _sum([np.abs(term) for term in terms], [abs(weight) for _, weight in parts])
                exact = bool((np.abs(apart) <= unit * size + tiny).all())
            within = within and bool((np.abs(apart) <= _slack(next(reaches), total)).all())
    return Difference(squares, reference, through[0] if through else None, exact and not alone, within)


def quantised(placed: Placed) -> str | None:
    """The quantised type that a tensor's values were read from; None where it holds them as they are."""
    if isinstance(placed, Dequantised):
        return placed.kind
    return placed.tensor.kind if placed.tensor.kind in grids.KINDS else None


def _reaches(placed: Placed) -> Generator[Array, None, None]:
    """How far rounding to its grid may have moved a tensor's values, in the pieces of ``pieces``."""
    kind = placed.tensor.kind
    if isinstance(placed, Dequantised):
        yield from pieces(placed.reach)
    elif kind in grids.KINDS:
        for piece in pieces(placed):
            yield grids.grid(piece, kind).reach


def _slack(reach: Array, values: Array) -> Array:
    """With what values may have lost before they were quantised, in a type on the way there: BF16 at the coarsest."""
    coarsest, (_, smallest) = ROUNDING["BF16"][0], ROUNDING["F16"]
    return np.where(reach > 0.0, reach + coarsest * np.abs(values) + smallest, 0.0)


def _sum(terms: Sequence[Array], weights: Sequence[float]) -> Array:
    total = np.zeros(len(terms[0]), np.float64)
    for term, weight in zip(terms, weights, strict=True):
        total += weight * term.astype(np.float64)
    return total


def _dot(values: Array) -> float:
    """The sum of squares, added up in double precision whatever the values' own."""
    return float(np.einsum("i,i->", values, values, dtype=np.float64))
