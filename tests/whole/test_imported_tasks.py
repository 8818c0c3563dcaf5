"""Scores that lm-evaluation-harness measured elsewhere: imported with their samples, paired, and told apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import tiny_audit
import tiny_tasks
import yaml
from command_line import Command

pytest.importorskip("lm_eval")

from harness_answers import loaded
from lm_eval import evaluator
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM

from checker.audit import audit
from checker.core.layouts import Layout
from checker.core.store import Store
from checker.judge.measured import judge
from checker.measure.cut_checkpoint import save
from checker.release import card_block
from checker.release.seal import judged_by, seal
from checker.release.verify import verify
from checker.spec import load

pytestmark = pytest.mark.usefixtures("one_thread")

DOCUMENTS = 40
CLAIMS = """
  - {id: whole, kind: task, of: pruned, task: guesses, metric: acc, at_least: 0}
  - {id: drop, kind: task, of: pruned, task: guesses, metric: acc_norm, drop_at_most: 100}
  - {id: here, kind: task, of: pruned, task: guesses, metric: acc, at_least: 0, scope: contract}
  - {id: layers, kind: task, layers: [1, 3], task: guesses, metric: acc, drop_at_most: 100}
  - {id: mean, kind: task, of: pruned, tasks: [guesses, words], metric: acc, drop_at_most: 100}"""


def evaluate(folder: Path, task: Path, model: Any) -> Path:
    """Results with samples, written by the harness's own evaluator and writer."""
    tokenizer = tiny_audit.tokenizer(False)
    tokenizer.eos_token = "</s>"
    written = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=64)
    read = loaded(task)
    ran = evaluator.evaluate(
        lm=written, task_dict={"tasks": {read.name: read.task}}, log_samples=True, bootstrap_iters=0
    )
    samples = ran.pop("samples")
    ran["config"] = {"model_args": f"pretrained={folder.name},dtype=float32", "model_dtype": "torch.float32"}
    ran["lm_eval_version"] = "0.4.13"
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.model_name_sanitized = "model"
    tracker.save_results_aggregated(ran, samples)
    tracker.save_results_samples(read.name, samples[read.name])
    [results] = folder.rglob("results_*.json")
    return results


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    task = tiny_tasks.write(folder, "guesses", "multiple_choice", DOCUMENTS)
    tiny_tasks.write(folder, "words", "multiple_choice")
    save(tiny_audit.build(), tiny_audit.tokenizer(False), Layout.parse("(0,2,4,5)"), folder / "pruned")
    evaluate(folder / "of_model", task, tiny_audit.build().eval())
    evaluate(folder / "of_pruned", task, AutoModelForCausalLM.from_pretrained(folder / "pruned").eval())
    write(folder)
    return folder


def write(folder: Path, **results: str) -> Path:
    """The audit, whose task `guesses` has the results of both unless other ones are given."""
    if not results:
        files = {"model": "of_model", "pruned": "of_pruned"}
        results = {who: str(next((folder / at).rglob("results_*.json"))) for who, at in files.items()}
    guesses = {"task": "guesses.yaml", "results": results}
    tiny_audit.write(
        folder,
        methods="[deletion, {kind: random, draws: 3, budgets: [1]}]",
        budgets="[1]",
        checkpoints="{pruned: {kind: directory, path: pruned}}",
        tasks=json.dumps({"run": [guesses, "words.yaml"]}),
        claims=CLAIMS,
    )
    return folder / "audit.yaml"


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return dict(audit(folder / "audit.yaml", out=folder / "out").report)


@pytest.fixture(scope="module")
def measured(folder: Path) -> dict[str, Any]:
    """The same audit with the task run here."""
    path = folder / "measured.yaml"
    content = yaml.safe_load((folder / "audit.yaml").read_text())
    del content["tasks"]["run"][0]["results"]
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return dict(audit(path, out=folder / "measured").report)


def task_row(report: dict[str, Any], name: str = "guesses") -> dict[str, Any]:
    return next(task for task in report["tasks"] if task["name"] == name)


def test_imported_scores_are_those_that_are_measured_here(report: dict[str, Any], measured: dict[str, Any]) -> None:
    imported, own = task_row(report), task_row(measured)
    assert (imported["evidence"], own["evidence"]) == ("imported", "measured")
    assert [row["metric"] for row in imported["metrics"]] == ["acc", "acc_norm"]
    for theirs, ours in zip(imported["metrics"], own["metrics"], strict=True):
        assert theirs["model"] == ours["model"]
        [side] = theirs["sides"]  # and none of layouts
        assert side == next(row for row in ours["sides"] if row["kind"] == "checkpoint")
    assert [(row["subject"], row["model"], row["dtype"], row["harness"]) for row in imported["imported"]] == [
        ("model", "of_model", "float32", "0.4.13"),
        ("pruned", "of_pruned", "float32", "0.4.13"),
    ]


def test_claims_are_decided_on_them_and_classes_are_not_mixed(report: dict[str, Any], measured: dict[str, Any]) -> None:
    rows = {row["id"]: row for row in report["claims"]}
    own = {row["id"]: row for row in measured["claims"]}
    for name in ("whole", "drop", "here"):
        assert (rows[name]["verdict"], rows[name]["value"]) == (own[name]["verdict"], own[name]["value"])
        assert rows[name]["verdict"] == "supported"
        assert (rows[name]["evidence"], own[name]["evidence"]) == ("imported", "measured")
        assert "these scores are imported, and nothing shows which weights they are of" in rows[name]["message"]
    assert (rows["layers"]["verdict"], own["layers"]["verdict"]) == ("open", "supported")
    assert rows["layers"]["message"].startswith(
        "scores on guesses are imported, which are of whole models; take its `results` away to measure them; "
    )
    assert (rows["mean"]["verdict"], rows["mean"]["evidence"]) == ("open", "imported and measured")
    assert rows["mean"]["message"].startswith(
        "scores on guesses are imported and those on words measured, which no one mean is taken of; claim them apart; "
    )


