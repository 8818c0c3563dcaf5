"""Perplexity from per-window losses, intervals, Holm (design, 3.2 and 3.5).

Units are prompts for distances and evaluation windows for losses. Intervals come from weights put on them, as
``resampling`` does it.

Input that is empty, of the wrong shape or not finite raises ValueError; nothing here returns NaN or infinity.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import atanh, exp, expm1, inf, isfinite, log, log1p, sqrt, tanh
from typing import Any, Literal, final

import numpy as np
from numpy.typing import ArrayLike

from checker.core.questions import Values
from checker.core.records import Interval, Statistics
from checker.core.resampling import (
    LARGEST_LOG,
    LARGEST_RATIO,
    MINIMUM_UNITS,
    Resampled,
    Spread,
    Statistic,
    resample,
    spread,
    weighted_cost,
    weighted_geometric_mean,
    weighted_mean,
    weighted_quotient,
)

Scale = Literal["log", "linear", "percent", "fisher"]

MINIMUM_WINDOWS = 16  # fewer decide nothing about a population
LEAST_DISTANCE = -1e-6  # what rounding may leave of a distance that is zero
_LARGEST = 1e100  # a larger loss or distance is as wrong as an infinite one, and would overflow when squared
_MOST_UNITS = 10**9  # a comparison that needs more will not be settled by more units
_PERFECT = 1.0 - 1e-12  # a correlation nearer to 1 has no finite Fisher z
_SKEWED = 0.25  # times the root of the number of units: the largest skewness that Student's t is trusted with


@final
@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    ``interval`` is None with fewer than 8 effective units, of which neighbours that go together are fewer than there
    are ``units``. ``scale`` is where a Student's t interval is symmetric: ``log`` the
    log of the value, ``linear`` the value, ``percent`` log(1 + value / 100), ``fisher`` its inverse hyperbolic tangent.
    ``log_standard_error`` is the jackknife's standard error of the log of the value (``percent``: of log(1 + value /
    100); a difference in NLL is itself the log of a ratio of perplexities). None where there is no such log, and for a
    single unit.
    """

    value: float
    interval: Interval | None
    units: int
    log_standard_error: float | None = None
    scale: Scale = "log"
    effective_units: float | None = None  # None: all of them
    skewness: float = 0.0  # of the units' influence on the value, on its scale

    @property
    def degrees(self) -> float:
        """Degrees of freedom of Student's t."""
        return (self.units if self.effective_units is None else self.effective_units) - 1.0

    @property
    def skewness_limit(self) -> float:
        """The skewness beyond which an end of the interval on the side of the long tail decides nothing.

        At it, Student's t of independent units errs about 4.5 % of the time on that side where 2.5 % is meant (its
        Edgeworth expansion; simulated from 16 to 200 log-normal units). Normal units exceed it in less than 2 % of
        samples, which is why it grows no further below 20 units.
        """
        return _SKEWED * sqrt(max(20, self.units))

    @property
    def decisive(self) -> Interval | None:
        """The interval as far as it may decide: without an end on the side where the units are too skewed for it."""
        if self.interval is None:
            return None
        low, high = self.interval
        limit = self.skewness_limit
        return (-inf if self.skewness < -limit else low), (inf if self.skewness > limit else high)


def distance(values: ArrayLike, settings: Statistics) -> Estimate:
    """Mean of per-prompt distances [prompts] in nats, with Student's t on the log scale (design, 3.5).

    The interval is on the linear scale where the mean, or the mean without one prompt, is not positive.
    ValueError for a distance below -1e-6: rounding may leave that much of a zero, anything lower is an error.
    """
    distances = _finite("distances", values)
    lowest = int(np.argmin(distances))
    if distances[lowest] < LEAST_DISTANCE:
        raise ValueError(
            f"distances, unit {lowest}: found {float(distances[lowest])!r}; expected at least {LEAST_DISTANCE}, which "
            "rounding may leave of a zero; a KL divergence is never negative: look for the error where it was measured"
        )
    sample = resample(weighted_mean(distances), len(distances), settings)
    return _log_estimate(sample, settings) or replace(_linear_estimate(sample, settings), log_standard_error=None)


