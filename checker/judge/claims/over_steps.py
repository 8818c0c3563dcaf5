"""What claims about a series share: why they cannot be decided, and how an estimate is held against their bound."""

from __future__ import annotations

from dataclasses import replace

from checker.core.records import Verdict
from checker.core.statistics import Estimate
from checker.judge.claims.decision import Decision, Figures, Side, shared_p
from checker.judge.figures.series import OverSteps
from checker.spec.claims.over_steps import OverSteps as Claimed

_OTHER: dict[Side, Side] = {"above": "below", "below": "above"}


def over(figures: Figures, claim: Claimed) -> OverSteps | str:
    """The series that a claim is about; or why nothing can be said of its two steps."""
    series = figures.series.get(claim.series)
    if series is None:
        return f"the series {claim.series} was not read, run the audit"
    for number in (claim.start, claim.end):
        if reason := series.why_not(number):
            return reason
    if series.same_weights(claim.start, claim.end):
        return f"steps {claim.start} and {claim.end} are one set of weights, and so no two measurements"
    return series


def held_against(
    figures: Figures, claim: Claimed, decision: Decision, estimate: Estimate, side: Side, least: int, units: str
) -> Decision:
    """The claim that a value lies on one side of the decision's threshold: on the interval, or as it was measured."""
    bound = decision.threshold
    assert bound is not None
    sign = 1.0 if side == "above" else -1.0
    if claim.scope == "contract":
        held: Verdict = "supported" if sign * (estimate.value - bound) >= 0.0 else "contradicted"
        return replace(decision, verdict=held)
    if estimate.interval is None and not estimate.log_standard_error:
        unknown = f"; it is the same whichever of the {units} is left out, so nothing tells how far it may be off"
        return replace(decision, message=decision.message + unknown)
    verdict = _verdict(estimate, bound, side, least)
    p = shared_p(estimate, verdict, [(bound, side)], [(bound, _OTHER[side])]) if estimate.units >= least else None
    decision = replace(decision, verdict=verdict, p=p)
    return decision if verdict != "open" else figures.left_open(decision, estimate, [bound], least, units)


def _verdict(estimate: Estimate, bound: float, side: Side, least: int) -> Verdict:
    if estimate.decisive is None or estimate.units < least:
        return "open"
    low, high = estimate.decisive
    ends = (low - bound, high - bound) if side == "above" else (bound - high, bound - low)
    if ends[0] > 0.0 or (ends[0] == ends[1] == 0.0):
        return "supported"
    return "contradicted" if ends[1] < 0.0 else "open"
