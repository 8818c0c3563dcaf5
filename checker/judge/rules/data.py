"""Rules about texts and contracts."""

from __future__ import annotations

from collections.abc import Iterator

from checker.core.facts import SHARED_RUN, SHARED_WINDOWS, EvaluationFacts
from checker.core.records import TextSource
from checker.core.resampling import MINIMUM_UNITS
from checker.core.rule import Conclusion, Result, failed, is_commit, passed, rule, undecided
from checker.core.words import counted
from checker.judge.case import Case

_LARGE = 1.25  # ratio of perplexities without and with the begin token
_MANY = 0.1  # share of a text's units that repeat earlier ones


@rule(
    "data",
    level="warning",
    why="A number belongs to its text. A text that can change under the same name makes the number impossible to "
    "check.",
    remedy="Give `sha256:` for files (the report prints the digest that was read), `revision:` (a full commit) for "
    "hub datasets.",
    waive="While drafting an audit whose text is still being written.",
)
def contract_not_pinned(case: Case) -> Conclusion:
    """A contract does not pin its text, or only by a revision that can move."""
    sources = {"scoring": case.audit.scoring.source, "evaluation": case.audit.evaluation.source}
    if case.audit.selecting is not None:
        sources["selection"] = case.audit.selecting.source
    loose = {name: problem for name, source in sources.items() if (problem := _not_pinned(source))}
    results = [failed(f"data.{name}: {loose[name]}, so that the text cannot change unnoticed") for name in loose]
    return results or passed("every contract pins its text")


def _not_pinned(source: TextSource) -> str:
    """What was found and expected of a source that can change under the same name; else empty."""
    if source.kind == "self_generated":
        return ""  # its seed and the weights pin it
    if source.kind != "hub":
        return "found no `sha256`; expected one" if source.sha256 is None else ""
    if is_commit(source.revision):
        return ""
    revision = "no `revision`" if source.revision is None else f"the revision {source.revision}, which can move"
    return f"found {revision}; expected a full commit"


@rule(
    "data",
    level="warning",
    why="Many models were trained with a begin token before every text and predict far worse without it: "
    "Gemma-3-270m has perplexity 181 without and 29 with it. Costs in percent of a baseline that is broken in"
    " this way mean little.",
    remedy="Set `special_tokens` to the better of the two in both contracts (`every_window`, or `tokenizer`), and say "
    "so where the numbers are published.",
    waive="When the published numbers were measured in the worse way and it is these that are checked.",
    nothing="the tokenizer has no begin token",
)
def begin_token(case: Case) -> Result | None:
    """Perplexity is far better with the begin token, or without it, than as the contract has it."""
    measured = case.figures["begin_token"]
    if measured is None:
        # A run writes its environment at its end: before that, nobody has looked for a begin token.
        if case.figures["baseline"] is None or case.figures["environment"] is None:
            return undecided("the begin token's effect is not measured; run the audit")
        return None
    without, with_token = measured["without"], measured["with"]
    everywhere = case.audit.evaluation.special_tokens == "every_window"
    sentence = (
        f"on one window the perplexity is {without:.4g} without and {with_token:.4g} with the begin token, and the "
        f"contract puts it before {'every window' if everywhere else 'the text at most'}"
    )
    worse = with_token / without if everywhere else without / with_token
    if worse > _LARGE:
        return failed(f"{sentence}; expected the contract's way to be at most {_LARGE:g} times the other")
    return passed(sentence)


@rule(
    "data",
    level="error",
    why="Layers chosen on the text that the cost is then measured on are tuned on their test text: the cost is "
    "too low by an amount that nobody can tell.",
    remedy="Take the scoring text from another split or another source than the evaluation text.",
    waive="When the overlap is a boilerplate passage that both texts quote; say how long it is.",
)
def selection_overlaps_evaluation(case: Case) -> Result:
    """The text that layers are chosen on overlaps the text that their removal is evaluated on."""
    evaluation = case.facts.evaluation
    if evaluation is None:
        return undecided("the texts are not read yet; run the audit")
    if evaluation.overlaps:
        return failed(
            f"found {_shared(evaluation)}; expected runs below {SHARED_RUN} and less than {SHARED_WINDOWS:.0%} of the "
            "windows; arms are tuned on their test text"
        )
    return passed(
        f"{_shared(evaluation)}; overlap begins at {SHARED_RUN} in a row, or at {SHARED_WINDOWS:.0%} of the windows"
    )


def _shared(evaluation: EvaluationFacts) -> str:
    """What the evaluation text shares with the others, in words."""
    return (
        f"{counted(evaluation.shared_letters, 'letter')} in a row and {counted(evaluation.shared_tokens, 'token')} in "
        f"a row in both texts, and {evaluation.shared_windows:.3g} of the windows mostly in the other text"
    )


@rule(
    "data",
    level="error",
    why="A prompt or a window that stands in the text twice is one observation and not two. Counted as two, it makes "
    "every interval too narrow, however large the text looks.",
    remedy="Take a text in which no passage is repeated, or leave the repeated rows out.",
    waive="When the units share an instruction or a form that is part of the task; say which.",
)
def repeated_units(case: Case) -> Iterator[Result]:
    """Prompts or windows of a text repeat earlier ones, so that few others are left."""
    scoring, selection, evaluation = case.facts.scoring, case.facts.selection, case.facts.evaluation
    if scoring is None or evaluation is None:
        yield undecided("the texts are not read yet; run the audit")
        return
    texts = [("scoring", "prompt", scoring.prompts, scoring.repeats)]
    if case.audit.selecting is not None and selection is not None:
        texts.append(("selection", "prompt", selection.prompts, selection.repeats))
    texts.append(("evaluation", "window", len(evaluation.scored), evaluation.repeats))
    fine = []
    for name, noun, number, repeats in texts:
        found = f"{len(repeats)} of {counted(number, noun)} of the {name} text repeat earlier ones"
        found += f", {noun} {repeats[0]} first" if repeats else ""
        if repeats and (len(repeats) > _MANY * number or number - len(repeats) < MINIMUM_UNITS):
            yield failed(f"found that {found}; expected at most a tenth, and {MINIMUM_UNITS} that do not")
        else:
            fine.append(found)
    if len(fine) == len(texts):
        yield passed("; ".join(fine))
