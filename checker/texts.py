"""Contract -> token windows: reads a text, tokenises it once, and cuts it as the contract says.

Shapes: W windows of a batch, T tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from checker.errors import CannotRun
from checker.records import (
    EvaluationContract,
    EvaluationFacts,
    ScoringContract,
    ScoringFacts,
    SpecialTokens,
    TextSource,
    digest,
)
from checker.sources import text_file, text_identity


@dataclass(frozen=True)
class Batch:
    """Windows of one length that run together; which ones is fixed by the contract, never by what is left to do."""

    ids: torch.Tensor  # (W, T)
    first: int  # the first position whose prediction is scored
    last: int  # the last one, inclusive; T - 1 has no next token in the window
    units: range  # which prompts or windows of the text these are
    name: str  # what a unit is called: prompt or window

    @property
    def positions(self) -> int:
        """Scored positions per window."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Row:
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Window:
    """Tokens that run together, and which of its positions' predictions are scored (inclusive)."""

    ids: tuple[int, ...]
    first: int
    last: int


@dataclass(frozen=True)
class Cut:
    """A text cut by its contract, with the words it was cut from."""

    windows: tuple[Window, ...]
    batches: tuple[Batch, ...]
    words: tuple[str, ...]


def scoring(contract: ScoringContract, tokenizer: Any) -> tuple[Cut, ScoringFacts]:
    """The prompts of a scoring contract, in batches. CannotRun names a prompt that is too short."""
    if contract.assembly == "rows":
        rows = list(islice(read_rows(contract.source), contract.prompts))
        prompts = [_row_prompt(contract, row, number, tokenizer) for number, row in enumerate(rows)]
        words = " ".join(row.text for row in rows).split()
    else:
        rows = []
        prompts, words = _window_prompts(contract, tokenizer)
    if len(prompts) < contract.prompts:
        raise CannotRun(
            f"{contract.source.name}: found {len(prompts)} prompts of {contract.tokens} tokens; expected "
            f"{contract.prompts}; lower `prompts` or use a longer text"
        )
    extra = len(_begin(tokenizer)) if contract.special_tokens == "every_window" else 0
    last = len(prompts[0]) - 1
    first = last if contract.positions == "last" else extra
    windows = tuple(Window(ids, first, last) for ids in prompts)
    cut = Cut(windows, tuple(batches(windows, contract.batch_tokens, "prompt")), tuple(words))
    kinds = tuple(row.kind for row in rows) or ("",) * len(windows)
    facts = ScoringFacts(
        text_digest=text_identity(contract.source),
        tokens_digest=digest([window.ids for window in windows]),
        kinds=kinds,
        prompts=len(windows),
        tokens=len(windows[0].ids),
        batches=len(cut.batches),
    )
    return cut, facts


def evaluation(
    contract: EvaluationContract, tokenizer: Any, scoring_words: Sequence[str]
) -> tuple[Cut, EvaluationFacts]:
    """The windows of an evaluation contract, in batches; ``scoring_words`` is what overlap is looked for in."""
    text = read_whole(contract.source)
    if contract.words is not None:
        words = text.split()
        if len(words) < contract.words:
            raise CannotRun(
                f"{contract.source.name}: found {len(words)} words; expected at least {contract.words}; lower `words`"
            )
        text = " ".join(words[: contract.words])
    ids = _start(contract.special_tokens, tokenizer) + _tokenise(tokenizer, text)
    prefix = _begin(tokenizer) if contract.special_tokens == "every_window" else ()
    windows = tuple(evaluation_windows(ids, contract, prefix))
    if not windows:
        raise CannotRun(
            f"{contract.source.name}: found {len(ids)} tokens; expected at least "
            f"{contract.window if contract.boundary == 'whole_window' else 2}; use a longer text"
        )
    words = text.split()
    cut = Cut(windows, tuple(batches(windows, contract.batch_tokens, "window")), tuple(words))
    facts = EvaluationFacts(
        text_digest=text_identity(contract.source),
        tokens_digest=digest([window.ids for window in windows]),
        tokens=len(ids),
        scored=tuple(window.last - window.first + 1 for window in windows),
        batches=len(cut.batches),
        shared_run=longest_shared_run(scoring_words, words),
    )
    return cut, facts


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
        while end < len(windows) and end - start < limit and _alike(windows[end], window):
            end += 1
        ids = torch.tensor([one.ids for one in windows[start:end]], dtype=torch.long)
        yield Batch(ids, window.first, window.last, range(start, end), name)
        start = end


def begin_token_windows(contract: EvaluationContract, tokenizer: Any) -> tuple[Batch, Batch] | None:
    """The first evaluation window without and with the begin token, scoring the same tokens; None without one."""
    begin = _begin(tokenizer)
    if not begin:
        return None
    text = read_whole(contract.source)
    ids = tuple(_tokenise(tokenizer, " ".join(text.split()[: contract.window]))[: contract.window])
    if len(ids) < 2:
        return None
    without = Window(ids, 0, len(ids) - 2)
    with_begin = Window((*begin, *ids), len(begin), len(begin) + len(ids) - 2)
    one, other = (next(batches([window], 1, "window")) for window in (without, with_begin))
    return one, other


