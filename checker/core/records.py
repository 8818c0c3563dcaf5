"""The nouns: frozen dataclasses that every floor of the house shares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from checker.core.errors import EvidenceMissing
from checker.core.layouts import Geometry, Layout

Outcome = Literal["pass", "fail", "open", "not_applicable"]
Level = Literal["note", "warning", "error"]
Verdict = Literal["supported", "contradicted", "open"]
Interval = tuple[float, float]
Form = Literal["matched", "native"]
FROM_CHECKPOINT = "from-checkpoint"  # in an audit file, in the place of a removal's layers
K = TypeVar("K")
Values = np.ndarray[Any, np.dtype[np.float64]]


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text per value, so that digests are stable."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """sha256 (hex) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


# --- the audit -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Location:
    """A place in the audit file; lines and columns count from 1."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    @property
    def place(self) -> str:
        """The place as reports name it: reports travel, and the folders of the machine that made them do not."""
        return str(replace(self, file=PurePath(self.file).name))


def _base_name(path: str | None) -> str | None:
    return None if path is None else PurePath(path).name


@dataclass(frozen=True)
class ModelSource:
    """Where the model is and how to run it. Only the fields of its ``kind`` are set."""

    kind: Literal["hub", "directory", "gguf", "package"]
    repo: str | None = None
    revision: str | None = None
    path: str | None = None  # absolute, once loaded
    package: str | None = None
    file: str | None = None
    sha256: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    blocks: str | None = None  # dotted name of the block stack, where it is ambiguous
    trust_remote_code: bool = False  # whether code that comes with the model may run

    @property
    def identity(self) -> str:
        """Digest of what names the weights, whatever the machine: the key of stored model facts."""
        keep = {k: v for k, v in asdict(self).items() if k not in ("device", "dtype", "blocks", "trust_remote_code")}
        return digest(keep | {"path": _base_name(self.path)})

    @property
    def unpinned(self) -> ModelSource:
        """The same source without the digest it is held against."""
        return replace(self, sha256=None)


@dataclass(frozen=True)
class TextSource:
    """Where a text comes from. Only the fields of its ``kind`` are set."""

    kind: Literal["file", "rows", "hub", "package", "self_generated"]
    path: str | None = None  # absolute, once loaded
    package: str | None = None
    file: str | None = None
    repo: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    column: str = "text"
    kind_column: str = "kind"
    sha256: str | None = None
    join: str = "\n\n"
    drop_empty: bool = False
    seed: int = 0  # self_generated: of the model's samples

    @property
    def identity(self) -> str:
        """Digest of what names the text, whatever the machine: the key of stored text facts."""
        return digest(asdict(self) | {"path": _base_name(self.path)})

    @property
    def name(self) -> str:
        """What a reader would call this text."""
        if self.kind == "hub":
            parts = [self.repo, self.config, self.split]
            return "/".join(part for part in parts if part)
        if self.kind == "package":
            return f"{self.package}/{self.file}"
        if self.kind == "self_generated":
            return f"the model's own samples, seed {self.seed}"
        return _base_name(self.path) or ""


SpecialTokens = Literal["tokenizer", "none", "every_window"]


@dataclass(frozen=True)
class ScoringContract:
    """Everything beside model and dtype that fixes a distance (design, 3.1)."""

    source: TextSource
    prompts: int
    tokens: int
    positions: Literal["all", "last"] = "all"
    assembly: Literal["windows", "rows"] = "windows"
    special_tokens: SpecialTokens = "tokenizer"
    batch_tokens: int = 1024

    @property
    def begin_tokens_before(self) -> int:
        """Begin tokens that stand before a prompt without being part of it; their positions are never scored."""
        return int(self.special_tokens == "every_window" and self.source.kind != "self_generated")


@dataclass(frozen=True)
class EvaluationContract:
    """Everything beside model and dtype that fixes a perplexity (design, 3.2)."""

    source: TextSource
    window: int
    stride: int
    words: int | None = None
    boundary: Literal["every_token", "skip_first", "whole_window"] = "every_token"
    special_tokens: SpecialTokens = "tokenizer"
    batch_tokens: int = 1024


@dataclass(frozen=True)
class MethodSettings:
    """A method the audit runs, with what was set for it."""

    name: str
    budgets: tuple[int, ...]
    forms: tuple[Form, ...] = ("matched", "native")
    draws: int = 39  # random
    calls: int = 1000  # sleb, beam, exhaustive, laco: evaluations of a layout, at most
    width: int = 4  # beam: sets kept at every size
    seeded_by: str | None = None  # beam: the method whose scores it begins with; None: losses of single deletions
    merge: int = 4  # laco: blocks that become one in a merge, at most
    of: str = "replacement"  # worst_first: the method whose order is turned round


@dataclass(frozen=True)
class Selection:
    """The constraints that all arms of a comparison obey."""

    spacing: int = 1
    ties: Literal["all", "lower"] = "all"
    exclude: tuple[int, ...] = ()
    name: str = "matched"
    region: tuple[int, int] | None = None  # only blocks from the first to the second, inclusive, may be removed

    def geometry(self, blocks: int) -> Geometry:
        outside = () if self.region is None else (b for b in range(blocks) if not self.region[0] <= b <= self.region[1])
        return Geometry(blocks, self.spacing, tuple(sorted({*self.exclude, *outside})))


@dataclass(frozen=True)
class Statistics:
    confidence: float = 0.95
    margin: float = 0.05  # nats per token
    divergent_ratio: float = 0.5
    similar: float = 0.05  # nats
    conditional: float = 0.10  # nats
    seed: int = 0
    interval: Literal["student_t", "percentile_bootstrap"] = "student_t"
    resamples: int = 1000


@dataclass(frozen=True)
class Claim:
    """A statement someone published. Fields outside its ``kind`` are None."""

    id: str
    says: str
    kind: Literal["removal", "redundant", "comparison", "regime", "transfer"]
    location: Location
    protocol: str | None = None
    scope: Literal["contract", "population"] = "population"
    layers: tuple[int, ...] | None = None  # removal
    method: str | None = None  # removal
    budget: int | None = None  # removal, comparison, regime
    at_most: float | None = None  # removal, percent
    equals: float | None = None  # removal, percent
    within: float | None = None  # removal, percent
    interval: Interval | None = None  # removal: as published, in ``interval_unit``
    interval_unit: Literal["percent", "perplexity"] | None = None  # removal: of the published interval
    about: Literal["perplexity", "tasks"] | None = None  # removal
    pair: tuple[int, int] | None = None  # redundant
    pairs: Literal["all", "adjacent"] | None = None  # redundant, in place of ``pair``
    below: float | None = None  # redundant, nats
    better: str | None = None  # comparison
    worse: str | None = None  # comparison
    at_least: float | None = None  # comparison, times
    metric: str | None = None  # regime
    removal: str | None = None  # regime
    to: str | None = None  # transfer
    checkpoint: str | None = None  # removal: folder of the pruned model, absolute once loaded
    from_checkpoint: bool = False  # removal: whether ``layers`` are those that the checkpoint lacks

    def beyond(self, blocks: int) -> tuple[int, ...]:
        """The blocks it names that a model of so many blocks does not have."""
        return tuple(sorted({block for block in (*(self.layers or ()), *(self.pair or ())) if block >= blocks}))


@dataclass(frozen=True)
class Waiver:
    rule: str
    reason: str
    expires: str  # ISO date
    location: Location
    claim: str | None = None


COMPLETENESS = "evidence/incomplete"  # neither policy nor waiver touches it: an incomplete run never passes


@dataclass(frozen=True)
class Policy:
    """What makes a run fail and what an audit must have, with everything that was extended filled in."""

    fail_on: Literal["note", "warning", "error", "never"] = "error"
    rules: Mapping[str, str] = field(default_factory=dict)  # slug or family -> note | warning | error | off
    required_methods: tuple[str, ...] = ()
    required_budgets: tuple[int, ...] = ()
    minimum_windows: int | None = None  # evaluation windows
    maximum_interval_width_percent: float | None = None  # percent of the perplexity that the interval belongs to
    maximum_waivers: int | None = None
    extends: tuple[str, ...] = ()  # the policies that this one is built on, nearest first
    sources: Mapping[str, str] = field(default_factory=dict)  # dotted key -> where it is set; others have their default

    def level(self, rule: str, default: str) -> str:
        """The level of a rule, or off: its own where one is set, else its family's, else ``default``."""
        if rule == COMPLETENESS:
            return default
        return self.rules.get(rule, self.rules.get(rule.partition("/")[0], default))

    def source(self, rule: str) -> str | None:
        """Where the level of a rule is set; None where it has its default."""
        set_by = rule if rule in self.rules else rule.partition("/")[0]
        return None if rule == COMPLETENESS else self.sources.get(f"rules.{set_by}")


