"""Rules about the model that is audited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from checker.core.facts import ModelFacts
from checker.core.records import ModelSource
from checker.core.rule import Result, failed, is_commit, passed, rule, undecided
from checker.core.words import examples
from checker.judge.case import Case
from checker.judge.form import AtHandRow

_SHARE_OF_VOCABULARY = 0.1
_MEMORISED = 1.5
_TOKENIZER = "tokenizer_digest"


@rule(
    "model",
    level="error",
    why="A baseline that predicts hardly better than chance, or that knows the text by heart, is not the model "
    "that was published, or not read as it was trained: wrong weights, wrong tokenizer, missing begin token. "
    "Every cost in percent is relative to this number.",
    remedy="Check the tokenizer, `special_tokens`, the dtype and the weights' digest; evaluate on a text of the "
    "model's language that it has not been trained on.",
    waive="When the model is meant to be bad, for instance one with random weights in a test.",
)
def implausible_baseline(case: Case) -> Result:
    """The baseline's perplexity is implausible for the model's vocabulary."""
    baseline = case.figures["baseline"]
    if baseline is None:
        return undecided("the baseline's perplexity is not measured; run the audit")
    perplexity, vocabulary = baseline["perplexity"], case.facts.model.vocabulary
    highest = _SHARE_OF_VOCABULARY * vocabulary
    sentence = f"found a baseline perplexity of {perplexity:.4g}; expected between {_MEMORISED} and {highest:.4g}"
    if perplexity < _MEMORISED:
        return failed(f"{sentence}: the model knows this text by heart, or scores what it has already seen")
    if perplexity > highest:
        return failed(f"{sentence}, a tenth of the vocabulary of {vocabulary}: it predicts hardly better than chance")
    return passed(f"{sentence}, a tenth of the vocabulary of {vocabulary}")


@rule(
    "model",
    level="note",
    why="De-quantised weights are not the weights that were trained: distances and costs are those of the quantised "
    "model, and a claim about the original does not follow from them.",
    remedy="Audit the original weights where the claim is about them, or say in the claim that the quantised file is"
    " meant.",
    waive="When the claim is about the quantised file.",
)
def quantised_weights(case: Case) -> Result:
    """The weights were quantised before they were measured."""
    quantization = case.facts.model.quantization
    if quantization is None:
        return passed("the weights are stored without quantisation")
    return failed(f"found weights de-quantised from {quantization}; expected the weights that a claim is about")


@rule(
    "model",
    level="warning",
    why="Where the library does not know what a model's files ask for, it takes something else and says nothing: with "
    "another pre-tokeniser a text becomes other tokens, and perplexity moves by some percent. Costs relative to "
    "the same baseline suffer less, but figures are not comparable with those that others measured of this model.",
    remedy="Audit the checkpoint that the file was made from, with the tokenizer that lies beside it, or use a version "
    "of transformers that reads what the file says.",
    waive="When the figures are held against nothing but each other.",
)
def library_fallback(case: Case) -> Iterator[Result]:
    """The library took something else than the files of the model or of a checkpoint say."""
    for name, _, known in _measured(case):
        if known.fallbacks:
            result = failed(f"found {examples(known.fallbacks)}; the tokens may be others than the model's own")
        else:
            result = passed("nothing that the model's files say is known to have been left out")
        yield _about(name, result)


@rule(
    "model",
    level="warning",
    why="A claim is about certain weights. A branch or a tag on a hub, a package and a folder can hold others tomorrow "
    "under the same name, and nobody can tell whether the audit is about those. A full commit cannot move; a "
    "digest holds wherever the file lies. A folder is asked for one too: what is released from it has to be what "
    "was audited.",
    remedy="Give `sha256:` (the message and the report print the digest that was measured), or `revision:` with a full "
    "commit for a hub model.",
    waive="While the model is still being made.",
)
def weights_not_pinned(case: Case) -> Iterator[Result]:
    """The audit does not pin the weights of the model or of a checkpoint, or only by a revision that can move."""
    for name, source, known in _measured(case):
        yield _pinned(f"checkpoint {name}" if name else "model", source, known)


def _pinned(subject: str, source: ModelSource, known: ModelFacts) -> Result:
    whose = "the weights" if subject == "model" else f"{subject}: the weights"
    if source.sha256 is not None:
        return passed(f"{whose} are pinned by their sha256")
    if is_commit(source.revision):
        return passed(f"{whose} are pinned by a full commit")
    if source.kind == "hub":
        revision = f"the revision {source.revision}, which can move" if source.revision else "no `revision`"
        return failed(f"{subject}: found {revision}; expected a full commit; {known.revision} was measured")
    expected = "one, so that the weights cannot change unnoticed"
    return failed(f"{subject}: found no `sha256`; expected {expected}; {known.digest} was measured")


@rule(
    "model",
    level="error",
    why="Evidence is about the weights it was measured on. Judged for others, every figure is about a model that is "
    "not the one at hand. Without a pin only configuration, headers and revision are compared with the files at hand: "
    "weights that were trained further under the same shapes show in the digest alone.",
    remedy="Run the audit on the weights at hand, or name those that were measured.",
    waive="Never; measure the weights that the claims are about.",
)
def weights_differ(case: Case) -> Iterator[Result]:
    """The evidence was measured on other weights than the audit pins, or than those at hand."""
    for name, source, known in _measured(case):
        yield _about(name, _same_weights(case, name, source, known))


def _same_weights(case: Case, name: str, source: ModelSource, known: ModelFacts) -> Result:
    pinned, measured = source.sha256, known.digest
    differing = [row for row in _at_hand(case, name) if row["fact"] != _TOKENIZER]
    if pinned is not None:
        if pinned.lower() != measured:
            return failed(f"found evidence of weights with sha256 {measured}; expected {pinned}, as the audit pins it")
        return passed("the evidence is of the weights that the audit pins")
    if differing:
        at_hand = ", ".join(f"{row['fact'].replace('_', ' ')} {row['at_hand']}" for row in differing)
        expected = ", ".join(row["measured"] for row in differing)
        return failed(f"found files at hand with {at_hand}; expected {expected}, as measured")
    return passed(f"the evidence is of weights with sha256 {measured}, and no files at hand say otherwise")


@rule(
    "model",
    level="error",
    why="A tokenizer decides which tokens a text is, and so what every distance and every perplexity is about. Two "
    "numbers under different tokenizers are not comparable, even of one model and one text.",
    remedy="Run the audit again with the tokenizer at hand, or restore the one that was measured with.",
    waive="When the change is known to leave the token ids of both texts as they were.",
)
def tokenizer_differs(case: Case) -> Iterator[Result]:
    """The evidence was measured with another tokenizer than the one at hand."""
    for name, _, known in _measured(case):
        measured = known.tokenizer_digest
        other = [row["at_hand"] for row in _at_hand(case, name) if row["fact"] == _TOKENIZER]
        if other:
            found = f"found a tokenizer at hand with sha256 {other[0]}; expected {measured}, as measured"
            yield _about(name, failed(found))
        else:
            sound = f"the evidence is of a tokenizer with sha256 {measured}, and no files at hand say otherwise"
            yield _about(name, passed(sound))


@rule(
    "model",
    level="warning",
    why="Code that comes with a model runs with all rights of whoever measures, and can do anything: change what is "
    "measured as much as read files. What it did cannot be seen in the figures.",
    remedy="Audit the same weights in an architecture that transformers has itself, or read the code, pin the "
    "revision, and measure on a machine where it can do no harm.",
    waive="When somebody whom the report names has read this very revision of the code.",
)
def remote_code(case: Case) -> Iterator[Result]:
    """Code that came with the model or with a checkpoint was allowed to run."""
    for name, _, known in _measured(case):
        if not known.remote_code:
            yield _about(name, passed("no code that came with the model was run"))
            continue
        found = "code of the model's own that was allowed to run, by the audit file and by the command line"
        yield _about(name, failed(f"found {found}; expected an architecture that transformers has itself"))


def _measured(case: Case) -> Iterator[tuple[str, ModelSource, ModelFacts]]:
    """The model, without a name, and each checkpoint whose facts are known: where it comes from and what it is."""
    yield "", case.audit.model, case.facts.model
    for fact in case.facts.checkpoints:
        yield fact.name, case.audit.checkpoint(fact.name).source, fact.model


def _about(name: str, result: Result) -> Result:
    """The result, with the checkpoint in front that it is about."""
    return replace(result, message=f"checkpoint {name}: {result.message}") if name else result


def _at_hand(case: Case, name: str) -> list[AtHandRow]:
    return [row for row in case.figures["evidence"]["at_hand"] if row["checkpoint"] == (name or None)]
