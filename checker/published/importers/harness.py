"""Results of lm-evaluation-harness -> the perplexities in them; hashes show what ran on the same documents.

The harness (github.com/EleutherAI/lm-evaluation-harness) names a figure ``metric,filter``. With ``--log_samples`` it
writes, per task, one line for each document with its ``doc_hash``, into ``samples_<task>_<time>.jsonl`` beside the
results, or, called from Python, into ``samples`` of the results.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checker.core.errors import UsageError
from checker.core.files import opened
from checker.core.words import counted, listed
from checker.published.importers.draft import MODEL, Draft, blank, name_for, one_line
from checker.published.importers.importer import (
    BROKEN,
    Importer,
    Number,
    Request,
    blank_baseline,
    model,
    not_finite,
    parse_json,
    read_json_text,
)
from checker.published.score_files import is_decimal

LARGEST_RESULTS = 32_000_000  # bytes
LARGEST_SAMPLES = 512_000_000  # bytes of one file
_LONGEST_LINE = 16_000_000  # characters of one sample
_MOST_TASKS = 200
_PERPLEXITIES = ("word_perplexity", "byte_perplexity", "perplexity")
_SETTINGS = ("versions", "n-shot", "n-samples")  # per task; where they differ, so does the measurement
_RIGHT = ("acc", "acc_norm", "exact_match")  # 0 or 1 for each document

Documents = Mapping[tuple[str, str, int], Mapping[str, Any]]  # filter, hash, how often seen before


@dataclass(frozen=True)
class _Results:
    """A file of results; ``samples`` are read when they are asked for."""

    path: Path
    name: str
    content: Mapping[str, Any]
    wrong: list[str] = field(default_factory=list)

    @property
    def model(self) -> str | None:
        config = self.content.get("config")
        settings = config.get("model_args") if isinstance(config, dict) else None
        if isinstance(settings, dict):
            name = settings.get("pretrained")
        else:
            match = re.search(r"(?:^|,)pretrained=([^,]+)", str(settings or "")[:2000])
            name = match[1] if match else self.content.get("model_name")
        return name if isinstance(name, str) else None

    @property
    def dtype(self) -> str:
        config = self.content.get("config")
        dtype = config.get("model_dtype") if isinstance(config, dict) else None
        return one_line(dtype.removeprefix("torch."), 100) if isinstance(dtype, str) else ""

    def figures(self) -> Iterator[tuple[str, str, str]]:
        """Task, metric and what is written there: every number, and whatever stands for a perplexity."""
        for task, measured in self.content["results"].items():
            for metric, value in measured.items() if isinstance(measured, dict) else [("", measured)]:
                if isinstance(value, Number) or _is_perplexity(metric):
                    yield task, metric, str(value)

    def setting(self, name: str, task: str) -> Any:
        by_task = self.content.get(name)
        return by_task.get(task) if isinstance(by_task, dict) else None


def _is_perplexity(metric: str) -> bool:
    return metric.partition(",")[0] in _PERPLEXITIES


def is_results(content: Any) -> bool:
    """Whether JSON looks like results of the harness."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("results"), dict)
        and any(name in content for name in ("configs", "versions", "n-shot", "lm_eval_version"))
    )


def _read(path: Path) -> _Results:
    content = read_json_text(path, LARGEST_RESULTS, "results of lm-evaluation-harness")
    if not is_results(content):
        raise UsageError.at(
            path,
            "JSON without `results` and `configs` or `versions`",
            "results of lm-evaluation-harness",
            "for a list of scores, use --from json",
        )
    if len(content["results"]) > _MOST_TASKS:
        raise UsageError.at(path, f"{len(content['results'])} tasks", f"at most {_MOST_TASKS}", "import a part")
    return _Results(path, one_line(path.name), content)


