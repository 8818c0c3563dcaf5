"""Says what this machine has, and what an audit file would need here. Works without torch; changes nothing.

Nothing of the environment is repeated but folders of caches: it may hold tokens.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from checker import __version__
from checker.checkpoints.files import NO_TOKENIZER, Files, NotCached, default_hub_cache, locate
from checker.checkpoints.model_facts import facts
from checker.commands.command import command, out_option, set_option
from checker.commands.terminal import tell
from checker.core.errors import CannotRun, DigestMismatch, UsageError
from checker.core.facts import Facts, ModelFacts
from checker.core.records import Audit, TextSource
from checker.measure import machine
from checker.measure.machine import Device, Environment
from checker.reports.destination import default_out
from checker.reports.tables import numbers
from checker.selection.cost import evaluation_tokens, matrix_rate, scoring_tokens, seconds
from checker.selection.plan import plan
from checker.spec import load
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
    """What an audit would need here: packages, model, texts, device, memory, disk and time; each at hand or missing.

    ``folder`` is where its evidence would lie.
    """
    files: Files | None = None
    cost: Iterable[Line]
    try:
        files = locate(audit.model, default_hub_cache(environment))
        cost = _cost(audit, facts(files, audit.model), folder)
        size = sum(path.stat().st_size for path in files.weights)
        model = Line("model", f"at hand, {_size(size)} of weights in {files.folder}")
        if NO_TOKENIZER in files.warnings:
            model = Line("model", NO_TOKENIZER, missing=True)
    except CannotRun as error:
        model = _absent(audit, error, environment)
        cost = (_device(audit, _chosen_device(audit)), Line("cost", "not known until the model is here"))
    return (*_packages(audit, files), model, *_texts(audit, environment), *cost)


def _sources_of(audit: Audit) -> dict[str, TextSource]:
    texts = {"scoring text": audit.scoring.source, "evaluation text": audit.evaluation.source}
    return texts | ({"selection text": audit.selecting.source} if audit.selecting else {})


def _packages(audit: Audit, files: Files | None) -> Iterator[Line]:
    texts = _sources_of(audit).values()
    needed = ["torch", "transformers"]
    if audit.model.kind == "gguf" or str(audit.model.file).endswith(".gguf") or (files and files.config is None):
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


def _absent(audit: Audit, error: CannotRun, environment: Environment) -> Line:
    if isinstance(error, NotCached):
        return _fetched("model", str(audit.model.repo), environment)
    return Line("model", str(error).split("\n")[0], missing=True)


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


def _cost(audit: Audit, model: ModelFacts, folder: Path) -> Iterator[Line]:
    planned = plan(audit, Facts(model))
    cost, device = planned.cost, _chosen_device(audit)
    yield _device(audit, device)
    free = device.free if device else machine.free_memory()
    yield _room("memory", f"about {_size(cost.memory)} beside the program itself", cost.memory, free)
    stored = stored_bytes(audit, Facts(model), cost.layouts)
    yield _room("disk", f"at most about {_size(stored)} of evidence in {folder}", stored, machine.free_disk(folder))
    if device is None or device.name == "cpu":
        rate = matrix_rate()
        yield Line("time", f"about {_duration(seconds(cost, rate))} on this processor")
    else:
        yield Line("time", f"{cost.operations:.2g} floating-point operations on {device.name}; not estimated there")


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
