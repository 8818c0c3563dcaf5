"""What slots are and what blocks hold, from the built architecture, where headers and config.json cannot tell."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import COMMON, FAMILIES, LLAMA, build, from_settings
from transformers import AutoModelForCausalLM

from checker.checkpoints.files import Files, locate
from checker.checkpoints.model_facts import facts
from checker.core.errors import CannotRun
from checker.core.facts import ModelFacts
from checker.core.layouts import Layout
from checker.core.records import ModelSource
from checker.core.slots import Comparison, of_slot
from checker.measure import slots
from checker.measure.cut_checkpoint import cut
from checker.measure.slots import Architecture

pytestmark = pytest.mark.usefixtures("one_thread")

ZAMBA = COMMON | {
    "hidden_size": 32, "num_hidden_layers": 8, "num_attention_heads": 4, "num_key_value_heads": 4,
    "intermediate_size": 64, "mamba_d_state": 8, "mamba_headdim": 8, "mamba_ngroups": 1, "n_mamba_heads": 8,
    "num_mem_blocks": 1, "hybrid_layer_ids": [2, 5], "adapter_rank": 4, "use_mem_eff_path": False,
    "layers_block_type": ["mamba", "mamba", "hybrid", "mamba", "mamba", "hybrid", "mamba", "mamba"],
}  # fmt: skip


def saved(model: torch.nn.Module, folder: Path, **config: object) -> Files:
    """The model's files; settings that are None are taken out of config.json."""
    model.save_pretrained(folder)
    file = folder / "config.json"
    changed = {**json.loads(file.read_text()), **config}
    file.write_text(json.dumps({name: value for name, value in changed.items() if value is not None}))
    return locate(ModelSource("directory", path=str(folder)))


def of_headers(files: Files) -> ModelFacts:
    return facts(files, ModelSource("directory", path=str(files.folder)))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_no_weight_is_needed(family: str) -> None:
    """The meta device gives the slots and blocks of the model with its weights."""
    whole = build(family)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(whole.config)
    assert slots.of_model(empty) == slots.of_model(whole)


def test_kinds_that_follow_from_a_period(tmp_path: Path) -> None:
    kinds = ["sliding_attention", "full_attention"] * 2
    files = saved(build("gemma3", layer_types=kinds), tmp_path / "m", layer_types=None, sliding_window_pattern=2)
    assert of_headers(files).slot_kinds == ()
    known = slots.in_facts(of_headers(files), slots.of_files(files))
    assert known.marks is not None
    assert known.marks["layer_type"] == tuple(kinds)
    assert of_slot(known.marks, 1)["rope_parameters.rope_theta"] == "1000000.0"
    assert of_slot(known.marks, 2)["rope_parameters.rope_theta"] == "10000.0"


def test_numbers_are_no_marks_and_neither_is_what_matters_in_training() -> None:
    known = slots.of_model(build("llama"))
    assert all(marks == known.marks[0] for marks in known.marks)
    assert not [name for name in known.marks[0] if "idx" in name or "drop" in name]


def test_blocks_that_share_parameters(tmp_path: Path) -> None:
    files = saved(from_settings("zamba2", ZAMBA), tmp_path / "m")
    headers, known = of_headers(files), slots.in_facts(of_headers(files), slots.of_files(files))
    assert headers.block_shapes[2] != headers.block_shapes[5]
    assert known.block_shapes[2] == known.block_shapes[5] != known.block_shapes[0]
    assert known.header_shapes == headers.header_shapes
    # 30,312 parameters run in blocks 2 and 5; what is not of the shared transformer block is each one's own.
    assert (known.saved_by_removing([2]), known.saved_by_removing([5])) == (8456, 8456)
    assert known.saved_by_removing([2, 5]) == 30312 + 8456
    assert known.saved_by_removing(range(8)) == sum(headers.block_parameters)


def test_the_same_parameters_as_in_the_headers_where_none_are_shared(tmp_path: Path) -> None:
    files = saved(build("deepseek_v3"), tmp_path / "m")
    assert slots.of_files(files).parameters == of_headers(files).block_parameters


