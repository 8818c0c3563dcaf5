"""What torch and a model's own code raise -> errors that say what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from checker.core.errors import CannotRun, PruneauditError


def is_memory(error: Exception) -> bool:
    """Whether memory ran out; on a CPU, torch says so in the words of a RuntimeError."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


@contextmanager
def memory_explained(tokens: int) -> Iterator[None]:
    """Around work on a batch of so many tokens."""
    try:
        yield
    except Exception as error:
        if not is_memory(error):
            raise
        raise CannotRun(
            f"out of memory on a batch of {tokens} tokens; expected it to fit; lower `batch_tokens` in the contract "
            "(which makes it another contract), or use a larger device; evidence so far is kept"
        ) from error


@contextmanager
def own_forward_explained() -> Iterator[None]:
    """Around the model's own forward, its blocks in place: what it raises is no defect of the engine."""
    try:
        yield
    except Exception as error:  # whatever a stranger's code raises
        if isinstance(error, PruneauditError) or is_memory(error):
            raise
        raise CannotRun.at(
            None,
            f"that the model's own forward fails ({in_one_sentence(error)})",
            "it to run",
            "its code does not fit this version of transformers, or its configuration does not fit its code; use the "
            "version that the model was written for, or ask its author",
        ) from error


@contextmanager
def architecture_explained() -> Iterator[None]:
    """Around a run block by block, where blocks may miss what another block would have left behind."""
    try:
        yield
    except Exception as error:
        if isinstance(error, PruneauditError) or is_memory(error):
            raise
        raise CannotRun(
            f"run block by block, the model raised {in_one_sentence(error)}; expected each block to need only "
            "hidden states and its slot's side inputs; this architecture cannot be audited by this version"
        ) from error


_LONGEST = 300  # letters of a stranger's message


def in_one_sentence(error: Exception) -> str:
    """The error's kind and the first line of its message; what follows is advice for the library's users."""
    first = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {first[:_LONGEST]}" if first else type(error).__name__
