"""Names the regime of a pair and of a checkpoint (design, 3.4), and says in words what follows from it.

Every rule reads intervals, never values alone: what the units at hand cannot decide is ``open``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from checker.core.records import Statistics
from checker.core.statistics import Estimate

DistanceClass = Literal["similar", "conditional", "distinct"]
Direction = Literal["forward", "backward"]
PairRegime = Literal["low", "reversed", "gap", "high", "open"]
MetricRegime = Literal["low", "reversed", "divergent", "high", "open"]
RemovalRegime = Literal["interchange-safer", "replacement-safer", "tied", "open"]


def distance_class(value: float, settings: Statistics) -> DistanceClass:
    """The class of a distance in nats: below ``settings.similar``, below ``settings.conditional``, or neither."""
    if not isfinite(value):
        raise ValueError(f"distance: found {value!r}; expected a finite number of nats")
    if value < settings.similar:
        return "similar"
    return "conditional" if value < settings.conditional else "distinct"


def direction(forward: ArrayLike, backward: ArrayLike) -> Direction:
    """Which direction of replacement has the larger mean distance; both are [prompts], in nats; a tie is ``forward``.

    Decided once on all prompts: chosen anew on every resample, the larger direction would be biased upwards.
    """
    means = [float(np.mean(np.asarray(values, dtype=np.float64))) for values in (forward, backward)]
    if not all(isfinite(mean) for mean in means):
        raise ValueError(f"means of the two directions: found {means[0]!r} and {means[1]!r}; expected finite numbers")
    return "forward" if means[0] >= means[1] else "backward"


def pair_regime(replacement: Estimate, ratio: Estimate | None, settings: Statistics) -> PairRegime:
    """What the two protocols say of a pair together: the first of low, reversed, gap, high that holds, else open.

    ``replacement`` is the larger direction's distance in nats, ``ratio`` the kl_ratio, interchange over replacement
    (None where it has no value). Too few units for an interval leave the pair open.
    """
    if replacement.interval is None:
        return "open"
    lower, upper = replacement.interval
    ratio_lower, ratio_upper = ratio.interval if ratio is not None and ratio.interval is not None else (0.0, np.inf)
    if upper < settings.conditional:
        return "low"
    if ratio_lower > 1.0:
        return "reversed"
    if lower >= settings.conditional:
        return "gap" if ratio_upper < settings.divergent_ratio else "high"
    return "open"


def metric_regime(replacement: Estimate | None, ratio: Estimate | None, settings: Statistics) -> MetricRegime:
    """The rule for pairs on geometric means over all adjacent pairs that are not excluded; its gap is ``divergent``.

    ``replacement`` is the geometric mean of the replacement distances in nats (None where it has no value), ``ratio``
    the ratio of the geometric means, interchange over replacement.
    """
    if replacement is None:
        return "open"
    name = pair_regime(replacement, ratio, settings)
    return "divergent" if name == "gap" else name


def removal_regime(differences: Sequence[Estimate], margin: float) -> RemovalRegime:
    """What the measured removals say at one budget; open unless every resolution of the ties says the same.

    ``differences`` are differences in mean NLL in nats per token, replacement's arm minus interchange's, one for each
    combination of tie resolutions; ``margin`` is the declared margin in the same unit. An interval inside the margin is
    tied even where it excludes zero: such a difference is known, and known to be too small to matter.
    """
    if not (isfinite(margin) and margin >= 0.0):
        raise ValueError(f"margin: found {margin!r}; expected a number of nats per token, at least 0")
    names = {_of_one_resolution(difference, margin) for difference in differences}
    return names.pop() if len(names) == 1 else "open"


def _of_one_resolution(difference: Estimate, margin: float) -> RemovalRegime:
    if difference.decisive is None:
        return "open"
    lower, upper = difference.decisive
    if -margin <= lower and upper <= margin:
        return "tied"
    if lower > 0.0:
        return "interchange-safer"
    return "replacement-safer" if upper < 0.0 else "open"


def metric_sentence(name: MetricRegime, settings: Statistics) -> str:
    """What a metric regime means for pruning, and what does not follow from it."""
    bound, share = f"{settings.conditional:.2f} nats", f"{settings.divergent_ratio:g} times"
    mean = "In the geometric mean over adjacent pairs"
    return {
        "low": (
            f"{mean}, a block can run in its neighbour's place at a distance below {bound}: neighbours do much the "
            "same, or little at all. It does not follow that blocks can be removed, because deleting a block also "
            "takes away what it adds, even where its neighbour would add the same; only measured removals show that."
        ),
        "reversed": (
            f"{mean}, swapping two blocks changes the output more than running one of them in both places: "
            "interchange is the stricter test here. It does not follow that the blocks with the lowest replacement "
            "scores are safe to remove; only measured removals show that."
        ),
        "divergent": (
            f"{mean}, blocks cannot stand in for each other, yet swapping them changes the output less than {share} "
            "as much: the two protocols give different answers, so a claim of redundancy has to name its protocol. "
            "It does not follow that they choose different blocks or that either chooses better ones, because a "
            "ratio this low is common even in untrained models; the rank correlation, the overlap of the selections "
            "and the removal regime speak to that."
        ),
        "high": (
            f"{mean}, a block in its neighbour's place is at least {bound} away, and no gap between the protocols is "
            "shown: replacement does not support calling neighbouring blocks redundant. It does not follow that no "
            "block can be removed; the deletion distances and the measured removals speak to that."
        ),
        "open": (
            "The prompts do not decide between the regimes, so nothing about pruning follows from the protocols' "
            "distances as a whole; single pairs and measured removals may still be decided."
        ),
    }[name]


def removal_sentence(name: RemovalRegime, budget: int, margin: float) -> str:
    """What a removal regime means for pruning at ``budget`` blocks, and what does not follow from it."""
    blocks = "one block" if budget == 1 else f"{budget} blocks"
    cheaper = (
        f"chose the cheaper removal of {blocks}, however ties are broken. It does not follow that the removal is "
        "cheap, that another method would not do better, or that the same holds at other budgets or on other texts."
    )
    return {
        "interchange-safer": f"Of the two protocols, interchange {cheaper}",
        "replacement-safer": f"Of the two protocols, replacement {cheaper}",
        "tied": (
            f"The two protocols' removals of {blocks} cost the same to within {margin:g} nats per token, however ties "
            "are broken: for pruning at this budget it does not matter which of them chose. It does not follow that "
            "the removal is cheap, that the protocols' distances agree, or that the same holds at other budgets or "
            "on other texts."
        ),
        "open": (
            f"Either the evaluation windows do not decide which protocol's removal of {blocks} is cheaper, or "
            "different ways of breaking ties give different answers. It does not follow that the two protocols are "
            "equally safe."
        ),
    }[name]
