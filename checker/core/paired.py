"""Statistics of the documents of a task: scores, paired differences, what is retained, means over tasks.

Documents are independent of each other. Where they score 0 or 1, the tests are score tests: the likelihood is taken at
the value that is tested, so that they hold at rare differences and at none at all. Of two models they are Tango's for
the difference of paired proportions (Statistics in Medicine 17, 1998, 891-908), of one they are Wilson's (Journal of
the American Statistical Association 22, 1927, 209-212). Other metrics have Student's t.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import Literal, final

import numpy as np
from numpy.typing import ArrayLike

from checker.core import statistics
from checker.core.questions import Values
from checker.core.records import Interval, Statistics
from checker.core.resampling import MINIMUM_UNITS

Side = Literal["above", "below"]
_STEPS = 100
_PRECISION = 1e-10  # of a root, of the numbers around it
_MOST_ERRORS = 7.0  # standard errors: a p beyond them is not told from that at them
_LEAST_ERRORS = 1e-9
_FARTHEST = 10.0  # times the model's score, on either side of 0


@final
@dataclass(frozen=True)
class Mean:
    """A mean over documents with its interval and its test, which agree.

    ``limits`` gives the ends at a confidence, ``p`` the one-sided p against "the mean does not lie on this side of the
    bound". Both are None where nothing tells how far the mean may be off.
    """

    value: float
    units: int  # documents; of several tasks, those of the smallest
    limits: Callable[[float], Interval] | None = None
    p: Callable[[float, Side], float] | None = None

    def interval(self, confidence: float) -> Interval | None:
        """The two-sided interval; None where there is none, and with fewer than 8 documents."""
        if self.limits is None or self.units < MINIMUM_UNITS:
            return None
        return self.limits(confidence)


def is_binary(*values: ArrayLike) -> bool:
    """Whether every document scores 0 or 1."""
    return all(np.isin(np.asarray(each, dtype=np.float64), (0.0, 1.0)).all() for each in values)


def score(values: ArrayLike) -> Mean:
    """Mean of a metric over documents: Wilson's score interval where they score 0 or 1, else Student's t."""
    (known,) = statistics.paired(values=values)
    if not is_binary(known):
        return student(known)
    right, n = float(known.sum()), len(known)
    return _tested(right / n, n, (0.0, 1.0), lambda bound: _standardised(right - n * bound, n * bound * (1.0 - bound)))


def difference(variant: ArrayLike, base: ArrayLike) -> Mean:
    """Mean of ``variant`` minus ``base`` over the same documents: Tango's score interval, or Student's t."""
    a, b = statistics.paired(variant=variant, base=base)
    if not is_binary(a, b):
        return student(a - b)
    gained, lost = discordant(a, b)
    return _tested(float((a - b).mean()), len(a), (-1.0, 1.0), lambda bound: tango_z(gained, lost, len(a), bound))


def discordant(variant: Values, base: Values) -> tuple[int, int]:
    """How many documents ``variant`` alone gets right, and how many ``base`` alone, of those that score 0 or 1."""
    return int((variant > base).sum()), int((variant < base).sum())


def excess(variant: ArrayLike, base: ArrayLike, share: float, chance: float = 0.0) -> Mean:
    """Mean of ``variant - share * base - (1 - share) * chance``: how far more than that share is retained.

    Where documents score 0 or 1, a score test of the four kinds of documents that two models make.
    """
    a, b = statistics.paired(variant=variant, base=base)
    off = (1.0 - share) * chance
    if not is_binary(a, b):
        return student(a - share * b - off)
    kinds = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))
    counts = [float(((a == own) & (b == other)).sum()) for own, other in kinds]
    values = [own - share * other - off for own, other in kinds]
    ends = min(values), max(values)
    return _tested(float((a - share * b - off).mean()), len(a), ends, lambda bound: score_z(counts, values, bound))


def retained(test: Callable[[float], Mean], value: float, confidence: float) -> Interval | None:
    """All shares that are not shown to be more or less than what is retained; ``test`` gives the excess over a share.

    None where they reach beyond ten times the model's score, or nothing tells.
    """

    def ends(share: float) -> Interval | None:
        return test(share).interval(confidence)

    low, high = ends(-_FARTHEST), ends(_FARTHEST)
    if low is None or high is None or not (low[0] > 0.0 > high[1] and abs(value) < _FARTHEST):
        return None
    return (
        _root(lambda share: (ends(share) or low)[0], -_FARTHEST, value),
        _root(lambda share: -(ends(share) or high)[1], _FARTHEST, value),
    )


def macro(means: Sequence[Mean]) -> Mean:
    """The mean over tasks, each counting alike: the tasks' variances are summed, divided by their number squared.

    Each variance is the one that the task's own interval has at the end in question (Zou and Donner, Statistics in
    Medicine 27, 2008, 1693-1702), so that a mean over one task is that task's, and no discordant document is no
    certainty.
    """
    if len(means) == 1:
        return means[0]
    value, number = float(np.mean([each.value for each in means])), len(means)
    known = [each.limits for each in means if each.limits is not None]
    units = min(each.units for each in means)
    if len(known) < number:
        return Mean(value, units)
    values = [each.value for each in means]

    def limits(confidence: float) -> Interval:
        ends = [each(confidence) for each in known]
        below = sum((own - low) ** 2 for own, (low, _) in zip(values, ends, strict=True))
        above = sum((high - own) ** 2 for own, (_, high) in zip(values, ends, strict=True))
        return value - sqrt(below) / number, value + sqrt(above) / number

    return Mean(value, units, limits, lambda bound, side: _p_of_limits(limits, value, bound, side))


def student(values: ArrayLike) -> Mean:
    """Mean of any numbers with Student's t; without an interval where they do not vary.

    An end on the side where the numbers are too skewed for it decides nothing: its p is 1.
    """
    found = statistics.mean(values, Statistics(independent=True))
    error = found.log_standard_error
    if found.interval is None or not error:
        return Mean(found.value, found.units)

    def limits(confidence: float) -> Interval:
        half = statistics.student_quantile(confidence, found.degrees) * error
        return found.value - half, found.value + half

    def p(bound: float, side: Side) -> float:
        decisive = found.decisive or (-inf, inf)
        if not isfinite(decisive[0 if side == "above" else 1]):
            return 1.0
        return statistics.p_beyond(found, bound, side) or 0.0

    return Mean(found.value, found.units, limits, p)


def tango_z(gained: int, lost: int, documents: int, bound: float) -> float:
    """Tango's score statistic of a difference of paired proportions at a bound; above 0 where it lies above."""
    distance = gained - lost - documents * bound
    b = -gained - lost + (2.0 * documents - gained + lost) * bound
    c = -lost * bound * (1.0 - bound)
    share = (sqrt(max(0.0, b * b - 8.0 * documents * c)) - b) / (4.0 * documents)  # of documents that are lost
    variance = documents * (2.0 * share + bound * (1.0 - bound))
    return _standardised(distance, variance)


