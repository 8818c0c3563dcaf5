"""Results of lm-evaluation-harness with samples -> scores on a task, of the documents and prompts that the task has.

Nothing shows which weights such results are of: they are evidence of a class of its own, *imported*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from math import isclose, isfinite
from pathlib import Path

from checker.checkpoints.digests import file_sha256
from checker.core.errors import CannotRun, UsageError
from checker.core.escape import one_line
from checker.core.facts import ImportedFacts
from checker.core.records import Task
from checker.core.words import counted, enumerated, examples
from checker.measure.harness import LoadedTask
from checker.spec import harness_results
from checker.spec.harness_results import Results, Sample, Samples

_PRECISION = 1e-6  # to which the mean of samples is the score that the results state

Scores = Mapping[str, list[float]]  # per metric, the value of each document


def imported(task: LoadedTask, settings: Task) -> LoadedTask:
    """The task with the scores in its results; CannotRun says all that is wrong with them, file by file."""
    scores, facts, wrong = {}, [], []
    for subject, path in settings.results.items():
        try:
            results = harness_results.read(Path(path))
            scores[subject] = _scores(task, results)
            facts.append(_facts(task, subject, results))
        except (CannotRun, UsageError) as error:
            wrong.append(f"task {task.facts.name}, results of {subject}: {error}")
    if wrong:
        raise CannotRun("\n".join(wrong))
    return replace(task, facts=replace(task.facts, imported=tuple(facts)), imported=scores)


def _facts(task: LoadedTask, subject: str, results: Results) -> ImportedFacts:
    samples = results.samples_path(task.name)
    inside = isinstance(results.content.get("samples"), dict)
    return ImportedFacts(
        subject,
        results.name,
        file_sha256(results.path),
        None if inside or samples is None else file_sha256(samples),
        None if results.model is None else one_line(results.model, 100),
        results.dtype or None,
        results.harness,
    )


def _scores(task: LoadedTask, results: Results) -> Scores:
    if task.name not in results.content["results"]:
        known = [one_line(name, 60) for name in results.content["results"]]
        remedy = f"it has {examples(known)}; correct `results`" if known else "correct `results`"
        raise CannotRun.at(results.path, f"no results of {task.name}", "them", remedy)
    _check_settings(task, results)
    samples = results.samples(task.name)
    if samples is None or results.wrong:
        found = "; ".join(results.wrong) or f"no samples of {task.name} in it or beside it"
        remedy = "evaluate with `--log_samples`, and keep the files together"
        raise CannotRun.at(results.path, found, "a sample of every document", remedy)
    filters = list(dict.fromkeys(name for name, _, _ in samples))
    by_filter = {name: _of_documents(task, results, samples, name) for name in filters}
    scores = {}
    for metric in task.facts.metrics:
        plain, _, name = metric.partition(",")
        name = name or filters[0]
        if name not in by_filter:
            raise CannotRun.at(results.path, f"no samples by the filter {name}", "them", "correct `metrics`")
        scores[metric] = _values(results, plain, by_filter[name])
        _check_mean(task, results, metric, name, scores[metric])
    return scores


def _check_settings(task: LoadedTask, results: Results) -> None:
    """CannotRun where the task is of another version, or was asked with other worked examples."""
    own = {"versions": ("version", task.facts.version), "n-shot": ("worked examples", str(task.facts.shots))}
    for name, (words, expected) in own.items():
        stated = results.setting(name, task.name)
        if stated is not None and str(stated) != expected:
            raise CannotRun.at(
                results.path,
                f"{words}: {one_line(stated, 40)} of {task.name}",
                f"{expected}, as the audit declares it here",
                "evaluate it anew, or declare the task as it was evaluated",
            )


def _of_documents(task: LoadedTask, results: Results, samples: Samples, name: str) -> list[Sample]:
    """The samples of a filter in the order of the task's documents; CannotRun where they are of other ones."""
    seen: Counter[str] = Counter()
    keys = []
    for document in task.facts.documents:
        keys.append((name, document, seen[document]))
        seen[document] += 1
    own = {key for key in samples if key[0] == name}
    missing, further = len(set(keys) - own), len(own - set(keys))
    if missing or further:
        parts = [f"none of {counted(missing, 'document')} of the task"] if missing else []
        parts += [f"{counted(further, 'sample')} of documents that it does not have"] if further else []
        raise CannotRun.at(
            results.path,
            f"{len(own)} samples, {enumerated(parts)}, by their `doc_hash`",
            f"one of each of the {len(keys)} documents that the audit declares",
            "evaluate the same data with the same `--limit`, or correct `limit`",
        )
    found = [samples[key] for key in keys]
    for number, (sample, prompt) in enumerate(zip(found, task.prompts, strict=True)):
        if sample.prompt not in (None, prompt):
            raise CannotRun.at(
                results.path,
                f"that document {number} was asked in other words, by its `prompt_hash`",
                "the prompt that the task makes here",
                "evaluate it with the same worked examples, without a chat template and a system instruction",
            )
    return found


def _values(results: Results, metric: str, samples: list[Sample]) -> list[float]:
    values = []
    for number, sample in enumerate(samples):
        written = sample.values.get(metric)
        value = None if written is None else float(written)
        if value is None or not isfinite(value):
            found = f"no {metric}" if value is None else f"{metric}: {written}"
            remedy = "name those that the samples have in `metrics`" if value is None else "see what broke there"
            raise CannotRun.at(f"{results.path}, document {number}", found, "a finite number", remedy)
        values.append(value)
    return values


def _check_mean(task: LoadedTask, results: Results, metric: str, name: str, values: list[float]) -> None:
    """CannotRun where the samples do not give the score that stands in the results: they are of another evaluation."""
    stated = results.stated(task.name, f"{metric.partition(',')[0]},{name}")
    own = task.aggregated(metric, values)
    if stated is not None and not isclose(own, stated, rel_tol=_PRECISION, abs_tol=_PRECISION):
        raise CannotRun.at(
            results.path,
            f"{metric} of {stated:.6g} for {task.name}, and samples that give {own:.6g}",
            "the samples of these very results",
            "keep the samples beside the results that they were written with",
        )
