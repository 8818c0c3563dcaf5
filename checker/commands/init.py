"""Writes a commented audit file to start from."""

from __future__ import annotations

from pathlib import Path

import click

from checker.checkpoints import files, model_facts
from checker.commands.command import PATH, command
from checker.commands.terminal import tell
from checker.core import resources
from checker.core.errors import UsageError
from checker.core.files import absolute, write_new
from checker.core.records import ModelSource
from checker.spec.draft import draft


@command("init", "pruneaudit init ./my-model --out audits/my-model.yaml\npruneaudit init org/name")
@click.argument("model")
@click.option("--out", type=PATH, help="The audit file to write. [default: <model name>.yaml]")
def init(model: str, out: Path | None) -> None:
    """Writes a commented audit file for MODEL, with texts to start from beside it.

    MODEL is a folder with config.json and safetensors, a .gguf file, PACKAGE:FILE for a GGUF inside an installed Python
    package, or the name of a model on the hub.
    """
    source = _model_source(model)
    found = None if source.kind == "hub" else files.locate(source)
    facts = None if found is None else model_facts.facts(found, source)
    path = out or Path(f"{_short_name(source)}.yaml")
    contents = {path: draft(source, facts).encode()}
    for text in ("prompts.jsonl", "evaluation.txt"):
        content = (resources.audits() / "data" / text).read_bytes()
        if not _same(path.parent / text, content):
            contents[path.parent / text] = content
    write_new(contents, "init", "--out")
    for target in contents:
        tell(f"wrote {target}")
    for warning in found.warnings if found else ():
        tell(f"note: {warning}")
    tell(f"next: pruneaudit validate {path}")


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


def _short_name(source: ModelSource) -> str:
    return Path(source.repo or source.file or source.path or "model").name.removesuffix(".gguf")
