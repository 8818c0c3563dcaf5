"""Rules about the model that is audited."""

from __future__ import annotations

from collections.abc import Iterator

from checker.rules.shape import Case, Result, failed, passed, rule, undecided

_SHARE_OF_VOCABULARY = 0.1
_MEMORISED = 1.5


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
def implausible_baseline(case: Case) -> Iterator[Result]:
    """The baseline's perplexity is implausible for the model's vocabulary."""
    baseline = case.figures["baseline"]
    if baseline is None:
        yield undecided("the baseline's perplexity is not measured; run the audit")
        return
    perplexity, vocabulary = baseline["perplexity"], case.facts.model.vocabulary
    highest = _SHARE_OF_VOCABULARY * vocabulary
    told = f"found a baseline perplexity of {perplexity:.4g}; expected between {_MEMORISED} and {highest:.4g}"
    if _MEMORISED <= perplexity <= highest:
        yield passed(f"{told}, a tenth of the vocabulary of {vocabulary}")
    elif perplexity > highest:
        yield failed(f"{told}, a tenth of the vocabulary of {vocabulary}: it predicts hardly better than chance")
    else:
        yield failed(f"{told}: the model knows this text by heart, or scores what it has already seen")


@rule(
    "model",
    level="note",
    why="De-quantised weights are not the weights that were trained: distances and costs are those of the quantised "
    "model, and a claim about the original does not follow from them.",
    remedy="Audit the original weights where the claim is about them, or say in the claim that the quantised file is"
    " meant.",
    waive="When the claim is about the quantised file.",
)
def quantised_weights(case: Case) -> Iterator[Result]:
    """The weights were quantised before they were measured."""
    quantization = case.facts.model.quantization
    if quantization is None:
        yield passed("the weights are stored without quantisation")
    else:
        yield failed(f"found weights de-quantised from {quantization}; expected the weights that a claim is about")
