"""Claims about tasks from the audit file to the report: run once, and judged again without weights and harness."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import tiny_audit

pytest.importorskip("lm_eval")

from checker.audit import audit
from checker.core.layouts import Layout
from checker.core.store import Store
from checker.judge.measured import judge
from checker.measure.cut_checkpoint import save
from checker.release import card_block
from checker.release.seal import judged_by, seal
from checker.spec import load

pytestmark = pytest.mark.usefixtures("one_thread")

DOCUMENTS, LIMIT = 40, 30
TASK = """
task: guesses
dataset_path: json
dataset_kwargs: {data_files: {test: guesses.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: question
doc_to_choice: choices
doc_to_target: answer
target_delimiter: " "
num_fewshot: 0
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 1.0}
"""
CLAIMS = """
  - {id: whole, kind: task, of: pruned, task: guesses, metric: acc, at_least: 0}
  - {id: drop, kind: task, layers: [1, 3], task: guesses, metric: acc, drop_at_most: 100}
  - {id: chosen, kind: task, method: deletion, budget: 1, task: guesses, metric: acc, drop_at_most: 100}
  - {id: here, kind: task, of: pruned, task: guesses, metric: acc, at_least: 0, scope: contract}
  - {id: accuracy, says: Accuracy stays., kind: removal, checkpoint: pruned, perplexity_increase: {at_most: 1000000}}"""
SECTIONS = {
    "methods": "[deletion, {kind: random, draws: 3, budgets: [1]}]",
    "budgets": "[1]",
    "checkpoints": "{pruned: {kind: directory, path: pruned}}",
    "tasks": f"{{run: [{{task: guesses.yaml, limit: {LIMIT}}}], on: [model, checkpoints, claims, arms]}}",
    "claims": CLAIMS,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    tiny_audit.write(folder, **SECTIONS)
    (folder / "guesses.yaml").write_text(TASK)
    lines = []
    for number in range(DOCUMENTS):
        words = tiny_audit.sentence(16, 5000 + number).split()
        question, choices = " ".join(words[:8]), [" ".join(words[8 + 2 * place : 10 + 2 * place]) for place in range(4)]
        lines.append(json.dumps({"question": question, "choices": choices, "answer": number % 4}))
    (folder / "guesses.jsonl").write_text("\n".join(lines) + "\n")
    save(tiny_audit.build(), tiny_audit.tokenizer(False), Layout.parse("(0,2,4,5)"), folder / "pruned")
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return dict(audit(folder / "audit.yaml", out=folder / "out").report)


def test_every_layout_that_the_audit_names_is_scored(report: dict[str, Any]) -> None:
    (task,) = report["tasks"]
    (metric,) = task["metrics"]
    assert (task["documents"], task["whole"], metric["chance"]) == (LIMIT, DOCUMENTS, 0.25)
    assert metric["model"] is not None
    assert all(side["score"] is not None for side in metric["sides"])
    assert {side["kind"] for side in metric["sides"]} >= {"checkpoint", "raw", "claimed"}
    assert not [
        finding
        for finding in report["findings"]
        if finding["rule"] == "evidence/incomplete" and finding["outcome"] == "open"
    ]


def test_a_checkpoint_that_was_only_cut_answers_as_its_raw_removal(report: dict[str, Any]) -> None:
    sides = report["tasks"][0]["metrics"][0]["sides"]
    own, raw = (next(side for side in sides if side["kind"] == kind) for kind in ("checkpoint", "raw"))
    assert raw["layers"] == [1, 3]
    assert (own["score"], own["gained"], own["lost"]) == (raw["score"], raw["gained"], raw["lost"])


def test_the_claims_are_decided(report: dict[str, Any]) -> None:
    verdicts = {row["id"]: (row["verdict"], row["value"]) for row in report["claims"]}
    metric = report["tasks"][0]["metrics"][0]
    scores = {side["kind"]: side for side in metric["sides"]}
    assert verdicts["whole"] == ("supported", pytest.approx(100 * scores["checkpoint"]["score"]["value"]))
    assert verdicts["drop"] == ("supported", pytest.approx(-100 * scores["raw"]["difference"]["value"]))
    assert verdicts["chosen"][0] == "supported"
    assert verdicts["here"][0] == "open"  # of which only a part was asked
    outcomes = {
        (row["rule"], row["claim"]): row["outcome"] for row in report["findings"] if row["rule"].startswith("task/")
    }
    assert outcomes["task/subset", "here"] == "fail"
    assert outcomes["task/subset", "whole"] == "pass"
    assert outcomes["task/harness-differs", None] == "pass"
    measured = [row for row in report["findings"] if row["rule"] == "claim/perplexity-for-tasks"]
    assert [row["outcome"] for row in measured] == ["pass"]


def test_it_is_judged_again_from_stored_answers(folder: Path, report: dict[str, Any]) -> None:
    loaded = load.check(folder / "audit.yaml").audit
    with Store(folder / "out" / "evidence.db") as store:
        again = judge(loaded, store)
    assert again["tasks"] == report["tasks"]
    assert again["claims"] == report["claims"]


def test_a_card_gives_a_checkpoints_scores_before_and_after(
    folder: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    sealed = seal(folder / "out", tmp_path / "pack", judged_by(str(folder / "audit.yaml")), date(2030, 1, 1))
    lines = card_block.block(card_block.source(sealed)).split("\n")
    [line] = [line for line in lines if line.startswith("- **Checkpoint pruned:** ")]
    metric = report["tasks"][0]["metrics"][0]
    own = next(side for side in metric["sides"] if side["kind"] == "checkpoint")
    before, after = (f"{100 * row['value']:.1f} %" for row in (metric["model"], own["score"]))
    points = f"{100 * own['difference']['value']:.1f} points".replace("-", "\N{MINUS SIGN}")
    start = f"; acc on guesses (the first {LIMIT} of {DOCUMENTS} documents) {before} → {after}, {points} ["
    assert start in line


class Announced:
    """What was announced to be left, and what was done until the next announcement."""

    def __init__(self) -> None:
        self.left: list[float] = []
        self.done: list[float] = []

    def say(self, text: str) -> None: ...

    def expect(self, work: float) -> None:
        self.left.append(work)
        self.done.append(0.0)

    def advance(self, work: float) -> None:
        self.done[-1] += work


def test_the_work_that_is_announced_is_the_work_that_is_done(folder: Path, tmp_path: Path) -> None:
    """First the plan's estimate, then the evaluation (a little more, where distances need the model run once again)."""
    announced = Announced()
    audit(folder / "audit.yaml", out=tmp_path / "again", progress=announced)
    _, evaluation, tasks, checkpoints = announced.left
    assert announced.done[1] == pytest.approx(evaluation, rel=0.1)
    assert announced.done[2:] == pytest.approx([tasks, checkpoints])
    assert min(evaluation, tasks, checkpoints) > 0
    again = Announced()
    audit(folder / "audit.yaml", out=tmp_path / "again", progress=again)
    assert [sum(again.left), sum(again.done)] == [0.0, 0.0]
