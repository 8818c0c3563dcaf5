"""lm-evaluation-harness: a task -> its documents, what is asked of each, and the scores of answers.

The harness makes the requests and scores what comes back; the answers are this project's. Its templates are rendered in
a sandbox, for a template alone can run commands.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from checker.core.canonical import digest
from checker.core.errors import CannotRun, PruneauditError
from checker.core.facts import TaskFacts
from checker.core.records import Task
from checker.measure import task_files
from checker.measure.explained import in_one_sentence
from checker.measure.task_files import TaskFile

_SEED = 1234  # of the draw of worked examples, the harness's own default
INSTALL = "install it: pip install 'pruneaudit[tasks]'"


@dataclass(frozen=True)
class Request:
    """What is asked of a model: the continuation of a context, a whole text, or text to be written."""

    context: str
    continuation: str = ""  # of text to be written, how that is done


@dataclass(frozen=True)
class LoadedTask:
    """A task whose documents were read."""

    facts: TaskFacts
    requests: tuple[Request, ...]
    task: Any  # the harness's own
    # By `model` or a checkpoint's name, per metric, the value of each document; none: it is run here.
    imported: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the harness calls it: of a file, not the file's name but the one in it."""
        return str(self.task.config.task)

    @property
    def prompts(self) -> tuple[str, ...]:
        """As the harness writes it beside samples: the digest of what each document's first request has before it."""
        from lm_eval.utils import hash_string

        return tuple(hash_string(document[0].arguments[0]) for document in _by_document(self.task.instances))

    def aggregated(self, metric: str, values: Sequence[float]) -> float:
        """The score of a whole task, from the values of its documents."""
        return float(self.task.aggregation()[metric.partition(",")[0]](list(values)))

    def scores(self, answers: Sequence[Any]) -> dict[str, list[float]]:
        """Per metric, the value of each document; ``answers`` are those to the requests, in their order."""
        instances = self.task.instances
        for instance, answer in zip(instances, answers, strict=True):
            instance.resps, instance.filtered_resps = [answer], {}
        values: dict[str, list[float]] = defaultdict(list)
        with _sandboxed(), _quiet():
            self.task.apply_filters()
            for document in _by_document(instances):
                for metric, value in _scored(self.task, document):
                    if metric in self.facts.metrics:
                        values[metric].append(value)
        return {metric: values[metric] for metric in self.facts.metrics}


def load(settings: Task) -> LoadedTask:
    """Reads a task's documents and makes its requests.

    CannotRun where the harness is not installed, has no such task, cannot get its data, or where a task file asks for
    what is not done for strangers.
    """
    if find_spec("lm_eval") is None:
        raise CannotRun.at(f"task {settings.name}", "no package lm_eval", "it, to make and score requests", INSTALL)
    try:
        with _sandboxed(), _quiet():
            file = None if settings.path is None else task_files.read(Path(settings.path))
            task = _own(settings) if file is None else _of_file(file)
            if settings.shots is not None:
                task.set_config("num_fewshot", settings.shots)
            task.set_fewshot_seed(_SEED)
            whole = len(task.eval_docs)
            task.build_all_requests(limit=settings.limit, rank=0, world_size=1)
            return _loaded(settings, task, whole, file and dict(file.settings))
    except PruneauditError:
        raise
    except Exception as error:  # the harness and its tasks raise many kinds
        raise CannotRun.at(
            f"task {settings.name}",
            f"that the harness could not make its requests ({in_one_sentence(error)})",
            "its documents at hand",
            "check the task's name and settings; data of the hub have to be in its cache where there is no network: "
            f"run `lm_eval --tasks {settings.name} --limit 1` once where there is one",
        ) from error


def _own(settings: Task) -> Any:
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    if settings.name not in manager.all_subtasks:
        kind = "the name of a group" if settings.name in manager.all_tasks else "no task of the harness"
        raise CannotRun.at(
            f"task {settings.name}", kind, "the name of a single task, or a file", "list them: lm_eval --tasks list"
        )
    return manager.load([settings.name])["tasks"][settings.name]


def _of_file(file: TaskFile) -> Any:
    from datasets import Dataset, DatasetDict
    from lm_eval.api.task import ConfigurableTask

    rows = {split: Dataset.from_list(list(rows)) for split, rows in file.rows.items()}
    return ConfigurableTask(config={**file.settings, "custom_dataset": lambda **_: DatasetDict(rows)})


