"""Answers -> distances of pairs and blocks, and what follows from them: scores, estimates, repeated selections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property

import numpy as np

from checker.core import rank_correlation, statistics
from checker.core.errors import EvidenceMissing
from checker.core.layouts import Geometry
from checker.core.questions import PORTIONS, Evidence, Problem, Values
from checker.core.statistics import Estimate
from checker.judge.figures.form import Ends, ValueRow
from checker.judge.figures.regimes import direction
from checker.selection.arms import scored_by, whole
from checker.selection.methods import METHODS
from checker.selection.select import select

RESAMPLES = 100  # of the prompts, on which selections are repeated


class Distances:
    """Per-prompt distances of every scoring method whose evidence is at hand, and what follows from them.

    What takes long is kept once it was asked for: scores on resampled prompts by method, selections by all they are of.
    """

    def __init__(self, evidence: Evidence, problem: Problem) -> None:
        self.evidence, self.problem, self.statistics = evidence, problem, evidence.of_prompts
        self._resampled = cache(self._resample)
        self.selections: Callable[[str, int, Geometry, str], dict[tuple[int, ...], float]] = cache(self._select)

    @cached_property
    def by_method(self) -> dict[str, dict[tuple[int, ...], Values]]:
        """Per scoring method, the distances [prompts] of its pairs or blocks; methods without evidence are left out."""
        tables: dict[str, dict[tuple[int, ...], Values]] = {}
        for name in scored_by(self.evidence.audit):
            distances = METHODS[name].distances
            assert distances is not None
            with suppress(EvidenceMissing):
                tables[name] = dict(distances(self.evidence.ask, self.problem))
        return tables

    @cached_property
    def scores(self) -> dict[str, dict[int, float]]:
        """Per scoring method, one score per block on all prompts."""
        return {
            name: self._scores(name, {key: whole(METHODS[name], values) for key, values in table.items()})
            for name, table in self.by_method.items()
        }

    def scores_on(self, method: str, portion: int) -> dict[int, float] | None:
        """A method's scores on one of PORTIONS of the prompts; None where it has none (too few prompts)."""
        table = self.by_method[method]
        if METHODS[method].pooled:
            if any(portion >= len(values) for values in table.values()):
                return None
            return self._scores(method, {key: float(values[portion]) for key, values in table.items()})
        prompts = len(next(iter(table.values())))
        start, end = (round(quarter * prompts / 4) for quarter in PORTIONS[portion])
        if start == end:
            return None
        return self._scores(method, {key: float(values[start:end].mean()) for key, values in table.items()})

    def values(self, method: str, *blocks: int) -> Values:
        """The distances [prompts] of a pair or a block.

        Of replacement, those of the direction with the larger mean, decided once on all prompts.
        """
        table = self.by_method[method]
        if method == "replacement" and direction(table[blocks], table[blocks[::-1]]) == "backward":
            return table[blocks[::-1]]
        return table[blocks]

    def estimate(self, method: str, *blocks: int) -> Estimate:
        """The mean of ``values``, with its interval."""
        return statistics.distance(self.values(method, *blocks), self.statistics)

    def correlation(self, a: Mapping[int, float], b: Mapping[int, float]) -> Estimate | None:
        """Rank correlation of two tables of blocks over the blocks that both have; None for fewer than 4."""
        common = sorted(a.keys() & b.keys())
        if len(common) < 4:
            return None
        x, y = ([table[block] for block in common] for table in (a, b))
        return rank_correlation.spearman(x, y, self.evidence.audit.statistics.confidence)

    def _select(self, method: str, budget: int, geometry: Geometry, ties: str) -> dict[tuple[int, ...], float]:
        """How often each set is chosen on resampled prompts, shared evenly among the resolutions of ties.

        The weights add up to the share of resamples in which the budget is reached, at most 1. Empty for methods whose
        scores are not means over prompts.
        """
        chosen: dict[tuple[int, ...], float] = defaultdict(float)
        for scores in self._resampled(method):
            sets = select(scores, geometry, budget, ties).sets
            for layers in sets:
                chosen[layers] += 1.0 / (len(sets) * RESAMPLES)
        return {layers: round(share, 12) for layers, share in chosen.items()}

    def _resample(self, name: str) -> list[dict[int, float]]:
        table = self.by_method[name]
        if METHODS[name].pooled or not table:
            return []
        matrix = np.stack(list(table.values()))  # (keys, prompts)
        prompts = matrix.shape[1]
        generator = np.random.default_rng(self.evidence.audit.statistics.seed)
        weights = generator.multinomial(prompts, np.full(prompts, 1 / prompts), RESAMPLES) / prompts
        return [self._scores(name, dict(zip(table, means, strict=True))) for means in (weights @ matrix.T).tolist()]

    def _scores(self, name: str, means: Mapping[tuple[int, ...], float]) -> dict[int, float]:
        scores = METHODS[name].scores
        assert scores is not None
        return scores(means, self.problem)


def pair_of(interval: Ends) -> list[float] | None:
    """An interval as the report writes it."""
    return None if interval is None else [float(interval[0]), float(interval[1])]


def value_row(estimate: Estimate) -> ValueRow:
    """An estimate as the report writes it."""
    return {"value": estimate.value, "interval": pair_of(estimate.interval)}


def outermost(intervals: Sequence[Ends]) -> Ends:
    """The outermost ends of all intervals; None where one is missing, or there are none."""
    known = [interval for interval in intervals if interval is not None]
    if not known or len(known) < len(intervals):
        return None
    return [min(low for low, _ in known), max(high for _, high in known)]
