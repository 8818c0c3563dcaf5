"""What transformers takes, without a word, in the place of what a model's files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checker.checkpoints.files import Files
from checker.checkpoints.gguf import GgufHeader, read_gguf
from checker.core.errors import CannotRun

_ROTARY_FACTORS = "rope_freqs.weight"  # how llama.cpp stores the scaled frequencies of Llama 3.1 and its kin
_GPT2 = "gpt-2"  # what GGUF calls GPT-2's own pre-tokeniser
# What tokenizers split differently: contractions, numbers, white space, scripts without spaces, marks, code.
_SAMPLE = "It's 12,345.67 km - they'll see\n\n  the naïve café\t(東京、Москва) 🙂 if x_1 != y[2]: return  None"


def fallbacks(files: Files, tokenizer: Any) -> tuple[str, ...]:
    """A sentence for each thing that is not as the model's files say.

    CannotRun where what would be measured is another model.
    """
    if files.config is not None:
        written = next((path for path in files.tokenizer if path.name == "tokenizer.json"), None)
        return () if written is None or _as_written(written, tokenizer) else (_other_tokens(tokenizer),)
    header = read_gguf(files.weights[0])
    _check_rotary(files, header)
    splits = _splits_as_gpt2(tokenizer)
    named = header.metadata.get("tokenizer.ggml.pre")
    if header.metadata.get("tokenizer.ggml.model") != "gpt2" or not splits or named == _GPT2:
        return ()
    pre = f"the pre-tokeniser {str(named)[:80]!r}" if named is not None else "no pre-tokeniser"
    return (f"{pre} in the GGUF file, where this version of transformers splits text as GPT-2 does",)


def _as_written(path: Path, tokenizer: Any) -> bool:
    """Whether a tokenizer gives the token ids of its tokenizer.json: some classes build their own in its place."""
    from tokenizers import Tokenizer  # comes with transformers

    written: list[int] = Tokenizer.from_file(str(path)).encode(_SAMPLE, add_special_tokens=False).ids
    return written == list(tokenizer(_SAMPLE, add_special_tokens=False)["input_ids"])


def _other_tokens(tokenizer: Any) -> str:
    return (
        f"a tokenizer.json that gives other token ids than {type(tokenizer).__name__}, the class that its settings "
        "name and that this version of transformers builds anew"
    )


def _splits_as_gpt2(tokenizer: Any) -> bool:
    """Whether text is split by the regex of GPT-2, which byte-level tokenizers have unless they are given another."""
    from tokenizers import pre_tokenizers  # comes with transformers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    pre = getattr(backend, "pre_tokenizer", None)
    return isinstance(pre, pre_tokenizers.ByteLevel) and bool(pre.use_regex)


def _check_rotary(files: Files, header: GgufHeader) -> None:
    """Scaled rotary angles change every logit, and the library reads them for one architecture only."""
    architecture = header.metadata.get("general.architecture")
    if architecture == "gpt-oss":
        return
    kind = header.metadata.get(f"{architecture}.rope.scaling.type", "none")
    factor = header.metadata.get(f"{architecture}.rope.scaling.factor")
    stored = any(tensor.name == _ROTARY_FACTORS for tensor in header.tensors)
    if not stored and (kind == "none" or factor == 1):
        return
    raise CannotRun.at(
        files.weights[0],
        f"scaled rotary angles ({_ROTARY_FACTORS if stored else f'rope.scaling.type {str(kind)[:80]!r}'})",
        "none, for transformers leaves them out when it reads GGUF, and would run another model",
        "audit the checkpoint that the file was made from",
    )
