"""A sample report with every published method in it: at every budget, in both forms, under two selections."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import reports_facts as facts
import reports_methods as methods
import reports_sample as samples
from reports_sample import Report


def every_method(blocks: int = 30, budgets: Sequence[int] = (1, 2, 3, 5), draws: int = 39) -> Report:
    """A report in which fifteen methods and a random control run matched under two selections, and some native."""
    report = samples.sample(blocks, 1, budgets, draws)
    report["title"] = "SmolLM2-135M, every published way of choosing layers"
    digests = {key: facts.digest(f"selection {key}") for key in ("digest", "text_digest", "tokens_digest")}
    report["contracts"]["selection"] = facts.scoring() | digests | {"text": "selection.txt", "kinds": {}}
    report["thresholds"]["selection"] = "spaced"
    lists = methods.score_lists(tuple(methods.SCORED), blocks)
    names = (*methods.SCORED, *methods.OTHERS)
    arms = [arm for spacing in (1, 0) for arm in _matched(names, lists, budgets, spacing, draws)]
    arms += [
        _native(name, start, budget, blocks) for start, name in enumerate(methods.NATIVE, 14) for budget in budgets
    ]
    report["prediction"] = methods.prediction(lists)
    controls = [samples.control(arms, budget, draws, name) for budget in budgets for name in ("spaced", "free")]
    report |= {"arms": arms, "ranges": samples.ranges(arms), "random": controls}
    return samples.rounded(report | samples.beside(tuple(methods.SCORED), blocks, budgets, arms))


def _matched(
    names: Sequence[str], lists: methods.Scores, budgets: Sequence[int], spacing: int, draws: int
) -> list[Report]:
    blocks, selection, arms = len(lists["deletion"]), "spaced" if spacing else "free", []
    noise = random.Random(spacing)
    calls = {"sleb": 140, "beam": 412, "exhaustive": 3276, "laco": 88, "deepest": 0, "block_influence": 1}
    for name in names:
        for budget in budgets:
            found = methods.sets(lists, name, budget, spacing)
            for tie, layers in enumerate(found if name != "exhaustive" or budget < 4 else []):
                more = {"tie": tie, "ties": len(found), "spacing": spacing, "selection": selection}
                more |= {"calls": calls.get(name, blocks), "p": 1 / (draws + 1), "smallest_p": 1 / (draws + 1)}
                more |= {"merged": methods.merged(layers, blocks) if name == "laco" else None, "draws": draws}
                arms.append(samples.arm(name, layers, methods.cost(layers, blocks) * noise.uniform(1, 1.05), **more))
    for budget in budgets:
        for draw in range(draws):
            layers = sorted(noise.sample(range(blocks), budget))
            more = {"tie": draw, "ties": draws, "draw": True, "stability": None, "selected_on": "", "calls": 0}
            more |= {"selection": selection, "spacing": spacing, "kl": None, "top1_agreement": None}
            arms.append(samples.arm("random", layers, methods.cost(layers, blocks), **more))
    best = {arm["budget"]: arm["increase_percent"] for arm in arms if arm["method"] == "exhaustive"}
    for arm in arms:
        if arm["budget"] in best and not arm["draw"]:
            above = math.log1p(arm["increase_percent"] / 100) - math.log1p(best[arm["budget"]] / 100)
            half = 0.3 * abs(above)
            arm["regret"] = {"value": above, "interval": [above - half, above + half]}
    return arms


def _native(name: str, start: int, budget: int, blocks: int) -> Report:
    layers = [block % blocks for block in range(start, start + budget)]
    more = {"form": "native", "selection": "native", "spacing": None, "stability": None}
    more |= {"merged": methods.merged(sorted(layers), blocks) if name == "laco" else None}
    return samples.arm(name, sorted(layers), methods.cost(layers, blocks), **more)
