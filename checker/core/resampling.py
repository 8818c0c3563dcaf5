"""Statistics as functions of weights, and the weights: ones, leave-one-out rows, multinomial counts.

Almost every statistic depends on its units through weighted sums only, so it is a function of weights [rows, units]: a
row of ones gives the value, rows with one zero the leave-one-out values of the jackknife, multinomial counts the
bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np

from checker.core.questions import Values
from checker.core.records import Statistics

MINIMUM_UNITS = 8  # fewer give no interval
_ROWS = 1024  # rows of weights held at once: thousands of units must not need their square in memory

LARGEST_RATIO = 1e300
LARGEST_LOG = 225.0  # exp of it, times 100, is still below the largest input: costs are compared with each other

Statistic = Callable[[Values], Values]


@dataclass(frozen=True)
class Resampled:
    """A statistic on all units, without each unit in turn, and on bootstrap resamples (none unless settings ask)."""

    units: int
    value: float
    left_out: Values
    resampled: Values

    @property
    def everything(self) -> Values:
        return np.concatenate([[self.value], self.left_out, self.resampled])


def resample(statistic: Statistic, units: int, settings: Statistics) -> Resampled:
    value = float(statistic(np.ones((1, units)))[0])
    left_out = np.concatenate([np.empty(0), *(statistic(rows) for rows in leave_one_out(units))])
    resampled = np.empty(0)
    if units >= MINIMUM_UNITS and settings.interval == "percentile_bootstrap":
        generator = np.random.default_rng(settings.seed)
        counts = generator.multinomial(units, np.full(units, 1.0 / units), size=settings.resamples)
        resampled = statistic(counts.astype(np.float64))
    return Resampled(units, value, left_out, resampled)


def leave_one_out(units: int) -> Iterator[Values]:
    for start in range(0, units if units > 1 else 0, _ROWS):
        unit = np.arange(start, min(start + _ROWS, units))
        rows = np.ones((len(unit), units))
        rows[unit - start, unit] = 0.0
        yield rows


def jackknife_error(left_out: Values) -> float | None:
    """Standard error from leave-one-out values; None where there is only one unit."""
    units = len(left_out)
    if units < 2:
        return None
    return sqrt((units - 1) / units * float(np.sum((left_out - left_out.mean()) ** 2)))


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
