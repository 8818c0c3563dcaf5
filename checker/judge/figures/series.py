"""Steps of a series -> what is measured at each, and what changes between two, paired by unit (design, 3.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise, product
from typing import get_args

import numpy as np

from checker.core import rank_correlation, statistics
from checker.core.layouts import Layout
from checker.core.questions import Evidence, RemovalSet, StepEvidence, Values
from checker.core.records import PROTOCOLS, Series, Statistics
from checker.core.resampling import Statistic, weighted_geometric_mean, weighted_mean, weighted_quotient
from checker.core.statistics import Estimate
from checker.judge.figures.arms import primary
from checker.judge.figures.costs import Costs
from checker.judge.figures.distances import Distances
from checker.judge.figures.pairs import noise_floor
from checker.selection.arms import arms
from checker.selection.methods import METHODS
from checker.selection.plan import problem_of
from checker.spec.claims.trend import Quantity

LEAST_BLOCKS = 10  # fewer give a rank correlation between steps no interval
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Pooled:
    """The pairs that geometric means and ratios of some steps are over, and how many lie inside the numerical floor."""

    pairs: Pairs
    left_out: int

    @property
    def enough(self) -> bool:
        """Whether at least half of the pairs are left."""
        return bool(self.pairs) and self.left_out <= len(self.pairs)


class Step:
    """What was measured at one step: the figures of an audit of that step alone."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.distances = Distances(evidence, problem_of(evidence.audit, evidence.facts.model))
        self.costs = Costs(evidence)

    @cached_property
    def sets(self) -> list[RemovalSet]:
        """What methods choose here in the comparison that verdicts rest on, each resolution of their ties."""
        audit = self.evidence.audit
        chosen = arms(audit, self.distances.problem, self.evidence.ask).sets
        return [removal for removal in chosen if not removal.draw and primary(audit, removal)]

    def chosen(self, method: str, budget: int) -> list[RemovalSet]:
        return [removal for removal in self.sets if (removal.method, removal.budget) == (method, budget)]

    @cached_property
    def floor(self) -> float:
        """The distance at and below which a pair lies inside the numerical floor, in nats."""
        floor = noise_floor(self.evidence)
        return 0.0 if floor is None else max(0.0, floor.interval[1] if floor.interval else floor.value)

    def in_floor(self, i: int, j: int) -> bool:
        return any(float(self.distances.values(name, i, j).mean()) <= self.floor for name in PROTOCOLS)

    def matrix(self, protocol: str, pairs: Pairs) -> Values:
        """Distances of pairs [pairs, prompts]; of replacement, those of the larger direction."""
        return np.stack([self.distances.values(protocol, *pair) for pair in pairs])

    def scores(self, method: str, weights: Values) -> list[dict[int, float]]:
        """A method's block scores where prompts have these weights [rows, prompts]."""
        table, scored = self.distances.by_method[method], METHODS[method].scores
        assert scored is not None
        means = weights @ np.stack(list(table.values())).T / weights.sum(axis=1, keepdims=True)  # (rows, keys)
        return [scored(dict(zip(table, row, strict=True)), self.distances.problem) for row in means.tolist()]


