"""What a run takes: layouts, block runs, tokens, memory, and time at a rate measured here."""

from __future__ import annotations

import timeit
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from checker.core.errors import CannotRun
from checker.core.facts import Facts, ModelFacts
from checker.core.layouts import Layout, Place
from checker.core.questions import Question
from checker.core.records import Audit, EvaluationContract, ScoringContract
from checker.spec.sources import text_file

TOKENS_PER_WORD = 1.4  # of English prose under the tokenizers in use; only estimates rest on it
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_EFFICIENCY = 0.55  # share of the matrix rate that a whole run reaches, measured on SmolLM2 on two cores


@dataclass(frozen=True)
class Cost:
    """What a run takes; exact but for what depends on scores (which sets are chosen) and on tokenising."""

    layouts: int
    block_runs: int  # of one block over one text
    block_runs_without_sharing: int
    tokens: int  # that pass through blocks: block runs times the text's tokens
    operations: float  # floating-point
    memory: int  # bytes: weights, activations of one branch, two batches of log-probabilities


def one_after_the_other(costs: Sequence[Cost]) -> Cost:
    """What several models take, one of which is in memory at a time."""
    sums = {part.name: sum(getattr(each, part.name) for each in costs) for part in fields(Cost)}
    return Cost(**sums | {"memory": max(each.memory for each in costs)})


def block_runs(layouts: Iterable[Layout]) -> int:
    """Block runs that shared prefixes leave: the different beginnings of the layouts."""
    nodes: dict[tuple[int, Place], int] = {}
    for layout in layouts:
        node = 0
        for place in layout.places:
            node = nodes.setdefault((node, place), len(nodes) + 1)
    return len(nodes)


def cost(audit: Audit, facts: Facts, steps: Iterable[Iterable[Question]], evaluation: Iterable[Layout]) -> Cost:
    """What it takes to answer methods' questions, step by step, and to evaluate layouts, all from the beginning.

    States that a search keeps from one step for the next are not deducted.
    """
    model, selecting = facts.model, audit.selecting or audit.scoring
    asked = [list(step) for step in steps]
    evaluated = tuple(Question("evaluation", "nll", layout) for layout in evaluation)
    tokens = {
        "scoring": scoring_tokens(audit.scoring),
        "selection": scoring_tokens(selecting),
        "evaluation": evaluation_tokens(audit, facts),
    }
    work = {text: _work(text, [*asked, evaluated], model.blocks) for text in tokens}
    passed = sum(work[text].runs * tokens[text] for text in tokens)
    operated = sum((work[text].runs + work[text].backward) * tokens[text] for text in tokens)
    left = sum(work[text].exits * tokens[text] for text in tokens)
    per_block, head = _per_block(model), model.hidden * model.vocabulary
    batch = max(audit.scoring.batch_tokens, audit.evaluation.batch_tokens, selecting.batch_tokens)
    return Cost(
        layouts=sum(work[text].layouts for text in tokens),
        block_runs=sum(work[text].runs for text in tokens),
        block_runs_without_sharing=sum(work[text].alone for text in tokens),
        tokens=passed,
        operations=2.0 * (per_block * operated + head * left),
        memory=int(
            model.parameters * _BYTES[audit.model.dtype]
            + batch * (model.blocks + 2) * model.hidden * _BYTES[audit.model.dtype]
            + 2 * batch * model.vocabulary * 4
        ),
    )


def kept_cost(audit: Audit, model: ModelFacts) -> Cost:
    """What it takes to keep the model's last states, against which checkpoints are held, with its weights in memory."""
    tokens = scoring_tokens(audit.scoring)
    weights = model.parameters * _BYTES[audit.model.dtype]
    return Cost(
        layouts=0,  # it is the unchanged model once more
        block_runs=model.blocks,
        block_runs_without_sharing=model.blocks,
        tokens=model.blocks * tokens,
        operations=2.0 * _per_block(model) * model.blocks * tokens,
        memory=weights + _states(audit, model),
    )


def checkpoint_cost(
    own: Audit, facts: Facts, evaluation: Iterable[Layout], held: tuple[Audit, ModelFacts] | None
) -> Cost:
    """What a checkpoint takes: layouts of its own blocks, and its distance from a model of which states are kept.

    ``own`` is what is asked of it, ``held`` the audit and the model that it is held against; None: against none.
    """
    base = Layout.base(facts.model.blocks)
    taken = cost(own, facts, [[Question("scoring", "kl", base)]] if held else [], evaluation)
    if held is None:
        return taken
    audit, model = held
    beside = (model.parameters - sum(model.block_parameters)) * _BYTES[audit.model.dtype]
    head = 2.0 * model.hidden * model.vocabulary * scoring_tokens(audit.scoring)
    memory = taken.memory + beside + _states(audit, model)
    return replace(taken, operations=taken.operations + head, memory=memory)


