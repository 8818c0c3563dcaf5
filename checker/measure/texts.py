"""Contract -> token windows: reads a text, tokenises it once, and cuts it as the contract says.

Shapes: W windows of a batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch

from checker.core.canonical import digest
from checker.core.errors import CannotRun
from checker.core.facts import EvaluationFacts, ScoringFacts
from checker.core.records import EvaluationContract, ScoringContract, SpecialTokens
from checker.measure import repeats, token_bytes
from checker.measure.repeats import Stretch
from checker.measure.text_rows import kept, read_whole
from checker.spec.sources import text_identity


@dataclass(frozen=True)
class Batch:
    """Windows of one length that run together; which ones is fixed by the contract, never by what is left to do."""

    ids: torch.Tensor  # (W, T)
    first: int  # the first position whose prediction is scored
    last: int  # the last one, inclusive; T - 1 has no next token in the window
    units: range  # which prompts or windows of the text these are
    name: str  # what a unit is called: prompt, window or request
    following: torch.Tensor | None = None  # (W, 1), the token after each window, where that is scored and not run

    @property
    def whole(self) -> torch.Tensor:
        """The tokens of each window (W, T), with the one that follows where that is scored."""
        return self.ids if self.following is None else torch.cat([self.ids, self.following], 1)

    @property
    def positions(self) -> int:
        """Scored positions per window."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Window:
    """Tokens that run together, and which of its positions' predictions are scored (inclusive)."""

    ids: tuple[int, ...]
    first: int
    last: int
    following: int | None = None  # the token that the last position predicts, where it is none of the window's


@dataclass(frozen=True)
class Cut:
    """A text cut by its contract, and what each of its units adds to it."""

    windows: tuple[Window, ...]
    batches: tuple[Batch, ...]
    stretches: tuple[Stretch, ...]


def scoring(contract: ScoringContract, tokenizer: Any) -> tuple[Cut, ScoringFacts]:
    """The prompts of a scoring contract, in batches. CannotRun names a prompt that is too short."""
    start = _start(contract.special_tokens, tokenizer)
    if contract.tokens <= len(start):
        raise CannotRun.at(
            "data.scoring.tokens",
            str(contract.tokens),
            f"more than the {len(start)} that the tokenizer puts at the start of each prompt",
            "raise `tokens`, or use `special_tokens: none`",
        )
    assemble = _row_prompts if contract.assembly == "rows" else _window_prompts
    prompts, kinds = assemble(contract, start, tokenizer)
    if len(prompts) < contract.prompts:
        raise CannotRun.at(
            contract.source.name,
            f"{len(prompts)} prompts of {contract.tokens} tokens",
            str(contract.prompts),
            "lower `prompts` or use a longer text",
        )
    last = len(prompts[0]) - 1
    first = last if contract.positions == "last" else contract.begin_tokens_before
    return _cut(contract, tuple(Window(ids, first, last) for ids in prompts), tokenizer, kinds)


def generated(contract: ScoringContract, prompts: Sequence[Sequence[int]], tokenizer: Any) -> tuple[Cut, ScoringFacts]:
    """The model's own samples as prompts that losses are taken on; each begins with the begin token."""
    windows = tuple(Window(tuple(ids), 0, len(ids) - 2) for ids in prompts)
    return _cut(contract, windows, tokenizer, ("",) * len(windows))


def _cut(
    contract: ScoringContract, windows: tuple[Window, ...], tokenizer: Any, kinds: tuple[str, ...]
) -> tuple[Cut, ScoringFacts]:
    stretches = repeats.stretches([window.ids for window in windows], tokenizer)
    cut = Cut(windows, tuple(batches(windows, contract.batch_tokens, "prompt")), stretches)
    facts = ScoringFacts(
        text_digest=text_identity(contract.source),
        tokens_digest=digest([window.ids for window in windows]),
        kinds=kinds,
        prompts=len(windows),
        tokens=len(windows[0].ids),
        batches=len(cut.batches),
        repeats=tuple(sorted(repeats.same(stretches) | repeats.repeated(stretches))),
    )
    return cut, facts


def selection(contract: ScoringContract, tokenizer: Any) -> tuple[Cut, ScoringFacts]:
    """The prompts that losses are taken on: of each, every token but the first is scored, once."""
    cut, facts = scoring(contract, tokenizer)
    extra = contract.begin_tokens_before
    windows = tuple(replace(window, first=extra, last=len(window.ids) - 2) for window in cut.windows)
    return replace(cut, windows=windows, batches=tuple(batches(windows, contract.batch_tokens, "prompt"))), facts


