"""Checks an evidence pack."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from checker.commands.command import PATH, command, require_measuring, trust_option
from checker.commands.terminal import Progress, tell
from checker.core.errors import CannotRun, EvidenceMissing, UsageError
from checker.core.records import COMPLETENESS, Audit
from checker.judge.form import checkpoints_of
from checker.release import replay, rows
from checker.release import verify as verification
from checker.release.pack import Pack, open_pack
from checker.release.verify import Verified
from checker.spec import load
from checker.spec.contracts import contract_digests

if TYPE_CHECKING:
    from checker.measure.prepare import Prepared
    from checker.measure.remeasure import Compared


@command(
    "verify",
    "pruneaudit verify packs/smollm2-135m\npruneaudit verify packs/smollm2-135m --expect-audit my.yaml --remeasure 3",
)
@click.argument("folder", metavar="PACK", type=PATH)
@click.option("--expect-pack", metavar="DIGEST", help="Digest of the pack, as you know it from elsewhere.")
@click.option(
    "--expect-model",
    metavar="DIGEST",
    help="Root digest of the model or of a checkpoint, or the digest of its weights that audits pin.",
)
@click.option(
    "--expect-audit",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The audit file, which must be the pack's to the byte.",
)
@click.option(
    "--remeasure",
    "number",
    metavar="N",
    type=click.IntRange(1),
    help="Measure N layouts again, drawn at random. Needs the model, the texts and torch.",
)
@click.option("--seed", type=click.IntRange(0), help="Which layouts --remeasure draws. [default: drawn and printed]")
@trust_option
def verify(
    folder: Path,
    expect_pack: str | None,
    expect_model: str | None,
    expect_audit: Path | None,
    number: int | None,
    seed: int | None,
    trust_remote_code: bool,
) -> None:
    """Checks that a pack is whole and that its report follows from its rows. No torch, no weights, no network.

    Exits 0 when the pack reproduces, whatever the audit's own outcome; 1 when a figure, verdict or finding differs; 5
    when a file is not what the manifest says, or the pack, model or audit not what you expect. It does not show that
    the rows were measured honestly: --remeasure looks at that, by sample, and exits 1 where a value differs.
    """
    pack = open_pack(folder)
    verification.expect(pack, expect_pack, expect_model, expect_audit)
    verified = verification.verify(pack)
    for note in verified.notes:
        tell(f"note: {note}", error=True)
    if verified.differences:
        first, *further = verified.differences
        tell(f"{folder}: {first}", error=True)
        if further:
            tell(f"{len(further)} more differ, the last one {further[-1].file}: {further[-1].place}", error=True)
        sys.exit(1)
    _tell_reproduces(verified)
    if number is not None and not _agrees(pack, number, seed, expect_audit, trust_remote_code):
        sys.exit(1)


def _tell_reproduces(verified: Verified) -> None:
    pack, report, day = verified.pack, verified.pack.report, verified.judged_by.day
    tell(f"{pack.folder}: reproduces: {verified.figures} figures of the report follow from its rows, as of {day}")
    tell(f"the audit's outcome: {report['summary']}")
    tell(f"pack digest {pack.digest}")
    (root, weights), *checkpoints = verification.model_digests(pack).values()
    tell(f"model root digest {root or 'not recorded'}, weights {weights}")
    for row, (own, digest) in zip(checkpoints_of(report), checkpoints, strict=True):
        tell(f"checkpoint {row['name']}: root digest {own or 'not recorded'}, weights {digest}")
    tell("not shown: that the rows were measured honestly, or on this model; --remeasure looks at some of them")


def _agrees(pack: Pack, number: int, seed: int | None, file: Path | None, trust_remote_code: bool) -> bool:
    """Whether all means that are measured again agree with the pack's."""
    require_measuring()
    drawn = secrets.randbelow(2**31) if seed is None else seed
    tell(f"measuring {number} layouts again, drawn with --seed {drawn}", error=True)
    with closing(Progress(sys.stderr.isatty())) as progress:
        means = remeasured(pack, number, drawn, file, progress, trust_remote_code=trust_remote_code)
    for mean in means:
        if not mean.agrees:
            tell(str(mean), error=True)
    agreeing = sum(mean.agrees for mean in means)
    layouts = len({(mean.checkpoint, mean.layout) for mean in means})
    tell(f"measured again: {layouts} layouts, seed {drawn}: {agreeing} of {len(means)} means agree")
    return agreeing == len(means)


def remeasured(
    pack: Pack,
    number: int,
    seed: int,
    file: Path | None = None,
    progress: Progress | None = None,
    *,
    trust_remote_code: bool = False,
) -> list[Compared]:
    """Measures ``number`` layouts of the pack again, drawn with ``seed``; all of them where there are fewer.

    ``file`` is the audit file beside model and texts, for an audit that names them by path. Raises UsageError,
    CannotRun (other weights or texts than the pack's, or none), EvidenceMissing (an incomplete run).
    """
    from checker.measure.prepare import prepare
    from checker.measure.remeasure import remeasure

    if any(row["rule"] == COMPLETENESS and row["outcome"] == "open" for row in pack.report["findings"]):
        raise EvidenceMissing.at(
            pack.folder,
            "an incomplete run",
            "a whole one, of which some can be taken out",
            "finish the run, and seal it again",
        )
    prepared = prepare(_audit_of(pack, file), progress, trust_remote_code=trust_remote_code)
    _check_same(pack, prepared)
    return remeasure(prepared, rows.read(pack.bytes("rows.jsonl")), pack.folder, number, seed, progress)


def _audit_of(pack: Pack, file: Path | None) -> Audit:
    audit = replay.audit_of(pack, replay.judging_of(pack))
    if file is not None:
        local = load.check(file, [f"{key}={value}" for key, value in audit.overrides]).audit
        if replay.resolved(replay.portable(local)) | {"policy": None} != replay.resolved(audit) | {"policy": None}:
            raise UsageError.at(file, "another audit than the pack's", "the same", "name its file")
        return local
    texts = (audit.scoring, audit.selecting or audit.scoring, audit.evaluation)
    paths = [model.path for model in (audit.model, *(checkpoint.source for checkpoint in audit.checkpoints))]
    if any([*paths, *(text.source.path for text in texts)]):
        raise UsageError.at(
            pack.place("audit.yaml"),
            "a model or a text that is named by its path",
            "to know where the path starts",
            "name the audit file that lies beside them: --expect-audit FILE",
        )
    return audit


def _check_same(pack: Pack, prepared: Prepared) -> None:
    """CannotRun where weights, contracts or token ids at hand are not the pack's."""
    report, known = pack.report, prepared.facts
    contracts: Mapping[str, Any] = report["contracts"]
    pairs: list[tuple[str, Any, Any]] = [("the model's weights", known.model.digest, report["model"]["digest"])]
    if known.selection is not None:
        for name, digest in contract_digests(prepared.audit, known).items():
            pairs.append((f"the {name} contract", digest, (contracts[name] or {}).get("digest", digest)))
    for row in checkpoints_of(report):
        fact = known.checkpoint(row["name"])
        pairs.append((f"the weights of the checkpoint {row['name']}", fact and fact.model.digest, row["digest"]))
    for name, text in (("scoring", known.scoring), ("evaluation", known.evaluation)):
        pairs.append((f"the {name} text's tokens", text and text.tokens_digest, contracts[name]["tokens_digest"]))
    for what, digest, expected in pairs:
        if digest != expected:
            raise CannotRun.at(
                what, f"digest {digest} here", f"the pack's, {expected}", "use the model and texts that were audited"
            )
