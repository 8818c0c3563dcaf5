"""What an audit needs, each thing once, with its cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from checker.core.canonical import digest
from checker.core.errors import CannotRun
from checker.core.facts import Facts, ModelFacts
from checker.core.layouts import Layout, Place, pairs_within
from checker.core.questions import PORTIONS, Ask, Ground, HiddenQuantity, Quantity, Question, Span, Text, Values
from checker.core.records import Audit, EvaluationContract, ScoringContract
from checker.selection.arms import arms, scored_by
from checker.selection.methods import METHODS
from checker.spec.sources import holds_rows, text_file

_TOKENS_PER_WORD = 1.4  # of English prose under the tokenizers in use; only estimates rest on it
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


@dataclass(frozen=True)
class Plan:
    """The questions that are known before anything is measured, and an estimate of all of them."""

    scoring: tuple[Question, ...]  # what the scoring methods ask first, of the scoring and of the selection text
    evaluation: tuple[Question, ...]  # those that do not depend on scores
    expected_sets: int  # different removal sets among the arms, as far as can be told before scoring
    cost: Cost
    notes: tuple[str, ...] = ()


def ground(audit: Audit, facts: ModelFacts) -> Ground:
    """The stack, the comparable pairs within reach, and the constraints."""
    pairs = tuple(pair for pair in pairs_within(facts.blocks, audit.max_gap) if not incomparable(facts, *pair))
    return Ground(facts.blocks, pairs, audit.geometry(facts.blocks), audit.direction, audit.statistics.seed)


def incomparable(facts: ModelFacts, i: int, j: int) -> str | None:
    """Why two blocks cannot be compared, or None where they can."""
    if facts.block_shapes[i] != facts.block_shapes[j]:
        return f"the parameters of blocks {i} and {j} differ in name or shape"
    return None


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


def block_runs(layouts: Iterable[Layout]) -> int:
    """Block runs that shared prefixes leave: the different beginnings of the layouts."""
    nodes: dict[tuple[int, Place], int] = {}
    for layout in layouts:
        node = 0
        for place in layout.places:
            node = nodes.setdefault((node, place), len(nodes) + 1)
    return len(nodes)


# --- the plan --------------------------------------------------------------------------------------------------------


class Asked:
    """Passes methods' questions on and keeps them, step by step: what a step asks is measured as one prefix tree."""

    def __init__(self, ask: Ask, blocks: int) -> None:
        self.ask, self.base = ask, Layout.base(blocks)
        self.steps: list[tuple[Question, ...]] = []

    @property
    def questions(self) -> tuple[Question, ...]:
        """Each question once, in the order in which they were asked first."""
        return tuple(dict.fromkeys(question for step in self.steps for question in step))

    def kl(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return self.ask.kl(self._of_layouts("scoring", "kl", layouts))

    def loss(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return self.ask.loss(self._of_layouts("selection", "nll", layouts))

    def similarity(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return self.ask.similarity(self._of_layouts("scoring", "similarity", layouts))

    def hidden(self, quantity: HiddenQuantity, spans: Iterable[Span]) -> dict[Span, Values]:
        wanted = list(spans)
        self.steps.append(tuple(Question("scoring", quantity, self.base, span) for span in wanted))
        return self.ask.hidden(quantity, wanted)

    def taylor(self, blocks: Iterable[int]) -> dict[int, Values]:
        wanted = list(blocks)
        self.steps.append(tuple(Question("selection", "taylor", self.base, (block, block)) for block in wanted))
        return self.ask.taylor(wanted)

    def _of_layouts(self, text: Text, quantity: Quantity, layouts: Iterable[Layout]) -> list[Layout]:
        wanted = list(layouts)
        self.steps.append(tuple(Question(text, quantity, layout) for layout in wanted))
        return wanted


class _MadeUp:
    """Answers with made-up figures, different for every layout, before anything is measured."""

    def kl(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return {layout: self._figures(str(layout)) for layout in layouts}

    loss = similarity = kl

    def hidden(self, quantity: HiddenQuantity, spans: Iterable[Span]) -> dict[Span, Values]:
        return {span: self._figures(list(span)) for span in spans}

    def taylor(self, blocks: Iterable[int]) -> dict[int, Values]:
        return {block: self._figures(block) for block in blocks}

    def _figures(self, asked: Any) -> Values:
        return np.full(len(PORTIONS), int(digest(asked)[:8], 16) / 2**32 + 0.01)


def plan(audit: Audit, facts: Facts) -> Plan:
    """What will be measured. Needs headers only; no weights, no tokenizer."""
    where = ground(audit, facts.model)
    first, adaptive = Asked(_MadeUp(), where.blocks), Asked(_MadeUp(), where.blocks)
    for name in scored_by(audit):
        distances = METHODS[name].distances
        assert distances is not None
        distances(first, where)
    expected = arms(audit, where, adaptive).sets
    known = [where.base, *(where.base.without([block]) for block in range(where.blocks))]
    known = list(dict.fromkeys([*known, *claimed_layouts(audit, where.blocks)]))
    evaluation = tuple(Question("evaluation", "nll", layout) for layout in known)
    sets = {removal.layout(where.blocks): None for removal in expected}
    taken = cost(audit, facts, [first.questions, *adaptive.steps], [*known, *sets])
    return Plan(first.questions, evaluation, len(sets), taken, tuple(_notes(audit, facts)))


def claimed_layouts(audit: Audit, blocks: int) -> Iterable[Layout]:
    """The removals that claims state by their layers."""
    for claim in audit.claims:
        if claim.kind == "removal" and claim.layers is not None and not claim.beyond(blocks):
            yield Layout.base(blocks).without(claim.layers)


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
    per_block = sum(model.block_parameters) / max(1, len(model.block_parameters))
    head = model.hidden * model.vocabulary
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


@dataclass(frozen=True)
class _Work:
    """What one text takes, in runs of one block over it."""

    layouts: int
    runs: int
    alone: int  # runs without shared prefixes
    exits: int  # times that logits are made of the whole text
    backward: int  # further runs that gradients are worth


def _work(text: str, steps: Iterable[Iterable[Question]], blocks: int) -> _Work:
    seen: dict[Layout, None] = {}
    passes: dict[str, None] = {}
    known: set[str] = {"nll"}  # what needs no baseline, or none any more
    runs = exits = 0
    for step in steps:
        questions = [question for question in step if question.text == text]
        passes |= {question.quantity: None for question in questions if question.span is not None}
        compares = {question.quantity for question in questions if question.span is None} - known
        wanted = [question.layout for question in questions if question.span is None]
        new = [layout for layout in dict.fromkeys(wanted) if layout not in seen]
        tree = [Layout.base(blocks), *new] if compares and new else new
        known |= compares & {"similarity"}
        runs, exits = runs + block_runs(tree), exits + len(set(tree))
        seen |= dict.fromkeys(tree)
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
    tokens = facts.evaluation.tokens if facts.evaluation else int(_words(contract) * _TOKENS_PER_WORD)
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


def _notes(audit: Audit, facts: Facts) -> Iterable[str]:
    if facts.evaluation is None:
        yield f"the evaluation text is not tokenised yet: its tokens are estimated at {_TOKENS_PER_WORD} a word"
    yield "which sets the methods choose depends on the scores: their number is an estimate until scoring is done"


def seconds(cost: Cost, rate: float) -> float:
    """Estimated seconds at ``rate`` floating-point operations per second of plain matrix products."""
    return cost.operations / (rate * _EFFICIENCY)


def matrix_rate(size: int = 1024, repeats: int = 3) -> float:
    """Floating-point operations per second of float32 matrix products on this machine's processor, measured now."""
    matrix = np.ones((size, size), dtype=np.float32)
    matrix @ matrix
    fastest = min(_timed(lambda: matrix @ matrix) for _ in range(repeats))
    return 2.0 * size**3 / fastest


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
