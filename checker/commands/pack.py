"""Seals a run into an evidence pack."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from checker.commands.command import PATH, command, policy_option, set_option
from checker.commands.terminal import tell
from checker.core.errors import EvidenceDamaged, UsageError
from checker.release import seal as sealing
from checker.release.verify import stated_artifacts, verify


@command(
    "pack",
    "pruneaudit pack runs/smollm2-135m --to packs/smollm2-135m\n"
    "pruneaudit pack runs/smollm2-135m --audit smollm2-135m --day 2026-10-01",
)
@click.argument("out", type=PATH)
@click.option("--to", type=PATH, help="The pack's folder, a new one. [default: OUT/pack]")
@click.option(
    "--audit",
    "file",
    metavar="FILE",
    help="Seal the evidence as judged by this audit file. [default: as in OUT's report]",
)
@policy_option
@set_option
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The day of judging: waivers expire. [default: today]")
def pack(out: Path, to: Path | None, file: str | None, overrides: Sequence[str], day: datetime | None) -> None:
    """Seals the evidence of a run in a folder that others can check: audit, contracts, measured rows, digests, report.

    OUT is the folder of a run. Whatever the audit's outcome, it is sealed; damaged evidence is not. The same evidence
    sealed on the same day gives the same bytes. Check a pack with `pruneaudit verify`.
    """
    if overrides and file is None:
        raise UsageError.at("--set, --policy", "no --audit", "the audit file they change", "name it: --audit FILE")
    judged = sealing.judged_last(out) if file is None else sealing.judged_by(file, overrides)
    folder = to or out / "pack"
    sealed = sealing.seal(out, folder, judged, day and day.date())
    verified = verify(sealed)
    if verified.differences:
        raise EvidenceDamaged(f"{folder}: sealed, and does not reproduce: {verified.differences[0]}")
    tell(f"wrote {folder}, sealed as of {verified.judged_by.day}: the audit's outcome is {sealed.report['outcome']}")
    tell(f"pack digest {sealed.digest}")
    root = sealed.json("artifacts.json")["root"]
    if root is None:
        tell(
            "note: the run recorded no digests of the model's files, so the pack cannot be attested; run the audit "
            "again, which measures nothing twice, and seal it again",
            error=True,
        )
    else:
        tell(f"model root digest {root}")
    for name, files in stated_artifacts(sealed)[1].items():
        tell(f"checkpoint {name}: root digest {files['root'] or 'not recorded'}")
