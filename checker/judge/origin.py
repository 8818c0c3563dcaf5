"""Where evidence comes from, as the report says it: which runs filled the store, whose code, and the files at hand."""

from __future__ import annotations

from collections.abc import Iterator

from checker.checkpoints.files import locate
from checker.checkpoints.model_facts import facts
from checker.core.canonical import digest
from checker.core.errors import CannotRun
from checker.core.facts import Facts, ModelFacts
from checker.core.history import amount, other_runs, read_stop
from checker.core.records import Audit, ModelSource
from checker.core.store import Store
from checker.judge.form import AtHandRow, EvidenceRow
from checker.spec.contracts import contract_digests

# What must be the same of a model for its evidence to be about it; the tokenizer beside the weights.
_SAME = ("revision", "architecture", "blocks", "parameters", "block_shapes", "slot_kinds", "hidden", "vocabulary",
         "context", "quantization", "tokenizer_digest")  # fmt: skip


def origin_of(store: Store, audit: Audit, known: Facts) -> EvidenceRow:
    """What the store remembers of the runs that measured the evidence, and where files at hand differ from it."""
    contracts = dict.fromkeys(contract_digests(audit, known).values())
    answers = store.codes(str(known.model.digest), list(contracts))
    return {
        "amount": amount(audit, known),
        "other_runs": other_runs(store, audit, known),
        "not_finite": read_stop(store, audit, known.model),
        "answers": [{"measuring_code": code, "answers": number} for code, number in answers.items()],
        "at_hand": [] if store.sealed else list(_elsewhere(audit, known)),
    }


def _elsewhere(audit: Audit, known: Facts) -> Iterator[AtHandRow]:
    """Where the files at hand, of the model and of checkpoints, are not those that were measured."""
    yield from differences(known.model, _at_hand(audit.model))
    for checkpoint in audit.checkpoints:
        fact = known.checkpoint(checkpoint.name)
        if fact is not None:
            yield from differences(fact.model, _at_hand(checkpoint.source), checkpoint.name)


def _at_hand(source: ModelSource) -> ModelFacts | None:
    """What the headers of a model's files say on this machine; None where it is not here or cannot be read."""
    try:
        return facts(locate(source), source)
    except (CannotRun, ImportError, ValueError, OSError):
        return None


def differences(measured: ModelFacts, here: ModelFacts | None, checkpoint: str | None = None) -> list[AtHandRow]:
    """Where the files at hand are not those that were measured; empty, too, where none are at hand."""
    if here is None:
        return []
    return [
        {"checkpoint": checkpoint, "fact": name, "measured": _short(measured, name), "at_hand": _short(here, name)}
        for name in _SAME
        if _short(measured, name) != _short(here, name)
    ]


def _short(facts: ModelFacts, name: str) -> str:
    """A fact in a few characters: shapes, as headers give them, and kinds by their digest."""
    if name == "block_shapes":
        return facts.header_shapes[:12]
    value = getattr(facts, name)
    return digest(value)[:12] if isinstance(value, tuple) else str(value)
