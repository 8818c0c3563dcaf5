"""An audit -> its model's files and its texts in windows, before a weight is loaded or anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from checker.checkpoints import model_card
from checker.checkpoints.digests import check_pin, weights_digest
from checker.checkpoints.files import Files
from checker.checkpoints.model_facts import facts
from checker.checkpoints.trust import check_agreed
from checker.core.errors import CannotRun
from checker.core.facts import CheckpointFacts, EvaluationFacts, Facts, ModelFacts, ScoringFacts
from checker.core.files import Stamp, check_unchanged, stamps
from checker.core.layouts import Layout
from checker.core.questions import Text
from checker.core.records import Audit
from checker.measure import slots, texts
from checker.measure.fallbacks import fallbacks
from checker.measure.models import fetch, load_tokenizer
from checker.measure.repeats import overlap
from checker.spec import claimed_checkpoints
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
class Prepared:
    """An audit whose model was found and whose texts were read and cut; no weight is loaded and nothing is written."""

    audit: Audit
    started: datetime
    files: Files
    facts: Facts
    cuts: Mapping[Text, texts.Cut]
    begin_token: tuple[texts.Batch, texts.Batch] | None  # one window without and with it
    tokenizer: Any
    stamps: Mapping[Path, Stamp]  # of the model's files, before they were hashed


def prepare(
    audit: Audit,
    progress: Progress | None = None,
    hub_cache: Path | None = None,
    *,
    trust_remote_code: bool = False,
) -> Prepared:
    """Finds the model, holds its weights against their pin, and cuts the texts into windows.

    ``trust_remote_code`` is the command line's word on code that comes with the model; the audit's own must be the
    same. Raises UsageError, CannotRun (model or text not to be had, too long or too short), DigestMismatch.
    """
    check_agreed(audit.model, trust_remote_code)
    progress, started = progress or NoProgress(), datetime.now(UTC)
    progress.say(f"reading the model's files: {audit.model.kind}")
    files = fetch(audit.model, hub_cache)
    model_stamps = stamps(files.read)
    weights = weights_digest(files)
    check_pin(audit.model, files, weights)
    card = model_card.facts(files.folder) if audit.model.kind in ("directory", "hub") else None
    described = replace(facts(files, audit.model), digest=weights, card=card)
    architecture = slots.of_files(files, audit.model.blocks)
    packed = described.quantization is not None and files.config is not None
    model = slots.in_facts(described, architecture, packed=packed)
    progress.say("tokenising the texts")
    text_stamps = stamps(filter(None, (text_file(contract.source) for contract in contracts(audit).values())))
    tokenizer = load_tokenizer(files)
    model = replace(model, fallbacks=fallbacks(files, tokenizer))
    scoring, scoring_facts = texts.scoring(audit.scoring, tokenizer)
    evaluation, evaluation_facts = texts.evaluation(audit.evaluation, tokenizer)
    cuts: dict[Text, texts.Cut] = {"scoring": scoring, "evaluation": evaluation}
    begin_token = texts.begin_token_windows(audit.evaluation, tokenizer)
    evaluation_facts = replace(evaluation_facts, begin_token=begin_token is not None)
    known = Facts(model, scoring_facts, with_overlap(evaluation_facts, evaluation, scoring))
    selecting = audit.selecting or audit.scoring
    if selecting.source.kind != "self_generated":  # else the model is needed first
        known = with_selection(known, cuts, *texts.selection(selecting, tokenizer))
    elif tokenizer.bos_token_id is None:
        raise CannotRun("data.selection: the model's tokenizer has no begin token to sample from; use another text")
    check_unchanged(text_stamps)
    _check_context(model, max(len(window.ids) for cut in cuts.values() for window in cut.windows))
    embeddings = architecture.embeddings or model.vocabulary
    for text, cut in cuts.items():
        _check_vocabulary(embeddings, text, cut.batches)
    _check_vocabulary(embeddings, "evaluation", begin_token or ())
    if claimed_checkpoints.naming_one(audit):
        progress.say("reading the checkpoints that claims name")
        known = replace(known, checkpoints=tuple(_checkpoints(audit, files, architecture)))
        audit = claimed_checkpoints.with_layers(audit, known.checkpoints)
    return Prepared(audit, started, files, known, cuts, begin_token, tokenizer, model_stamps)


def _checkpoints(audit: Audit, files: Files, model: slots.Architecture) -> Iterator[CheckpointFacts]:
    """The facts of the checkpoints that claims name, their slots held against the model's."""
    named = claimed_checkpoints.naming_one(audit)
    for claim, fact in zip(named, claimed_checkpoints.read(audit, files), strict=True):
        layout = None if fact.layout is None else Layout.parse(fact.layout)
        compared = slots.compared(model, files, Path(str(claim.checkpoint)), layout, audit.model.blocks)
        yield replace(fact, slots=compared)


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


def _check_vocabulary(embeddings: int, text: Text, batches: Iterable[texts.Batch]) -> None:
    """A token that the model has no embedding for would fail in its forward, on some devices beyond recovery."""
    for batch in batches:
        if int(batch.ids.max()) < embeddings:
            continue
        window, position = (batch.ids >= embeddings).nonzero()[0].tolist()
        raise CannotRun.at(
            f"data.{text}, {batch.name} {batch.units[window]}",
            f"token id {int(batch.ids[window, position])} at position {position}",
            f"ids below {embeddings}, the model's number of embeddings",
            "the tokenizer does not belong to these weights; use the one that the model was trained with",
        )
