"""Sample reports whose figures look like measurements; made by arithmetic, so they are the same everywhere."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import reports_facts as facts
import reports_methods as methods
from evidence_sample import with_series

Report = dict[str, Any]


def sample(blocks: int = 30, max_gap: int = 1, budgets: Sequence[int] = (1, 3, 5), draws: int = 19) -> Report:
    """A report with every section filled: three claims, three protocols, random draws at the middle budget."""
    noise = random.Random(blocks * 100 + max_gap)
    pairs = [_pair(i, j, blocks, noise) for i in range(blocks) for j in range(i + 1, min(blocks, i + max_gap + 1))]
    arms = _arms(blocks, budgets, draws, noise)
    report = {
        "format": "pruneaudit/report/1",
        "title": f"SmolLM2-135M, which of its {blocks} layers can go?",
        "outcome": "fail",
        "summary": "Fail: 1 of 3 claims is contradicted, 1 is open, 1 is supported; 1 of 3 claims is not backed by the "
        "protocol it names; the two tests of redundancy diverge on this checkpoint; 2 findings failed and 1 open.",
        "audit": {"name": "smollm2-135m", "file": "smollm2-135m.yaml", "digest": facts.digest("audit")},
        "overrides": [{"key": "data.scoring.prompts", "value": "16"}],
        "tool": {"name": "pruneaudit", "version": "0.1.0", "measuring_code": "1"},
        "environment": facts.environment(),
        "model": facts.model(blocks),
        "contracts": {"scoring": facts.scoring(), "evaluation": facts.evaluation()},
        "protocols": ["replacement", "interchange", "deletion"],
        "direction": "into",
        "thresholds": facts.thresholds(),
        "begin_token": {"without": 31.42, "with": 29.87, "window_tokens": 128},
        "noise_floor": None,
        "pairs": pairs,
        "classes": {"replacement": _classes(pairs, "replacement"), "interchange": _classes(pairs, "interchange")},
        "kinds": [_kind(name, noise) for name in facts.KINDS],
        "blocks": [_block(block, blocks, noise) for block in range(blocks)],
        "prediction": _prediction(blocks),
        "regime": _regime(blocks, budgets),
        "baseline": {
            "perplexity": 29.87,
            "interval": [25.31, 35.25],
            "windows": 21,
            "tokens": 1389,
            "effective_windows": 15.3,
            "nll_per_token": 3.3968,
            "bits_per_byte": 1.1325,
        },
        "arms": arms,
        "ranges": ranges(arms),
        "random": [control(arms, budgets[len(budgets) // 2], draws)],
        **beside(tuple(methods.SCORED)[:3], blocks, budgets, arms),
        "claims": facts.claims(),
        "released": facts.released(blocks),
        "tasks": facts.tasks(),
        "series": [],
        "policy": facts.policy(),
        "waivers": facts.waivers(),
        "findings": facts.findings(),
        "cost": {
            "layouts": 3 * (blocks - 1) + blocks + len(arms) + 1,
            "block_runs": 21824,
            "block_runs_without_sharing": 42240,
            "tokens": 3_871_744,
            "seconds": 214.6,
            "peak_memory_bytes": 2_140_000_000,
        },
        "not_tested": [
            "Other texts: every figure belongs to the two texts named under the contracts.",
            "Downstream tasks: accuracy, instruction following and safety were not measured.",
            "Healing: nothing was fine-tuned after a removal.",
            "Removal sets with neighbouring blocks: the audit keeps removed blocks apart (spacing 1).",
        ],
    }
    return rounded(report)


def beside(names: Sequence[str], blocks: int, budgets: Sequence[int], arms: Sequence[Report]) -> Report:
    lists = methods.score_lists(names, blocks)
    return {
        "scores": methods.scores(lists),
        "agreement": methods.agreement(lists),
        "differences": methods.differences(arms),
        "stability": methods.stability([name for name in names if name != "deepest"], budgets, blocks),
    }


def small() -> Report:
    """A report of a six-block model, for golden files."""
    report = sample(blocks=6, budgets=(1, 2), draws=5)
    report["kinds"] = report["kinds"][:3]
    report["model"]["dtype"] = "bfloat16"
    report["series"] = rounded(list(with_series().figures()[0]["series"]))
    report["noise_floor"] = {"value": 0.00031, "interval": [0.00027, 0.00036], "dtype": "bfloat16"}
    report["pairs"][3]["in_noise"] = ["interchange"]
    return report


def bare(blocks: int = 4) -> Report:
    """A report in which nothing was measured: every figure that may be missing is."""
    report = sample(blocks=blocks, budgets=(1, 2), draws=2)
    report |= {"outcome": "open", "summary": "Open: nothing was measured, so nothing is decided.", "environment": None}
    report |= {
        "begin_token": None,
        "noise_floor": None,
        "classes": None,
        "kinds": [],
        "baseline": None,
        "released": None,
        "tasks": [],
        "series": [],
        "protocols": [],
    }
    empty = ("prediction", "ranges", "random", "overrides", "scores", "agreement", "differences", "stability")
    report |= {key: [] for key in empty}
    for pair in report["pairs"]:
        pair |= dict.fromkeys(("replacement", "interchange", "kl_ratio", "deletion", "worst_kind"))
        pair |= {"regime": "open", "in_noise": [], "reason": None, "note": None}
    for block in report["blocks"]:
        block |= {key: None for key in block if key not in ("block", "excluded")}
    metric = {"name": "open", "pairs": 0, "overlap": [], "sentence": "Neither protocol was measured."}
    report["regime"]["metric"] |= dict.fromkeys(
        ("ratio", "interval", "replacement_mean", "interchange_mean", "rank_correlation")
    )
    report["regime"]["metric"] |= metric
    for removal in report["regime"]["removal"]:
        removal |= {"regime": "open", "difference": None, "interval": None, "sentence": "The arms were not measured."}
    optional = (
        "perplexity",
        "increase_percent",
        "interval",
        "kl",
        "top1_agreement",
        "p",
        "smallest_p",
        "draws",
        "stability",
    )
    for arm in report["arms"]:
        arm |= dict.fromkeys(optional)
    for claim in report["claims"]:
        _empty_claim(claim)
    for key in ("digest", "context", "quantization", "revision"):
        report["model"][key] = None
    report["model"]["notes"] = []
    report["contracts"]["scoring"] |= {"text_digest": None, "tokens_digest": None, "kinds": {}}
    empty = dict.fromkeys(("text_digest", "words", "windows", "tokens", "tokens_scored", "tokens_digest"))
    report["contracts"]["evaluation"] |= empty
    report["cost"] |= {"seconds": None, "peak_memory_bytes": None}
    return report


def _empty_claim(claim: Report) -> None:
    claim |= {"verdict": "open", "message": "Not measured.", "value": None, "interval": None}
    claim |= dict.fromkeys(("protocol", "location", "further_units", "threshold"))
    for backing in claim["protocols"].values():
        backing |= {"backs": "open", "admits": "open", "predicts": "open", "why": "Not measured."}
        backing |= dict.fromkeys(("selects", "value", "interval", "threshold"))


def rounded(value: Any) -> Any:
    """Six significant digits, so that golden files do not depend on a machine's arithmetic."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def _around(value: float, spread: float = 0.13) -> list[float]:
    return [value * math.exp(-spread), value * math.exp(spread)]


