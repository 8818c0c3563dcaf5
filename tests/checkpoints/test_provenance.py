"""The provenance of checkpoints that these tests cut, cast, merge, reorder, duplicate and train themselves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tiny_audit
import tiny_gguf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_models import build, token_ids
from torch import nn

from checker import cli
from checker.checkpoints.provenance.blocks import read_blocks
from checker.checkpoints.provenance.comparison import Provenance, layout_of, provenance
from checker.checkpoints.provenance.origins import origins
from checker.checkpoints.provenance.weights import open_folder
from checker.core.errors import CannotRun
from checker.core.layouts import Layout
from checker.measure.cut_checkpoint import cut, save

pytestmark = pytest.mark.usefixtures("one_thread")

TIED = {"tie_word_embeddings": True}
Run = Callable[..., tuple[int, str, str]]
MODELS: Mapping[str, Callable[[], nn.Module]] = {
    "llama": partial(build, "llama"),
    "tied": partial(build, "qwen2", **TIED),
    "gpt2": partial(build, "gpt2"),
    "experts": partial(build, "mixtral"),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of base checkpoints, one per name in MODELS."""
    folder = tmp_path_factory.mktemp("bases")
    for name, model in MODELS.items():
        model().save_pretrained(folder / name)
    return folder


def made(model: nn.Module, layout: str, to: Path, **options: Any) -> Path:
    """The checkpoint of a layout, as a user would save it."""
    cut(model, Layout.parse(layout))
    model.save_pretrained(to, **options)
    return to


def trained(model: nn.Module, steps: int = 3) -> nn.Module:
    """The model after a few steps of fine-tuning all its weights."""
    model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(steps):
        ids = token_ids(2, 12, seed=step)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.requires_grad_(False)


def changed(base: Path, to: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """A copy of a checkpoint of a single file, with other tensors."""
    shutil.copytree(base, to)
    tensors = load_file(to / "model.safetensors")
    change(tensors)
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, to / "model.safetensors")
    return to


def states(found: Provenance) -> list[str]:
    return [origin.state for origin in found.origins]


def outside(found: Provenance) -> dict[str, str]:
    return {each.role: each.state for each in found.outside}


# --- cut, reordered, duplicated, merged ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shard", ["5GB", "40KB"], ids=["single", "sharded"])
@pytest.mark.parametrize("layout", ["(1,3)", "(0,2@1,1@2,3)", "(0,1,1@2,3)", "(3@0,0@3)", "(2)", "(0,1,2,3)"])
def test_copied_blocks_are_told_by_their_digests(
    name: str, shard: str, layout: str, bases: Path, tmp_path: Path
) -> None:
    folder = made(MODELS[name](), layout, tmp_path / "made", max_shard_size=shard)
    assert (folder / "model.safetensors.index.json").exists() == (shard == "40KB")
    found = provenance(bases / name, folder)
    assert str(found.layout) == layout
    assert set(states(found)) == {"identical"}
    assert {origin.change for origin in found.origins} == {0.0}
    assert set(outside(found).values()) <= {"identical", "tied"}
    assert outside(found)["head"] == ("identical" if name in ("llama", "experts") else "tied")
    assert all(setting.agrees for setting in found.settings)
    assert found.open == ()
    assert found.cut == (layout in ("(1,3)", "(2)", "(0,1,2,3)"))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    "layout",
    ["(0,mix(1:-1,2:1,3:1)@1)", "(0,mix(1:.5,2:.5)@1,3)", "(mix(0:.5,1:.5)@0,mix(0:.5,1:.5)@1,3)", "(0,mix(2:.9)@2)"],
)
def test_merged_blocks_are_told_with_their_weights(
    name: str, dtype: torch.dtype | None, layout: str, bases: Path, tmp_path: Path
) -> None:
    model = MODELS[name]()
    cut(model, Layout.parse(layout))
    model.to(dtype or torch.float32).save_pretrained(tmp_path / "made")
    found = provenance(bases / name, tmp_path / "made")
    assert str(found.layout) == layout
    sums = [state for state, place in zip(states(found), Layout.parse(layout).places, strict=True) if not place.own]
    assert set(sums) == {"merged"}
    assert not found.retrained
    assert found.open == ()