@dataclass(frozen=True)
class Audit:
    """An audit file, checked and with its defaults filled in."""

    name: str
    title: str
    path: str
    text: str  # the file, verbatim
    overrides: tuple[tuple[str, str], ...]
    model: ModelSource
    scoring: ScoringContract
    evaluation: EvaluationContract
    protocols: Mapping[str, Mapping[str, str]]
    max_gap: int
    budgets: tuple[int, ...]
    methods: tuple[MethodSettings, ...]
    selection: Selection  # the first of ``selections``: what verdicts and regimes rest on
    statistics: Statistics
    claims: tuple[Claim, ...]
    waivers: tuple[Waiver, ...]
    policy: Policy
    further_selections: tuple[Selection, ...] = ()  # the same methods under other constraints
    selecting: ScoringContract | None = None  # text that losses are taken on; None: the scoring text

    @property
    def places(self) -> Mapping[str, Location]:
        """Where each claim stands in the audit file, by its id."""
        return {claim.id: claim.location for claim in self.claims}

    @property
    def selections(self) -> tuple[Selection, ...]:
        return (self.selection, *self.further_selections)

    @property
    def direction(self) -> str:
        """How replacement scores a block: into (where none is declared), max or mean of the two directions."""
        return self.protocols.get("replacement", {}).get("direction", "into")

    def geometry(self, blocks: int) -> Geometry:
        return self.selection.geometry(blocks)