def _depth(block: float, blocks: int) -> float:
    """How strongly a block acts: the first and last ones most."""
    where = block / max(1, blocks - 1)
    return 1 + 5.5 * math.exp(-9 * where) + 1.6 * math.exp(-14 * (1 - where))


def _class(value: float) -> str:
    return "similar" if value < 0.05 else "conditional" if value < 0.10 else "distinct"


def _pair(i: int, j: int, blocks: int, noise: random.Random) -> Report:
    gap = j - i
    replacement = 0.36 * _depth(i, blocks) ** 0.8 * gap**0.7 * math.exp(noise.gauss(0, 0.16))
    interchange = 0.105 * _depth(i, blocks) ** 1.35 * gap**1.2 * math.exp(noise.gauss(0, 0.22))
    other = replacement * noise.uniform(0.62, 0.95)
    forward, backward = (replacement, other) if noise.random() < 0.5 else (other, replacement)
    ratio = interchange / replacement
    bounds = _around(ratio, 0.1)
    regime = "reversed" if bounds[0] > 1 else "gap" if bounds[1] < 0.5 else "high"
    return {
        "i": i,
        "j": j,
        "gap": gap,
        "comparable": True,
        "reason": None,
        "note": None,
        "replacement": {
            "forward": forward,
            "backward": backward,
            "max": replacement,
            "mean": (replacement + other) / 2,
            "min": other,
            "interval": _around(replacement),
            "class": _class(replacement),
        },
        "interchange": {
            "distance": interchange,
            "interval": _around(interchange, 0.16),
            "class": _class(interchange),
        },
        "kl_ratio": {"value": ratio, "interval": bounds},
        "deletion": {"i": _deletion(i, blocks), "j": _deletion(j, blocks)},
        "regime": regime,
        "in_noise": [],
        "worst_kind": {
            "replacement": {"kind": "code-python", "value": 1.4 * replacement},
            "interchange": {"kind": "mathematics", "value": 1.3 * interchange},
        },
    }


