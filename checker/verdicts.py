"""Claims -> verdicts: decided on measured figures, on the unfavourable end, with what backs them (design, 3.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf, isfinite
from typing import Any

from checker.backing import Backing, below, of_pair, of_removal
from checker.comparisons import comparison, sharing_one_error_rate
from checker.costs import error_rate
from checker.decisions import Bench, Decision, Row, counted, most, nearest, outermost, span, undecided
from checker.distances import pair_of
from checker.methods import PROTOCOLS
from checker.records import Claim, RemovalSet, Verdict
from checker.stats import MINIMUM_UNITS, MINIMUM_WINDOWS, Estimate

# Two runs of one contract on different machines may differ by this much, relative: in perplexity and in a distance.
NUMERICAL_TOLERANCE = 5e-4


def decide(bench: Bench, claims: Sequence[Claim]) -> list[Row]:
    """One row per claim: its verdict, the figure it rests on, and which protocol backs it."""
    decisions = {claim.id: _DECIDERS[claim.kind](bench, claim) for claim in claims}
    decisions |= sharing_one_error_rate(decisions, error_rate(bench.audit.statistics))
    return [_row(bench, claim, decisions[claim.id]) for claim in claims]


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
        "protocols": {protocol: _backing(bench, claim, protocol).row() for protocol in PROTOCOLS},
    }


def _backing(bench: Bench, claim: Claim, protocol: str) -> Backing:
    if claim.kind == "redundant" and claim.pair is not None and claim.below is not None:
        return of_pair(bench.distances, protocol, claim.pair, claim.below)
    if claim.kind == "removal":
        sets = _claimed_sets(bench, claim)
        if sets:
            layers = [removal.layers for removal in sets]
            return of_removal(bench.distances, bench.prediction, protocol, layers)
        return Backing("open", f"{protocol} cannot back a removal whose blocks are not known")
    return Backing("na", f"a {claim.kind} claim says nothing that a protocol could back")


def _of(claim: Claim) -> str:
    return "claimed of this very text" if claim.scope == "contract" else "claimed"


# --- removal ---------------------------------------------------------------------------------------------------------


def _removal(bench: Bench, claim: Claim) -> Decision:
    sets = _claimed_sets(bench, claim)
    _, upper, said = _claimed_cost(claim)
    if not sets:
        reason = bench.why_none(claim.method, claim.budget)
        return Decision("open", f"{reason}; {said}", unit="percent", threshold=upper)
    decisions = [_one_removal(bench, claim, removal) for removal in sets]
    chosen = sets[0] if claim.layers is not None else bench.chosen(claim.method, claim.budget)[0]
    return decisions[0] if chosen.ties == 1 else _over_ties(decisions, chosen, said)


def _claimed_sets(bench: Bench, claim: Claim) -> list[RemovalSet]:
    if claim.layers is not None:
        return [RemovalSet("claimed", len(claim.layers), tuple(sorted(claim.layers)))]
    return list(bench.chosen(claim.method, claim.budget))


def _claimed_cost(claim: Claim) -> tuple[float, float, str]:
    """The claimed range of the cost in percent, and how the message says it."""
    if claim.at_most is not None:
        return -inf, claim.at_most, f"{_of(claim)}: at most {claim.at_most:g} %"
    assert claim.equals is not None
    within = claim.within or 0.0
    return claim.equals - within, claim.equals + within, f"{_of(claim)}: {claim.equals:g} % within {within:g}"


def _one_removal(bench: Bench, claim: Claim, claimed: RemovalSet) -> Decision:
    cost, layers = bench.costs.increase(claimed.layout(bench.costs.blocks)), claimed.layers
    lower, upper, said = _claimed_cost(claim)
    removal = f"removing block{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}"
    if cost is None:
        message = f"what {removal} costs is not measured, run the audit to its end; {said}"
        return Decision("open", message, unit="percent", threshold=upper)
    told = f"{removal} costs {cost.value:+.2f} % perplexity{span(cost.interval)}; {said}"
    threshold = lower if abs(cost.value - lower) < abs(cost.value - upper) else upper
    found = Decision("open", told, cost.value, cost.interval, "percent", threshold)
    verdict = _in_range(cost, lower, upper, claim.scope)
    if verdict != "open":
        return replace(found, verdict=verdict)
    # A value inside the range has to leave both bounds outside its interval, one outside only the nearer bound.
    bounds = [lower, upper] if lower <= cost.value <= upper else [threshold]
    further = bench.further(cost, filter(isfinite, bounds), MINIMUM_WINDOWS)
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


# --- redundant -------------------------------------------------------------------------------------------------------


def _redundant(bench: Bench, claim: Claim) -> Decision:
    if claim.protocol is not None and claim.protocol not in PROTOCOLS:
        reason = f"{claim.protocol} gives no distance between two blocks; rest the claim on {' or '.join(PROTOCOLS)}"
        return Decision("open", f"{reason}; {_claimed_distance(claim)}", unit="nats", threshold=claim.below)
    protocols = PROTOCOLS if claim.protocol is None else (claim.protocol,)
    decisions = [_one_distance(bench, claim, protocol) for protocol in protocols]
    return decisions[0] if len(decisions) == 1 else _under_both(decisions)


def _claimed_distance(claim: Claim) -> str:
    return f"{_of(claim)}: below {claim.below:g} nats"


def _one_distance(bench: Bench, claim: Claim, protocol: str) -> Decision:
    assert claim.pair is not None
    assert claim.below is not None
    backing = of_pair(bench.distances, protocol, claim.pair, claim.below)
    distance, said = backing.estimate, _claimed_distance(claim)
    if distance is None:
        return Decision("open", f"{backing.why}; {said}", unit="nats", threshold=claim.below)
    i, j = sorted(claim.pair)
    told = f"{protocol} distance of blocks {i} and {j}: {distance.value:.4g} nats{span(distance.interval)}; {said}"
    found = Decision("open", told, distance.value, distance.interval, "nats", claim.below)
    if claim.scope == "contract":
        inside = distance.value < claim.below * (1 + NUMERICAL_TOLERANCE)
        return replace(found, verdict="supported" if inside else "contradicted")
    answer = below(distance, claim.below)
    if answer in ("yes", "no"):
        return replace(found, verdict="supported" if answer == "yes" else "contradicted")
    further = bench.further(distance, [claim.below], MINIMUM_UNITS)
    return replace(found, message=told + undecided(distance, further, MINIMUM_UNITS, "prompts"), further_units=further)


def _under_both(decisions: Sequence[Decision]) -> Decision:
    """What both protocols say of a claim that names neither: decided only where they agree."""
    verdicts = {decision.verdict for decision in decisions}
    if len(verdicts) == 1:
        reason = "the claim names no protocol, and both give the same answer"
    elif "open" in verdicts:
        reason = "the claim names no protocol, and only one of the two decides it"
    else:
        reason = "the claim names no protocol, and the answer depends on it"
    told = "; ".join(decision.message for decision in decisions)
    largest = max(decisions, key=lambda d: d.value if d.value is not None else -inf)
    return replace(
        largest,
        verdict=verdicts.pop() if len(verdicts) == 1 else "open",
        message=f"{reason}: {told}",
        further_units=most(decision.further_units for decision in decisions if decision.verdict == "open"),
    )


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
    "redundant": _redundant,
    "comparison": comparison,
    "regime": _regime,
    "transfer": _transfer,
}
