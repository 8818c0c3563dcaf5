"""What files and texts turned out to be: facts that judging needs beside measurements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, final

from checker.core.canonical import digest
from checker.core.records import Verdict
from checker.core.slots import NOT_COMPARED, AllMarks, Comparison


@dataclass(frozen=True)
class CardFacts:
    """What the pruneaudit block in the card beside a model is of."""

    problem: str | None = None  # why the card could not be read
    block: bool = False
    audit_digest: str | None = None  # as the block names it
    model_digest: str | None = None
    edited: bool = False  # whether the block is not what its own digest says


@dataclass(frozen=True)
class ModelFacts:
    """What headers and configuration say of a model, without loading its weights.

    Once measured, what its blocks hold and what its slots are is of the architecture that the library builds.
    """

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
    fallbacks: tuple[str, ...] = ()  # what transformers takes in the place of what the files say
    remote_code: bool = False  # whether code that came with the model was allowed to run
    card: CardFacts | None = None  # None where no card lies beside the weights
    marks: AllMarks | None = None  # what the slots are; None where only headers and config.json were read
    shared_parameters: tuple[tuple[tuple[int, ...], int], ...] = ()  # blocks with their common ones, counted once
    embedding_parameters: int = 0  # of tensors outside the blocks with a row for each entry of the vocabulary
    weight_bytes: int | None = None  # of the files that hold the weights
    cache_values: int | None = None  # that the cache of keys and values holds per token; None where that is not known
    headers: str | None = None  # digest of the shapes that headers give, where others stand in ``block_shapes``

    @property
    def header_shapes(self) -> str:
        """Digest of the blocks' names and shapes as the files' headers give them, whatever is known beside."""
        return self.headers or digest(list(self.block_shapes))

    @property
    def least_gap(self) -> int | None:
        """How far apart the nearest two blocks are that are comparable; None where no two are."""
        seen: dict[str, int] = {}
        gaps = []
        for block, shapes in enumerate(self.block_shapes):
            gaps += [block - seen[shapes]] if shapes in seen else []
            seen[shapes] = block
        return min(gaps, default=None)

    def nothing_comparable(self, max_gap: int) -> str | None:
        """That no two blocks up to ``max_gap`` apart are comparable, and why; None where some are."""
        if self.least_gap is not None and self.least_gap <= max_gap:
            return None
        blocks = "adjacent blocks" if max_gap == 1 else f"blocks up to {max_gap} apart"
        return f"no two {blocks} are comparable, because their parameters differ in name or shape"

    @property
    def raise_gap(self) -> str:
        """What would make pairs comparable, where none within reach are."""
        if self.least_gap is None:
            return "no others are either"
        return f"`pairs: {{max_gap: {self.least_gap}}}` reaches some that are"

    @property
    def misfit(self) -> str | None:
        """What of marks and shared parameters cannot be of so many blocks, where the facts are a stranger's."""
        if any(len(values) not in (1, self.blocks) for values in (self.marks or {}).values()):
            return f"marks that are not of {self.blocks} slots"
        if any(block >= self.blocks for holders, _ in self.shared_parameters for block in holders):
            return f"parameters shared by blocks beyond the {self.blocks} there are"
        return None

    def saved_by_removing(self, blocks: Collection[int]) -> int:
        """The parameters that go with these blocks: what they share with one that stays, stays."""
        shared = sum(count for holders, count in self.shared_parameters if set(holders) <= set(blocks))
        return sum(self.block_parameters[block] for block in blocks) + shared


@final
@dataclass(frozen=True)
class ImportedFacts:
    """Results of lm-evaluation-harness that a model's scores on a task were imported from, and what they say of it."""

    subject: str  # `model`, or a checkpoint's name
    file: str  # name of the file
    sha256: str
    samples_sha256: str | None  # None: the samples stand in the same file
    model: str | None  # as the results call it; nothing shows that it has the weights at hand
    dtype: str | None
    harness: str | None  # its version


