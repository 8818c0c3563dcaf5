"""Two tokenizers' windows of one text, cut into pieces that lie in one stretch of bytes each (design, 3.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from checker.core.facts import STRETCH, StretchFacts
from checker.core.records import EvaluationContract
from checker.measure import texts
from checker.measure.texts import Cut, Window
from checker.measure.token_bytes import Ends


@dataclass(frozen=True)
class Stretches:
    """The pieces of the model's windows and of a checkpoint's, and which stretch each lies in."""

    facts: StretchFacts
    model: Cut
    own: Cut


def cut(contract: EvaluationContract, model: tuple[Cut, Any], own: tuple[Cut, Any]) -> tuple[Stretches | None, str]:
    """Of the model and of a checkpoint, each with its evaluation windows and its tokenizer; or why it cannot be."""
    if contract.boundary != "every_token":
        return None, f"boundary {contract.boundary} does not score every token once; use every_token"
    known = [texts.evaluation_ends(contract, tokenizer) for _, tokenizer in (model, own)]
    prefix = int(contract.special_tokens == "every_window")
    both = []
    for (windows, _), ends in zip((model, own), known, strict=True):
        if ends is None:
            return None, "a tokenizer does not tell where its tokens end in the text"
        both.append((windows.windows, ends))
    first = max(int(ends[windows[0].first - prefix]) for windows, ends in both)
    total = max(int(ends[-1]) for _, ends in both) - first
    if total <= 0:
        return None, "no byte of the text is scored under both tokenizers"
    sizes = tuple(min(STRETCH, total - start) for start in range(0, total, STRETCH))
    (theirs, of_theirs), (ours, of_ours) = (_pieces(windows, ends, contract, prefix, first) for windows, ends in both)
    batched = [
        Cut(pieces, tuple(texts.batches(pieces, contract.batch_tokens, "piece")), ()) for pieces in (theirs, ours)
    ]
    facts = StretchFacts(first, sizes, of_theirs, of_ours, len(batched[0].batches), len(batched[1].batches))
    return Stretches(facts, *batched), ""


def _pieces(
    windows: Sequence[Window], ends: Ends, contract: EvaluationContract, prefix: int, first: int
) -> tuple[tuple[Window, ...], tuple[int, ...]]:
    """The scored tokens that end beyond byte ``first``, by stretches from there on; those of one shape together."""
    found = []
    for number, window in enumerate(windows):
        start = number * contract.stride + 1 - prefix
        scored = [position for position in range(window.first, window.last + 1) if ends[start + position] > first]
        lying = [((int(ends[start + position]) - 1 - first) // STRETCH, position) for position in scored]
        for stretch, group in groupby(lying, lambda pair: pair[0]):
            positions = [position for _, position in group]
            found.append((replace(window, first=positions[0], last=positions[-1]), stretch))
    found.sort(key=lambda piece: (len(piece[0].ids), piece[0].first, piece[0].last))
    return tuple(window for window, _ in found), tuple(stretch for _, stretch in found)
