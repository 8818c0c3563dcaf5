"""Which protocol backs a claim: whether it admits and predicts a removal, and how often it would have chosen it.

Design, 3.5. Backing stands beside a verdict and never changes it: a removal claim is decided by its measured cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from checker.core import statistics
from checker.core.questions import Values
from checker.core.statistics import Estimate
from checker.core.words import enumerated
from checker.judge.figures.distances import Distances, value_row
from checker.judge.figures.form import PredictionRow
from checker.judge.form import Answer, BackingRow, ClaimRow, SelectsRow, row_of
from checker.selection.select import select

PREDICTING_P = 0.05  # at most, of scores that are said to predict


@dataclass(frozen=True)
class Backing:
    """What one protocol says of one claim."""

    backs: Answer
    why: str
    admits: Answer = "na"
    predicts: Answer = "na"
    selects: SelectsRow | None = None
    estimate: Estimate | None = None
    threshold: float | None = None

    def row(self) -> BackingRow:
        figure = value_row(self.estimate) if self.estimate else {"value": None, "interval": None}
        return row_of(BackingRow, self, **figure)


def of_named(claim: ClaimRow) -> tuple[Answer, str]:
    """Whether the protocol that a claim names backs it, and why; na where it names none, or none could back it."""
    protocol, readings = claim["protocol"], claim["protocols"]
    if protocol is None or all(reading["backs"] == "na" for reading in readings.values()):
        return "na", ""
    for name, reading in readings.items():
        if name == protocol:
            return reading["backs"], reading["why"]
    return "open", f"only {enumerated(readings)} are held against claims"


def of_pair(distances: Distances, protocol: str, pair: tuple[int, int], bound: float) -> Backing:
    """Backs where the protocol's distance lies below the bound at its upper end; not where the lower end does not."""
    i, j = min(pair), max(pair)
    reason = _unmeasured(distances, protocol, i, j)
    if reason:
        return Backing("open", reason, threshold=bound)
    distance = distances.estimate(protocol, i, j)
    answer = below(distance, bound)
    side = {
        "yes": "below the bound at its upper end",
        "no": "not below the bound even at its lower end",
        "open": "its interval does not decide",
    }[answer]
    why = f"{protocol} distance {distance.value:.3g} nats: {side}"
    return Backing(answer, why, estimate=distance, threshold=bound)


def of_pairs(distances: Distances, protocol: str, pairs: Sequence[tuple[int, int]], bound: float) -> Backing:
    """Backs where the protocol's distance lies below the bound for every one of the pairs; not where one does not."""
    backings = [of_pair(distances, protocol, pair, bound) for pair in pairs]
    if len(backings) == 1:
        return backings[0]
    answer = _all([backing.backs for backing in backings])
    decisive = [backing for backing in backings if backing.backs == answer]
    share = f"{len(decisive)} of" if len(decisive) < len(backings) else "all"
    farthest = max(decisive, key=lambda backing: backing.estimate.value if backing.estimate else -inf)
    return replace(farthest, why=f"so for {share} {len(backings)} pairs: {farthest.why}")


def _unmeasured(distances: Distances, protocol: str, i: int, j: int) -> str:
    """Why there is no distance of a pair; empty where there is one."""
    shapes = distances.evidence.facts.model.block_shapes
    if shapes[i] != shapes[j]:
        return f"blocks {i} and {j} are not comparable: their parameters differ in name or shape"
    if (i, j) not in distances.problem.pairs:
        reach = f"only pairs up to {distances.evidence.audit.max_gap} apart are measured"
        return f"blocks {i} and {j} are {j - i} apart, and {reach}; raise pairs.max_gap"
    return "" if protocol in distances.by_method else f"the {protocol} distance of blocks {i} and {j} is not measured"


def below(distance: Estimate, bound: float) -> Answer:
    """Whether a distance lies below a bound, on its interval; open without one."""
    if distance.interval is None:
        return "open"
    if distance.interval[1] < bound:
        return "yes"
    return "no" if distance.interval[0] >= bound else "open"


def of_removal(
    distances: Distances, prediction: Sequence[PredictionRow], protocol: str, sets: Sequence[tuple[int, ...]]
) -> Backing:
    """Backs where the protocol admits and predicts; with several tie resolutions, where it does so for all of them."""
    bound = distances.evidence.audit.statistics.conditional
    if protocol not in distances.by_method:
        return Backing("open", f"{protocol} is not measured", threshold=bound)
    admissions = [_admits(distances, protocol, layers, bound) for layers in sets]
    admits = _all([admission.backs for admission in admissions])
    decisive = next(admission for admission in admissions if admission.backs == admits)
    predicts, reason = _predicts(prediction, protocol)
    selects, why = _selects(distances, protocol, sets), f"{decisive.why}; {reason}"
    return Backing(_all([admits, predicts]), why, admits, predicts, selects, decisive.estimate, bound)


