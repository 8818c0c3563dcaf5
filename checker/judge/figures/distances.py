"""Answers -> the report's figures about pairs and blocks: distances, classes, regimes, kinds, prediction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from checker.core import statistics
from checker.core.errors import EvidenceMissing
from checker.core.layouts import Geometry, Layout, pairs_within
from checker.core.questions import PORTIONS, Evidence, Ground, Values
from checker.core.statistics import Estimate
from checker.judge.figures.regimes import direction, distance_class, metric_regime, metric_sentence, pair_regime
from checker.selection.arms import scored_by, whole
from checker.selection.methods import METHODS, PROTOCOLS, replacement
from checker.selection.select import select

RESAMPLES = 100  # of the prompts, on which selections are repeated
Row = dict[str, Any]


@dataclass(frozen=True)
class Distances:
    """Per-prompt distances of every scoring method whose evidence is at hand, and what follows from them."""

    evidence: Evidence
    ground: Ground

    @cached_property
    def by_method(self) -> dict[str, dict[tuple[int, ...], Values]]:
        """Per scoring method, the distances [prompts] of its pairs or blocks; methods without evidence are left out.

        So are those whose evidence covers other prompts than the contract's: values are compared prompt by prompt.
        """
        read, found = self.evidence.facts.scoring, self._stored
        expected = [] if read is None else [read.prompts]
        return {name: table for name, table in found.items() if self.prompts.get(name, expected) == expected}

    @cached_property
    def prompts(self) -> dict[str, list[int]]:
        """Per scoring method whose distances are means over scoring prompts, the numbers of prompts behind them."""
        return {
            name: sorted({len(values) for values in table.values()})
            for name, table in self._stored.items()
            if table and METHODS[name].looks and METHODS[name].looks_at == "scoring" and not METHODS[name].pooled
        }

    @cached_property
    def _stored(self) -> dict[str, dict[tuple[int, ...], Values]]:
        found: dict[str, dict[tuple[int, ...], Values]] = {}
        for name in scored_by(self.evidence.audit):
            distances = METHODS[name].distances
            assert distances is not None
            with suppress(EvidenceMissing):
                found[name] = dict(distances(self.evidence, self.ground))
        return found

    @cached_property
    def scores(self) -> dict[str, dict[int, float]]:
        """Per scoring method, one score per block on all prompts."""
        return {
            name: self._scores(name, {key: whole(METHODS[name], values) for key, values in table.items()})
            for name, table in self.by_method.items()
        }

    def scores_on(self, method: str, portion: int) -> dict[int, float] | None:
        """A method's scores on one of PORTIONS of the prompts; None where it has none (too few prompts)."""
        table = self.by_method[method]
        if not table:
            return None
        if METHODS[method].pooled:
            if any(portion >= len(values) for values in table.values()):
                return None
            return self._scores(method, {key: float(values[portion]) for key, values in table.items()})
        prompts = len(next(iter(table.values())))
        start, end = (round(quarter * prompts / 4) for quarter in PORTIONS[portion])
        if start == end:
            return None
        return self._scores(method, {key: float(values[start:end].mean()) for key, values in table.items()})

    def estimate(self, method: str, key: tuple[int, ...]) -> Estimate:
        return statistics.distance(self.by_method[method][key], self.evidence.audit.statistics)

    def larger_replacement(self, i: int, j: int) -> Values:
        """The distances [prompts] of the direction with the larger mean, decided once on all prompts."""
        table = self.by_method["replacement"]
        forward, backward = table[i, j], table[j, i]
        return forward if direction(forward, backward) == "forward" else backward

    def selections(self, method: str, budget: int, geometry: Geometry, ties: str) -> dict[tuple[int, ...], float]:
        """How often each set is chosen on resampled prompts, shared evenly among the resolutions of ties.

        Empty for methods whose scores are not means over prompts.

        The weights add up to the share of resamples in which the budget is reached, at most 1.
        """
        question = (method, budget, geometry, ties)
        if question not in self._selected:
            self._selected[question] = self._select(method, budget, geometry, ties)
        return self._selected[question]

    def _select(self, method: str, budget: int, geometry: Geometry, ties: str) -> dict[tuple[int, ...], float]:
        chosen: dict[tuple[int, ...], float] = defaultdict(float)
        for scores in self._resampled(method):
            sets = select(scores, geometry, budget, ties).sets
            for layers in sets:
                chosen[layers] += 1.0 / (len(sets) * RESAMPLES)
        return {layers: round(share, 12) for layers, share in chosen.items()}

    @cached_property
    def _selected(self) -> dict[tuple[str, int, Geometry, str], dict[tuple[int, ...], float]]:
        return {}

    @cached_property
    def _resamples(self) -> dict[str, list[dict[int, float]]]:
        return {}

    def _resampled(self, method: str) -> list[dict[int, float]]:
        if method not in self._resamples:
            self._resamples[method] = self._resample(method)
        return self._resamples[method]

    def _resample(self, name: str) -> list[dict[int, float]]:
        table = self.by_method[name]
        if METHODS[name].pooled or not table:
            return []
        matrix = np.stack(list(table.values()))  # (keys, prompts)
        prompts = matrix.shape[1]
        generator = np.random.default_rng(self.evidence.audit.statistics.seed)
        weights = generator.multinomial(prompts, np.full(prompts, 1 / prompts), RESAMPLES) / prompts
        return [self._scores(name, dict(zip(table, means, strict=True))) for means in (weights @ matrix.T).tolist()]

    def _scores(self, name: str, means: Mapping[tuple[int, ...], float]) -> dict[int, float]:
        scores = METHODS[name].scores
        assert scores is not None
        return scores(means, self.ground)


