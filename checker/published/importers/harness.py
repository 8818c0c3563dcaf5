"""Results of lm-evaluation-harness -> the perplexities in them; hashes show what ran on the same documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from checker.core.errors import UsageError
from checker.core.escape import one_line
from checker.core.exact_json import Number
from checker.core.words import listed
from checker.published.importers.draft import MODEL, Draft, blank, name_for
from checker.published.importers.importer import (
    BROKEN,
    Importer,
    Request,
    blank_baseline,
    model,
    not_finite,
)
from checker.published.score_files import is_decimal
from checker.spec import harness_results
from checker.spec.harness_results import Results, Sample, Samples

_PERPLEXITIES = ("word_perplexity", "byte_perplexity", "perplexity")
_SETTINGS = ("versions", "n-shot", "n-samples")  # per task; where they differ, so does the measurement
_RIGHT = ("acc", "acc_norm", "exact_match")  # 0 or 1 for each document


def _figures(results: Results) -> Iterator[tuple[str, str, str]]:
    """Task, metric and what is written there: every number, and whatever stands for a perplexity."""
    for task, measured in results.content["results"].items():
        for metric, value in measured.items() if isinstance(measured, dict) else [("", measured)]:
            if isinstance(value, Number) or _is_perplexity(metric):
                yield task, metric, str(value)


def _is_perplexity(metric: str) -> bool:
    return metric.partition(",")[0] in _PERPLEXITIES


def _draft(request: Request) -> Draft:
    pruned = harness_results.read(request.path)
    base = harness_results.read(request.base) if request.base is not None else None
    remarks: list[str] = []
    wrong: list[str] = []
    contracts: dict[str, Any] = {}
    keys: dict[tuple[str, str], str] = {}
    removals = _entries(pruned, contracts, keys, wrong)
    if not removals:
        raise _nothing(pruned)
    baselines: list[dict[str, Any]] = []
    if base is not None:
        same = [task for task in pruned.content["results"] if _same(pruned, base, task, remarks)]
        shared = {(task, metric): key for (task, metric), key in keys.items() if task in same}
        baselines = _entries(base, contracts, shared, wrong)
    else:
        remarks.append("results of the unpruned model were not given (--base FILE); its perplexity is a blank")
    known = {entry["contract"] for entry in baselines}
    baselines += [blank_baseline(entry["contract"]) for entry in removals if entry["contract"] not in known]
    name = pruned.model
    return Draft(
        origin=pruned.name,
        title=f"Published perplexities of {name or pruned.name}",
        source=blank("title of the paper, card or report that the results belong to"),
        models={MODEL: model(base.model if base else None, request.blocks)},
        contracts=contracts,
        baselines=[{"model": MODEL, **entry} for entry in baselines],
        removals=[_removal(entry, number, name) for number, entry in enumerate(removals, 1)],
        remarks=remarks,
        not_understood=[*pruned.wrong, *(base.wrong if base else ()), *wrong],
    )


def _entries(
    results: Results, contracts: dict[str, Any], keys: dict[tuple[str, str], str], wrong: list[str]
) -> list[dict[str, Any]]:
    """The perplexities; a figure whose task and metric are not among ``keys`` gets a contract of its own."""
    entries = []
    for task, metric, value in _figures(results):
        if problem := _problem(metric, value):
            figure = f"{one_line(task, 60)}, {one_line(metric, 60)} {one_line(value, 40)}"
            wrong.append(f"{results.name}: {figure}: {problem}")
            continue
        key = keys.setdefault((task, metric), name_for(f"{task}-{metric.partition(',')[0]}", contracts))
        contracts.setdefault(key, _contract(results, task, metric))
        where = one_line(f"{results.name}, {task}, {metric}")
        entries.append({"contract": key, "perplexity": value, "archive": True, "where": where})
    return entries


def _problem(metric: str, value: str) -> str | None:
    """Why a figure is not taken over; None for a perplexity."""
    if not _is_perplexity(metric):
        return "no perplexity"
    if not_finite(value):
        return BROKEN
    return None if is_decimal(value) else "no number that an audit file takes"


def _nothing(results: Results) -> UsageError:
    """That no perplexity can be taken over: none is there, or none is a number."""
    found = [
        f"{one_line(value, 40)} for {one_line(metric, 60)} of {one_line(task, 60)}"
        for task, metric, value in _figures(results)
        if _is_perplexity(metric)
    ]
    if not found:
        return UsageError.at(
            results.path,
            f"no figure called {', '.join(_PERPLEXITIES)}",
            "one, for `published:` has no place for other measures",
            "choose results with a perplexity",
        )
    return UsageError.at(
        results.path,
        listed(found),
        "a finite number",
        "see whether the model or its evaluation broke, or choose other results",
    )


def _removal(entry: dict[str, Any], number: int, name: str | None) -> dict[str, Any]:
    called = f" ({one_line(name, 80)})" if name else ""
    return {
        "id": f"result-{number}",
        "model": MODEL,
        "method": blank("what chose the blocks, as the source calls it"),
        "layers": blank(f"the blocks that the evaluated model{called} lacks, counted from 0, as in [21, 22]"),
        "selected_on": blank("the text that the blocks were chosen on, or unstated"),
        **entry,
    }


def _contract(results: Results, task: str, metric: str) -> dict[str, Any]:
    version = results.setting("versions", task)
    text = f"{task}, {metric} of lm-evaluation-harness" + (f", task version {version}" if version is not None else "")
    return {"text": one_line(text)} | ({"dtype": results.dtype} if results.dtype else {})


def _same(pruned: Results, base: Results, task: str, remarks: list[str]) -> bool:
    """Whether both files measured a task on the same documents, as far as they tell; what is known goes to remarks."""
    name = one_line(task, 60)
    if task not in base.content["results"]:
        remarks.append(f"{name}: only in {pruned.name}")
        return False
    differing = [key for key in _SETTINGS if pruned.setting(key, task) != base.setting(key, task)]
    differing += ["dtype"] if pruned.dtype != base.dtype else []
    after, before = pruned.samples(task), base.samples(task)
    if after is None or before is None:
        missing = " and ".join(each.name for each, own in ((pruned, after), (base, before)) if own is None)
        remarks.append(f"{name}: no samples beside {missing}, so nothing shows that both ran on the same documents")
    else:
        both = len(after.keys() & before.keys())
        alone = f"{len(after) - both} only in {pruned.name}, {len(before) - both} only in {base.name}"
        remarks.append(f"{name}: {both} documents in both files by their hash, {alone}")
        remarks += _changed(name, after, before)
        if both < len(after) or both < len(before):
            differing.append("documents")
    if differing:
        what = ", ".join(differing)
        remarks.append(f"{name}: the two files differ in {what}, so that each has a contract of its own")
    return not differing


def _changed(task: str, after: Samples, before: Samples) -> Iterator[str]:
    """On how many documents of both an answer became right or wrong."""
    for metric in _RIGHT:
        both = Counter(
            (_right(after[key], metric), _right(before[key], metric)) for key in after.keys() & before.keys()
        )
        known = sum(number for answers, number in both.items() if None not in answers)
        if known:
            lost, won = both[False, True], both[True, False]
            yield f"{task}, {metric}: of {known} documents {lost} are right only with --base, {won} only without"


def _right(sample: Sample, metric: str) -> bool | None:
    value = sample.values.get(metric)
    if isinstance(value, bool):
        return value
    return None if str(value) not in ("0", "1", "0.0", "1.0") else str(value).startswith("1")


HARNESS = Importer("harness", "results of lm-evaluation-harness", frozenset({"base", "blocks"}), _draft)
