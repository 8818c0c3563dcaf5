"""A cost in percent, held against what a removal claim says of it."""

from __future__ import annotations

from math import inf

from checker.core.records import Interval, Verdict
from checker.core.statistics import MINIMUM_WINDOWS, Estimate
from checker.judge.claims.decision import MACHINE_TOLERANCE, Decision, Figures, claimed, shared_p, span
from checker.spec.claims.removal import Removal


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


def allowed(figures: Figures, claim: Removal) -> tuple[float | None, float]:
    """In percent: a population's cost lies in the published interval, this very text's at the value."""
    if claim.at_most is not None:
        return None, claim.at_most
    if claim.scope == "population":
        published = published_percent(claim, figures.costs.perplexity(figures.costs.unchanged))
        if published is not None:
            return published
    value, within = claim.equals or 0.0, claim.within or 0.0
    return value - within, value + within


def statement_of(claim: Removal) -> str:
    """The claimed cost, as messages say it."""
    if claim.equals is None:
        cost = f"at most {claim.at_most:g} %"
    elif claim.interval is None or claim.scope == "contract":
        cost = f"{claim.equals:g} % within {claim.within:g}"
    else:
        unit = ", in perplexity" if claim.interval_unit == "perplexity" else ""
        cost = f"{claim.equals:g} %{span(claim.interval)}{unit}"
    return f"{claimed(claim)}: {cost}"


def held_against(figures: Figures, claim: Removal, cost: Estimate, message: str) -> Decision:
    """The decision on a claim by a cost in percent, whose message begins with ``message``."""
    lower, upper = allowed(figures, claim)
    message += f"; {statement_of(claim)}"
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