def longest_shared_run(one: Sequence[str], other: Sequence[str]) -> int:
    """Length in words of the longest run that stands in both texts."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        runs = {tuple(one[k : k + middle]) for k in range(len(one) - middle + 1)}
        if any(tuple(other[k : k + middle]) in runs for k in range(len(other) - middle + 1)):
            low = middle
        else:
            high = middle - 1
    return low


# --- reading ---------------------------------------------------------------------------------------------------------


def read_rows(source: TextSource) -> Iterator[Row]:
    """The rows of a source, in order; CannotRun names a row that is not one."""
    path = text_file(source)
    if path is None:
        for row in _hub_rows(source):
            yield _row(source, row)
    elif source.kind == "rows" or path.suffix in (".jsonl", ".parquet"):
        for row in _parquet_rows(path) if path.suffix == ".parquet" else _json_rows(path):
            yield _row(source, row)
    else:
        for line in path.read_text(encoding="utf-8").split("\n"):
            yield Row(line)


def read_whole(source: TextSource) -> str:
    """The whole text of a source; rows are joined by ``join``, empty ones left out where ``drop_empty`` says so."""
    path = text_file(source)
    if path is not None and source.kind != "rows" and path.suffix not in (".jsonl", ".parquet"):
        return path.read_text(encoding="utf-8")
    rows = (row.text for row in read_rows(source))
    return source.join.join(text for text in rows if text.strip() or not source.drop_empty)


def _row(source: TextSource, row: dict[str, Any]) -> Row:
    text = row.get(source.column)
    if not isinstance(text, str):
        raise CannotRun(
            f"{source.name}: found a row with no text in column {source.column!r} (it has {', '.join(map(str, row))}); "
            "expected text there; set `column`"
        )
    return Row(text, str(row.get(source.kind_column) or ""))


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise CannotRun(f"{path}:{number}: found no JSON ({error}); expected one object a line") from None
            if not isinstance(row, dict):
                raise CannotRun(f"{path}:{number}: found {type(row).__name__}; expected an object")
            yield row


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    from datasets import Dataset  # here, because it takes seconds to import and most texts do not need it

    yield from Dataset.from_parquet(str(path))


def _hub_rows(source: TextSource) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset

    try:
        rows = load_dataset(source.repo, name=source.config, split=source.split, revision=source.revision)
    except Exception as error:  # the library raises many kinds; each means that the text is not to be had
        raise CannotRun(
            f"dataset {source.name}: found no way to load it ({type(error).__name__}: {error}); expected it on the hub "
            "or in the local cache; check the name, or point the contract at a local file with `kind: file`"
        ) from error
    yield from rows


# --- tokens ----------------------------------------------------------------------------------------------------------


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


def _start(special_tokens: SpecialTokens, tokenizer: Any) -> list[int]:
    """What stands before a text: the tokenizer's own start, or nothing."""
    if special_tokens == "tokenizer":
        return list(_tokeniser_start(tokenizer))
    if special_tokens == "every_window" and not _begin(tokenizer):
        raise CannotRun("special_tokens: found `every_window`, but the tokenizer has no begin token; use `none`")
    return []


def _row_prompt(contract: ScoringContract, row: Row, number: int, tokenizer: Any) -> tuple[int, ...]:
    ids = _start(contract.special_tokens, tokenizer) + _tokenise(tokenizer, row.text)
    if len(ids) < contract.tokens:
        raise CannotRun(
            f"{contract.source.name}, row {number + 1}: found {len(ids)} tokens; expected at least {contract.tokens}; "
            "lower `tokens` or leave the row out"
        )
    prefix = _begin(tokenizer) if contract.special_tokens == "every_window" else ()
    return (*prefix, *ids[: contract.tokens])


def _window_prompts(contract: ScoringContract, tokenizer: Any) -> tuple[list[tuple[int, ...]], list[str]]:
    """Consecutive windows from a text's start, each of ``tokens`` tokens, its special tokens included."""
    whole = read_whole(contract.source)
    start = tuple(_start(contract.special_tokens, tokenizer))
    prefix = _begin(tokenizer) if contract.special_tokens == "every_window" else start
    step = contract.tokens - len(start)
    # Tokens cover some four characters each: a long text's beginning is enough, and all of it is read where it is not.
    beginning = whole[: contract.prompts * contract.tokens * 32]
    ids = _tokenise(tokenizer, beginning)[: contract.prompts * step]
    if len(ids) < contract.prompts * step and len(beginning) < len(whole):
        ids = _tokenise(tokenizer, whole)[: contract.prompts * step]
    prompts = [(*prefix, *ids[k : k + step]) for k in range(0, len(ids) - step + 1, step)]
    used = tokenizer.decode(ids) if ids else ""
    return prompts, used.split()


def _alike(one: Window, other: Window) -> bool:
    return (len(one.ids), one.first, one.last) == (len(other.ids), other.first, other.last)
