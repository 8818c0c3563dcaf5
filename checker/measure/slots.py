"""What each slot of a model is, and what each block holds, from the architecture that the library builds.

Headers and lists in config.json cannot tell: what a slot is may follow from its number (a period, a default, a
formula), and blocks may share parameters that a file holds once. No weights are read: the model is built on the meta
device, from its configuration alone.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from checker.checkpoints.config import KINDS
from checker.checkpoints.digests import file_sha256
from checker.checkpoints.files import Files, locate
from checker.checkpoints.provenance.weights import files_of
from checker.core import slots as core_slots
from checker.core.canonical import digest
from checker.core.errors import CannotRun
from checker.core.facts import ModelFacts
from checker.core.layouts import Layout
from checker.core.records import ModelSource
from checker.core.slots import Comparison, Marks
from checker.measure.blocks import find_stack, text_config
from checker.measure.models import build_without_weights

# What a module calls its block's number.
NUMBER = re.compile(r"(layer|block)_?(idx|id|index|number)$|^idx$")

_ROTARY = ("rope_parameters", "rope_scaling", "rope_theta", "rope_local_base_freq", "partial_rotary_factor")
_IN_TRAINING = re.compile(r"drop|^training$")


@dataclass(frozen=True)
class Architecture:
    """A model's slots and blocks, each in order."""

    marks: tuple[Marks, ...]
    shapes: tuple[str, ...]  # digests of the blocks' names and shapes
    parameters: tuple[int, ...]  # that removing the block alone saves
    shared: tuple[tuple[tuple[int, ...], int], ...]  # blocks that hold the same parameters, and how many
    embeddings: int | None  # token ids that it embeds, where it says so


def of_files(files: Files, stack: str | None = None) -> Architecture:
    """The architecture that a model's configuration describes; CannotRun where the library builds no model of it."""
    return of_model(build_without_weights(files), stack)


def of_model(model: Any, stack: str | None = None) -> Architecture:
    """The architecture of a model, whether it has weights or not."""
    blocks = list(find_stack(model, stack))
    own, shared = _parameters(model, blocks)
    shapes = [sorted([name, list(tensor.shape)] for name, tensor in block.state_dict().items()) for block in blocks]
    return Architecture(marks_of(model, blocks), tuple(map(digest, shapes)), own, shared, _embeddings(model))


def _embeddings(model: Any) -> int | None:
    """How many token ids a model embeds; None where its own code does not say where it embeds them."""
    try:
        return int(model.get_input_embeddings().weight.shape[0])
    except (NotImplementedError, AttributeError):
        return None


def marks_of(model: nn.Module, blocks: Sequence[nn.Module]) -> tuple[Marks, ...]:
    """Per slot: what the configuration says of it, its rotary settings, and the marks of its modules."""
    settings: Mapping[str, Any] = text_config(model).to_dict()
    lists = {
        name.removesuffix("s"): value
        for name in KINDS
        if isinstance(value := settings.get(name), list | tuple) and len(value) == len(blocks)
    }
    marks = []
    for slot, block in enumerate(blocks):
        said = {name: str(value[slot]) for name, value in lists.items()}
        marks.append({**said, **dict(_rotary(settings, set(said.values()))), **dict(_of_modules(block))})
    return tuple(marks)


def _rotary(settings: Mapping[str, Any], kinds: set[str]) -> Iterator[tuple[str, str]]:
    """The settings of rotary positions; of those that stand per kind of slot, the slot's own."""
    for name in _ROTARY:
        value = settings.get(name)
        if isinstance(value, dict) and (own := next((kind for kind in value if kind in kinds), None)):
            value = value[own]
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", json.dumps(each)) for key, each in value.items())
        elif value is not None:
            yield name, str(value)


