"""What every kind of claim is decided with: the figures, the shape of a decision, the words of its message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Literal

from checker.core import statistics
from checker.core.questions import RemovalSet
from checker.core.records import Audit, Claim, Verdict
from checker.core.statistics import Estimate
from checker.judge.figures.costs import Costs
from checker.judge.figures.distances import Distances
from checker.judge.figures.form import ArmRow, Ends, PredictionRow, RegimeRow
from checker.judge.figures.released import Released
from checker.judge.figures.series import OverSteps
from checker.judge.figures.tasks import Tasks
from checker.judge.form import CounterexampleRow, Unit
from checker.selection.methods import METHODS
from checker.selection.plan import nothing_compared

# Two runs of one contract on different machines may differ by this much, relative: in perplexity and in a distance.
MACHINE_TOLERANCE = 5e-4
Side = Literal["above", "below"]
Beyond = tuple[float, Side]  # a bound, and the side of it that is meant


@dataclass(frozen=True)
class Decision:
    """A verdict with the figure it rests on; ``p`` where it shares an error rate with other claims.

    ``counterexamples`` are the pairs that a claim about many of them fails on.
    """

    verdict: Verdict
    message: str
    value: float | None = None
    interval: Ends = None
    unit: Unit = ""
    threshold: float | None = None
    further_units: int | None = None
    p: float | None = None
    counterexamples: tuple[CounterexampleRow, ...] = ()


@dataclass(frozen=True)
class Figures:
    """What claims are decided on."""

    distances: Distances
    costs: Costs
    sets: Sequence[RemovalSet]
    arms: Sequence[ArmRow]
    regime: RegimeRow
    prediction: Sequence[PredictionRow]
    checkpoints: Mapping[str, Released]
    tasks: Tasks
    series: Mapping[str, OverSteps] = field(default_factory=dict)

    @property
    def audit(self) -> Audit:
        return self.distances.evidence.audit

    def chosen(self, method: str | None, budget: int | None) -> list[RemovalSet]:
        """The resolutions of a method's ties at a budget; none where it did not run there, or only draws sets."""
        if is_control(method):
            return []
        return [arm for arm in self.sets if (arm.method, arm.budget) == (method, budget)]

    def why_none(self, method: str | None, budget: int | None) -> str:
        """Why a method has no removal set at a budget, and what to do about it."""
        if is_control(method):
            return f"{method} draws are a control and not one removal; name the blocks in `layers`"
        asked = [each for each in self.audit.methods if each.name == method and budget in each.budgets]
        if asked and (reason := nothing_compared(self.audit, self.distances.evidence.facts.model, asked[0])):
            return f"{method} cannot choose anything: {reason}"
        if asked:
            return (
                f"{method} has no removal set at budget {budget}: its distances are not all measured, or the ascending "
                "order reaches no set of that size (see evidence/incomplete)"
            )
        return f"the audit does not run {method} at budget {budget}; add it to `methods` and `budgets`"

    def further(self, estimate: Estimate, bounds: Iterable[float], least: int) -> int | None:
        """Further units that would settle every comparison with ``bounds``; None where none would."""
        confidence = self.audit.statistics.confidence
        return most(statistics.further_units(estimate, bound, confidence, least) for bound in bounds)

    def left_open(
        self, decision: Decision, estimate: Estimate, bounds: Sequence[float], least: int, units: str
    ) -> Decision:
        """An open decision, with why the interval does not decide and how many further units would."""
        if skewed := too_skewed(estimate, bounds, units):
            return replace(decision, message=decision.message + skewed)
        further = self.further(estimate, bounds, least)
        message = decision.message + undecided(estimate, further, least, units)
        return replace(decision, message=message, further_units=further)


def shared_p(estimate: Estimate, verdict: Verdict, holds: Sequence[Beyond], fails: Sequence[Beyond]) -> float | None:
    """The two-sided p with which a claim of a population shares an error rate; None without an interval.

    It is supported beyond all the bounds of ``holds``, and contradicted beyond any of ``fails``.
    """
    if estimate.log_standard_error == 0.0 and verdict != "open":
        return 0.0  # the same set twice: nothing is left to chance
    supported, contradicted = ([_p_beyond(estimate, *bound) for bound in bounds] for bounds in (holds, fails))
    known = [p for p in (*supported, *contradicted) if p is not None]
    if len(known) < len(holds) + len(fails):
        return None
    return min(1.0, 2.0 * min(max(known[: len(holds)]), *known[len(holds) :]))