class Audited(Protocol):
    """What every audit has, of measurements or of published numbers."""

    @property
    def overrides(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def waivers(self) -> tuple[Waiver, ...]: ...
    @property
    def policy(self) -> Policy: ...
    @property
    def places(self) -> Mapping[str, Location]:
        """Where everything that a finding or a waiver may be about stands in the audit file, by its id."""
        ...


# --- facts about files -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CardFacts:
    """What the card beside a model says of removed layers, and what its pruneaudit block is of.

    ``removal`` and ``tests`` are of the card's own prose, never of the block.
    """

    problem: str | None = None  # why the card could not be read
    removal: str | None = None  # its first words that say that layers were removed or are redundant
    tests: tuple[str, ...] = ()  # protocols and methods that it names
    block: bool = False
    audit_digest: str | None = None  # as the block names it
    model_digest: str | None = None
    edited: bool = False  # whether the block is not what its own digest says


@dataclass(frozen=True)
class ModelFacts:
    """What headers and configuration say of a model, without loading its weights."""

    source: str
    kind: str
    architecture: str
    blocks: int
    parameters: int
    block_parameters: tuple[int, ...]  # per block
    block_shapes: tuple[str, ...]  # per block: digest of its parameters' names and shapes
    slot_kinds: tuple[str, ...]  # per slot, e.g. full_attention; empty where config names none
    hidden: int
    vocabulary: int
    context: int | None
    tokenizer_digest: str
    quantization: str | None = None  # e.g. Q4_1
    revision: str | None = None
    digest: str | None = None  # of the weights; None until they are hashed
    notes: tuple[str, ...] = ()
    remote_code: bool = False  # whether code that came with the model was allowed to run
    card: CardFacts | None = None  # None where no card lies beside the weights


@dataclass(frozen=True)
class CheckpointFacts:
    """What the weights of the pruned checkpoint that a claim names say of it, held against the audited model's."""

    claim: str  # its id
    name: str  # of the folder
    blocks: int
    layout: str | None  # None where a block's origin is open, or there are more blocks than slots
    removed: tuple[int, ...]  # blocks of the audited model that it lacks, as far as none is open
    cut: bool  # whether its blocks are the audited model's in order, retrained or not
    done: str  # what was done to the blocks, in words
    retrained: tuple[int, ...]  # places
    change: float | None  # the largest relative change of a retrained block
    touched: tuple[str, ...]  # tensors around the blocks that hold other values, or may do so
    open: tuple[str, ...]  # what could not be decided, with the reasons
    config: tuple[str, ...] = ()  # fields of config.json that do not fit
    twins: tuple[tuple[int, ...], ...] = ()  # blocks of the audited model with the very same weights
    card_training: str | None = None  # the card's first words of training after the removal
    card_blocks: tuple[int, ...] = ()  # how many blocks the card says there are


@dataclass(frozen=True)
class ScoringFacts:
    """What the scoring text turned out to be, after tokenising."""

    text_digest: str
    tokens_digest: str
    kinds: tuple[str, ...]  # per prompt; "" where the text names none
    prompts: int
    tokens: int  # per prompt, special tokens included
    batches: int


@dataclass(frozen=True)
class EvaluationFacts:
    """What the evaluation text turned out to be, after tokenising."""

    text_digest: str
    tokens_digest: str
    tokens: int  # of the whole text
    scored: tuple[int, ...]  # tokens scored, per window
    batches: int
    shared_run: int  # the longest run of words it shares with the scoring text


@dataclass(frozen=True)
class Facts:
    """All that a judge needs to know beside measurements."""

    model: ModelFacts
    scoring: ScoringFacts | None = None
    evaluation: EvaluationFacts | None = None
    selection: ScoringFacts | None = None  # the text that losses are taken on
    checkpoints: tuple[CheckpointFacts, ...] = ()  # those that claims name


# --- questions and answers -------------------------------------------------------------------------------------------

Quantity = Literal["kl", "nll", "top1", "similarity"]  # of a layout
HiddenQuantity = Literal["cosine", "angle", "cka"]  # of a run of blocks of the unchanged model
Text = Literal["scoring", "selection", "evaluation", "begin_token", "float32"]
Span = tuple[int, int]  # the first and the last block of a run, inclusive

# Pooled quantities are not means over prompts: they are measured anew on portions of them, (from, to) in quarters. The
# larger stand first, because those too small for a quantity are left out.
PORTIONS = ((0, 4), (0, 3), (0, 2), (2, 4), (0, 1))


@dataclass(frozen=True, order=True)
class Question:
    """One thing to measure: a quantity of one layout, or of a run of its blocks, under one contract.

    The answer is one value per unit, or per portion for pooled quantities:

    * ``kl``: KL to the baseline averaged over a unit's scored positions, in nats
    * ``nll``: summed NLL of a window's scored tokens, in nats
    * ``top1``: share of a window's scored positions where the most likely token is the baseline's
    * ``similarity``: cosine of the layout's hidden states after the last block with the baseline's, mean over tokens
    * ``cosine``: cosine between a run's input and output, mean over tokens
    * ``angle``: arccos of that cosine at the last token, over pi
    * ``cka``: linear CKA of a run's input and output, tokens pooled (per portion)
    * ``taylor``: sum over a block's parameters of abs(gradient x weight) (per portion)
    """

    text: Text
    quantity: Quantity | HiddenQuantity | Literal["taylor"]
    layout: Layout
    span: Span | None = None

    @property
    def asked(self) -> str:
        """The quantity, and of which run of blocks where it is of one."""
        return self.quantity if self.span is None else f"{self.quantity} {self.span[0]}-{self.span[1]}"


class Ask(Protocol):
    """How a method asks for quantities; who answers (a price list, the store, the engine) is not its concern."""

    def kl(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        """Per layout, KL to the baseline per scoring prompt, in nats."""
        ...

    def loss(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        """Per layout, mean NLL per token of each selection prompt, in nats."""
        ...

    def similarity(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        """Per layout, cosine of its output hidden states with the baseline's, mean over tokens, per scoring prompt."""
        ...

    def hidden(self, quantity: HiddenQuantity, spans: Iterable[Span]) -> dict[Span, Values]:
        """Per run of blocks, a quantity of its input and output: per scoring prompt, or per portion for ``cka``."""
        ...

    def taylor(self, blocks: Iterable[int]) -> dict[int, Values]:
        """Per block, sum over its parameters of abs(gradient x weight), per portion of the selection prompts."""
        ...


@dataclass(frozen=True)
class Ground:
    """What every method may know: the stack, the pairs that are compared, the constraints."""

    blocks: int
    pairs: tuple[tuple[int, int], ...]  # comparable, i < j
    geometry: Geometry
    direction: str
    seed: int
    seeds: Mapping[int, float] = field(default_factory=dict, hash=False)  # block scores that a search begins with

    @property
    def base(self) -> Layout:
        return Layout.base(self.blocks)

    def partners(self, block: int) -> Iterator[int]:
        for i, j in self.pairs:
            if block in (i, j):
                yield j if block == i else i


@dataclass(frozen=True)
class Evidence:
    """Everything a judge has: the audit, the facts about its files, and the answers that were measured.

    As an ``Ask`` it answers from what is stored and raises EvidenceMissing for the rest.
    """

    audit: Audit
    facts: Facts
    answers: Callable[[Question], Values | None]

    def answer(self, text: Text, quantity: Quantity, layout: Layout) -> Values | None:
        return self.answers(Question(text, quantity, layout))

    def loss(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        selection, contract = self.facts.selection, self.audit.selecting or self.audit.scoring
        scored = 1.0 if selection is None else selection.tokens - 1.0 - contract.begin_tokens_before
        answers = self._known({layout: Question("selection", "nll", layout) for layout in layouts}, "losses")
        return {layout: values / scored for layout, values in answers.items()}

    def similarity(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return self._known({layout: Question("scoring", "similarity", layout) for layout in layouts}, "similarities")

    def hidden(self, quantity: HiddenQuantity, spans: Iterable[Span]) -> dict[Span, Values]:
        base, scoring = Layout.base(self.facts.model.blocks), self.facts.scoring
        if quantity == "cka" and scoring is not None:  # which no further run would measure
            before = self.audit.scoring.begin_tokens_before
            check_tokens(scoring.prompts * (scoring.tokens - before), self.facts.model.hidden)
        return self._known({span: Question("scoring", quantity, base, span) for span in spans}, f"values of {quantity}")

    def taylor(self, blocks: Iterable[int]) -> dict[int, Values]:
        base = Layout.base(self.facts.model.blocks)
        return self._known(
            {block: Question("selection", "taylor", base, (block, block)) for block in blocks}, "gradients"
        )

    def _known(self, questions: Mapping[K, Question], what: str) -> dict[K, Values]:
        found = {key: self.answers(question) for key, question in questions.items()}
        missing = [key for key, values in found.items() if values is None]
        if missing:
            raise EvidenceMissing(f"{len(missing)} {what} are not measured, the first one of {missing[0]}")
        return {key: values for key, values in found.items() if values is not None}

    def kl(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return self._known({layout: Question("scoring", "kl", layout) for layout in layouts}, "distances")


def check_tokens(tokens: int, features: int) -> None:
    """EvidenceMissing where there are too few tokens for CKA, which is near 1 there whatever the states."""
    if tokens <= features:
        raise EvidenceMissing(
            f"CKA needs more tokens than features: found {tokens} tokens and {features} features; raise `prompts` or "
            "`tokens`"
        )


@dataclass(frozen=True)
class RemovalSet:
    """One way in which a method answers a budget."""

    method: str
    budget: int
    layers: tuple[int, ...]
    tie: int = 0  # which resolution of the ties
    ties: int = 1  # how many there are; more than are measured where there are over 16
    ties_counted: bool = True  # False: there are more still, too many to count
    draw: bool = False  # one draw of a random control
    form: Form = "matched"
    selection: str = "matched"  # the name of the constraints it obeys; a native form obeys its own
    merged: Layout | None = None  # where blocks were merged and not only deleted
    calls: int = 0  # layouts and passes evaluated to choose it

    @property
    def ways(self) -> str:
        """How many resolutions of the ties there are, in words."""
        return f"{'' if self.ties_counted else 'at least '}{self.ties}"

    def layout(self, blocks: int) -> Layout:
        return self.merged or Layout.base(blocks).without(self.layers)


@dataclass(frozen=True)
class Finding:
    """What one rule concluded."""

    rule: str
    outcome: Outcome
    level: Level
    message: str
    claim: str | None = None
    location: str | None = None
    waived: str | None = None  # the waiver's reason
