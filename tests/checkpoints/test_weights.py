"""Tensors read in pieces: values as torch has them, digests, samples, differences; and files that are cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from checker.checkpoints.provenance import weights
from checker.checkpoints.provenance.weights import compare, pieces, read, rounded, widened
from checker.checkpoints.safetensors import read_safetensors
from checker.checkpoints.tensors import Placed
from checker.core.errors import CannotRun

TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def stored(folder: Path, **tensors: torch.Tensor) -> dict[str, Placed]:
    """The tensors in a safetensors file, by name."""
    path = folder / "x.safetensors"
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)
    return {placed.tensor.name: placed for placed in read_safetensors(path)}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES)
def test_values_are_those_that_torch_reads(kind: str, tmp_path: Path) -> None:
    tensor = drawn(7, 11).to(TYPES[kind])
    found = np.concatenate([widened(piece, kind) for piece in pieces(stored(tmp_path, a=tensor)["a"])])
    assert found.tolist() == tensor.double().flatten().tolist()


@settings(max_examples=60, deadline=None)
@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40))
def test_rounding_is_torchs_for_every_float(bits: list[int]) -> None:
    values = np.array(bits, np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    for kind in ("F32", "F16", "BF16"):
        expected = torch.from_numpy(values.copy()).to(TYPES[kind]).float().numpy()
        assert rounded(values, kind).tobytes() == expected.tobytes()


def test_halves_are_rounded_to_even() -> None:
    """1 + 2^-8 lies half way between two BF16 values, 1 + 3 * 2^-8 between the next two."""
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8)], np.float32)
    assert rounded(values, "BF16").tolist() == [1.0, 1 + 2**-6, -1.0]


def test_a_tensor_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_PIECE", 8)
    found = list(pieces(stored(tmp_path, a=drawn(3, 7))["a"]))
    assert [len(piece) for piece in found] == [8, 8, 5]


# --- digests and samples ---------------------------------------------------------------------------------------------


def test_a_digest_is_of_type_shape_and_bytes(tmp_path: Path) -> None:
    tensor = drawn(4, 6)
    other = tensor.clone()
    other[3, 5] += 1e-6
    placed = stored(
        tmp_path, a=tensor, b=tensor.clone(), shape=tensor.reshape(6, 4), type=tensor.view(torch.int32), value=other
    )
    digests = {name: read(each, 8).digest for name, each in placed.items()}
    assert digests["a"] == digests["b"]
    assert len({digests[name] for name in ("a", "shape", "type", "value")}) == 4


@pytest.mark.parametrize("piece", [1, 5, 64, 10_000])
def test_a_sample_does_not_depend_on_the_pieces(piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = drawn(40, 25)
    monkeypatch.setattr(weights, "_PIECE", piece)
    found = read(stored(tmp_path, a=tensor)["a"], 90)
    assert found.sample.tolist() == tensor.flatten()[::13].tolist()  # 1000 / 90, rounded up and to an odd number
    assert len(found.sample) <= 90


def test_what_is_no_float_has_a_digest_and_no_sample(tmp_path: Path) -> None:
    found = read(stored(tmp_path, a=drawn(4, 4).to(torch.float8_e4m3fn))["a"], 8)
    assert len(found.digest) == 64
    assert not len(found.sample)


# --- differences -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of", "to"), [("F32", "BF16"), ("F32", "F16"), ("F64", "F32"), ("BF16", "F32")])
def test_a_cast_tensor_is_told_from_one_that_was_moved(of: str, to: str, tmp_path: Path) -> None:
    tensor = drawn(50, 30).to(TYPES[of])
    moved = tensor.to(TYPES[to])
    moved[7, 7] *= 1.5
    placed = stored(tmp_path, base=tensor, cast=tensor.to(TYPES[to]), moved=moved)
    assert compare(placed["cast"], [(placed["base"], 1.0)]).through == to
    assert compare(placed["moved"], [(placed["base"], 1.0)]).through is None


def test_a_tensor_that_went_through_a_smaller_type_and_back_is_cast(tmp_path: Path) -> None:
    tensor = drawn(50, 30)
    placed = stored(tmp_path, base=tensor, back=tensor.bfloat16().float())
    assert compare(placed["back"], [(placed["base"], 1.0)]).through == "BF16"


def test_sums_are_of_squares(tmp_path: Path) -> None:
    placed = stored(tmp_path, base=torch.tensor([3.0, 4.0]), other=torch.tensor([3.0, 6.0]))
    found = compare(placed["other"], [(placed["base"], 1.0)])
    assert (found.squares, found.reference) == (4.0, 25.0)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_a_weighted_sum_is_exact_up_to_rounding(kind: str, tmp_path: Path) -> None:
    one, two = drawn(60, 30).to(TYPES[kind]), drawn(60, 30, seed=1).to(TYPES[kind])
    merged = (0.3 * one.float() + 0.7 * two.float()).to(TYPES[kind])
    in_low_precision = 0.3 * one + 0.7 * two
    moved = merged.clone()
    moved[5, 5] += 0.25
    placed = stored(tmp_path, one=one, two=two, merged=merged, low=in_low_precision, moved=moved)
    parts = [(placed["one"], 0.3), (placed["two"], 0.7)]
    assert compare(placed["merged"], parts).exact
    assert compare(placed["low"], parts).exact
    assert not compare(placed["moved"], parts).exact
    assert not compare(placed["merged"], [(placed["one"], 0.31), (placed["two"], 0.69)]).exact


# --- files that are not what they say --------------------------------------------------------------------------------


def test_a_file_that_is_cut_off_after_its_header_was_read_is_an_error(tmp_path: Path) -> None:
    placed = stored(tmp_path, a=drawn(8, 8))["a"]
    with placed.path.open("r+b") as file:
        file.truncate(placed.end - 4)
    with pytest.raises(CannotRun) as error:
        read(placed, 8)
    assert str(error.value) == (
        f"{placed.path}: found its end inside of tensor 'a'; expected the bytes that its header announces; fetch the "
        "checkpoint again"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_is_an_error_that_names_the_tensor(value: float, tmp_path: Path) -> None:
    tensor = drawn(8, 8)
    tensor[3, 4] = value
    placed = stored(tmp_path, a=tensor, b=drawn(8, 8))
    with pytest.raises(CannotRun) as error:
        compare(placed["a"], [(placed["b"], 1.0)])
    assert str(error.value) == (
        f"{placed['a'].path}: found a value in tensor 'a' that is not a finite number; expected finite ones, for no "
        "others can be compared; fetch the checkpoint again"
    )
