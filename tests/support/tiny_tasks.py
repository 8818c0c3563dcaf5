"""Tasks of made-up words for lm-evaluation-harness, as users write them: a YAML file and JSON lines beside it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import yaml
from tiny_audit import sentence

CHOICES = 3


def settings(name: str, output_type: str, **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": f"{name}.jsonl"}},
        "test_split": "test",
        "output_type": output_type,
        "doc_to_text": "question",
        "doc_to_target": "answer",
        "num_fewshot": 0,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }
    if output_type == "multiple_choice":
        base |= {"doc_to_choice": "choices"}
        base["metric_list"].append({"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True})
    return base | more


def rows(documents: int, seed: int = 5) -> list[dict[str, Any]]:
    """Questions of some words, choices of one to three, and which of them is right."""
    generator = random.Random(seed)
    return [
        {
            "question": sentence(generator.randrange(1, 9), seed + 10 * number),
            "choices": [sentence(choice + 1, seed + 10 * number + choice + 1) for choice in range(CHOICES)],
            "answer": generator.randrange(CHOICES),
        }
        for number in range(documents)
    ]


def write(folder: Path, name: str, output_type: str, documents: int = 24, **more: Any) -> Path:
    """The files of a task; ``more`` are further settings, or ``rows`` in the place of made-up ones."""
    folder.mkdir(parents=True, exist_ok=True)
    content = more.pop("rows", None) or rows(documents)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings(name, output_type, **more)), encoding="utf-8")
    return path
