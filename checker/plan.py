"""What an audit needs, each thing once, with its cost; and how measured scores become arms."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np

from checker.errors import CannotRun, EvidenceMissing
from checker.methods import METHODS
from checker.records import (
    Ask,
    Audit,
    EvaluationContract,
    Facts,
    Ground,
    Layout,
    MethodSettings,
    ModelFacts,
    Place,
    Question,
    RemovalSet,
    ScoringContract,
    Values,
    digest,
    pairs_within,
)
from checker.selection import select
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

    scoring: tuple[Question, ...]
    evaluation: tuple[Question, ...]  # those that do not depend on scores
    expected_sets: int  # different removal sets among the arms, as far as can be told before scoring
    cost: Cost
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arms:
    """Every removal set that the audit's methods choose, and why some choose none."""

    sets: tuple[RemovalSet, ...]
    gaps: tuple[str, ...]


def ground(audit: Audit, facts: ModelFacts) -> Ground:
    """The stack, the comparable pairs within reach, and the constraints."""
    pairs = tuple(pair for pair in pairs_within(facts.blocks, audit.max_gap) if not incomparable(facts, *pair))
    return Ground(facts.blocks, pairs, audit.geometry(facts.blocks), audit.direction, audit.statistics.seed)


def incomparable(facts: ModelFacts, i: int, j: int) -> str | None:
    """Why two blocks cannot be compared, or None where they can."""
    if facts.block_shapes[i] != facts.block_shapes[j]:
        return f"the parameters of blocks {i} and {j} differ in name or shape"
    return None


def scored_by(audit: Audit) -> tuple[str, ...]:
    """The methods whose distances are measured: the audit's protocols, its scoring methods, and always deletion.

    Deletion stands beside the protocols in every table, because neither of them measures removability (design, 3.4).
    """
    wanted = {*audit.protocols, "deletion", *(method.name for method in audit.methods)}
    return tuple(name for name, method in METHODS.items() if name in wanted and method.distances)


def contract_digest(contract: ScoringContract | EvaluationContract, text: str, tokenizer: str, dtype: str) -> str:
    """Digest of everything that fixes a number but the weights; made without torch.

    ``text`` is the text's identity (sha256, or name and revision), ``tokenizer`` the tokenizer's digest.
    """
    assembled = {key: value for key, value in asdict(contract).items() if key != "source"}
    source = {key: getattr(contract.source, key) for key in ("join", "drop_empty", "column")}
    source["rows"] = holds_rows(contract.source)  # the same bytes may be read as rows or as one text
    return digest([type(contract).__name__, assembled, source, text, tokenizer, dtype])


def arms(audit: Audit, where: Ground, ask: Ask) -> Arms:
    """Runs every method at every budget. A method whose evidence is missing, or that reaches no set, is a gap."""
    sets: list[RemovalSet] = []
    gaps: list[str] = []
    for settings in audit.methods:
        try:
            chosen = _sets_of(audit, where, ask, settings)
        except EvidenceMissing as missing:
            gaps.append(f"{settings.name}: {missing}")
            continue
        for budget, found in chosen.items():
            if not found:
                gaps.append(f"{settings.name} at budget {budget}: the ascending order reaches no set of that size")
            sets.extend(found)
    return Arms(tuple(sets), tuple(gaps))


def _sets_of(audit: Audit, where: Ground, ask: Ask, settings: MethodSettings) -> dict[int, tuple[RemovalSet, ...]]:
    method = METHODS[settings.name]
    if method.sets is not None:
        return {
            budget: tuple(
                RemovalSet(method.name, budget, layers, tie=number, ties=1, draw=True)
                for number, layers in enumerate(method.sets(where, budget, settings))
            )
            for budget in settings.budgets
        }
    scores = block_scores(settings.name, where, ask)
    found = {}
    for budget in settings.budgets:
        selected = select(scores, where.geometry, budget, audit.selection.ties)
        found[budget] = tuple(
            RemovalSet(method.name, budget, layers, tie=number, ties=selected.total)
            for number, layers in enumerate(selected.sets)
        )
    return found


def block_scores(name: str, where: Ground, ask: Ask) -> dict[int, float]:
    """A scoring method's score per block, on all prompts."""
    method = METHODS[name]
    assert method.distances is not None
    assert method.scores is not None
    means = {key: float(np.mean(values)) for key, values in method.distances(ask, where).items()}
    return method.scores(means, where)


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
    """Answers a method's questions with made-up distances, different for every layout, and keeps the questions."""

    def __init__(self) -> None:
        self.layouts: dict[Layout, None] = {}

    def kl(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        asked = list(layouts)
        self.layouts.update(dict.fromkeys(asked))
        return {layout: np.array([int(digest(str(layout))[:8], 16) / 2**32 + 0.01]) for layout in asked}


def plan(audit: Audit, facts: Facts) -> Plan:
    """What will be measured. Needs headers only; no weights, no tokenizer."""
    where = ground(audit, facts.model)
    recorder = _Recorder()
    for name in scored_by(audit):
        method = METHODS[name]
        assert method.distances is not None
        method.distances(recorder, where)
    expected = arms(audit, where, recorder).sets
    scoring = tuple(Question("scoring", "kl", layout) for layout in recorder.layouts)
    known = [where.base, *(where.base.without([block]) for block in range(where.blocks))]
    known = list(dict.fromkeys([*known, *claimed_layouts(audit, where.blocks)]))
    evaluation = tuple(Question("evaluation", "nll", layout) for layout in known)
    sets = {removal.layout(where.blocks): None for removal in expected}
    cost = _cost(audit, facts, [where.base, *recorder.layouts], [*known, *sets])
    return Plan(scoring, evaluation, len(sets), cost, tuple(_notes(facts)))


def claimed_layouts(audit: Audit, blocks: int) -> Iterable[Layout]:
    """The removals that claims state by their layers."""
    for claim in audit.claims:
        if claim.kind == "removal" and claim.layers is not None:
            yield Layout.base(blocks).without(claim.layers)


def _cost(audit: Audit, facts: Facts, scoring: list[Layout], evaluation: list[Layout]) -> Cost:
    model = facts.model
    tokens = {"scoring": scoring_tokens(audit.scoring), "evaluation": evaluation_tokens(audit, facts)}
    layouts = {"scoring": list(dict.fromkeys(scoring)), "evaluation": list(dict.fromkeys(evaluation))}
    runs = {text: block_runs(layouts[text]) for text in layouts}
    per_block = sum(model.block_parameters) / max(1, len(model.block_parameters))
    head = model.hidden * model.vocabulary
    passed = sum(runs[text] * tokens[text] for text in runs)
    left = sum(len(layouts[text]) * tokens[text] for text in runs)
    batch = max(audit.scoring.batch_tokens, audit.evaluation.batch_tokens)
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


def _notes(facts: Facts) -> Iterable[str]:
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
