"""An audit -> its model's files and its texts in windows, before a weight is loaded or anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

from checker.checkpoints import model_card
from checker.checkpoints.digests import check_pin, weights_digest
from checker.checkpoints.files import Files, locate
from checker.checkpoints.model_facts import facts
from checker.checkpoints.provenance.comparison import compared
from checker.checkpoints.trust import check_agreed
from checker.core.errors import CannotRun, NotFinite
from checker.core.facts import CheckpointFacts, EvaluationFacts, Facts, ModelFacts, ProvenanceFacts, ScoringFacts
from checker.core.files import Stamp, check_unchanged, stamps
from checker.core.layouts import Layout
from checker.core.questions import Text
from checker.core.records import Audit, Checkpoint, ModelSource
from checker.measure import dequantised, harness, slots, stretches, task_requests, texts
from checker.measure.fallbacks import fallbacks
from checker.measure.harness import LoadedTask
from checker.measure.imported import imported
from checker.measure.models import fetch, load_tokenizer
from checker.measure.repeats import overlap
from checker.measure.stretches import Stretches
from checker.measure.task_requests import TokenRequests
from checker.spec import checkpoint_facts
from checker.spec.contracts import contracts
from checker.spec.sources import text_file


class Progress(Protocol):
    """Shows how a run goes. Work is counted in floating-point operations."""

    def say(self, text: str) -> None: ...

    def expect(self, work: float) -> None:
        """What is left, from here on; a later call corrects an earlier one."""

    def advance(self, work: float) -> None: ...


class NoProgress:
    """Shows nothing."""

    def say(self, text: str) -> None: ...

    def expect(self, work: float) -> None: ...

    def advance(self, work: float) -> None: ...


@dataclass(frozen=True)
class Found:
    """A model whose files were found, hashed and described; no weight is loaded."""

    source: ModelSource
    files: Files
    stamps: Mapping[Path, Stamp]  # before they were hashed
    facts: ModelFacts
    architecture: slots.Architecture
    tokenizer: Any


@dataclass(frozen=True)
class PreparedCheckpoint:
    """A checkpoint that was found, and the texts and requests of tasks as its own tokenizer cuts them."""

    checkpoint: Checkpoint
    found: Found
    cuts: Mapping[Text, texts.Cut]
    facts: CheckpointFacts
    requests: Mapping[str, TokenRequests] = field(default_factory=dict)
    stretches: Stretches | None = None  # where its tokens are not the model's


@dataclass(frozen=True)
class Prepared:
    """An audit whose model was found and whose texts were read and cut; no weight is loaded and nothing is written."""

    audit: Audit
    started: datetime
    found: Found
    facts: Facts
    cuts: Mapping[Text, texts.Cut]
    begin_token: tuple[texts.Batch, texts.Batch] | None  # one window without and with it
    checkpoints: tuple[PreparedCheckpoint, ...] = ()
    tasks: tuple[LoadedTask, ...] = ()
    requests: Mapping[str, TokenRequests] = field(default_factory=dict)  # by task, as the model's tokenizer cuts them


def prepare(
    audit: Audit,
    progress: Progress | None = None,
    hub_cache: Path | None = None,
    *,
    trust_remote_code: bool = False,
) -> Prepared:
    """Finds the model and the checkpoints, holds their weights against their pins, and cuts the texts into windows.

    ``trust_remote_code`` is the command line's word on code that comes with them; the audit's own must be the same.
    Raises UsageError, CannotRun (model or text not to be had, too long or too short), DigestMismatch.
    """
    further = {f"checkpoints.{each.name}": each.source for each in audit.checkpoints}
    further |= {f"checkpoints.{each.name}": each.steps[0].source for each in audit.series}
    check_agreed({"model": audit.model, **further}, trust_remote_code)
    progress, started = progress or NoProgress(), datetime.now(UTC)
    progress.say(f"reading the model's files: {audit.model.kind}")
    found = _find(audit.model, hub_cache)
    progress.say("tokenising the texts")
    before = stamps(filter(None, (text_file(contract.source) for contract in contracts(audit).values())))
    cuts, scoring, evaluation = _cut(audit, found)
    begin_token = texts.begin_token_windows(audit.evaluation, found.tokenizer)
    evaluation = replace(evaluation, begin_token=begin_token is not None)
    known = Facts(found.facts, scoring, with_overlap(evaluation, cuts["evaluation"], cuts["scoring"]))
    selecting = audit.selecting or audit.scoring
    if selecting.source.kind != "self_generated":  # else the model is needed first
        known = with_selection(known, cuts, *texts.selection(selecting, found.tokenizer))
    elif found.tokenizer.bos_token_id is None:
        raise CannotRun("data.selection: the model's tokenizer has no begin token to sample from; use another text")
    _check_windows(found, cuts)
    _check_vocabulary(found, "evaluation", begin_token or ())
    tasks = tuple(_load_tasks(audit, progress))
    requests = _cut_requests(audit, tasks, found)
    prepared = Prepared(audit, started, found, known, cuts, begin_token, tasks=tasks, requests=requests)
    with dequantised.comparing(found.files, audit.model.blocks) as opened:
        checkpoints = tuple(_checkpoint(prepared, each, progress, hub_cache, opened) for each in audit.checkpoints)
    check_unchanged(before)
    known = replace(
        known, checkpoints=tuple(each.facts for each in checkpoints), tasks=tuple(task.facts for task in tasks)
    )
    audit = checkpoint_facts.with_layers(audit, known)
    return replace(prepared, audit=audit, facts=known, checkpoints=checkpoints)


def _find(source: ModelSource, hub_cache: Path | None) -> Found:
    files = fetch(source, hub_cache)
    before = stamps(files.read)
    weights = weights_digest(files)
    check_pin(source, files, weights)
    card = model_card.facts(files.folder) if source.kind in ("directory", "hub") else None
    described = replace(facts(files, source), digest=weights, card=card)
    architecture = slots.of_files(files, source.blocks)
    packed = described.quantization is not None and files.config is not None
    model = slots.in_facts(described, architecture, packed=packed)
    tokenizer = load_tokenizer(files)
    return Found(source, files, before, replace(model, fallbacks=fallbacks(files, tokenizer)), architecture, tokenizer)


def _cut(audit: Audit, found: Found) -> tuple[dict[Text, texts.Cut], ScoringFacts, EvaluationFacts]:
    """The texts that every model is measured on, as this one's tokenizer cuts them."""
    scoring, scoring_facts = texts.scoring(audit.scoring, found.tokenizer)
    evaluation, evaluation_facts = texts.evaluation(audit.evaluation, found.tokenizer)
    return {"scoring": scoring, "evaluation": evaluation}, scoring_facts, evaluation_facts


