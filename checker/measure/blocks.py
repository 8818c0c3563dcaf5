"""Where the block stack is, and how to enter it, run one block in a slot, and leave it.

There is no table of architectures. The stack is the only ``ModuleList`` as long as the configuration says the model is
deep. What a slot needs beside the hidden states (masks, rotary angles, position ids) is what the model's own forward
hands to it: a spy keeps that. Norm and head are reached by the model's own forward too, the blocks standing still.

Shapes: W windows of a batch, T tokens, D hidden, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from checker.checkpoints.config import COUNTS
from checker.core.errors import CannotRun
from checker.core.layouts import Place
from checker.measure.explained import own_forward_explained
from checker.measure.quiet import quiet

Blocks = list[nn.Module]


@dataclass(frozen=True)
class Entrance:
    """What enters the stack for one batch: hidden states before block 0, and each slot's side inputs."""

    hidden: torch.Tensor  # (W, T, D)
    sides: tuple[tuple[tuple[Any, ...], Mapping[str, Any]], ...]  # per slot: positional and named inputs after hidden


class _AllSeen(Exception):
    """Leaves a forward once every block has been entered."""


def text_config(model: nn.Module) -> Any:
    """The configuration of the language model, where a checkpoint holds more than one."""
    config: Any = model.config
    return config.get_text_config()


def depth(model: nn.Module) -> int:
    """How many blocks the model's configuration announces; CannotRun where it announces none."""
    text = text_config(model)
    for name in COUNTS:
        if isinstance(getattr(text, name, None), int):
            return int(getattr(text, name))
    raise CannotRun("the model's configuration names no number of blocks; expected `num_hidden_layers`")