@dataclass(frozen=True)
class TaskFacts:
    """What a task turned out to be; which of its documents were asked, and how."""

    name: str
    version: str
    harness: str  # its version
    output_type: str  # as the harness names it: multiple_choice, loglikelihood, loglikelihood_rolling, generate_until
    metrics: tuple[str, ...]  # those kept per document
    higher_is_better: tuple[bool, ...]  # per metric
    documents: tuple[str, ...]  # the harness's hash of each, in order
    whole: int  # documents that the task has
    choices: tuple[int, ...]  # per document; empty where there are none
    shots: int
    requests: str  # digest of all that is asked, word for word
    chat_template: str | None = None  # digest of the template that requests were written in
    imported: tuple[ImportedFacts, ...] = ()  # none: it is run here

    @property
    def generates(self) -> bool:
        """Whether answers are written by the model, and not chosen: such tasks run on whole models alone."""
        return self.output_type == "generate_until"

    @property
    def of_layouts(self) -> bool:
        """Whether layouts of the model's blocks are scored, and not whole models alone."""
        return not self.generates and not self.imported

    @property
    def chance(self) -> float | None:
        """The score of guessing among the choices; None where there are none."""
        return sum(1.0 / number for number in self.choices) / len(self.choices) if self.choices else None


@dataclass(frozen=True)
class StepFacts:
    """What tells the steps of a training run apart: a digest and a norm of each block's weights."""

    blocks: tuple[str, ...]  # sha256 of all tensors of a block
    around: str  # of what stands around the blocks
    norms: tuple[float, ...]  # root of the sum of squares
    types: tuple[str, ...]  # what they are stored in, as safetensors or GGUF names it


@dataclass(frozen=True)
class ProvenanceFacts:
    """What the weights of a checkpoint say of it, held against the audited model's."""

    blocks: int
    layout: str | None  # None where a block's origin is open, or there are more blocks than slots
    removed: tuple[int, ...]  # blocks of the audited model that it lacks; none where an origin is open
    cut: bool  # whether its blocks are the audited model's in order, retrained or not
    done: str  # what was done to the blocks, in words
    retrained: tuple[int, ...]  # places
    change: float | None  # the largest relative change of a retrained block
    touched: tuple[str, ...]  # tensors around the blocks that hold other values, or may do so
    open: tuple[str, ...]  # what could not be decided, with the reasons
    config: tuple[str, ...] = ()  # fields of config.json that do not fit
    twins: tuple[tuple[int, ...], ...] = ()  # blocks of the audited model with the very same weights
    slots: Comparison | None = None  # whether its blocks run in slots like the model's; None: not compared
    quantised: tuple[int, ...] = ()  # places of the model's weights, rounded to the grid of a quantised type alone
    types: str = ""  # the quantised types that its blocks are stored in
    in_part: tuple[str, ...] = ()  # the tensors that were changed, where few of each retrained block were
    share: float | None = None  # of the parameters of a block, those of these tensors, at the most

    @property
    def why_another(self) -> str | None:
        """Why a layout of the model is not the checkpoint, or may not be, whatever its blocks: its slots are others."""
        if self.slots is None:
            return f"{NOT_COMPARED}; run the audit again"
        return self.slots.why if self.slots.state != "same" else None


@final
@dataclass(frozen=True)
class ScoringFacts:
    """What the scoring text turned out to be, after tokenising."""

    text_digest: str
    tokens_digest: str
    kinds: tuple[str, ...]  # per prompt; "" where the text names none
    prompts: int
    tokens: int  # per prompt, special tokens included
    batches: int
    repeats: tuple[int, ...] = ()  # prompts of which at least half stands in earlier ones