def test_weights_of_a_merge_that_are_no_round_numbers(bases: Path, tmp_path: Path) -> None:
    found = provenance(bases / "llama", made(MODELS["llama"](), "(mix(0:.123456,2:.7)@0,3)", tmp_path / "made"))
    assert str(found.layout) == "(mix(0:.123456,2:.7)@0,3)"
    assert states(found) == ["merged", "identical"]


def test_a_merge_that_was_trained_afterwards(bases: Path, tmp_path: Path) -> None:
    model = MODELS["llama"]()
    cut(model, Layout.parse("(0,mix(1:.5,2:.5)@1,3)"))
    trained(model).save_pretrained(tmp_path / "made")
    found = provenance(bases / "llama", tmp_path / "made")
    assert str(found.layout) == "(0,mix(1:.5,2:.5)@1,3)"
    assert states(found) == ["retrained", "merged and retrained", "retrained"]


# --- cast and retrained ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "tied", "gpt2"])
@pytest.mark.parametrize(("dtype", "kind"), [(torch.bfloat16, "BF16"), (torch.float16, "F16")], ids=str)
def test_cast_blocks_are_not_taken_for_retrained_ones(
    name: str, dtype: torch.dtype, kind: str, bases: Path, tmp_path: Path
) -> None:
    model = MODELS[name]()
    cut(model, Layout.parse("(0,3)"))
    model.to(dtype).save_pretrained(tmp_path / "made")
    found = provenance(bases / name, tmp_path / "made")
    assert str(found.layout) == "(0,3)"
    assert states(found) == ["cast", "cast"]
    assert {origin.through for origin in found.origins} == {kind}
    assert set(outside(found).values()) <= {"cast", "tied"}
    assert found.touched == ()


@pytest.mark.parametrize("name", MODELS)
def test_the_blocks_of_an_exported_checkpoint_are_named_and_of_one_that_was_then_trained(
    name: str, bases: Path, tmp_path: Path
) -> None:
    exported = save(MODELS[name](), tiny_audit.tokenizer(False), Layout.parse("(0,2)"), tmp_path / "exported")
    plain = provenance(bases / name, exported)
    assert (plain.removed, str(plain.layout), states(plain)) == ((1, 3), "(0,2)", ["identical", "identical"])
    assert (plain.retrained, plain.touched) == ((), ())

    model = MODELS[name]()
    cut(model, Layout.parse("(0,2)"))
    trained(model).save_pretrained(tmp_path / "tuned")
    tuned = provenance(bases / name, tmp_path / "tuned")
    assert (tuned.removed, str(tuned.layout), states(tuned)) == ((1, 3), "(0,2)", ["retrained", "retrained"])
    assert tuned.retrained == (0, 1)
    assert outside(tuned)["embeddings"] == "retrained"


def test_the_relative_change_is_that_of_the_whole_block(bases: Path, tmp_path: Path) -> None:
    model = MODELS["llama"]()
    before = {name: tensor.clone() for name, tensor in model.model.layers[2].state_dict().items()}
    model.model.layers[2].mlp.up_proj.weight.mul_(1.5)
    found = provenance(bases / "llama", made(model, "(0,2,3)", tmp_path / "made"))
    whole = sum(float(tensor.double().square().sum()) for tensor in before.values()) ** 0.5
    part = 0.5 * float(before["mlp.up_proj.weight"].double().norm())
    assert states(found) == ["identical", "retrained", "identical"]
    assert found.origins[1].change == pytest.approx(part / whole, rel=1e-6)
    assert found.origins[1].changed == ("mlp.up_proj.weight",)


# --- what cannot be decided ------------------------------------------------------------------------------------------


