"""Statistics as functions of weights, and the weights: ones, leave-one-out rows, multinomial counts.

Almost every statistic depends on its units through weighted sums only, so it is a function of weights [rows, units]: a
row of ones gives the value, rows with one zero the leave-one-out values of the jackknife, multinomial counts the
bootstrap. How neighbouring units go together shows in the leave-one-out values, which are kept in text order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import final

import numpy as np
from numpy.typing import NDArray

from checker.core.questions import Values
from checker.core.records import Statistics

MINIMUM_UNITS = 8  # fewer effective units give no interval
_LARGEST_CORRELATION = 0.95  # of neighbouring units; nearer to 1 its estimate says little
_KEPT = 100_000_000  # counts of the bootstrap that are kept at once, for each of two texts
_ROWS = 1024  # rows of weights held at once: thousands of units must not need their square in memory

LARGEST_RATIO = 1e300
LARGEST_LOG = 225.0  # exp of it, times 100, is still below the largest input: costs are compared with each other

Statistic = Callable[[Values], Values]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Resampled:
    """A statistic on all units, without each unit in turn, and on bootstrap resamples (none unless settings ask)."""

    units: int  # that were counted
    value: float
    left_out: Values  # in text order
    resampled: Values
    independent: bool

    @property
    def everything(self) -> Values:
        return np.concatenate([[self.value], self.left_out, self.resampled])


def resample(statistic: Statistic, units: int, settings: Statistics) -> Resampled:
    """The value on all units; the rest on those that the settings count, moved to where the value lies.

    Units that are not counted (they repeat others, or share tokens with them) belong to the value as the contract
    defines it, and say nothing about its error.
    """
    counted = np.arange(units) if settings.counted is None else np.array(settings.counted, dtype=np.int64)
    among = np.zeros(units)
    among[counted] = 1.0
    value = float(statistic(np.ones((1, units)))[0])
    moved = value - float(statistic(among[None])[0]) if 0 < len(counted) < units else 0.0
    left_out = np.concatenate([np.empty(0), *(statistic(rows) + moved for rows in leave_one_out(among, counted))])
    resampled = np.empty(0)
    if len(counted) >= MINIMUM_UNITS and settings.interval == "percentile_bootstrap":
        resampled = np.concatenate([statistic(rows) + moved for rows in _drawn(units, counted, settings)])
    return Resampled(len(counted), value, left_out, resampled, settings.independent)


def leave_one_out(among: Values, counted: Numbers) -> Iterator[Values]:
    """Rows of weights, each without one of the ``counted`` units, whose weights are 1 in ``among``."""
    for start in range(0, len(counted) if len(counted) > 1 else 0, _ROWS):
        left = counted[start : start + _ROWS]
        rows = np.tile(among, (len(left), 1))
        rows[np.arange(len(left)), left] = 0.0
        yield rows


def _drawn(units: int, counted: Numbers, settings: Statistics) -> Iterator[Values]:
    """Multinomial counts of the bootstrap, some rows at a time."""
    kept = len(counted) * settings.resamples <= _KEPT
    for drawn in (_counts if kept else _count)(len(counted), settings.seed, settings.resamples):
        rows = drawn.astype(np.float64)
        if len(counted) < units:
            rows, among = np.zeros((len(drawn), units)), rows
            rows[:, counted] = among
        yield rows


@lru_cache(maxsize=2)  # an audit's texts ask for the same draws again and again
def _counts(units: int, seed: int, resamples: int) -> list[NDArray[np.uint16]]:
    return list(_count(units, seed, resamples))


def _count(units: int, seed: int, resamples: int) -> Iterator[NDArray[np.uint16]]:
    """How often each unit is drawn, [rows, units], where as many are drawn as there are."""
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, _ROWS):
        rows = min(_ROWS, resamples - start)
        # Drawn one by one and counted, which is many times faster than drawing the counts.
        places = generator.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
        yield np.bincount(places.ravel(), minlength=rows * units).reshape(rows, units).astype(np.uint16)


@final
@dataclass(frozen=True)
class Spread:
    """How far a statistic may be off: what its leave-one-out values say, in text order."""

    error: float  # standard error, with the correlation of neighbouring units in it
    effective_units: float  # independent ones that would say as much
    skewness: float  # of the units' influence; that of a sample, biased towards 0


def spread(left_out: Values, independent: bool) -> Spread | None:
    """None where there is only one unit.

    Jackknife with the serial correlation of an autoregression of order one (design, 3.5). It is always estimated: a
    test that decides whether to correct loses coverage. Its variance is exact for such a series of any length.
    """
    units = len(left_out)
    if units < 2:
        return None
    influence = (left_out.mean() - left_out) * (units - 1)
    squares = float(influence @ influence)
    rho = 0.0 if independent else serial_correlation(influence)
    inflation = _inflation(rho, units)
    # Units that go together vary less about their own mean than about the true one: hence units - inflation.
    error = sqrt(squares / units * inflation / (units - inflation))
    deviation = sqrt(squares / units)
    skewness = float(np.mean((influence / deviation) ** 3)) if deviation > 0.0 else 0.0
    return Spread(error, units / inflation, skewness)


def serial_correlation(values: Values) -> float:
    """Lag-one correlation of a series, corrected for its bias of -(1 + 3 rho) / n; a negative one counts as 0.

    Kendall, Biometrika 41 (1954); Marriott and Pope, the same volume. At most 0.95.
    """
    centred, units = values - values.mean(), len(values)
    squares = float(centred @ centred)
    if squares == 0.0 or units <= 3:
        return 0.0
    raw = float(centred[1:] @ centred[:-1]) / squares
    return min(_LARGEST_CORRELATION, max(0.0, (units * raw + 1.0) / (units - 3.0)))


def _inflation(rho: float, units: int) -> float:
    """Variance of the mean of a first-order autoregression, as a multiple of that of independent units.

    1 + 2 * sum over lags k of (1 - k / n) rho^k, summed; it stays below ``units``.
    """
    return (1.0 + rho) / (1.0 - rho) - 2.0 * rho * (1.0 - rho**units) / (units * (1.0 - rho) ** 2)


def weighted_mean(values: Values, counts: Values | None = None) -> Statistic:
    """Sum of ``values`` [units] per count, or per unit."""
    per = np.ones(len(values)) if counts is None else counts
    return lambda weights: (weights @ values) / (weights @ per)


def weighted_cost(change: Values, counts: Values) -> Statistic:
    """Increase of perplexity, as a share of the base's, from the change in NLL [windows]."""
    difference = weighted_mean(change, counts)
    return lambda weights: np.expm1(np.minimum(difference(weights), LARGEST_LOG))


def weighted_geometric_mean(matrix: Values) -> Statistic:
    """Geometric mean of the weighted means of ``matrix`` [pairs, units]; 0 where one of them is not positive."""

    def statistic(weights: Values) -> Values:
        means = (weights @ matrix.T) / weights.sum(axis=1, keepdims=True)
        positive = (means > 0.0).all(axis=1)
        logs = np.log(np.where(positive[:, None], means, 1.0)).mean(axis=1)
        return np.where(positive, np.exp(logs), 0.0)

    return statistic


def weighted_quotient(above: Statistic, below: Statistic) -> Statistic:
    """NaN, which no estimate lets through, where the denominator is not positive, or far too small."""

    def statistic(weights: Values) -> Values:
        top, bottom = above(weights), below(weights)
        enough = bottom > np.abs(top) / LARGEST_RATIO
        return np.divide(top, bottom, out=np.full_like(top, np.nan), where=enough)

    return statistic