class OverSteps:
    """One series: its steps, and what is comparable among them; ``model`` is the audited model's own evidence."""

    def __init__(self, series: Series, steps: Sequence[StepEvidence], model: Evidence) -> None:
        self.series, self.model = series, model
        self.read = {step.checkpoint.step: step for step in steps}
        self.figures: Callable[[int], Step] = cache(self._figures)
        self.pooled: Callable[[tuple[int, ...]], Pooled] = cache(self._pooled)

    @property
    def numbers(self) -> list[int]:
        return [step.step for step in self.series.steps]

    @cached_property
    def comparable(self) -> list[int]:
        """The steps that are measured on the model's own token ids."""
        return [number for number in self.numbers if not self.why_not(number)]

    def why_not(self, number: int) -> str:
        """Why a step can be compared with no other; empty where it can."""
        step = self.read.get(number)
        if step is None:
            return f"step {number} is not in the series"
        if step.evidence is None:
            return step.why
        own, model = step.evidence.facts, self.model.facts
        for name in ("scoring", "evaluation"):
            ours, theirs = getattr(own, name), getattr(model, name)
            if ours is None or theirs is None:
                return f"step {number} is not measured; run the audit to its end"
            if ours.tokens_digest != theirs.tokens_digest:
                return f"step {number} is not comparable: its tokenizer gives other tokens of the {name} text"
        if own.model.blocks != model.model.blocks:
            found = f"{own.model.blocks} blocks and the model {model.model.blocks}"
            return f"step {number} is not comparable: it has {found}"
        figures = self.figures(number)
        if figures.costs.base is None or any(name not in figures.distances.by_method for name in PROTOCOLS):
            return f"step {number} is not all measured; run the audit to its end"
        return ""

    def shared(self, a: int, b: int) -> tuple[int, ...]:
        """The blocks whose weights are the same at two steps."""
        facts = [self.read[number].facts for number in (a, b)]
        if facts[0] is None or facts[1] is None:
            return ()
        both = enumerate(zip(facts[0].blocks, facts[1].blocks, strict=False))
        return tuple(block for block, (one, other) in both if one == other)

    def same_weights(self, a: int, b: int) -> bool:
        """Whether two steps are one set of weights, and so no two measurements."""
        facts = [self.read[number].facts for number in (a, b)]
        if facts[0] is None or facts[1] is None:
            return False
        return facts[0].blocks == facts[1].blocks

    def estimate(self, quantity: Quantity, number: int) -> Estimate | None:
        """A quantity at one step; None where it has no value."""
        statistic = self._statistic(quantity, number, self.pooled((number,)))
        if statistic is None:
            return None
        if quantity != "rank_correlation":
            return statistics.of_statistic(statistic, *self._units(quantity))
        return self._correlation(statistic, self.model.facts.model.blocks)

    def change(self, quantity: Quantity, start: int, end: int) -> Estimate | None:
        """How much larger a quantity is at ``end`` than at ``start``, paired by prompt or window."""
        pooled = self.pooled((start, end))
        before, after = (self._statistic(quantity, number, pooled) for number in (start, end))
        if before is None or after is None:
            return None
        return statistics.of_statistic(lambda weights: after(weights) - before(weights), *self._units(quantity))

    def correlation(self, method: str, a: int, b: int) -> Estimate | None:
        """Spearman's rank correlation of a method's block scores at two steps.

        Delete-one-prompt jackknife on Fisher's z, prompts paired. None with fewer than 10 blocks, or where scores are
        all alike.
        """
        steps = self.figures(a), self.figures(b)
        if any(method not in step.distances.scores for step in steps):
            return None
        blocks = sorted(set.intersection(*(set(step.distances.scores[method]) for step in steps)))
        if len(blocks) < LEAST_BLOCKS:
            return None

        def statistic(weights: Values) -> Values:
            tables = [step.scores(method, weights) for step in steps]
            lists = ([{block: row[block] for block in blocks} for row in table] for table in tables)
            return np.array([_spearman(one, other) for one, other in zip(*lists, strict=True)])

        return self._correlation(statistic, len(blocks))

    def _correlation(self, statistic: Statistic, blocks: int) -> Estimate | None:
        """A rank correlation of so many blocks, whose interval is taken on the scale of Fisher's z."""
        units, settings = self._units("gap")
        most = 1.0 - 12.0 / (blocks * (blocks**2 - 1.0))  # the next to a perfect one, which has no finite z
        found = statistics.on_fishers_scale(
            lambda weights: np.arctanh(np.clip(statistic(weights), -most, most)), units, settings
        )
        if found is None:
            return None
        value = float(statistic(np.ones((1, units)))[0])
        ends = found.interval and (min(value, found.interval[0]), max(value, found.interval[1]))
        return replace(found, value=value, interval=ends)

    def regrets(self, method: str, budget: int, start: int, end: int) -> list[Estimate]:
        """What the set chosen at ``start`` costs at ``end`` above the one chosen there, percent of perplexity.

        One for each two resolutions of ties; none where a set or a loss is missing.
        """
        own = self.figures(end)
        sets = self.figures(start).chosen(method, budget), own.chosen(method, budget)
        found = [self._regret(own.costs, moved.layout, chosen.layout) for moved, chosen in product(*sets)]
        known = [estimate for estimate in found if estimate is not None]
        return known if len(known) == len(found) else []

    def _regret(self, costs: Costs, moved: Layout, own: Layout) -> Estimate | None:
        variant, base = costs.nll(moved), costs.nll(own)
        if variant is None or base is None or costs.tokens is None:
            return None
        return statistics.increase(variant, base, costs.tokens, costs.statistics)

    def overlaps(self, method: str, budget: int, a: int, b: int) -> list[float]:
        """Jaccard's index of the sets chosen at two steps, for each two resolutions of ties."""
        sets = (self.figures(number).chosen(method, budget) for number in (a, b))
        return [_jaccard(one.layers, other.layers) for one, other in product(*sets)]

    def neighbours(self) -> Iterator[tuple[int, int]]:
        """Every two comparable steps that follow each other."""
        return pairwise(self.comparable)

    def _figures(self, number: int) -> Step:
        evidence = self.read[number].evidence
        assert evidence is not None
        return Step(evidence)

    def _pooled(self, numbers: tuple[int, ...]) -> Pooled:
        """The adjacent comparable pairs that are not excluded, and above the floor at every one of the steps."""
        excluded = set(self.model.audit.selection.exclude)
        steps = [self.figures(number) for number in numbers]
        tables = [step.distances.by_method["interchange"] for step in steps]
        adjacent = [
            (i, i + 1)
            for i in range(self.model.facts.model.blocks - 1)
            if not {i, i + 1} & excluded and all((i, i + 1) in table for table in tables)
        ]
        kept = tuple(pair for pair in adjacent if not any(step.in_floor(*pair) for step in steps))
        return Pooled(kept, len(adjacent) - len(kept))

    def _units(self, quantity: Quantity) -> tuple[int, Statistics]:
        """How many units a quantity is over, and how their intervals are taken."""
        facts = self.model.facts
        assert facts.scoring is not None
        assert facts.evaluation is not None
        if quantity == "baseline":
            return len(facts.evaluation.scored), self.model.of_windows
        return facts.scoring.prompts, self.model.of_prompts

    def _statistic(self, quantity: Quantity, number: int, pooled: Pooled) -> Statistic | None:
        """A quantity of one step as a function of its units' weights; None where too few pairs are left."""
        step = self.figures(number)
        if quantity == "baseline":
            assert step.costs.base is not None
            assert step.costs.tokens is not None
            return weighted_mean(step.costs.base, step.costs.tokens)
        if quantity == "rank_correlation":
            return _protocols_agree(step)
        if not pooled.enough:
            return None
        replacement, interchange = (step.matrix(protocol, pooled.pairs) for protocol in PROTOCOLS)
        return {
            "gap": lambda: weighted_mean((replacement - interchange).mean(axis=0)),
            "kl_ratio": lambda: weighted_quotient(*(_mean(matrix) for matrix in (interchange, replacement))),
            "replacement": lambda: _mean(replacement),
            "interchange": lambda: _mean(interchange),
        }[quantity]()