def _all(answers: Sequence[Answer]) -> Answer:
    if "no" in answers:
        return "no"
    return "open" if "open" in answers else "yes"


def _admits(distances: Distances, protocol: str, layers: Sequence[int], bound: float) -> Backing:
    """Whether every removed block has a partner that stays, below the bound; with the distance that decides."""
    admissions = [_admits_block(distances, protocol, block, layers, bound) for block in layers]
    answer = _all([admission.backs for admission in admissions])
    if answer == "yes":
        farthest = max(admissions, key=lambda admission: admission.estimate.value if admission.estimate else 0.0)
        return replace(farthest, why=f"every removed block is {_word(protocol)} below {bound:g} nats")
    return next(admission for admission in admissions if admission.backs == answer)


def _admits_block(distances: Distances, protocol: str, block: int, layers: Sequence[int], bound: float) -> Backing:
    if not any(True for _ in distances.problem.partners(block)):
        reach = distances.evidence.audit.max_gap
        return Backing("open", f"block {block} has no comparable partner up to {reach} apart")
    staying = [partner for partner in distances.problem.partners(block) if partner not in layers]
    if not staying:
        return Backing("open", f"block {block} has no measured partner that stays")
    estimates = [_distance_into(distances, protocol, block, partner) for partner in staying]
    nearest = min(estimates, key=lambda estimate: estimate.interval[1] if estimate.interval else estimate.value)
    # A block is refused only where every partner that stays is refused.
    refused = all(below(estimate, bound) == "no" for estimate in estimates)
    answer: Answer = "no" if refused else below(nearest, bound)
    whether = {"no": "is not", "yes": "is", "open": "may or may not be"}[answer]
    return Backing(answer, f"block {block} {whether} {_word(protocol)} below {bound:g} nats", estimate=nearest)


def _word(protocol: str) -> str:
    return "replaceable" if protocol == "replacement" else "reorderable"


def _predicts(prediction: Sequence[PredictionRow], protocol: str) -> tuple[Answer, str]:
    """Whether the protocol's block scores go with the cost of deleting single blocks on this checkpoint."""
    row = next((row for row in prediction if row["method"] == protocol), None)
    answer = predicts(row)
    if row is None or row["p"] is None:
        return answer, "whether its scores predict removal cost here is not known"
    sentence = {
        "yes": "its scores predict removal cost here",
        "no": "its scores do not predict removal cost here",
        "open": "it is not shown that its scores predict removal cost here",
    }[answer]
    return answer, f"{sentence} ({prediction_figure(row)})"


def predicts(row: PredictionRow | None) -> Answer:
    """Yes where the p reaches 0.05 (design, 3.5), no where the scores do not even rise with the cost."""
    if row is None or row["p"] is None or row["rank_correlation"] is None or (row["smallest_p"] or 0.0) > PREDICTING_P:
        return "open"
    return "yes" if row["p"] <= PREDICTING_P else "no" if row["rank_correlation"] <= 0 else "open"


def prediction_figure(row: PredictionRow) -> str:
    """The rank correlation of a method's scores with the costs of single deletions, in words."""
    value = row["rank_correlation"]
    assert value is not None
    assert row["p"] is not None
    interval = f" [{row['interval'][0]:.2f}, {row['interval'][1]:.2f}]" if row["interval"] else ""
    return (
        f"rank correlation with single-deletion cost {value:.2f}{interval} over {row['blocks']} blocks, "
        f"p = {row['p']:.2g} over their shifts in depth"
    )


def _selects(distances: Distances, protocol: str, sets: Sequence[tuple[int, ...]]) -> SelectsRow:
    """How often the protocol would have chosen this very set: provenance, not support."""
    ties = distances.evidence.audit.selection.ties
    geometry, budget = distances.problem.geometry, len(sets[0])
    resolutions = select(distances.scores[protocol], geometry, budget, ties).sets
    resampled = distances.selections(protocol, budget, geometry, ties)
    order = sorted(resampled, key=lambda layers: (-resampled[layers], layers))
    return {
        "share_of_ties": sum(layers in sets for layers in resolutions) / len(resolutions) if resolutions else None,
        "share_of_resamples": min(1.0, sum(resampled.get(layers, 0.0) for layers in set(sets))),
        "rank": next((rank for rank, layers in enumerate(order, 1) if layers in sets), None),
        "of": len(order) or None,
    }


def _distance_into(distances: Distances, protocol: str, block: int, partner: int) -> Estimate:
    """The protocol's distance for letting ``partner`` do ``block``'s work: directed as the audit scores replacement."""
    if protocol != "replacement" or distances.problem.direction == "max":
        return distances.estimate(protocol, min(block, partner), max(block, partner))
    table = distances.by_method[protocol]
    into: Values = table[block, partner]
    values = into if distances.problem.direction == "into" else (into + table[partner, block]) / 2
    return statistics.distance(values, distances.statistics)
