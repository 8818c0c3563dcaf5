"""A store -> the evidence of an audit: facts about its files, and answers by question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from typing import Any, TypedDict, TypeVar

from checker.core.canonical import restored, restored_row
from checker.core.errors import RESTORE, CannotRun, EvidenceDamaged, EvidenceMissing
from checker.core.facts import CheckpointFacts, EvaluationFacts, Facts, ModelFacts, ScoringFacts, StepFacts, TaskFacts
from checker.core.questions import PORTIONS, Evidence, Question, StepEvidence, Text, Values, documents_of, stretches_of
from checker.core.records import Audit, Checkpoint, TextSource
from checker.core.store import Scope, Store
from checker.spec import checkpoint_facts, timings
from checker.spec.contracts import (
    TASK_RECORD,
    checkpoint_scopes,
    contracts,
    digests_under,
    model_scopes,
    together,
)
from checker.spec.series_steps import STEP_RECORD, STOPPED
from checker.spec.sources import text_identity

TextFacts = TypeVar("TextFacts", ScoringFacts, EvaluationFacts)


class _Stopped(TypedDict):  # why a step could not be measured; empty once it was
    why: str


class _Read(TypedDict):  # a text that a run read
    identity: str


def stored_evidence(audit: Audit, store: Store) -> Evidence:
    """The facts and answers that ``store`` holds for ``audit``; EvidenceMissing where it never saw this model."""
    # A pin that was added or changed since leads to the weights that were measured; whether it fits them is a rule's.
    pinned, unpinned = audit.model.identity, audit.model.unpinned.identity
    record = store.read_record("model", pinned) or store.read_record("model", unpinned)
    if record is None:
        raise EvidenceMissing.at(
            store.path, "no measurement of this audit's model", "one", "measure first: pruneaudit run"
        )
    model = _restored_model(record, str(store.path))
    texts = {name: _identity(contract.source, store) for name, contract in contracts(audit).items()}
    digests = digests_under(audit, texts, model.tokenizer_digest)
    scoring = store.read_record("scoring", digests["scoring"])
    selection = store.read_record("selection", digests["selection"]) if audit.selecting else scoring
    evaluation = store.read_record("evaluation", together(digests))
    recorded = partial(store.read_record, checkpoint_facts.RECORD)
    checkpoints = checkpoint_facts.restore(audit, model, together(digests), recorded, str(store.path))
    tasks = tuple(_tasks(audit, store))
    facts = Facts(
        model,
        _restored_text(ScoringFacts, scoring, f"{store.path}, scoring") if scoring else None,
        _restored_text(EvaluationFacts, evaluation, f"{store.path}, evaluation") if evaluation else None,
        _restored_text(ScoringFacts, selection, f"{store.path}, selection") if selection else None,
        checkpoints,
        tasks,
    )
    under = model_scopes(audit, facts, digests)
    others = {each.name: _of_checkpoint(audit, each, facts, under["scoring"], store) for each in checkpoints}
    recorded_timings = partial(store.read_records, timings.RECORD)
    timed = timings.restore(audit, model, checkpoints, recorded_timings, str(store.path))
    asked = checkpoint_facts.with_layers(audit, facts)
    series = {each.name: tuple(_of_step(audit, step, store) for step in each.steps) for each in audit.series}
    return Evidence(asked, facts, _answers(store, facts, under), others, timed, series)


def _of_step(audit: Audit, step: Checkpoint, store: Store) -> StepEvidence:
    """The evidence of one step, as that of an audit of the step alone; or why there is none."""
    stopped = store.read_record(STOPPED, step.source.identity)
    if stopped is not None and (why := restored_row(_Stopped, stopped, f"{store.path}, {step.name}")["why"]):
        return StepEvidence(step, None, None, f"step {step.step} could not be measured: {why}")
    try:
        evidence = stored_evidence(audit.of_step(step), store)
    except EvidenceMissing:
        return StepEvidence(step, None, None, f"step {step.step} is not measured; run the audit to its end")
    place = f"{store.path}, {step.name}"
    record = store.read_record(STEP_RECORD, str(evidence.facts.model.digest))
    return StepEvidence(step, evidence, None if record is None else restored(StepFacts, record, place))


def _tasks(audit: Audit, store: Store) -> Iterator[TaskFacts]:
    """The facts of the tasks that a run read; EvidenceDamaged where they do not fit each other."""
    for task in audit.tasks:
        record = store.read_record(TASK_RECORD, task.identity)
        if record is None:
            continue
        fact = restored(TaskFacts, record, f"{store.path}, task")
        documents = len(fact.documents)
        sound = fact.name == task.name and 0 < documents <= fact.whole and len(fact.choices) in (0, documents)
        if not sound or len(fact.metrics) != len(fact.higher_is_better) or not all(fact.choices):
            wrong = f"facts of {fact.name!r:.40} with {documents} documents and {len(fact.choices)} numbers of choices"
            raise EvidenceDamaged.at(f"{store.path}, task", wrong, f"those of {task.name}", RESTORE)
        yield fact


def _of_checkpoint(audit: Audit, fact: CheckpointFacts, known: Facts, model: Scope, store: Store) -> Evidence:
    """The evidence of a checkpoint, as that of an audited model; ``model`` is under what the model's is stored."""
    own, place = audit.of_checkpoint(audit.checkpoint(fact.name)), f"{store.path}, checkpoint {fact.name}"
    _check_model(fact.model, place)
    _check_text(fact.scoring, place)
    _check_text(fact.evaluation, place)
    under = checkpoint_scopes(audit, fact, known.tasks, model)
    facts, further = replace(fact.own, tasks=known.tasks), {}
    if fact.stretches is not None:
        further[stretches_of(fact.name)] = fact.stretches.own_batches, len(fact.stretches.own)
    return Evidence(own, facts, _answers(store, facts, under, further))


