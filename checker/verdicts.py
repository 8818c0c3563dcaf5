"""Claims -> verdicts: decided on measured figures, on the unfavourable end, with what backs them (design, 3.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from checker import stats
from checker.backing import Backing, of_pair, of_removal
from checker.costs import Costs
from checker.distances import Distances, pair_of
from checker.methods import PROTOCOLS
from checker.records import Claim, RemovalSet, Verdict
from checker.stats import MINIMUM_UNITS, MINIMUM_WINDOWS, Estimate

# Two runs of one contract on different machines may differ by this much in perplexity, relative.
NUMERICAL_TOLERANCE = 5e-4
Row = dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """A verdict with the figure it rests on."""

    verdict: Verdict
    message: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    unit: str = ""
    threshold: float | None = None
    further_units: int | None = None


@dataclass(frozen=True)
class Bench:
    """What claims are decided on."""

    distances: Distances
    costs: Costs
    sets: Sequence[RemovalSet]
    arms: Sequence[Row]
    regime: Mapping[str, Any]
    prediction: Sequence[Row]

    @property
    def statistics(self) -> Any:
        return self.distances.evidence.audit.statistics


def decide(bench: Bench, claims: Sequence[Claim]) -> list[Row]:
    """One row per claim: its verdict, the figure it rests on, and which protocol backs it."""
    decisions = {claim.id: _DECIDERS[claim.kind](bench, claim) for claim in claims}
    decisions |= _sharing_one_error_rate(bench, claims, decisions)
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
        "location": str(claim.location),
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
            return of_removal(bench.distances, bench.prediction, protocol, sets)
        return Backing("open", f"{protocol} cannot back a removal whose blocks are not known")
    return Backing("na", f"a {claim.kind} claim says nothing that a protocol could back")


# --- removal ---------------------------------------------------------------------------------------------------------


def _removal(bench: Bench, claim: Claim) -> Decision:
    sets = _claimed_sets(bench, claim)
    if not sets:
        return Decision("open", _no_sets(bench, claim), unit="percent")
    decisions = [_one_removal(bench, claim, layers) for layers in sets]
    return _over_ties(decisions, len(sets), _all_resolutions(bench, claim))


def _claimed_sets(bench: Bench, claim: Claim) -> list[tuple[int, ...]]:
    if claim.layers is not None:
        return [claim.layers]
    return [arm.layers for arm in bench.sets if (arm.method, arm.budget) == (claim.method, claim.budget)]


def _all_resolutions(bench: Bench, claim: Claim) -> bool:
    chosen = [arm for arm in bench.sets if (arm.method, arm.budget) == (claim.method, claim.budget)]
    return claim.layers is not None or all(arm.ties <= len(chosen) for arm in chosen)


def _no_sets(bench: Bench, claim: Claim) -> str:
    return (
        f"the audit has no arm of method {claim.method} at budget {claim.budget}; add it to `methods` and `budgets` to "
        "decide this claim"
    )


def _one_removal(bench: Bench, claim: Claim, layers: tuple[int, ...]) -> Decision:
    cost = bench.costs.increase(layers)
    blocks = ", ".join(map(str, layers))
    if cost is None:
        return Decision("open", f"removing blocks {blocks} is not measured; run the audit", unit="percent")
    lower, upper = _claimed_range(claim)
    claimed = (
        f"at most {claim.at_most:g} %" if claim.at_most is not None else f"{claim.equals:g} % ± {upper - lower:g} / 2"
    )
    found = f"removing blocks {blocks} costs {cost.value:+.2f} % perplexity"
    decision = _against_range(cost, lower, upper, claim.scope, MINIMUM_WINDOWS)
    return replace(decision, message=f"{found}{_span(cost)}; claimed: {claimed}{decision.message}", unit="percent")


def _claimed_range(claim: Claim) -> tuple[float, float]:
    if claim.at_most is not None:
        return float("-inf"), claim.at_most
    assert claim.equals is not None
    within = claim.within if claim.within is not None else printed_precision(claim.equals)
    return claim.equals - within, claim.equals + within


def printed_precision(value: float) -> float:
    """Half a unit of the last digit that a number was written with: 10.2 stands for 10.15 to 10.25."""
    digits = repr(value).partition(".")[2]
    return 0.5 * 10.0 ** -(0 if digits in ("", "0") else len(digits))


def _against_range(cost: Estimate, lower: float, upper: float, scope: str, least: int) -> Decision:
    """Decides whether a cost in percent lies in a claimed range: on its value, or on its interval."""
    threshold = upper if cost.value > (lower + upper) / 2 or lower == float("-inf") else lower
    if scope == "contract":
        slack = NUMERICAL_TOLERANCE * (100.0 + cost.value)
        inside = lower - slack <= cost.value <= upper + slack
        return Decision(
            "supported" if inside else "contradicted",
            " (for this very text)",
            cost.value,
            cost.interval,
            threshold=threshold,
        )
    if cost.interval is None or cost.units < least:
        short = least - cost.units
        return Decision(
            "open",
            f"; {cost.units} windows decide nothing about a population, at least {least} do",
            cost.value,
            cost.interval,
            threshold=threshold,
            further_units=max(1, short),
        )
    low, high = cost.interval
    if lower <= low and high <= upper:
        return Decision("supported", "", cost.value, cost.interval, threshold=threshold)
    if high < lower or low > upper:
        return Decision("contradicted", "", cost.value, cost.interval, threshold=threshold)
    further = stats.further_units(cost, threshold, least=least)
    return Decision(
        "open", _undecided(further, "windows"), cost.value, cost.interval, threshold=threshold, further_units=further
    )


def _undecided(further: int | None, units: str) -> str:
    if further is None:
        return "; the interval does not decide it, and no number of further units would"
    return f"; the interval does not decide it: about {further} further {units} would, if value and spread stay"


def _over_ties(decisions: Sequence[Decision], resolutions: int, complete: bool) -> Decision:
    """One decision from those of every resolution of the ties: what holds for all of them, else open."""
    if len({decision.verdict for decision in decisions}) == 1 and complete:
        costliest = max(decisions, key=lambda d: d.value if d.value is not None else float("-inf"))
        note = f" (the costliest of {resolutions} ways of breaking ties)" if resolutions > 1 else ""
        return replace(costliest, message=costliest.message + note)
    reason = "depends on how ties are broken" if complete else "not every way of breaking ties was measured"
    values = [decision.value for decision in decisions if decision.value is not None]
    spread = f": {min(values):+.2f} to {max(values):+.2f} %" if values else ""
    return Decision("open", f"{reason}{spread}", unit=decisions[0].unit, threshold=decisions[0].threshold)


# --- redundant -------------------------------------------------------------------------------------------------------


def _redundant(bench: Bench, claim: Claim) -> Decision:
    protocols = PROTOCOLS if claim.protocol is None else (claim.protocol,)
    decisions = {protocol: _one_distance(bench, claim, protocol) for protocol in protocols}
    if len({decision.verdict for decision in decisions.values()}) == 1:
        worst = max(decisions.values(), key=lambda d: d.value if d.value is not None else float("-inf"))
        return (
            worst
            if len(decisions) == 1
            else replace(worst, message="; ".join(decision.message for decision in decisions.values()))
        )
    told = "; ".join(decision.message for decision in decisions.values())
    return Decision(
        "open", f"depends on the protocol, which the claim does not state: {told}", unit="nats", threshold=claim.below
    )


def _one_distance(bench: Bench, claim: Claim, protocol: str) -> Decision:
    assert claim.pair is not None
    assert claim.below is not None
    i, j = sorted(claim.pair)
    backing = of_pair(bench.distances, protocol, (i, j), claim.below)
    if backing.estimate is None:
        return Decision("open", backing.why, unit="nats", threshold=claim.below)
    distance = backing.estimate
    told = f"{protocol} distance of blocks {i} and {j}: {distance.value:.4g} nats{_span(distance)}"
    told += f", claimed below {claim.below:g}"
    if claim.scope == "contract":
        verdict: Verdict = "supported" if distance.value < claim.below else "contradicted"
        return Decision(verdict, f"{told} (for this very text)", distance.value, distance.interval, "nats", claim.below)
    verdicts: dict[str, Verdict] = {"yes": "supported", "no": "contradicted"}
    verdict = verdicts.get(backing.backs, "open")
    if verdict != "open":
        return Decision(verdict, told, distance.value, distance.interval, "nats", claim.below)
    further = stats.further_units(distance, claim.below, least=MINIMUM_UNITS)
    return Decision(
        "open", told + _undecided(further, "prompts"), distance.value, distance.interval, "nats", claim.below, further
    )


# --- comparison ------------------------------------------------------------------------------------------------------


def _comparison(bench: Bench, claim: Claim) -> Decision:
    """At its own error rate; ``_sharing_one_error_rate`` takes back what the claims together do not allow."""
    if "random" in (claim.better, claim.worse):
        return _against_random(bench, claim)
    ratios, reason = _cost_ratios(bench, claim)
    if reason:
        return Decision("open", reason, unit="times", threshold=claim.at_least)
    worst = min(ratios, key=lambda ratio: ratio.value)
    bound = 1.0 if claim.at_least is None else claim.at_least
    told = (
        f"removing {claim.budget} blocks by {claim.worse} costs {worst.value:.3g} times what {claim.better} costs"
        f"{_span(worst)}; claimed: at least {bound:g} times"
    )
    verdicts = {_above(ratio, bound) for ratio in ratios}
    verdict = verdicts.pop() if len(verdicts) == 1 else "open"
    further = None
    if verdict == "open":
        further = stats.further_units(worst, bound, least=MINIMUM_WINDOWS)
        told += _undecided(further, "windows")
    return Decision(verdict, told, worst.value, worst.interval, "times", bound, further)


def _cost_ratios(bench: Bench, claim: Claim) -> tuple[list[Estimate], str]:
    """The cost ratio of every combination of tie resolutions, or why there is none."""
    sides = {
        name: [arm for arm in bench.sets if (arm.method, arm.budget) == (name, claim.budget)]
        for name in (str(claim.better), str(claim.worse))
    }
    for name, chosen in sides.items():
        if not chosen:
            return [], f"the audit has no arm of method {name} at budget {claim.budget}; add it to decide this claim"
        if chosen[0].ties > len(chosen):
            return [], f"not every way of breaking the ties of {name} was measured"
    ratios = []
    for better in sides[str(claim.better)]:
        for worse in sides[str(claim.worse)]:
            low, high = bench.costs.nll(better.layers), bench.costs.nll(worse.layers)
            base, tokens = bench.costs.base, bench.costs.tokens
            if low is None or high is None or base is None or tokens is None:
                return [], "one of the two arms is not measured; run the audit"
            ratio = stats.ratio_of_costs(low, high, base, tokens, bench.statistics)
            if ratio is None:
                return [], "one of the two removals does not cost anything, so there is no ratio of costs"
            ratios.append(ratio)
    return ratios, ""


def _above(ratio: Estimate, bound: float) -> Verdict:
    if ratio.interval is None or ratio.units < MINIMUM_WINDOWS:
        return "open"
    if ratio.interval[0] >= bound:
        return "supported"
    return "contradicted" if ratio.interval[1] < bound else "open"


def _against_random(bench: Bench, claim: Claim) -> Decision:
    """Against random draws an arm has a p, not a ratio: a few catastrophic draws would make any mean useless."""
    if claim.worse != "random" or (claim.at_least or 1.0) > 1.0:
        return Decision(
            "open",
            "against random draws only `worse: random` without a factor can be decided, by the arm's p",
            unit="times",
        )
    rows = [row for row in bench.arms if (row["method"], row["budget"]) == (claim.better, claim.budget)]
    values = [row["p"] for row in rows]
    if not values or any(p is None for p in values):
        return Decision("open", f"no random draws and arm of {claim.better} are measured at budget {claim.budget}")
    level, worst = 1.0 - bench.statistics.confidence, max(values)
    told = f"{claim.better} at budget {claim.budget} against {rows[0]['draws']} random draws: p = {worst:.3g}"
    return Decision("supported" if worst <= level else "open", told)


def _sharing_one_error_rate(
    bench: Bench, claims: Sequence[Claim], decisions: Mapping[str, Decision]
) -> dict[str, Decision]:
    """Holm over the decided comparison claims: those that do not survive it become open."""
    level = (1.0 - bench.statistics.confidence) / 2
    p_values: dict[str, float] = {}
    for claim in claims:
        if claim.kind != "comparison" or "random" in (claim.better, claim.worse):
            continue
        ratios, reason = _cost_ratios(bench, claim)
        if reason:
            continue
        bound = 1.0 if claim.at_least is None else claim.at_least
        found = [[stats.p_beyond(ratio, bound, side) for ratio in ratios] for side in ("above", "below")]
        if all(p is not None for side in found for p in side):
            # Every combination of ties must say the same: the largest p of a side is that side's.
            p_values[claim.id] = min(max(p for p in side if p is not None) for side in found)
    if len(p_values) < 2:
        return {}
    survives = stats.holm(p_values, level)
    return {
        name: replace(
            decisions[name],
            verdict="open",
            message=f"{decisions[name].message}; not decided once {len(p_values)} comparisons share one error rate",
        )
        for name in p_values
        if decisions[name].verdict != "open" and not survives[name]
    }


# --- regime and transfer ---------------------------------------------------------------------------------------------


def _regime(bench: Bench, claim: Claim) -> Decision:
    if claim.metric is not None:
        return _same_regime("metric", claim.metric, bench.regime["metric"]["name"], bench.regime["metric"])
    rows = [row for row in bench.regime["removal"] if row["budget"] == claim.budget]
    if not rows:
        return Decision(
            "open", f"no removal regime is measured at budget {claim.budget}: it needs arms of both protocols"
        )
    return _same_regime("removal", str(claim.removal), rows[0]["regime"], rows[0])


def _same_regime(what: str, claimed: str, found: str, row: Mapping[str, Any]) -> Decision:
    verdict: Verdict = "open" if found == "open" else "supported" if found == claimed else "contradicted"
    value = row["ratio"] if what == "metric" else row["difference"]
    unit = "" if what == "metric" else "nats"
    interval = tuple(row["interval"]) if row["interval"] else None
    return Decision(verdict, f"{what} regime: found {found}, claimed {claimed}", value, interval, unit)


def _transfer(bench: Bench, claim: Claim) -> Decision:
    return Decision(
        "open",
        f"whether this carries over to {claim.to} cannot be decided on one checkpoint and text; audit "
        "that one too and compare the two reports",
    )


def _span(estimate: Estimate) -> str:
    if estimate.interval is None:
        return " (no interval: fewer than 8 units)"
    return f" [{estimate.interval[0]:.4g}, {estimate.interval[1]:.4g}]"


_DECIDERS: dict[str, Callable[[Bench, Claim], Decision]] = {
    "removal": _removal,
    "redundant": _redundant,
    "comparison": _comparison,
    "regime": _regime,
    "transfer": _transfer,
}