# --- pairs -----------------------------------------------------------------------------------------------------------


def pairs(distances: Distances, reasons: Mapping[tuple[int, int], str]) -> list[Row]:
    """One row per pair within reach; ``reasons`` says why some are not comparable."""
    evidence = distances.evidence
    reach = pairs_within(distances.ground.blocks, evidence.audit.max_gap)
    return [_pair(distances, i, j, reasons.get((i, j))) for i, j in reach]


def _pair(distances: Distances, i: int, j: int, reason: str | None) -> Row:
    row: Row = {
        "i": i,
        "j": j,
        "gap": j - i,
        "comparable": reason is None,
        "reason": reason,
        "note": _slot_note(distances.evidence.facts.model.slot_kinds, i, j),
        "replacement": None,
        "interchange": None,
        "kl_ratio": None,
        "deletion": _deletion(distances, i, j),
        "regime": "not_comparable" if reason else "open",
        "in_noise": [],
        "worst_kind": None,
    }
    if reason is not None:
        return row
    settings = distances.evidence.audit.statistics
    by_method = distances.by_method
    if "replacement" in by_method:
        row["replacement"] = _replacement(distances, i, j)
    if "interchange" in by_method:
        swapped = distances.estimate("interchange", (i, j))
        row["interchange"] = {
            "distance": swapped.value,
            "interval": pair_of(swapped.interval),
            "class": distance_class(swapped.value, settings),
        }
    if row["replacement"] and row["interchange"]:
        larger = distances.larger_replacement(i, j)
        ratio = statistics.ratio(by_method["interchange"][i, j], larger, settings)
        row["kl_ratio"] = ratio and {"value": ratio.value, "interval": pair_of(ratio.interval)}
        row["regime"] = pair_regime(statistics.distance(larger, settings), ratio, settings)
    row["in_noise"] = in_noise(row, noise_floor(distances.evidence))
    row["worst_kind"] = _worst_kind(distances, i, j)
    return row


def _replacement(distances: Distances, i: int, j: int) -> Row:
    settings = distances.evidence.audit.statistics
    forward, backward = (float(distances.by_method["replacement"][key].mean()) for key in ((i, j), (j, i)))
    larger = statistics.distance(distances.larger_replacement(i, j), settings)
    return {
        "forward": forward,
        "backward": backward,
        "max": max(forward, backward),
        "mean": (forward + backward) / 2,
        "min": min(forward, backward),
        "interval": pair_of(larger.interval),
        "class": distance_class(larger.value, settings),
    }


def _deletion(distances: Distances, i: int, j: int) -> Row | None:
    table = distances.by_method.get("deletion")
    return None if table is None else {"i": float(table[i,].mean()), "j": float(table[j,].mean())}


