"""Turns files that people have into the draft of an audit of published numbers."""

from __future__ import annotations

from pathlib import Path

import click

from checker.commands.command import PATH, command
from checker.commands.terminal import tell
from checker.core.files import write_new
from checker.published import importing
from checker.published.importers import IMPORTERS
from checker.published.importers.importer import Request

_SHOWN = 20


@command(
    "import",
    "pruneaudit import scores.csv --map i=layer_a,j=layer_b,value=replacement_max --out audit.yaml\n"
    "pruneaudit import results.json --records pairwise_distances --map i=layer_a,j=layer_b,value=interchange_kl\n"
    "pruneaudit import slices.yaml --blocks 32\n"
    "pruneaudit import results_pruned.json --base results_base.json",
)
@click.argument("file", type=PATH)
@click.option(
    "--from", "kind", type=click.Choice(tuple(IMPORTERS)), help="What FILE is. [default: by its name and first lines]"
)
@click.option(
    "--map",
    "mappings",
    multiple=True,
    metavar="KEY=COLUMN,...",
    help="csv, json: which column is which, for i, j, value, low and high; repeatable, each `value` gives a table of "
    "scores. In JSON a.b is b inside of a.",
)
@click.option("--records", metavar="NAME", help="json: where the list of scores stands, e.g. pairwise_distances.")
@click.option(
    "--base",
    type=PATH,
    help="The unpruned model: its folder, whose config.json says how many blocks it has; with harness, its results.",
)
@click.option("--blocks", type=click.IntRange(1, 9999), help="Blocks of the unpruned model.")
@click.option("--out", type=PATH, help="The audit file to write. [default: the terminal]")
def import_(
    file: Path,
    kind: str | None,
    mappings: tuple[str, ...],
    records: str | None,
    base: Path | None,
    blocks: int | None,
    out: Path | None,
) -> None:
    """Writes the draft of an audit of published numbers from FILE: scores, mergekit slices, a model card or folder,
    or results of lm-evaluation-harness.

    What FILE does not say is a blank, marked FILL-IN, that `validate` refuses until it is filled in. What could not be
    understood is listed. Nothing is decided.
    """
    request = Request(file, importing.columns(mappings), records, base, blocks)
    draft = importing.imported(request, kind)
    if out is not None:
        write_new({out: draft.text.encode()}, "import", "--out")
    else:
        tell(draft.text.rstrip("\n"))
    for line in draft.not_understood[:_SHOWN]:
        tell(f"not understood: {line}", error=True)
    if len(draft.not_understood) > _SHOWN:
        tell(f"not understood: {len(draft.not_understood) - _SHOWN} more, listed in the draft", error=True)
    if out is not None:
        tell(f"wrote {out}")
        tell(f"next: fill in {draft.blanks} blanks, then pruneaudit validate {out}")
