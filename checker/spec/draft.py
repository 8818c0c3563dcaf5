"""The commented audit file that a new model starts from."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from checker.core import resources
from checker.core.facts import ModelFacts
from checker.core.layouts import Geometry
from checker.core.records import ModelSource
from checker.spec.document import is_text
from checker.spec.schema import audit_schema

_CHOSEN = ("interchange", "replacement", "deletion", "random")  # the methods that the template runs


def draft(source: ModelSource, facts: ModelFacts | None) -> str:
    """A commented audit file for a model; its texts are ``prompts.jsonl`` and ``evaluation.txt`` beside it.

    Budgets are sized by the number of blocks, windows by the context; without facts it is kept small.
    """
    blocks = facts.blocks if facts else 0
    largest = max(1, Geometry(blocks).largest)
    budgets = sorted({min(max(1, budget), largest) for budget in (1, blocks // 10, blocks // 6)})
    context = (facts.context if facts else None) or 512
    window = min(512, context)
    settings = {key: value for key, value in asdict(source).items() if value and key != "device"}
    name = source.repo or source.file or Path(source.path or "model").name
    templates = Environment(
        loader=FileSystemLoader(resources.templates()), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return templates.get_template("audit.yaml.j2").render(
        title=_quoted(f"{name}, which layers can go?"),
        model="\n".join(f"  {key}: {_quoted(value)}" for key, value in settings.items()),
        tokens=min(64, context),
        window=window,
        stride=window // 2,
        budgets=", ".join(map(str, budgets)),
        control=budgets[-1] if len(budgets) < 3 else budgets[1],
        others=", ".join(method for method in audit_schema()["$defs"]["method"]["enum"] if method not in _CHOSEN),
        blocks=blocks,
        gap=_gap(facts, budgets[-1]) if facts else 1,
    )


def _gap(facts: ModelFacts, budget: int) -> int:
    """The least distance within which enough blocks are comparable to remove ``budget`` of them, whatever the scores.

    Each removed block keeps at most its two neighbours from being removed. Where no distance gives so many, the least
    with which some are comparable.
    """
    shapes = facts.block_shapes
    for gap in range(1, len(shapes)):
        near = (
            shapes[max(0, block - gap) : block] + shapes[block + 1 : block + gap + 1] for block in range(len(shapes))
        )
        if sum(own in others for own, others in zip(shapes, near, strict=True)) >= 3 * budget - 2:
            return gap
    return facts.least_gap or 1


def _quoted(value: str) -> str:
    """A text as a YAML scalar: bare where that is safe, else in JSON's quotes, which YAML reads as well."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", value) and is_text(value)
    return value if plain else json.dumps(value)