def mean(values: ArrayLike, settings: Statistics) -> Estimate:
    """Mean of units of any sign, with Student's t on the linear scale."""
    known = _finite("values", values)
    return _linear_estimate(resample(weighted_mean(known), len(known), settings), settings)


def of_statistic(statistic: Statistic, units: int, settings: Statistics) -> Estimate | None:
    """Any statistic of weights on units, with Student's t on the linear scale.

    None where it has no value on all units, or without one of them. Without an interval where it is the same without
    each of them, as ranks may be: how far off it is, these units then do not tell.
    """
    sample = resample(statistic, units, settings)
    if not np.isfinite(sample.everything).all():
        return None
    found = _linear_estimate(sample, settings)
    return found if found.log_standard_error else replace(found, interval=None)


def on_fishers_scale(statistic: Statistic, units: int, settings: Statistics) -> Estimate | None:
    """A correlation whose Fisher's z ``statistic`` gives, with Student's t on that scale; None where it has none."""
    found = of_statistic(statistic, units, settings)
    if found is None:
        return None
    interval = found.interval and (tanh(found.interval[0]), tanh(found.interval[1]))
    return replace(found, value=tanh(found.value), interval=interval, scale="fisher")


def geometric_mean_ratio(numerator: ArrayLike, denominator: ArrayLike, settings: Statistics) -> Estimate:
    """Geometric mean of the ratios of paired positive units, with Student's t on the mean of their logs."""
    above, below = paired(numerator=numerator, denominator=denominator)
    for values in (above, below):
        if not (values > 0.0).all():
            raise ValueError(f"found {float(values.min())!r}; expected positive units, whose ratios have logs")
    found = mean(np.log(above) - np.log(below), settings)
    interval = found.interval and (_exp(found.interval[0]), _exp(found.interval[1]))
    return replace(found, value=_exp(found.value), interval=interval, scale="log")


def ratio(numerator: ArrayLike, denominator: ArrayLike, settings: Statistics) -> Estimate | None:
    """Ratio of the means of paired units [prompts]; Student's t on the log scale, jackknife standard error.

    None where the denominator's mean, or its mean without one unit, is not positive. Where only the numerator's is not,
    as for blocks that commute (interchange distance 0), the ratio stands and its interval is on the linear scale.
    """
    above, below = paired(numerator=numerator, denominator=denominator)
    sample = resample(weighted_quotient(weighted_mean(above), weighted_mean(below)), len(above), settings)
    if not np.isfinite(sample.everything).all():
        return None
    return _log_estimate(sample, settings) or replace(_linear_estimate(sample, settings), log_standard_error=None)


def geometric_mean(matrix: ArrayLike, settings: Statistics) -> Estimate | None:
    """Geometric mean over pairs of the pairs' means; ``matrix`` is [pairs, prompts], the jackknife runs over prompts.

    None where a pair's mean, or its mean without one prompt, is not positive.
    """
    distances = _finite("distances of pairs", matrix, dimensions=2)
    return _log_estimate(resample(weighted_geometric_mean(distances), distances.shape[1], settings), settings)


def ratio_of_geometric_means(numerators: ArrayLike, denominators: ArrayLike, settings: Statistics) -> Estimate | None:
    """Ratio of two geometric means over pairs, from two matrices [pairs, prompts] on the same prompts.

    None where a pair's mean, or its mean without one prompt, is not positive.
    """
    above, below = _finite("numerators", numerators, dimensions=2), _finite("denominators", denominators, dimensions=2)
    if above.shape[1] != below.shape[1]:
        raise ValueError(f"found {above.shape[1]} and {below.shape[1]} prompts; expected the same prompts in both")
    quotient = weighted_quotient(weighted_geometric_mean(above), weighted_geometric_mean(below))
    return _log_estimate(resample(quotient, above.shape[1], settings), settings)


def perplexity(nll: ArrayLike, tokens: ArrayLike) -> float:
    """exp(sum of NLL / tokens scored); ``nll`` [windows] is summed per window, in nats (design, 3.2)."""
    losses, counts = _windows(tokens, nll=nll)
    return _exp(float(losses.sum() / counts.sum()))