def _load_tasks(audit: Audit, progress: Progress) -> Iterator[LoadedTask]:
    for task in audit.tasks:
        progress.say(f"reading the task {task.name}")
        loaded = harness.load(task)
        yield imported(loaded, task) if task.results else loaded


def _cut_requests(audit: Audit, tasks: Iterable[LoadedTask], found: Found) -> dict[str, TokenRequests]:
    """The requests whose answers are likelihoods, in tokens; those of tasks that are not run here need none."""
    cuts = {
        task.facts.name: task_requests.cut(task, found.tokenizer, found.facts.context, audit.scoring.batch_tokens)
        for task in tasks
        if task.facts.of_layouts
    }
    for name, requests in cuts.items():
        _check_vocabulary(found, f"task {name}", requests.cut.batches)
    return cuts


def _check_windows(found: Found, cuts: Mapping[Text, texts.Cut]) -> None:
    _check_context(found.facts, max(len(window.ids) for cut in cuts.values() for window in cut.windows))
    for text, cut in cuts.items():
        _check_vocabulary(found, text, cut.batches)


def _checkpoint(
    prepared: Prepared, checkpoint: Checkpoint, progress: Progress, hub_cache: Path | None, opened: dequantised.Opened
) -> PreparedCheckpoint:
    """A checkpoint's files, its own windows, and where its weights come from."""
    progress.say(f"reading the checkpoint {checkpoint.name}")
    with named(checkpoint.name):
        found = _find(_trusting(checkpoint, prepared.found), hub_cache)
        cuts, scoring, evaluation = _cut(prepared.audit, found)
        _check_windows(found, cuts)
        unlike = _first_unlike(prepared.cuts, cuts)
        origin, reason = _provenance(prepared, found, opened)
        requests = _cut_requests(prepared.audit, prepared.tasks, found)
        stretched, why = _stretches(prepared, cuts, found) if unlike else (None, "")
    read = CheckpointFacts(
        checkpoint.name,
        found.facts,
        scoring,
        evaluation,
        unlike,
        origin,
        reason,
        None if stretched is None else stretched.facts,
        why,
    )
    return PreparedCheckpoint(checkpoint, found, cuts, read, requests, stretched)