def evaluation(contract: EvaluationContract, tokenizer: Any) -> tuple[Cut, EvaluationFacts]:
    """The windows of an evaluation contract, in batches; how far they overlap other texts is not looked at yet."""
    text = _evaluation_text(contract)
    ids = [*_start(contract.special_tokens, tokenizer), *_tokenise(tokenizer, text)]
    prefix = _begin(tokenizer) if contract.special_tokens == "every_window" else ()
    windows = tuple(evaluation_windows(ids, contract, prefix))
    if not windows:
        raise CannotRun.at(
            contract.source.name,
            f"{len(ids)} tokens",
            f"at least {contract.window if contract.boundary == 'whole_window' else 2}",
            "use a longer text",
        )
    stretches = repeats.stretches(list(_added(windows, contract, len(prefix))), tokenizer)
    cut = Cut(windows, tuple(batches(windows, contract.batch_tokens, "window")), stretches)
    facts = EvaluationFacts(
        text_digest=text_identity(contract.source),
        tokens_digest=digest([window.ids for window in windows]),
        tokens=len(ids),
        scored=tuple(window.last - window.first + 1 for window in windows),
        batches=len(cut.batches),
        repeats=tuple(sorted(repeats.repeated(stretches))),
        scored_bytes=_scored_bytes(windows, contract, len(prefix), token_bytes.ends(tokenizer, text, ids)),
    )
    return cut, facts


def evaluation_ends(contract: EvaluationContract, tokenizer: Any) -> token_bytes.Ends | None:
    """Per token of an evaluation text, the byte at which it ends; None where the tokenizer does not tell."""
    text = _evaluation_text(contract)
    ids = [*_start(contract.special_tokens, tokenizer), *_tokenise(tokenizer, text)]
    return token_bytes.ends(tokenizer, text, ids)


def _scored_bytes(
    windows: Sequence[Window], contract: EvaluationContract, prefix: int, ends: token_bytes.Ends | None
) -> tuple[int, ...]:
    """UTF-8 bytes of the scored tokens of each window; none where the tokenizer does not tell them."""
    if ends is None:
        return ()
    scored = [(window.first - prefix + 1, window.last - prefix + 1) for window in windows]
    return token_bytes.of_windows(ends, contract, scored)


def _added(windows: Sequence[Window], contract: EvaluationContract, prefix: int) -> Iterator[tuple[int, ...]]:
    """The tokens of each window that none before it holds: neighbours share context, which repeats nothing."""
    yield windows[0].ids[prefix:]
    skipped = contract.boundary == "skip_first"
    for window in windows[1:]:
        yield window.ids[-min(contract.stride, window.last - window.first + 1 + skipped) :]


def evaluation_windows(
    ids: Sequence[int], contract: EvaluationContract, prefix: tuple[int, ...] = ()
) -> Iterator[Window]:
    """Cuts a tokenised text into windows that score every token but the first once (design, 3.2).

    ``prefix`` is put before every window and never scored.
    """
    reached, start = 1, 0  # tokens scored so far, the unscored first one included
    extra = len(prefix)
    while start == 0 or reached < len(ids):
        end = min(start + contract.window, len(ids))
        if contract.boundary == "whole_window":
            if end - start < contract.window:
                return
            target = start + 1
        else:
            target = reached + (1 if contract.boundary == "skip_first" and start else 0)
        if target < end:
            yield Window((*prefix, *ids[start:end]), extra + target - 1 - start, extra + end - 2 - start)
        reached, start = end, start + contract.stride


