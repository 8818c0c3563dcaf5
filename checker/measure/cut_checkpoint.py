"""Writes a layout as a checkpoint: a folder that ``from_pretrained`` loads and whose logits equal the layout's.

There is no table of architectures. Blocks move inside their ModuleList, and whatever in the configuration counts blocks
or lists something per block is cut with them. Then the saved folder is loaded and held against the layout, slot by slot
and logit by logit, before it gets its name: what a configuration cannot express is found there, and refused.

Shapes: T tokens, V vocabulary.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from checker.checkpoints.config import cut_settings
from checker.checkpoints.digests import weights_digest
from checker.checkpoints.files import Files, locate
from checker.core.errors import CannotRun, UsageError
from checker.core.files import Stamp, check_free, check_unchanged, named, scratch, stamps
from checker.core.layouts import Layout
from checker.core.records import ModelSource
from checker.core.slots import Marks, difference, shown
from checker.measure.blocks import BlockStack, find_stack, mix, text_config
from checker.measure.models import fetch, load_model, load_tokenizer
from checker.measure.proof import tolerance
from checker.measure.quiet import quiet
from checker.measure.slots import NUMBER, marks_of
from checker.measure.walk import run_through

_CPU = torch.device("cpu")
# Tokens on which the saved checkpoint is held against the layout.
_PROOF_TOKENS = 32


@dataclass(frozen=True)
class _Expected:
    """What the saved checkpoint has to be."""

    ids: torch.Tensor  # (1, T)
    logits: torch.Tensor  # (1, T, V) float32, the engine's run of the layout
    marks: tuple[Marks, ...]  # per place, of the slot in the whole model
    settings: Mapping[str, Any]  # of the configuration, all that was cut


def write(
    source: ModelSource, layout: Layout, to: Path, *, digest: str | None = None, max_shard_size: str | None = None
) -> Path:
    """Writes ``layout`` of the model that ``source`` names, in the dtype in which it was audited, to the folder ``to``.

    ``digest`` is the audited weights'. UsageError where ``to`` exists or the weights are others; CannotRun where the
    model does not load, or where the layout cannot be a plain checkpoint.
    """
    check_free(to, "export", "--to")
    files = fetch(source)
    before = stamps(files.read)
    if digest is not None and (own := weights_digest(files)) != digest:
        raise UsageError.at(
            files.folder,
            f"weights with sha256 {own}",
            f"{digest}, which the report is about",
            "fetch the model that was audited, or run the audit on this one",
        )
    tokenizer = load_tokenizer(files)
    # Handed over without a name of its own here, so that ``save`` can let go of the model before it loads its copy.
    return save(
        _loaded(files, source.dtype, before),
        tokenizer,
        layout,
        to,
        name=source.blocks,
        shard=max_shard_size,
        own_code=bool(files.code),
    )


def _loaded(files: Files, dtype: str, before: Mapping[Path, Stamp]) -> nn.Module:
    model = load_model(files, dtype, _CPU)
    check_unchanged(before)
    return model


def save(
    model: nn.Module,
    tokenizer: Any,
    layout: Layout,
    to: Path,
    *,
    name: str | None = None,
    shard: str | None = None,
    own_code: bool = False,
) -> Path:
    """Cuts ``model`` to ``layout`` and saves it with its tokenizer; the folder appears whole or not at all.

    ``name`` is the dotted name of the block stack where it is ambiguous, ``shard`` the size of a file, like ``5GB``,
    ``own_code`` whether code that came with the model may run once more, where the saved folder is loaded.
    The model is changed. Errors as in ``write``.
    """
    check_free(to, "export", "--to")
    dtype: Any = str(next(model.parameters()).dtype).removeprefix("torch.")
    _check_dequantised(model)
    expected = _expect(model, layout, name)
    cut(model, layout, name)
    with named(to), scratch(to.parent) as place:
        folder = place / "checkpoint"
        _save(model, folder, layout, {} if shard is None else {"max_shard_size": shard})
        with quiet():
            tokenizer.save_pretrained(folder)
        del model  # two models at once would take twice the memory
        source = ModelSource("directory", path=str(folder), dtype=dtype, blocks=name, trust_remote_code=own_code)
        _prove(source, layout, expected)
        folder.rename(to)
    return to


def _save(model: Any, folder: Path, layout: Layout, options: Mapping[str, str]) -> None:
    """The library's own saving, with its refusal of a configuration explained."""
    try:
        with quiet():
            model.save_pretrained(folder, **options)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the library's validators raise many kinds
        if f"os error {errno.ENOSPC}" in str(error):  # which safetensors says in an exception of its own
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise _inexpressible(layout, f"that it cannot be saved ({' '.join(str(error).split())})") from error


def cut(model: nn.Module, layout: Layout, name: str | None = None) -> None:
    """Makes ``model`` itself the layout: its blocks, their numbers, and the configuration. UsageError for slots that
    the model lacks or that stand twice."""
    stack = find_stack(model, name)
    _check_slots(layout, len(stack))
    blocks = list(stack)
    changed = {
        place.slot: mix([(blocks[block].state_dict(), share) for block, share in place.weights])
        for place in layout.places
        if not place.own
    }
    for slot, weights in changed.items():
        blocks[slot].load_state_dict(weights)
    del stack[:]
    for number, slot in enumerate(layout.slots):
        _renumber(blocks[slot], slot, number)
        stack.append(blocks[slot])
    for config in _configurations(model):
        for key, value in cut_settings(_settings(config), len(blocks), layout.slots).items():
            setattr(config, key, value)
    clear_quantiser(model)


