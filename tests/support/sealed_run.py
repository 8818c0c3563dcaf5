"""A run's folder from the synthetic evidence, under an audit file that really is one; no torch, no model."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from pathlib import Path

import evidence_sample as samples
from evidence_sample import Sample

from checker import reports
from checker.checkpoints import digests as artifacts
from checker.core.records import Audit
from checker.core.store import Store
from checker.judge.measured import judge
from checker.release import seal
from checker.release.pack import Pack
from checker.spec import load

DAY = date(2030, 6, 15)
WEIGHTS = {"config.json": "11" * 32, "model.safetensors": "22" * 32, "tokenizer.json": "33" * 32}
PRUNED = {"config.json": "44" * 32, "model.safetensors": "55" * 32, "tokenizer.json": "33" * 32}
TEXT = """\
pruneaudit: 1
title: A sample
model: {kind: directory, path: model}
data:
  scoring: {kind: file, path: prompts.txt, sha256: %(prompts)s, prompts: 16, tokens: 32}
  evaluation: {kind: file, path: evaluation.txt, sha256: %(evaluation)s, window: 120, stride: 60}
budgets: [1, 2]
methods: [interchange, replacement, deletion, {kind: random, draws: 39, budgets: [2]}]
claims:
  - {id: two-blocks, says: Two blocks can go., kind: removal, layers: [4, 6], perplexity_increase: {at_most: 20},
     protocol: interchange}
  - {id: twins, kind: redundant, pair: [4, 5], below: 0.1, protocol: interchange}
  - {id: diverge, kind: regime, metric: divergent}
waivers:
  - {rule: model/weights-not-pinned, reason: The weights are made up., expires: 2031-01-01}
"""
# The first claim is about a checkpoint that was made of the model.
RELEASED = TEXT.replace("layers: [4, 6], ", "checkpoint: pruned, ").replace(
    "\nbudgets:", "\ncheckpoints:\n  pruned: {kind: directory, path: elsewhere/pruned}\nbudgets:"
)
# As many values as the default audit, and more.
LARGE = TEXT.replace("[1, 2]", "[1, 3, 5]").replace("draws: 39, budgets: [2]", "draws: 39, budgets: [3]").replace(
    "layers: [4, 6]", "layers: [12, 16]"
)  # fmt: skip
SMALL = (
    TEXT.replace("prompts: 16", "prompts: 8")
    .replace("[1, 2]", "[1]")
    .replace(", deletion, {kind: random, draws: 39, budgets: [2]}", "")
    .replace("[4, 6]", "[1]")
    .replace("[4, 5]", "[2, 3]")
)


def write(folder: Path, text: str = TEXT, sample: Sample | None = None, name: str = "sample.yaml") -> Path:
    """The folder of a finished run: ``evidence.db`` and the reports. Returns it."""
    digests = {"prompts": samples.digest("prompts.txt"), "evaluation": samples.digest("evaluation.txt")}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text % digests if "%(prompts)s" in text else text, encoding="utf-8")
    audit = load.check(folder / name, attached=False).audit
    made = replace(sample or Sample(), audit=audit)
    made = replace(made, model=replace(made.model, digest=artifacts.weights_digest_of(WEIGHTS)))
    out = folder / "run"
    with Store(out / "evidence.db") as store:
        samples.fill(store, made)
        _record(store, audit, made)
        reports.render(judge(audit, store, DAY), out, ("json",))
    return out


def _record(store: Store, audit: Audit, sample: Sample) -> None:
    """What a run records beside what is judged."""
    store.write_record("audit", audit.name, {"text": audit.text, "overrides": [list(pair) for pair in audit.overrides]})
    store.write_record(artifacts.RECORD, str(sample.model.digest), {"files": WEIGHTS})
    for fact in sample.checkpoints:
        store.write_record(artifacts.RECORD, str(fact.model.digest), {"files": PRUNED})


def large(folder: Path) -> Path:
    """A run of more than 60 000 values."""
    return write(folder, LARGE, replace(samples.large(windows=360), prompts=16))


def sealed(folder: Path) -> Pack:
    """A pack of the run."""
    out = write(folder)
    return seal.seal(out, folder / "pack", seal.judged_last(out), DAY)


def sealed_with_checkpoint(folder: Path, text: str = RELEASED) -> Pack:
    """A pack of a run that measured a checkpoint as well."""
    fact = samples.checkpoint_facts()
    pruned = replace(fact, model=replace(fact.model, digest=artifacts.weights_digest_of(PRUNED)))
    out = write(folder, text, Sample(checkpoints=(pruned,)))
    return seal.seal(out, folder / "pack", seal.judged_last(out), DAY)


def sealed_small(folder: Path) -> Pack:
    """A pack that is verified fast: four blocks, two methods, eight prompts and windows."""
    blocks = 4
    sample = Sample(
        model=samples.model_facts(blocks),
        prompts=8,
        windows=8,
        replacement={pair: value for pair, value in samples.REPLACEMENT.items() if max(pair) < blocks},
        interchange={pair: value for pair, value in samples.INTERCHANGE.items() if max(pair) < blocks},
        deletion=samples.DELETION[:blocks],
        singles=samples.SINGLES[:blocks],
    )
    out = write(folder, SMALL, sample)
    return seal.seal(out, folder / "pack", seal.judged_last(out), DAY)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
