"""Claims that one method's removal costs less than another's, or less than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from checker.core import statistics
from checker.core.questions import RemovalSet
from checker.core.records import Verdict
from checker.core.statistics import MINIMUM_WINDOWS, Estimate
from checker.core.words import counted
from checker.judge.claims.decision import (
    Decision,
    Figures,
    is_control,
    largest_p,
    nearest,
    outermost,
    shared_p,
    span,
    tally,
)
from checker.judge.claims.kind import Kind
from checker.judge.figures.arms import control
from checker.judge.figures.costs import error_rate
from checker.judge.figures.form import ArmRow
from checker.spec.claims.comparison import Comparison


def _decide(figures: Figures, claim: Comparison) -> Decision:
    """Decides a comparison alone; ``sharing_one_error_rate`` takes back what is not allowed jointly."""
    bound = claim.at_least
    times = f"at least {bound:g} times as much as" if bound > 1 else "more than"
    statement = f"claimed: {claim.worse} costs {times} {claim.better}"
    if is_control(claim.better) or is_control(claim.worse):
        return _against_random(figures, claim, statement)
    ratios, reason = _cost_ratios(figures, claim)
    if reason:
        return Decision("open", f"{reason}; {statement}", unit="times", threshold=bound)
    decisions = [_one_ratio(figures, claim, ratio, statement) for ratio in ratios]
    return decisions[0] if len(decisions) == 1 else _over_ties(decisions, claim, statement)


def _cost_ratios(figures: Figures, claim: Comparison) -> tuple[list[Estimate], str]:
    """The ratio of costs of every combination of tie resolutions, or why there is none."""
    better, worse = (figures.chosen(method, claim.budget) for method in (claim.better, claim.worse))
    for method, chosen in ((claim.better, better), (claim.worse, worse)):
        if not chosen:
            return [], figures.why_none(method, claim.budget)
        if chosen[0].ties > len(chosen) or not chosen[0].ties_counted:
            return [], f"only {len(chosen)} of {chosen[0].ways} ways of breaking the ties of {method} were measured"
    base, tokens = figures.costs.base, figures.costs.tokens
    ratios = []
    for pair in product(better, worse):
        low, high = (figures.costs.nll(arm.layout) for arm in pair)
        if low is None or high is None or base is None or tokens is None:
            return [], f"not every removal by {claim.better} and {claim.worse} is measured, run the audit to its end"
        ratio = statistics.ratio_of_costs(low, high, base, tokens, figures.costs.statistics)
        if ratio is None:
            return [], _without_meaning(figures, pair)
        ratios.append(ratio)
    return ratios, ""


def _without_meaning(figures: Figures, pair: Sequence[RemovalSet]) -> str:
    costs = [(arm.method, figures.costs.increase(arm.layout)) for arm in pair]
    texts = [f"{method} costs {cost.value:+.2f} %{span(cost.interval)}" for method, cost in costs if cost]
    return f"{' and '.join(texts)}: a ratio of costs has a meaning only where both are above 0"


def _one_ratio(figures: Figures, claim: Comparison, ratio: Estimate, statement: str) -> Decision:
    bound = claim.at_least
    message = (
        f"{_removing(claim)} by {claim.worse} costs {ratio.value:.3g} times what {claim.better} costs"
        f"{span(ratio.interval)}; {statement}"
    )
    verdict = _verdict(ratio, bound, claim.scope)
    decision = Decision(verdict, message, ratio.value, ratio.interval, "times", bound)
    if claim.scope == "contract":
        return replace(decision, message=f"{message}, on this very text")
    decision = replace(decision, p=shared_p(ratio, verdict, [(bound, "above")], [(bound, "below")]))
    if verdict != "open":
        return decision
    return figures.left_open(decision, ratio, [bound], MINIMUM_WINDOWS, "windows")


def _removing(claim: Comparison) -> str:
    return f"removing {counted(claim.budget, 'block')}"


def _verdict(ratio: Estimate, bound: float, scope: str) -> Verdict:
    """On the value, or on the interval's unfavourable end. To cost more is to cost strictly more."""
    interval = (ratio.value, ratio.value) if scope == "contract" else ratio.decisive
    if interval is None or (scope != "contract" and ratio.units < MINIMUM_WINDOWS):
        return "open"
    strict = bound <= 1.0
    if interval[0] > bound or (interval[0] == bound and not strict):
        return "supported"
    return "contradicted" if interval[1] < bound or (interval[1] == bound and strict) else "open"


