"""Model and checkpoint so that their weights can be compared: where they are not, as values in a scratch folder.

Two folders of floats, and two GGUF files, are read as they are. A GGUF file names and arranges tensors otherwise than a
folder, so it is loaded through transformers, one model after the other, and written as float32; and once more with how
far rounding may have moved each value in the place of the value, so that every one of these stands where its value
does. A folder may hold weights of eight bits beside their scales, which are multiplied here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from checker.checkpoints.config import COUNTS, KINDS
from checker.checkpoints.files import Files
from checker.checkpoints.model_facts import placed_tensors
from checker.checkpoints.provenance import grids
from checker.checkpoints.provenance.weights import READABLE, Checkpoint, Dequantised, form, of_files
from checker.checkpoints.tensors import Placed
from checker.core.errors import CannotRun
from checker.core.files import scratch
from checker.measure.cut_checkpoint import clear_quantiser
from checker.measure.models import load_model
from checker.measure.quiet import quiet
from checker.measure.unpacked import unpacked

_BYTES = 4  # of a value in float32
_WIDTHS = ("hidden_size", "n_embd", "d_model", "vocab_size")


Opened = Callable[[Files], AbstractContextManager[tuple[Checkpoint, Checkpoint]]]


@contextmanager
def comparing(base: Files, stack: str | None = None) -> Iterator[Opened]:
    """Gives what opens the model and a checkpoint of it, in forms that provenance can compare.

    The model is made comparable once for all checkpoints that need it. What is given raises CannotRun where files are
    damaged, do not load or hold types whose values are not known, or where the disk is too small.
    """
    made: dict[bool, Checkpoint] = {}
    with ExitStack() as kept:

        @contextmanager
        def opened(checkpoint: Files) -> Iterator[tuple[Checkpoint, Checkpoint]]:
            stored = form(base) == form(checkpoint)
            if stored not in made:
                made[stored] = kept.enter_context(_opened(base, None, stack, stored=stored))
            source = made[stored]
            with _opened(checkpoint, source, stack, stored=stored) as found, _said_of(source), _said_of(found):
                yield source, found

        yield opened


@contextmanager
def _opened(files: Files, like: Checkpoint | None, stack: str | None, *, stored: bool) -> Iterator[Checkpoint]:
    """A model as it is stored, or where that is not asked for, as values; ``like`` is the one it was made from."""
    if stored or form(files) == "plain":
        yield of_files(files, like, stack)
        return
    place = files.weights[0] if files.config is None else files.folder
    with scratch() as folder:
        _check_readable(files)
        _check_space(files, folder)
        found = _written(files, folder, like, stack)
        yield replace(found, place=place, config=found.config if files.config is not None else _sizes(found))


@contextmanager
def _said_of(checkpoint: Checkpoint) -> Iterator[None]:
    """What goes wrong with values in a scratch folder is said of the files that they are of."""
    try:
        yield
    except CannotRun as error:
        path = next(iter(next(iter(checkpoint.blocks.values())).values())).path
        if path.is_relative_to(checkpoint.place):
            raise
        raise CannotRun(str(error).replace(str(path), str(checkpoint.place))) from error


def _sizes(checkpoint: Checkpoint) -> dict[str, Any]:
    """Of the configuration that a library makes of a GGUF header, what says how large the model is.

    The rest are its defaults, or what the format has no place for.
    """
    return {name: checkpoint.config[name] for name in (*COUNTS, *KINDS, *_WIDTHS) if name in checkpoint.config}


def _check_readable(files: Files) -> None:
    unknown = sorted({placed.tensor.kind for placed in placed_tensors(files)} - READABLE)
    if files.config is None and unknown:
        raise CannotRun.at(
            files.weights[0],
            f"tensors stored as {unknown[0]}",
            f"a type whose grid is known here ({', '.join(sorted(READABLE))})",
            "name a file of another quantisation",
        )


def _check_space(files: Files, folder: Path) -> None:
    elements = sum(placed.tensor.elements for placed in placed_tensors(files))
    needed = elements * _BYTES * 2  # values, and how far rounding moved them
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise CannotRun.at(
            folder,
            f"{free / 1e9:.3g} GB free",
            f"{needed / 1e9:.3g} GB, to hold the de-quantised weights of {files.weights[0].name}",
            "free some, or set TMPDIR to a larger disk",
        )


def _written(files: Files, folder: Path, like: Checkpoint | None, stack: str | None) -> Checkpoint:
    written = _of_gguf if files.config is None else _of_folder
    kind, saved, reaching = written(files, folder, reached=like is not None)
    values = of_files(saved, like, stack)
    if reaching is None or kind is None:
        return values
    reaches = {placed.tensor.name: placed for placed in placed_tensors(reaching)}

    def with_reach(placed: Placed) -> Placed:
        reach = reaches[placed.tensor.name]
        return Dequantised(placed.tensor, placed.path, placed.start, placed.end, kind, reach)

    return replace(
        values,
        blocks={
            number: {name: with_reach(placed) for name, placed in block.items()}
            for number, block in values.blocks.items()
        },
        outside={name: with_reach(placed) for name, placed in values.outside.items()},
    )


# The stored type, and files of the values and of how far rounding may have moved them, where that was asked for.
_Written = tuple[str | None, Files, Files | None]


def _of_folder(files: Files, folder: Path, *, reached: bool) -> _Written:
    values, reaches, kind = unpacked(files)
    whole = _in_folder(values, folder / "values", files)
    del values
    return kind or None, whole, _in_folder(reaches, folder / "reaches", files) if reached else None


def _in_folder(tensors: dict[str, torch.Tensor], folder: Path, files: Files) -> Files:
    assert files.config is not None
    folder.mkdir()
    shutil.copyfile(files.config, folder / "config.json")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    return _files(folder)


def _of_gguf(files: Files, folder: Path, *, reached: bool) -> _Written:
    values, kind = _saved(files, folder / "values"), _main_kind(files)
    if not reached:  # only what rounding did to a checkpoint is asked about
        return kind, values, None
    with _reaches_for_values() as asked:
        reaches = _saved(files, folder / "reaches")
    if not asked:
        raise CannotRun.at(
            files.weights[0],
            "a version of transformers that reads quantised values in another way",
            "one that takes them from the package gguf",
            "use the version that pruneaudit names",
        )
    return kind, values, reaches


def _main_kind(files: Files) -> str | None:
    """The quantised type that holds most of a file's parameters."""
    sizes: dict[str, int] = {}
    for placed in placed_tensors(files):
        kind = placed.tensor.kind
        sizes[kind] = sizes.get(kind, 0) + placed.tensor.elements
    return max((kind for kind in sizes if kind in grids.KINDS), key=sizes.__getitem__, default=None)


