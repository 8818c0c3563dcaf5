"""A task's requests -> token windows, cut as lm-evaluation-harness cuts them for a Hugging Face model, unpadded.

Spaces at the end of a context go to the continuation; the tokens of the continuation are those of the whole beyond the
context's own; what is longer than the model's context loses its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from checker.core.errors import CannotRun
from checker.core.questions import Values
from checker.measure.harness import LoadedTask, Request
from checker.measure.texts import Cut, Window, batches

_LONGEST = 2048  # tokens, where a model names no context


@dataclass(frozen=True)
class TokenRequests:
    """The windows of a task's requests, those of one shape together, and which request each belongs to."""

    cut: Cut
    owners: tuple[int, ...]
    rolling: bool  # whether a request is a whole text, whose answer is one number

    def answers(self, nll: Values, greedy: Values) -> list[Any]:
        """Per request, what the harness scores: its log-likelihood in nats, and whether each token is the likeliest."""
        requests, owners = max(self.owners) + 1, np.array(self.owners)
        likelihoods = -np.bincount(owners, weights=nll, minlength=requests)
        unlikely = np.bincount(owners, weights=1.0 - greedy, minlength=requests)
        if self.rolling:
            return list(map(float, likelihoods))
        return [(float(value), not number) for value, number in zip(likelihoods, unlikely, strict=True)]


def cut(task: LoadedTask, tokenizer: Any, context: int | None, batch_tokens: int) -> TokenRequests:
    """CannotRun names the first request that has nothing to score, or whose continuation is beyond the context."""
    longest = context or _LONGEST
    rolling = task.facts.output_type == "loglikelihood_rolling"
    made = []
    for number, request in enumerate(task.requests):
        windows = list((_of_text if rolling else _of_pair)(request, tokenizer, longest))
        if not windows or any(not 0 <= window.first <= window.last for window in windows):
            raise CannotRun.at(
                f"task {task.facts.name}, request {number}",
                f"{request.continuation or request.context!r:.60}, of which nothing can be scored",
                f"a token to score in the model's context of {longest}",
                "leave the document out",
            )
        made += [(window, number) for window in windows]
    made.sort(key=lambda pair: (len(pair[0].ids), pair[0].first, pair[0].last))
    sorted_windows = tuple(window for window, _ in made)
    grouped = tuple(batches(sorted_windows, batch_tokens, "request"))
    return TokenRequests(Cut(sorted_windows, grouped, ()), tuple(number for _, number in made), rolling)


def _of_pair(request: Request, tokenizer: Any, longest: int) -> Iterator[Window]:
    context, continuation = request.context, request.continuation
    if context:
        spaces = len(context) - len(context.rstrip())
        continuation = context[len(context) - spaces :] + continuation
        context = context[: len(context) - spaces]
        before = _encode(tokenizer, context) if context else [_prefix(tokenizer)]
        whole = _encode(tokenizer, context + continuation)
        after = whole[len(before) :] if context else whole
    else:
        before, after = [_prefix(tokenizer)], _plain(tokenizer, continuation)
        if after[:1] == before:
            before, after = after[:1], after[1:]
    if len(after) <= longest:
        ids = (before + after)[-(longest + 1) :]
        yield Window(tuple(ids[:-1]), len(ids) - len(after) - 1, len(ids) - 2, ids[-1])


def _of_text(request: Request, tokenizer: Any, longest: int) -> Iterator[Window]:
    """Windows that predict every token of a text once; the last one takes as much context as it has room for."""
    ids, predicted = [_prefix(tokenizer), *_encode(tokenizer, request.context)], 0
    while predicted < len(ids) - 1:
        end = min(predicted + longest, len(ids) - 1)
        start = max(0, end - longest) if predicted else 0
        yield Window(tuple(ids[start:end]), predicted - start, end - start - 1, ids[end])
        predicted = end


def _prefix(tokenizer: Any) -> int:
    """What stands before a text that has no context."""
    token = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if token is None:
        raise CannotRun("the tokenizer has neither a begin nor an end token; expected one, to stand before requests")
    return int(token)


def _encode(tokenizer: Any, text: str) -> list[int]:
    """With the special tokens that the tokenizer itself puts there, unless the text begins with one."""
    begin = None if tokenizer.bos_token_id is None else tokenizer.decode(tokenizer.bos_token_id)
    if begin and text.startswith(begin):
        return _plain(tokenizer, text)
    return list(tokenizer.encode(text))


def _plain(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))
