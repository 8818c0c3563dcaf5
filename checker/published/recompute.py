"""Statistics of published pair scores, as intervals of printed precision: ratios, correlations, p-values, trends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import accumulate, combinations, pairwise
from math import comb, erfc, fsum, inf, nextafter, sqrt

from checker.published.printed import Printed, geometric_mean, mean, median
from checker.published.publication import Pair, Scores

COEFFICIENTS = ("pearson", "spearman", "kendall")
AVERAGES: Mapping[str, Callable[[Sequence[Printed]], Printed]] = {
    "mean": mean,
    "median": median,
    "geometric_mean": geometric_mean,
}
LEAST_OBSERVATIONS = 3  # fewer have no p-value, and a correlation of 1 or -1
_EXACT_KENDALL = 60  # observations up to which its exact distribution is counted out
_SLACK = 1e-9  # of sums of floats
_MANY_DIGITS = Fraction(1, 10**8)
Values = Sequence[Printed]


def paired(left: Scores, right: Scores, gap: int | None) -> dict[Pair, tuple[Printed, Printed]]:
    """The scores of the pairs that stand in both tables."""
    partners = right.within(gap)
    return {pair: (value, partners[pair]) for pair, value in left.within(gap).items() if pair in partners}


def ratios(pairs: Sequence[tuple[Printed, Printed]]) -> dict[str, Printed]:
    """Every kind of ratio of left over right that these numbers have; a divisor that may be zero has none."""
    if not pairs:
        return {}
    left, right = [dividend for dividend, _ in pairs], [divisor for _, divisor in pairs]
    kinds: dict[str, Callable[[], Printed]] = {
        "mean_of_ratios": lambda: mean([dividend / divisor for dividend, divisor in pairs]),
        "ratio_of_means": lambda: mean(left) / mean(right),
        "geometric_mean": lambda: geometric_mean(left) / geometric_mean(right),
        "median_of_ratios": lambda: median([dividend / divisor for dividend, divisor in pairs]),
        "ratio_of_medians": lambda: median(left) / median(right),
    }
    values = {}
    for kind, ratio in kinds.items():
        with suppress(ZeroDivisionError, ValueError):
            values[kind] = ratio()
    return values


def correlation(coefficient: str, pairs: Sequence[tuple[Printed, Printed]]) -> Printed | None:
    """The values that a coefficient may have before rounding; None for fewer than 3 pairs or where one side is
    constant.

    Pearson's moves with each number, by the first order of each and the products of two; Spearman's with each rank
    that the printed digits leave open; of Kendall's, every two pairs whose order is left open may count either way.
    """
    if len(pairs) < LEAST_OBSERVATIONS:
        return None
    left, right = [x for x, _ in pairs], [y for _, y in pairs]
    if coefficient == "kendall":
        return _kendall(left, right)
    if coefficient == "spearman":
        return _spearman(_ranks(left), _ranks(right))
    return _pearson(_middles(left), _middles(right))


def _middles(values: Values) -> tuple[list[float], list[float]]:
    """Numbers as floats, and by how much each may be off."""
    return [float(value) for value in values], [float(value.high - value.low) / 2 for value in values]


def _ranks(values: Values) -> tuple[list[float], list[float]]:
    """Ranks, and by how much each may be off; equal numbers share the middle one, as Spearman's does.

    Numbers that are equal in few digits may each have any rank of theirs.
    """
    middles, open_by = [], []
    for value in values:
        below = sum(other.middle < value.middle for other in values)
        level = sum(other.middle == value.middle for other in values)
        middles.append(below + (level + 1) / 2)
        unclear = sum(other.middle != value.middle and _overlap(value, other) for other in values)
        open_by.append(unclear + (0 if _exact(value) else (level - 1) / 2))
    return middles, open_by


def _pearson(left: tuple[list[float], list[float]], right: tuple[list[float], list[float]]) -> Printed | None:
    (of_left, off_left), (of_right, off_right) = left, right
    (x, spread_x), (y, spread_y) = _standard(of_left), _standard(of_right)
    if not spread_x or not spread_y:
        return None
    n = len(x)
    r = fsum(a * b for a, b in zip(x, y, strict=True)) / n
    moved = fsum(abs(b - r * a) * off / (n * spread_x) for a, b, off in zip(x, y, off_left, strict=True))
    moved += fsum(abs(a - r * b) * off / (n * spread_y) for a, b, off in zip(x, y, off_right, strict=True))
    moved += fsum(a * b for a, b in zip(off_left, off_right, strict=True)) / (n * spread_x * spread_y)
    return _between(r - moved - _SLACK, r + moved + _SLACK)


def _spearman(left: tuple[list[float], list[float]], right: tuple[list[float], list[float]]) -> Printed | None:
    """That of the printed ranks; where some are open, also what the differences of ranks can come to without ties."""
    (of_left, off_left), (of_right, off_right) = left, right
    n = len(of_left)
    printed = _pearson((of_left, [0.0] * n), (of_right, [0.0] * n))
    if printed is None or not any((*off_left, *off_right)):
        return printed
    apart = [(abs(a - b), c + d) for a, b, c, d in zip(of_left, of_right, off_left, off_right, strict=True)]
    scale = 6 / (n * (n**2 - 1))
    least = 1 - scale * fsum((distance + off) ** 2 for distance, off in apart)
    most = 1 - scale * fsum(max(distance - off, 0.0) ** 2 for distance, off in apart)
    open_ranks = _between(least - _SLACK, most + _SLACK)
    return Printed(min(open_ranks.low, printed.low), max(open_ranks.high, printed.high))


def _standard(values: list[float]) -> tuple[list[float], float]:
    """Values less their mean, over their standard deviation; and the standard deviation."""
    centre = fsum(values) / len(values)
    spread = sqrt(fsum((value - centre) ** 2 for value in values) / len(values))
    return ([(value - centre) / spread for value in values] if spread else values), spread


def _kendall(left: Values, right: Values) -> Printed | None:
    """Kendall's tau-b."""
    least = most = 0
    untied = [0, 0]
    for a, b in combinations(range(len(left)), 2):
        signs = [_sign(side[a], side[b]) for side in (left, right)]
        for number, (low, high) in enumerate(signs):
            untied[number] += bool(low or high)
        products = [a * b for a in signs[0] for b in signs[1]]
        least, most = least + min(products), most + max(products)
    if not all(untied):
        return None
    scale = sqrt(untied[0]) * sqrt(untied[1])
    return _between(least / scale - _SLACK, most / scale + _SLACK)


