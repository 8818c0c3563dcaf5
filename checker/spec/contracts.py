"""An audit's contracts: which one a question is answered under, and their digests, which fix all but the weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Literal

from checker.core.canonical import digest
from checker.core.facts import CheckpointFacts, EvaluationFacts, Facts, ModelFacts, ScoringFacts, TaskFacts
from checker.core.questions import Text, documents_of, requests_of, stretches_of
from checker.core.records import Audit, EvaluationContract, ScoringContract
from checker.core.store import Scope
from checker.spec.sources import holds_rows
from checker.spec.tasks import MODEL

TASK_RECORD = "task"

ContractName = Literal["scoring", "selection", "evaluation"]


def contracts(audit: Audit) -> dict[ContractName, ScoringContract | EvaluationContract]:
    """The three contracts; losses are taken on the scoring text where the audit names no other."""
    return {"scoring": audit.scoring, "selection": audit.selecting or audit.scoring, "evaluation": audit.evaluation}


def contract_digests(audit: Audit, facts: Facts) -> dict[ContractName, str]:
    """The digests of the contracts whose texts were read, as they were read."""
    read: dict[ContractName, ScoringFacts | EvaluationFacts | None] = {
        "scoring": facts.scoring,
        "selection": facts.selection,
        "evaluation": facts.evaluation,
    }
    texts = {name: text.text_digest for name, text in read.items() if text is not None}
    return digests_under(audit, texts, facts.model.tokenizer_digest)


def digests_under(audit: Audit, texts: Mapping[ContractName, str], tokenizer: str) -> dict[ContractName, str]:
    """The digests of the contracts whose texts have the identities ``texts``."""
    by_name, dtype = contracts(audit), audit.model.dtype
    return {name: contract_digest(by_name[name], text, tokenizer, dtype) for name, text in texts.items()}


def scopes(weights: str, digests: Mapping[ContractName, str]) -> dict[Text, Scope]:
    """What all questions about a text share. Two of them are about the text of a contract with another name."""
    under: dict[Text, ContractName] = {
        "scoring": "scoring",
        "selection": "selection",
        "evaluation": "evaluation",
        "begin_token": "evaluation",
        "float32": "scoring",
    }
    return {text: Scope(weights, digests[name]) for text, name in under.items() if name in digests}


def model_scopes(audit: Audit, facts: Facts, digests: Mapping[ContractName, str]) -> dict[Text, Scope]:
    """What all questions about the audited model share, by the text they are about."""
    model = facts.model
    under = scopes(str(model.digest), digests)
    under |= _task_scopes(MODEL, model, facts.tasks, audit.model.dtype)
    for each in facts.checkpoints:
        if each.stretches is not None:
            under[stretches_of(each.name)] = stretched(under["evaluation"], each.stretches.first_byte)
    return under


def checkpoint_scopes(
    audit: Audit, fact: CheckpointFacts, tasks: Iterable[TaskFacts], model: Scope
) -> dict[Text, Scope]:
    """What all questions about a checkpoint share, by the text they are about.

    ``model`` is what those about the audited model and the scoring text share.
    """
    own = audit.of_checkpoint(audit.checkpoint(fact.name))
    under = scopes(str(fact.model.digest), contract_digests(own, fact.own))
    under["model"] = against(under["scoring"], model)
    under |= _task_scopes(fact.name, fact.model, tasks, own.model.dtype)
    if fact.stretches is not None:
        under[stretches_of(fact.name)] = stretched(under["evaluation"], fact.stretches.first_byte)
    return under


def _task_scopes(subject: str, model: ModelFacts, tasks: Iterable[TaskFacts], dtype: str) -> dict[Text, Scope]:
    """What all questions share about the requests of a task, and about its documents.

    ``subject`` is `model` or a checkpoint's name: scores that were imported are of what the audit says they are of.
    """
    under: dict[Text, Scope] = {}
    for task in tasks:
        asked = [
            task.name,
            task.version,
            task.harness,
            task.output_type,
            list(task.documents),
            task.requests,
            task.shots,
        ]
        imported = [[subject, asdict(each)] for each in task.imported if each.subject == subject]
        contract = digest(["task", asked, task.chat_template, model.tokenizer_digest, dtype, *imported])
        scope = Scope(str(model.digest), contract)
        under |= dict.fromkeys((requests_of(task.name), documents_of(task.name)), scope)
    return under


def stretched(evaluation: Scope, first_byte: int) -> Scope:
    """What all questions share about a text in stretches of bytes from a byte on."""
    return Scope(evaluation.model, digest([evaluation.contract, "stretches", first_byte]))


def against(own: Scope, model: Scope) -> Scope:
    """What all questions share about how far a checkpoint is from the model, on one text under one contract each."""
    return Scope(own.model, digest([own.contract, model.model, model.contract]))


def contract_digest(contract: ScoringContract | EvaluationContract, text: str, tokenizer: str, dtype: str) -> str:
    """Digest of everything that fixes a number but the weights; made without torch.

    ``text`` is the text's identity (sha256, or name and revision), ``tokenizer`` the tokenizer's digest.
    """
    assembled = {key: value for key, value in asdict(contract).items() if key not in ("source", "independent")}
    source = {key: getattr(contract.source, key) for key in ("join", "drop_empty", "newlines", "column")}
    source["rows"] = holds_rows(contract.source)  # the same bytes may be read as rows or as one text
    return digest([type(contract).__name__, assembled, source, text, tokenizer, dtype])


def together(digests: Mapping[ContractName, str]) -> str:
    """The key of facts that rest on all texts: how much they overlap."""
    return digest(list(dict.fromkeys([digests["scoring"], digests["evaluation"], digests["selection"]])))