def _p_beyond(estimate: Estimate, bound: float, side: Side) -> float | None:
    """One-sided; 1 where the end of the interval that this rests on is too skewed to decide."""
    if estimate.decisive is None:
        return None
    end = estimate.decisive[0 if side == "above" else 1]
    return statistics.p_beyond(estimate, bound, side) if isfinite(end) else 1.0


def largest_p(decisions: Sequence[Decision]) -> float | None:
    """Of what has to hold for all of them; None where one has no p."""
    known = [decision.p for decision in decisions if decision.p is not None]
    return max(known) if known and len(known) == len(decisions) else None


def sharing_one_error_rate(decisions: Mapping[str, Decision], rate: float) -> dict[str, Decision]:
    """Holm over the claims that rest on an interval or a p: those that do not survive it become open."""
    p_values = {name: decision.p for name, decision in decisions.items() if decision.p is not None}
    if len(p_values) < 2:
        return {}
    survives = statistics.holm(p_values, rate)
    note = f"; decided alone, but not once {len(p_values)} claims share one error rate of {rate:g} (Holm)"
    return {
        name: replace(decisions[name], verdict="open", message=decisions[name].message + note)
        for name in p_values
        if decisions[name].verdict != "open" and not survives[name]
    }


def is_control(method: str | None) -> bool:
    """Whether a method draws sets and chooses none."""
    return method is not None and METHODS[method].control


def most(needed: Iterable[int | None]) -> int | None:
    """The largest of numbers of further units; None where one of them is, or there are none."""
    numbers = list(needed)
    known = [number for number in numbers if number is not None]
    return max(known) if known and len(known) == len(numbers) else None


def nearest(decisions: Sequence[Decision], note: str) -> Decision:
    """The decision nearest to its threshold, the least clear one of several that agree."""
    least_clear = min(decisions, key=lambda d: abs((d.value or 0.0) - (d.threshold or 0.0)))
    further = most(decision.further_units for decision in decisions)
    return replace(least_clear, message=f"{least_clear.message} ({note})", further_units=further)


def claimed(claim: Claim) -> str:
    """How a message begins to say what is claimed."""
    return "claimed of this very text" if claim.scope == "contract" else "claimed"


def span(interval: Ends) -> str:
    """An interval behind its value."""
    if interval is None:
        return " (no interval: fewer than 8 effective units)"
    return f" [{interval[0]:.4g}, {interval[1]:.4g}]"


def effective(estimate: Estimate, units: str) -> str:
    """How many independent units its units amount to, where neighbours that go together make them fewer."""
    if estimate.interval is None or estimate.effective_units is None or estimate.effective_units > estimate.units - 0.5:
        return ""
    return f" on {estimate.units} {units} ({estimate.effective_units:.1f} effective)"


def outermost(decisions: Sequence[Decision]) -> str:
    """The outermost ends of several intervals."""
    ends = [end for decision in decisions for end in decision.interval or ()]
    return span([min(ends), max(ends)] if ends else None)


def too_skewed(estimate: Estimate, bounds: Sequence[float], units: str) -> str:
    """Why an interval that leaves all bounds outside decides nothing; empty where that is not the reason."""
    if estimate.interval is None or estimate.decisive == estimate.interval:
        return ""
    low, high = estimate.interval
    if any(low <= bound <= high for bound in bounds):
        return ""
    return (
        f"; the {units} are too skewed for that end of the interval: found a skewness of {estimate.skewness:+.2g}; "
        f"expected at most {estimate.skewness_limit:.2g} of {estimate.units} {units}"
    )


def undecided(estimate: Estimate, further: int | None, least: int, units: str) -> str:
    """Why an interval does not decide, and how many further units would."""
    reason = "the interval does not decide it"
    if estimate.units < least:
        reason = f"{estimate.units} {units} decide nothing about a population, at least {least} do"
    elif estimate.interval is None:
        reason = f"neighbouring {units} go together, and {estimate.units} say as much as {estimate.degrees + 1:.1f}"
    if further is None:
        return f"; {reason}, and no number of further {units} would"
    return f"; {reason}: about {further} further {units} would, if value and spread stay"


def tally(decisions: Sequence[Decision]) -> str:
    """How many decisions came out how."""
    verdicts = [decision.verdict for decision in decisions]
    names = [name for name in ("supported", "contradicted", "open") if name in verdicts]
    return ", ".join(f"{verdicts.count(name)} {name}" for name in names)