def _stretches(prepared: Prepared, cuts: Mapping[Text, texts.Cut], found: Found) -> tuple[Stretches | None, str]:
    """The pieces of text that losses under the two tokenizers are held against each other on; or why there are none."""
    model = prepared.cuts["evaluation"], prepared.found.tokenizer
    return stretches.cut(prepared.audit.evaluation, model, (cuts["evaluation"], found.tokenizer))


def _trusting(checkpoint: Checkpoint, base: Found) -> ModelSource:
    """The source of a checkpoint; one that nothing declares runs the code that the audit lets the model run."""
    if not (checkpoint.by_path and base.files.code):
        return checkpoint.source
    trusting = replace(checkpoint.source, trust_remote_code=True)
    return trusting if slots.same_code(locate(trusting), base.files) else checkpoint.source


def _first_unlike(base: Mapping[Text, texts.Cut], own: Mapping[Text, texts.Cut]) -> str | None:
    """Where a checkpoint's own tokenizer first gives another token id than the model's; None where it never does."""
    for text in ("scoring", "evaluation"):
        windows = zip_longest(base[text].windows, own[text].windows)
        for number, (theirs, ours) in enumerate(windows):
            unit = f"{own[text].batches[0].name} {number} of the {text} text"
            if theirs is None or ours is None:
                return f"{unit} is there for one of the two alone"
            for place, (expected, token) in enumerate(zip_longest(theirs.ids, ours.ids)):
                if token != expected:
                    return f"{unit}, position {place}: token id {token}, and {expected} with the model's tokenizer"
    return None


def _provenance(prepared: Prepared, found: Found, opened: dequantised.Opened) -> tuple[ProvenanceFacts | None, str]:
    """What the weights say of a checkpoint, its slots held against the model's; or why that is not known."""
    try:
        with opened(found.files) as (base, checkpoint):
            known = checkpoint_facts.provenance_facts(compared(base, checkpoint))
    except CannotRun as error:
        return None, str(error)
    layout = None if known.layout is None else Layout.parse(known.layout)
    alike = slots.held_against(prepared.found.architecture, found.architecture, layout)
    return replace(known, slots=alike), ""


def with_selection(known: Facts, cuts: dict[Text, texts.Cut], cut: texts.Cut, facts: ScoringFacts) -> Facts:
    """The facts with those of the text that losses are taken on, whose overlap with the evaluation text counts too."""
    assert known.evaluation is not None
    cuts["selection"] = cut
    if cut.stretches == cuts["scoring"].stretches:
        return replace(known, selection=facts)
    return replace(known, selection=facts, evaluation=with_overlap(known.evaluation, cuts["evaluation"], cut))


def with_overlap(known: EvaluationFacts, evaluation: texts.Cut, other: texts.Cut) -> EvaluationFacts:
    """The facts of the evaluation text with what it shares with another text, where that is more."""
    found = overlap(evaluation.stretches, other.stretches)
    return replace(
        known,
        shared_letters=max(known.shared_letters, found.letters),
        shared_tokens=max(known.shared_tokens, found.tokens),
        shared_windows=max(known.shared_windows, found.windows),
    )


def _check_context(model: ModelFacts, longest: int) -> None:
    if model.context is not None and longest > model.context:
        raise CannotRun.at(
            None,
            f"windows of {longest} tokens",
            f"at most the model's context of {model.context}",
            "lower `window` or `tokens`",
        )


def _check_vocabulary(found: Found, text: Text, batches: Iterable[texts.Batch]) -> None:
    """A token that the model has no embedding for would fail in its forward, on some devices beyond recovery."""
    embeddings = found.architecture.embeddings or found.facts.vocabulary
    for batch in batches:
        ids = batch.whole  # (W, T)
        if int(ids.max()) < embeddings:
            continue
        window, position = (ids >= embeddings).nonzero()[0].tolist()
        raise CannotRun.at(
            f"{text if text.startswith('task') else f'data.{text}'}, {batch.name} {batch.units[window]}",
            f"token id {int(ids[window, position])} at position {position}",
            f"ids below {embeddings}, the model's number of embeddings",
            "the tokenizer does not belong to these weights; use the one that the model was trained with",
        )


@contextmanager
def named(checkpoint: str) -> Iterator[None]:
    """Around work on a checkpoint: what goes wrong is said of it, and not of the model."""
    try:
        yield
    except NotFinite as error:
        raise NotFinite(f"{error.layout} of checkpoint {checkpoint}", error.unit, error.kind) from error
    except CannotRun as error:
        raise CannotRun(f"checkpoint {checkpoint}: {error}") from error