def one_direction(distances: Distances) -> list[Row]:
    """The pairs of which only one direction of replacement is measured: i<-j, or j<-i."""
    if "replacement" not in scored_by(distances.evidence.audit):
        return []

    def known(block: int, other: int) -> bool:
        layout = replacement.layout(distances.ground.base, block, other)
        return distances.evidence.answer("scoring", "kl", layout) is not None

    return [
        {"i": i, "j": j, "measured": "forward" if known(i, j) else "backward"}
        for i, j in distances.ground.pairs
        if known(i, j) != known(j, i)
    ]


def measured_on(distances: Distances) -> list[Row]:
    """Per protocol whose distances are stored, what they were taken on."""
    audit = distances.evidence.audit
    return [
        {"protocol": name, "prompts": prompts, "positions": audit.scoring.positions, "dtype": audit.model.dtype}
        for name, prompts in distances.prompts.items()
        if name in PROTOCOLS
    ]


def _slot_note(kinds: Sequence[str], i: int, j: int) -> str | None:
    if not kinds or kinds[i] == kinds[j]:
        return None
    return f"slot {i} is {kinds[i]}, slot {j} is {kinds[j]}"


def classes(rows: Sequence[Row]) -> Row:
    """How many pairs lie in each class, per protocol, with the cumulative count below the conditional threshold."""
    counted: Row = {}
    for protocol in PROTOCOLS:
        names = Counter(row[protocol]["class"] for row in rows if row[protocol])
        counted[protocol] = (
            {name: names[name] for name in ("similar", "conditional", "distinct")}
            | {"below_conditional": names["similar"] + names["conditional"]}
            if names
            else None
        )
    return counted


def noise_floor(evidence: Evidence) -> Estimate | None:
    """KL between the float32 baseline and this dtype's, in nats; None in float32 (design, 3.1)."""
    values = evidence.answer("float32", "kl", Layout.base(evidence.facts.model.blocks))
    return None if values is None else statistics.distance(values, evidence.audit.statistics)


def in_noise(row: Row, floor: Estimate | None) -> list[str]:
    """The protocols whose distance is not clearly above the numerical floor: lower end against upper end."""
    if floor is None:
        return []
    bound = floor.interval[1] if floor.interval else floor.value
    values = {
        "replacement": row["replacement"] and row["replacement"]["max"],
        "interchange": row["interchange"] and row["interchange"]["distance"],
    }
    return [
        protocol
        for protocol, value in values.items()
        if value is not None and (row[protocol]["interval"] or [value])[0] <= bound
    ]


# --- kinds of prompts ------------------------------------------------------------------------------------------------


def _prompts_by_kind(distances: Distances) -> dict[str, list[int]]:
    scoring = distances.evidence.facts.scoring
    by_kind: dict[str, list[int]] = {}
    for prompt, kind in enumerate(scoring.kinds if scoring else ()):
        if kind:
            by_kind.setdefault(kind, []).append(prompt)
    return by_kind


def _worst_kind(distances: Distances, i: int, j: int) -> Row | None:
    by_kind = _prompts_by_kind(distances)
    if not by_kind:
        return None
    worst: Row = {"replacement": None, "interchange": None}
    for protocol in PROTOCOLS:
        if protocol in distances.by_method:
            values = (
                distances.larger_replacement(i, j) if protocol == "replacement" else distances.by_method[protocol][i, j]
            )
            means = {kind: float(values[prompts].mean()) for kind, prompts in by_kind.items()}
            kind = max(means, key=lambda kind: means[kind])
            worst[protocol] = {"kind": kind, "value": means[kind]}
    return worst


def kinds(distances: Distances) -> list[Row]:
    """Per kind of prompt, the geometric mean of each protocol's distance over the adjacent pairs that are compared."""
    rows = []
    for kind, prompts in _prompts_by_kind(distances).items():
        row: Row = {"kind": kind, "prompts": len(prompts), "replacement": None, "interchange": None}
        for protocol in PROTOCOLS:
            matrix = _adjacent(distances, protocol)
            means = [] if matrix is None else matrix[:, prompts].mean(axis=1)
            if len(means) and min(means) > 0:
                row[protocol] = float(np.exp(np.mean(np.log(means))))
        rows.append(row)
    return rows


# --- blocks and the checkpoint as a whole ----------------------------------------------------------------------------


