"""What a store remembers of the runs that filled it: what they measured and found, what stopped one, whose code it was.

None of it is a measurement. It is what a reader must know to judge how the measurements came about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from checker.core.canonical import digest, restored_row
from checker.core.errors import NotFinite
from checker.core.facts import AmountRow, Facts, ModelFacts, RunRow, StopRow
from checker.core.records import Audit, EvaluationContract, ScoringContract
from checker.core.store import Store

_RUN, _STOP = "run", "stopped"
_AMOUNTS = ("prompts", "words")  # how much is read of a text


def write_run(store: Store, audit: Audit, known: Facts, verdicts: Mapping[str, str]) -> None:
    """Keeps what a run that came to its end measured, and its verdict on every claim, by the claim's id."""
    content = {
        "measures": _measures(audit, known.model),
        "amount": amount(audit, known),
        "verdicts": {digest(claim.stated()): verdicts[claim.id] for claim in audit.claims},
    }
    store.write_record(_RUN, audit.name, content)


def amount(audit: Audit, known: Facts) -> AmountRow:
    """How much text a run read, which, and its seed: what may be changed until a verdict is liked."""
    return {
        "prompts": known.scoring and known.scoring.prompts,
        "windows": known.evaluation and len(known.evaluation.scored),
        "selection_prompts": known.selection and known.selection.prompts if audit.selecting else None,
        "seed": audit.statistics.seed,
        "texts": [text.text_digest for text in (known.scoring, known.selection, known.evaluation) if text],
    }


def other_runs(store: Store, audit: Audit, known: Facts) -> list[RunRow]:
    """The runs of this audit that decided a claim of it on another amount of text, in order, each outcome once."""
    own, measures = amount(audit, known), _measures(audit, known.model)
    outcomes: dict[str, RunRow] = {}
    for record in store.read_records(_RUN, audit.name):
        run = restored_row(RunRow, record, f"{store.path}, run")
        verdicts = {claim.id: run["verdicts"].get(digest(claim.stated())) for claim in audit.claims}
        if record.get("measures") == measures and run["amount"] != own and any(verdicts.values()):
            outcomes.setdefault(digest([run["amount"], verdicts]), {"amount": run["amount"], "verdicts": verdicts})
    return list(outcomes.values())


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
    name = source.kind if source.kind == "self_generated" else source.name  # whose name holds its seed
    return [kept, name, source.column, source.join, source.drop_empty, source.newlines]


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


def read_stop(store: Store, audit: Audit, model: ModelFacts) -> StopRow | None:
    """Where the last run of this audit met a value that is not finite; None where it came to its end."""
    record = store.read_record(_STOP, _stop_key(audit, model))
    return restored_row(StopRow, record, f"{store.path}, stopped") if record else None


def _stop_key(audit: Audit, model: ModelFacts) -> str:
    return digest([audit.name, model.digest, audit.model.dtype])
