"""Says what this machine has, and what an audit file would need here. Works without torch; changes nothing.

Nothing of the environment is repeated but folders of caches: it may hold tokens.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from checker import __version__
from checker.checkpoints.files import NO_TOKENIZER, Files, NotCached, default_hub_cache, locate
from checker.checkpoints.model_facts import facts
from checker.commands.command import command, out_option, set_option
from checker.commands.terminal import tell
from checker.core.errors import CannotRun, DigestMismatch, UsageError
from checker.core.facts import Facts, ModelFacts
from checker.core.records import Audit, ModelSource, Series, TextSource
from checker.core.words import enumerated
from checker.measure import machine
from checker.measure.machine import Device, Environment
from checker.reports.destination import default_out
from checker.reports.tables import numbers
from checker.selection.cost import evaluation_tokens, matrix_rate, scoring_tokens, seconds
from checker.selection.plan import plan
from checker.spec import load
from checker.spec.series_steps import at_hand, warnings
from checker.spec.sources import text_file, text_identity

PACKAGES = (
    "torch", "transformers", "datasets", "pyarrow", "safetensors", "gguf", "accelerate", "huggingface_hub",
    "markdown-it-py", "numpy", "scipy",
)  # fmt: skip
_ANSWER = 1000  # bytes of one answer to one batch in the store, index included; some 650 were measured
_STORE = 100_000  # bytes of a store with hardly an answer
_FREE_SHARE = 0.9  # of what is free, what a run may count on


@dataclass(frozen=True)
class Line:
    """One thing that was looked at. ``missing`` is what an audit needs and is not here."""

    name: str
    text: str
    missing: bool = False


@command("doctor", "pruneaudit doctor\npruneaudit doctor smollm2-135m")
@click.argument("file", required=False)
@out_option
@set_option
def doctor(file: str | None, out: Path | None, overrides: Sequence[str]) -> None:
    """Says which versions, devices, dtypes, memory, disk and sources there are, and what an audit would need here.

    FILE is an audit file or the name of a packaged audit. Exits with 4 where something that FILE needs is missing.
    """
    if file is None and overrides:
        raise UsageError.at("--set", "no FILE", "the audit file whose values it changes", "name one")
    audit = None if file is None else load.check(file, overrides, attached=False).audit
    folder = out or (Path("runs") if audit is None else default_out(audit))
    _show("This machine", this_machine(folder, os.environ))
    if audit is None:
        return
    lines = needs(audit, folder, os.environ)
    _show(f"\nWhat {file} needs", lines)
    missing = [line.name for line in lines if line.missing]
    tell(f"\nMissing: {', '.join(missing)}." if missing else "\nEverything is here, or can be fetched.")
    sys.exit(4 if missing else 0)


def _show(title: str, lines: Sequence[Line]) -> None:
    tell(title)
    for line in lines:
        tell(f"  {'✗' if line.missing else ' '} {line.name:<17} {line.text}")


def this_machine(folder: Path, environment: Environment) -> tuple[Line, ...]:
    """Versions, devices, processor, memory, disk at ``folder``, and models and texts in the cache."""
    return (*_versions(), *_hardware(folder), *_cached(environment))


def _versions() -> Iterator[Line]:
    yield Line("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Line("pruneaudit", __version__)
    for package in PACKAGES:
        yield Line(package, machine.installed(package) or "not installed")


def _hardware(folder: Path) -> Iterator[Line]:
    devices = machine.devices()
    for device in devices:
        free = "" if device.name == "cpu" else f", {_size(device.free)} free"
        yield Line(device.name, f"{device.about}, computes in {', '.join(device.dtypes) or 'no dtype'}{free}")
    if not devices:
        yield Line("devices", "not known without torch")
    yield Line("cores", f"{machine.cores()}")
    yield Line("memory", f"{_size(machine.total_memory())}, {_size(machine.free_memory())} free")
    yield Line("disk", f"{_size(machine.free_disk(folder))} free where {folder} lies")


def _cached(environment: Environment) -> Iterator[Line]:
    cache = default_hub_cache(environment)
    for name, kind in (("models", "models--"), ("datasets", "datasets--")):
        count = len(list(cache.glob(f"{kind}*"))) if cache.is_dir() else 0
        yield Line(f"{name} cached", f"{count} in {cache}" if cache.is_dir() else f"no folder {cache}")


def needs(audit: Audit, folder: Path, environment: Environment) -> tuple[Line, ...]:
    """What an audit would need here: packages, model, checkpoints, texts, device, memory, disk and time.

    Each is at hand or missing. ``folder`` is where its evidence would lie.
    """
    model = _looked_for("model", audit.model, environment)
    checkpoints = {
        each.name: _looked_for(f"checkpoint {each.name}", each.source, environment) for each in audit.checkpoints
    }
    cost: Iterable[Line]
    if model.facts is None:
        cost = (_device(audit, _chosen_device(audit)), Line("cost", "not known until the model is here"))
    else:
        headers = {name: found.facts for name, found in checkpoints.items() if found.facts is not None}
        cost = _cost(audit, model.facts, headers, folder)
    found = (model, *checkpoints.values())
    lines = [each.line for each in found]
    steps = [line for series in audit.series for line in _steps(audit, series, environment)]
    return (*_packages(audit, found), *lines, *steps, *_texts(audit, environment), *cost)


def _steps(audit: Audit, series: Series, environment: Environment) -> Iterator[Line]:
    """Which steps of a series are at hand, and which of them are one set of weights."""
    cache = default_hub_cache(environment)
    known = at_hand(series, cache)
    local = any(step.source.kind == "directory" for step in series.steps)
    name = f"series {series.name}"
    yield Line(name, f"{len(known.files)} of {len(series.steps)} steps at hand", missing=local and bool(known.absent))
    for note in (*known.notes(), *warnings(audit, known, cache)):
        yield Line("", note.removeprefix(f"{name}: "))


@dataclass(frozen=True)
class _Found:
    """A model that was looked for; what is known of it where it is at hand."""

    line: Line
    source: ModelSource
    files: Files | None = None
    facts: ModelFacts | None = None

    @property
    def packed(self) -> bool:
        """Whether it is a GGUF file."""
        named = self.source.kind == "gguf" or str(self.source.file).endswith(".gguf")
        return named or (self.files is not None and self.files.config is None)


def _looked_for(name: str, source: ModelSource, environment: Environment) -> _Found:
    try:
        files = locate(source, default_hub_cache(environment))
        known = facts(files, source)
    except NotCached:
        return _Found(_fetched(name, str(source.repo), environment), source)
    except CannotRun as error:
        return _Found(Line(name, str(error).split("\n")[0], missing=True), source)
    line = Line(name, f"at hand, {_size(known.weight_bytes or 0)} of weights in {files.folder}")
    if NO_TOKENIZER in files.warnings:
        line = Line(name, NO_TOKENIZER, missing=True)
    return _Found(line, source, files, known)


def _sources_of(audit: Audit) -> dict[str, TextSource]:
    texts = {"scoring text": audit.scoring.source, "evaluation text": audit.evaluation.source}
    return texts | ({"selection text": audit.selecting.source} if audit.selecting else {})


def _packages(audit: Audit, found: Iterable[_Found]) -> Iterator[Line]:
    texts = _sources_of(audit).values()
    needed = ["torch", "transformers"]
    if any(each.packed for each in found):
        needed += ["gguf", "accelerate"]
    if any(text.kind == "hub" for text in texts):
        needed.append("datasets")
    if any(str(text.path or text.file).endswith(".parquet") for text in texts):
        needed.append("pyarrow")
    missing = [package for package in needed if machine.installed(package) is None]
    if missing:
        yield Line("packages", f"not installed: {', '.join(missing)}; pip install 'pruneaudit[measure]'", missing=True)
    else:
        yield Line("packages", f"{', '.join(needed)} are installed")


def _texts(audit: Audit, environment: Environment) -> Iterator[Line]:
    cache = default_hub_cache(environment)
    for name, source in _sources_of(audit).items():
        try:
            path = text_file(source)
            text_identity(source)  # which holds the text against the digest that the audit pins
        except (CannotRun, DigestMismatch) as error:
            yield Line(name, str(error).split("\n")[0], missing=True)
            continue
        if path is not None:
            yield Line(name, f"at hand, {path}")
        elif source.kind == "self_generated":
            yield Line(name, "sampled from the model while measuring")
        elif (cache / f"datasets--{str(source.repo).replace('/', '--')}").is_dir():
            yield Line(name, f"{source.name}, in the cache")
        else:
            yield _fetched(name, source.name, environment)


def _fetched(name: str, repo: str, environment: Environment) -> Line:
    """What has to be fetched; it is missing where the environment forbids the network. The hub itself is not asked."""
    forbidden = machine.offline(environment)
    text = f"{repo}, to be fetched from the hub"
    return Line(name, f"{text}, which {forbidden} forbids" if forbidden else text, missing=forbidden is not None)


def _cost(audit: Audit, model: ModelFacts, headers: Mapping[str, ModelFacts], folder: Path) -> Iterator[Line]:
    planned = plan(audit, Facts(model), headers)
    cost, device = planned.cost, _chosen_device(audit)
    yield _device(audit, device)
    yield from _devices_of_checkpoints(audit)
    free = device.free if device else machine.free_memory()
    yield _room("memory", f"about {_size(cost.memory)} beside the program itself", cost.memory, free)
    stored = stored_bytes(audit, Facts(model), cost.layouts)
    yield _room("disk", f"at most about {_size(stored)} of evidence in {folder}", stored, machine.free_disk(folder))
    if device is None or device.name == "cpu":
        rate = matrix_rate()
        yield Line("time", f"about {_duration(seconds(cost, rate))} on this processor")
    else:
        yield Line("time", f"{cost.operations:.2g} floating-point operations on {device.name}; not estimated there")
    if unknown := [each.name for each in audit.checkpoints if each.name not in headers]:
        yield Line("cost", f"without {enumerated(unknown)}: not known until at hand")


def _devices_of_checkpoints(audit: Audit) -> Iterator[Line]:
    """Where checkpoints run, and in what, where that is not as the model does."""
    for checkpoint in audit.checkpoints:
        own = audit.of_checkpoint(checkpoint)
        if (own.model.device, own.model.dtype) != (audit.model.device, audit.model.dtype):
            yield replace(_device(own, _chosen_device(own)), name=f"device, {checkpoint.name}")


def stored_bytes(audit: Audit, known: Facts, layouts: int) -> int:
    """At most so many bytes the evidence of ``layouts`` takes, about: three quantities of each, batch by batch."""
    contracts = ((audit.scoring, scoring_tokens(audit.scoring)), (audit.evaluation, evaluation_tokens(audit, known)))
    batches = max(tokens // contract.batch_tokens + 1 for contract, tokens in contracts)
    return _STORE + layouts * 3 * batches * _ANSWER


def _room(name: str, what: str, needed: int, free: int) -> Line:
    fits = needed <= free * _FREE_SHARE
    return Line(name, f"{what}, of {_size(free)} free" + ("" if fits else ": too little"), missing=not fits)


def _chosen_device(audit: Audit) -> Device | None:
    """The device that the audit would run on; None without torch, or where there is no such device."""
    devices = {device.name: device for device in machine.devices()}
    name = audit.model.device
    if name == "auto":
        name = "cuda:0" if "cuda:0" in devices else "cpu"
    return devices.get("cuda:0" if name == "cuda" else name)


def _device(audit: Audit, device: Device | None) -> Line:
    name = audit.model.device
    if machine.installed("torch") is None:
        return Line("device", f"{name}; not known without torch", missing=True)
    if device is None:
        return Line("device", f"{name} is not here; use `device: auto`", missing=True)
    if audit.model.dtype not in device.dtypes:
        able = ", ".join(device.dtypes) or "no dtype"
        return Line("device", f"{device.name} does not compute in {audit.model.dtype}, but in {able}", missing=True)
    return Line("device", f"{device.name} ({device.about}), in {audit.model.dtype}")


def _size(count: int) -> str:
    return numbers.size(count).replace("\u00a0", " ")


def _duration(time: float) -> str:
    return numbers.seconds(time).replace("\u00a0", " ")
