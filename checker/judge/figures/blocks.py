"""Answers -> the report's figures about single blocks, and about the checkpoint as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from checker.core import rank_correlation, statistics
from checker.core.records import PROTOCOLS
from checker.core.statistics import Estimate
from checker.judge.figures.distances import Distances, pair_of, value_row
from checker.judge.figures.form import BlockRow, MetricRow, PredictionRow, RankRow, SharedRow
from checker.judge.figures.pairs import adjacent
from checker.judge.figures.regimes import MetricRegime, metric_regime, metric_sentence


def blocks(distances: Distances, single_costs: Mapping[int, Estimate]) -> list[BlockRow]:
    """One row per block: its deletion distance, the protocols' scores, and what deleting it alone costs."""
    return [_block(distances, block, single_costs.get(block)) for block in range(distances.problem.blocks)]


def _block(distances: Distances, block: int, cost: Estimate | None) -> BlockRow:
    deletion = distances.estimate("deletion", block) if "deletion" in distances.by_method else None
    return {
        "block": block,
        "deletion": deletion and deletion.value,
        "deletion_interval": deletion and pair_of(deletion.interval),
        "replacement_score": distances.scores.get("replacement", {}).get(block),
        "interchange_score": distances.scores.get("interchange", {}).get(block),
        "single_deletion_increase_percent": cost and cost.value,
        "interval": cost and pair_of(cost.interval),
        "excluded": block in distances.problem.geometry.exclude,
    }


def prediction(distances: Distances, single_costs: Mapping[int, Estimate]) -> list[PredictionRow]:
    """Per scoring method: does its block score go with the cost of deleting single blocks on this checkpoint?"""
    costs = {block: cost.value for block, cost in single_costs.items()}
    return [_prediction(distances, method, scores, costs) for method, scores in distances.scores.items()]


def _prediction(
    distances: Distances, method: str, scores: Mapping[int, float], costs: Mapping[int, float]
) -> PredictionRow:
    """Over the blocks that have both and are not excluded, in order of depth."""
    blocks = sorted((scores.keys() & costs.keys()) - set(distances.problem.geometry.exclude))
    x, y = ({block: table[block] for block in blocks} for table in (scores, costs))
    correlation = distances.correlation(x, y)
    shifted = correlation and rank_correlation.shifted_p(list(x.values()), list(y.values()))
    return {
        "method": method,
        "rank_correlation": correlation and correlation.value,
        "interval": correlation and pair_of(correlation.interval),
        "p": shifted and shifted[0],
        "smallest_p": shifted and shifted[1],
        "blocks": len(blocks),
    }


def metric(distances: Distances, overlap: list[SharedRow]) -> MetricRow:
    """The checkpoint's metric regime, over all adjacent pairs that are not excluded, whatever the budgets."""
    settings = distances.statistics
    replacement, interchange = (adjacent(distances, protocol) for protocol in PROTOCOLS)
    means = [
        None if matrix is None else statistics.geometric_mean(matrix, settings) for matrix in (replacement, interchange)
    ]
    ratio = None
    name: MetricRegime = "open"
    if replacement is not None and interchange is not None:
        ratio = statistics.ratio_of_geometric_means(interchange, replacement, settings)
        name = metric_regime(means[0], ratio, settings)
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
        "sentence": _no_regime(distances) or metric_sentence(name, settings),
    }


def _no_regime(distances: Distances) -> str | None:
    reason = distances.evidence.facts.model.nothing_comparable(1)
    return reason and f"There is no metric regime, which is of adjacent blocks: {reason}."


def _protocols_agree(distances: Distances) -> RankRow | None:
    """Rank correlation of the two protocols' block scores."""
    if any(protocol not in distances.scores for protocol in PROTOCOLS):
        return None
    correlation = distances.correlation(*(distances.scores[protocol] for protocol in PROTOCOLS))
    return correlation and {**value_row(correlation), "blocks": correlation.units}