def _deletion(block: int, blocks: int) -> float:
    return 0.21 * _depth(block, blocks) ** 1.5 * (1 + 0.3 * math.sin(2.1 * block))


def _classes(pairs: list[Report], protocol: str) -> Report:
    found = [pair[protocol]["class"] for pair in pairs if pair["gap"] == 1]
    counts = {name: found.count(name) for name in ("similar", "conditional", "distinct")}
    return {**counts, "below_conditional": counts["similar"] + counts["conditional"]}


def _kind(name: str, noise: random.Random) -> Report:
    factor = 1.35 if name == "code-python" else noise.uniform(0.85, 1.1)
    return {"kind": name, "prompts": 2, "replacement": 0.51 * factor, "interchange": 0.16 * noise.uniform(0.85, 1.3)}


def _block(block: int, blocks: int, noise: random.Random) -> Report:
    deletion = _deletion(block, blocks)
    cost = math.expm1(0.55 * deletion) * math.exp(noise.gauss(0, 0.15))
    return {
        "block": block,
        "deletion": deletion,
        "deletion_interval": _around(deletion),
        "replacement_score": 0.3 * _depth(block, blocks) ** 0.8 * math.exp(noise.gauss(0, 0.1)),
        "interchange_score": 0.1 * _depth(block, blocks) ** 1.3 * math.exp(noise.gauss(0, 0.2)),
        "single_deletion_increase_percent": 100 * cost,
        "interval": [100 * cost - 4 - 20 * cost, 100 * cost + 4 + 25 * cost],
        "excluded": False,
    }


def _prediction(blocks: int) -> list[Report]:
    shifts = {"p": 0.5 / blocks, "smallest_p": 0.5 / blocks, "blocks": blocks}
    return [
        {"method": "replacement", "rank_correlation": 0.94, "interval": [0.87, 0.97], **shifts},
        {"method": "interchange", "rank_correlation": 0.41, "interval": [0.06, 0.67], **shifts, "p": 0.23},
        {"method": "deletion", "rank_correlation": 0.97, "interval": [0.93, 0.99], **shifts},
    ]


def arm(method: str, layers: Sequence[int], increase: float, **more: Any) -> Report:
    nats = math.log1p(increase / 100)
    spread = 0.06 + 0.12 * nats
    ends = [100 * math.expm1(nats - spread), 100 * math.expm1(nats + spread)]
    values = {
        "method": method,
        "budget": len(layers),
        "form": "matched",
        "selection": "matched",
        "layers": list(layers),
        "merged": None,
        "tie": 0,
        "ties": 1,
        "ties_counted": True,
        "draw": False,
        "calls": 58 if method == "replacement" else 30,
        "perplexity": 29.87 * (1 + increase / 100),
        "increase_percent": increase,
        "interval": ends,
        "kl": 0.8 * nats + 0.05,
        "top1_agreement": max(0.08, 0.86 - 0.28 * nats),
        "parameters_removed": 3_540_096 * len(layers),
        "parameters_removed_percent": 100 * 3_540_096 * len(layers) / 134_515_008,
        "selected_on": "prompts.jsonl",
        "evidence": "measured",
        "p": None,
        "smallest_p": None,
        "draws": None,
        "stability": 0.31,
        "regret": None,
        "spacing": 1,
    }
    return values | more


