"""Checkpoints that are stored otherwise than their model: where their weights come from, quantised or healed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiny_gguf
import torch
from safetensors.torch import load_file, save_file
from tiny_models import build, token_ids
from torch import nn

from checker.checkpoints.model_facts import placed_tensors
from checker.checkpoints.provenance.comparison import Provenance, compared, provenance
from checker.checkpoints.provenance.weights import files_of
from checker.core.errors import CannotRun
from checker.core.layouts import Layout
from checker.measure import dequantised
from checker.measure.cut_checkpoint import cut
from checker.measure.models import load_model
from checker.measure.unpacked import unpacked

pytestmark = pytest.mark.usefixtures("one_thread")

LAYOUT = "(0,2,3)"
QUANTISED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "base"
    build("llama").save_pretrained(folder)
    return folder


def pruned(change: float = 0.0) -> Any:
    """The model without block 1; and trained, where matrices and norms are moved by so much of their size."""
    model = build("llama")
    cut(model, Layout.parse(LAYOUT))
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.add_(change * parameter.std() * torch.randn(parameter.shape, generator=generator))
    return model


def held(base: Path, checkpoint: Path) -> Provenance:
    with dequantised.comparing(files_of(base)) as opened, opened(files_of(checkpoint)) as both:
        return compared(*both)


class Told(NamedTuple):
    layout: str
    states: set[str]
    types: str
    touched: tuple[str, ...]
    wrong: list[str]  # settings


def told(found: Provenance) -> Told:
    wrong = [setting.field for setting in found.settings if not setting.agrees]
    return Told(str(found.layout), {each.state for each in found.origins}, found.types, found.touched, wrong)


# --- a GGUF file and a folder ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", QUANTISED)
def test_a_quantised_copy_is_no_retrained_one(kind: str, base: Path, tmp_path: Path) -> None:
    found = held(base, tiny_gguf.write(pruned(), tmp_path / "pruned.gguf", kind))
    assert told(found) == (LAYOUT, {"quantised"}, kind, (), [])
    assert found.checkpoint == "pruned.gguf"
    assert found.cut
    assert found.quantised == (0, 1, 2)
    assert found.done == ["block 1 removed", f"quantised ({kind})"]
    assert {each.role: each.state for each in found.outside} == {
        "embeddings": "quantised", "norm": "identical", "head": "quantised",
    }  # fmt: skip


@pytest.mark.parametrize("kind", QUANTISED)
def test_a_copy_that_was_healed_before_it_was_quantised(kind: str, base: Path, tmp_path: Path) -> None:
    found = held(base, tiny_gguf.write(pruned(0.1), tmp_path / "pruned.gguf", kind))
    assert told(found)[:3] == (LAYOUT, {"retrained and quantised"}, kind)
    assert len(found.touched) == 3
    assert found.done == ["block 1 removed", "3 of 3 retrained", f"quantised ({kind})"]


@pytest.mark.parametrize(("kind", "state"), [("F16", "cast"), ("BF16", "cast"), ("F32", "identical")])
def test_a_gguf_file_of_floats(kind: str, state: str, base: Path, tmp_path: Path) -> None:
    found = held(base, tiny_gguf.write(pruned(), tmp_path / "pruned.gguf", kind))
    assert told(found) == (LAYOUT, {state}, "", (), [])


def test_a_folder_that_was_made_from_a_quantised_file(base: Path, tmp_path: Path) -> None:
    """As what is exported from one; and healed, which is told however coarse the grid of the model."""
    model, file = build("llama"), tiny_gguf.write(build("llama"), tmp_path / "base.gguf", "Q4_1")
    model.load_state_dict({**model.state_dict(), **tiny_gguf.quantised(model, "Q4_1")})
    cut(model, Layout.parse(LAYOUT))
    model.save_pretrained(tmp_path / "cut")
    assert told(held(file, tmp_path / "cut")) == (LAYOUT, {"identical"}, "", (), [])
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.mul_(1.0 + 0.001 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(tmp_path / "healed")
    healed = held(file, tmp_path / "healed")
    assert told(healed)[:3] == (LAYOUT, {"retrained"}, "")
    assert healed.origins[0].change == pytest.approx(0.001, rel=0.1)


# --- two GGUF files, which need no torch -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "kind", "change", "states"),
    [
        ("F32", "Q4_1", 0.0, {"quantised"}),
        ("F16", "Q8_0", 0.0, {"quantised"}),
        ("F32", "Q8_0", 0.01, {"retrained and quantised"}),
        ("F32", "F16", 0.0, {"cast"}),
        ("F32", "F16", 0.01, {"retrained"}),
        ("Q4_1", "Q4_1", 0.0, {"identical"}),
    ],
)
def test_two_gguf_files(stored: str, kind: str, change: float, states: set[str], tmp_path: Path) -> None:
    source = tiny_gguf.write(build("llama"), tmp_path / "base.gguf", stored)
    found = provenance(source, tiny_gguf.write(pruned(change), tmp_path / "pruned.gguf", kind))
    assert told(found)[:2] == (LAYOUT, states)
    assert told(found).wrong == []
    assert (found.base, found.checkpoint) == ("base.gguf", "pruned.gguf")
    assert [each.role for each in found.outside] == ["embeddings", "norm", "head"]
    assert bool(found.touched) == bool(change)


def test_merged_blocks_that_were_quantised(base: Path, tmp_path: Path) -> None:
    model = build("llama")
    cut(model, Layout.parse("(0,mix(1:.5,2:.5)@1,3)"))
    found = held(base, tiny_gguf.write(model, tmp_path / "merged.gguf", "Q8_0"))
    assert str(found.layout) == "(0,mix(1:.5,2:.5)@1,3)"
    assert [each.state for each in found.origins] == ["quantised", "merged and quantised", "quantised"]
    assert found.retrained == ()


def test_blocks_of_an_unrelated_model_are_open(base: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    other: nn.Module = build("llama")
    for parameter in other.parameters():
        parameter.copy_(0.2 * torch.randn(parameter.shape))
    found = held(base, tiny_gguf.write(other, tmp_path / "other.gguf", "Q4_0"))
    assert found.undecided == (0, 1, 2, 3)


# --- trained for real ------------------------------------------------------------------------------------------------


def test_a_healed_copy_in_eight_bits(base: Path, tmp_path: Path) -> None:
    model = pruned().requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for step in range(20):
        ids = token_ids(2, 12, seed=step)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    found = held(base, tiny_gguf.write(model.requires_grad_(False), tmp_path / "healed.gguf", "Q8_0"))
    assert told(found)[:2] == (LAYOUT, {"retrained and quantised"})


# --- what cannot be compared -----------------------------------------------------------------------------------------


def refused(base: Path, checkpoint: Path) -> str:
    with pytest.raises(CannotRun) as error:
        held(base, checkpoint)
    return str(error.value)


def test_a_type_whose_grid_is_not_known(base: Path, tmp_path: Path) -> None:
    file = tiny_gguf.write(pruned(), tmp_path / "pruned.gguf", "MXFP4")
    assert refused(base, file) == (
        f"{file}: found tensors stored as MXFP4; expected a type whose grid is known here (BF16, F16, F32, F64, Q2_K, "
        "Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0); name a file of another quantisation"
    )
    source = tiny_gguf.write(build("llama"), tmp_path / "base.gguf", "F32")
    assert provenance(source, file).open[0] == (
        "block 0 of the checkpoint: it is stored as MXFP4, which is compared by digest alone, and no base block has "
        "its digest"
    )


def test_a_disk_that_is_too_small(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tiny_gguf.write(pruned(), tmp_path / "pruned.gguf", "Q8_0")
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    message = refused(base, file)
    assert "found 1e-06 GB free; expected 0.000" in message
    assert message.endswith(
        " GB, to hold the de-quantised weights of pruned.gguf; free some, or set TMPDIR to a larger disk"
    )


def test_a_library_that_reads_quantised_values_in_another_way(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def unasked() -> Iterator[list[str]]:
        yield []

    monkeypatch.setattr(dequantised, "_reaches_for_values", unasked)
    file = tiny_gguf.write(pruned(), tmp_path / "pruned.gguf", "Q8_0")
    assert refused(base, file).startswith(f"{file}: found a version of transformers that reads quantised values in ")


def test_values_that_are_not_finite_are_named_in_the_file_itself(base: Path, tmp_path: Path) -> None:
    model = pruned()
    model.model.layers[1].mlp.up_proj.weight[0, 0] = float("inf")
    file = tiny_gguf.write(model, tmp_path / "pruned.gguf", "F32")
    assert refused(base, file).startswith(f"{file}: found a value in tensor 'model.layers.1.mlp.up_proj.weight' that ")


# --- eight bits in a folder ------------------------------------------------------------------------------------------


def packed(model: Any, folder: Path, way: str) -> Path:
    """The model in a folder whose blocks' matrices are stored in eight bits, as a library of the field does it."""
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if ".layers." in name and tensors[name].dim() == 2]:
        weight = tensors.pop(name)
        tensors |= {name.removesuffix("weight") + ending: each for ending, each in PACKED[way](weight).items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    method = {"quant_method": "fp8" if way in SQUARES else way, "weight_block_size": [SQUARES.get(way)] * 2}
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": method}))
    return folder


def rows(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    largest = weight.abs().amax(1)
    return {"weight": (weight * 127.0 / largest[:, None]).round().to(torch.int8), "SCB": largest}


def scaled_rows(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    scale = weight.abs().amax(1, keepdim=True) / 127.5
    return {"weight": (weight / scale).round().clamp(-128, 127).to(torch.int8), "weight_scale": scale}


def squares(weight: torch.Tensor, size: int) -> dict[str, torch.Tensor]:
    tall, wide = (-(-length // size) for length in weight.shape)
    whole = torch.zeros(tall * size, wide * size)
    whole[: weight.shape[0], : weight.shape[1]] = weight
    scale = whole.reshape(tall, size, wide, size).abs().amax((1, 3)) / 448.0
    spread = scale.repeat_interleave(size, 0).repeat_interleave(size, 1)[: weight.shape[0], : weight.shape[1]]
    return {"weight": (weight / spread).to(torch.float8_e4m3fn), "weight_scale_inv": scale}


SQUARES = {"squares": 16, "ragged squares": 24}
PACKED = {
    "bitsandbytes": rows,
    "compressed-tensors": scaled_rows,
    **{way: partial(squares, size=size) for way, size in SQUARES.items()},
}


@pytest.mark.parametrize(
    ("way", "kind"), [("bitsandbytes", "I8"), ("compressed-tensors", "I8"), ("ragged squares", "F8_E4M3")]
)
def test_eight_bits_in_a_folder(way: str, kind: str, base: Path, tmp_path: Path) -> None:
    found = held(base, packed(pruned(), tmp_path / "pruned", way))
    assert told(found) == (LAYOUT, {"quantised"}, kind, (), [])
    assert {each.state for each in found.outside} == {"identical"}
    healed = held(base, packed(pruned(0.02), tmp_path / "healed", way))
    assert told(healed)[:3] == (LAYOUT, {"retrained and quantised"}, kind)


def test_a_quantised_folder_beside_a_gguf_file(tmp_path: Path) -> None:
    source = tiny_gguf.write(build("llama"), tmp_path / "base.gguf", "F32")
    assert told(held(source, packed(pruned(), tmp_path / "pruned", "squares")))[:2] == (LAYOUT, {"quantised"})


def test_values_of_eight_bits_are_those_that_the_library_loads(tmp_path: Path) -> None:
    folder = packed(build("llama"), tmp_path / "packed", "squares")
    values, _, _ = unpacked(files_of(folder))
    loaded = load_model(files_of(folder), "float32", torch.device("cpu")).state_dict()
    assert values.keys() == loaded.keys()
    for name, tensor in loaded.items():
        assert torch.allclose(values[name], tensor.float(), rtol=1e-2, atol=1e-6)


def test_weights_of_fewer_bits_in_a_folder_are_not_compared(base: Path, tmp_path: Path) -> None:
    folder = packed(pruned(), tmp_path / "pruned", "bitsandbytes")
    tensors = load_file(folder / "model.safetensors")
    tensors = {
        name: tensor.view(torch.uint8) if tensor.dtype == torch.int8 else tensor for name, tensor in tensors.items()
    }
    save_file(tensors, folder / "model.safetensors")
    assert refused(base, folder) == (
        f"{folder}/model.safetensors: found tensor 'model.layers.0.mlp.down_proj.weight' stored as U8, by the method "
        "bitsandbytes; expected weights of eight bits with their scales, which alone are de-quantised to be held "
        "against others; name the checkpoint that it was quantised from"
    )


def test_a_step_that_is_not_finite_is_damage(tmp_path: Path) -> None:
    source = tiny_gguf.write(build("llama"), tmp_path / "base.gguf", "F32")
    file = tiny_gguf.write(pruned(), tmp_path / "pruned.gguf", "Q4_1")
    place = next(placed for placed in placed_tensors(files_of(file)) if placed.tensor.name == "blk.1.ffn_up.weight")
    content = bytearray(file.read_bytes())
    content[place.start : place.start + 2] = b"\x00\x7e"  # not a number, in F16
    file.write_bytes(content)
    with pytest.raises(CannotRun, match=f"{file}: found a value in tensor 'blk.1.ffn_up.weight' that is not a finite"):
        provenance(source, file)


def test_a_gguf_file_that_was_cut_off(tmp_path: Path) -> None:
    source = tiny_gguf.write(build("llama"), tmp_path / "base.gguf", "F32")
    file = tiny_gguf.write(pruned(), tmp_path / "pruned.gguf", "Q4_1")
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(CannotRun, match=f"{file}: found tensor "):
        provenance(source, file)
