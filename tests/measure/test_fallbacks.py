"""What the library takes in the place of what files say: told, or refused where it makes another model."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_files import entry, gguf_bytes, gguf_text, tensor_info
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from checker.checkpoints.files import Files
from checker.core.errors import CannotRun
from checker.measure.fallbacks import fallbacks
from checker.measure.models import load_tokenizer

BYTE_LEVEL = SimpleNamespace(backend_tokenizer=SimpleNamespace(pre_tokenizer=pre_tokenizers.ByteLevel()))
OWN_SPLIT = SimpleNamespace(
    backend_tokenizer=SimpleNamespace(
        pre_tokenizer=pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(r"\s"), "isolated"), pre_tokenizers.ByteLevel(use_regex=False)]
        )
    )
)
SLOW = SimpleNamespace()  # a tokenizer without a backend of tokenizers


def gguf(folder: Path, *more: bytes, architecture: str = "llama", tensor: str = "token_embd.weight") -> Files:
    entries = [entry("general.architecture", 8, gguf_text(architecture)), *more]
    path = folder / "model.gguf"
    path.write_bytes(gguf_bytes(entries, [tensor_info(tensor, (4,))], 32))
    return Files("gguf", folder, None, (path,), ())


def bpe(pre: str | None) -> tuple[bytes, ...]:
    kind = entry("tokenizer.ggml.model", 8, gguf_text("gpt2"))
    return (kind,) if pre is None else (kind, entry("tokenizer.ggml.pre", 8, gguf_text(pre)))


@pytest.mark.parametrize(
    ("pre", "told"),
    [
        ("stablelm2", "the pre-tokeniser 'stablelm2' in the GGUF file, where"),
        (None, "no pre-tokeniser in the GGUF file, where"),
    ],
)
def test_a_pre_tokeniser_that_the_library_does_not_know_is_told(tmp_path: Path, pre: str | None, told: str) -> None:
    (sentence,) = fallbacks(gguf(tmp_path, *bpe(pre)), BYTE_LEVEL)
    assert sentence == f"{told} this version of transformers splits text as GPT-2 does"
    assert fallbacks(gguf(tmp_path, *bpe(pre)), OWN_SPLIT) == (), "split as the file asks"


def test_what_splits_as_gpt2_by_its_own_word_is_no_fallback(tmp_path: Path) -> None:
    assert fallbacks(gguf(tmp_path, *bpe("gpt-2")), BYTE_LEVEL) == ()
    assert fallbacks(gguf(tmp_path, entry("tokenizer.ggml.model", 8, gguf_text("llama"))), SLOW) == ()
    assert fallbacks(Files("directory", tmp_path, tmp_path / "config.json", (), ()), BYTE_LEVEL) == ()


@pytest.mark.parametrize("how", ["a tensor of factors", "a type"])
def test_scaled_rotary_angles_that_the_library_leaves_out_are_refused(tmp_path: Path, how: str) -> None:
    yarn = entry("llama.rope.scaling.type", 8, gguf_text("yarn"))
    by_tensor = how == "a tensor of factors"
    files = gguf(tmp_path, tensor="rope_freqs.weight") if by_tensor else gguf(tmp_path, yarn)
    with pytest.raises(CannotRun) as error:
        fallbacks(files, OWN_SPLIT)
    told = "rope_freqs.weight" if by_tensor else "rope.scaling.type 'yarn'"
    assert str(error.value) == (
        f"{tmp_path / 'model.gguf'}: found scaled rotary angles ({told}); expected none, for transformers leaves them "
        "out when it reads GGUF, and would run another model; audit the checkpoint that the file was made from"
    )


@pytest.mark.parametrize("kind", ["none", "linear"])
def test_rotary_angles_scaled_by_nothing_are_read(tmp_path: Path, kind: str) -> None:
    scaling = (
        entry("llama.rope.scaling.type", 8, gguf_text(kind)),
        entry("llama.rope.scaling.factor", 6, b"\x00\x00\x80\x3f"),
    )
    assert fallbacks(gguf(tmp_path, *scaling), OWN_SPLIT) == ()


def test_the_one_architecture_whose_scaling_is_read(tmp_path: Path) -> None:
    yarn = entry("gpt-oss.rope.scaling.type", 8, gguf_text("yarn"))
    assert fallbacks(gguf(tmp_path, yarn, architecture="gpt-oss"), OWN_SPLIT) == ()


# --- folders ---------------------------------------------------------------------------------------------------------


def tokenizer_of(folder: Path, named: str) -> tuple[Files, Any]:
    """A tokenizer of words and single letters that splits at white space, under the class that is ``named``."""
    words = ["<unk>", "it", "km", "the", "they", *"abcdefghijklmnopqrstuvwxyz"]
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>").save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "tokenizer_class": named}))
    (folder / "config.json").write_text("{}")
    names = ("tokenizer.json", "tokenizer_config.json")
    files = Files("directory", folder, folder / "config.json", (), tuple(folder / name for name in names))
    return files, load_tokenizer(files)


def test_a_class_that_builds_another_tokenizer_than_the_one_in_the_file_is_told(tmp_path: Path) -> None:
    (sentence,) = fallbacks(*tokenizer_of(tmp_path, "Qwen2Tokenizer"))
    assert sentence == (
        "a tokenizer.json that gives other token ids than Qwen2Tokenizer, the class that its settings name and that "
        "this version of transformers builds anew"
    )


def test_a_tokenizer_that_is_what_its_file_says(tmp_path: Path) -> None:
    assert fallbacks(*tokenizer_of(tmp_path, "PreTrainedTokenizerFast")) == ()
