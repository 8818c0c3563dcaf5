"""Writes a pack as unsigned in-toto statements."""

from __future__ import annotations

from pathlib import Path

import click

from checker.commands.command import FOLDER, PATH, command
from checker.commands.terminal import tell
from checker.core.canonical import canonical
from checker.core.escape import json_text
from checker.release import attest as in_toto
from checker.release.pack import open_pack
from checker.release.verify import reproducing


@command("attest", "pruneaudit attest packs/smollm2-135m --to attestations")
@click.argument("folder", metavar="PACK", type=PATH)
@click.option("--to", type=FOLDER, help="Folder of the two files. [default: the terminal]")
def attest(folder: Path, to: Path | None) -> None:
    """Writes a pack as two unsigned in-toto statements about the model's root digest.

    One holds the standard test-result predicate: a test for every rule. The other holds the claims and their verdicts.
    Only a pack that reproduces is attested. How to sign the statements is said on stderr.
    """
    verified = reproducing(open_pack(folder), "a signature")
    for note in verified.notes:
        tell(f"note: {note}", error=True)
    statements = in_toto.statements(verified)
    if to is None:
        for statement in statements.values():
            tell(json_text(canonical(statement)))
        paths = tuple(in_toto.FILES.values())
    else:
        written = in_toto.write(statements, to)
        for path in written:
            tell(f"wrote {path}")
        paths = tuple(map(str, written))
    root = next(iter(statements.values()))["subject"][0]["digest"]["sha256"]
    for line in in_toto.signing(root, paths):
        tell(line, error=True)
