"""The bootstrap's draws: what they are, and that many of them take neither minutes nor gigabytes."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from time import process_time

import numpy as np

from checker.core.records import Statistics
from checker.core.resampling import _count, _counts, resample, weighted_mean

BOOTSTRAP = Statistics(independent=True, interval="percentile_bootstrap", seed=3, resamples=100_000)


def test_as_many_units_are_drawn_as_there_are_each_as_often_as_any_other() -> None:
    rows = np.concatenate(list(_count(30, 7, 5000)))
    assert rows.shape == (5000, 30)
    assert (rows.sum(axis=1) == 30).all()
    assert np.abs(rows.mean(axis=0) - 1.0).max() < 0.08  # a mean of 5000 has a standard error of 0.014
    assert abs(rows.var() - (1 - 1 / 30)) < 0.03  # of multinomial counts
    assert (np.concatenate(list(_count(30, 7, 5000))) == rows).all()
    assert (np.concatenate(list(_count(30, 8, 5000))) != rows).any()


def test_units_that_are_not_counted_are_not_drawn() -> None:
    values = np.arange(20.0)
    settings = replace(BOOTSTRAP, resamples=2000, counted=tuple(range(0, 20, 2)))
    drawn = resample(weighted_mean(values), 20, settings)
    kept = resample(weighted_mean(values[::2]), 10, replace(settings, counted=None))
    assert np.allclose(drawn.resampled - drawn.value, kept.resampled - kept.value)


def test_a_hundred_thousand_resamples_take_seconds_and_megabytes() -> None:
    settings, values = BOOTSTRAP, np.random.default_rng(0).normal(size=1000)
    _counts.cache_clear()
    tracemalloc.start()
    start = process_time()
    for seed in range(3):  # as of three texts
        resample(weighted_mean(values), 1000, replace(settings, seed=seed, resamples=100_000 if seed == 0 else 50_000))
    for _ in range(20):
        resample(weighted_mean(values[:22]), 22, settings)
    assert process_time() - start < 60
    assert tracemalloc.get_traced_memory()[1] < 500e6
    tracemalloc.stop()
    _counts.cache_clear()