def test_a_block_of_other_weights_is_open(bases: Path, tmp_path: Path) -> None:
    def replace(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if ".layers.1." in name]:
            tensors[name] = torch.randn(tensors[name].shape, generator=torch.Generator().manual_seed(9))

    found = provenance(bases / "llama", changed(bases / "llama", tmp_path / "made", replace))
    assert states(found) == ["identical", "open", "identical", "identical"]
    assert found.layout is None
    assert "block 1 of the checkpoint: base block " in found.open[0]
    assert "is the nearest, and hardly nearer than the next: " in found.open[0]
    assert found.agreement([1])[0] == "open"


def test_a_block_of_zeros_is_open(bases: Path, tmp_path: Path) -> None:
    def zero(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if ".layers.1." in name]:
            tensors[name] = torch.zeros_like(tensors[name])

    found = provenance(bases / "llama", changed(bases / "llama", tmp_path / "made", zero))
    assert found.open == ("block 1 of the checkpoint: all its sampled values are zero",)


def test_a_block_put_together_from_several_is_open(bases: Path, tmp_path: Path) -> None:
    def mix(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if ".layers.1.mlp." in name]:
            tensors[name] = tensors[name.replace(".1.", ".2.")]

    found = provenance(bases / "llama", changed(bases / "llama", tmp_path / "made", mix))
    assert found.open == (
        "block 1 of the checkpoint: its tensors are copies from several base blocks: 6 of block 1, 3 of block 2",
    )


