"""What a sample report says of methods beside each other, and a sample with every published method in it.

Scores, ranks and costs follow from one made-up strength per block, so that they fit each other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import combinations
from typing import Any

Report = dict[str, Any]
Scores = dict[str, list[float | None]]

SCORED = {
    "interchange": 'Garcia 2026, "No Free Swap", arXiv 2605.16234',
    "replacement": 'Garcia 2026, "No Free Swap", arXiv 2605.16234',
    "deletion": "single-block ablation, scored by KL divergence",
    "averaging": 'Garcia 2026, "No Free Swap", arXiv 2605.16234, the averaging protocol',
    "block_influence": 'Men et al. 2024, "ShortGPT", arXiv 2403.03853, equation 1',
    "angular_distance": "Gromov et al. 2024, arXiv 2403.17887, equation 7",
    "deepest": "Gromov et al. 2024, arXiv 2403.17887, section 4.4",
    "cka": "Kornblith et al. 2019, arXiv 1905.00414, equation 5",
    "deletion_loss": "the first pass of Song et al. 2024, SLEB, arXiv 2402.09025, algorithm 1",
    "taylor": "Molchanov et al. 2019, arXiv 1906.10771, first-order form, summed over a block",
}
OTHERS = ("sleb", "laco", "beam", "exhaustive", "worst_first")
NATIVE = ("angular_distance", "deepest", "sleb", "laco")
FAITHFUL = {"interchange": 0.9, "replacement": 0.35, "deletion": 0.08, "averaging": 0.7, "block_influence": 0.5}
FAITHFUL |= {"angular_distance": 0.6, "cka": 1.2, "deletion_loss": 0.05, "taylor": 0.45, "deepest": 9.0}


def strengths(blocks: int) -> list[float]:
    """What deleting each block costs, in nats per token: the first and the last ones most."""
    found = []
    for block in range(blocks):
        where = block / max(1, blocks - 1)
        edge = 2.6 * math.exp(-11 * where) + 0.7 * math.exp(-13 * (1 - where))
        found.append(0.09 + edge + 0.05 * math.sin(2.3 * block) ** 2)
    return found


def score_lists(methods: Sequence[str], blocks: int) -> Scores:
    """Per scoring method, scores that follow the blocks' strengths with the method's own error."""
    noise, strong, found = random.Random(blocks), strengths(blocks), {}
    for method in methods:
        error = FAITHFUL[method]
        scores: list[float | None] = [value * math.exp(noise.gauss(0, error)) for value in strong]
        if method == "deepest":
            scores = [float(blocks - block) for block in range(blocks)]
            scores[-1] = None
        found[method] = scores
    return found


def scores(lists: Scores) -> list[Report]:
    return [
        {"method": method, "source": SCORED[method], "values": values,
         "resolution": 2.0**-23 if method == "cka" else None}
        for method, values in lists.items()
    ]  # fmt: skip


def agreement(lists: Scores) -> list[Report]:
    rows = []
    for a, b in combinations(lists, 2):
        common = [(x, y) for x, y in zip(lists[a], lists[b], strict=True) if x is not None and y is not None]
        row = {"a": a, "b": b, "blocks": len(common), "spearman": None, "kendall": None}
        if len(common) >= 5:
            row |= {"spearman": rank(spearman(common), len(common)), "kendall": rank(kendall(common), len(common))}
        rows.append(row)
    return rows


def prediction(lists: Scores) -> list[Report]:
    """Whether each method's scores go with what deleting single blocks costs."""
    rows = []
    for method, values in lists.items():
        pairs = list(zip(values, strengths(len(values)), strict=True))
        known = [(value, strong) for value, strong in pairs if value is not None]
        found = rank(spearman(known), len(known))
        shifts = {"p": 0.5 / len(known), "smallest_p": 0.5 / len(known), "blocks": len(known)}
        rows.append({"method": method, "rank_correlation": found.pop("value"), **found, **shifts})
    return rows


def spearman(found: Sequence[tuple[float, float]]) -> float:
    """Of lists without ties."""
    ranks = [[sorted(side).index(value) for value in side] for side in zip(*found, strict=True)]
    n = len(found)
    return 1 - 6 * sum((x - y) ** 2 for x, y in zip(*ranks, strict=True)) / (n * (n * n - 1))


