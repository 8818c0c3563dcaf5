"""Claims that blocks can be removed at a stated cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checker.core.questions import RemovalSet
from checker.core.words import numbered
from checker.judge.claims import checkpoint_cost
from checker.judge.claims.backing import Backing, of_removal
from checker.judge.claims.decision import Decision, Figures, effective, largest_p, nearest, outermost, span, tally
from checker.judge.claims.kind import Kind
from checker.judge.claims.stated_cost import allowed, held_against, statement_of
from checker.spec.claims.removal import Removal

_NOTABLE_SHARE = 0.25  # of the cost, in one window
_TASKS = "the claim is about tasks, which perplexity does not decide"


def _decide(figures: Figures, claim: Removal) -> Decision:
    decision = _cost_of_removal(figures, claim)
    if claim.about != "tasks":
        return decision
    instead = "; claim the scores (`kind: task`)" if figures.audit.tasks else " and nothing here measures"
    message = f"{_TASKS}{instead}: {decision.message}"
    return replace(decision, verdict="open", message=message, further_units=None, p=None)


def _cost_of_removal(figures: Figures, claim: Removal) -> Decision:
    if claim.checkpoint is not None:
        return checkpoint_cost.decide(figures, claim)
    sets, statement = _sets(figures, claim), statement_of(claim)
    if not sets:
        reason = figures.why_none(claim.method, claim.budget)
        return Decision("open", f"{reason}; {statement}", unit="percent", threshold=allowed(figures, claim)[1])
    decisions = [_one_removal(figures, claim, removal) for removal in sets]
    return decisions[0] if sets[0].ties == 1 else _over_ties(decisions, sets[0], statement)


def _sets(figures: Figures, claim: Removal) -> list[RemovalSet]:
    if claim.layers is not None:
        return [RemovalSet("claimed", len(claim.layers), figures.costs.unchanged.without(claim.layers))]
    return figures.chosen(claim.method, claim.budget)


def _one_removal(figures: Figures, claim: Removal, removal: RemovalSet) -> Decision:
    cost, removing = figures.costs.increase(removal.layout), f"removing {numbered('block', removal.layers)}"
    if cost is None:
        message = f"what {removing} costs is not measured, run the audit to its end; {statement_of(claim)}"
        return Decision("open", message, unit="percent", threshold=allowed(figures, claim)[1])
    message = f"{removing} costs {cost.value:+.2f} % perplexity{span(cost.interval)}"
    message += effective(cost, "windows")
    # An interval that holds such a window is too wide to contradict by it, and too skewed to support anything.
    if (largest := figures.costs.largest_share(removal.layout)) and largest[1] >= _NOTABLE_SHARE:
        message += f", {largest[1]:.0%} of it in window {largest[0]} alone"
    return held_against(figures, claim, cost, message)


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


KIND = Kind(Removal, _decide, allowed, _backing)
