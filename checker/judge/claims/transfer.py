"""Claims that a choice made at one step serves at another: decided on what it costs above the choice made there."""

from __future__ import annotations

from dataclasses import replace

from checker.core.statistics import MINIMUM_WINDOWS, Estimate
from checker.judge.claims.decision import Decision, Figures, largest_p, nearest, outermost, span, tally
from checker.judge.claims.kind import Kind
from checker.judge.claims.over_steps import held_against, over
from checker.judge.figures.series import OverSteps
from checker.spec.claims.transfer import Transfer


def _decide(figures: Figures, claim: Transfer) -> Decision:
    series, bound = over(figures, claim), claim.regret_at_most
    statement = f"claimed: at most {bound:g} % more"
    if isinstance(series, str):
        return Decision("open", f"{series}; {statement}", unit="percent", threshold=bound)
    regrets = series.regrets(claim.method, claim.budget, claim.start, claim.end)
    if not regrets:
        return Decision("open", f"{_why_none(series, claim)}; {statement}", unit="percent", threshold=bound)
    decisions = [_of_one(figures, claim, estimate, statement) for estimate in regrets]
    if len(decisions) == 1:
        return decisions[0]
    return _over_ties(claim, decisions, statement)


def _why_none(series: OverSteps, claim: Transfer) -> str:
    for number in (claim.start, claim.end):
        if not series.figures(number).chosen(claim.method, claim.budget):
            return f"{claim.method} has no removal set at step {number} and budget {claim.budget}"
    return f"what was chosen at step {claim.start} is not removed at step {claim.end}; run the audit to its end"


def _of_one(figures: Figures, claim: Transfer, estimate: Estimate, statement: str) -> Decision:
    message = (
        f"at step {claim.end}, what {claim.method} chose at step {claim.start} costs {estimate.value:+.4g} %"
        f"{span(estimate.interval)} more perplexity than what it chooses there; {statement}"
    )
    decision = Decision("open", message, estimate.value, estimate.interval, "percent", claim.regret_at_most)
    return held_against(figures, claim, decision, estimate, "below", MINIMUM_WINDOWS, "windows")


def _over_ties(claim: Transfer, decisions: list[Decision], statement: str) -> Decision:
    """What holds for every resolution of the ties on both sides, else open."""
    if len({decision.verdict for decision in decisions}) == 1:
        note = f"all {len(decisions)} ways of breaking ties at both steps agree, this one is the nearest to the claim"
        return replace(nearest(decisions, note), p=largest_p(decisions))
    values = [decision.value or 0.0 for decision in decisions]
    message = (
        f"at step {claim.end}, over {len(decisions)} ways of breaking ties at both steps, {min(values):.4g} to "
        f"{max(values):.4g} %{outermost(decisions)} more perplexity; {statement}: {tally(decisions)}"
    )
    return replace(decisions[0], verdict="open", message=message, further_units=None, p=largest_p(decisions))


KIND = Kind(Transfer, _decide, allowed=lambda _, claim: (None, claim.regret_at_most))
