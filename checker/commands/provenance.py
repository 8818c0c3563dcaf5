"""Says where the weights of a pruned checkpoint come from."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import click

from checker.checkpoints.provenance import comparison, summary
from checker.commands.command import PATH, command
from checker.commands.terminal import tell


def _blocks(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,4}(?:,[0-9]{1,4})*", text.replace(" ", "")):
        raise click.BadParameter("expected block numbers separated by commas, as in 3,7,12.")
    return tuple(sorted({int(number) for number in text.split(",")}))


@command(
    "provenance",
    "pruneaudit provenance models/base models/pruned\npruneaudit provenance models/base models/pruned --claim 3,7,12",
)
@click.argument("base", type=PATH)
@click.argument("pruned", type=PATH)
@click.option("--claim", callback=_blocks, metavar="BLOCKS", help="Blocks said to be removed, e.g. 3,7,12.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def provenance(base: Path, pruned: Path, claim: tuple[int, ...] | None, as_json: bool) -> None:
    """Says which base block each block of a pruned checkpoint is, and what became of it, from the weights alone.

    BASE and PRUNED are folders of safetensors. Exits with 0 where everything could be told, with 3 where something is
    open; with --claim, exits with 0 where exactly these blocks are missing, with 1 where not, with 3 where it is open.
    """
    origins = comparison.provenance(base, pruned)
    if claim is not None:
        comparison.check_claim(origins, claim)
    if as_json:
        tell(json.dumps(summary.as_json(origins, claim), indent=2, ensure_ascii=False))
    else:
        tell("\n".join(summary.lines(origins, claim)))
    if claim is None:
        sys.exit(3 if origins.open else 0)
    sys.exit({"agrees": 0, "differs": 1, "open": 3}[origins.agreement(claim)[0]])