def _saved(files: Files, folder: Path) -> Files:
    """The weights as float32 in a folder of one file, with what a configuration says of their sizes."""
    model = load_model(files, "float32", torch.device("cpu"))
    clear_quantiser(model)
    with quiet():
        model.save_pretrained(folder, max_shard_size="1000GB")  # type: ignore[operator]
    return _files(folder)


def _files(folder: Path) -> Files:
    return Files("directory", folder, folder / "config.json", (folder / "model.safetensors",), ())


@contextmanager
def _reaches_for_values() -> Iterator[list[str]]:
    """While it lasts, what the library de-quantises is how far rounding may have moved a value, and not the value.

    The list names the types that were asked for.
    """
    import gguf

    asked: list[str] = []
    whole: Callable[..., Any] = gguf.dequantize

    def reach(stored: Any, kind: Any) -> Any:
        asked.append(kind.name)
        if kind.name not in grids.KINDS:
            return np.zeros_like(whole(stored, kind))
        elements, size = grids.group(kind.name)
        shape = (*stored.shape[:-1], stored.shape[-1] // size * elements)
        return grids.grid(np.ascontiguousarray(stored).view(np.uint8), kind.name).reach.reshape(shape)

    gguf.dequantize = reach  # type: ignore[assignment]
    try:
        yield asked
    finally:
        gguf.dequantize = whole