def find_stack(model: nn.Module, name: str | None = None) -> nn.ModuleList:
    """The block stack: the ModuleList called ``name``, or the only outermost one of the announced depth."""
    lists = {path: module for path, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    if name is not None:
        if name not in lists:
            raise CannotRun(f"model.blocks: found {name!r}; expected one of the model's lists: {', '.join(lists)}")
        return lists[name]
    deep = {path: module for path, module in lists.items() if len(module) == depth(model)}
    outermost = [path for path in deep if not any(path.startswith(f"{outer}.") for outer in deep)]
    if len(outermost) != 1:
        found = ", ".join(outermost) or "none"
        raise CannotRun(
            f"the block stack could not be told: lists of {depth(model)} modules found: {found}; expected exactly one; "
            "name it in the audit as `model: {blocks: ...}`"
        )
    return deep[outermost[0]]


def _weights(block: nn.Module) -> dict[str, torch.Tensor]:
    """A block's parameters and persistent buffers, as its state dict has them, without copying."""
    return dict(block.state_dict(keep_vars=True))


class BlockStack:
    """A causal language model, seen as entrance, blocks in slots, and exit."""

    def __init__(self, model: nn.Module, name: str | None = None) -> None:
        self.model = model
        self.blocks: Blocks = list(find_stack(model, name))
        self.device = next(model.parameters()).device
        self._mixed: dict[tuple[tuple[int, float], ...], dict[str, torch.Tensor]] = {}
        self._fitting: set[Place] = set()
        # Router logits are gathered from blocks that ran, and ours stand still; nothing here asks for them.
        accepted = inspect.signature(model.forward).parameters
        self._options = {name: False for name in ("output_router_logits",) if name in accepted}
        self._wraps = self._learn_outputs()

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def attention(self) -> str | None:
        """The implementation of attention that the library chose; another moves values in their last digits."""
        chosen: str | None = getattr(text_config(self.model), "_attn_implementation", None)
        return chosen

    @torch.inference_mode()
    def enter(self, ids: torch.Tensor) -> Entrance:
        """Runs the model's own forward on ``ids`` (W, T) with the blocks standing still, and keeps what enters them."""
        seen: dict[int, tuple[torch.Tensor, tuple[Any, ...], dict[str, Any]]] = {}

        def watch(slot: int, *args: Any, **kwargs: Any) -> Any:
            hidden, rest, keywords = _split(args, kwargs)
            seen[slot] = (hidden, rest, keywords)
            if len(seen) == len(self.blocks):
                raise _AllSeen  # what follows is norm and head, which nobody asked for
            return self._wraps[slot](hidden)

        with self._patched(watch), suppress(_AllSeen):
            self._forward(ids)
        if sorted(seen) != list(range(len(self.blocks))):
            raise CannotRun("the model's forward does not run each block of its stack once; it cannot be audited")
        sides = tuple(seen[slot][1:] for slot in range(len(self.blocks)))
        hidden = seen[0][0]
        if hidden.shape[:2] != ids.shape:
            raise CannotRun.at(
                None,
                f"hidden states of shape {tuple(hidden.shape)} for token ids of shape {tuple(ids.shape)}",
                "one row per window and token",
                "this architecture cannot be audited",
            )
        return Entrance(hidden, sides)

    @torch.inference_mode()
    def run(self, place: Place, hidden: torch.Tensor, entrance: Entrance) -> torch.Tensor:
        """Runs one place of a layout on hidden states (W, T, D): the slot's module with the place's weights.

        CannotRun where the weights do not fit the slot.
        """
        module = self.blocks[place.slot]
        args, keywords = entrance.sides[place.slot]
        if place.own:
            return _hidden(module(hidden, *args, **keywords))
        self._check_fit(place)
        weights = self._weights_of(place.weights)
        return _hidden(torch.func.functional_call(module, weights, (hidden, *args), dict(keywords)))

    @torch.inference_mode()
    def leave(self, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Logits (W, K, V) of hidden states (W, K, D) that left the last block: the model's own norm and head.

        ``ids`` (W, K) only gives the forward something of the right shape to embed.
        """

        def stand_still(slot: int, *args: Any, **kwargs: Any) -> Any:
            return self._wraps[slot](hidden)

        with self._patched(stand_still):
            return self._forward(ids)

    def let_go(self) -> None:
        """Gives the memory of the blocks' own weights back: from here on only ``leave`` works."""
        inside = {id(part) for block in self.blocks for part in block.modules()}
        outside = {
            id(weight)
            for part in self.model.modules()
            if id(part) not in inside
            for weight in part.parameters(recurse=False)
        }
        for block in self.blocks:
            for weight in block.parameters():
                if id(weight) not in outside:
                    weight.data = torch.empty(0, dtype=weight.dtype, device=weight.device)

    def same_shapes(self, block: int, slot: int) -> bool:
        """Whether a block's weights fit a slot."""
        held, needed = (_weights(self.blocks[number]) for number in (block, slot))
        return {name: held[name].shape for name in held} == {name: needed[name].shape for name in needed}

    def _check_fit(self, place: Place) -> None:
        """A block of another shape would leave some of the slot's own weights in use, or fail far from the cause."""
        if place in self._fitting:
            return
        for block, _ in place.weights:
            if not self.same_shapes(block, place.slot):
                raise CannotRun.at(
                    f"place {place}",
                    f"weights of block {block}, whose parameters differ in name or shape from those of slot "
                    f"{place.slot}",
                    "equal ones",
                    "leave the pair out",
                )
        self._fitting.add(place)

    @torch.inference_mode()
    def own_logits(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (W, T, V) of ids (W, T) by the model's own forward, untouched; CannotRun where it fails."""
        with own_forward_explained():
            return self._forward(ids)

    def _forward(self, ids: torch.Tensor) -> torch.Tensor:
        with quiet():
            output = self.model(input_ids=ids, use_cache=False, return_dict=True, **self._options)
        logits: torch.Tensor = output.logits
        return logits

    def _weights_of(self, parts: tuple[tuple[int, float], ...]) -> dict[str, torch.Tensor]:
        if len(parts) == 1 and parts[0][1] == 1.0:
            return _weights(self.blocks[parts[0][0]])
        if parts not in self._mixed:
            self._mixed.clear()  # one mix at a time: neighbours in the prefix tree use the same one
            self._mixed[parts] = mix([(_weights(self.blocks[block]), share) for block, share in parts])
        return self._mixed[parts]

    @torch.inference_mode()
    def _learn_outputs(self) -> list[Callable[[torch.Tensor], Any]]:
        """How each block wraps its output (a tensor, or a tuple that begins with it), from one real forward."""
        wraps: dict[int, Callable[[torch.Tensor], Any]] = {}

        def note(slot: int, _module: nn.Module, _inputs: Any, output: Any) -> None:
            wraps[slot] = _wrap_like(output)

        handles = [block.register_forward_hook(partial(note, slot)) for slot, block in enumerate(self.blocks)]
        try:
            self.own_logits(torch.zeros((1, 2), dtype=torch.long, device=self.device))
        finally:
            for handle in handles:
                handle.remove()
        if sorted(wraps) != list(range(len(self.blocks))):
            raise CannotRun("the model's forward does not run each block of its stack once; it cannot be audited")
        return [wraps[slot] for slot in range(len(self.blocks))]

    @contextmanager
    def _patched(self, forward: Callable[..., Any]) -> Iterator[None]:
        """Puts ``forward(slot, ...)`` in place of every block's own, leaving all other attributes readable."""
        # A wrapper that someone else put on the instance is put back; elsewhere the class's forward shows again.
        before = [vars(block).get("forward") for block in self.blocks]
        try:
            for slot, block in enumerate(self.blocks):
                block.forward = partial(forward, slot)
            yield
        finally:
            for block, wrapper in zip(self.blocks, before, strict=True):
                vars(block).pop("forward", None)
                if wrapper is not None:
                    block.forward = wrapper


def mix(parts: Sequence[tuple[Mapping[str, torch.Tensor], float]]) -> dict[str, torch.Tensor]:
    """Weighted sum of state dicts, summed in float32, in new tensors; what is not floating is the first one's."""
    mixed = {}
    for key, first in parts[0][0].items():
        if not first.is_floating_point():
            mixed[key] = first.clone()
            continue
        total = sum(share * weights[key].float() for weights, share in parts)
        assert isinstance(total, torch.Tensor)
        mixed[key] = total.to(first.dtype)
    return mixed


def _split(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, tuple[Any, ...], dict[str, Any]]:
    """Parts a block's inputs into hidden states and the rest."""
    if args:
        return args[0], tuple(args[1:]), kwargs
    keywords = dict(kwargs)
    return keywords.pop("hidden_states"), (), keywords


def _hidden(output: Any) -> torch.Tensor:
    tensor: torch.Tensor = output[0] if isinstance(output, (tuple, list)) else output
    return tensor


def _wrap_like(output: Any) -> Callable[[torch.Tensor], Any]:
    if isinstance(output, (tuple, list)):
        kind, nothing = type(output), [None] * (len(output) - 1)
        return lambda hidden: kind((hidden, *nothing))
    return lambda hidden: hidden
