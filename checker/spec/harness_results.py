"""Files of lm-evaluation-harness: what its results say, and the samples that it wrote beside them.

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
from checker.core.escape import one_line
from checker.core.exact_json import Number, parse_json, read_json_text
from checker.core.files import opened
from checker.core.words import counted

LARGEST_RESULTS = 32_000_000  # bytes
LARGEST_SAMPLES = 512_000_000  # bytes of one file
_LONGEST_LINE = 16_000_000  # characters of one sample
_MOST_TASKS = 200


@dataclass(frozen=True)
class Sample:
    """One document's answer: the digest of what was asked, and its metrics in the digits they were written with."""

    prompt: str | None  # sha256 of the context of its first request; versions before 0.4.3 write none
    values: Mapping[str, str | bool]


Samples = Mapping[tuple[str, str, int], Sample]  # by filter, hash of the document, how often it was seen before


@dataclass(frozen=True)
class Results:
    """A file of results; its samples are read when they are asked for. ``wrong`` says what of them cannot be read."""

    path: Path
    name: str
    content: Mapping[str, Any]
    wrong: list[str] = field(default_factory=list)

    @property
    def model(self) -> str | None:
        """What the results call the model."""
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

    @property
    def harness(self) -> str | None:
        """The version of the harness, where the results say it."""
        version = self.content.get("lm_eval_version")
        return one_line(version, 40) if isinstance(version, str) else None

    def setting(self, name: str, task: str) -> Any:
        """What is written of a task under ``versions``, ``n-shot`` and the like."""
        by_task = self.content.get(name)
        return by_task.get(task) if isinstance(by_task, dict) else None

    def stated(self, task: str, figure: str) -> float | None:
        """A figure of a task, called ``metric,filter``; None where it is no number."""
        measured = self.content["results"].get(task)
        value = measured.get(figure) if isinstance(measured, dict) else None
        return float(value) if isinstance(value, Number) else None

    def samples_path(self, task: str) -> Path | None:
        """The file of a task's samples; None where there is none, and for a name that could lead elsewhere."""
        if not re.fullmatch(r"[\w.+-]+", task, re.ASCII):
            return None
        path = self.path.with_name(f"samples_{task}_{self.path.stem.removeprefix('results_')}.jsonl")
        return None if path.is_symlink() or not path.is_file() else path

    def samples(self, task: str) -> Samples | None:
        """The samples of a task, in their order; None where none are at hand."""
        inside = self.content.get("samples")
        if isinstance(inside, dict) and isinstance(inside.get(task), list):
            return _keyed(inside[task], f"{self.name}, {one_line(task, 60)}", self.wrong)
        path = self.samples_path(task)
        if path is None:
            return None
        if path.stat().st_size > LARGEST_SAMPLES:
            self.wrong.append(f"{one_line(path.name)}: more than {LARGEST_SAMPLES:,} bytes")
            return None
        return _keyed(_lines(path, self.wrong), one_line(path.name), self.wrong)


def is_results(content: Any) -> bool:
    """Whether JSON looks like results of the harness."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("results"), dict)
        and any(name in content for name in ("configs", "versions", "n-shot", "lm_eval_version"))
    )


def read(path: Path) -> Results:
    """UsageError where there is no such file, or where it is no file of results."""
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
    return Results(path, one_line(path.name), content)


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


def _keyed(samples: Iterable[Any], where: str, wrong: list[str]) -> Samples | None:
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
        documents[(*key, seen[key])] = _sample(sample)
        seen[key] += 1
    if without:
        wrong.append(f"{where}: {counted(without, 'sample')} without a `doc_hash`")
    return documents or None


def _sample(written: Mapping[str, Any]) -> Sample:
    prompt = written.get("prompt_hash")
    values = {name: value for name, value in written.items() if isinstance(value, Number | bool) and name != "doc_id"}
    return Sample(prompt if isinstance(prompt, str) else None, values)
