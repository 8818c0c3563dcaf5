"""Statistics of paired documents: closed cases, a likelihood maximised by hand, and how often intervals cover."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log, sqrt

import numpy as np
import pytest
from scipy import optimize, stats

from checker.core import paired
from checker.core.paired import Mean

Z = 1.959963984540054
REACH = 0.95


def documents(both: int, gained: int, lost: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """What two models score on so many documents of each kind: the variant, and the base."""
    counts = (both, gained, lost, neither)
    return np.repeat([1.0, 1.0, 0.0, 0.0], counts), np.repeat([1.0, 0.0, 1.0, 0.0], counts)


def by_hand(counts: Sequence[int], values: Sequence[float], bound: float) -> float:
    """The score statistic of a mean, with the likelihood maximised numerically under that mean."""
    n, k = sum(counts), np.array(values) - bound
    seen = np.array(counts) / n
    constraints = [
        {"type": "eq", "fun": lambda shares: shares.sum() - 1.0},
        {"type": "eq", "fun": lambda shares: shares @ k},
    ]
    found = optimize.minimize(
        lambda shares: -sum(s * log(max(p, 1e-12)) for s, p in zip(seen, shares, strict=True) if s > 0.0),
        np.full(len(k), 1.0 / len(k)),
        bounds=[(0.0, 1.0)] * len(k),
        constraints=constraints,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    return float((seen @ k) / sqrt((found.x @ k**2) / n))


# --- closed cases ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_no_discordant_document_is_no_certainty(n: int) -> None:
    variant, base = documents(n // 2, 0, 0, n - n // 2)
    found = paired.difference(variant, base)
    end = Z * Z / (n + Z * Z)
    assert found.value == 0.0
    assert found.interval(REACH) == pytest.approx((-end, end), abs=1e-9)


@pytest.mark.parametrize(("right", "n"), [(0, 20), (7, 20), (50, 100), (100, 100)])
def test_a_score_has_wilsons_interval(right: int, n: int) -> None:
    share = right / n
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    found = paired.score(np.repeat([1.0, 0.0], [right, n - right]))
    assert found.interval(REACH) == pytest.approx((centre - half, centre + half), abs=1e-9)


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 1, 44), (9, 14, 50), (3, 0, 30), (25, 8, 200), (1, 1, 500)])
def test_a_difference_has_the_interval_of_the_constrained_likelihood(gained: int, lost: int, n: int) -> None:
    """The ends are where the statistic, made of a likelihood maximised by hand, is the quantile."""
    variant, base = documents(n - gained - lost, gained, lost, 0)
    low, high = paired.difference(variant, base).interval(REACH) or (0.0, 0.0)
    counts, values = (gained, n - gained - lost, lost), (1.0, 0.0, -1.0)
    assert by_hand(counts, values, low) == pytest.approx(Z, abs=2e-3)
    assert by_hand(counts, values, high) == pytest.approx(-Z, abs=2e-3)


def test_an_equal_number_on_both_sides_is_symmetric() -> None:
    found = paired.difference(*documents(10, 6, 6, 10)).interval(REACH)
    assert found is not None
    assert found[0] == pytest.approx(-found[1], abs=1e-9)


@pytest.mark.parametrize("bound", [-0.3, -0.02, 0.0, 0.05, 0.4])
@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 5), (4, 0), (7, 12)])
def test_tangos_statistic_is_the_general_one(gained: int, lost: int, bound: float) -> None:
    general = paired.score_z((gained, 80 - gained - lost, lost), (1.0, 0.0, -1.0), bound)
    assert paired.tango_z(gained, lost, 80, bound) == pytest.approx(general, abs=1e-6)


@pytest.mark.parametrize("counts", [(50, 4, 9, 37), (60, 0, 0, 40), (60, 0, 3, 37), (95, 2, 0, 3)])
@pytest.mark.parametrize(("share", "chance"), [(0.95, 0.0), (0.97, 0.25), (0.5, 0.0)])
def test_what_is_retained_is_tested_with_the_constrained_likelihood(
    counts: tuple[int, int, int, int], share: float, chance: float
) -> None:
    off = (1.0 - share) * chance
    values = (1.0 - share - off, 1.0 - off, -share - off, -off)
    assert paired.score_z(counts, values, 0.0) == pytest.approx(by_hand(counts, values, 0.0), abs=3e-3)


# --- an interval and its test ----------------------------------------------------------------------------------------


MEANS: dict[str, Callable[[], Mean]] = {
    "score": lambda: paired.score(np.repeat([1.0, 0.0], [30, 20])),
    "difference": lambda: paired.difference(*documents(60, 3, 8, 29)),
    "no difference": lambda: paired.difference(*documents(60, 0, 0, 40)),
    "excess": lambda: paired.excess(*documents(60, 3, 8, 29), 0.95, 0.25),
    "other metric": lambda: paired.difference(np.linspace(0.2, 3.0, 40) ** 1.5, np.linspace(0.1, 3.3, 40)),
    "two tasks": lambda: paired.macro(
        [paired.difference(*documents(60, 3, 8, 29)), paired.difference(*documents(20, 1, 1, 18))]
    ),
    "two tasks, one of them another metric": lambda: paired.macro(
        [paired.difference(*documents(60, 3, 8, 29)), paired.student(np.linspace(-1.0, 1.3, 25))]
    ),
}


@pytest.mark.parametrize("name", MEANS)
def test_a_bound_lies_outside_the_interval_where_its_p_is_below_half_the_error(name: str) -> None:
    found = MEANS[name]()
    low, high = found.interval(REACH) or (0.0, 0.0)
    assert low < found.value < high
    assert found.p is not None
    step = 1e-6
    assert found.p(low - step, "above") < 0.025 < found.p(low + step, "above")
    assert found.p(high + step, "below") < 0.025 < found.p(high - step, "below")
    assert found.p(high + 0.01, "above") > 0.9
    assert found.p(found.value, "above") == pytest.approx(0.5, abs=1e-6)


def test_what_does_not_vary_has_no_interval() -> None:
    found = paired.difference(np.full(50, 0.7), np.full(50, 0.2))
    assert (found.value, found.interval(REACH), found.p) == (pytest.approx(0.5), None, None)


def test_fewer_than_eight_documents_have_no_interval() -> None:
    assert paired.score([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]).interval(REACH) is None


def test_the_share_retained_has_the_ends_at_which_the_test_turns() -> None:
    variant, base = documents(60, 3, 8, 29)

    def test(share: float) -> Mean:
        return paired.excess(variant, base, share)

    low, high = paired.retained(test, 63 / 68, REACH) or (0.0, 0.0)
    assert low < 63 / 68 < high
    for share, side in ((low, "above"), (high, "below")):
        p = test(share).p
        assert p is not None
        assert p(0.0, side) == pytest.approx(0.025, abs=1e-5)  # type: ignore[arg-type]


def test_no_share_is_told_where_the_base_scores_nothing() -> None:
    variant, base = documents(0, 5, 0, 95)
    assert paired.retained(lambda share: paired.excess(variant, base, share), 0.0, REACH) is None


def test_a_skewed_metric_decides_nothing_on_its_long_side() -> None:
    values = np.concatenate([np.full(99, 0.01) + np.linspace(0, 1e-4, 99), [50.0]])
    found = paired.student(values)
    assert found.p is not None
    assert found.p(1e9, "below") == 1.0


def test_tasks_count_alike_whatever_their_documents() -> None:
    parts = [paired.difference(*documents(60, 3, 8, 29)), paired.difference(*documents(200, 40, 10, 50))]
    found = paired.macro(parts)
    assert found.value == pytest.approx((-0.05 + 0.1) / 2)
    low, high = found.interval(REACH) or (0.0, 0.0)
    ends = [part.interval(REACH) or (0.0, 0.0) for part in parts]
    below = sqrt(sum((part.value - end[0]) ** 2 for part, end in zip(parts, ends, strict=True))) / 2
    above = sqrt(sum((part.value - end[1]) ** 2 for part, end in zip(parts, ends, strict=True))) / 2
    assert (low, high) == pytest.approx((found.value - below, found.value + above))
    assert found.units == 100


# --- coverage --------------------------------------------------------------------------------------------------------


def _covered(z: Callable[[np.ndarray], float], shares: Sequence[float], n: int, draws: int = 2000) -> float:
    counts = np.random.default_rng(7).multinomial(n, shares, size=draws)
    return float(np.mean([abs(z(each)) <= Z for each in counts]))


@pytest.mark.parametrize("n", [100, 200, 500])
@pytest.mark.parametrize(("gained", "lost"), [(0.02, 0.03), (0.01, 0.02), (0.05, 0.15), (0.1, 0.1)])
def test_differences_are_covered_at_the_nominal_rate(n: int, gained: float, lost: float) -> None:
    covered = _covered(
        lambda found: paired.tango_z(int(found[0]), int(found[1]), n, gained - lost),
        (gained, lost, 1.0 - gained - lost),
        n,
    )
    assert 0.92 <= covered <= 0.985 if gained + lost < 0.04 else 0.92 <= covered <= 0.97


@pytest.mark.parametrize("n", [100, 200, 500])
@pytest.mark.parametrize(("right", "gained", "lost"), [(0.55, 0.02, 0.05), (0.75, 0.03, 0.05), (0.4, 0.1, 0.12)])
def test_what_is_retained_is_covered_at_the_nominal_rate(n: int, right: float, gained: float, lost: float) -> None:
    share = (right + gained) / (right + lost)
    values = (1.0 - share, 1.0, -share, 0.0)
    covered = _covered(
        lambda found: paired.score_z([float(each) for each in found], values, 0.0),
        (right, gained, lost, 1.0 - right - gained - lost),
        n,
        draws=600,
    )
    assert 0.92 <= covered <= 0.975


def test_a_claim_at_its_bound_is_rarely_supported_where_losses_are_rare() -> None:
    """Student's t of the same differences errs far more often: nothing lost among 100 documents looks certain."""
    right, share, n = 0.6, 0.97, 100
    shares = (right * share, 0.0, right * (1.0 - share), 1.0 - right)
    values = np.array([1.0 - share, 1.0, -share, 0.0])
    counts = np.random.default_rng(11).multinomial(n, shares, size=1000)
    supported = np.mean([paired.score_z([float(c) for c in each], tuple(values), 0.0) > Z for each in counts])
    means = counts @ values / n
    errors = np.sqrt((counts @ values**2 / n - means**2) / (n - 1))
    by_t = np.mean(means / errors > stats.t.ppf(0.975, n - 1))
    assert supported <= 0.03
    assert by_t >= 0.1


def test_means_over_two_tasks_are_covered_at_the_nominal_rate() -> None:
    random, covered = np.random.default_rng(3), 0
    for _ in range(300):
        counts = [random.multinomial(n, (0.5, 0.05, 0.08, 0.37)) for n in (200, 100)]
        found = paired.macro([paired.difference(*documents(*each)) for each in counts]).interval(REACH)
        assert found is not None
        covered += found[0] <= -0.03 <= found[1]
    assert 0.92 <= covered / 300 <= 0.98