def _documents(results: _Results, task: str) -> Documents | None:
    """The documents of a task; None where no samples are at hand."""
    inside = results.content.get("samples")
    if isinstance(inside, dict) and isinstance(inside.get(task), list):
        return _keyed(inside[task], f"{results.name}, {one_line(task, 60)}", results.wrong)
    if not re.fullmatch(r"[\w.+-]+", task, re.ASCII):  # a task's name comes from the file: it may lead nowhere else
        return None
    path = results.path.with_name(f"samples_{task}_{results.path.stem.removeprefix('results_')}.jsonl")
    if path.is_symlink() or not path.is_file():
        return None
    if path.stat().st_size > LARGEST_SAMPLES:
        results.wrong.append(f"{one_line(path.name)}: more than {LARGEST_SAMPLES:,} bytes")
        return None
    return _keyed(_lines(path, results.wrong), one_line(path.name), results.wrong)


def _lines(path: Path, wrong: list[str]) -> Iterator[Any]:
    with io.TextIOWrapper(opened(path), encoding="utf-8", errors="replace") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            try:
                yield parse_json(line)
            except (ValueError, RecursionError):
                wrong.append(f"{one_line(path.name)}:{number}: a sample that cannot be read")
                return


def _keyed(samples: Iterable[Any], where: str, wrong: list[str]) -> Documents | None:
    """None where no sample has a hash, as those of old versions."""
    seen: Counter[tuple[str, str]] = Counter()
    documents = {}
    without = 0
    for sample in samples:
        digest = sample.get("doc_hash") if isinstance(sample, dict) else None
        if not isinstance(digest, str):
            without += 1
            continue
        key = (str(sample.get("filter", "none")), digest)
        documents[(*key, seen[key])] = {name: sample[name] for name in _RIGHT if name in sample}
        seen[key] += 1
    if without:
        wrong.append(f"{where}: {counted(without, 'sample')} without a `doc_hash`")
    return documents or None


def _draft(request: Request) -> Draft:
    pruned = _read(request.path)
    base = _read(request.base) if request.base is not None else None
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
    results: _Results, contracts: dict[str, Any], keys: dict[tuple[str, str], str], wrong: list[str]
) -> list[dict[str, Any]]:
    """The perplexities; a figure whose task and metric are not among ``keys`` gets a contract of its own."""
    entries = []
    for task, metric, value in results.figures():
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


def _nothing(results: _Results) -> UsageError:
    """That no perplexity can be taken over: none is there, or none is a number."""
    found = [
        f"{one_line(value, 40)} for {one_line(metric, 60)} of {one_line(task, 60)}"
        for task, metric, value in results.figures()
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


def _contract(results: _Results, task: str, metric: str) -> dict[str, Any]:
    version = results.setting("versions", task)
    text = f"{task}, {metric} of lm-evaluation-harness" + (f", task version {version}" if version is not None else "")
    return {"text": one_line(text)} | ({"dtype": results.dtype} if results.dtype else {})


def _same(pruned: _Results, base: _Results, task: str, remarks: list[str]) -> bool:
    """Whether both files measured a task on the same documents, as far as they tell; what is known goes to remarks."""
    name = one_line(task, 60)
    if task not in base.content["results"]:
        remarks.append(f"{name}: only in {pruned.name}")
        return False
    differing = [key for key in _SETTINGS if pruned.setting(key, task) != base.setting(key, task)]
    differing += ["dtype"] if pruned.dtype != base.dtype else []
    after, before = _documents(pruned, task), _documents(base, task)
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


def _changed(task: str, after: Documents, before: Documents) -> Iterator[str]:
    """On how many documents of both an answer became right or wrong."""
    for metric in _RIGHT:
        both = Counter(
            (_right(after[key].get(metric)), _right(before[key].get(metric))) for key in after.keys() & before.keys()
        )
        known = sum(number for answers, number in both.items() if None not in answers)
        if known:
            lost, won = both[False, True], both[True, False]
            yield f"{task}, {metric}: of {known} documents {lost} are right only with --base, {won} only without"


def _right(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return None if str(value) not in ("0", "1", "0.0", "1.0") else str(value).startswith("1")


HARNESS = Importer("harness", "results of lm-evaluation-harness", frozenset({"base", "blocks"}), _draft)
