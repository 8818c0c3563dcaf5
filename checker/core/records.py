"""The nouns: frozen dataclasses that every floor of the house shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import Any, Literal, Protocol, Self, TypeVar, final

from checker.core.canonical import digest
from checker.core.layouts import Geometry

Interval = tuple[float, float]
Form = Literal["matched", "native"]
EvidenceClass = Literal["measured", "published", "proxy"]
TaskEvidence = Literal["measured", "imported"]  # of scores on a task
ProtocolName = Literal["replacement", "interchange"]  # the two tests of redundancy that are held against each other
PROTOCOLS: tuple[ProtocolName, ...] = ("replacement", "interchange")
Verdict = Literal["supported", "contradicted", "open"]
# Of D draws no p lies below 1 / (D + 1): the fewest at which 0.025 can be reached, either end of an interval at 95 %.
DECIDING_DRAWS = 39
C = TypeVar("C", bound="Claim")
D = TypeVar("D", bound="Claim")


@dataclass(frozen=True)
class Location:
    """A place in the audit file; lines and columns count from 1."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    @property
    def without_folder(self) -> Location:
        return replace(self, file=PurePath(self.file).name)

    @property
    def place(self) -> str:
        """The place as reports name it: reports travel, and the folders of the machine that made them do not."""
        return str(self.without_folder)


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
    series: str | None = None  # of a step of a training run: the name of its series
    step: int | None = None

    @property
    def identity(self) -> str:
        """Digest of what names the weights, whatever the machine: the key of stored model facts."""
        of_a_step = ("series", "step") if self.step is None else ()
        left_out = ("device", "dtype", "blocks", "trust_remote_code", *of_a_step)
        keep = {key: value for key, value in asdict(self).items() if key not in left_out}
        return digest(keep | {"path": _base_name(self.path)})

    @property
    def unpinned(self) -> ModelSource:
        """The same source without the digest it is held against."""
        return replace(self, sha256=None)


@dataclass(frozen=True)
class Checkpoint:
    """A further model under the audit's contracts: what is released, and measured as it is."""

    name: str
    source: ModelSource
    location: Location
    deletions: bool = False  # whether the cost of deleting each single block of it is measured
    healed: bool = False  # declared to have been trained after blocks were removed
    by_path: bool = False  # whether a claim names its folder, and nothing declares it
    tokens: float | None = None  # of a step of a series: how many tokens it was trained on

    @property
    def step(self) -> int:
        """The number of a step of a series."""
        assert self.source.step is not None
        return self.source.step


@dataclass(frozen=True)
class Series:
    """Checkpoints in order of training (design, 3.8)."""

    name: str
    steps: tuple[Checkpoint, ...]  # ascending by number
    location: Location
    in_order: bool = True  # whether the audit file lists them so
    looked_up: bool = False  # whether they are what was there, and not listed

    def at(self, step: int) -> Checkpoint | None:
        """The checkpoint of a step; None where the series has none of that number."""
        return next((each for each in self.steps if each.step == step), None)


TaskSubject = Literal["model", "checkpoints", "claims", "arms"]  # what an audit's tasks are run on


@dataclass(frozen=True)
class Task:
    """A task of lm-evaluation-harness: one of its own by its name, or a YAML file of the user's."""

    name: str  # of the task; of a file, that in its name
    location: Location
    path: str | None = None  # absolute, once loaded; None: one of the harness's own
    limit: int | None = None  # documents, the first ones; None: all
    shots: int | None = None  # examples before each document; None: as the task says
    metrics: tuple[str, ...] = ()  # empty: all that the task has
    chance: float | None = None  # score of guessing, where choices do not tell it
    # Files of results that scores are imported from, by `model` or a checkpoint's name; none: it is run here.
    results: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def identity(self) -> str:
        """Digest of what is asked for, whatever the machine: the key of stored facts about it."""
        keep = {key: value for key, value in asdict(self).items() if key not in ("location", "chance", "results")}
        files = {"results": self.result_names} if self.results else {}
        return digest(keep | {"path": _base_name(self.path)} | files)

    @property
    def result_names(self) -> dict[str, str]:
        """The names of the files of results, without their folders."""
        return {subject: PurePath(path).name for subject, path in self.results.items()}


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
    newlines: Literal["unix", "keep"] = "unix"
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