def perplexity_interval(nll: ArrayLike, tokens: ArrayLike, settings: Statistics) -> Estimate:
    """Perplexity with Student's t on the log scale; the jackknife runs over the windows that score a token."""
    losses, counts = _windows(tokens, nll=nll)
    per_token = _linear_estimate(
        resample(weighted_mean(losses, counts), len(counts), _scored(settings, counts)), settings
    )
    interval = per_token.interval and (_exp(per_token.interval[0]), _exp(per_token.interval[1]))
    return replace(per_token, value=perplexity(nll, tokens), interval=interval, scale="log")


def nll_difference(variant_nll: ArrayLike, base_nll: ArrayLike, tokens: ArrayLike, settings: Statistics) -> Estimate:
    """Paired difference in mean NLL, variant minus base, in nats per token: sum of differences / sum of tokens.

    All arguments are [windows]; the NLL is summed per window, in nats. Student's t with the jackknife over windows.
    """
    variant, base, counts = _windows(tokens, variant_nll=variant_nll, base_nll=base_nll)
    return _linear_estimate(
        resample(weighted_mean(variant - base, counts), len(counts), _scored(settings, counts)), settings
    )


def percent(difference: float) -> float:
    """``100 * (exp(difference) - 1)``: what a difference in NLL, in nats per token, is as an increase of perplexity."""
    if not isfinite(difference):
        raise ValueError(f"difference in NLL: found {difference!r}; expected a finite number of nats per token")
    return 100.0 * expm1(min(difference, LARGEST_LOG))


def increase(variant_nll: ArrayLike, base_nll: ArrayLike, tokens: ArrayLike, settings: Statistics) -> Estimate:
    """Cost of a variant: ``100 * (ppl / ppl_base - 1)`` percent, with the interval of the paired difference in NLL."""
    difference = nll_difference(variant_nll, base_nll, tokens, settings)
    interval = difference.interval and (percent(difference.interval[0]), percent(difference.interval[1]))
    return replace(difference, value=percent(difference.value), interval=interval, scale="percent")


def bits_per_byte(nll: ArrayLike, scored_bytes: ArrayLike, settings: Statistics) -> Estimate:
    """Sum of NLL / ln 2 / UTF-8 bytes, both per unit; Student's t on the log scale."""
    losses, counts = _windows(scored_bytes, nll=nll)
    sample = resample(weighted_mean(losses / log(2.0), counts), len(counts), _scored(settings, counts))
    return _log_estimate(sample, settings) or replace(_linear_estimate(sample, settings), log_standard_error=None)


def loss_increase(variant_nll: ArrayLike, base_nll: ArrayLike, settings: Statistics) -> Estimate | None:
    """``100 * (loss / base loss - 1)`` percent over the same units of text: the increase of bits per byte.

    None where a loss is not positive, on all units or without one of them.
    """
    variant, base = paired(variant_nll=variant_nll, base_nll=base_nll)
    quotient = weighted_quotient(weighted_mean(variant), weighted_mean(base))
    found = _log_estimate(resample(quotient, len(base), settings), settings)
    if found is None:
        return None
    interval = found.interval and (100.0 * (found.interval[0] - 1.0), 100.0 * (found.interval[1] - 1.0))
    return replace(found, value=100.0 * (found.value - 1.0), interval=interval, scale="percent")


def ratio_of_costs(
    better_nll: ArrayLike, worse_nll: ArrayLike, base_nll: ArrayLike, tokens: ArrayLike, settings: Statistics
) -> Estimate | None:
    """The worse arm's cost over the better arm's, percent over percent, as a number of times; t on the log scale.

    All arguments are [windows]; jackknife over windows. None where a cost is not positive, on all windows or without
    one of them.
    """
    better, worse, base, counts = _windows(tokens, better_nll=better_nll, worse_nll=worse_nll, base_nll=base_nll)
    quotient = weighted_quotient(weighted_cost(worse - base, counts), weighted_cost(better - base, counts))
    return _log_estimate(resample(quotient, len(counts), _scored(settings, counts)), settings)


