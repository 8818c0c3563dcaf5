"""Where tokens end in their text, in UTF-8 bytes: what losses under different tokenizers are held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checker.core.records import EvaluationContract

Ends = NDArray[np.int64]


def ends(tokenizer: Any, text: str, ids: Sequence[int]) -> Ends | None:
    """Per token of a text, the byte at which it ends; those before the text (a begin token) end at 0.

    A letter that takes several tokens ends with each of them. None where the tokenizer does not say where its tokens
    stand, or gives others than ``ids`` when it does.
    """
    if not getattr(tokenizer, "is_fast", False):
        return None
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    before = len(ids) - len(found["input_ids"])
    if before < 0 or list(ids[before:]) != list(found["input_ids"]):
        return None
    letters = np.array([end for _, end in found["offset_mapping"]], dtype=np.int64)
    per_letter = np.fromiter(map(_width, text), dtype=np.int64, count=len(text))
    bytes_up_to = np.concatenate([[0], per_letter.cumsum()])
    # Some tokenizers place a token that adds nothing to the text before the one that it follows.
    after = np.maximum.accumulate(bytes_up_to[letters]) if len(letters) else letters
    return np.concatenate([np.zeros(before, dtype=np.int64), after])


def _width(letter: str) -> int:
    """UTF-8 bytes of a letter."""
    number = ord(letter)
    return 1 + (number > 0x7F) + (number > 0x7FF) + (number > 0xFFFF)


def of_windows(known: Ends, contract: EvaluationContract, scored: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """UTF-8 bytes of the scored tokens of each window.

    ``scored`` are a window's first and last scored token, counted in the window from its start, begin tokens left out.
    """
    starts = (number * contract.stride for number in range(len(scored)))
    return tuple(
        int(known[start + last] - known[start + first - 1]) for start, (first, last) in zip(starts, scored, strict=True)
    )