def _loaded(settings: Task, task: Any, whole: int, scoring: Any) -> LoadedTask:
    """``scoring`` is what a file says of its task; of one of the harness's own, its version stands for it."""
    if task.OUTPUT_TYPE not in ("multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until"):
        kinds = "multiple_choice, loglikelihood, loglikelihood_rolling or generate_until"
        raise CannotRun.at(f"task {settings.name}", f"answers of kind {task.OUTPUT_TYPE}", kinds, "use another task")
    documents = list(_by_document(task.instances))
    requests = tuple(_request(instance) for instance in task.instances)
    metrics = _metrics(settings, task, documents[0])
    choices = tuple(len(document) for document in documents) if task.OUTPUT_TYPE == "multiple_choice" else ()
    higher = task.higher_is_better()
    facts = TaskFacts(
        name=settings.name,
        version=str(task.VERSION),
        harness=version("lm_eval"),
        output_type=task.OUTPUT_TYPE,
        metrics=metrics,
        higher_is_better=tuple(bool(higher.get(metric.partition(",")[0], True)) for metric in metrics),
        documents=tuple(_document_hash(document[0].doc) for document in documents),
        whole=whole,
        choices=choices,
        shots=int(task.get_config("num_fewshot") or 0),
        requests=digest([[[request.context, request.continuation] for request in requests], scoring]),
    )
    return LoadedTask(facts, requests, task)


def _request(instance: Any) -> Request:
    context, *rest = instance.arguments
    return Request(str(context), "".join(map(str, rest)))


def _by_document(instances: Sequence[Any]) -> Iterator[list[Any]]:
    """The requests of each document, in the order of its choices."""
    grouped: dict[int, list[Any]] = defaultdict(list)
    for instance in instances:
        grouped[instance.doc_id].append(instance)
    for number in sorted(grouped):
        yield sorted(grouped[number], key=lambda instance: instance.idx)


def _metrics(settings: Task, task: Any, document: Sequence[Any]) -> tuple[str, ...]:
    """The metrics that have a number for each document; those asked for where some are."""
    made_up: Any = "" if task.OUTPUT_TYPE == "generate_until" else (-1.0, False)
    answer = -1.0 if task.OUTPUT_TYPE == "loglikelihood_rolling" else made_up
    for instance in task.instances:
        instance.resps, instance.filtered_resps = [answer], {}
    task.apply_filters()
    known = tuple(metric for metric, _ in _scored(task, document))
    missing = [metric for metric in settings.metrics if metric not in known]
    if missing or not known:
        found = f"no metric `{missing[0]}` with a value for each document" if missing else "no such metric at all"
        raise CannotRun.at(f"task {settings.name}", found, f"one of {', '.join(known)}", "correct `metrics`")
    return settings.metrics or known


def _scored(task: Any, document: Sequence[Any]) -> Iterator[tuple[str, float]]:
    """The metrics of one document that are single numbers; those of a further filter bear its name."""
    for number, name in enumerate(document[0].filtered_resps):
        responses = [instance.filtered_resps[name] for instance in document]
        for metric, value in task.process_results(document[0].doc, responses).items():
            if isinstance(value, bool | int | float) or hasattr(value, "item"):
                yield metric if number == 0 else f"{metric},{name}", float(value)


def _document_hash(document: Any) -> str:
    """As the harness writes it beside the samples that it logs."""
    from lm_eval.utils import handle_non_serializable, hash_string

    return str(hash_string(json.dumps(document, indent=2, default=handle_non_serializable, ensure_ascii=False)))


@contextlib.contextmanager
def _sandboxed() -> Iterator[None]:
    """The harness's templates in an environment in which they reach nothing but their document."""
    from jinja2 import BaseLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from lm_eval import utils

    before, module = utils.env, vars(utils)
    safe = ImmutableSandboxedEnvironment(loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True)
    safe.filters["regex_replace"] = utils.regex_replace
    module["env"] = safe
    try:
        yield
    finally:
        module["env"] = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the harness's bars and remarks, beside which this project's progress could not be read."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)


def generated(task: LoadedTask, model: Any, tokenizer: Any) -> list[str]:
    """What a whole model writes for each request, by the harness's own class, one request at a time."""
    from copy import deepcopy

    from lm_eval.models.huggingface import HFLM

    with _sandboxed(), _quiet():
        # It may give the tokenizer a token to pad with.
        written = HFLM(pretrained=model, tokenizer=deepcopy(tokenizer), batch_size=1)
        return list(written.generate_until(task.task.instances, disable_tqdm=True))
