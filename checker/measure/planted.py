"""Tiny models built so that the right answers are known: what `selftest` and the tests of methods measure.

A planted block is ``h + h W + b``. With W = 0 and b = 0 it is the identity; with W diagonal and 0 or 1 it doubles some
features, exactly in every dtype, and two such blocks commute exactly; with 0 or -2 it turns some features' signs round,
and two such blocks undo each other. Norm and head are a language model's.

Shapes: W windows, T tokens, D features, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from checker.core.layouts import Layout
from checker.core.questions import HiddenQuantity, Quantity, Span, Values
from checker.measure import passes
from checker.measure.blocks import BlockStack
from checker.measure.engine import Engine
from checker.measure.texts import Batch, Window, batches

FEATURES, VOCABULARY, BLOCKS = 16, 48, 6
Plant = Literal["identity", "twins", "commuting", "undoing", "scaling", "overflowing", "broken"]


class PlantedBlock(nn.Module):
    """``h + h W + b``."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden + hidden @ self.weight + self.bias


class PlantedModel(nn.Module):
    """Embedding, planted blocks, root-mean-square norm, head; with the face of a transformers model."""

    def __init__(self, blocks: Collection[PlantedBlock], generator: torch.Generator) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, FEATURES)
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(FEATURES, VOCABULARY, bias=False)
        with torch.no_grad():
            self.embedding.weight.copy_(8 * torch.randn(VOCABULARY, FEATURES, generator=generator))
            self.head.weight.copy_(2 * torch.randn(VOCABULARY, FEATURES, generator=generator))
        self.config = SimpleNamespace(num_hidden_layers=len(blocks), vocab_size=VOCABULARY)
        self.config.get_text_config = lambda: self.config

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False, return_dict: bool = True) -> Any:
        hidden = self.embedding(input_ids)  # (W, T, D)
        for block in self.blocks:
            hidden = block(hidden)
        wide = hidden.float()  # as language models do: squares overflow float16 early
        wide = wide / wide.square().mean(-1, keepdim=True).sqrt()
        return SimpleNamespace(logits=self.head(wide.to(hidden.dtype)))


@dataclass(frozen=True)
class Planted:
    """A planted model with the windows it is measured on, and the blocks that carry what was planted."""

    engine: Engine
    windows: tuple[Window, ...]
    blocks: tuple[int, ...]

    @property
    def states(self) -> list[Batch]:
        """Every position of every window counts."""
        whole = [Window(window.ids, 0, len(window.ids) - 1) for window in self.windows]
        return list(batches(whole, 1024, "prompt"))

    @property
    def losses(self) -> list[Batch]:
        return list(batches(self.windows, 1024, "prompt"))


def plant(what: Plant, dtype: torch.dtype, device: torch.device, seed: int = 0) -> Planted:
    """A model of BLOCKS blocks in which ``what`` is planted, on texts that the model itself predicts best."""
    generator = torch.Generator().manual_seed(seed)
    blocks = [_ordinary(generator) for _ in range(BLOCKS)]
    where = _PLACES[what]
    for block, planted in zip(where, _planted(what, dtype, blocks, generator), strict=True):
        blocks[block] = planted
    if what == "scaling":  # a doubled input must stay doubled to the end
        for later in blocks[where[0] + 1 :]:
            later.bias.data.zero_()
    model = PlantedModel(blocks, generator).to(device=device, dtype=dtype).eval().requires_grad_(False)
    return Planted(Engine(BlockStack(model)), _own_text(model, generator), where)


_PLACES: dict[Plant, tuple[int, ...]] = {
    "identity": (2, 4),
    "twins": (2, 3),
    "commuting": (2, 3),
    "undoing": (2, 3),
    "scaling": (2,),
    "overflowing": (2, 3),
    "broken": (3,),
}


def _ordinary(generator: torch.Generator) -> PlantedBlock:
    weight = 0.3 * torch.randn(FEATURES, FEATURES, generator=generator)
    return PlantedBlock(weight, 2 * torch.randn(FEATURES, generator=generator))


