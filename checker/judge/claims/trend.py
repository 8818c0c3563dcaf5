"""Claims that a quantity grows or falls over training: decided on the paired change between two steps (design, 3.8)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from checker.core.records import Verdict
from checker.core.resampling import MINIMUM_UNITS
from checker.core.statistics import MINIMUM_WINDOWS
from checker.judge.claims.decision import Decision, Figures, Side, largest_p, span, tally
from checker.judge.claims.kind import Kind, Range
from checker.judge.claims.over_steps import held_against, over
from checker.judge.figures.series import OverSteps
from checker.judge.form import Unit
from checker.spec.claims.trend import IN_NATS, SAID, Trend


def _decide(figures: Figures, claim: Trend) -> Decision:
    series = over(figures, claim)
    statement = f"claimed: it {claim.direction}" + (f" by at least {claim.at_least:g}" if claim.at_least else "")
    if isinstance(series, str):
        return Decision("open", f"{series}; {statement}", unit=_unit(claim))
    whole = _between(figures, claim, series, claim.start, claim.end, statement)
    if not claim.monotone or whole.verdict != "supported":
        return whole
    return _monotone(figures, claim, series, whole)


def _between(figures: Figures, claim: Trend, series: OverSteps, start: int, end: int, statement: str) -> Decision:
    change = series.change(claim.quantity, start, end)
    if change is None:
        return Decision("open", f"{_no_value(claim, series, start, end)}; {statement}", unit=_unit(claim))
    before, after = (series.estimate(claim.quantity, number) for number in (start, end))
    shown = ("no value" if each is None else f"{each.value:.4g}{span(each.interval)}" for each in (before, after))
    values = " to ".join(shown)
    unit = " nats" if claim.quantity in IN_NATS else ""
    pairs = _pairs(series, claim, start, end)
    message = (
        f"from step {start} to step {end}, {SAID[claim.quantity]} moves from {values}{unit}: a change of "
        f"{change.value:+.4g}{span(change.interval)}{pairs}; {statement}"
    )
    bound = claim.sign * claim.at_least
    decision = Decision("open", message, change.value, change.interval, _unit(claim), bound)
    least, units = (MINIMUM_WINDOWS, "windows") if claim.quantity == "baseline" else (MINIMUM_UNITS, "prompts")
    side: Side = "above" if claim.direction == "grows" else "below"
    return held_against(figures, claim, decision, change, side, least, units)


def _no_value(claim: Trend, series: OverSteps, start: int, end: int) -> str:
    pooled = series.pooled((start, end))
    if claim.quantity in ("gap", "kl_ratio", "replacement", "interchange") and not pooled.enough:
        whole = len(pooled.pairs) + pooled.left_out
        return f"{pooled.left_out} of {whole} adjacent pairs lie inside the numerical floor at one of the two steps"
    return f"{SAID[claim.quantity]} has no value at one of the two steps"


def _pairs(series: OverSteps, claim: Trend, start: int, end: int) -> str:
    """Over how many pairs it is, and how many left it."""
    if claim.quantity in ("baseline", "rank_correlation"):
        return ""
    pooled = series.pooled((start, end))
    left = f", {pooled.left_out} more lie inside the numerical floor" if pooled.left_out else ""
    return f" over {len(pooled.pairs)} adjacent pairs{left}"


def _monotone(figures: Figures, claim: Trend, series: OverSteps, whole: Decision) -> Decision:
    """Supported where every neighbouring change is shown too; each is held at the full level (design, 3.8)."""
    low, high = sorted((claim.start, claim.end))
    numbers = [number for number in series.numbers if low <= number <= high]
    reasons = [reason for number in numbers if (reason := series.why_not(number))]
    if reasons:
        return replace(whole, verdict="open", message=f"{whole.message}; {reasons[0]}", p=None)
    steps = pairwise(numbers if claim.start < claim.end else numbers[::-1])
    unbounded = replace(claim, at_least=0.0)
    parts = [
        Decision("open", "one set of weights")
        if series.same_weights(*both)
        else _between(figures, unbounded, series, *both, f"claimed: it {claim.direction}")
        for both in steps
    ]
    verdicts = {part.verdict for part in parts}
    verdict: Verdict = "contradicted" if "contradicted" in verdicts else "open" if "open" in verdicts else "supported"
    message = f"{whole.message}; of {len(parts)} neighbouring changes {tally(parts)}"
    p = largest_p([whole, *parts]) if verdict == "supported" else whole.p
    return replace(whole, verdict=verdict, message=message, p=p)


def _unit(claim: Trend) -> Unit:
    return "nats" if claim.quantity in IN_NATS else ""


def _allowed(_: Figures, claim: Trend) -> Range:
    bound = claim.sign * claim.at_least
    return (bound, None) if claim.direction == "grows" else (None, bound)


KIND = Kind(Trend, _decide, _allowed)