def score_z(counts: Sequence[float], values: Sequence[float], bound: float) -> float:
    """Score statistic of the mean of documents of a few kinds, at a bound; above 0 where the mean lies above.

    ``counts`` says how many documents are of each kind, ``values`` what those count; both are of the same kinds. The
    variance is that of the kinds' most likely shares under a mean of ``bound``.
    """
    total, off = sum(counts), [value - bound for value in values]
    mean = sum(count * each for count, each in zip(counts, off, strict=True)) / total
    if max(off) <= 0.0 or min(off) >= 0.0:  # no shares have this mean, or one kind alone
        return _standardised(mean, 0.0)
    shares = _likeliest([count / total for count in counts], off)
    variance = sum(share * each * each for share, each in zip(shares, off, strict=True))
    return _standardised(mean, variance / total)


def _likeliest(observed: Sequence[float], off: Sequence[float]) -> list[float]:
    """The most likely shares of kinds whose mean of ``off`` is 0.

    They are ``observed / (1 + multiplier * off)``. A kind that was not seen has a share only at the end of what the
    multiplier may be: the one whose ``off`` is farthest out.
    """

    def moment(multiplier: float) -> float:
        known = [(share, each) for share, each in zip(observed, off, strict=True) if share > 0.0]
        return sum(share * each / (1.0 + multiplier * each) for share, each in known)

    lowest, highest = -1.0 / max(off), -1.0 / min(off)
    for end, extreme in ((lowest, max(off)), (highest, min(off))):
        seen = any(share > 0.0 and each == extreme for share, each in zip(observed, off, strict=True))
        if not seen and moment(end) * extreme <= 0.0:
            shares = [
                0.0 if share == 0.0 else share / (1.0 + end * each) for share, each in zip(observed, off, strict=True)
            ]
            shares[list(off).index(extreme)] = max(0.0, 1.0 - sum(shares))
            return shares
    multiplier = _multiplier(observed, off, lowest, highest)
    return [
        0.0 if share == 0.0 else share / (1.0 + multiplier * each) for share, each in zip(observed, off, strict=True)
    ]


