"""What ``pruneaudit judge`` says of evidence that is not there, or not this audit's."""

from __future__ import annotations

import os
from pathlib import Path

import tiny_audit
from command_line import Command, Done


def test_judge_without_evidence(tiny: Path, here: Path, command: Command) -> None:
    done = command("judge", tiny / "audit.yaml")
    message = (
        "runs/audit/evidence.db: found no stored evidence; expected what a run leaves; "
        f"measure first: pruneaudit run {tiny / 'audit.yaml'}\n"
    )
    assert done == Done(3, "", message)
    assert list(here.iterdir()) == []


def test_judge_does_not_take_evidence_of_an_older_text_for_this_one(
    tiny: Path, out: Path, tmp_path: Path, command: Command
) -> None:
    for name in ("model", "audit.yaml", "prompts.jsonl"):
        (tmp_path / name).symlink_to(tiny / name)
    (tmp_path / "evaluation.txt").write_text(tiny_audit.sentence(700, seed=5), encoding="utf-8")
    # The distances are of the same prompts, and decide as before that interchange backs neither claim.
    done = command("judge", tmp_path / "audit.yaml", "--out", out, "--set", "policy.rules.claim/not-backed=note")
    assert done.code == 3
    assert "perplexity is not measured; run the audit to its end" in " ".join(done.out.split())


def test_judge_with_evidence_of_another_model(tmp_path: Path, out: Path, tiny: Path, command: Command) -> None:
    moved = tiny_audit.write_audit(tiny, "moved.yaml", model="{kind: directory, path: elsewhere}")
    done = command("judge", moved, "--out", out)
    assert (done.code, done.out) == (3, "")
    assert "found no measurement of this audit's model" in done.err


def test_a_folder_that_cannot_be_written(tiny: Path, out: Path, here: Path, command: Command) -> None:
    (out / "report.md").unlink()
    (out / "report.md").mkdir()
    done = command("judge", tiny / "audit.yaml", "--out", out)
    assert (done.code, done.out) == (2, ""), "found before anything is measured or judged"
    assert f"found a folder at {out / 'report.md'}; expected a file to write" in done.err
    assert "Traceback" not in done.err


def test_a_reader_that_has_seen_enough_changes_nothing(tiny: Path, out: Path) -> None:
    """As in ``pruneaudit judge ... | head -1``."""
    before = (out / "report.json").read_bytes()
    (out / "report.json").unlink()
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = tiny_audit.start("judge", tiny / "audit.yaml", "--out", out, folder=out, stdout=write_end)
    os.close(write_end)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (1, "")
    assert (out / "report.json").read_bytes() == before
