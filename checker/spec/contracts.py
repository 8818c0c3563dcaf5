"""The digests of an audit's contracts: everything that fixes a number but the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from checker.core.canonical import digest
from checker.core.facts import Facts
from checker.core.records import Audit, EvaluationContract, ScoringContract
from checker.spec.sources import holds_rows


def contract_digest(contract: ScoringContract | EvaluationContract, text: str, tokenizer: str, dtype: str) -> str:
    """Digest of everything that fixes a number but the weights; made without torch.

    ``text`` is the text's identity (sha256, or name and revision), ``tokenizer`` the tokenizer's digest.
    """
    assembled = {key: value for key, value in asdict(contract).items() if key != "source"}
    source = {key: getattr(contract.source, key) for key in ("join", "drop_empty", "column")}
    source["rows"] = holds_rows(contract.source)  # the same bytes may be read as rows or as one text
    return digest([type(contract).__name__, assembled, source, text, tokenizer, dtype])


def together(digests: Mapping[Any, str]) -> str:
    """The key of facts that rest on all texts: how much they overlap."""
    return digest(list(dict.fromkeys(digests[text] for text in ("scoring", "evaluation", "selection"))))


def contract_digests(audit: Audit, known: Facts) -> dict[Literal["scoring", "selection", "evaluation"], str]:
    """The contracts' digests, from the texts as they were read."""
    assert known.scoring is not None
    assert known.evaluation is not None
    assert known.selection is not None
    selecting = audit.selecting or audit.scoring
    tokenizer, dtype = known.model.tokenizer_digest, audit.model.dtype
    return {
        "scoring": contract_digest(audit.scoring, known.scoring.text_digest, tokenizer, dtype),
        "selection": contract_digest(selecting, known.selection.text_digest, tokenizer, dtype),
        "evaluation": contract_digest(audit.evaluation, known.evaluation.text_digest, tokenizer, dtype),
    }
