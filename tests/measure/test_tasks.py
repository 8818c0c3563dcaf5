"""Tasks: what is asked and scored is what lm-evaluation-harness asks and scores with its own Hugging Face class."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import tiny_audit
import tiny_tasks
from harness_answers import by_engine, by_harness, loaded

from checker.core.errors import CannotRun
from checker.core.layouts import Layout
from checker.core.records import Location, Task
from checker.measure import harness, task_requests
from checker.measure.blocks import BlockStack
from checker.measure.cut_checkpoint import cut

pytestmark = pytest.mark.usefixtures("one_thread")

PLACE = Location("audit.yaml", 3, 5)
BASE = Layout.base(tiny_audit.BLOCKS)
DELETED = BASE.without([1, 3])


@pytest.mark.parametrize("begin_token", [False, True])
@pytest.mark.parametrize("layout", [BASE, DELETED])
@pytest.mark.parametrize("output_type", ["multiple_choice", "loglikelihood"])
def test_likelihoods_and_metrics_equal_those_of_the_harnesss_own_class(
    tmp_path: Path, output_type: str, layout: Layout, begin_token: bool
) -> None:
    more = {} if output_type == "multiple_choice" else {"doc_to_target": " {{choices[answer]}}"}
    task = loaded(tiny_tasks.write(tmp_path, "words", output_type, **more))
    tokenizer = tiny_audit.tokenizer(begin_token)
    tokenizer.eos_token = "</s>"
    ours = by_engine(task, tokenizer, BlockStack(tiny_audit.build()), [layout])[layout]
    model = tiny_audit.build().eval()
    if layout != BASE:
        cut(model, layout)
    theirs = by_harness(task, tokenizer, model)
    assert task.facts.documents == tuple(theirs["documents"])
    assert [value for value, _ in ours["answers"]] == pytest.approx([value for value, _ in theirs["answers"]], abs=1e-4)
    assert [greedy for _, greedy in ours["answers"]] == [greedy for _, greedy in theirs["answers"]]
    for metric in task.facts.metrics:
        assert ours[metric].tolist() == theirs[metric]


def test_a_rolling_text_longer_than_the_context_is_summed_over_its_windows(tmp_path: Path) -> None:
    texts = [{"question": "", "answer": tiny_audit.sentence(words, words)} for words in (3, 64, 65, 150)]
    metrics = [{"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False}]
    path = tiny_tasks.write(tmp_path, "rolling", "loglikelihood_rolling", rows=texts, metric_list=metrics)
    with pytest.raises(CannotRun, match="task rolling: found no such metric at all"):
        loaded(path)  # its metrics are of the whole text, and no document has one
    path.write_text(path.read_text().replace("bits_per_byte", "acc"))
    with pytest.raises(CannotRun):
        loaded(path)


def test_text_that_is_written_is_the_harnesss_own(tmp_path: Path) -> None:
    metrics = [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}]
    path = tiny_tasks.write(
        tmp_path,
        "written",
        "generate_until",
        8,
        metric_list=metrics,
        doc_to_target="{{choices[0]}}",
        generation_kwargs={"until": ["\n"], "max_gen_toks": 4, "do_sample": False},
    )
    task, tokenizer = loaded(path), tiny_audit.tokenizer(True)
    tokenizer.eos_token = "</s>"
    assert task.facts.generates
    ours = by_engine(task, tokenizer, BlockStack(tiny_audit.build()), [BASE])[BASE]
    assert ours["exact_match"].tolist() == by_harness(task, tokenizer, tiny_audit.build().eval())["exact_match"]


def test_requests_of_one_shape_run_together_and_nothing_is_padded(tmp_path: Path) -> None:
    task = loaded(tiny_tasks.write(tmp_path, "words", "multiple_choice"))
    tokenizer = tiny_audit.tokenizer(True)
    requests = task_requests.cut(task, tokenizer, 64, 256)
    assert sorted(requests.owners) == list(range(24 * tiny_tasks.CHOICES))
    shapes = [(len(window.ids), window.first, window.last) for window in requests.cut.windows]
    assert shapes == sorted(shapes)
    assert sum(len(batch.ids) for batch in requests.cut.batches) == len(shapes)
    assert len(requests.cut.batches) <= len(shapes) / 3


def test_the_first_documents_are_asked_and_how_many_there_are_is_known(tmp_path: Path) -> None:
    path = tiny_tasks.write(tmp_path, "words", "multiple_choice")
    whole, part = loaded(path), loaded(path, limit=5, metrics=("acc",), shots=0)
    assert (len(part.facts.documents), part.facts.whole, part.facts.metrics) == (5, 24, ("acc",))
    assert part.facts.documents == whole.facts.documents[:5]
    assert whole.facts.chance == pytest.approx(1 / tiny_tasks.CHOICES)
    assert (whole.facts.version, whole.facts.output_type, whole.facts.shots) == ("1.0", "multiple_choice", 0)


def test_worked_examples_are_drawn_alike_each_time(tmp_path: Path) -> None:
    path = tiny_tasks.write(tmp_path, "words", "multiple_choice", fewshot_split="test")
    one, other = loaded(path, shots=2), loaded(path, shots=2)
    assert one.requests == other.requests
    assert one.requests != loaded(path, shots=0).requests
    assert one.facts.shots == 2


# --- files of strangers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [
        "{{ cycler.__init__.__globals__.os.popen('touch ran').read() }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% for x in range(3) %}{{ x.__class__.__base__ }}{% endfor %}",
    ],
)
@pytest.mark.parametrize("key", ["doc_to_text", "description", "doc_to_target"])
def test_a_template_reaches_nothing_but_its_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tiny_tasks.write(tmp_path, "words", "multiple_choice", **{key: template})
    with pytest.raises(CannotRun, match="task words: found that the harness could not make its requests"):
        loaded(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"process_docs": "x"}, "found the setting `process_docs`"),
        ({"use_prompt": "promptsource:x"}, "found the setting `use_prompt`"),
        ({"unsafe_code": True}, "found the setting `unsafe_code`"),
        ({"custom_dataset": "x"}, "found the setting `custom_dataset`"),
        ({"include": "/etc/passwd"}, "found the setting `include`"),
        ({"dataset_path": "owner/name"}, "found 'owner/name'; expected `json`"),
        ({"dataset_kwargs": {"data_dir": "/"}}, "found no files by split"),
        ({"dataset_kwargs": {"data_files": {"test": "words.jsonl"}, "trust_remote_code": True}}, "`trust_remote_code`"),
        ({"metric_list": [{"metric": "acc", "hf_evaluate": True}]}, "found the setting `hf_evaluate`"),
        ({"generation_kwargs": {"custom_generate": "owner/name"}}, "found the setting `custom_generate`"),
        ({"filter_list": [{"name": "a", "filter": [{"function": "custom"}]}]}, "found 'custom'; expected one of"),
        ({"repeats": 4}, "found 4; expected 1"),
    ],
)
def test_settings_that_may_run_code_or_read_elsewhere_are_refused(
    tmp_path: Path, changes: dict[str, Any], found: str
) -> None:
    path = tiny_tasks.write(tmp_path, "words", "multiple_choice", **changes)
    with pytest.raises(CannotRun) as error:
        loaded(path)
    assert found in str(error.value)
    assert str(error.value).startswith(f"{path}:")
    assert "only what cannot run code is taken" in str(error.value)


def test_a_function_in_a_task_file_is_refused_before_it_is_looked_for(tmp_path: Path) -> None:
    path = tiny_tasks.write(tmp_path, "words", "multiple_choice")
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')\n")
    path.write_text(path.read_text() + "process_results: !function evil.run\n")
    with pytest.raises(CannotRun, match="the tag `!function`"):
        loaded(path)


@pytest.mark.parametrize("name", ["absent.jsonl", "../other/words.jsonl", "/etc/passwd"])
def test_documents_lie_beside_their_task(tmp_path: Path, name: str) -> None:
    tiny_tasks.write(tmp_path / "other", "words", "multiple_choice")
    path = tiny_tasks.write(tmp_path / "own", "words", "multiple_choice", dataset_kwargs={"data_files": {"test": name}})
    with pytest.raises(CannotRun):
        loaded(path)


def test_an_unknown_metric_and_a_line_that_is_none_are_named(tmp_path: Path) -> None:
    path = tiny_tasks.write(tmp_path, "words", "multiple_choice")
    with pytest.raises(
        CannotRun, match="task words: found no metric `f1` with a value for each document; expected one of acc"
    ):
        loaded(path, metrics=("f1",))
    (tmp_path / "words.jsonl").write_text('{"question": "a"}\n[1]\n')
    with pytest.raises(CannotRun, match=r"words\.jsonl:2: found a list; expected an object"):
        loaded(path)


def test_a_task_that_the_harness_does_not_have() -> None:
    with pytest.raises(CannotRun) as error:
        harness.load(Task("no-such-task", PLACE))
    assert str(error.value) == (
        "task no-such-task: found no task of the harness; expected the name of a single task, or a file; list them: "
        "lm_eval --tasks list"
    )


def test_data_that_are_not_at_hand_are_said_to_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    with pytest.raises(CannotRun) as error:
        harness.load(Task("arc_easy", PLACE, limit=2))
    assert str(error.value).startswith("task arc_easy: found that the harness could not make its requests (")
    assert "run `lm_eval --tasks arc_easy --limit 1` once" in str(error.value)


def test_without_the_harness_the_remedy_is_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(harness, "find_spec", lambda _: None)
    with pytest.raises(CannotRun) as error:
        loaded(tiny_tasks.write(tmp_path, "words", "multiple_choice"))
    assert str(error.value) == (
        "task words: found no package lm_eval; expected it, to make and score requests; install it: "
        "pip install 'pruneaudit[tasks]'"
    )


def test_documents_are_hashed_as_the_harness_logs_them(tmp_path: Path) -> None:
    task = loaded(tiny_tasks.write(tmp_path, "words", "multiple_choice", 2))
    row = tiny_tasks.rows(2)[0]
    text = json.dumps(row, indent=2, ensure_ascii=False)
    assert task.facts.documents[0] == hashlib.sha256(text.encode()).hexdigest()


def test_what_is_asked_and_how_it_is_scored_have_one_digest(tmp_path: Path) -> None:
    path = tiny_tasks.write(tmp_path, "words", "multiple_choice")
    before = loaded(path).facts.requests
    path.write_text(path.read_text().replace("higher_is_better: true", "higher_is_better: false", 1))
    assert loaded(path).facts.requests != before