def _over_ties(decisions: Sequence[Decision], claim: Comparison, statement: str) -> Decision:
    """What holds for every combination of tie resolutions, else open."""
    shared = largest_p(decisions)
    if len({decision.verdict for decision in decisions}) == 1:
        note = f"the {len(decisions)} combinations of ties agree, this one is the nearest to the claim"
        return replace(nearest(decisions, note), p=shared)
    values = [decision.value or 0.0 for decision in decisions]
    message = (
        f"over {len(decisions)} combinations of ties, {_removing(claim)} by {claim.worse} costs {min(values):.3g} to "
        f"{max(values):.3g} times what {claim.better} costs{outermost(decisions)}; {statement}: {tally(decisions)}"
    )
    least = min(decisions, key=lambda decision: decision.value or 0.0)
    return replace(least, verdict="open", message=message, further_units=None, p=shared)


def _against_random(figures: Figures, claim: Comparison, statement: str) -> Decision:
    """Against random draws an arm has a p, not a ratio: a few catastrophic draws would make any mean useless."""
    if claim.at_least > 1.0:
        return Decision("open", f"against random draws an arm has a p and no factor; leave out `at_least`; {statement}")
    method = claim.worse if is_control(claim.better) else claim.better
    rows = [row for row in figures.arms if (row["method"], row["budget"]) == (method, claim.budget)]
    if not rows:
        return Decision("open", f"{figures.why_none(method, claim.budget)}; {statement}")
    if any(row["p"] is None for row in rows) or rows[0]["ties"] > len(rows):
        reason = f"not every removal by {method} and random draw at budget {claim.budget} is measured, or there is none"
        return Decision("open", f"{reason}; {statement}")
    return _by_p(figures, claim, rows, statement)


def _by_p(figures: Figures, claim: Comparison, rows: Sequence[ArmRow], statement: str) -> Decision:
    level = error_rate(figures.audit.statistics)
    cheaper = max(row["p"] or 0.0 for row in rows)
    costlier = max(_costlier_p(figures, arm) for arm in figures.chosen(rows[0]["method"], claim.budget))
    favourable, unfavourable = (costlier, cheaper) if is_control(claim.better) else (cheaper, costlier)
    verdict: Verdict = "supported" if favourable <= level else "contradicted" if unfavourable <= level else "open"
    worst = max(rows, key=lambda row: row["increase_percent"] or 0.0)
    ties = f" (the costliest of {len(rows)} ways of breaking ties)" if len(rows) > 1 else ""
    message = (
        f"{_removing(claim)} by {worst['method']} costs {worst['increase_percent']:+.2f} % perplexity"
        f"{span(worst['interval'])}{ties}, against {worst['draws']} random draws: p = {favourable:.3g}, expected at "
        f"most {level:g}; {statement}"
    )
    if verdict == "open" and (worst["smallest_p"] or 0.0) > level:
        message += f"; with so few draws no p below {worst['smallest_p']:.3g} can be reached"
    return Decision(verdict, message, p=min(favourable, unfavourable))


def _costlier_p(figures: Figures, arm: RemovalSet) -> float:
    """The p of the opposite: that the arm costs more than the draws."""
    cost = figures.costs.increase(arm.layout)
    assert cost is not None
    return statistics.control_p(-cost.value, [-draw for draw in control(figures.costs, figures.sets, arm)])


KIND = Kind(Comparison, _decide, allowed=lambda _, claim: (claim.at_least, None))
