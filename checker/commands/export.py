"""Writes an arm for other tools."""

from __future__ import annotations

from pathlib import Path

import click

from checker.checkpoints.trust import check_agreed
from checker.commands.command import PATH, command, require_measuring, trust_option
from checker.commands.terminal import tell
from checker.core.errors import UsageError
from checker.core.files import write_new
from checker.release import export as exports
from checker.reports import read


@command(
    "export",
    "pruneaudit export runs/smollm2-135m --arm replacement:3 --as prune-layers\n"
    "pruneaudit export runs/smollm2-135m --arm interchange:3:0 --as checkpoint --to pruned",
)
@click.argument("out", type=PATH)
@click.option(
    "--arm",
    "name",
    required=True,
    metavar="METHOD:BUDGET[:TIE]",
    help="The arm; TIE where ties were broken in several ways. METHOD@native is the method's own form.",
)
@click.option("--as", "form", required=True, type=click.Choice((*exports.FORMATS, "checkpoint")), help="What to write.")
@click.option("--to", type=PATH, help="File, or folder of a checkpoint. [default: the terminal]")
@click.option("--base", metavar="NAME", help="mergekit: the checkpoint it shall read. [default: the audit's model]")
@click.option("--audit", metavar="FILE", help="checkpoint: the audit file. [default: what the evidence holds of it]")
@trust_option
def export(
    out: Path, name: str, form: str, to: Path | None, base: str | None, audit: str | None, trust_remote_code: bool
) -> None:
    """Writes an arm for other tools: slices for mergekit, a list of layers, a table, a checkpoint to load."""
    content = read.read_report(out)
    arm = exports.find_arm(content, name)
    if form != "checkpoint":
        text = exports.FORMATS[form](arm, base)
        if to is None:
            tell(text.rstrip("\n"))
            return
        write_new({to: text.encode()}, "export", "--to")
    elif to is None:
        raise UsageError.at("--to", "none", "the folder that the checkpoint shall be", "name one that is not there")
    else:
        source = exports.model_source(out, content, audit)
        check_agreed({"model": source}, trust_remote_code)
        require_measuring()
        from checker.measure import cut_checkpoint

        cut_checkpoint.write(source, arm.layout, to, digest=content["model"]["digest"])
    tell(f"wrote {to}")
