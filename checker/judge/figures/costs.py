"""Answers -> what removals cost in perplexity, and the perplexity of the unchanged model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property

import numpy as np

from checker.core import statistics
from checker.core.layouts import Layout
from checker.core.questions import Evidence, Values
from checker.core.records import Statistics
from checker.core.statistics import Estimate
from checker.judge.figures.distances import pair_of
from checker.judge.figures.form import BaselineRow


def error_rate(settings: Statistics) -> float:
    """The share of errors that ``confidence`` leaves; rounded, or 1 - 0.9 would lie below a p of 1 / 10."""
    return round(1.0 - settings.confidence, 12)


class Costs:
    """What removals cost in perplexity, under the one evaluation contract."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.statistics = evidence.of_windows
        self.unchanged = Layout.base(self.blocks)
        self.increase: Callable[[Layout], Estimate | None] = cache(self._increase)  # each is asked for several times

    @property
    def blocks(self) -> int:
        return self.evidence.facts.model.blocks

    @cached_property
    def tokens(self) -> Values | None:
        """Tokens scored per window."""
        evaluation = self.evidence.facts.evaluation
        return None if evaluation is None else np.array(evaluation.scored, dtype=np.float64)

    @cached_property
    def base(self) -> Values | None:
        """Summed NLL per window of the unchanged model."""
        return self.nll(self.unchanged)

    def nll(self, layout: Layout) -> Values | None:
        """Summed NLL per window of a layout, or None where it is not measured."""
        return self.evidence.answer("evaluation", "nll", layout)

    def _increase(self, layout: Layout) -> Estimate | None:
        """Cost in percent of the baseline's perplexity, with the paired interval; None where it is not measured."""
        variant = self.nll(layout)
        if variant is None or self.base is None or self.tokens is None:
            return None
        return statistics.increase(variant, self.base, self.tokens, self.statistics)

    def largest_share(self, layout: Layout) -> tuple[int, float] | None:
        """The window that adds most to a removal's cost, and its share of the cost in nats.

        None where the removal is not measured, or where it costs nothing.
        """
        variant = self.nll(layout)
        if variant is None or self.base is None:
            return None
        added = variant - self.base
        window = int(np.argmax(added))
        return (window, float(added[window] / added.sum())) if added.sum() > 0.0 else None

    def perplexity(self, layout: Layout) -> float | None:
        """Perplexity of a layout, or None where it is not measured."""
        variant = self.nll(layout)
        return None if variant is None or self.tokens is None else statistics.perplexity(variant, self.tokens)

    def perplexity_estimate(self, layout: Layout) -> Estimate | None:
        """Perplexity of a layout with its interval, or None where it is not measured."""
        losses = self.nll(layout)
        if losses is None or self.tokens is None:
            return None
        return statistics.perplexity_interval(losses, self.tokens, self.statistics)

    def bits_per_byte(self, layout: Layout) -> Estimate | None:
        """Summed NLL per UTF-8 byte of the scored tokens; None where it is not measured, or bytes are not known."""
        losses, evaluation = self.nll(layout), self.evidence.facts.evaluation
        if losses is None or evaluation is None or not any(evaluation.scored_bytes):
            return None
        return statistics.bits_per_byte(losses, evaluation.scored_bytes, self.statistics)

    def per_token(self, quantity: str, layout: Layout) -> float | None:
        """Mean over scored positions of ``kl`` or ``top1``, whose answers are means per window."""
        values = self.evidence.answer("evaluation", "kl" if quantity == "kl" else "top1", layout)
        return None if values is None or self.tokens is None else float(values @ self.tokens / self.tokens.sum())

    def difference(self, variant: Layout, reference: Layout) -> Estimate | None:
        """Paired difference in mean NLL, ``variant`` minus ``reference``, in nats per token."""
        a, b = self.nll(variant), self.nll(reference)
        if a is None or b is None or self.tokens is None:
            return None
        return statistics.nll_difference(a, b, self.tokens, self.statistics)

    @cached_property
    def singles(self) -> dict[int, Estimate]:
        """What deleting each single block costs, where it is measured."""
        costs = {block: self.increase(self.unchanged.without([block])) for block in range(self.blocks)}
        return {block: cost for block, cost in costs.items() if cost is not None}


def baseline(costs: Costs) -> BaselineRow | None:
    """Perplexity of the unchanged model, with its interval; None where it is not measured."""
    if costs.base is None or costs.tokens is None:
        return None
    estimate = statistics.perplexity_interval(costs.base, costs.tokens, costs.statistics)
    bits = costs.bits_per_byte(costs.unchanged)
    return {
        "perplexity": estimate.value,
        "interval": pair_of(estimate.interval),
        "windows": len(costs.tokens),
        "effective_windows": estimate.effective_units,
        "tokens": int(costs.tokens.sum()),
        "nll_per_token": float(costs.base.sum() / costs.tokens.sum()),
        "bits_per_byte": bits and bits.value,
    }