def test_a_narrower_block_is_open_with_its_shape(bases: Path, tmp_path: Path) -> None:
    def narrow(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.1.mlp.up_proj.weight"] = tensors["model.layers.1.mlp.up_proj.weight"][:40]

    found = provenance(bases / "llama", changed(bases / "llama", tmp_path / "made", narrow))
    assert found.open == (
        "block 1 of the checkpoint: its tensor mlp.up_proj.weight has shape [40, 32], and [64, 32] in the base",
    )


@pytest.mark.parametrize(
    ("gone", "new", "reason"),
    [
        ("self_attn.q_proj.weight", None, "it has no tensor self_attn.q_proj.weight, and every base block has one"),
        ("self_attn.q_proj.weight", "self_attn.qkv.weight", "no base block has a tensor self_attn.qkv.weight"),
    ],
)
def test_a_block_of_other_parts_is_open(gone: str, new: str | None, reason: str, bases: Path, tmp_path: Path) -> None:
    def rename(tensors: dict[str, torch.Tensor]) -> None:
        tensor = tensors.pop(f"model.layers.1.{gone}")
        if new is not None:
            tensors[f"model.layers.1.{new}"] = tensor

    found = provenance(bases / "llama", changed(bases / "llama", tmp_path / "made", rename))
    assert found.open == (f"block 1 of the checkpoint: {reason}",)


def test_types_that_hold_no_plain_weight_are_compared_by_digest_alone(bases: Path, tmp_path: Path) -> None:
    def pack(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if ".layers." in name]:
            tensors[name] = tensors[name].to(torch.float8_e4m3fn)

    packed = changed(bases / "llama", tmp_path / "packed", pack)
    found = provenance(packed, packed)
    assert str(found.layout) == "(0,1,2,3)"
    told = "it is stored as F8_E4M3, which is compared by digest alone, and no base block has its digest"
    assert provenance(bases / "llama", packed).open[0] == f"block 0 of the checkpoint: {told}"
    told = "the base is stored as F8_E4M3, which is compared by digest alone"
    assert provenance(packed, bases / "llama").open[0] == f"block 0 of the checkpoint: {told}"


def test_which_of_two_equal_base_blocks_is_gone_cannot_be_told(bases: Path, tmp_path: Path) -> None:
    def twin(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if ".layers.1." in name]:
            tensors[name.replace(".1.", ".2.")] = tensors[name]

    base = changed(bases / "llama", tmp_path / "base", twin)
    model = MODELS["llama"]()
    model.load_state_dict(load_file(base / "model.safetensors"))
    found = provenance(base, made(model, "(0,2,3)", tmp_path / "made"))
    assert found.open == ("base blocks 1, 2 have the very same weights, so which of them is gone cannot be told",)
    assert [found.agreement(claim)[0] for claim in ([1], [2], [1, 2], [3])] == [
        "agrees",
        "agrees",
        "differs",
        "differs",
    ]
    assert str(provenance(base, base).layout) == "(0,1,2,3)"
    assert provenance(base, base).open == ()


def test_more_blocks_than_the_base_has_slots(bases: Path, tmp_path: Path) -> None:
    small = made(MODELS["llama"](), "(1,3)", tmp_path / "small")
    found = provenance(small, bases / "llama")
    assert found.layout is None
    assert [origin.block for origin in found.origins] == [None, 0, None, 1]


# --- around the blocks -----------------------------------------------------------------------------------------------


def test_a_head_that_was_tied_and_is_stored_is_told_by_its_values(bases: Path, tmp_path: Path) -> None:
    def untie(change: float) -> Callable[[dict[str, torch.Tensor]], None]:
        def store(tensors: dict[str, torch.Tensor]) -> None:
            tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + change

        return store

    same = provenance(bases / "tied", changed(bases / "tied", tmp_path / "same", untie(0.0)))
    other = provenance(bases / "tied", changed(bases / "tied", tmp_path / "other", untie(0.1)))
    assert outside(same)["head"] == "tied"
    assert outside(other)["head"] == "retrained"
    assert other.touched == ("lm_head.weight",)
    back = provenance(tmp_path / "same", bases / "tied")
    assert outside(back)["head"] == "tied"


def test_tensors_outside_of_the_blocks_that_were_changed_resized_added_or_lost(bases: Path, tmp_path: Path) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.embed_tokens.weight"] = torch.cat([tensors["model.embed_tokens.weight"], torch.zeros(3, 32)])
        tensors["lm_head.weight"] = tensors["lm_head.weight"] * 1.25
        tensors["model.extra.weight"] = torch.zeros(3)
        del tensors["model.norm.weight"]

    found = provenance(bases / "llama", changed(bases / "llama", tmp_path / "made", change))
    assert [(each.role, each.state) for each in found.outside] == [
        ("embeddings", "open"), ("norm", "absent"), ("head", "retrained"), ("other", "added"),
    ]  # fmt: skip
    assert found.outside[0].note == "shape [100, 32], and [97, 32] in the base"
    assert found.outside[2].change == pytest.approx(0.25)
    assert [(each.field, each.found, each.expected) for each in found.settings if not each.agrees] == [
        ("vocab_size", 97, 100)
    ]


def test_embeddings_may_be_narrower_than_the_blocks(tmp_path: Path) -> None:
    """As those of OPT-350m."""
    narrow = {"word_embed_proj_dim": 16, "do_layer_norm_before": False}
    build("opt", **narrow).save_pretrained(tmp_path / "base")
    folder = made(build("opt", **narrow), "(0,2,3)", tmp_path / "made")
    found = provenance(tmp_path / "base", folder)
    sizes = {each.field: (each.found, each.agrees) for each in found.settings if each.field.endswith("_size")}
    assert sizes == {"hidden_size": (32, True), "vocab_size": (97, True)}


def test_embeddings_may_have_more_rows_than_the_vocabulary(bases: Path, tmp_path: Path) -> None:
    """As those of Mllama have, eight of them. What counts is by how many rows they were changed."""

    def smaller(config: Path) -> None:
        config.write_text(json.dumps({**json.loads(config.read_text()), "vocab_size": 89}))

    base, kept = (shutil.copytree(bases / "llama", tmp_path / name) for name in ("base", "kept"))

    def longer(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.embed_tokens.weight"] = torch.cat([tensors["model.embed_tokens.weight"], torch.zeros(3, 32)])

    grown = changed(base, tmp_path / "grown", longer)
    for folder in (base, kept, grown):
        smaller(folder / "config.json")
    assert all(each.agrees for each in provenance(base, kept).settings)
    wrong = [(each.field, each.found, each.expected) for each in provenance(base, grown).settings if not each.agrees]
    assert wrong == [("vocab_size", 89, 92)]


def test_names_may_start_otherwise(bases: Path, tmp_path: Path) -> None:
    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith("model.")]:
            tensors[f"language_{name}"] = tensors.pop(name)

    found = provenance(bases / "llama", changed(bases / "llama", tmp_path / "made", rename))
    assert str(found.layout) == "(0,1,2,3)"
    assert set(outside(found).values()) == {"identical"}


def test_the_configuration_is_held_against_the_blocks(bases: Path, tmp_path: Path) -> None:
    folder = made(build("qwen2", **TIED), "(0,1,3)", tmp_path / "made")
    config = json.loads((folder / "config.json").read_text())
    assert config["layer_types"] == ["sliding_attention", "full_attention", "full_attention"]
    config |= {"num_hidden_layers": 4, "layer_types": config["layer_types"][::-1], "max_window_layers": 9,
               "rms_norm_eps": 0.1}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    found = provenance(bases / "tied", folder)
    assert str(found.layout) == "(0,1,3)"
    assert {each.field: (each.found, each.expected) for each in found.settings if not each.agrees} == {
        "layer_types": (config["layer_types"], config["layer_types"][::-1]),
        "max_window_layers": (9, 3),
        "num_hidden_layers": (4, 3),
        "rms_norm_eps": (0.1, 1e-6),
    }


def test_a_number_that_is_written_otherwise_is_no_block(bases: Path, tmp_path: Path) -> None:
    """Or the tensors of blocks 1 and 01 would stand for one another."""

    def double(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if ".layers.1." in name]:
            tensors[name.replace(".1.", ".01.")] = tensors[name.replace(".1.", ".2.")]

    found = provenance(bases / "llama", changed(bases / "llama", tmp_path / "made", double))
    assert str(found.layout) == "(0,1,2,3)"
    assert {each.state for each in found.outside if ".01." in each.name} == {"added"}


def test_numbers_with_gaps_are_told(bases: Path, tmp_path: Path) -> None:
    def drop(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if ".layers.1." in name]:
            del tensors[name]

    found = provenance(bases / "llama", changed(bases / "llama", tmp_path / "made", drop))
    assert str(found.layout) == "(0,2,3)"
    wrong = {each.field: (each.found, each.expected) for each in found.settings if not each.agrees}
    assert wrong == {"block numbers": ([0, 2, 3], [0, 1, 2]), "num_hidden_layers": (4, 3)}


# --- damaged, inconsistent, hostile ----------------------------------------------------------------------------------


def refused(base: Path, folder: Path) -> str:
    with pytest.raises(CannotRun) as error:
        provenance(base, folder)
    return str(error.value)


def test_a_folder_that_is_not_there(bases: Path, tmp_path: Path) -> None:
    assert refused(bases / "llama", tmp_path / "none") == (
        f"{tmp_path}/none: found no such folder; expected one with config.json and safetensors, or a GGUF file; "
        "check the path"
    )


def test_a_truncated_file(bases: Path, tmp_path: Path) -> None:
    shutil.copytree(bases / "llama", tmp_path / "made")
    path = tmp_path / "made" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert refused(bases / "llama", tmp_path / "made").startswith(f"{path}: found tensor ")


def test_an_index_that_leads_out_of_its_folder(bases: Path, tmp_path: Path) -> None:
    folder = made(MODELS["llama"](), "(0,1)", tmp_path / "made", max_shard_size="40KB")
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] = dict.fromkeys(index["weight_map"], "../base/model.safetensors")
    path.write_text(json.dumps(index))
    assert refused(bases / "llama", folder).startswith(
        f"{folder}: found '../base/model.safetensors', which leads out of the folder; expected only files inside it"
    )