def _planted(
    what: Plant, dtype: torch.dtype, blocks: list[PlantedBlock], generator: torch.Generator
) -> list[PlantedBlock]:
    nothing, none = torch.zeros(FEATURES, FEATURES), torch.zeros(FEATURES)
    halves = [torch.arange(FEATURES) % 2 == 0, torch.arange(FEATURES) < FEATURES // 2]
    if what == "identity":
        return [PlantedBlock(nothing.clone(), none.clone()) for _ in range(2)]
    if what == "twins":
        one = blocks[2]
        return [PlantedBlock(one.weight.data.clone(), one.bias.data.clone()) for _ in range(2)]
    if what == "commuting":
        return [PlantedBlock(torch.diag(half.float()), none.clone()) for half in halves]
    if what == "undoing":
        return [PlantedBlock(torch.diag(-2.0 * halves[0]), none.clone()) for _ in range(2)]
    if what == "broken":
        return [PlantedBlock(nothing.clone(), none + torch.nan)]
    if what == "scaling":
        return [PlantedBlock(torch.eye(FEATURES), none.clone())]
    # The first of the two replaces its input by something tiny, which alone keeps the second from overflowing.
    tiny = float(torch.finfo(dtype).tiny)
    signs = torch.randint(0, 2, (FEATURES,), generator=generator) * 2.0 - 1.0
    return [
        PlantedBlock(-torch.eye(FEATURES), 4 * tiny * signs),
        PlantedBlock(torch.eye(FEATURES) / tiny, none.clone()),
    ]


@torch.inference_mode()
def _own_text(model: PlantedModel, generator: torch.Generator, count: int = 8, length: int = 24) -> tuple[Window, ...]:
    """Windows in which each token is the one the model holds most likely after the one before, from different starts.

    The model's own loss is least on them, so a deletion that changes anything costs something.
    """
    starts = torch.randperm(VOCABULARY, generator=generator)[:count]
    device = model.head.weight.device
    following = model(torch.arange(VOCABULARY, device=device)[None]).logits[0].argmax(-1).tolist()
    windows = []
    for start in starts.tolist():
        ids = [start]
        while len(ids) < length:
            ids.append(following[ids[-1]])
        windows.append(Window(tuple(ids), 0, length - 2))
    return tuple(windows)


class PlantedAsk:
    """Answers a method's questions about a planted model, straight from the engine (records.Ask)."""

    def __init__(self, planted: Planted) -> None:
        self.planted, self.engine = planted, planted.engine

    def kl(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return self._layouts(self.planted.states, "kl", layouts)

    def loss(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        found = self._layouts(self.planted.losses, "nll", layouts)
        return {layout: values / self.planted.losses[0].positions for layout, values in found.items()}

    def similarity(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return self._layouts(self.planted.states, "similarity", layouts)

    def hidden(self, quantity: HiddenQuantity, spans: Iterable[Span]) -> dict[Span, Values]:
        wanted = list(spans)
        if quantity == "cka":
            found = passes.cka(self.engine.stack, self.planted.states)
            return {span: found[span] for span in wanted}
        parts = [passes.of_spans(self.engine.stack, batch, quantity, wanted) for batch in self.planted.states]
        return {span: np.concatenate([part[span] for part in parts]) for span in wanted}

    def taylor(self, blocks: Iterable[int]) -> dict[int, Values]:
        found = passes.taylor(self.engine.stack, self.planted.windows, 1024)
        return {block: found[block] for block in blocks}

    def _layouts(self, parts: list[Batch], quantity: Quantity, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        found: dict[Layout, list[Values]] = {layout: [] for layout in layouts}
        for batch in parts:
            wanted = {layout: {quantity} for layout in found}
            self.engine.measure(batch, wanted, lambda layout, _, values: found[layout].append(values), lambda *_: None)
        return {layout: np.concatenate(values) for layout, values in found.items()}
