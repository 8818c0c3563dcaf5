"""A task's answers twice: by the engine, and by lm-evaluation-harness's own class and evaluator."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lm_eval import evaluator
from lm_eval.models.huggingface import HFLM

from checker.core.layouts import Layout
from checker.core.questions import Question, documents_of, requests_of
from checker.core.records import Location, Task
from checker.core.store import Scope, Store
from checker.measure import harness, task_requests
from checker.measure.answering import Answering
from checker.measure.blocks import BlockStack
from checker.measure.engine import Engine
from checker.measure.harness import LoadedTask
from checker.measure.tasks import TaskRun

Answers = dict[str, Any]


def loaded(path: Path, **settings: Any) -> LoadedTask:
    return harness.load(Task(path.stem, Location("audit.yaml", 3, 5), str(path), **settings))


def by_engine(
    task: LoadedTask, tokenizer: Any, stack: BlockStack, layouts: list[Layout], context: int = 64
) -> dict[Layout, Answers]:
    """Per layout, the answers to all requests and the values of every metric."""
    requests = {} if task.facts.generates else {task.facts.name: task_requests.cut(task, tokenizer, context, 1024)}
    text, documents = requests_of(task.facts.name), documents_of(task.facts.name)
    scopes = dict.fromkeys((text, documents), Scope("weights", "contract"))
    cuts = {requests_of(name): each.cut for name, each in requests.items()}
    audit: Any = SimpleNamespace(scoring=SimpleNamespace(begin_tokens_before=0, batch_tokens=1024), selecting=None)
    with Store(Path("tasks.db"), in_memory=True) as store:
        answering = Answering(audit, store, scopes, cuts, lambda: Engine(stack), lambda *_: None)
        TaskRun("model", [task], requests, answering, tokenizer).measure(Layout.base(len(stack)), layouts)
        found: dict[Layout, Answers] = {}
        for layout in layouts:
            part = {
                metric: store.get(scopes[documents], Question(documents, metric, layout), 1)
                for metric in task.facts.metrics
            }
            if requests:
                asked = [Question(text, quantity, layout) for quantity in ("nll", "greedy")]
                values = answering.answer(asked)
                part["answers"] = requests[task.facts.name].answers(*(values[question] for question in asked))
            found[layout] = part
    return found


def by_harness(task: LoadedTask, tokenizer: Any, model: Any, context: int = 64) -> Answers:
    """The harness's own class and evaluator on the same requests, one at a time."""
    written = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=context)
    ran = evaluator.evaluate(
        lm=written, task_dict={"tasks": {task.facts.name: task.task}}, log_samples=True, bootstrap_iters=0,
        limit=len(task.facts.documents),
    )  # fmt: skip
    samples = ran["samples"][task.facts.name]
    metrics = {metric: [float(sample[metric]) for sample in samples] for metric in task.facts.metrics}
    answers = [response[0] for sample in samples for response in sample["resps"]]
    return metrics | {"answers": answers, "documents": [sample["doc_hash"] for sample in samples]}
