"""Writes a commented audit file to start from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from checker.checkpoints import files, model_facts
from checker.checkpoints.files import Files
from checker.commands.command import PATH, command
from checker.commands.terminal import tell
from checker.core import resources
from checker.core.errors import UsageError
from checker.core.facts import ModelFacts
from checker.core.files import absolute, write_new
from checker.core.records import ModelSource
from checker.spec.draft import Released, draft, short_name


@command(
    "init",
    "pruneaudit init ./my-model --out audits/my-model.yaml\npruneaudit init org/name\n"
    "pruneaudit init ./my-model --checkpoint ./my-model-pruned",
)
@click.argument("model")
@click.option(
    "--checkpoint", metavar="PRUNED", help="What was made of MODEL and is released: pruned, healed or merged."
)
@click.option("--out", type=PATH, help="The audit file to write. [default: <name of MODEL, or of PRUNED>.yaml]")
def init(model: str, checkpoint: str | None, out: Path | None) -> None:
    """Writes a commented audit file for MODEL, with texts to start from beside it.

    MODEL is the unpruned model: a folder with config.json and safetensors, a .gguf file, PACKAGE:FILE for a GGUF inside
    an installed Python package, or the name of a model on the hub. PRUNED, which is measured beside it, is named alike.
    """
    base, further = _found(model), None if checkpoint is None else _found(checkpoint)
    released = None if further is None else Released(further.source, further.facts)
    path = out or Path(f"{short_name((further or base).source)}.yaml")
    contents = {path: draft(base.source, base.facts, released).encode()}
    for text in ("prompts.jsonl", "evaluation.txt"):
        content = (resources.audits() / "data" / text).read_bytes()
        if not _same(path.parent / text, content):
            contents[path.parent / text] = content
    write_new(contents, "init", "--out")
    for target in contents:
        tell(f"wrote {target}")
    for note in (*base.warnings, *(_notes(base, further, released) if further and released else ())):
        tell(f"note: {note}")
    tell(f"next: pruneaudit validate {path}")


@dataclass(frozen=True)
class _Found:
    """A model as the command line names it; of one on the hub, nothing is looked at."""

    source: ModelSource
    files: Files | None
    facts: ModelFacts | None

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.files.warnings if self.files else ()


def _found(model: str) -> _Found:
    source = _model_source(model)
    found = None if source.kind == "hub" else files.locate(source)
    return _Found(source, found, None if found is None else model_facts.facts(found, source))


def _notes(base: _Found, further: _Found, released: Released) -> Iterator[str]:
    """What the author of an audit of the two should look at before anything is measured."""
    name = released.name
    yield from (f"checkpoint {name}: {warning}" for warning in further.warnings)
    if further.source == base.source or (base.files and further.files and base.files.weights == further.files.weights):
        yield f"{name} is the model itself: name the unpruned model first, and what was made of it as --checkpoint"
    if base.facts is None or further.facts is None or base.files is None or further.files is None:
        return
    if further.facts.blocks > base.facts.blocks:
        blocks = f"{name} has {further.facts.blocks} blocks, and the model {base.facts.blocks}"
        yield f"{blocks}: name the unpruned model first, and what was made of it as --checkpoint"
    # A GGUF file holds its tokenizer in a form of its own, which is not to be held against files.
    comparable = bool(base.files.tokenizer) == bool(further.files.tokenizer)
    if comparable and further.facts.tokenizer_digest != base.facts.tokenizer_digest:
        yield (
            f"{name} has another tokenizer than the model, or other settings of it: where its tokens are others, its "
            "perplexity is not comparable; claim `bits_per_byte_increase`"
        )


def _same(target: Path, content: bytes) -> bool:
    """Whether a text lies there already, as where it was written for another model."""
    return target.is_file() and target.read_bytes() == content


def _model_source(model: str) -> ModelSource:
    path = Path(model)
    if path.is_dir():
        return ModelSource("directory", path=str(absolute(path)))
    if path.is_file() or (model.endswith(".gguf") and ":" not in model):
        return ModelSource("gguf", path=str(absolute(path)))
    package, colon, file = model.partition(":")
    if colon:
        return ModelSource("package", package=package, file=file)
    if model.count("/") == 1:
        return ModelSource("hub", repo=model)
    raise UsageError.at(
        None, f"{model!r}", "a folder, a .gguf file, PACKAGE:FILE or a name like org/name", "check its spelling"
    )