def _sign(left: Printed, right: Printed) -> tuple[int, int]:
    """The least and the greatest sign that the order of two numbers may have; equal ones of many digits are tied."""
    if left == right and _exact(left):
        return 0, 0
    if _overlap(left, right):
        return -1, 1
    return (1, 1) if left.middle > right.middle else (-1, -1)


def _overlap(left: Printed, right: Printed) -> bool:
    """Whether two numbers may be in either order; 0.21 and 0.22, whose intervals only touch, are not."""
    return left == right or (left.low < right.high and right.low < left.high)


def _exact(value: Printed) -> bool:
    """Whether a number has so many digits that an equal one is the same number."""
    return value.high - value.low <= _MANY_DIGITS * abs(value.middle)


def _between(low: float, high: float) -> Printed:
    return Printed(Fraction(max(low, -1.0)), Fraction(min(high, 1.0)))


def sign_test(successes: int, trials: int) -> dict[str, Printed]:
    """The p-values of a sign test, exact: one-sided that there are so many successes or more, and two-sided."""
    as_many = Fraction(sum(comb(trials, k) for k in range(successes, trials + 1)), 2**trials)
    as_few = Fraction(sum(comb(trials, k) for k in range(successes + 1)), 2**trials)
    return {"one": Printed.exactly(as_many), "two": Printed.exactly(min(Fraction(1), 2 * min(as_many, as_few)))}