def _check_slots(layout: Layout, blocks: int) -> None:
    slots = layout.slots
    numbers = {block for place in layout.places for block, _ in place.weights} | set(slots)
    if not slots or len(set(slots)) != len(slots) or not numbers <= set(range(blocks)):
        raise UsageError.at(
            f"layout {layout}",
            "slots or blocks that are no part of a checkpoint",
            f"each slot once, out of the model's {blocks} blocks",
            "correct the layout",
        )


def _renumber(block: nn.Module, slot: int, number: int) -> None:
    """Gives the parts of a block its new number, by which they find their cache."""
    for part in block.modules():
        for key, value in list(vars(part).items()):
            if type(value) is int and NUMBER.search(key):
                setattr(part, key, value - slot + number)


def _configurations(model: nn.Module) -> list[Any]:
    """The configuration of the language model, and those of its parts that are copies of it."""
    text = text_config(model)
    held: list[Any] = [part.config for part in model.modules() if hasattr(part, "config")]
    copies = {id(config): config for config in held if type(config) is type(text)}
    return list({id(text): text, **copies}.values())


def _settings(config: Any) -> dict[str, Any]:
    """What a configuration holds, and what it only works out where it is saved; the number of blocks comes first."""
    written: dict[str, Any] = config.to_dict()
    return {**vars(config), **{name: value for name, value in written.items() if name not in vars(config)}}


def _check_dequantised(model: nn.Module) -> None:
    """GGUF weights are de-quantised while they are read; others may stay packed, and then are no plain checkpoint."""
    method = getattr(model, "quantization_method", None)
    method = str(getattr(method, "value", method) or "gguf")
    if method != "gguf":
        raise CannotRun.at(
            None,
            f"weights quantised by {method}",
            "floating-point weights, which alone can be saved as a plain checkpoint",
            "export from the checkpoint they were quantised from",
        )


def clear_quantiser(model: nn.Module) -> None:
    """Takes off the mark that reading GGUF leaves, with which the library refuses to save."""
    for mark in ("hf_quantizer", "quantization_method", "is_quantized"):
        vars(model).pop(mark, None)
    for config in (model.config, text_config(model)):
        vars(config).pop("quantization_config", None)


@torch.inference_mode()
def _expect(model: nn.Module, layout: Layout, name: str | None) -> _Expected:
    """What the layout is, from the whole model."""
    stack = BlockStack(model, name)
    _check_slots(layout, len(stack))
    ids = _proof_ids(model)
    logits = stack.leave(run_through(stack, layout, stack.enter(ids)), ids).float()
    known = marks_of(model, stack.blocks)
    marks = tuple(known[slot] for slot in layout.slots)
    settings = cut_settings(_settings(text_config(model)), len(stack), layout.slots)
    return _Expected(ids, logits, marks, settings)


def _proof_ids(model: nn.Module) -> torch.Tensor:
    """Token ids (1, T) from all over the vocabulary, without those to which the configuration gives a meaning."""
    special: set[Any] = set()
    for config in (model.config, text_config(model)):
        for key, value in vars(config).items():
            if re.search(r"token_(ids?|index)$", key):
                special.update(value if isinstance(value, list) else [value])
    free = [token for token in range(int(text_config(model).vocab_size)) if token not in special]
    return torch.tensor([free[:: max(1, len(free) // _PROOF_TOKENS)][:_PROOF_TOKENS]])


def _prove(source: ModelSource, layout: Layout, expected: _Expected) -> None:
    """Loads what was saved and holds it against the layout; CannotRun where it is something else."""
    try:
        model = load_model(locate(source), source.dtype, _CPU)
        stack = find_stack(model, source.blocks)
    except CannotRun as error:
        raise _inexpressible(
            layout, f"that once saved it does not load ({str(error).replace(f'{source.path}: ', '')})"
        ) from error
    settings = _settings(text_config(model))
    for key, value in expected.settings.items():
        if (loaded := settings.get(key)) != value:
            raise _inexpressible(layout, f"that its configuration turns {key} into {loaded}, where {value} was saved")
    for place, marks, saved in zip(layout.places, expected.marks, marks_of(model, list(stack)), strict=True):
        if (name := difference(marks, saved)) is not None:
            found = f"slot {place.slot} has {name} {shown(marks, name)}, and {shown(saved, name)} once saved"
            raise _inexpressible(layout, f"that {found}")
    with torch.inference_mode(), quiet():
        logits = model(input_ids=expected.ids, use_cache=False).logits.float()
    apart = float((logits - expected.logits).abs().max())
    if not apart <= tolerance(getattr(torch, source.dtype)) * float(expected.logits.abs().max()):
        raise _inexpressible(layout, f"that once saved its logits differ from the layout's by {apart:.3g}")


def _inexpressible(layout: Layout, found: str) -> CannotRun:
    return CannotRun.at(
        f"layout {layout}",
        found,
        "a checkpoint that is the layout",
        "what a block of this architecture is follows from its number in a way that its configuration cannot "
        "express; use another format, or another arm",
    )