def test_another_number_of_blocks_than_in_the_files_is_refused(tmp_path: Path) -> None:
    files = saved(build("llama"), tmp_path / "m")
    with pytest.raises(CannotRun) as refused:
        slots.in_facts(replace(of_headers(files), blocks=5), slots.of_files(files))
    assert str(refused.value) == (
        "found a stack of 4 blocks in the model that its configuration describes; expected the 5 that its files "
        "announce"
    )


def test_packed_parameters_are_counted_as_they_are_stored(tmp_path: Path) -> None:
    headers = of_headers(saved(build("llama"), tmp_path / "m"))
    known = slots.in_facts(headers, Architecture(({"a": "1"},) * 4, ("x",) * 4, (7,) * 4, (), 97), packed=True)
    assert (known.block_parameters, known.block_shapes) == (headers.block_parameters, headers.block_shapes)
    assert known.marks == {"a": ("1",)}


# --- a checkpoint against its base -----------------------------------------------------------------------------------


def compared(base: Files, checkpoint: Path, layout: str | None) -> Comparison:
    return slots.compared(slots.of_files(base), base, checkpoint, layout and Layout.parse(layout))


@pytest.mark.parametrize(
    ("family", "changes", "why"),
    [
        ("llama", {}, ""),
        (
            "gpt2_inverse",
            {},
            "block 2 ran in a slot with attn.scaling 0.117851 and runs with 0.176777 in the checkpoint",
        ),
        (
            "qwen2_moe",
            {"decoder_sparse_step": 2},
            "block 2 ran in a slot with mlp.class Qwen2MoeMLP and runs with Qwen2MoeSparseMoeBlock in the checkpoint",
        ),
    ],
)
def test_a_formula_of_the_number(family: str, changes: dict[str, int], why: str, tmp_path: Path) -> None:
    base = saved(build(family, **changes), tmp_path / "base")
    model = build(family, **changes)
    cut(model, Layout.parse("(0,2,3)"))
    saved(model, tmp_path / "cut", mlp_only_layers=[] if family == "qwen2_moe" else None)
    assert compared(base, tmp_path / "cut", "(0,2,3)") == Comparison("differ" if why else "same", why)


def test_a_rotary_base_that_is_another(tmp_path: Path) -> None:
    base = saved(build("llama"), tmp_path / "base")
    rope = {"rope_type": "default", "rope_theta": 500.0}
    saved(build("llama", rope_parameters=rope), tmp_path / "cut")
    assert compared(base, tmp_path / "cut", "(0,1,2,3)") == Comparison(
        "differ",
        "block 0 ran in a slot with rope_parameters.rope_theta 10000.0 and runs with 500.0 in the checkpoint",
    )


def test_blocks_whose_origin_is_open(tmp_path: Path) -> None:
    base = saved(build("llama"), tmp_path / "base")
    assert compared(base, tmp_path / "base", None) == Comparison(
        "open", "which block each of its blocks was is not decided"
    )


def test_a_model_that_does_not_say_where_it_embeds_tokens() -> None:
    model = build("llama")
    model.get_input_embeddings = lambda: (_ for _ in ()).throw(NotImplementedError("please override"))
    assert slots.of_model(model).embeddings is None
    assert slots.of_model(build("llama")).embeddings == LLAMA["vocab_size"]


CODE = """
from transformers import LlamaConfig, LlamaForCausalLM
class OwnConfig(LlamaConfig):
    model_type = "own"
class Own(LlamaForCausalLM):
    config_class = OwnConfig
"""


def test_own_code_of_a_checkpoint_runs_where_it_is_the_code_that_was_agreed_to(tmp_path: Path) -> None:
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.Own"}}
    saved(from_settings("llama", LLAMA), tmp_path / "base", **own)
    (tmp_path / "base" / "own.py").write_text(CODE)
    shutil.copytree(tmp_path / "base", tmp_path / "same")
    base = locate(ModelSource("directory", path=str(tmp_path / "base"), trust_remote_code=True))
    assert compared(base, tmp_path / "same", "(0,1,2,3)") == Comparison("same")
    (tmp_path / "same" / "own.py").write_text(f"{CODE}\nraise SystemExit('run without being asked for')\n")
    assert compared(base, tmp_path / "same", "(0,1,2,3)").state == "open"
