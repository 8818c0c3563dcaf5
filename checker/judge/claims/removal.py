"""Claims that blocks can be removed at a stated cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from checker.core.questions import RemovalSet
from checker.core.records import Interval, Verdict
from checker.core.statistics import MINIMUM_WINDOWS, Estimate
from checker.core.words import numbered
from checker.judge.claims.backing import Backing, of_removal
from checker.judge.claims.decision import (
    MACHINE_TOLERANCE,
    Decision,
    Figures,
    claimed,
    effective,
    largest_p,
    nearest,
    outermost,
    shared_p,
    span,
    tally,
)
from checker.judge.claims.kind import Kind
from checker.spec.claimed_checkpoints import of_claim, why_another, why_unknown
from checker.spec.claims.removal import Removal

_NOTABLE_SHARE = 0.25  # of the cost, in one window
_TASKS = "the claim is about tasks, which perplexity does not decide and nothing here measures"


def _decide(figures: Figures, claim: Removal) -> Decision:
    decision = _cost_of_removal(figures, claim)
    if claim.about != "tasks":
        return decision
    return replace(decision, verdict="open", message=f"{_TASKS}: {decision.message}", further_units=None, p=None)


def _cost_of_removal(figures: Figures, claim: Removal) -> Decision:
    sets, statement = _sets(figures, claim), _statement(claim)
    known = figures.distances.evidence.facts.checkpoints
    fact = of_claim(claim, known)
    if fact is not None and fact.layout is not None and (reason := why_another(fact)):
        return Decision("open", f"{reason}; {statement}", unit="percent", threshold=_allowed(figures, claim)[1])
    if not sets:
        reason = why_unknown(claim, known) if claim.from_checkpoint else figures.why_none(claim.method, claim.budget)
        return Decision("open", f"{reason}; {statement}", unit="percent", threshold=_allowed(figures, claim)[1])
    decisions = [_one_removal(figures, claim, removal) for removal in sets]
    return decisions[0] if sets[0].ties == 1 else _over_ties(decisions, sets[0], statement)


def _sets(figures: Figures, claim: Removal) -> list[RemovalSet]:
    if claim.layers is not None:
        return [RemovalSet("claimed", len(claim.layers), figures.costs.unchanged.without(claim.layers))]
    return figures.chosen(claim.method, claim.budget)


def published_percent(claim: Removal, baseline: float | None) -> Interval | None:
    """The published interval in percent of the measured ``baseline``, a perplexity.

    None where the claim has no interval, or it is of perplexities and the baseline is not measured.
    """
    if claim.interval is None or claim.interval_unit != "perplexity":
        return claim.interval
    if baseline is None:
        return None
    low, high = (100.0 * (perplexity / baseline - 1.0) for perplexity in claim.interval)
    return low, high


def _allowed(figures: Figures, claim: Removal) -> tuple[float | None, float]:
    """In percent: a population's cost lies in the published interval, this very text's at the value."""
    if claim.at_most is not None:
        return None, claim.at_most
    if claim.scope == "population":
        published = published_percent(claim, figures.costs.perplexity(figures.costs.unchanged))
        if published is not None:
            return published
    value, within = claim.equals or 0.0, claim.within or 0.0
    return value - within, value + within


def _statement(claim: Removal) -> str:
    """The claimed cost, as messages say it."""
    if claim.equals is None:
        cost = f"at most {claim.at_most:g} %"
    elif claim.interval is None or claim.scope == "contract":
        cost = f"{claim.equals:g} % within {claim.within:g}"
    else:
        unit = ", in perplexity" if claim.interval_unit == "perplexity" else ""
        cost = f"{claim.equals:g} %{span(claim.interval)}{unit}"
    return f"{claimed(claim)}: {cost}"


def _one_removal(figures: Figures, claim: Removal, removal: RemovalSet) -> Decision:
    cost, removing = figures.costs.increase(removal.layout), f"removing {numbered('block', removal.layers)}"
    (lower, upper), statement = _allowed(figures, claim), _statement(claim)
    if cost is None:
        message = f"what {removing} costs is not measured, run the audit to its end; {statement}"
        return Decision("open", message, unit="percent", threshold=upper)
    message = f"{removing} costs {cost.value:+.2f} % perplexity{span(cost.interval)}"
    message += effective(cost, "windows")
    # An interval that holds such a window is too wide to contradict by it, and too skewed to support anything.
    if (largest := figures.costs.largest_share(removal.layout)) and largest[1] >= _NOTABLE_SHARE:
        message += f", {largest[1]:.0%} of it in window {largest[0]} alone"
    message += f"; {statement}"
    bounds = [upper] if lower is None else [lower, upper]
    threshold = min(reversed(bounds), key=lambda bound: abs(cost.value - bound))
    least = -inf if lower is None else lower
    verdict = _in_range(cost, least, upper, claim.scope)
    p = None if claim.scope == "contract" else _p(cost, lower, upper, verdict)
    decision = Decision(verdict, message, cost.value, cost.interval, "percent", threshold, p=p)
    if verdict != "open" or claim.about == "tasks":
        return decision
    # A value inside the range has to leave both bounds outside its interval, one outside only the nearer bound.
    decisive = bounds if least <= cost.value <= upper else [threshold]
    return figures.left_open(decision, cost, decisive, MINIMUM_WINDOWS, "windows")


def _in_range(cost: Estimate, lower: float, upper: float, scope: str) -> Verdict:
    """Whether a cost in percent lies in a claimed range: on its value, or on its interval."""
    if scope == "contract":
        slack = MACHINE_TOLERANCE * (100.0 + cost.value)
        return "supported" if lower - slack <= cost.value <= upper + slack else "contradicted"
    if cost.decisive is None or cost.units < MINIMUM_WINDOWS:
        return "open"
    low, high = cost.decisive
    if lower <= low and high <= upper:
        return "supported"
    return "contradicted" if high < lower or low > upper else "open"


def _p(cost: Estimate, lower: float | None, upper: float, verdict: Verdict) -> float | None:
    if lower is None:
        return shared_p(cost, verdict, [(upper, "below")], [(upper, "above")])
    return shared_p(cost, verdict, [(lower, "above"), (upper, "below")], [(lower, "below"), (upper, "above")])


def _over_ties(decisions: Sequence[Decision], chosen: RemovalSet, statement: str) -> Decision:
    """One decision from those of the resolutions of the ties: what holds for all of them, else open."""
    measured = [decision for decision in decisions if decision.value is not None]
    if not measured:
        return decisions[0]
    complete, ways = len(measured) == chosen.ties and chosen.ties_counted, f"{chosen.ways} ways of breaking ties"
    if complete and len({decision.verdict for decision in decisions}) == 1:
        agreed = nearest(measured, f"the {ways} agree, this one is the nearest to the claim")
        return replace(agreed, p=largest_p(measured))
    values = [decision.value or 0.0 for decision in measured]
    which = f"the {ways}" if complete else f"{len(measured)} of {ways} are measured and"
    message = (
        f"{which} cost {min(values):+.2f} to {max(values):+.2f} % perplexity"
        f"{outermost(measured)}; {statement}: {tally(measured)}"
    )
    costliest = max(measured, key=lambda decision: decision.value or 0.0)
    shared = largest_p(measured) if complete else None
    return replace(costliest, verdict="open", message=message, further_units=None, p=shared)


def _backing(figures: Figures, claim: Removal, protocol: str) -> Backing:
    sets = [removal.layers for removal in _sets(figures, claim)]
    if not sets:
        return Backing("open", f"{protocol} cannot back a removal whose blocks are not known")
    return of_removal(figures.distances, figures.prediction, protocol, sets)


KIND = Kind(Removal, _decide, _allowed, _backing)
