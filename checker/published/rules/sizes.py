"""Rules about what a source says of a pruned model's size: blocks and parameters, held against configurations."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from checker.core.rule import Result
from checker.core.words import amount, counted
from checker.published.printed import Printed
from checker.published.publication import Blocks, OfPruned, Parameters, Publication, PublishedModel
from checker.published.rules.subject import Subject, of_each, published

_ASK = "can the configurations of both models be published?"


def _models(publication: Publication, statement: OfPruned) -> tuple[PublishedModel, PublishedModel]:
    """The unpruned model and the pruned one."""
    return publication.models[str(statement.model)], publication.models[statement.of]


@published(
    level="error",
    why="Two configurations tell how many blocks a model lacks. A card that counts otherwise describes another model "
    "than the one that is published.",
    remedy="Ask the source which blocks were removed, and how they were counted.",
    waive="When the source counts something else than blocks, and says what.",
    nothing="the source states no number of removed blocks",
)
@of_each(Blocks)
def blocks_differ(publication: Publication, statement: Blocks, subject: Subject) -> Result:
    """A stated number of removed blocks is not that of the configurations, or of the blocks that are named."""
    base, pruned = _models(publication, statement)
    named = statement.layers
    if named is not None and len(named) != statement.removed:
        return subject.failed(
            f"found {counted(statement.removed, 'removed block')}; expected {len(named)}, as many as are named",
            recomputed=counted(len(named), "block"),
            question=f"were {statement.removed} or {len(named)} blocks removed?",
            does_not_show="It does not show which of the two is meant to hold, the number or the list.",
        )
    if base.blocks is None or pruned.blocks is None:
        missing = base.id if base.blocks is None else pruned.id
        return subject.undecided(f"how many blocks {missing} has is not known; its `config` would tell", _ASK)
    gone = base.blocks - pruned.blocks
    sentence = f"{base.id} has {counted(base.blocks, 'block')} and {pruned.id} {pruned.blocks}"
    if gone == statement.removed:
        return subject.passed(f"{sentence}: {gone} less, as stated", counted(gone, "block"))
    arithmetic = _in_blocks(base, pruned)
    return subject.failed(
        f"found {counted(statement.removed, 'removed block')}; expected {gone}: {sentence}{arithmetic}",
        recomputed=counted(gone, "block"),
        question=f"which blocks were removed? By the configurations {gone} are gone.",
        does_not_show="It does not show which blocks are gone, nor that the rest is unchanged.",
    )


def _in_blocks(base: PublishedModel, pruned: PublishedModel) -> str:
    """What the difference in parameters is in blocks; empty where the configurations do not tell it."""
    if base.config is None or base.config.block is None or (fewer := _fewer(base, pruned)) is None:
        return ""
    blocks = fewer / base.config.block
    return f"; the {amount(fewer)} parameters that are gone are {blocks:.3g} blocks of {amount(base.config.block)}"


def _fewer(base: PublishedModel, pruned: PublishedModel) -> int | None:
    """How many parameters less the configurations tell; None where they do not."""
    if base.config is None or pruned.config is None:
        return None
    before, after = base.config.parameters, pruned.config.parameters
    return None if before is None or after is None else before - after


@published(
    level="error",
    why="The number of parameters follows from a configuration. A card that states another one promises a model of "
    "another size.",
    remedy="Ask the source what was counted: all parameters, those without embeddings, or a share of the blocks.",
    waive="When the source says that it counts other parameters, for instance without embeddings.",
    nothing="the source states no number of parameters of a pruned model",
)
@of_each(Parameters)
def parameters_differ(publication: Publication, statement: Parameters, subject: Subject) -> Result:
    """A stated number of parameters is not that of the configurations."""
    base, pruned = _models(publication, statement)
    fewer = _fewer(base, pruned)
    if fewer is None or base.config is None or base.config.parameters is None:
        return subject.undecided(f"how many parameters there are is not known: {_unknown(base, pruned)}", _ASK)
    whole = base.config.parameters
    stated, words = _stated(statement)
    found = {
        "fewer": Fraction(fewer), "fewer_percent": Fraction(100 * fewer, whole), "total": Fraction(whole - fewer)
    }[words]  # fmt: skip
    sentence = (
        f"{base.id} has {amount(whole)} parameters and {pruned.id} {amount(whole - fewer)}, {amount(fewer)} or "
        f"{100.0 * fewer / whole:.4g} % less"
    )
    if stated.low <= found <= stated.high:
        return subject.passed(f"{sentence}, as stated", sentence)
    return subject.failed(
        f"found {_said(stated, words)}; expected what the configurations tell: {sentence}"
        f"{_share(base, pruned, stated, words)}",
        recomputed=sentence,
        question="which parameters were counted?",
        does_not_show="It does not show that the weights have the sizes that their configuration states.",
    )


def _unknown(base: PublishedModel, pruned: PublishedModel) -> str:
    """Why the configurations do not tell the number of parameters, and what would."""
    for model in (base, pruned):
        if model.config is None:
            return f"{model.id} has no `config`, which would tell"
        if model.config.parameters is None:
            return f"{model.id}: {model.config.unknown or 'its configuration states no number of blocks'}"
    return ""


def _stated(statement: Parameters) -> tuple[Printed, str]:
    numbers = {name: getattr(statement, name) for name in ("fewer", "fewer_percent", "total")}
    return next((value, name) for name, value in numbers.items() if value is not None)


def _said(stated: Printed, words: str) -> str:
    """The stated number as readers write it."""
    if words == "fewer_percent":
        return f"{stated} % less parameters"
    return f"{amount(float(stated))} parameters{' less' if words == 'fewer' else ''}"


def _share(base: PublishedModel, pruned: PublishedModel, stated: Printed, words: str) -> str:
    """That a stated share is that of the blocks; empty where it is not."""
    if words != "fewer_percent" or base.blocks is None or pruned.blocks is None:
        return ""
    share = Fraction(100 * (base.blocks - pruned.blocks), base.blocks)
    return "; the share that is stated is that of the blocks" if stated.low <= share <= stated.high else ""


@published(
    level="error",
    why="A source says how many blocks were removed and how many parameters that saves. Where so many blocks do not "
    "have so many parameters, one of the two numbers is wrong, whatever the published model turns out to be.",
    remedy="Ask the source which of the two numbers is right.",
    waive="When more than blocks was taken out of the model, and the source says so.",
    nothing="no pruned model has a stated number of removed blocks and one of parameters less",
)
def blocks_and_parameters(publication: Publication) -> Iterator[Result]:
    """A stated number of removed blocks and a stated number of parameters less exclude each other."""
    for blocks in publication.statements_of(Blocks):
        for parameters in publication.statements_of(Parameters):
            if (parameters.of, parameters.model) == (blocks.of, blocks.model) and parameters.total is None:
                yield _fit(publication, blocks, parameters)


def _fit(publication: Publication, blocks: Blocks, parameters: Parameters) -> Result:
    subject, (base, _) = Subject.of(blocks), _models(publication, blocks)
    config = base.config
    if config is None or config.block is None or config.parameters is None:
        why = "it has no `config`, which would tell" if config is None else config.unknown or "it states no blocks"
        return subject.undecided(f"what a block of {base.id} has is not known: {why}", _ASK)
    stated, words = _stated(parameters)
    scale = Fraction(100, config.parameters) if words == "fewer_percent" else Fraction(1)
    several, size = counted(blocks.removed, "block"), blocks.removed * config.block
    if stated.low <= size * scale <= stated.high:
        return subject.passed(f"{several} of {base.id} are {amount(size)} parameters, as {parameters.id} says")
    claimed = float(stated.middle / scale)
    return subject.failed(
        f"found {_said(stated, words)} in {parameters.id}, which are {claimed / config.block:.3g} blocks of "
        f"{amount(config.block)}; expected {amount(size)}, what {several} of {base.id} have",
        recomputed=f"{several} are {amount(size)} parameters",
        question=f"were {several} removed, or {amount(claimed)} parameters?",
        does_not_show="It does not show which of the two numbers is wrong.",
    )
