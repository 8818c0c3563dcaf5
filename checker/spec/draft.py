"""The commented audit file that a new model starts from."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from checker.core import resources
from checker.core.facts import ModelFacts
from checker.core.layouts import Geometry
from checker.core.records import ModelSource
from checker.spec.document import is_text
from checker.spec.schema import audit_schema

_NAME = 100  # characters of a checkpoint's name, at most
_CHOSEN = ("interchange", "replacement", "deletion", "random")  # the methods that the template runs


@dataclass(frozen=True)
class Released:
    """A checkpoint that was made of the model; ``facts`` is what its headers say, where it is at hand."""

    source: ModelSource
    facts: ModelFacts | None

    @property
    def name(self) -> str:
        """What an audit file calls it: its file or folder, in letters that such a name may have."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", short_name(self.source)).strip("._-")[:_NAME] or "checkpoint"


def short_name(source: ModelSource) -> str:
    """What a reader would call a model: the last part of its name or path."""
    return Path(source.repo or source.file or source.path or "model").name.removesuffix(".gguf")


def draft(source: ModelSource, facts: ModelFacts | None, released: Released | None = None) -> str:
    """A commented audit file for a model; its texts are ``prompts.jsonl`` and ``evaluation.txt`` beside it.

    Budgets are sized by the number of blocks, windows by the context; without facts it is kept small. With a checkpoint
    that was made of the model, one budget is the number of blocks that it lacks.
    """
    blocks = facts.blocks if facts else 0
    largest = max(1, Geometry(blocks).largest)
    own = released.facts if released else None
    fewer = min(max(0, blocks - own.blocks), largest) if own else 0
    sizes = {min(max(1, budget), largest) for budget in (1, blocks // 10, blocks // 6)}
    budgets = sorted(sizes | ({fewer} if fewer else set()))
    context = (facts.context if facts else None) or 512
    window = min(512, context)
    name = source.repo or source.file or Path(source.path or "model").name
    title = f"{name}, which layers can go?" if released is None else f"{released.name}, made of {name}: at what cost?"
    templates = Environment(
        loader=FileSystemLoader(resources.templates()),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    return templates.get_template("audit.yaml.j2").render(
        title=_quoted(title),
        model=_section(source, "  "),
        released=released and _quoted(released.name),
        released_source=released and _section(released.source, "    "),
        found=_found(facts, own) if facts and own else None,
        tokens=min(64, context),
        window=window,
        stride=window // 2,
        budgets=", ".join(map(str, budgets)),
        control=fewer or (budgets[-1] if len(budgets) < 3 else budgets[1]),
        others=", ".join(method for method in audit_schema()["$defs"]["method"]["enum"] if method not in _CHOSEN),
        blocks=blocks,
        gap=_gap(facts, budgets[-1]) if facts else 1,
    )


def _section(source: ModelSource, indent: str) -> str:
    """The lines that name a model, each behind ``indent``."""
    unsaid = ("device",) if indent == "  " else ("device", "dtype")  # a checkpoint has the model's
    settings = {key: value for key, value in asdict(source).items() if value and key not in unsaid}
    return "\n".join(f"{indent}{key}: {_quoted(value)}" for key, value in settings.items())


def _found(model: ModelFacts, own: ModelFacts) -> str:
    """What the headers of a checkpoint say beside the model's."""
    less = 100 * (1 - own.parameters / model.parameters)
    change = f"{abs(less):.3g} % {'less' if less >= 0 else 'more'} than the model"
    return f"{own.blocks} blocks, and the model has {model.blocks}; {own.parameters:,} parameters, {change}"


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
