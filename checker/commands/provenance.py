"""Says where the weights of a pruned checkpoint come from."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import click

from checker.checkpoints.provenance import comparison, summary
from checker.checkpoints.provenance.weights import files_of, form
from checker.commands.command import PATH, command, require_measuring
from checker.commands.terminal import tell
from checker.core.slots import Comparison


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
@click.option("--slots", "with_slots", is_flag=True, help="Build both models and compare what their slots are.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def provenance(base: Path, pruned: Path, claim: tuple[int, ...] | None, with_slots: bool, as_json: bool) -> None:
    """Says which base block each block of a pruned checkpoint is, and what became of it, from the weights alone.

    BASE and PRUNED are folders of safetensors or GGUF files. A GGUF file against a folder, or packed weights against
    plain ones, are de-quantised into a temporary folder first, which needs `pruneaudit[measure]`.

    Exits with 0 where everything could be told, with 3 where something is open. With --claim, exits with 0 where
    exactly these blocks are missing and those that stay run in slots like their own, with 1 where not, with 3 where it
    is open. What a slot is (sliding or full attention, its scale, its experts) may follow from its number: --slots
    tells, needs `pruneaudit[measure]`, and reads no weights for it.
    """
    origins = _origins(base, pruned)
    if claim is not None:
        comparison.check_claim(origins, claim)
    slots = _slots(base, pruned, origins) if with_slots else summary.NOT_ASKED
    if as_json:
        tell(json.dumps(summary.as_json(origins, claim, slots), indent=2, ensure_ascii=False))
    else:
        tell("\n".join(summary.lines(origins, claim, slots)))
    if claim is None:
        sys.exit(3 if origins.open or (with_slots and slots.state == "open") else 0)
    sys.exit({"agrees": 0, "differs": 1, "open": 3}[summary.verdict(origins, claim, slots)[0]])


def _origins(base: Path, pruned: Path) -> comparison.Provenance:
    files = files_of(base), files_of(pruned)
    if len({form(each) for each in files}) == 1:
        return comparison.provenance(base, pruned)
    require_measuring()
    from checker.measure import dequantised

    with dequantised.comparing(files[0]) as opened, opened(files[1]) as (source, checkpoint):
        return comparison.compared(source, checkpoint)


def _slots(base: Path, pruned: Path, origins: comparison.Provenance) -> Comparison:
    require_measuring()
    from checker.measure import slots

    files = files_of(base)
    return slots.compared(slots.of_files(files), files, pruned, origins.layout)