def _of_modules(block: nn.Module) -> Iterator[tuple[str, str]]:
    """The plain attributes of a block's parts, and their classes, without its number and what matters in training."""
    for path, part in block.named_modules():
        if _IN_TRAINING.search(path):
            continue
        yield f"{path}.class".lstrip("."), type(part).__name__
        for key, value in vars(part).items():
            plain = value is None or isinstance(value, bool | int | float | str)
            if plain and not key.startswith("_") and not _IN_TRAINING.search(key) and not NUMBER.search(key):
                text = f"{value:.6g}" if isinstance(value, float) else str(value)
                yield f"{path}.{key}".lstrip("."), text


def _parameters(
    model: nn.Module, blocks: Sequence[nn.Module]
) -> tuple[tuple[int, ...], tuple[tuple[tuple[int, ...], int], ...]]:
    """Per block, how many parameters it alone holds; and how many several blocks hold together, each counted once."""
    holders: dict[int, set[int]] = defaultdict(set)
    sizes: dict[int, int] = {}
    for number, block in enumerate(blocks):
        for parameter in block.state_dict(keep_vars=True).values():  # buffers that are saved count, as in headers
            holders[id(parameter)].add(number)
            sizes[id(parameter)] = parameter.numel()
    stay = {id(parameter) for parameter in _outside(model, blocks)}
    counts: dict[tuple[int, ...], int] = defaultdict(int)
    for name, numbers in holders.items():
        if name not in stay:
            counts[tuple(sorted(numbers))] += sizes[name]
    alone = tuple(counts.pop((number,), 0) for number in range(len(blocks)))
    return alone, tuple(sorted(counts.items()))


def _outside(model: nn.Module, blocks: Sequence[nn.Module]) -> Iterator[nn.Parameter]:
    inside = {id(part) for block in blocks for part in block.modules()}
    for part in model.modules():
        if id(part) not in inside:
            yield from part.parameters(recurse=False)


def in_facts(model: ModelFacts, known: Architecture, *, packed: bool = False) -> ModelFacts:
    """The facts with what the architecture says in the place of what headers and config.json do.

    Parameters that stay packed once they are loaded are counted as they are stored. CannotRun where the two count
    other blocks.
    """
    if len(known.marks) != model.blocks:
        raise CannotRun(
            f"found a stack of {len(known.marks)} blocks in the model that its configuration describes; expected the "
            f"{model.blocks} that its files announce"
        )
    facts = replace(model, marks=core_slots.together(known.marks))
    if packed:
        return facts
    return replace(
        facts,
        block_parameters=known.parameters,
        block_shapes=known.shapes,
        shared_parameters=known.shared,
        headers=model.header_shapes,
    )


def of_checkpoint(path: Path, base: Files, stack: str | None = None) -> Architecture:
    """As ``of_files``, of a checkpoint's folder; its own code runs where it is the code agreed to in ``base``."""
    files = files_of(path)
    if base.code:
        trusted = locate(ModelSource("directory", path=str(path), trust_remote_code=True))
        if same_code(trusted, base):
            files = trusted
    return of_files(files, stack)


def same_code(files: Files, other: Files) -> bool:
    """Whether the code that comes with two models is the same, to the byte."""
    return _code(files) == _code(other)


def _code(files: Files) -> dict[str, str]:
    return {path.relative_to(files.folder).as_posix(): file_sha256(path) for path in files.code}


def compared(
    base: Architecture, files: Files, checkpoint: Path, layout: Layout | None, stack: str | None = None
) -> Comparison:
    """Whether the blocks of a checkpoint run in slots like those of ``layout``; ``files`` are the base's."""
    if layout is None:
        return held_against(base, base, layout)
    try:
        known = of_checkpoint(checkpoint, files, stack)
    except CannotRun as error:
        return Comparison("open", f"its slots could not be told: {error}")
    return held_against(base, known, layout)


def held_against(base: Architecture, checkpoint: Architecture, layout: Layout | None) -> Comparison:
    """As ``compared``, of two architectures that are known."""
    if layout is None:
        return Comparison("open", "which block each of its blocks was is not decided")
    return core_slots.compared(base.marks, checkpoint.marks, layout.slots)