def blocks(distances: Distances, single_costs: Mapping[int, Estimate]) -> list[Row]:
    """One row per block: its deletion distance, the protocols' scores, and what deleting it alone costs."""
    excluded = set(distances.ground.geometry.exclude)
    return [
        _block(distances, block, single_costs.get(block), block in excluded) for block in range(distances.ground.blocks)
    ]


def _block(distances: Distances, block: int, cost: Estimate | None, excluded: bool) -> Row:
    deletion = distances.estimate("deletion", (block,)) if "deletion" in distances.by_method else None
    return {
        "block": block,
        "deletion": deletion and deletion.value,
        "deletion_interval": deletion and pair_of(deletion.interval),
        "replacement_score": distances.scores.get("replacement", {}).get(block),
        "interchange_score": distances.scores.get("interchange", {}).get(block),
        "single_deletion_increase_percent": cost and cost.value,
        "interval": cost and pair_of(cost.interval),
        "excluded": excluded,
    }


def prediction(distances: Distances, single_costs: Mapping[int, Estimate]) -> list[Row]:
    """Per scoring method: does its block score go with the cost of deleting single blocks on this checkpoint?"""
    rows = []
    for method, scores in distances.scores.items():
        common = [block for block in scores if block in single_costs]
        row: Row = {"method": method, "rank_correlation": None, "interval": None, "blocks": len(common)}
        found = _correlation([scores[b] for b in common], [single_costs[b].value for b in common], distances)
        if found is not None:
            row |= {"rank_correlation": found.value, "interval": pair_of(found.interval)}
        rows.append(row)
    return rows


def _correlation(a: Sequence[float], b: Sequence[float], distances: Distances) -> Estimate | None:
    if len(a) < 4:
        return None
    return statistics.spearman(a, b, distances.evidence.audit.statistics.confidence)


def metric(distances: Distances, overlap: list[Row]) -> Row:
    """The checkpoint's metric regime, over all adjacent pairs that are not excluded, whatever the budgets."""
    settings = distances.evidence.audit.statistics
    replacement, interchange = (_adjacent(distances, protocol) for protocol in PROTOCOLS)
    means = [
        None if matrix is None else statistics.geometric_mean(matrix, settings) for matrix in (replacement, interchange)
    ]
    ratio = None
    if replacement is not None and interchange is not None:
        ratio = statistics.ratio_of_geometric_means(interchange, replacement, settings)
    name = metric_regime(means[0], ratio, settings) if interchange is not None else "open"
    if ratio is None and name == "high":
        name = "open"  # a ratio without a value (a distance of zero) rules out neither divergence nor its reverse
    return {
        "name": name,
        "ratio": ratio and ratio.value,
        "interval": ratio and pair_of(ratio.interval),
        "replacement_mean": means[0] and means[0].value,
        "interchange_mean": means[1] and means[1].value,
        "pairs": 0 if replacement is None else len(replacement),
        "rank_correlation": _protocols_agree(distances),
        "overlap": overlap,
        "sentence": metric_sentence(name, settings),
    }


def _adjacent(distances: Distances, protocol: str) -> Values | None:
    """Distances [pairs, prompts] of the adjacent, comparable pairs of which neither block is excluded."""
    if protocol not in distances.by_method:
        return None
    excluded = set(distances.ground.geometry.exclude)
    adjacent = [(i, j) for i, j in distances.ground.pairs if j - i == 1 and not {i, j} & excluded]
    rows = [
        distances.larger_replacement(i, j) if protocol == "replacement" else distances.by_method[protocol][i, j]
        for i, j in adjacent
    ]
    return np.stack(rows) if rows else None


def _protocols_agree(distances: Distances) -> Row | None:
    """Rank correlation of the two protocols' block scores."""
    if any(protocol not in distances.scores for protocol in PROTOCOLS):
        return None
    one, other = (distances.scores[protocol] for protocol in PROTOCOLS)
    common = sorted(one.keys() & other.keys())
    found = _correlation([one[b] for b in common], [other[b] for b in common], distances)
    if found is None:
        return None
    return {"value": found.value, "interval": pair_of(found.interval), "blocks": len(common)}


def pair_of(interval: tuple[float, float] | None) -> list[float] | None:
    """An interval as the report writes it."""
    return None if interval is None else [float(interval[0]), float(interval[1])]
