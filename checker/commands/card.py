"""Writes an audit's outcome into a model card."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from checker.checkpoints import model_card
from checker.commands.command import PATH, command
from checker.commands.terminal import tell
from checker.core.errors import UsageError
from checker.core.files import replace
from checker.release import card_block
from checker.release.pack import open_pack
from checker.release.verify import reproducing


@command(
    "card", "pruneaudit card packs/my-model --card README.md\npruneaudit card packs/my-model --card README.md --check"
)
@click.argument("pack", type=PATH)
@click.option(
    "--card", "path", type=PATH, metavar="FILE", help="The model card to write into. Left out, the block is printed."
)
@click.option(
    "--check", is_flag=True, help="Write nothing; exit with 1 where the card is not what the pack makes of it."
)
@click.option("--dry-run", is_flag=True, help="Write nothing; print the block.")
@click.option("--block-only", is_flag=True, help="Leave the card's front matter alone.")
def card(pack: Path, path: Path | None, check: bool, dry_run: bool, block_only: bool) -> None:
    """Writes the outcome of a sealed audit into a model card: one marked block, and a few keys of its front matter.

    The same block again replaces itself; everything else in the text stays byte for byte. Nothing is sent anywhere. The
    front matter gets `base_model` (of a hub model, where the card names none), a tag, and `model-index`. Only a pack
    that reproduces is written.
    """
    if check and path is None:
        raise UsageError.at("--check", "no --card", "the card to check", "name it: --card README.md")
    verified = reproducing(open_pack(pack), "a place on a card")
    for said in verified.notes:
        tell(f"note: {said}", error=True)
    source = card_block.source(verified.pack)
    if path is None:
        tell(card_block.block(source))
        return
    text = model_card.read(path)
    expected = card_block.written(text, source, str(path), block_only=block_only)
    if not block_only and (note := card_block.other_base_model(text, source)):
        tell(f"note: {path}: {note}", error=True)
    if check:
        _check(card_block.disagreement(text, expected, str(path)), pack, path)
    elif dry_run:
        tell(card_block.block(source))
        tell(f"{path}: {'would not change' if text == expected else 'would change'}; nothing was written", error=True)
    elif text == expected:
        tell(f"{path}: nothing to change")
    else:
        replace(path, expected.encode())
        tell(f"wrote {path}")


def _check(disagreement: str | None, pack: Path, path: Path) -> None:
    if disagreement is None:
        tell(f"{path}: agrees with the pack")
        return
    tell(f"{disagreement}; write it again: pruneaudit card {pack} --card {path}", error=True)
    sys.exit(1)