def _states(audit: Audit, model: ModelFacts) -> int:
    """Bytes of the model's last hidden states on the whole scoring text."""
    return scoring_tokens(audit.scoring) * model.hidden * _BYTES[audit.model.dtype]


def _per_block(model: ModelFacts) -> float:
    return sum(model.block_parameters) / max(1, len(model.block_parameters))


@dataclass(frozen=True)
class _Work:
    """What one text takes, in runs of one block over it."""

    layouts: int
    runs: int
    alone: int  # runs without shared prefixes
    exits: int  # times that logits are made of the whole text
    backward: int  # further runs that gradients are worth


def _work(text: str, steps: Iterable[Iterable[Question]], blocks: int) -> _Work:
    """What the steps of all methods take on one text, what they share counted once."""
    # What is asked in one step goes down one prefix tree, in which every different beginning runs once: in a model of n
    # blocks, the n deletions of one block take about half of their n(n - 1) runs. A later step repeats no answer, but
    # begins again at the first block, and takes the baseline along if it compares with it: log-probabilities are not
    # kept from step to step, the baseline's last states are.
    seen: dict[Layout, None] = {}
    answered: set[tuple[Layout, str]] = set()
    passes: dict[str, None] = {}
    known: set[str] = {"nll"}  # what needs no baseline, or none any more
    runs = exits = 0
    for step in steps:
        questions = [question for question in step if question.text == text]
        passes |= {question.quantity: None for question in questions if question.span is not None}
        asked = [(question.layout, question.quantity) for question in questions if question.span is None]
        missing = [pair for pair in dict.fromkeys(asked) if pair not in answered]
        compares = {quantity for _, quantity in missing} - known
        new = list(dict.fromkeys(layout for layout, _ in missing))
        tree = [Layout.base(blocks), *new] if compares else new
        known |= compares & {"similarity"}
        runs, exits = runs + block_runs(tree), exits + len(set(tree))
        seen |= dict.fromkeys(tree)
        answered |= set(missing)
    # Taylor's portions of the prompts make three texts, and a backward pass takes about two forward ones.
    whole = sum(3 if quantity == "taylor" else 1 for quantity in passes)
    gradients = 3 if "taylor" in passes else 0
    return _Work(
        layouts=len(seen),
        runs=runs + whole * blocks,
        alone=sum(map(len, seen)) + whole * blocks,
        exits=exits + gradients,
        backward=2 * gradients * blocks,
    )


def scoring_tokens(contract: ScoringContract) -> int:
    """Tokens of all prompts, a begin token before each included."""
    return contract.prompts * (contract.tokens + contract.begin_tokens_before)


def evaluation_tokens(audit: Audit, facts: Facts) -> int:
    """Tokens of all evaluation windows: of the text as it was tokenised, else estimated from its words."""
    contract = audit.evaluation
    tokens = facts.evaluation.tokens if facts.evaluation else int(_words(contract) * TOKENS_PER_WORD)
    further = max(0, tokens - contract.window)
    begin = int(contract.special_tokens == "every_window")
    if contract.boundary == "whole_window":  # no tail
        return (further // contract.stride + 1) * (contract.window + begin)
    windows = -(-further // contract.stride) + 1
    return tokens + (windows - 1) * (contract.window - contract.stride) + windows * begin


def _words(contract: EvaluationContract) -> int:
    if contract.words is not None:
        return contract.words
    try:
        path = text_file(contract.source)
    except CannotRun:
        path = None
    return path.stat().st_size // 6 if path else 250_000


def seconds(cost: Cost, rate: float) -> float:
    """Estimated seconds at ``rate`` floating-point operations per second of plain matrix products."""
    return cost.operations / (rate * _EFFICIENCY)


def matrix_rate(size: int = 1024, repeats: int = 3) -> float:
    """Floating-point operations per second of float32 matrix products on this machine's processor, measured now."""
    matrix = np.ones((size, size), dtype=np.float32)
    matrix @ matrix  # the first product is slower
    return 2.0 * size**3 / min(timeit.repeat(lambda: matrix @ matrix, number=1, repeat=repeats))
