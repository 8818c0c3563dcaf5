"""Claims -> verdicts: decided on measured figures, on the unfavourable end, with what backs them (design, 3.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from checker.checkpoints.provenance.claimed import why_unknown
from checker.core.questions import RemovalSet
from checker.core.records import Claim
from checker.core.statistics import MINIMUM_WINDOWS, Estimate
from checker.judge.claims.backing import Backing, of_pairs, of_removal
from checker.judge.claims.comparison import comparison, sharing_one_error_rate
from checker.judge.claims.decision import (
    NUMERICAL_TOLERANCE,
    Bench,
    Decision,
    Row,
    Verdict,
    claimed,
    claimed_range,
    counted,
    nearest,
    outermost,
    span,
    undecided,
)
from checker.judge.claims.redundancy import claimed_pairs, redundancy
from checker.judge.figures.costs import error_rate
from checker.judge.figures.distances import pair_of
from checker.selection.methods import PROTOCOLS


def decide(bench: Bench, claims: Sequence[Claim]) -> list[Row]:
    """One row per claim: its verdict, the figure it rests on, and which protocol backs it."""
    decisions = {claim.id: _beyond_model(bench, claim) or _DECIDERS[claim.kind](bench, claim) for claim in claims}
    decisions |= sharing_one_error_rate(decisions, error_rate(bench.audit.statistics))
    return [_row(bench, claim, decisions[claim.id]) for claim in claims]


def _beyond_model(bench: Bench, claim: Claim) -> Decision | None:
    """Open where a claim names a block that the model does not have: what is left of it would be another claim."""
    missing, blocks = claim.beyond(bench.costs.blocks), bench.costs.blocks
    named = f"block{'' if len(missing) == 1 else 's'} {', '.join(map(str, missing))}"
    return Decision("open", f"found {named}; expected blocks from 0 to {blocks - 1}") if missing else None


def _row(bench: Bench, claim: Claim, decision: Decision) -> Row:
    return {
        "id": claim.id,
        "says": claim.says,
        "kind": claim.kind,
        "scope": claim.scope,
        "protocol": claim.protocol,
        "verdict": decision.verdict,
        "evidence": "measured",
        "message": decision.message,
        "location": claim.location.place,
        "further_units": decision.further_units,
        "value": decision.value,
        "interval": pair_of(decision.interval),
        "unit": decision.unit,
        "threshold": decision.threshold,
        "range": _range(bench, claim),
        "counterexamples": list(decision.counterexamples),
        "protocols": {protocol: _backing(bench, claim, protocol).row() for protocol in PROTOCOLS},
    }


def _range(bench: Bench, claim: Claim) -> Row | None:
    """What the claim lets its figure be; None where it names no bound."""
    lower, upper = claimed_range(claim, bench.costs.perplexity(()))
    return None if lower is None and upper is None else {"lower": lower, "upper": upper}


def _backing(bench: Bench, claim: Claim, protocol: str) -> Backing:
    if claim.beyond(bench.costs.blocks):
        return Backing("open", f"{protocol} has no distance of a block that the model does not have")
    if claim.kind == "redundant" and claim.below is not None:
        return of_pairs(bench.distances, protocol, claimed_pairs(bench, claim), claim.below)
    if claim.kind == "removal":
        sets = _claimed_sets(bench, claim)
        if sets:
            layers = [removal.layers for removal in sets]
            return of_removal(bench.distances, bench.prediction, protocol, layers)
        return Backing("open", f"{protocol} cannot back a removal whose blocks are not known")
    return Backing("na", f"a {claim.kind} claim says nothing that a protocol could back")


# --- removal ---------------------------------------------------------------------------------------------------------


_TASKS = "the claim is about tasks, which perplexity does not decide and nothing here measures"


def _removal(bench: Bench, claim: Claim) -> Decision:
    decision = _cost_of_removal(bench, claim)
    if claim.about != "tasks":
        return decision
    return replace(decision, verdict="open", message=f"{_TASKS}: {decision.message}", further_units=None)


def _cost_of_removal(bench: Bench, claim: Claim) -> Decision:
    sets = _claimed_sets(bench, claim)
    _, upper, said = _claimed_cost(bench, claim)
    if not sets:
        known = bench.distances.evidence.facts.checkpoints
        reason = why_unknown(claim, known) if claim.from_checkpoint else bench.why_none(claim.method, claim.budget)
        return Decision("open", f"{reason}; {said}", unit="percent", threshold=upper)
    decisions = [_one_removal(bench, claim, removal) for removal in sets]
    chosen = sets[0] if claim.layers is not None else bench.chosen(claim.method, claim.budget)[0]
    return decisions[0] if chosen.ties == 1 else _over_ties(decisions, chosen, said)


def _claimed_sets(bench: Bench, claim: Claim) -> list[RemovalSet]:
    if claim.layers is not None:
        return [RemovalSet("claimed", len(claim.layers), tuple(sorted(claim.layers)))]
    return list(bench.chosen(claim.method, claim.budget))


def _claimed_cost(bench: Bench, claim: Claim) -> tuple[float | None, float, str]:
    """The claimed range of the cost in percent, and how the message says it."""
    lower, upper = claimed_range(claim, bench.costs.perplexity(()))
    assert upper is not None
    if claim.equals is None:
        return lower, upper, f"{claimed(claim)}: at most {upper:g} %"
    if claim.interval is None or claim.scope == "contract":
        return lower, upper, f"{claimed(claim)}: {claim.equals:g} % within {claim.within or 0.0:g}"
    ends = span(claim.interval) + (", in perplexity" if claim.interval_unit == "perplexity" else "")
    return lower, upper, f"{claimed(claim)}: {claim.equals:g} %{ends}"


def _one_removal(bench: Bench, claim: Claim, claimed: RemovalSet) -> Decision:
    cost, layers = bench.costs.increase(claimed.layout(bench.costs.blocks)), claimed.layers
    lower, upper, said = _claimed_cost(bench, claim)
    removal = f"removing block{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}"
    if cost is None:
        message = f"what {removal} costs is not measured, run the audit to its end; {said}"
        return Decision("open", message, unit="percent", threshold=upper)
    told = f"{removal} costs {cost.value:+.2f} % perplexity{span(cost.interval)}; {said}"
    bounds = [upper] if lower is None else [lower, upper]
    threshold = min(reversed(bounds), key=lambda bound: abs(cost.value - bound))
    found = Decision("open", told, cost.value, cost.interval, "percent", threshold)
    least = -inf if lower is None else lower
    verdict = _in_range(cost, least, upper, claim.scope)
    if verdict != "open" or claim.about == "tasks":
        return replace(found, verdict=verdict)
    # A value inside the range has to leave both bounds outside its interval, one outside only the nearer bound.
    further = bench.further(cost, bounds if least <= cost.value <= upper else [threshold], MINIMUM_WINDOWS)
    return replace(found, message=told + undecided(cost, further, MINIMUM_WINDOWS, "windows"), further_units=further)


def _in_range(cost: Estimate, lower: float, upper: float, scope: str) -> Verdict:
    """Whether a cost in percent lies in a claimed range: on its value, or on its interval."""
    if scope == "contract":
        slack = NUMERICAL_TOLERANCE * (100.0 + cost.value)
        return "supported" if lower - slack <= cost.value <= upper + slack else "contradicted"
    if cost.interval is None or cost.units < MINIMUM_WINDOWS:
        return "open"
    low, high = cost.interval
    if lower <= low and high <= upper:
        return "supported"
    return "contradicted" if high < lower or low > upper else "open"


def _over_ties(decisions: Sequence[Decision], chosen: RemovalSet, said: str) -> Decision:
    """One decision from those of the resolutions of the ties: what holds for all of them, else open."""
    measured = [decision for decision in decisions if decision.value is not None]
    if not measured:
        return decisions[0]
    complete, ways = len(measured) == chosen.ties and chosen.ties_counted, f"{chosen.ways} ways of breaking ties"
    if complete and len({decision.verdict for decision in decisions}) == 1:
        return nearest(measured, f"the {ways} agree, this one is the nearest to the claim")
    values = [decision.value or 0.0 for decision in measured]
    which = f"the {ways}" if complete else f"{len(measured)} of {ways} are measured and"
    told = (
        f"{which} cost {min(values):+.2f} to {max(values):+.2f} % perplexity"
        f"{outermost(measured)}; {said}: {counted(measured)}"
    )
    costliest = max(measured, key=lambda decision: decision.value or 0.0)
    return replace(costliest, verdict="open", message=told, further_units=None)


# --- regime and transfer ---------------------------------------------------------------------------------------------


def _regime(bench: Bench, claim: Claim) -> Decision:
    return _metric_regime(bench, claim) if claim.metric is not None else _removal_regime(bench, claim)


def _metric_regime(bench: Bench, claim: Claim) -> Decision:
    row = bench.regime["metric"]
    if row["ratio"] is None:
        means = "the geometric means of the two distances have no ratio: not all are measured, or one is not above 0"
    else:
        means = (
            f"kl_ratio of the geometric means over {row['pairs']} adjacent pairs {row['ratio']:.3g}"
            f"{span(row['interval'])}, replacement {row['replacement_mean']:.3g} nats"
        )
    told = f"metric regime: found {row['name']} ({means}); claimed: {claim.metric}"
    if row["name"] == "open":
        told += "; the prompts do not decide it"
    return _same(str(claim.metric), row["name"], Decision("open", told, row["ratio"], _interval(row)))


def _removal_regime(bench: Bench, claim: Claim) -> Decision:
    said = f"claimed: {claim.removal} at budget {claim.budget}"
    rows = [row for row in bench.regime["removal"] if row["budget"] == claim.budget]
    if not rows:
        reason = "there is no removal regime at a budget where the audit does not run both protocols as methods"
        return Decision("open", f"{reason}; {said}", unit="nats")
    row = rows[0]
    told = f"removal regime: found {row['regime']}"
    if row["difference"] is not None:
        told += (
            f" (replacement's arm minus interchange's {row['difference']:+.3g} nats per token{span(row['interval'])}, "
            f"margin {row['margin']:g})"
        )
    told += f"; {said}"
    if row["regime"] == "open":
        told += f"; {row['sentence']}"
    found = Decision("open", told, row["difference"], _interval(row), "nats", row["margin"])
    return _same(str(claim.removal), row["regime"], found)


def _same(claimed: str, found: str, decision: Decision) -> Decision:
    if found == "open":
        return decision
    return replace(decision, verdict="supported" if found == claimed else "contradicted")


def _interval(row: Mapping[str, Any]) -> tuple[float, float] | None:
    return tuple(row["interval"]) if row["interval"] else None


def _transfer(_: Bench, claim: Claim) -> Decision:
    return Decision(
        "open",
        "one checkpoint and text cannot decide what holds for another; audit that one too and compare the two "
        f"reports; claimed: the same holds for {claim.to}",
    )


_DECIDERS: dict[str, Callable[[Bench, Claim], Decision]] = {
    "removal": _removal,
    "redundant": redundancy,
    "comparison": comparison,
    "regime": _regime,
    "transfer": _transfer,
}