def p_value(mean: float, standard_error: float, degrees: float, threshold: float) -> float:
    """One-sided p of Student's t for the hypothesis that the true mean is at most ``threshold``.

    A two-sided interval of confidence c lies above the threshold exactly where this is below (1 - c) / 2.
    """
    if not (isfinite(mean) and isfinite(standard_error) and standard_error >= 0.0):
        raise ValueError(f"t test: found mean {mean!r}, standard error {standard_error!r}; expected finite numbers")
    if standard_error == 0.0 or not isfinite(threshold):
        return 0.0 if mean > threshold else 1.0
    return float(_special().stdtr(degrees, (threshold - mean) / standard_error))


def p_beyond(estimate: Estimate, threshold: float, side: Literal["above", "below"]) -> float | None:
    """One-sided p against "the value does not lie on this ``side`` of ``threshold``", on the estimate's own scale.

    None where the estimate has no interval or no standard error to test with. Student's t also where the interval is a
    bootstrap's.
    """
    if estimate.log_standard_error is None or estimate.interval is None:
        return None
    sign = 1.0 if side == "above" else -1.0
    centre, bound = (sign * _onto(number, estimate.scale) for number in (estimate.value, threshold))
    return p_value(centre, estimate.log_standard_error, estimate.degrees, bound)


def holm(p_values: Mapping[str, float], level: float) -> dict[str, bool]:
    """Which hypotheses Holm's step-down procedure rejects, so that all of them share one error rate ``level``.

    For one-sided p values, ``(1 - confidence) / 2`` is the level at which a single one agrees with its interval.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: found {level!r}; expected a share between 0 and 1")
    return {name: adjusted <= level for name, adjusted in holm_adjusted(p_values).items()}


def holm_adjusted(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p values: the smallest shared error rate at which each hypothesis is rejected."""
    for name, p in p_values.items():
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"p value of {name!r}: found {p!r}; expected a number from 0 to 1")
    adjusted, largest = {}, 0.0
    for step, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - step) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def control_p(cost: float, draws: ArrayLike) -> float:
    """An arm's p against its random control: (1 + draws not costlier) / (1 + draws). Without draws it is 1."""
    costs = np.asarray(draws, dtype=np.float64)
    _finite("costs of the arm and of the random draws", [cost, *costs])
    return (1 + int(np.count_nonzero(costs <= cost))) / (1 + costs.size)


def quartiles(values: ArrayLike) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, interpolated linearly between order statistics."""
    lower, middle, upper = np.quantile(_finite("values", values), [0.25, 0.5, 0.75])
    return float(lower), float(middle), float(upper)


def further_units(
    estimate: Estimate, threshold: float, confidence: float = 0.95, least: int = MINIMUM_UNITS
) -> int | None:
    """How many further units would move the interval off ``threshold``, if value and spread stay as they are.

    Whichever side the value is on, a narrower interval settles the comparison there. So None (none would) means that
    the value lies on the threshold, or so near that a billion units would not do, or that units cannot be added, as
    for the blocks of a rank correlation. ``least`` is how many units a decision needs at all; where the spread is
    unknown, the answer is what is missing to that number.
    """
    value, bound = (_onto(number, estimate.scale) for number in (estimate.value, threshold))
    if value == bound or estimate.scale == "fisher":
        return None
    error = estimate.log_standard_error or 0.0
    if estimate.interval is not None:
        facing = _onto(estimate.interval[1 if bound > value else 0], estimate.scale)
        error = abs(facing - value) / student_quantile(confidence, estimate.degrees)
    effective = (estimate.degrees + 1.0) / max(1, estimate.units)  # of each unit

    def settled(units: int) -> bool:
        half = error * sqrt(estimate.units / units) * student_quantile(confidence, max(1.0, units * effective - 1.0))
        return half < abs(bound - value)

    lowest = highest = max(estimate.units, least, 2)
    while not settled(highest):
        highest *= 2
        if highest > _MOST_UNITS:
            return None
    return lowest + bisect_left(range(lowest, highest), True, key=settled) - estimate.units


def _log_estimate(sample: Resampled, settings: Statistics) -> Estimate | None:
    """None unless the statistic is positive on all units and on every resample (NaN: it has no value there)."""
    if not (sample.everything > 0.0).all():
        return None
    found = spread(np.log(sample.left_out), sample.independent)
    return _estimate(sample, found, settings, lambda shift: min(LARGEST_RATIO, sample.value * _exp(shift)), "log")


def _linear_estimate(sample: Resampled, settings: Statistics) -> Estimate:
    found = spread(sample.left_out, sample.independent)
    return _estimate(sample, found, settings, lambda shift: sample.value + shift, "linear")


def _estimate(
    sample: Resampled, found: Spread | None, settings: Statistics, shifted: Callable[[float], float], scale: Scale
) -> Estimate:
    if found is None:
        return Estimate(sample.value, None, sample.units, None, scale)
    interval = None
    if round(found.effective_units, 9) >= MINIMUM_UNITS:
        if len(sample.resampled):
            upper = _upper_share(settings.confidence)
            low, high = (float(end) for end in np.quantile(sample.resampled, [1.0 - upper, upper]))
        else:
            half = student_quantile(settings.confidence, found.effective_units - 1.0) * found.error
            low, high = shifted(-half), shifted(half)
        interval = low, high
    return Estimate(sample.value, interval, sample.units, found.error, scale, found.effective_units, found.skewness)


def student_quantile(confidence: float, degrees: float) -> float:
    """How many standard errors a two-sided Student's t interval reaches to each side."""
    if degrees < 1:
        raise ValueError(f"degrees of freedom: found {degrees!r}; expected at least 1, that is two units")
    return float(_special().stdtrit(degrees, _upper_share(confidence)))