def kendall(found: Sequence[tuple[float, float]]) -> float:
    """Of lists without ties."""
    signs = [math.copysign(1, (a[0] - b[0]) * (a[1] - b[1])) for a, b in combinations(found, 2)]
    return sum(signs) / len(signs)


def rank(value: float, units: int) -> Report:
    middle, half = math.atanh(max(-0.995, min(0.995, value))), 1.96 / math.sqrt(max(1, units - 3))
    return {"value": value, "interval": [math.tanh(middle - half), math.tanh(middle + half)] if units >= 8 else None}


def differences(arms: Sequence[Report]) -> list[Report]:
    """Of every two methods' arms under the same constraints, from what they cost."""
    groups: dict[tuple[Any, ...], dict[str, list[float]]] = {}
    for arm in arms:
        if not arm["draw"]:
            group = groups.setdefault((arm["budget"], arm["form"], arm["selection"]), {})
            group.setdefault(arm["method"], []).append(math.log1p(arm["increase_percent"] / 100))
    rows = []
    for (budget, form, selection), group in groups.items():
        for a, b in combinations(group, 2):
            above = sum(group[a]) / len(group[a]) - sum(group[b]) / len(group[b])
            half = 0.02 + 0.2 * abs(above)
            rows.append(
                {"a": a, "b": b, "budget": budget, "form": form, "selection": selection, "difference": above,
                 "interval": [above - half, above + half]}
            )  # fmt: skip
    return rows


def stability(methods: Sequence[str], budgets: Sequence[int], blocks: int) -> list[Report]:
    """Each scoring method on its prompts' portions: the more faithful, the steadier."""
    rows = []
    for place, method in enumerate(methods):
        loose = min(1.0, FAITHFUL[method])
        pooled = method in ("cka", "taylor")
        portions = [
            {
                "from_quarter": start,
                "to_quarter": end,
                "rank_correlation": rank(1 - 0.35 * loose / (end - start), blocks) if blocks >= 4 else None,
                "overlap": [
                    {"budget": budget, "shared": max(0, budget - round(1.6 * loose / (end - start))), "of": budget}
                    for budget in budgets
                ],
            }
            for start, end in ((0, 3), (0, 2), (2, 4), (0, 1))
            if not (pooled and end - start < 2)
        ]
        further = [None if pooled else max(0, round(60 * loose * ((place + budget) % 3) - 3)) for budget in budgets]
        prompts = [{"budget": b, "prompts": f} for b, f in zip(budgets, further, strict=True)]
        halves = rank(1 - 0.5 * loose, blocks)
        rows.append({"method": method, "halves": halves, "portions": portions, "further_prompts": prompts})
    return rows


# --- every method, at every budget, in both forms, under two selections ----------------------------------------------


def sets(lists: Scores, method: str, budget: int, spacing: int) -> list[list[int]]:
    """What a method removes: the blocks with the lowest scores, apart from each other; several sets where it ties."""
    strong = strengths(len(lists["deletion"]))
    like: Any = lists.get(method, strong)
    order = sorted((value if method != "worst_first" else -value, block) for block, value in enumerate(like)
                   if value is not None)  # fmt: skip
    chosen: list[int] = []
    for _, block in order:
        if len(chosen) < budget and all(abs(block - other) > spacing for other in chosen):
            chosen.append(block)
    found = [sorted(chosen)]
    if method in ("interchange", "averaging"):  # the last one ties with its neighbour
        swapped = sorted([*chosen[:-1], chosen[-1] + 1 if chosen[-1] + 1 < len(strong) else chosen[-1] - 1])
        found += [swapped] if len(set(swapped)) == budget else []
    return found


def cost(layers: Sequence[int], blocks: int) -> float:
    """Perplexity increase in percent: the strengths added up, and more for neighbours."""
    strong = strengths(blocks)
    close = sum(b - a == 1 for a, b in combinations(sorted(layers), 2))
    return 100 * math.expm1(sum(strong[layer] for layer in layers) + 0.06 * close + 0.015 * len(layers) ** 2)


def merged(layers: Sequence[int], blocks: int) -> str:
    """A layout in which every removed block is merged into the one before the first of them."""
    into = max(0, layers[0] - 1)
    weights = ",".join([f"{into}:{1 - len(layers)}", *(f"{layer}:1" for layer in layers)])
    kept = [f"mix({weights})@{slot}" if slot == into else str(slot) for slot in range(blocks) if slot not in layers]
    return f"({','.join(kept)})"