def correlation_test(coefficient: str, value: Printed, observations: int) -> dict[str, Printed]:
    """The p-values of a correlation that is zero, one-sided in the coefficient's own direction, and two-sided.

    Of Pearson's and Spearman's by Student's t with two degrees of freedom less than observations; of Kendall's by the
    exact distribution without ties up to 60 observations, by the normal one beyond.
    """
    if observations < LEAST_OBSERVATIONS:
        return {}
    low, high = sorted((abs(value.low), abs(value.high)))
    if value.low <= 0 <= value.high:
        low = Fraction(0)
    tail = _kendall_tail if coefficient == "kendall" else _student_tail
    least, most = sorted(tail(min(float(end), 1.0), observations) for end in (low, high))
    least = max(nextafter(least * (1 - _SLACK), -inf), 0.0)
    one_sided = Printed(Fraction(least), Fraction(most * (1 + _SLACK)))
    return {"one": one_sided, "two": Printed(min(one_sided.low * 2, Fraction(1)), min(one_sided.high * 2, Fraction(1)))}


def _student_tail(r: float, observations: int) -> float:
    """The probability of a correlation of ``r`` or more."""
    from scipy.special import stdtr  # here, because it takes longer to import than all that is judged without it

    freedom = observations - 2
    return float(stdtr(freedom, -r * sqrt(freedom / (1 - r * r)))) if r < 1 else 0.0


def _kendall_tail(tau: float, observations: int) -> float:
    pairs = observations * (observations - 1) // 2
    if observations > _EXACT_KENDALL:
        deviation = sqrt(2 * (2 * observations + 5) / (9 * observations * (observations - 1)))
        return erfc(tau / deviation / sqrt(2)) / 2
    inversions = int((1 - tau) * pairs / 2 + 1e-6)
    ways = _inversions(observations)
    return min(sum(ways[: inversions + 1]) / sum(ways), 1.0)


def _inversions(length: int) -> list[int]:
    """How many orders of so many things have 0, 1, 2 ... inversions."""
    ways = [1]
    for size in range(2, length + 1):
        sums = list(accumulate([*ways, *[0] * (size - 1)]))
        ways = [upto - before for upto, before in zip(sums, [0] * size + sums, strict=False)]
    return ways


def figure(kind: str, of: str, scores: Scores, against: Scores | None, gap: int | None) -> Printed | None:
    """What a trend follows: a table's average, its difference from another's, or the ratio to it.

    Over the pairs in both tables where there are two. None where there is no such figure.
    """
    average = AVERAGES[of]
    try:
        if kind == "value" or against is None:
            values = list(scores.within(gap).values())
            return average(values) if values else None
        pairs = list(paired(scores, against, gap).values())
        if not pairs:
            return None
        own, beside = average([left for left, _ in pairs]), average([right for _, right in pairs])
        return own - beside if kind == "difference" else own / beside
    except (ZeroDivisionError, ValueError):
        return None


def moves(figures: Sequence[Printed], direction: str) -> bool | None:
    """Whether figures move one way from each to the next; None where their printed digits do not tell."""
    steps = [_step(before, after, direction) for before, after in pairwise(figures)]
    return False if False in steps else None if None in steps else True


def _step(before: Printed, after: Printed, direction: str) -> bool | None:
    if direction == "constant":
        return before.meets(after)
    low, high = (before, after) if direction == "increasing" else (after, before)
    return True if below(low, high) else False if high.surely_at_most(low) else None


def below(left: Printed, right: Printed) -> bool:
    """Whether one printed number is less than another: also 0.21 than 0.22, which only the very middle would fit."""
    return left.surely_at_most(right) and left.low < right.high
