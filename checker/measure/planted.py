"""Tiny models built so that the right answers are known: what `selftest` and the tests of methods measure.

A planted block is ``h + h W + b``. With W = 0 and b = 0 it is the identity; with W diagonal and 0 or 1 it doubles some
features, exactly in every dtype, and two such blocks commute exactly; with 0 or -2 it turns some features' signs round,
and two such blocks undo each other. Norm and head are a language model's.

Shapes: W windows, T tokens, D features, V vocabulary.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from checker.core.questions import Ask, Question, Text, Values
from checker.measure import passes
from checker.measure.blocks import BlockStack
from checker.measure.engine import Engine
from checker.measure.texts import Cut, Window, batches

FEATURES, VOCABULARY, BLOCKS, BATCH_TOKENS = 16, 48, 6, 1024
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

    @cached_property
    def cuts(self) -> dict[Text, Cut]:
        """The windows as scoring text, where every position counts, and as selection text."""
        whole = [Window(window.ids, 0, len(window.ids) - 1) for window in self.windows]
        return {
            "scoring": Cut(self.windows, tuple(batches(whole, BATCH_TOKENS, "prompt")), ()),
            "selection": Cut(self.windows, tuple(batches(self.windows, BATCH_TOKENS, "prompt")), ()),
        }

    @property
    def ask(self) -> Ask:
        """Lets methods ask about the model, straight from the engine."""
        return Ask(self._answer, self.engine.base, self.cuts["selection"].batches[0].positions)

    def _answer(self, questions: Sequence[Question]) -> dict[Question, Values]:
        parts: dict[Question, list[Values]] = defaultdict(list)

        def put(question: Question, values: Values) -> None:
            parts[question].append(values)

        for text, cut in self.cuts.items():
            asked = [question for question in questions if question.text == text]
            apart = [question for question in asked if not question.pooled]
            for batch in cut.batches:
                passes.on_batch(self.engine, batch, 0, apart, put, lambda *_: None)
            for question in asked:
                if question.pooled and question not in parts:
                    for own, values in passes.on_text(self.engine.stack, question, cut, 0, BATCH_TOKENS).items():
                        put(own, values)
        return {question: np.concatenate(parts[question]) for question in questions}


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
        twin = blocks[2]
        return [PlantedBlock(twin.weight.data.clone(), twin.bias.data.clone()) for _ in range(2)]
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