@final
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
    independent: bool = False  # whether rows are declared independent of each other; it fixes no number

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

    def disjoint(self, windows: int) -> range:
        """The numbers of those of so many windows that score no token twice: under `whole_window`, not all do."""
        return range(0, windows, -(-self.window // self.stride) if self.boundary == "whole_window" else 1)


@dataclass(frozen=True)
class MethodSettings:
    """A method the audit runs, with what was set for it."""

    name: str
    budgets: tuple[int, ...]
    forms: tuple[Form, ...] = ("matched", "native")
    draws: int = DECIDING_DRAWS  # random
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
    # Of the units of one text, and no keys of the audit file's `statistics`:
    independent: bool = False  # declared so; else neighbouring units are taken to go together as far as they do
    counted: tuple[int, ...] | None = None  # those that intervals rest on; None: all


@dataclass(frozen=True)
class Timing:
    """What is timed of a model and a checkpoint in turns."""

    batch: int = 1  # sequences that run together
    tokens: int = 512  # of each, read at once in prefill
    prompt: int = 128  # tokens of each that stand before the first decoded one
    new_tokens: int = 32  # decoded after them, one by one
    pairs: int = 20  # of turns, after warm-up

    def count(self, phase: str) -> int:
        """Tokens of one turn, all sequences together."""
        return self.batch * (self.tokens if phase == "prefill" else self.new_tokens)


@dataclass(frozen=True)
class Claim:
    """A statement someone published. Each kind of claim is a class of its own, in `spec/claims`."""

    kind: str = field(init=False)  # as the audit file calls it
    id: str
    says: str
    location: Location
    protocol: str | None = field(default=None, kw_only=True)  # the test that it rests on
    scope: Literal["contract", "population"] = field(default="population", kw_only=True)

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks it names."""
        return ()

    def beyond(self, blocks: int) -> tuple[int, ...]:
        """The blocks it names that a model of so many blocks does not have."""
        return tuple(sorted({block for block in self.blocks if block >= blocks}))

    def without_folders(self) -> Self:
        """The same claim with every path in it reduced to its last part."""
        return replace(self, location=self.location.without_folder)

    def stated(self) -> dict[str, Any]:
        """What decides it, whatever its words and wherever it stands. Stored runs go by the digest of this.

        Only what is set counts, so that a kind may get a further field and its runs are still found.
        """
        stated = asdict(self.without_folders())
        del stated["id"], stated["says"], stated["location"]
        return {key: value for key, value in stated.items() if value is not None and value is not False}


@dataclass(frozen=True)
class Waiver:
    rule: str
    reason: str
    expires: str  # ISO date
    location: Location
    claim: str | None = None

    @property
    def without_folder(self) -> Waiver:
        return replace(self, location=self.location.without_folder)


COMPLETENESS = "evidence/incomplete"  # neither policy nor waiver touches it: an incomplete run never passes


@dataclass(frozen=True)
class BuiltOn:
    """A policy that another is built on: a ready one, or a file by its base name."""

    name: str
    sha256: str  # of its text
    ready: bool = False
    version: int | None = None  # where its text names one

    def __str__(self) -> str:
        """Words that no file can pose as a ready policy in: whatever it is called, `file` stands before it."""
        version = [] if self.version is None else [f"version {self.version}"]
        marks = ", ".join([*(["ready"] if self.ready else []), *version, f"sha256 {self.sha256[:12]}…"])
        return f"{'' if self.ready else 'file '}{self.name} ({marks})"


@dataclass(frozen=True)
class Policy:
    """What makes a run fail and what an audit must have, with everything that was extended filled in."""

    fail_on: Literal["note", "warning", "error", "never"] = "error"
    rules: Mapping[str, str] = field(default_factory=dict)  # slug or family -> note | warning | error | off
    required_methods: tuple[str, ...] = ()
    required_budgets: tuple[int, ...] = ()
    minimum_windows: int | None = None  # evaluation windows
    maximum_interval_width_percent: float | None = None  # percent of the perplexity that the interval belongs to
    minimum_confidence: float | None = None
    maximum_margin: float | None = None  # nats per token
    maximum_within: float | None = None  # percent
    minimum_resamples: int | None = None
    minimum_pairs: float | None = None  # share of the comparable adjacent pairs
    minimum_draws: int | None = None  # random ones, at each budget that a claim speaks of
    maximum_waivers: int | None = None
    maximum_waiver_days: int | None = None  # from the day of judging
    waivers: tuple[Waiver, ...] = ()  # of a policy file
    commanded: bool = False  # whether the command line names it, and not the audit file
    extends: tuple[BuiltOn, ...] = ()  # the policies that this one is built on, nearest first
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
    checkpoints: tuple[Checkpoint, ...] = ()
    series: tuple[Series, ...] = ()
    tasks: tuple[Task, ...] = ()
    tasks_on: tuple[TaskSubject, ...] = ("model", "checkpoints", "claims")
    timing: Timing = field(default_factory=Timing)

    @property
    def places(self) -> Mapping[str, Location]:
        """Where each claim stands in the audit file, by its id."""
        return {claim.id: claim.location for claim in self.claims}

    def claims_of(self, kind: type[C], *others: type[D]) -> Iterator[C | D]:
        """The claims of the given kinds, in the order of the audit file."""
        kinds: tuple[type[C] | type[D], ...] = (kind, *others)
        return (claim for claim in self.claims if isinstance(claim, kinds))

    def checkpoint(self, name: str) -> Checkpoint:
        """The checkpoint of a name, which the audit has."""
        return next(checkpoint for checkpoint in self.checkpoints if checkpoint.name == name)

    def of_checkpoint(self, checkpoint: Checkpoint) -> Audit:
        """What is asked of a checkpoint: this audit of that model, without claims."""
        return replace(self.of_step(checkpoint), selecting=None)

    def of_step(self, step: Checkpoint) -> Audit:
        """What is asked of a step of a series: all that is asked of the model itself, without claims and tasks."""
        return replace(self, model=step.source, checkpoints=(), series=(), tasks=(), claims=())

    @property
    def selections(self) -> tuple[Selection, ...]:
        return (self.selection, *self.further_selections)

    @property
    def direction(self) -> str:
        """How replacement scores a block: into (where none is declared), max or mean of the two directions."""
        return self.protocols.get("replacement", {}).get("direction", "into")

    def geometry(self, blocks: int) -> Geometry:
        return self.selection.geometry(blocks)


class AnyAudit(Protocol):
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