def test_nothing_is_missing_and_the_report_says_where_scores_come_from(folder: Path, report: dict[str, Any]) -> None:
    findings = {(row["rule"], row["claim"]): row for row in report["findings"]}
    assert findings["evidence/incomplete", None]["outcome"] == "pass"
    assert findings["task/harness-differs", None]["outcome"] == "pass"
    page = (folder / "out" / "report.md").read_text()
    name = next((folder / "of_pruned").rglob("results_*.json")).name
    assert f"Scores of pruned are imported from {name}" in page.replace("\\_", "_")


def test_it_is_judged_sealed_and_verified_without_the_files(
    folder: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    read = load.check(folder / "audit.yaml").audit
    with Store(folder / "out" / "evidence.db") as store:
        again = judge(read, store)
    assert again["tasks"] == report["tasks"]
    sealed = seal(folder / "out", tmp_path / "pack", judged_by(str(folder / "audit.yaml")), date(2030, 1, 1))
    assert not verify(sealed).differences
    assert "acc on guesses (40 documents, imported scores)" in card_block.block(card_block.source(sealed))


# --- results that are not of this task -------------------------------------------------------------------------------


def of_model(folder: Path) -> tuple[Path, Path]:
    [results], [samples] = ((folder / "of_model").rglob(f"{kind}_*.json*") for kind in ("results", "samples"))
    return results, samples


def without_samples(results: Path, samples: Path) -> None:
    samples.unlink()


def without_one_sample(results: Path, samples: Path) -> None:
    samples.write_text("".join(samples.read_text().splitlines(keepends=True)[1:]))


def with_another_document(results: Path, samples: Path) -> None:
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    lines[3]["doc_hash"] = "0" * 64
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))


def with_another_prompt(results: Path, samples: Path) -> None:
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    lines[3]["prompt_hash"] = "0" * 64
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))


def with_other_answers(results: Path, samples: Path) -> None:
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    for line in lines:
        line["acc"] = 1.0
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))


def with_a_broken_answer(results: Path, samples: Path) -> None:
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    lines[3]["acc"] = float("nan")
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))


def with_a_broken_line(results: Path, samples: Path) -> None:
    samples.write_text(samples.read_text()[:-20])


def of_another_version(results: Path, samples: Path) -> None:
    content = json.loads(results.read_text())
    content["versions"]["guesses"] = 2.0
    results.write_text(json.dumps(content))


def with_worked_examples(results: Path, samples: Path) -> None:
    content = json.loads(results.read_text())
    content["n-shot"]["guesses"] = 5
    results.write_text(json.dumps(content))


def of_another_task(results: Path, samples: Path) -> None:
    results.write_text(results.read_text().replace('"guesses"', '"riddles"'))


def no_results(results: Path, samples: Path) -> None:
    results.write_text("{}")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_samples, "found no samples of guesses in it or beside it; expected a sample of every document; "
                          "evaluate with `--log_samples`, and keep the files together"),
        (without_one_sample, "found 39 samples, none of 1 document of the task, by their `doc_hash`; "
                             "expected one of each of the 40 documents"),
        (with_another_document, "found 40 samples, none of 1 document of the task and 1 sample of documents that it "
                                "does not have, by their `doc_hash`"),
        (with_another_prompt, "found that document 3 was asked in other words, by its `prompt_hash`"),
        (with_other_answers, "and samples that give 1; expected the samples of these very results"),
        (with_a_broken_answer, "document 3: found acc: NaN; expected a finite number; see what broke there"),
        (with_a_broken_line, ".jsonl:40: a sample that cannot be read"),
        (of_another_version, "found version: 2.0 of guesses; expected 1.0, as the audit declares it here"),
        (with_worked_examples, "found worked examples: 5 of guesses; expected 0, as the audit declares it here"),
        (of_another_task, "found no results of guesses; expected them; it has riddles; correct `results`"),
        (no_results, "found JSON without `results` and `configs` or `versions`"),
    ],
)  # fmt: skip
def test_results_that_are_not_of_the_declared_task_are_refused(
    folder: Path, tmp_path: Path, command: Command, spoil: Callable[[Path, Path], None], message: str
) -> None:
    kept = [(path, path.read_text()) for path in of_model(folder)]
    try:
        spoil(*of_model(folder))
        done = command("run", folder / "audit.yaml", "--out", tmp_path / "out")
    finally:
        for path, content in kept:
            path.write_text(content)
    assert done.code == 4
    assert "task guesses, results of model: " in done.err
    assert message in " ".join(done.err.split())
    assert not (tmp_path / "out" / "evidence.db").exists()


def test_results_of_what_the_audit_does_not_name_are_a_mistake(folder: Path, command: Command) -> None:
    path = folder / "wrong.yaml"
    text = (folder / "audit.yaml").read_text()
    path.write_text(text.replace('"pruned":', '"prunned":'))
    done = command("validate", path)
    assert done.code == 2
    assert "found results of `prunned`; expected `model`, or a checkpoint: `pruned`; did you mean `pruned`?" in done.err


def test_a_file_of_results_that_is_not_there_is_a_mistake(folder: Path, command: Command) -> None:
    path = folder / "wrong.yaml"
    path.write_text((folder / "audit.yaml").read_text().replace("/results_", "/result_"))
    done = command("validate", path)
    assert done.code == 2
    assert done.err.count("result_") == 2
