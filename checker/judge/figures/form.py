"""The rows of figures in report.json, as types. schemas/report.schema.json says what each key means, and in which unit.

A test holds these types against the schema, so that neither changes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from checker.core.records import EvidenceClass, Form, ProtocolName, TaskEvidence
from checker.judge.figures.regimes import DistanceClass, MetricRegime, PairRegime, RemovalRegime
from checker.spec.claims.trend import Quantity

Ends = Sequence[float] | None  # low and high, as a tuple or a list; None where there is no interval


class IntervalRow(TypedDict):  # the interval of the figure beside it
    interval: Ends


class ValueRow(IntervalRow):  # a figure with its interval
    value: float


class BudgetRow(TypedDict):  # the number of blocks to remove
    budget: int


# Two keys of a distance are words of Python, which a class cannot hold.
ReplacementRow = TypedDict(
    "ReplacementRow",
    {
        "forward": float,
        "backward": float,
        "max": float,
        "mean": float,
        "min": float,
        "interval": Ends,
        "class": DistanceClass,
    },
)
InterchangeRow = TypedDict("InterchangeRow", {"distance": float, "interval": Ends, "class": DistanceClass})


class PairDeletionRow(TypedDict):  # what leaving out each block of a pair changes
    i: float
    j: float


class KindValueRow(TypedDict):
    kind: str
    value: float


class WorstKindRow(TypedDict):  # the kind of prompt with the largest distance, per protocol
    replacement: KindValueRow | None
    interchange: KindValueRow | None


class PairRow(TypedDict):  # one pair of blocks, i < j
    i: int
    j: int
    gap: int
    comparable: bool
    reason: str | None
    note: str | None
    replacement: ReplacementRow | None
    interchange: InterchangeRow | None
    kl_ratio: ValueRow | None
    deletion: PairDeletionRow | None
    regime: PairRegime | Literal["not_comparable"]
    in_noise: Sequence[str]
    worst_kind: WorstKindRow | None


def distance_of(pair: PairRow, protocol: ProtocolName) -> ValueRow | None:
    """What counts as the distance of a pair under a protocol: in replacement, that of the larger direction."""
    replacement, interchange = pair["replacement"], pair["interchange"]
    if protocol == "replacement":
        return None if replacement is None else {"value": replacement["max"], "interval": replacement["interval"]}
    return None if interchange is None else {"value": interchange["distance"], "interval": interchange["interval"]}


class ClassCountRow(TypedDict):  # adjacent pairs per class
    similar: int
    conditional: int
    distinct: int
    below_conditional: int


class ClassesRow(TypedDict):
    replacement: ClassCountRow | None
    interchange: ClassCountRow | None


class KindRow(TypedDict):  # distances on one kind of prompt
    kind: str
    prompts: int
    replacement: float | None
    interchange: float | None


class BlockRow(IntervalRow):
    block: int
    deletion: float | None
    deletion_interval: Ends
    replacement_score: float | None
    interchange_score: float | None
    single_deletion_increase_percent: float | None
    excluded: bool


class PredictionRow(IntervalRow):  # whether a method's scores go with the cost of deleting single blocks
    method: str
    rank_correlation: float | None
    p: float | None  # over circular shifts and their reversals
    smallest_p: float | None  # that so many blocks can reach
    blocks: int


class RankRow(ValueRow):  # rank correlation of the two protocols' block scores
    blocks: int


class SharedRow(BudgetRow):  # what the two protocols' selections share, over their ties
    shared_least: int
    shared_most: int
    of: int


class SharedBlocksRow(TypedDict):  # an earlier step, and the blocks whose weights are those of this one
    step: int
    blocks: Sequence[int]
    all: bool


class StepScoreRow(TypedDict):  # a method's score of each block at one step
    method: str
    values: Sequence[float | None]


class StepSetRow(BudgetRow):  # what a method chooses at one step, and its cost there
    method: str
    layers: Sequence[int]
    tie: int
    increase_percent: ValueRow | None


class StepRow(TypedDict):  # one step of a series
    step: int
    tokens: float | None
    checkpoint: str
    why_not: str | None  # why it is compared with no other
    weights: str | None
    blocks: Sequence[str]
    norms: Sequence[float]
    dtype: str
    types: Sequence[str]
    shared: Sequence[SharedBlocksRow]
    perplexity: ValueRow | None
    gap: ValueRow | None
    kl_ratio: ValueRow | None
    replacement: ValueRow | None
    interchange: ValueRow | None
    rank_correlation: ValueRow | None
    pairs: int | None
    left_out: int | None
    scores: Sequence[StepScoreRow]
    sets: Sequence[StepSetRow]


class ChangeRow(TypedDict):  # how much larger a quantity is at the later of two steps
    quantity: Quantity
    change: ValueRow | None


class StepCorrelationRow(TypedDict):  # how alike two steps rank blocks
    method: str
    correlation: ValueRow | None


class TransferRow(BudgetRow, IntervalRow):  # what a choice of one step is at another
    method: str
    overlap: Sequence[float] | None
    regret_percent: Sequence[float] | None


class BetweenRow(TypedDict):  # two steps of a series
    start: int
    end: int
    same_weights: bool
    changes: Sequence[ChangeRow]
    correlations: Sequence[StepCorrelationRow]
    transfers: Sequence[TransferRow]


class SeriesRow(TypedDict):  # a series of steps
    name: str
    in_order: bool
    steps: Sequence[StepRow]
    neighbours: Sequence[BetweenRow]
    to_last: Sequence[BetweenRow]
    sentence: str


class MetricRow(IntervalRow):  # what the two distances say together, over all adjacent pairs
    name: MetricRegime
    ratio: float | None
    replacement_mean: float | None
    interchange_mean: float | None
    pairs: int
    rank_correlation: RankRow | None
    overlap: Sequence[SharedRow]
    sentence: str


class RemovalRow(BudgetRow, IntervalRow):  # what the costs of the two protocols' arms say at one budget
    regime: RemovalRegime
    difference: float | None
    margin: float
    resolutions: int
    sentence: str


class RegimeRow(TypedDict):
    metric: MetricRow
    removal: Sequence[RemovalRow]


class BaselineRow(IntervalRow):  # the unchanged model
    perplexity: float
    windows: int
    effective_windows: float | None  # independent ones that would say as much
    tokens: int
    nll_per_token: float
    bits_per_byte: float | None  # of the scored tokens


class ChosenRow(BudgetRow):  # what one method chose at one budget
    method: str
    form: Form
    selection: str
    ties: int
    ties_counted: bool


class ArmRow(ChosenRow, IntervalRow):  # one removal set and its measured cost
    layers: Sequence[int]
    merged: str | None
    tie: int
    draw: bool
    calls: int
    perplexity: float | None
    increase_percent: float | None
    kl: float | None
    top1_agreement: float | None
    parameters_removed: int
    parameters_removed_percent: float
    selected_on: str
    evidence: EvidenceClass
    p: float | None
    smallest_p: float | None
    draws: int | None
    stability: float | None
    regret: ValueRow | None
    spacing: int | None


class RangeRow(ChosenRow):  # over the ties
    measured: int
    least_percent: float | None
    most_percent: float | None
    least_low: float | None
    most_high: float | None


class RandomRow(BudgetRow):  # the random control at one budget
    selection: str
    draws: int
    quartiles: Sequence[float]
    least: float
    most: float


class ScoreRow(TypedDict):  # one method's score of every block
    method: str
    source: str
    values: Sequence[float | None]
    resolution: float | None


class AgreementRow(TypedDict):  # how far two methods put the blocks into the same order
    a: str
    b: str
    blocks: int
    spearman: ValueRow | None
    kendall: ValueRow | None


class DifferenceRow(BudgetRow, IntervalRow):  # in cost, of two methods' arms under the same constraints
    a: str
    b: str
    form: Form
    selection: str
    difference: float | None


class OverlapRow(BudgetRow):  # what a selection on a part of the prompts shares with that on all of them
    shared: int | None
    of: int


class PortionRow(TypedDict):
    from_quarter: int
    to_quarter: int
    rank_correlation: ValueRow | None
    overlap: Sequence[OverlapRow]


class FurtherPromptsRow(BudgetRow):
    prompts: int | None


class StabilityRow(TypedDict):  # one method on portions of its prompts
    method: str
    halves: ValueRow | None
    portions: Sequence[PortionRow]
    further_prompts: Sequence[FurtherPromptsRow]


class SideRow(TypedDict):  # one of the models that stand side by side: the audited one, a raw removal, a checkpoint
    blocks: int
    parameters: int
    embedding_parameters: int
    bytes: int | None  # of the files that hold the weights
    cache_bytes_per_token: int | None  # of keys and values
    perplexity: ValueRow | None
    increase: ValueRow | None  # percent of the audited model's perplexity
    bits_per_byte: ValueRow | None
    kl: ValueRow | None  # nats per token, from the audited model, on the scoring text
    top1_agreement: ValueRow | None


class RawRow(SideRow):  # the removal of the model's own blocks that a checkpoint was made from
    layout: str
    removed: Sequence[int]
    found: bool  # in the weights; else as a claim states it


class ProvenanceRow(TypedDict):  # what a checkpoint's weights say of it
    layout: str | None
    removed: Sequence[int] | None
    done: str | None
    retrained: int
    change: float | None
    changed: Sequence[str]  # the tensors, where few of each retrained block
    share: float | None  # of the parameters of a block: those of these tensors
    quantised: int
    types: str | None
    touched: Sequence[str]
    open: Sequence[str]
    slots: str | None  # why its slots are not the model's


class DeletionRow(ValueRow):  # what deleting one more block costs, in percent
    block: int


class PhaseRow(ValueRow):  # how many times the audited model's tokens per second, in pairs of turns
    model_tokens_per_second: float
    tokens_per_second: float


class MachineRow(TypedDict):  # what a time holds for
    device: str
    processor: str
    threads: int
    torch: str
    transformers: str
    platform: str


class OtherTimingRow(TypedDict):  # one that is not the newest
    machine: MachineRow
    finished: str
    prefill: ValueRow | None
    decode: ValueRow | None


class SpeedRow(TypedDict):  # the newest timing of a checkpoint against the audited model
    machine: MachineRow
    finished: str
    batch: int
    tokens: int
    prompt: int
    new_tokens: int
    pairs: int
    model_dtype: str
    prefill: PhaseRow
    decode: PhaseRow | None
    no_decode: str | None  # why decoding was not timed
    others: Sequence[OtherTimingRow]


class CheckpointRow(TypedDict):
    name: str
    source: str
    kind: str
    digest: str | None
    architecture: str
    quantization: str | None
    tokenizer_digest: str
    dtype: str
    healed: bool  # as declared
    unlike: str | None  # the first window and token that are not the model's
    no_distance: str | None  # why there is no distance from the model
    provenance: ProvenanceRow | None
    no_provenance: str | None
    own: SideRow
    raw: RawRow | None
    healing: ValueRow | None  # percent of the raw removal's perplexity
    bits_per_byte_increase: ValueRow | None  # percent of the audited model's
    deletions: Sequence[DeletionRow]
    speed: SpeedRow | None  # None where it was not timed


class ReleasedRow(TypedDict):  # what is released, beside the audited model
    base: SideRow
    checkpoints: Sequence[CheckpointRow]


class TaskSideRow(TypedDict):  # what a checkpoint or a layout scores on a task, beside the model
    kind: Literal["checkpoint", "raw", "claimed", "arm"]
    name: str
    checkpoint: str | None
    method: str | None
    budget: int | None
    layers: Sequence[int]
    score: ValueRow | None
    difference: ValueRow | None
    retained: float | None  # share of the model's score
    retained_above_chance: float | None
    gained: int | None  # documents that it alone gets right, where they score 0 or 1
    lost: int | None  # and those that the model alone gets right


class TaskMetricRow(TypedDict):
    metric: str
    higher_is_better: bool
    share: bool  # whether scores lie from 0 to 1
    chance: float | None
    model: ValueRow | None
    at_chance: bool | None  # whether the model's own score is not shown to lie above chance
    sides: Sequence[TaskSideRow]


class ImportedRow(TypedDict):  # a file of results, and what it says of itself
    subject: str
    file: str
    sha256: str
    samples_sha256: str | None
    model: str | None
    dtype: str | None
    harness: str | None


class TaskRow(TypedDict):  # a task, what was asked of it, and every score
    name: str
    version: str
    harness: str
    output_type: str
    shots: int
    documents: int
    whole: int
    requests: str
    chat_template: str | None
    evidence: TaskEvidence
    imported: Sequence[ImportedRow]
    metrics: Sequence[TaskMetricRow]
