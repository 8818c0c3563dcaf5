"""Rank correlations of two lists of blocks, with intervals, and their p among lists that are as smooth in depth.

Input that is empty, of two lengths or not finite raises ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from math import atanh, sqrt, tanh

import numpy as np
from numpy.typing import ArrayLike

from checker.core.questions import Values
from checker.core.resampling import MINIMUM_UNITS
from checker.core.statistics import Estimate, normal_quantile, paired


def spearman(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Estimate | None:
    """Spearman's rank correlation of two score lists [units], ties given their average rank; None if one is constant.

    Interval: Fisher's z, standard error sqrt((1 + r^2 / 2) / (n - 3)) (Bonett and Wright, Psychometrika 65, 2000). That
    of a perfect correlation would have no width; it is given the inner end of the next smaller one that n ranks allow.
    """
    x, y = (ranks - ranks.mean() for ranks in map(_ranks, paired(first=a, second=b)))
    spread = sqrt(float(x @ x) * float(y @ y))
    if spread == 0.0:
        return None
    units, r = len(x), max(-1.0, min(1.0, float(x @ y) / spread))
    most = 1.0 - 12.0 / (units * (units**2 - 1.0))
    return _correlation(r, units, most, confidence, lambda inner: sqrt((1.0 + inner**2 / 2.0) / (units - 3)))


def kendall(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Estimate | None:
    """Kendall's rank correlation tau-b of two score lists [units]; None if one is constant.

    Interval: Fisher's z, standard error sqrt(0.437 / (n - 4)) (Fieller, Hartley and Pearson, Biometrika 44, 1957), with
    the inner end of the next smaller correlation that n ranks allow where it is perfect.
    """
    x, y = (np.sign(values[:, None] - values[None, :]) for values in paired(first=a, second=b))
    spread = sqrt(float((x * x).sum()) * float((y * y).sum()))
    if spread == 0.0:
        return None
    units, tau = len(x), max(-1.0, min(1.0, float((x * y).sum()) / spread))
    most = 1.0 - 4.0 / (units * (units - 1.0))
    return _correlation(tau, units, most, confidence, lambda _: sqrt(0.437 / (units - 4)))


def shifted_p(a: ArrayLike, b: ArrayLike) -> tuple[float, float] | None:
    """One-sided p of Spearman's rank correlation of two lists [blocks], and the smallest that so many can reach.

    The null are all circular shifts of one list and of its reversal, which keep how smooth it is in depth: neighbouring
    blocks are alike, so two smooth lists that have nothing to do with each other often rank alike by chance, and a test
    for independent units takes that for a relation. Lists that drift from end to end, as random walks do, still pass
    at 0.05 in about a tenth of cases. None if a list is constant.
    """
    x, y = (ranks - ranks.mean() for ranks in map(_ranks, paired(first=a, second=b)))
    if not (x.any() and y.any()):
        return None
    units = len(x)
    shifts = (np.arange(units)[:, None] + np.arange(units)) % units
    products = np.concatenate([y[shifts] @ x, y[::-1][shifts] @ x])
    reached = int(np.count_nonzero(products >= products[0] - 1e-9 * float(np.abs(products).max())))
    return reached / (2 * units), 1 / (2 * units)


def _correlation(value: float, units: int, most: float, confidence: float, error: Callable[[float], float]) -> Estimate:
    """A correlation with its interval: ``error`` is the standard error of Fisher's z, ``most`` the largest correlation
    below a perfect one."""
    interval = None
    if units >= MINIMUM_UNITS:
        inner = max(-most, min(most, value))
        half = normal_quantile(confidence) * error(inner)
        interval = min(value, tanh(atanh(inner) - half)), max(value, tanh(atanh(inner) + half))
    return Estimate(value, interval, units, None, "fisher")


def _ranks(values: Values) -> Values:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    average = np.cumsum(counts) - (counts - 1) / 2.0
    return np.asarray(average[inverse], dtype=np.float64)
