"""Claims that a pair of blocks is redundant, or that all pairs are: decided on distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

from checker.core import statistics
from checker.core.layouts import pairs_within
from checker.core.records import PROTOCOLS
from checker.core.resampling import MINIMUM_UNITS
from checker.core.statistics import Estimate
from checker.core.words import listed
from checker.judge.claims.backing import Backing, below, of_pair, of_pairs
from checker.judge.claims.decision import (
    MACHINE_TOLERANCE,
    Decision,
    Figures,
    claimed,
    effective,
    most,
    span,
    undecided,
)
from checker.judge.claims.kind import Kind
from checker.judge.figures.costs import error_rate
from checker.judge.figures.distances import value_row
from checker.judge.form import CounterexampleRow
from checker.spec.claims.redundancy import Redundancy

_NAMED = 5  # counterexamples that a message names; the report has them all
Pair = tuple[int, int]
Distances = Mapping[Pair, Estimate]


def _decide(figures: Figures, claim: Redundancy) -> Decision:
    """Decides a claim of redundancy: under its protocol, or where it names none, where both agree."""
    if claim.protocol is not None and claim.protocol not in PROTOCOLS:
        reason = f"{claim.protocol} gives no distance between two blocks; rest the claim on {' or '.join(PROTOCOLS)}"
        return Decision("open", f"{reason}; {_statement(claim)}", unit="nats", threshold=claim.below)
    protocols = PROTOCOLS if claim.protocol is None else (claim.protocol,)
    decisions = [
        _one_pair(figures, claim, claim.pair, protocol) if claim.pair else _every_pair(figures, claim, protocol)
        for protocol in protocols
    ]
    return decisions[0] if len(decisions) == 1 else _under_both(decisions)


def _pairs(figures: Figures, claim: Redundancy) -> tuple[Pair, ...]:
    """The pairs that a claim speaks of, measured or not."""
    if claim.pair is not None:
        return (claim.pair,)
    blocks = figures.costs.blocks
    return pairs_within(blocks, 1 if claim.pairs == "adjacent" else blocks - 1)


def _statement(claim: Redundancy) -> str:
    whose = {"adjacent": "every adjacent pair ", "all": "every pair "}.get(claim.pairs or "", "")
    return f"{claimed(claim)}: {whose}below {claim.below:g} nats"


def _one_pair(figures: Figures, claim: Redundancy, pair: Pair, protocol: str) -> Decision:
    backing = of_pair(figures.distances, protocol, pair, claim.below)
    distance, statement = backing.estimate, _statement(claim)
    if distance is None:
        return Decision("open", f"{backing.why}; {statement}", unit="nats", threshold=claim.below)
    figure = f"{distance.value:.4g} nats{span(distance.interval)}{effective(distance, 'prompts')}"
    message = f"{protocol} distance of blocks {pair[0]} and {pair[1]}: {figure}; {statement}"
    decision = Decision("open", message, distance.value, distance.interval, "nats", claim.below)
    answer = _answer(distance, claim)
    if answer != "open":
        return replace(decision, verdict="supported" if answer == "yes" else "contradicted")
    return figures.left_open(decision, distance, [claim.below], MINIMUM_UNITS, "prompts")


def _answer(distance: Estimate, claim: Redundancy) -> str:
    """Whether a distance lies below the claim's bound: on the value of this very text, else on the interval."""
    if claim.scope == "contract":
        return "yes" if distance.value < claim.below * (1 + MACHINE_TOLERANCE) else "no"
    return below(distance, claim.below)


def _under_both(decisions: Sequence[Decision]) -> Decision:
    """What both protocols say of a claim that names neither: decided only where they agree."""
    verdicts = {decision.verdict for decision in decisions}
    if len(verdicts) == 1:
        reason = "the claim names no protocol, and both give the same answer"
    elif "open" in verdicts:
        reason = "the claim names no protocol, and only one of the two decides it"
    else:
        reason = "the claim names no protocol, and the answer depends on it"
    messages = "; ".join(decision.message for decision in decisions)
    largest = max(decisions, key=lambda d: d.value if d.value is not None else -inf)
    return replace(
        largest,
        verdict=verdicts.pop() if len(verdicts) == 1 else "open",
        message=f"{reason}: {messages}",
        further_units=most(decision.further_units for decision in decisions if decision.verdict == "open"),
        counterexamples=tuple(row for decision in decisions for row in decision.counterexamples),
    )


