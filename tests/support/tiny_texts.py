"""Texts of a few words, and a tokenizer small enough to read its ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from checker.core.errors import CannotRun
from checker.core.records import TextSource

UNKNOWN, BEGIN, END = 0, 1, 2


def tokenizer(*, begins: bool = True, template: str = "<s> $A") -> Any:
    """One token a word: ``w0`` is token 3, ``w1`` token 4 and so on; ``a`` is token 103."""
    vocabulary = {"<unk>": UNKNOWN, "<s>": BEGIN, "</s>": END, **{f"w{k}": k + 3 for k in range(100)}, "a": 103}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if begins:
        inner.post_processor = processors.TemplateProcessing(template, special_tokens=[("<s>", BEGIN), ("</s>", END)])
    special = {"bos_token": "<s>", "eos_token": "</s>"} if begins else {}
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", **special)


WITH_BEGIN = tokenizer()
WITHOUT = tokenizer(begins=False)


def words(start: int, end: int) -> str:
    return " ".join(f"w{k}" for k in range(start, end))


def tokens(start: int, end: int) -> tuple[int, ...]:
    return tuple(range(start + 3, end + 3))


def plain(tmp_path: Path, text: str, name: str = "text.txt") -> TextSource:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return TextSource("file", path=str(tmp_path / name))


def rows(tmp_path: Path, *texts_of_rows: str, **settings_of_source: Any) -> TextSource:
    lines = (json.dumps({"kind": f"k{number}", "text": text}) for number, text in enumerate(texts_of_rows))
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return TextSource("rows", path=str(tmp_path / "rows.jsonl"), **settings_of_source)


def refused(action: Any, *args: Any) -> str:
    with pytest.raises(CannotRun) as caught:
        action(*args)
    return str(caught.value)
