"""What a store remembers of the runs that filled it: what they measured and found, what stopped one, whose code it was.

None of it is a measurement. It is what a reader must know to judge how the measurements came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from checker.checkpoints import facts, locate
from checker.errors import CannotRun, NotFinite
from checker.records import (
    Audit,
    Claim,
    EvaluationContract,
    Facts,
    ModelFacts,
    ModelSource,
    ScoringContract,
    digest,
)
from checker.store import Store

_RUN, _STOP = "run", "stopped"
_AMOUNTS = ("prompts", "words")  # how much is read of a text
# What must be the same of a model for its evidence to be about it; the tokenizer beside the weights.
_SAME = ("revision", "architecture", "blocks", "parameters", "block_shapes", "slot_kinds", "hidden", "vocabulary",
         "context", "quantization", "tokenizer_digest")  # fmt: skip
Row = dict[str, Any]


# --- runs that ended ----------------------------------------------------------------------------------------------


def write_run(store: Store, audit: Audit, known: Facts, verdicts: Mapping[str, str]) -> None:
    """Keeps what a run that came to its end measured, and its verdict on every claim, by the claim's id."""
    content = {
        "measures": _measures(audit, known.model),
        "amount": amount(audit, known),
        "verdicts": {_statement(claim): verdicts[claim.id] for claim in audit.claims},
    }
    store.write_record(_RUN, audit.name, content)


def amount(audit: Audit, known: Facts) -> Row:
    """How much text a run read, which, and its seed: what may be changed until a verdict is liked."""
    return {
        "prompts": known.scoring and known.scoring.prompts,
        "windows": known.evaluation and len(known.evaluation.scored),
        "selection_prompts": known.selection and known.selection.prompts if audit.selecting else None,
        "seed": audit.statistics.seed,
        "texts": [text.text_digest for text in (known.scoring, known.selection, known.evaluation) if text],
    }


def _other_runs(store: Store, audit: Audit, known: Facts) -> list[Row]:
    """The runs of this audit that decided a claim of it on another amount of text, in order, each outcome once."""
    own, measures = amount(audit, known), _measures(audit, known.model)
    found: dict[str, Row] = {}
    for run in store.read_records(_RUN, audit.name):
        verdicts = {claim.id: run["verdicts"].get(_statement(claim)) for claim in audit.claims}
        if run["measures"] == measures and run["amount"] != own and any(verdicts.values()):
            found.setdefault(digest([run["amount"], verdicts]), {"amount": run["amount"], "verdicts": verdicts})
    return list(found.values())


def _measures(audit: Audit, model: ModelFacts) -> str:
    """Digest of what a run measures and decides by, but for how much text it reads and its seed."""
    contracts = [_without_amount(contract) for contract in (audit.scoring, audit.selecting, audit.evaluation)]
    statistics = {key: value for key, value in asdict(audit.statistics).items() if key != "seed"}
    identity = [model.digest, model.tokenizer_digest, audit.model.dtype, audit.max_gap, audit.direction]
    return digest([identity, contracts, statistics, [asdict(selection) for selection in audit.selections]])


def _without_amount(contract: ScoringContract | EvaluationContract | None) -> Any:
    if contract is None:
        return None
    kept = {key: value for key, value in asdict(contract).items() if key not in (*_AMOUNTS, "source")}
    source = contract.source
    named = source.kind if source.kind == "self_generated" else source.name  # whose name holds its seed
    return [kept, named, source.column, source.join, source.drop_empty]


def _statement(claim: Claim) -> str:
    """Digest of what decides a claim, whatever its words and wherever it stands in the file."""
    stated = {key: value for key, value in asdict(claim).items() if key not in ("id", "says", "location")}
    if claim.checkpoint is not None:
        stated["checkpoint"] = PurePath(claim.checkpoint).name
    if claim.from_checkpoint:
        stated["layers"] = None  # they are found out, and what they are found from is stated
    return digest({key: value for key, value in stated.items() if value is not None and value is not False})


# --- runs that stopped --------------------------------------------------------------------------------------------


def write_stop(store: Store, audit: Audit, model: ModelFacts, error: NotFinite) -> None:
    """Keeps where a run met a value that is not finite, so that judging its evidence can say so."""
    store.write_record("model", audit.model.identity, asdict(model))
    content = {"layout": error.layout, "unit": error.unit, "quantity": error.kind}
    store.write_record(_STOP, _stop_key(audit, model), content)


def forget_stop(store: Store, audit: Audit, model: ModelFacts) -> None:
    """A later run of the same audit, weights and dtype came to its end."""
    key = _stop_key(audit, model)
    if store.read_record(_STOP, key):
        store.write_record(_STOP, key, {})


def _stop_key(audit: Audit, model: ModelFacts) -> str:
    return digest([audit.name, model.digest, audit.model.dtype])


# --- what the report says of it -----------------------------------------------------------------------------------


def provenance(store: Store, audit: Audit, known: Facts, contracts: Sequence[str]) -> Row:
    """The report's account of where its evidence comes from; ``contracts`` are the digests it was measured under."""
    answers = store.codes(str(known.model.digest), contracts)
    return {
        **unrecorded(audit, known),
        "other_runs": _other_runs(store, audit, known),
        "not_finite": store.read_record(_STOP, _stop_key(audit, known.model)) or None,
        "answers": [{"measuring_code": code, "answers": number} for code, number in answers.items()],
        "at_hand": differences(known.model, None if store.sealed else at_hand(audit.model)),
    }


def unrecorded(audit: Audit, known: Facts) -> Row:
    """The same account of evidence that is in no store."""
    return {"amount": amount(audit, known), "other_runs": [], "not_finite": None, "answers": [], "at_hand": []}


def at_hand(source: ModelSource) -> ModelFacts | None:
    """What the headers of the model's files say on this machine; None where it is not here or cannot be read."""
    try:
        return facts(locate(source), source)
    except (CannotRun, ImportError, ValueError, OSError):
        return None


def differences(measured: ModelFacts, here: ModelFacts | None) -> list[Row]:
    """Where the files at hand are not those that were measured; empty, too, where none are at hand."""
    if here is None:
        return []
    return [
        {"fact": name, "measured": _short(getattr(measured, name)), "at_hand": _short(getattr(here, name))}
        for name in _SAME
        if getattr(measured, name) != getattr(here, name)
    ]


def _short(value: object) -> str:
    """A fact in a few characters: shapes and kinds by their digest."""
    return digest(value)[:12] if isinstance(value, tuple) else str(value)