def _every_pair(figures: Figures, claim: Redundancy, protocol: str) -> Decision:
    """Supported by all pairs together, contradicted by one; a pair that is not measured leaves the claim open."""
    backings = {pair: of_pair(figures.distances, protocol, pair, claim.below) for pair in _pairs(figures, claim)}
    known = {pair: backing.estimate for pair, backing in backings.items() if backing.estimate is not None}
    alone = {pair: distance for pair, distance in known.items() if _answer(distance, claim) == "no"}
    against = _jointly(figures, claim, known, alone)
    if against:
        result = f"{protocol} distance not below for {len(against)} of {len(known)} measured pairs: {_listed(against)}"
        rows: list[CounterexampleRow] = [
            {"protocol": protocol, "i": i, "j": j, **value_row(distance)} for (i, j), distance in against.items()
        ]
        return replace(_farthest(claim, against, result), verdict="contradicted", counterexamples=tuple(rows))
    if len(known) < len(backings):
        unknown = [backing.why for backing in backings.values() if backing.estimate is None]
        result = f"{protocol} distance not known for {len(unknown)} of {len(backings)} pairs ({unknown[0]})"
        return _farthest(claim, known, result)
    return _of_all(figures, claim, protocol, known, len(alone))


def _jointly(figures: Figures, claim: Redundancy, known: Distances, alone: Distances) -> Distances:
    """The counterexamples that are left once all pairs share one error rate (Holm); many pairs are many chances."""
    if claim.scope == "contract" or not alone:
        return alone
    beyond = {str(pair): statistics.p_beyond(distance, claim.below, "above") for pair, distance in known.items()}
    p_values = {name: 1.0 if p is None else p for name, p in beyond.items()}
    survives = statistics.holm(p_values, error_rate(figures.audit.statistics) / 2)
    return {pair: distance for pair, distance in alone.items() if survives[str(pair)]}


def _of_all(figures: Figures, claim: Redundancy, protocol: str, known: Distances, alone: int) -> Decision:
    """All pairs are measured and none is a counterexample; ``alone`` of them would be one if they stood alone."""
    unclear = {pair: distance for pair, distance in known.items() if _answer(distance, claim) != "yes"}
    if not unclear:
        farthest = _listed(dict([_by_distance(known)[0]]))
        result = f"{protocol} distance below for all {len(known)} pairs, the farthest {farthest}"
        return replace(_farthest(claim, known, result), verdict="supported")
    result = f"{protocol} distance not shown to be below for {len(unclear)} of {len(known)} pairs: {_listed(unclear)}"
    decision = _farthest(claim, unclear, result)
    if alone:
        note = f"; {alone} not below alone, but not once {len(known)} pairs share one error rate (Holm)"
        return replace(decision, message=decision.message + note)
    least_clear = _by_distance(unclear)[0][1]
    further = most(figures.further(distance, [claim.below], MINIMUM_UNITS) for distance in unclear.values())
    reason = undecided(least_clear, further, MINIMUM_UNITS, "prompts")
    return replace(decision, message=decision.message + reason, further_units=further)


def _farthest(claim: Redundancy, distances: Distances, result: str) -> Decision:
    """A decision that rests on the pair of the largest distance; the verdict is open."""
    decision = Decision("open", f"{result}; {_statement(claim)}", unit="nats", threshold=claim.below)
    if not distances:
        return decision
    distance = _by_distance(distances)[0][1]
    return replace(decision, value=distance.value, interval=distance.interval)


def _by_distance(distances: Distances) -> list[tuple[Pair, Estimate]]:
    """Largest first."""
    return sorted(distances.items(), key=lambda item: (-item[1].value, item[0]))


def _listed(distances: Distances) -> str:
    ordered = _by_distance(distances)
    return listed((f"{pair} {each.value:.4g} nats{span(each.interval)}" for pair, each in ordered), _NAMED)


def _backing(figures: Figures, claim: Redundancy, protocol: str) -> Backing:
    return of_pairs(figures.distances, protocol, _pairs(figures, claim), claim.below)


KIND = Kind(Redundancy, _decide, allowed=lambda _, claim: (None, claim.below), backing=_backing)
