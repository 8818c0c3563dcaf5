"""A whole audit in a folder: a tiny random Llama, its tokenizer, texts and an audit file that runs in a second.

The text is drawn from made-up words, so that it has nothing in common with any text a model was trained on.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from folders import ROOT

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BLOCKS = 6
REPOSITORY = ROOT
COMMAND = (sys.executable, "-m", "checker")
PROMPTS = 12
PROMPT_TOKENS = 24
WORDS = 330
WINDOW, STRIDE = 32, 16
KINDS = ("fiction", "news", "letters")
SPECIAL = ("<unk>", "<s>", "</s>")
VOCABULARY = (*SPECIAL, *sorted(f"{a}{b}{c}" for a, b, c in product("bdklmnst", "aeiou", ("", "n", "r", "ru", "shi"))))

SECTIONS: Mapping[str, str] = {
    "pruneaudit": "1",
    "title": "A tiny model",
    "model": "{kind: directory, path: model, dtype: float32, device: cpu}",
    "data": f"""
  scoring:
    {{kind: rows, path: prompts.jsonl, prompts: {PROMPTS}, tokens: {PROMPT_TOKENS}, batch_tokens: 96,
      independent: true}}
  evaluation:
    {{kind: file, path: evaluation.txt, words: {WORDS}, window: {WINDOW}, stride: {STRIDE}, batch_tokens: 256}}""",
    "budgets": "[1, 2]",
    "methods": "[interchange, replacement, deletion, {kind: random, draws: 9, budgets: [2]}]",
    "claims": """
  - {id: cheap, says: Two layers can go for nearly nothing., kind: removal, layers: [1, 3], scope: contract,
     perplexity_increase: {at_most: 0.5}, protocol: interchange}
  - {id: bearable, says: Two layers can go at some cost., kind: removal, layers: [1, 3],
     perplexity_increase: {at_most: 1000000}, protocol: replacement}""",
    # Random weights predict nothing, which the rule would rightly say of a model that somebody publishes.
    "waivers": "[{rule: model/implausible-baseline, reason: The weights are random., expires: 9999-12-31}]",
}
# What the measurement does not contradict: the first alone is supported, the second is open on 20 windows.
PASSING = """
  - {id: bearable, kind: removal, layers: [1, 3], perplexity_increase: {at_most: 1000000}}"""


UNDECIDED = """
  - {id: hardly, kind: removal, layers: [1, 3], perplexity_increase: {at_most: 6}}"""


def write(folder: Path, *, begin_token: bool = False, **sections: str) -> Path:
    """The audit file ``folder/audit.yaml``, model and texts beside it; ``sections`` replace those of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder / "model", begin_token=begin_token)
    write_texts(folder)
    return write_audit(folder, **sections)


def write_audit(folder: Path, name: str = "audit.yaml", **sections: str) -> Path:
    """The audit file alone; a section that is given as an empty text is left out."""
    path = folder / name
    chosen = {**SECTIONS, **sections}
    path.write_text("".join(f"{key}: {value}\n" for key, value in chosen.items() if value), encoding="utf-8")
    return path


def write_texts(folder: Path, seed: int = 0) -> None:
    """``prompts.jsonl``, with kinds, and ``evaluation.txt``."""
    rows = [
        {"kind": KINDS[number % len(KINDS)], "text": sentence(2 * PROMPT_TOKENS, seed + 1000 + number)}
        for number in range(PROMPTS)
    ]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "evaluation.txt").write_text(sentence(2 * WORDS, seed), encoding="utf-8")


def sentence(words: int, seed: int) -> str:
    """Words drawn at random from the vocabulary, separated by spaces."""
    generator = random.Random(seed)
    return " ".join(generator.choice(VOCABULARY[len(SPECIAL) :]) for _ in range(words))


def write_model(folder: Path, *, begin_token: bool = False, seed: int = 0) -> None:
    """A random Llama of six blocks, wide enough apart that each of them matters, and its word-level tokenizer.

    With ``begin_token`` the tokenizer has one, and puts it before a text.
    """
    build(seed).save_pretrained(folder)
    tokenizer(begin_token).save_pretrained(folder)


def build(seed: int = 0) -> LlamaForCausalLM:
    """The model, the same weights for the same seed."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=BLOCKS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
        dtype="float32",
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def tokenizer(begin_token: bool) -> PreTrainedTokenizerFast:
    """One token per word; unknown words become one and the same token."""
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    if not begin_token:
        return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<s>")


def start(*arguments: str | Path, folder: Path, **options: Any) -> subprocess.Popen[str]:
    """The command in a process of its own, in ``folder``; stdout and stderr are pipes unless ``options`` say more."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment()}
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, text=True, preexec_fn=interruptible, **(pipes | options))


def interruptible() -> None:
    """Whoever started the tests in the background may have had interrupts ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def environment(**more: str) -> dict[str, str]:
    """The process's environment, from which the checkout can be imported whatever the folder."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **more}


@contextmanager
def one_thread() -> Iterator[None]:
    """Tiny products gain nothing from threads that wait for each other, least of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lasting(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report without what depends on when and where it was measured."""
    cost = {name: value for name, value in report["cost"].items() if name not in ("seconds", "peak_memory_bytes")}
    return {**{name: value for name, value in report.items() if name != "environment"}, "cost": cost}