def _answers(
    store: Store, facts: Facts, under: Mapping[Text, Scope], further: Mapping[Text, tuple[int, int]] | None = None
) -> Callable[[Question], Values | None]:
    sizes = _sizes(facts) | dict(further or {})

    @cache
    def answer(question: Question) -> Values | None:
        batches, length = sizes[question.text]
        expected: Sequence[int] = (length,)
        if question.pooled:  # one value per portion that is large enough
            batches, expected = 1, range(1, len(PORTIONS) + 1)
        values = store.get(under[question.text], question, batches)
        if values is not None and len(values) not in expected:
            raise EvidenceDamaged.at(
                store.path,
                f"{len(values)} values of {question.asked} for layout {question.layout} ({question.text})",
                f"{', '.join(map(str, expected))} by its contract",
                RESTORE,
            )
        return values

    return answer


def _sizes(facts: Facts) -> dict[Text, tuple[int, int]]:
    """Per text, in how many batches an answer is stored, and how many values these hold: one per prompt or window."""
    prompts = (facts.scoring.batches, facts.scoring.prompts) if facts.scoring else (0, 0)
    return {
        "scoring": prompts,
        "selection": (facts.selection.batches, facts.selection.prompts) if facts.selection else (0, 0),
        "float32": prompts,
        "model": prompts,
        "evaluation": (facts.evaluation.batches, len(facts.evaluation.scored)) if facts.evaluation else (0, 0),
        "begin_token": (1, 3),  # the sums without and with it, and the tokens scored
        **{documents_of(task.name): (1, len(task.documents)) for task in facts.tasks},
        **{
            stretches_of(each.name): (each.stretches.model_batches, len(each.stretches.model))
            for each in facts.checkpoints
            if each.stretches is not None
        },
    }


def _identity(source: TextSource, store: Store) -> str:
    """What names the text: of the file at hand, or as recorded where the file is not here, or the store is sealed."""
    with suppress(CannotRun):
        if not store.sealed:
            return text_identity(source)
    record = store.read_record("text", source.identity)
    return restored_row(_Read, record, f"{store.path}, text")["identity"] if record else "never read"


def _restored_text(kind: type[TextFacts], record: Mapping[str, Any], place: str) -> TextFacts:
    found = restored(kind, record, place)
    _check_text(found, place)
    return found


def _check_text(found: ScoringFacts | EvaluationFacts, place: str) -> None:
    """EvidenceDamaged where a text's facts do not fit each other."""
    units = found.prompts if isinstance(found, ScoringFacts) else len(found.scored)
    if list(found.repeats) != sorted(set(found.repeats)) or any(unit >= units for unit in found.repeats):
        raise EvidenceDamaged.at(
            f"{place}, repeats", f"{list(found.repeats)!r:.80}", f"numbers below {units}, ascending", RESTORE
        )
    if isinstance(found, ScoringFacts) and len(found.kinds) not in (0, units):
        raise EvidenceDamaged.at(f"{place}, kinds", f"{len(found.kinds)} of them", f"one for each of {units}", RESTORE)
    if isinstance(found, EvaluationFacts) and not 0 <= found.shared_windows <= 1:
        raise EvidenceDamaged.at(f"{place}, shared_windows", str(found.shared_windows), "a share", RESTORE)
    if isinstance(found, EvaluationFacts) and len(found.scored_bytes) not in (0, units):
        raise EvidenceDamaged.at(
            f"{place}, scored_bytes", f"{len(found.scored_bytes)} of them", f"one for each of {units}", RESTORE
        )


def _restored_model(record: Mapping[str, Any], place: str) -> ModelFacts:
    model = restored(ModelFacts, record, f"{place}, model")
    _check_model(model, place)
    return model


def _check_model(model: ModelFacts, place: str) -> None:
    """EvidenceDamaged where a model's facts do not fit each other."""
    lengths = {len(model.block_parameters), len(model.block_shapes)}
    if lengths != {model.blocks}:  # a number alone would let a small file ask for any amount of memory
        raise EvidenceDamaged.at(
            f"{place}, model",
            f"{model.blocks} blocks, and lists of {' and '.join(map(str, sorted(lengths)))}",
            "an entry for every block",
            RESTORE,
        )
    if model.misfit:
        raise EvidenceDamaged.at(f"{place}, model", model.misfit, "an entry for every block", RESTORE)