def test_an_index_that_its_shards_do_not_keep(bases: Path, tmp_path: Path) -> None:
    folder = made(MODELS["llama"](), "(0,1)", tmp_path / "made", max_shard_size="40KB")
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.layers.1.more.weight"] = next(iter(index["weight_map"].values()))
    path.write_text(json.dumps(index))
    assert "found tensor 'model.layers.1.more.weight' said to be in " in refused(bases / "llama", folder)


def test_a_base_that_is_no_whole_model(bases: Path, tmp_path: Path) -> None:
    folder = made(MODELS["llama"](), "(0,1,3)", tmp_path / "made")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))
    assert refused(folder, bases / "llama") == (
        f"{folder}: found 3 blocks, numbered 0 to 2; expected a whole base model, numbered from 0 without a gap, as "
        "config.json says 4; name the checkpoint that was pruned"
    )


def test_weights_that_are_not_finite(bases: Path, tmp_path: Path) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.2.mlp.up_proj.weight"][0, 0] = float("nan")

    folder = changed(bases / "llama", tmp_path / "made", spoil)
    assert refused(bases / "llama", folder).startswith(
        f"{folder}/model.safetensors: found a value in tensor 'model.layers.2.mlp.up_proj.weight' that is not a finite "
        "number; expected finite ones"
    )


