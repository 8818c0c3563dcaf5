"""Sizes that a configuration tells: held against the library's own models of every family, and refused of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM

from checker.checkpoints import config_sizes
from checker.checkpoints.config_sizes import ConfigSizes

FAMILIES = tuple(config_sizes._FAMILIES)
# Meta-Llama/Llama-3.1-8B, as its config.json has it
LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
    "num_key_value_heads": 8, "num_hidden_layers": 32, "vocab_size": 128256, "attention_bias": False,
    "mlp_bias": False, "tie_word_embeddings": False,
}  # fmt: skip


def read(folder: Path, config: Any) -> ConfigSizes:
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return config_sizes.read(path)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_they_are_those_of_the_librarys_own_model(tmp_path: Path, family: str, data: st.DataObject) -> None:
    shared = data.draw(st.sampled_from([1, 2, 4]))
    heads = shared * data.draw(st.sampled_from([1, 2]))
    sizes: dict[str, Any] = {
        "hidden_size": heads * 2 * data.draw(st.integers(2, 8)),
        "intermediate_size": data.draw(st.integers(8, 40)),
        "num_attention_heads": heads,
        "num_key_value_heads": shared,
        "num_hidden_layers": data.draw(st.integers(1, 5)),
        "vocab_size": data.draw(st.integers(32, 90)),
        "tie_word_embeddings": data.draw(st.booleans()),
        "pad_token_id": 0,
    }
    if family in ("gemma", "gemma2", "gemma3_text", "qwen3"):
        sizes["head_dim"] = data.draw(st.sampled_from([4, 6]))
    if family not in ("mistral", "phi3", "qwen2"):
        sizes["attention_bias"] = data.draw(st.booleans())
    if family in ("llama", "smollm3"):
        sizes["mlp_bias"] = data.draw(st.booleans())
    config = AutoConfig.for_model(family, **sizes)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    known = read(tmp_path, config.to_dict() if data.draw(st.booleans()) else json.loads(config.to_json_string()))
    stack = next(module for module in model.modules() if isinstance(module, torch.nn.ModuleList))
    own = {sum(parameter.numel() for parameter in block.parameters()) for block in stack}
    assert (known.blocks, known.unknown) == (len(stack), "")
    assert {known.block} == own
    assert known.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_those_of_llama_3_1_8b(tmp_path: Path) -> None:
    known = read(tmp_path, LLAMA)
    assert (known.blocks, known.block, known.parameters) == (32, 218_112_000, 8_030_261_248)
    assert known.file == "config.json"


@pytest.mark.parametrize(
    ("change", "unknown"),
    [
        ({"model_type": "mixtral"}, "what a block of 'mixtral' holds is not told by its configuration"),
        ({"model_type": ["llama"]}, "what a block of \"['llama']\" holds is not told by its configuration"),
        ({"hidden_size": None}, "the configuration has no whole number for hidden_size"),
        (
            {"hidden_size": True, "vocab_size": -1},
            "the configuration has no whole number for hidden_size and vocab_size",
        ),
        ({"head_dim": "64"}, "the configuration has no whole number for num_key_value_heads or head_dim"),
        ({"hidden_size": 10**30}, "the configuration has no whole number for hidden_size"),
    ],
)
def test_what_a_configuration_does_not_tell(tmp_path: Path, change: dict[str, Any], unknown: str) -> None:
    known = read(tmp_path, LLAMA | change)
    assert (known.blocks, known.block, known.parameters, known.unknown) == (32, None, None, unknown)


def test_without_a_number_of_blocks_the_whole_is_unknown(tmp_path: Path) -> None:
    known = read(tmp_path, {name: value for name, value in LLAMA.items() if name != "num_hidden_layers"})
    assert (known.blocks, known.block, known.parameters) == (None, 218_112_000, None)
