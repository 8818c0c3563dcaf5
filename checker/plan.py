"""What an audit needs, each thing once, with its cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from checker.choices import arms, scored_by
from checker.errors import CannotRun
from checker.layouts import Layout, Place, pairs_within
from checker.methods import METHODS
from checker.records import (
    PORTIONS,
    Audit,
    EvaluationContract,
    Facts,
    Ground,
    HiddenQuantity,
    ModelFacts,
    Question,
    ScoringContract,
    Span,
    Values,
    digest,
)
from checker.sources import holds_rows, text_file

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


class _Recorder:
    """Answers a method's questions with made-up figures, different for every layout, and keeps the questions."""

    def __init__(self, blocks: int) -> None:
        self.base = Layout.base(blocks)
        self.questions: dict[Question, None] = {}

    def kl(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return {layout: self._made_up(Question("scoring", "kl", layout)) for layout in layouts}

    def loss(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return {layout: self._made_up(Question("selection", "nll", layout)) for layout in layouts}

    def similarity(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return {layout: self._made_up(Question("scoring", "similarity", layout)) for layout in layouts}

    def hidden(self, quantity: HiddenQuantity, spans: Iterable[Span]) -> dict[Span, Values]:
        return {span: self._made_up(Question("scoring", quantity, self.base, span)) for span in spans}

    def taylor(self, blocks: Iterable[int]) -> dict[int, Values]:
        spans = {block: (block, block) for block in blocks}
        return {block: self._made_up(Question("selection", "taylor", self.base, span)) for block, span in spans.items()}

    def _made_up(self, question: Question) -> Values:
        self.questions[question] = None
        return np.full(len(PORTIONS), int(digest([str(question.layout), question.span])[:8], 16) / 2**32 + 0.01)

    def layouts(self, text: str) -> list[Layout]:
        return [question.layout for question in self.questions if question.text == text and question.span is None]


def plan(audit: Audit, facts: Facts) -> Plan:
    """What will be measured. Needs headers only; no weights, no tokenizer."""
    where = ground(audit, facts.model)
    first, adaptive = _Recorder(where.blocks), _Recorder(where.blocks)
    for name in scored_by(audit):
        distances = METHODS[name].distances
        assert distances is not None
        distances(first, where)
    expected = arms(audit, where, adaptive).sets
    known = [where.base, *(where.base.without([block]) for block in range(where.blocks))]
    known = list(dict.fromkeys([*known, *claimed_layouts(audit, where.blocks)]))
    evaluation = tuple(Question("evaluation", "nll", layout) for layout in known)
    sets = {removal.layout(where.blocks): None for removal in expected}
    questions = dict.fromkeys([*first.questions, *adaptive.questions])
    cost = _cost(audit, facts, list(questions), [*known, *sets])
    return Plan(tuple(first.questions), evaluation, len(sets), cost, tuple(_notes(audit, facts)))


def claimed_layouts(audit: Audit, blocks: int) -> Iterable[Layout]:
    """The removals that claims state by their layers."""
    for claim in audit.claims:
        if claim.kind == "removal" and claim.layers is not None:
            yield Layout.base(blocks).without(claim.layers)


def _cost(audit: Audit, facts: Facts, questions: list[Question], evaluation: list[Layout]) -> Cost:
    model, base = facts.model, Layout.base(facts.model.blocks)
    selecting = audit.selecting or audit.scoring
    tokens = {
        "scoring": scoring_tokens(audit.scoring),
        "selection": scoring_tokens(selecting),
        "evaluation": evaluation_tokens(audit, facts),
    }
    layouts = {
        text: list(dict.fromkeys([base, *(q.layout for q in questions if q.text == text and q.span is None)]))
        for text in ("scoring", "selection")
    } | {"evaluation": list(dict.fromkeys(evaluation))}
    if not any(q.text == "selection" and q.span is None for q in questions):
        layouts["selection"] = []
    runs = {text: block_runs(layouts[text]) for text in layouts}
    # One pass shows all hidden states; a gradient takes about three.
    passes = {"scoring": int(any(q.text == "scoring" and q.span for q in questions)),
              "selection": 3 * int(any(q.quantity == "taylor" for q in questions)), "evaluation": 0}  # fmt: skip
    per_block = sum(model.block_parameters) / max(1, len(model.block_parameters))
    head = model.hidden * model.vocabulary
    passed = sum((runs[text] + passes[text] * model.blocks) * tokens[text] for text in runs)
    left = sum((len(layouts[text]) + passes[text]) * tokens[text] for text in runs)
    batch = max(audit.scoring.batch_tokens, audit.evaluation.batch_tokens, selecting.batch_tokens)
    return Cost(
        layouts=sum(len(group) for group in layouts.values()),
        block_runs=sum(runs.values()),
        block_runs_without_sharing=sum(len(layout) for group in layouts.values() for layout in group),
        tokens=passed,
        operations=2.0 * (per_block * passed + head * left),
        memory=int(
            model.parameters * _BYTES[audit.model.dtype]
            + batch * (model.blocks + 2) * model.hidden * _BYTES[audit.model.dtype]
            + 2 * batch * model.vocabulary * 4
        ),
    )


def scoring_tokens(contract: ScoringContract) -> int:
    """Tokens of all prompts, a begin token before each included."""
    return contract.prompts * (contract.tokens + (contract.special_tokens == "every_window"))


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
