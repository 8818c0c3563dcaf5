"""Answers -> the report's figures about pairs: distances, ratios, classes, kinds of prompts, numerical noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from checker.core import statistics
from checker.core.facts import ModelFacts
from checker.core.layouts import Layout, pairs_within
from checker.core.questions import Evidence, Values
from checker.core.records import PROTOCOLS
from checker.core.slots import difference, of_slot, says_kind, shown
from checker.core.statistics import Estimate
from checker.judge.figures.distances import Distances, pair_of, value_row
from checker.judge.figures.form import (
    ClassCountRow,
    ClassesRow,
    InterchangeRow,
    KindRow,
    PairDeletionRow,
    PairRow,
    ReplacementRow,
    WorstKindRow,
    distance_of,
)
from checker.judge.figures.regimes import distance_class, pair_regime


def pairs(distances: Distances, reasons: Mapping[tuple[int, int], str]) -> list[PairRow]:
    """One row per pair within reach; ``reasons`` says why some are not comparable."""
    reach = pairs_within(distances.problem.blocks, distances.evidence.audit.max_gap)
    return [_pair(distances, i, j, reasons.get((i, j))) for i, j in reach]


def _pair(distances: Distances, i: int, j: int, reason: str | None) -> PairRow:
    row: PairRow = {
        "i": i,
        "j": j,
        "gap": j - i,
        "comparable": reason is None,
        "reason": reason,
        "note": _slot_note(distances.evidence.facts.model, i, j),
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
    settings, by_method = distances.statistics, distances.by_method
    if "replacement" in by_method:
        row["replacement"] = _replacement(distances, i, j)
    if "interchange" in by_method:
        swapped = distances.estimate("interchange", i, j)
        row["interchange"] = {
            "distance": swapped.value,
            "interval": pair_of(swapped.interval),
            "class": distance_class(swapped.value, settings),
        }
    if row["replacement"] and row["interchange"]:
        larger = distances.values("replacement", i, j)
        ratio = statistics.ratio(by_method["interchange"][i, j], larger, settings)
        row["kl_ratio"] = ratio and value_row(ratio)
        row["regime"] = pair_regime(statistics.distance(larger, settings), ratio, settings)
    row["in_noise"] = in_noise(row, noise_floor(distances.evidence))
    row["worst_kind"] = _worst_kind(distances, i, j)
    return row


def _replacement(distances: Distances, i: int, j: int) -> ReplacementRow:
    forward, backward = (float(distances.by_method["replacement"][key].mean()) for key in ((i, j), (j, i)))
    larger = distances.estimate("replacement", i, j)
    return {
        "forward": forward,
        "backward": backward,
        "max": max(forward, backward),
        "mean": (forward + backward) / 2,
        "min": min(forward, backward),
        "interval": pair_of(larger.interval),
        "class": distance_class(larger.value, distances.evidence.audit.statistics),
    }


def _deletion(distances: Distances, i: int, j: int) -> PairDeletionRow | None:
    table = distances.by_method.get("deletion")
    return None if table is None else {"i": float(table[i,].mean()), "j": float(table[j,].mean())}


def _slot_note(model: ModelFacts, i: int, j: int) -> str | None:
    """By what the slots of a pair differ; as config.json lists their kinds, where nothing else is known of them."""
    if model.marks is not None:
        one, other = of_slot(model.marks, i), of_slot(model.marks, j)
        if (name := difference(one, other)) is None:
            return None
        is_or_has = "is" if says_kind(name) else f"has {name}"
        return f"slot {i} {is_or_has} {shown(one, name)}, slot {j} {is_or_has} {shown(other, name)}"
    kinds = model.slot_kinds
    if not kinds or kinds[i] == kinds[j]:
        return None
    return f"slot {i} is {kinds[i]}, slot {j} is {kinds[j]}"


def classes(rows: Sequence[PairRow]) -> ClassesRow:
    """How many pairs lie in each class, per protocol, with the cumulative count below the conditional threshold."""
    return {
        "replacement": _counted(row["replacement"] for row in rows),
        "interchange": _counted(row["interchange"] for row in rows),
    }


def _counted(distances: Iterable[ReplacementRow | InterchangeRow | None]) -> ClassCountRow | None:
    names = Counter(distance["class"] for distance in distances if distance)
    if not names:
        return None
    return {
        "similar": names["similar"],
        "conditional": names["conditional"],
        "distinct": names["distinct"],
        "below_conditional": names["similar"] + names["conditional"],
    }


def noise_floor(evidence: Evidence) -> Estimate | None:
    """KL between the float32 baseline and this dtype's, in nats; of a step in float32, that of another batch size.

    None of any other model in float32 (design, 3.1 and 3.8).
    """
    if evidence.audit.model.dtype == "float32" and evidence.audit.model.step is None:
        return None
    values = evidence.answer("float32", "kl", Layout.base(evidence.facts.model.blocks))
    return None if values is None else statistics.distance(values, evidence.of_prompts)


def in_noise(row: PairRow, floor: Estimate | None) -> list[str]:
    """The protocols whose distance is not clearly above the numerical floor: lower end against upper end."""
    if floor is None:
        return []
    bound = floor.interval[1] if floor.interval else floor.value
    measured = {protocol: distance for protocol in PROTOCOLS if (distance := distance_of(row, protocol))}
    return [name for name, distance in measured.items() if (distance["interval"] or [distance["value"]])[0] <= bound]


def _prompts_by_kind(distances: Distances) -> dict[str, list[int]]:
    scoring = distances.evidence.facts.scoring
    by_kind: dict[str, list[int]] = {}
    for prompt, kind in enumerate(scoring.kinds if scoring else ()):
        if kind:
            by_kind.setdefault(kind, []).append(prompt)
    return by_kind


def _worst_kind(distances: Distances, i: int, j: int) -> WorstKindRow | None:
    by_kind = _prompts_by_kind(distances)
    if not by_kind:
        return None
    worst: WorstKindRow = {"replacement": None, "interchange": None}
    for protocol in PROTOCOLS:
        if protocol in distances.by_method:
            values = distances.values(protocol, i, j)
            means = {kind: float(values[prompts].mean()) for kind, prompts in by_kind.items()}
            kind = max(means, key=lambda kind: means[kind])
            worst[protocol] = {"kind": kind, "value": means[kind]}
    return worst


def kinds(distances: Distances) -> list[KindRow]:
    """Per kind of prompt, the geometric mean of each protocol's distance over the adjacent pairs that are compared."""
    rows = []
    matrices = {protocol: matrix for protocol in PROTOCOLS if (matrix := adjacent(distances, protocol)) is not None}
    for kind, prompts in _prompts_by_kind(distances).items():
        row: KindRow = {"kind": kind, "prompts": len(prompts), "replacement": None, "interchange": None}
        for protocol, matrix in matrices.items():
            means = matrix[:, prompts].mean(axis=1)
            if min(means) > 0:
                row[protocol] = float(np.exp(np.mean(np.log(means))))
        rows.append(row)
    return rows


def adjacent(distances: Distances, protocol: str) -> Values | None:
    """Distances [pairs, prompts] of the adjacent, comparable pairs of which neither block is excluded."""
    if protocol not in distances.by_method:
        return None
    excluded = set(distances.problem.geometry.exclude)
    rows = [
        distances.values(protocol, i, j) for i, j in distances.problem.pairs if j - i == 1 and not {i, j} & excluded
    ]
    return np.stack(rows) if rows else None