def test_pickled_weights_are_refused(bases: Path, tmp_path: Path) -> None:
    shutil.copytree(bases / "llama", tmp_path / "made")
    (tmp_path / "made" / "model.safetensors").rename(tmp_path / "made" / "pytorch_model.bin")
    assert "found only pickled weights (pytorch_model.bin)" in refused(bases / "llama", tmp_path / "made")


# --- slots -----------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_every_deletion_and_permutation_has_its_layout(data: st.DataObject) -> None:
    """Blocks that stand in the slots of those that are kept: the layout is the one that a user would write."""
    blocks = data.draw(st.integers(1, 12))
    kept = sorted(data.draw(st.sets(st.integers(0, blocks - 1), min_size=1)))
    order = data.draw(st.permutations(kept))
    expected = Layout.base(blocks).without(set(range(blocks)) - {*kept})
    expected = expected.with_weights(dict(zip(kept, order, strict=True)))
    assert layout_of([((block, 1.0),) for block in order], [""] * blocks, [""] * len(order)) == expected


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_slots_ascend_whatever_the_blocks(data: st.DataObject) -> None:
    blocks = data.draw(st.integers(1, 12))
    sources = data.draw(st.lists(st.integers(0, blocks - 1), min_size=1, max_size=blocks))
    layout = layout_of([((block, 1.0),) for block in sources], [""] * blocks, [""] * len(sources))
    assert layout is not None
    assert list(layout.slots) == sorted(set(layout.slots))
    assert max(layout.slots) < blocks
    assert [place.weights[0][0] for place in layout.places] == sources


def test_a_merged_block_takes_the_slot_of_its_kind() -> None:
    parts = [((0, 1.0),), ((1, 0.5), (2, 0.5)), ((3, 1.0),)]
    kinds = ["sliding", "sliding", "full", "full"]
    assert str(layout_of(parts, kinds, ["sliding", "full", "full"])) == "(0,mix(1:.5,2:.5)@2,3)"
    assert str(layout_of(parts, kinds, ["sliding", "sliding", "full"])) == "(0,mix(1:.5,2:.5)@1,3)"