def _multiplier(observed: Sequence[float], off: Sequence[float], lowest: float, highest: float) -> float:
    """Where the moment of the likeliest shares is 0, by Newton's steps, halved where they leave the bracket."""
    known = [(share, each) for share, each in zip(observed, off, strict=True) if share > 0.0]
    found = 0.0
    for _ in range(_STEPS):
        parts = [(share, each / (1.0 + found * each)) for share, each in known]
        moment = sum(share * part for share, part in parts)
        lowest, highest = (found, highest) if moment > 0.0 else (lowest, found)
        step = moment / sum(share * part * part for share, part in parts)
        further = found + step
        if not lowest < further < highest:
            further = (lowest + highest) / 2.0
        if abs(further - found) <= _PRECISION * max(1.0, abs(found)):
            return further
        found = further
    return found


def _standardised(distance: float, variance: float) -> float:
    if abs(distance) < 1e-15:
        return 0.0
    return distance / sqrt(variance) if variance > 0.0 else (inf if distance > 0.0 else -inf)


def _tested(value: float, units: int, range_of: Interval, z: Callable[[float], float]) -> Mean:
    """A mean whose score statistic at a bound is ``z``; it may lie in ``range_of``."""

    def limits(confidence: float) -> Interval:
        reach = statistics.normal_quantile(confidence)
        low = _root(lambda bound: z(bound) - reach, range_of[0], value)
        return low, _root(lambda bound: -z(bound) - reach, range_of[1], value)

    def p(bound: float, side: Side) -> float:
        return statistics.normal_tail(z(bound) if side == "above" else -z(bound))

    return Mean(value, units, limits, p)


def _p_of_limits(limits: Callable[[float], Interval], value: float, bound: float, side: Side) -> float:
    """The one-sided p at which an end of the interval reaches the bound."""
    if bound == value:
        return 0.5
    end = 0 if bound < value else 1

    def short(errors: float) -> float:
        """How far the end is from the bound, at so many standard errors of a normal interval."""
        return abs(bound - value) - abs(limits(1.0 - 2.0 * statistics.normal_tail(errors))[end] - value)

    smaller = statistics.normal_tail(
        _MOST_ERRORS if short(_MOST_ERRORS) > 0.0 else _root(short, _LEAST_ERRORS, _MOST_ERRORS)
    )
    return smaller if (end == 0) == (side == "above") else 1.0 - smaller


def _root(f: Callable[[float], float], start: float, end: float) -> float:
    """Where ``f``, above 0 near ``start`` and not at ``end``, ceases to be; ``start`` where it is nowhere.

    Regula falsi that halves the value of an end that stays (Illinois), and every third step the bracket.
    """
    a, b, at_a, at_b = start, end, f(start), f(end)
    if not at_a > 0.0:
        return start
    stayed = 0  # how often in a row b (above 0) or a (below) did not move
    for step in range(_STEPS):
        if abs(b - a) <= _PRECISION * max(1.0, abs(a), abs(b)):
            break
        middle = (a + b) / 2.0
        if step % 4 != 3 and isfinite(at_a) and isfinite(at_b) and at_a != at_b:
            middle = (a * at_b - b * at_a) / (at_b - at_a)
        at = f(middle)
        if at == 0.0:
            return middle
        if at > 0.0:
            a, at_a, stayed = middle, at, max(0, stayed) + 1
            at_b = at_b / 2.0 if stayed > 1 else at_b
        else:
            b, at_b, stayed = middle, at, min(0, stayed) - 1
            at_a = at_a / 2.0 if stayed < -1 else at_a
    return b