def normal_quantile(confidence: float) -> float:
    """How many standard errors a two-sided normal interval reaches to each side."""
    return float(_special().ndtri(_upper_share(confidence)))


def normal_tail(z: float) -> float:
    """The share of the normal distribution above ``z``."""
    return float(_special().ndtr(-z))


def _special() -> Any:
    from scipy import special  # here, because it takes a quarter of a second to import and judging rarely needs it

    return special


def _upper_share(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence: found {confidence!r}; expected a share between 0 and 1, such as 0.95")
    return (1.0 + confidence) / 2.0


def _exp(exponent: float) -> float:
    return exp(min(exponent, LARGEST_LOG))


def _onto(value: float, scale: Scale) -> float:
    """A value on the scale where its interval is symmetric; minus infinity at and below that scale's lower limit."""
    if not isfinite(value):
        raise ValueError(f"value or threshold: found {value!r}; expected a finite number to compare with")
    if scale == "log":
        return log(value) if value > 0.0 else -inf
    if scale == "fisher":
        return atanh(max(-_PERFECT, min(_PERFECT, value)))
    if scale == "percent":
        return log1p(value / 100.0) if value > -100.0 else -inf
    return value


def _finite(name: str, values: ArrayLike, dimensions: int = 1) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != dimensions or array.size == 0:
        raise ValueError(f"{name}: found shape {array.shape}; expected {dimensions} axes and at least one value")
    wrong = np.argwhere(~(np.abs(array) <= _LARGEST))
    if len(wrong):
        place = tuple(int(index) for index in wrong[0])
        raise ValueError(
            f"{name}, unit {place[-1]}: found {float(array[place])!r}; expected a finite number; "
            "a measurement that is not finite is never a score: look for the error where it was measured"
        )
    return array


def paired(**units: ArrayLike) -> list[Values]:
    """Arrays of finite numbers, as many in each; ValueError names the first that is not."""
    arrays = [_finite(name, values) for name, values in units.items()]
    if len({len(array) for array in arrays}) > 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in zip(units, arrays, strict=True))
        raise ValueError(f"found different numbers of units ({lengths}); expected the same units in each")
    return arrays


def _windows(tokens: ArrayLike, **losses: ArrayLike) -> list[Values]:
    """Losses and last the token counts; what a window that scores no token says of a loss was not measured."""
    *arrays, counts = paired(**losses, tokens=tokens)
    if (counts < 0.0).any() or not counts.any():
        raise ValueError(f"tokens: found {counts.min():g} to {counts.max():g}; expected how many each window scored")
    return [*(np.where(counts > 0.0, array, 0.0) for array in arrays), counts]


def _scored(settings: Statistics, counts: Values) -> Statistics:
    """The settings, which count no window that scores no token."""
    if (counts > 0.0).all():
        return settings
    counted = range(len(counts)) if settings.counted is None else settings.counted
    return replace(settings, counted=tuple(window for window in counted if counts[window] > 0.0))