def test_a_sample_of_every_block_is_enough_to_tell_it(
    bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples of large models hold a small part of each tensor; the verdict rests on all values."""
    monkeypatch.setattr("checker.checkpoints.provenance.blocks._SAMPLE", 4096)
    model = MODELS["llama"]()
    cut(model, Layout.parse("(0,mix(1:.5,2:.5)@1,3)"))
    model.model.layers[2].mlp.up_proj.weight[3, 3] += 0.01
    model.save_pretrained(tmp_path / "made")
    base, other = open_folder(bases / "llama"), open_folder(tmp_path / "made")
    found = origins(read_blocks(base), read_blocks(other))
    assert [(origin.parts, origin.state) for origin in found] == [
        (((0, 1.0),), "identical"), (((1, 0.5), (2, 0.5)), "merged"), (((3, 1.0),), "retrained"),
    ]  # fmt: skip
    assert found[2].changed == ("mlp.up_proj.weight",)


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def pruned(bases: Path, tmp_path: Path) -> Path:
    model = MODELS["llama"]()
    model.model.layers[3].mlp.up_proj.weight.mul_(1.5)
    return made(model, "(0,2,3)", tmp_path / "pruned")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Runs the command: exit code, stdout and stderr."""

    def told(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pruneaudit", "provenance", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return told


def test_the_command_shows_what_was_found(bases: Path, pruned: Path, run: Run) -> None:
    code, out, _ = run(bases / "llama", pruned, "--claim", "1")
    assert code == 3
    change = provenance(bases / "llama", pruned).origins[2].change
    assert out.splitlines() == [
        "pruned: 3 blocks; llama: 4 blocks",
        "layout: (0,2,3)",
        "block 1 removed; 1 of 3 changed in up_proj",
        "slots: not compared; use --slots",
        "",
        "place  weights of  state",
        "0      0           identical",
        "1      2           identical",
        f"2      3           changed in up_proj, 22.1 % of its parameters, relative change {change:.3g}",
        "",
        "outside of the blocks                             state",
        "embeddings             model.embed_tokens.weight  identical",
        "norm                   model.norm.weight          identical",
        "head                   lm_head.weight             identical",
        "",
        "config.json          found  expected",
        "hidden_size          32     as found",
        "num_hidden_layers    3      as found",
        "tie_word_embeddings  False  as found",
        "vocab_size           97     as found",
        "",
        "claim: block 1 removed; open: blocks agree; what their slots are was not compared; use --slots",
    ]


def test_slots_are_compared_where_they_are_asked_for(bases: Path, pruned: Path, run: Run) -> None:
    code, out, _ = run(bases / "llama", pruned, "--claim", "1", "--slots")
    assert code == 0
    assert out.splitlines()[3] == "slots: every block runs in one like its own"
    assert out.splitlines()[-1] == "claim: block 1 removed; so it is: the checkpoint lacks block 1"
    found = json.loads(run(bases / "llama", pruned, "--claim", "1", "--slots", "--json")[1])
    assert (found["slots"], found["claim"]["agreement"]) == ({"state": "same", "why": ""}, "agrees")


def test_blocks_that_moved_into_slots_of_another_kind(tmp_path: Path, run: Run) -> None:
    """As gemma-3 is published and cut: which layers slide follows from their numbers, and only the count is changed."""
    kinds = ["sliding_attention", "full_attention"] * 2
    base = tmp_path / "base"
    build("gemma3", layer_types=kinds).save_pretrained(base)
    made(build("gemma3", layer_types=kinds), "(0,2,3)", tmp_path / "cut")
    for folder in (base, tmp_path / "cut"):
        config = json.loads((folder / "config.json").read_text())
        del config["layer_types"]
        (folder / "config.json").write_text(json.dumps({**config, "sliding_window_pattern": 2}))
    code, out, _ = run(base, tmp_path / "cut", "--claim", "1", "--slots")
    why = "block 2 ran in a slot with layer_type sliding_attention and runs with full_attention in the checkpoint"
    assert code == 1
    assert out.splitlines()[3] == f"slots: {why}"
    assert out.splitlines()[-1] == f"claim: block 1 removed; it is not so: the checkpoint lacks block 1, but {why}"
    assert run(base, tmp_path / "cut", "--claim", "1")[0] == 3


def test_slots_that_cannot_be_told_are_open(bases: Path, pruned: Path, run: Run) -> None:
    config = json.loads((pruned / "config.json").read_text())
    (pruned / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 4}))
    code, out, _ = run(bases / "llama", pruned, "--slots")
    assert code == 3
    assert out.splitlines()[3] == (
        "slots: its slots could not be told: its configuration describes 4 blocks, and its weights are 3"
    )


