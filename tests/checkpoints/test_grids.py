"""The quantised types of GGUF: values as the package gguf has them, and how far rounding may move one."""

from __future__ import annotations

import numpy as np
import pytest

from checker.checkpoints.provenance import grids

gguf = pytest.importorskip("gguf")
WRITTEN = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")  # types that the package quantises to
Array = grids.Array


def quantise(values: Array, kind: str) -> Array:
    stored: Array = gguf.quants.quantize(values, gguf.GGMLQuantizationType[kind])
    return stored.reshape(-1)


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("kind", sorted(grids.KINDS))
def test_values_are_those_of_the_gguf_package(kind: str) -> None:
    """For any bytes, those that no quantiser writes included."""
    _, size = grids.group(kind)
    stored = np.random.default_rng(1).integers(0, 256, (300, size), dtype=np.uint8)
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(stored, gguf.GGMLQuantizationType[kind]).reshape(-1)
        assert np.array_equal(grids.grid(stored.reshape(-1), kind).values, expected, equal_nan=True)


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("form", ["normal", "heavy tails", "one-sided", "tiny", "zeros"])
def test_no_quantised_value_lies_beyond_the_reach_of_its_grid(kind: str, form: str) -> None:
    values = drawn(64, 256)
    forms = {
        "normal": values,
        "heavy tails": values**3,
        "one-sided": 1.0 + 0.1 * values,
        "tiny": np.float32(1e-6) * values,
        "zeros": 0.0 * values,
    }
    grid = grids.grid(quantise(forms[form], kind), kind)
    assert (np.abs(grid.values - forms[form].reshape(-1)) <= grid.reach).all()


@pytest.mark.parametrize("kind", [kind for kind in WRITTEN if kind != "Q8_0"])  # whose step is never fitted
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_that_was_fitted_after_rounding_is_within_reach(kind: str, weighted: bool) -> None:
    """As quantisers do that weigh values by how much they matter: levels are kept, step and offset fitted to them."""
    values = drawn(2000, 32).astype(np.float64)
    grid = grids.grid(quantise(values.astype(np.float32), kind), kind)
    levels = grid.levels.reshape(-1, 32).astype(np.float64)
    weights = drawn(2000, 32, seed=1) ** 2 if weighted else np.ones_like(values)
    fitted = np.empty_like(values)
    for row, (level, value, weight) in enumerate(zip(levels, values, weights, strict=True)):
        columns = np.stack([level, np.ones(32)] if kind.endswith("1") else [level], axis=1)
        root = np.sqrt(weight)[:, None]
        found = np.linalg.lstsq(columns * root, value * root[:, 0], rcond=None)[0]
        fitted[row] = columns @ found
    assert (np.abs(fitted.reshape(-1) - values.reshape(-1)) <= grid.reach).all()


@pytest.mark.parametrize("kind", sorted(grids.KINDS - set(WRITTEN)))
def test_the_nearest_levels_of_parts_are_within_reach(kind: str) -> None:
    """Values that are taken to the nearest level of a given grid, which takes in at its ends what lies beyond."""
    _, size = grids.group(kind)
    stored = np.random.default_rng(2).integers(0, 256, (200, size), dtype=np.uint8)
    places = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}[kind]
    for place in places:
        stored[:, place : place + 2] = np.frombuffer(np.float16(0.01).tobytes(), np.uint8)
    grid = grids.grid(stored.reshape(-1), kind)
    reach = grid.reach.reshape(grid.levels.shape)
    low, high = grid.ends
    every = grid.steps * np.arange(low, high + 1, dtype=np.float32) + grid.offsets
    width = np.random.default_rng(3).uniform(-0.2, 1.2, grid.levels.shape)  # beyond both ends as well
    values = every.min(-1, keepdims=True) + width * np.ptp(every, axis=-1, keepdims=True)
    nearest = np.abs(every[:, :, None, :] - values[..., None]).argmin(-1) + low
    taken = grids.Grid(nearest.astype(np.float32), grid.steps, grid.offsets, grid.ends, grid.unit)
    bent = np.abs(taken.values - values.reshape(-1)) <= taken.reach
    assert bent[np.broadcast_to(grid.steps != 0.0, grid.levels.shape).reshape(-1)].all()
    assert np.isfinite(reach[(grid.levels > low) & (grid.levels < high)]).all()


@pytest.mark.parametrize(("kind", "change"), [*((kind, 0.1) for kind in WRITTEN), ("Q5_1", 0.05), ("Q8_0", 0.003)])
def test_values_that_were_moved_before_are_beyond_it(kind: str, change: float) -> None:
    """In eight bits, and wherever steps are not fitted, values near the border of two levels tell of the least move."""
    values = drawn(512, 256)
    grid = grids.grid(quantise(values + np.float32(change) * drawn(512, 256, seed=5), kind), kind)
    assert not (np.abs(grid.values - values.reshape(-1)) <= grid.reach).all()