@final
@dataclass(frozen=True)
class EvaluationFacts:
    """What the evaluation text turned out to be, after tokenising."""

    text_digest: str
    tokens_digest: str
    tokens: int  # of the whole text
    scored: tuple[int, ...]  # tokens scored, per window
    batches: int
    # Of what it shares with the scoring or the selection text, whichever is more:
    shared_letters: int = 0  # in the longest run
    shared_tokens: int = 0  # likewise
    shared_windows: float = 0.0  # the share of windows of which at least half stands there
    begin_token: bool = False  # whether a begin token can be put before it, whose effect is then measured
    repeats: tuple[int, ...] = ()  # windows that add little but what stands in earlier ones
    scored_bytes: tuple[int, ...] = ()  # UTF-8 bytes of the scored tokens, per window; empty where they are not known

    @property
    def overlaps(self) -> bool:
        """Whether it shares more than chance with a text that layers are chosen on."""
        return max(self.shared_letters, self.shared_tokens) >= SHARED_RUN or self.shared_windows >= SHARED_WINDOWS


STRETCH = 2048  # bytes of text that losses under two tokenizers are summed over


@final
@dataclass(frozen=True)
class StretchFacts:
    """How losses under a checkpoint's own tokenizer and under the model's are held against each other: by stretches.

    Both tokenizers' windows are taken in pieces, each of which scores tokens that end in one stretch.
    """

    first_byte: int  # of the evaluation text: the later of the two first scored ones
    bytes: tuple[int, ...]  # per stretch
    model: tuple[int, ...]  # per piece, its stretch
    own: tuple[int, ...]  # likewise, of the checkpoint's
    model_batches: int
    own_batches: int


@dataclass(frozen=True)
class CheckpointFacts:
    """What a checkpoint turned out to be, and what its own tokenizer makes of the texts."""

    name: str
    model: ModelFacts
    scoring: ScoringFacts
    evaluation: EvaluationFacts
    unlike: str | None = None  # the first window and token that are not the model's; None where all are
    provenance: ProvenanceFacts | None = None
    no_provenance: str = ""  # why its weights are not held against the model's
    stretches: StretchFacts | None = None  # where its tokens are not the model's
    no_stretches: str = ""  # why there are none there

    @property
    def layout(self) -> str | None:
        """The layout of the model's blocks that it is, healed or not, where that is known."""
        return None if self.provenance is None else self.provenance.layout

    def no_distance(self, base: ModelFacts) -> str | None:
        """Why there is no distance from ``base`` to it; None where there is one."""
        if self.unlike or self.model.vocabulary == base.vocabulary:
            return self.unlike
        return f"its vocabulary has {self.model.vocabulary} entries, and the model's {base.vocabulary}"

    @property
    def own(self) -> Facts:
        """The facts of the checkpoint as an audited model's."""
        return Facts(self.model, self.scoring, self.evaluation)


@dataclass(frozen=True)
class Facts:
    """All that a judge needs to know beside measurements."""

    model: ModelFacts
    scoring: ScoringFacts | None = None
    evaluation: EvaluationFacts | None = None
    selection: ScoringFacts | None = None  # the text that losses are taken on
    checkpoints: tuple[CheckpointFacts, ...] = ()
    tasks: tuple[TaskFacts, ...] = ()

    def task(self, name: str) -> TaskFacts | None:
        """The facts of the task of a name, where it was read."""
        return next((fact for fact in self.tasks if fact.name == name), None)

    def checkpoint(self, name: str | None) -> CheckpointFacts | None:
        """The facts of the checkpoint of a name, where it was read."""
        return next((fact for fact in self.checkpoints if fact.name == name), None)


# What two texts share by more than chance. Names and phrases run to 50 letters in a million letters of encyclopedia
# articles held against as many others, and to 78 within one collection; a copied paragraph is longer in any script.
SHARED_RUN = 100  # letters or tokens in a row
SHARED_WINDOWS = 0.01  # of an evaluation text's windows


class AmountRow(TypedDict):  # how much text a run read, and which; rows are kept, and stand in reports as well
    prompts: int | None
    windows: int | None
    selection_prompts: int | None
    seed: int
    texts: Sequence[str]


class RunRow(TypedDict):  # another run of an audit
    amount: AmountRow
    verdicts: Mapping[str, Verdict | None]


class StopRow(TypedDict):  # where a run met a value that is not finite
    layout: str
    unit: str
    quantity: str