def batches(windows: Sequence[Window], batch_tokens: int, name: str) -> Iterator[Batch]:
    """Groups neighbouring windows of one shape, at most ``batch_tokens`` tokens at a time (at least one window)."""
    start = 0
    while start < len(windows):
        window = windows[start]
        limit = max(1, batch_tokens // len(window.ids))
        end = start
        while end < len(windows) and end - start < limit and _shape(windows[end]) == _shape(window):
            end += 1
        ids = torch.tensor([each.ids for each in windows[start:end]], dtype=torch.long)
        following = [[each.following] for each in windows[start:end] if each.following is not None]
        after = torch.tensor(following, dtype=torch.long) if following else None
        yield Batch(ids, window.first, window.last, range(start, end), name, after)
        start = end


def _shape(window: Window) -> tuple[int, int, int, bool]:
    return len(window.ids), window.first, window.last, window.following is None


def begin_token_windows(contract: EvaluationContract, tokenizer: Any) -> tuple[Batch, Batch] | None:
    """The evaluation text's beginning without and with the begin token, scoring the same tokens; None without one.

    With the begin token it fills one window, so that it never exceeds the context that the contract fits.
    """
    begin = _begin(tokenizer)
    if not begin:
        return None
    ids = tuple(_first_tokens(tokenizer, _evaluation_text(contract), contract.window - len(begin)))
    if len(ids) < 2:
        return None
    without = Window(ids, 0, len(ids) - 2)
    with_begin = Window((*begin, *ids), len(begin), len(begin) + len(ids) - 2)
    return next(batches([without], 1, "window")), next(batches([with_begin], 1, "window"))


def _tokenise(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text, without special tokens."""
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _tokeniser_start(tokenizer: Any) -> tuple[int, ...]:
    """What the tokenizer itself puts at the start of a text."""
    plain = _tokenise(tokenizer, "a")
    full = list(tokenizer("a")["input_ids"])
    for start in range(len(full) - len(plain) + 1):
        if full[start : start + len(plain)] == plain:
            return tuple(full[:start])
    raise CannotRun("the tokenizer's special tokens change the text itself; use `special_tokens: none`")


def _begin(tokenizer: Any) -> tuple[int, ...]:
    return (int(tokenizer.bos_token_id),) if tokenizer.bos_token_id is not None else ()


def _start(special_tokens: SpecialTokens, tokenizer: Any) -> tuple[int, ...]:
    """What stands before a text: the tokenizer's own start, or nothing."""
    if special_tokens == "tokenizer":
        return _tokeniser_start(tokenizer)
    if special_tokens == "every_window" and not _begin(tokenizer):
        raise CannotRun("special_tokens: found `every_window`, but the tokenizer has no begin token; use `none`")
    return ()


def _evaluation_text(contract: EvaluationContract) -> str:
    text = read_whole(contract.source)
    if contract.words is None:
        return text
    words = text.split()
    if len(words) < contract.words:
        raise CannotRun.at(contract.source.name, f"{len(words)} words", f"at least {contract.words}", "lower `words`")
    return " ".join(words[: contract.words])


def _first_tokens(tokenizer: Any, text: str, count: int) -> list[int]:
    """The first ``count`` tokens of a text, without special tokens; of a long text, only as much is tokenised."""
    beginning = text[: 32 * count]  # tokens cover some four characters each
    ids = _tokenise(tokenizer, beginning)
    # Next to the cut, tokens may be others than the whole text's: the last 64 are not relied on.
    if len(beginning) < len(text) and len(ids) < count + 64:
        ids = _tokenise(tokenizer, text)
    return ids[:count]


_Prompts = tuple[list[tuple[int, ...]], tuple[str, ...]]  # tokens of each, kind of each


def _row_prompts(contract: ScoringContract, start: tuple[int, ...], tokenizer: Any) -> _Prompts:
    """The first rows, each cut to ``tokens`` tokens."""
    prefix = _begin(tokenizer) if contract.special_tokens == "every_window" else ()
    rows = list(islice(kept(contract.source), contract.prompts))
    prompts = []
    for number, row in rows:
        ids = [*start, *_tokenise(tokenizer, row.text)]
        if len(ids) < contract.tokens:
            raise CannotRun.at(
                f"{contract.source.name}, row {number}",
                f"{len(ids)} tokens",
                f"at least {contract.tokens}",
                "lower `tokens` or leave the row out",
            )
        prompts.append((*prefix, *ids[: contract.tokens]))
    return prompts, tuple(row.kind for _, row in rows)


def _window_prompts(contract: ScoringContract, start: tuple[int, ...], tokenizer: Any) -> _Prompts:
    """Consecutive windows from a text's start, each of ``tokens`` tokens, its special tokens included."""
    prefix = _begin(tokenizer) if contract.special_tokens == "every_window" else start
    step = contract.tokens - len(start)
    ids = _first_tokens(tokenizer, read_whole(contract.source), contract.prompts * step)
    prompts = [(*prefix, *ids[k : k + step]) for k in range(0, len(ids) - step + 1, step)]
    return prompts, ("",) * len(prompts)