def of_evidence(evidence: Evidence) -> dict[str, OverSteps]:
    """Every series of an audit, by its name."""
    known = evidence.audit.series
    return {series.name: OverSteps(series, evidence.series.get(series.name, ()), evidence) for series in known}


def _mean(matrix: Values) -> Statistic:
    """The geometric mean over pairs; NaN, which no estimate lets through, where it has no value."""
    mean = weighted_geometric_mean(matrix)

    def statistic(weights: Values) -> Values:
        values = mean(weights)
        return np.where(values > 0.0, values, np.nan)

    return statistic


def _protocols_agree(step: Step) -> Statistic:
    """Rank correlation of the two protocols' block scores at one step."""

    def statistic(weights: Values) -> Values:
        tables = [step.scores(protocol, weights) for protocol in PROTOCOLS]
        return np.array([_spearman(one, other) for one, other in zip(*tables, strict=True)])

    return statistic


def _spearman(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    blocks = sorted(one.keys() & other.keys())
    found = rank_correlation.spearman([one[block] for block in blocks], [other[block] for block in blocks])
    return float("nan") if found is None else found.value


def _jaccard(one: Sequence[int], other: Sequence[int]) -> float:
    both = set(one) | set(other)
    return len(set(one) & set(other)) / len(both) if both else 1.0