def test_the_command_gives_json(bases: Path, pruned: Path, run: Run) -> None:
    code, out, _ = run(bases / "llama", pruned, "--claim", "1,2", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["format"] == "pruneaudit/provenance/1"
    assert (found["layout"], found["removed"], found["retrained"]) == ("(0,2,3)", [1], [2])
    assert found["blocks"][1] == {
        "place": 1, "slot": 2, "weights": [{"block": 2, "weight": 1.0}], "state": "identical", "change": 0.0,
        "changed": [], "tensors": 9, "rounded_to": None, "share": 0.0,
        "reason": None,
    }  # fmt: skip
    assert found["claim"] == {"layers": [1, 2], "agreement": "differs", "message": "the checkpoint lacks block 1"}


def test_json_has_no_number_that_is_none(bases: Path, tmp_path: Path, run: Run) -> None:
    folder = shutil.copytree(bases / "llama", tmp_path / "made")
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": NaN'))
    _, out, _ = run(bases / "llama", folder, "--json")
    found = json.loads(out, parse_constant=pytest.fail)
    assert {"field": "rms_norm_eps", "found": "NaN", "expected": 1e-06, "agrees": False} in found["config"]


def test_the_exit_code_says_whether_the_claim_holds(bases: Path, pruned: Path, tmp_path: Path, run: Run) -> None:
    swapped = made(MODELS["llama"](), "(0,2@1,1@2)", tmp_path / "swapped")
    cases = [([pruned], 0), ([pruned, "--claim", "2"], 1), ([swapped], 0), ([swapped, "--claim", "3"], 1)]
    assert [run(bases / "llama", *arguments)[0] for arguments, _ in cases] == [code for _, code in cases]
    _, out, _ = run(bases / "llama", swapped, "--claim", "3")
    assert out.splitlines()[-1] == (
        "claim: block 3 removed; it is not so: the checkpoint is more than a removal: block 3 removed, blocks reordered"
    )


def test_what_is_open_exits_with_3(bases: Path, tmp_path: Path, run: Run) -> None:
    def zero(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if ".layers.1." in name]:
            tensors[name] = torch.zeros_like(tensors[name])

    folder = changed(bases / "llama", tmp_path / "made", zero)
    code, out, _ = run(bases / "llama", folder)
    assert code == 3
    assert out.splitlines()[1] == "layout: open"
    assert out.splitlines()[-1] == "open: block 1 of the checkpoint: all its sampled values are zero"
    assert run(bases / "llama", folder, "--claim", "1")[0] == 3


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("3;7", "expected block numbers separated by commas, as in 3,7,12."),
        ("", "expected block numbers separated by commas, as in 3,7,12."),
        (
            "4",
            "--claim: found block 4; expected blocks of llama, from 0 to 3; correct the number; the first block is 0",
        ),
    ],
)
def test_a_claim_that_is_none(claim: str, message: str, bases: Path, pruned: Path, run: Run) -> None:
    code, _, err = run(bases / "llama", pruned, "--claim", claim)
    assert code == 2
    assert message in err


def test_names_cannot_drive_a_terminal(bases: Path, tmp_path: Path, run: Run) -> None:
    folder = made(MODELS["llama"](), "(0,2)", tmp_path / "evil\x1b[2J")
    code, out, _ = run(bases / "llama", folder)
    assert code == 0
    assert out.startswith("evil\ufffd[2J: 2 blocks")


def test_gguf_files_are_taken_as_folders_are(
    bases: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them without torch; one and a folder with it, and without it only the reason."""
    whole = tiny_gguf.write(MODELS["llama"](), tmp_path / "whole.gguf", "F16")
    model = MODELS["llama"]()
    cut(model, Layout.parse("(0,2,3)"))
    file = tiny_gguf.write(model, tmp_path / "pruned.gguf", "Q4_1")
    for base, code in ((bases / "llama", 3), (whole, 3)):
        found, out, _ = run(base, file, "--claim", "1")
        assert found == code
        assert out.splitlines()[1:3] == ["layout: (0,2,3)", "block 1 removed, quantised (Q4_1)".replace(", ", "; ")]
        assert out.splitlines()[6:9] == [
            "0      0           quantised (Q4_1)",
            "1      2           quantised (Q4_1)",
            "2      3           quantised (Q4_1)",
        ]
    row = json.loads(run(whole, file, "--json")[1])
    assert (row["quantised"], row["types"], row["retrained"]) == ([0, 1, 2], "Q4_1", [])
    assert row["outside"][0]["state"] == "quantised"
    monkeypatch.setattr("checker.commands.command.find_spec", lambda _: None)
    assert run(whole, file)[0] == 0
    code, _, err = run(bases / "llama", file)
    assert code == 4
    assert "found no package torch nor transformers; expected what measuring needs; install it: " in err
