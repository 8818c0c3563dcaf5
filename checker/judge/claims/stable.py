"""Claims that block scores or chosen sets are alike at two steps: rank correlation, and Jaccard's index of sets."""

from __future__ import annotations

from checker.core.records import Verdict
from checker.core.resampling import MINIMUM_UNITS
from checker.judge.claims.decision import Decision, Figures, span
from checker.judge.claims.kind import Kind
from checker.judge.claims.over_steps import held_against, over
from checker.judge.figures.series import LEAST_BLOCKS, OverSteps
from checker.spec.claims.stable import Stable


def _decide(figures: Figures, claim: Stable) -> Decision:
    series = over(figures, claim)
    statement = f"claimed: at least {claim.at_least:g}"
    if isinstance(series, str):
        return Decision("open", f"{series}; {statement}", threshold=claim.at_least)
    return (_scores if claim.of == "scores" else _sets)(figures, claim, series, statement)


def _scores(figures: Figures, claim: Stable, series: OverSteps, statement: str) -> Decision:
    found = series.correlation(str(claim.protocol), claim.start, claim.end)
    if found is None:
        blocks = figures.distances.evidence.facts.model.blocks
        few = f"{blocks} blocks are too few, at least {LEAST_BLOCKS} are needed"
        why = few if blocks < LEAST_BLOCKS else "it has no value"
        message = f"rank correlation of {claim.protocol}'s block scores: {why}; {statement}"
        return Decision("open", message, threshold=claim.at_least)
    message = (
        f"the block scores of {claim.protocol} at steps {claim.start} and {claim.end} have a rank correlation of "
        f"{found.value:.3g}{span(found.interval) if found.interval else ''}; {statement}"
    )
    decision = Decision("open", message, found.value, found.interval, "", claim.at_least)
    return held_against(figures, claim, decision, found, "above", MINIMUM_UNITS, "prompts")


def _sets(_: Figures, claim: Stable, series: OverSteps, statement: str) -> Decision:
    """Decided as they were chosen: of a population of prompts, a Jaccard index has no interval."""
    found = series.overlaps(str(claim.protocol), claim.budget or 0, claim.start, claim.end)
    if not found:
        message = f"{claim.protocol} has no set at one of the two steps; {statement}"
        return Decision("open", message, threshold=claim.at_least)
    low, high = min(found), max(found)
    values = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g} over {len(found)} ways of breaking ties"
    steps = f"steps {claim.start} and {claim.end}"
    message = f"the sets of {claim.protocol} at {steps} have a Jaccard index of {values}; {statement}"
    if claim.scope == "population":
        note = "a Jaccard index has no interval, so nothing follows for other prompts; claim it with `scope: contract`"
        return Decision("open", f"{message}; {note}", low, None, "", claim.at_least)
    verdict: Verdict = "supported" if low >= claim.at_least else "contradicted" if high < claim.at_least else "open"
    return Decision(verdict, message, low, None, "", claim.at_least)


KIND = Kind(Stable, _decide, allowed=lambda _, claim: (claim.at_least, None))