def _arms(blocks: int, budgets: Sequence[int], draws: int, noise: random.Random) -> list[Report]:
    arms = []
    for budget in budgets:
        spots = [(blocks // 3 + 2 * k) % blocks for k in range(budget)]
        control = (
            {"p": 1 / (draws + 1), "smallest_p": 1 / (draws + 1), "draws": draws}
            if budget == budgets[len(budgets) // 2]
            else {}
        )
        ties = 2 if budget == 1 else 4
        for tie in range(ties):
            layers = sorted({(spot + (tie >> k & 1)) % blocks for k, spot in enumerate(spots)} | set(spots[2:]))[
                :budget
            ]
            arms.append(
                arm("interchange", layers, 21 * budget * noise.uniform(0.9, 1.8), tie=tie, ties=ties, **control)
            )
        arms.append(arm("replacement", spots, 13 * budget**1.05, **control | {"stability": 0.62}))
        arms.append(arm("deletion", spots, 12.2 * budget**1.02, **control | {"stability": 0.87}))
    for draw in range(draws):
        layers = sorted(noise.sample(range(blocks), budgets[len(budgets) // 2]))
        increase = 60 * math.exp(noise.gauss(0.6, 1.0))
        arms.append(arm("random", layers, increase, tie=draw, ties=draws, draw=True, stability=None, selected_on=""))
    return arms


def ranges(arms: list[Report]) -> list[Report]:
    rows = []
    group = ("method", "budget", "form", "selection")
    for key in dict.fromkeys(tuple(arm[name] for name in group) for arm in arms if not arm["draw"]):
        found = [arm for arm in arms if tuple(arm[name] for name in group) == key]
        least, most = (pick(found, key=lambda arm: arm["increase_percent"]) for pick in (min, max))
        rows.append(
            {
                **dict(zip(group, key, strict=True)),
                "ties": found[0]["ties"],
                "ties_counted": found[0]["ties_counted"],
                "measured": len(found),
                "least_percent": least["increase_percent"],
                "most_percent": most["increase_percent"],
                "least_low": least["interval"][0],
                "most_high": most["interval"][1],
            }
        )
    return rows


def control(arms: list[Report], budget: int, draws: int, selection: str = "matched") -> Report:
    drawn = [arm for arm in arms if arm["draw"] and arm["budget"] == budget and arm["selection"] == selection]
    costs = sorted(arm["increase_percent"] for arm in drawn)
    quartiles = [costs[round(share * (draws - 1))] for share in (0.25, 0.5, 0.75)]
    ends = {"least": costs[0], "most": costs[-1]}
    return {"budget": budget, "selection": selection, "draws": draws, "quartiles": quartiles, **ends}


def _regime(blocks: int, budgets: Sequence[int]) -> Report:
    metric = {
        "name": "divergent",
        "ratio": 0.318,
        "interval": [0.291, 0.347],
        "replacement_mean": 0.512,
        "interchange_mean": 0.163,
        "pairs": blocks - 1,
        "rank_correlation": {"value": 0.52, "interval": [0.19, 0.74], "blocks": blocks},
        "overlap": [
            {"budget": budget, "shared_least": budget // 2, "shared_most": budget // 2 + 1, "of": budget}
            for budget in budgets
        ],
        "sentence": "Swapping neighbouring blocks disturbs the output about a third as much as running one in the "
        "other's place. The two protocols rank blocks differently, so they guide pruning to different layers; the gap "
        "alone does not say which of them finds the cheaper removal.",
    }
    return {"metric": metric, "removal": [_removal(budget, budgets) for budget in budgets]}


def _removal(budget: int, budgets: Sequence[int]) -> Report:
    difference = {1: -0.071, 3: -0.214}.get(budget, -0.09)
    regime = {1: "open", 3: "replacement-safer"}.get(budget, "open")
    ends = (
        [difference - 0.06, difference + 0.06]
        if regime == "replacement-safer"
        else [difference - 0.1, difference + 0.12]
    )
    sentence = (
        "The layers replacement chose cost less to remove, whichever way interchange's ties are broken."
        if regime == "replacement-safer"
        else "The paired interval reaches both sides of the margin, so neither protocol's layers are shown to be safer."
    )
    return {
        "budget": budget,
        "regime": regime,
        "difference": difference,
        "interval": ends,
        "margin": 0.05,
        "resolutions": 2 if budget == budgets[0] else 4,
        "sentence": sentence,
    }
