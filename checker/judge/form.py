"""The form of report.json, as types. schemas/report.schema.json says what each key means, and in which unit.

A test holds these types against the schema, so that neither changes alone. Rows of figures: ``judge/figures/form.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NotRequired, TypedDict, TypeVar, cast, final

from checker.core.facts import AmountRow, RunRow, StopRow
from checker.core.records import ProtocolName, Verdict
from checker.core.rule import Level, Outcome
from checker.judge.figures import form as figures
from checker.spec.policies import PolicyRow

Answer = Literal["yes", "no", "open", "na"]
Unit = Literal["percent", "nats", "times", "score", "points", ""]
AuditOutcome = Literal["pass", "fail", "open"]
WaiverState = Literal["active", "expired", "refused", "unknown", "unmatched"]
R = TypeVar("R")


def row_of(kind: type[R], source: object, **others: object) -> R:
    """A row of what ``source`` has under the names of its keys, save for ``others``; the schema checks its values."""
    return cast(R, {key: others[key] if key in others else getattr(source, key) for key in kind.__annotations__})


class AuditRow(TypedDict):
    name: str
    file: str
    digest: str


class OverrideRow(TypedDict):  # one value that --set changed
    key: str
    value: str


class PublishedToolRow(TypedDict):
    name: Literal["pruneaudit"]
    version: str


class ToolRow(PublishedToolRow):
    measuring_code: str


class EnvironmentRow(TypedDict):  # where the figures were measured
    python: str
    torch: str | None
    transformers: str | None
    platform: str
    processor: str
    device: str
    threads: int | None
    attention: str | None
    started: str | None
    finished: str | None


class ModelRow(TypedDict):
    digest: str | None
    source: str
    kind: str
    architecture: str
    blocks: int
    parameters: int
    hidden: int
    vocabulary: int
    context: int | None
    quantization: str | None
    revision: str | None
    tokenizer_digest: str
    remote_code: NotRequired[bool]
    dtype: str
    block_parameters: Sequence[int]
    notes: Sequence[str]


class ContractRow(TypedDict):
    digest: str | None
    text: str
    text_digest: str | None
    special_tokens: str
    batch_tokens: int
    dtype: str
    tokens_digest: str | None


class PromptsRow(ContractRow):  # all that fixes a distance
    prompts: int
    tokens: int
    positions: str
    assembly: str
    independent: bool  # whether the rows are declared independent of each other
    kinds: Mapping[str, int]


class EvaluationRow(ContractRow):  # all that fixes a perplexity
    words: int | None
    window: int
    stride: int
    boundary: str
    windows: int | None
    tokens: int | None
    tokens_scored: int | None


class ContractsRow(TypedDict):
    scoring: PromptsRow
    selection: NotRequired[PromptsRow | None]
    evaluation: EvaluationRow


class ThresholdsRow(TypedDict):  # set before measuring
    similar: float
    conditional: float
    divergent_ratio: float
    margin: float
    confidence: float
    interval: Literal["student_t", "percentile_bootstrap"]
    selection: NotRequired[str]
    spacing: int
    exclude: Sequence[int]
    ties: str


# Perplexity of one window; a key is a word of Python, which a class cannot hold.
BeginTokenRow = TypedDict("BeginTokenRow", {"without": float, "with": float, "window_tokens": int})


class FloorRow(figures.ValueRow):  # the numerical floor of a number format
    dtype: str


class SelectsRow(TypedDict):  # how far a protocol would have chosen this very set
    share_of_ties: float | None
    share_of_resamples: float | None
    rank: int | None
    of: int | None


class BackingRow(TypedDict):  # whether one protocol backs a claim
    backs: Answer
    admits: Answer
    predicts: Answer
    selects: SelectsRow | None
    value: float | None
    interval: figures.Ends
    threshold: float | None
    why: str


class BoundsRow(TypedDict):  # what a claim lets its figure be
    lower: float | None
    upper: float | None


class CounterexampleRow(figures.ValueRow):  # a pair that a claim about many fails on
    protocol: str
    i: int
    j: int


class ClaimRow(figures.IntervalRow):
    id: str
    says: str
    decided: str
    kind: str
    scope: str
    protocol: str | None
    verdict: Verdict
    evidence: str
    message: str
    location: str | None
    further_units: int | None
    value: float | None
    unit: Unit
    threshold: float | None
    range: BoundsRow | None
    counterexamples: Sequence[CounterexampleRow]
    protocols: Mapping[ProtocolName, BackingRow]


class WaiverRow(TypedDict):  # a waiver, and how it stood when the audit was judged
    rule: str
    claim: str | None
    reason: str
    expires: str
    state: WaiverState
    days_left: int
    findings: int | None
    location: str


class FindingRow(TypedDict):
    rule: str
    outcome: Outcome
    level: Level
    claim: str | None
    message: str
    location: str | None
    waived: str | None


class SpentRow(TypedDict):  # what the run's own record says that it took
    seconds: float | None
    peak_memory_bytes: int | None


class CostRow(TypedDict):  # what measuring took
    layouts: int
    block_runs: int
    block_runs_without_sharing: int
    tokens: int
    seconds: float | None
    peak_memory_bytes: int | None


class AnswersRow(TypedDict):  # answers of one version of the measuring code
    measuring_code: str
    answers: int


class AtHandRow(TypedDict):  # where a file at hand is not the one that was measured
    checkpoint: str | None  # None: the model
    fact: str
    measured: str
    at_hand: str


class EvidenceRow(TypedDict):  # which runs measured the evidence
    amount: AmountRow
    other_runs: Sequence[RunRow]
    not_finite: StopRow | None
    answers: Sequence[AnswersRow]
    at_hand: Sequence[AtHandRow]


class Header(TypedDict):  # what was audited, by what, under which contracts
    audit: AuditRow
    overrides: Sequence[OverrideRow]
    tool: ToolRow
    model: ModelRow
    contracts: ContractsRow
    direction: str
    thresholds: ThresholdsRow
    begin_token: BeginTokenRow | None


class ReportFigures(Header):  # what rules look at: a report without their findings
    environment: EnvironmentRow | None
    protocols: Sequence[str]
    noise_floor: FloorRow | None
    pairs: Sequence[figures.PairRow]
    classes: figures.ClassesRow | None
    kinds: Sequence[figures.KindRow]
    blocks: Sequence[figures.BlockRow]
    prediction: Sequence[figures.PredictionRow]
    regime: figures.RegimeRow
    baseline: figures.BaselineRow | None
    arms: Sequence[figures.ArmRow]
    ranges: Sequence[figures.RangeRow]
    random: Sequence[figures.RandomRow]
    scores: Sequence[figures.ScoreRow]
    agreement: Sequence[figures.AgreementRow]
    differences: Sequence[figures.DifferenceRow]
    stability: Sequence[figures.StabilityRow]
    claims: Sequence[ClaimRow]
    released: figures.ReleasedRow | None
    tasks: Sequence[figures.TaskRow]
    series: Sequence[figures.SeriesRow]
    cost: CostRow
    evidence: NotRequired[EvidenceRow]
    not_tested: Sequence[str]


class Conclusion(TypedDict):  # what the rules came to
    title: str
    outcome: AuditOutcome
    summary: str
    policy: PolicyRow
    waivers: Sequence[WaiverRow]
    findings: Sequence[FindingRow]


@final
class Report(ReportFigures, Conclusion):  # of measurements
    format: Literal["pruneaudit/report/1"]


class PublishedFacts(TypedDict):  # what was read; schemas/published.schema.json has the form of these rows
    audit: AuditRow
    overrides: Sequence[OverrideRow]
    tool: PublishedToolRow
    evidence: Literal["published"]
    source: Mapping[str, Any]
    files: Sequence[Mapping[str, Any]]
    models: Sequence[Mapping[str, Any]]
    contracts: Sequence[Mapping[str, Any]]
    caveats: Sequence[Mapping[str, Any]]
    numbers: Mapping[str, int]


PUBLISHED_FORMAT: Final = "pruneaudit/published/1"


@final
class PublishedReport(PublishedFacts, Conclusion):  # of published numbers
    format: Literal["pruneaudit/published/1"]
    checks: Sequence[Mapping[str, Any]]
    not_tested: Sequence[str]


AnyReport = Report | PublishedReport


def checkpoints_of(report: Report) -> Sequence[figures.CheckpointRow]:
    """The checkpoints that a report is about, beside its model."""
    return report["released"]["checkpoints"] if report["released"] else ()
