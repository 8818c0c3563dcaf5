"""A synthetic audit with its evidence, from plain numbers: no torch, no file, no model.

The numbers are means. Over the units of a text (prompts, windows) they vary as a cosine, with another phase for every
layout, so that the mean is exact and the spread is known: ``spread`` is the relative standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np

from checker.core.canonical import digest
from checker.core.facts import (
    CardFacts,
    CheckpointFacts,
    EvaluationFacts,
    Facts,
    ModelFacts,
    ProvenanceFacts,
    ScoringFacts,
    StepFacts,
    TaskFacts,
)
from checker.core.history import amount
from checker.core.layouts import Layout
from checker.core.questions import Evidence, Question, RemovalSet, StepEvidence, Values, documents_of
from checker.core.records import (
    Audit,
    Checkpoint,
    Claim,
    EvaluationContract,
    Location,
    MethodSettings,
    ModelSource,
    Policy,
    ScoringContract,
    Selection,
    Series,
    Statistics,
    Task,
    TextSource,
    Timing,
    Waiver,
)
from checker.core.slots import Comparison
from checker.core.store import Scope, Store
from checker.core.timings import MachineFacts, Seconds, TimingFacts
from checker.judge.form import ClaimRow, EvidenceRow, ReportFigures
from checker.judge.report import report_figures
from checker.selection import plan
from checker.spec import claims as stated
from checker.spec import contracts, timings
from checker.spec.checkpoint_facts import RECORD, key, raw_removals, with_layers

Layers = tuple[int, ...]
PROMPTS, WINDOWS, WINDOW_TOKENS = 16, 20, 60
KINDS = ("news", "fiction", "code", "letters")

# Of eight blocks. Replacement: i<-j and j<-i of the pair (i, j), in nats.
REPLACEMENT = {
    (0, 1): (2.0, 1.5),
    (1, 2): (0.9, 0.5),
    (2, 3): (0.5, 0.3),
    (3, 4): (0.2, 0.15),
    (4, 5): (0.12, 0.13),
    (5, 6): (0.16, 0.14),
    (6, 7): (0.4, 0.6),
}
INTERCHANGE = {(0, 1): 2.5, (1, 2): 0.3, (2, 3): 0.1, (3, 4): 0.04, (4, 5): 0.02, (5, 6): 0.03, (6, 7): 0.2}
DELETION = (1.3, 0.65, 0.3, 0.1, 0.04, 0.03, 0.06, 0.35)
# What deleting each block costs, nats per token; sets cost the sum of their blocks unless ``costs`` says otherwise.
SINGLES = (1.2, 0.6, 0.25, 0.08, 0.03, 0.02, 0.05, 0.3)

_DOCUMENTS = documents_of("")
TWO_BLOCKS = "two-blocks"
TWINS = "twins"
DIVERGE = "diverge"


def claim(name: str, kind: str, **fields: Any) -> Claim:
    """A claim as an audit file gives it: scope and location filled in, the pair in order."""
    fields.setdefault("scope", "contract" if "equals" in fields and "interval" not in fields else "population")
    known = {"id": name, "says": f"{name}.", "location": Location("audit.yaml", 9, 5)}
    return stated.KINDS[kind].record(**known | fields)


def waiver(rule: str, expires: str = "2031-01-01", claim: str | None = None) -> Waiver:
    return Waiver(rule, "agreed with the reviewers", expires, Location("audit.yaml", 20, 5), claim)


def an_audit(**changes: Any) -> Audit:
    """An audit of eight blocks: both protocols, deletion and random draws, three claims; nothing to complain of."""
    base = Audit(
        name="sample",
        title="A sample",
        path="/elsewhere/sample.yaml",
        text="pruneaudit: 1\n",
        overrides=(),
        model=directory(),
        scoring=ScoringContract(text_source("prompts.txt"), PROMPTS, 32),
        evaluation=EvaluationContract(text_source("evaluation.txt"), window=2 * WINDOW_TOKENS, stride=WINDOW_TOKENS),
        protocols={"replacement": {"direction": "into"}, "interchange": {}},
        max_gap=1,
        budgets=(1, 2),
        methods=(
            MethodSettings("interchange", (1, 2)),
            MethodSettings("replacement", (1, 2)),
            MethodSettings("deletion", (1, 2)),
            MethodSettings("random", (2,), draws=39),
        ),
        selection=Selection(),
        statistics=Statistics(),
        claims=(
            claim(TWO_BLOCKS, "removal", layers=(4, 6), at_most=20.0, protocol="interchange"),
            claim(TWINS, "redundant", pair=(4, 5), below=0.1, protocol="interchange"),
            claim(DIVERGE, "regime", metric="divergent"),
        ),
        waivers=(),
        policy=Policy(),
    )
    return replace(base, **changes)


def directory(dtype: Literal["float32", "bfloat16", "float16"] = "float32") -> ModelSource:
    return ModelSource("directory", path="/elsewhere/model", sha256=digest("weights"), dtype=dtype)


def text_source(name: str) -> TextSource:
    return TextSource("file", path=f"/elsewhere/{name}", sha256=digest(name))


def model_facts(blocks: int = 8, **changes: Any) -> ModelFacts:
    base = ModelFacts(
        source="model",
        kind="directory",
        architecture="SampleForCausalLM",
        blocks=blocks,
        parameters=blocks * 1000 + 4000,
        block_parameters=(1000,) * blocks,
        block_shapes=("equal",) * blocks,
        slot_kinds=(),
        hidden=16,
        vocabulary=5000,
        context=2048,
        tokenizer_digest=digest("tokenizer"),
        digest=digest("weights"),
    )
    return replace(base, **changes)


def card_facts(**changes: Any) -> CardFacts:
    """A card with a block of this very audit."""
    base = CardFacts(
        block=True,
        audit_digest=digest([an_audit().text, an_audit().overrides]),
        model_digest=digest("weights"),
    )
    return replace(base, **changes)


def provenance_facts(**changes: Any) -> ProvenanceFacts:
    """Of a checkpoint: the model without two blocks, and nothing else done."""
    base = ProvenanceFacts(
        blocks=6,
        layout="(0,1,2,3,5,7)",
        removed=(4, 6),
        cut=True,
        done="blocks 4, 6 removed",
        retrained=(),
        change=None,
        touched=(),
        open=(),
        slots=Comparison("same"),
    )
    return replace(base, **changes)


def checkpoint_facts(**changes: Any) -> CheckpointFacts:
    """The checkpoint of the claim on two blocks, whose tokens are the model's."""
    model = replace(model_facts(6), source="pruned", digest=digest("pruned weights"))
    base = CheckpointFacts("pruned", model, scoring_facts(), evaluation_facts(), provenance=provenance_facts())
    return replace(base, **changes)


def checkpoint(**changes: Any) -> Checkpoint:
    """As the audit file declares it."""
    base = Checkpoint("pruned", ModelSource("directory", path="/elsewhere/pruned"), Location("audit.yaml", 20, 3))
    return replace(base, **changes)


def with_checkpoint() -> Sample:
    """The sample whose claim on two blocks names a checkpoint."""
    named = tuple(replace(each, checkpoint="pruned") if each.id == TWO_BLOCKS else each for each in an_audit().claims)
    return Sample(an_audit(claims=named, checkpoints=(checkpoint(),)), checkpoints=(checkpoint_facts(),))


def timing(ratio: float = 1.2, pairs: int = 20, spread: float = 0.02, **changes: Any) -> TimingFacts:
    """Turns in which the checkpoint is so many times as fast, as a geometric mean; ``spread`` is of their logs."""
    checkpoint = tuple(float(exp) for exp in np.exp(-spread * _wave(pairs, 0.3)) / ratio)
    seconds = Seconds((1.0,) * pairs, checkpoint)
    machine = MachineFacts("cpu", "a processor", 2, "2.13.0", "5.0.0", "Linux")
    settings = Timing(pairs=pairs)
    base = TimingFacts(machine, "2026-01-01T11:00:00+00:00", "float32", "float32", settings, seconds, seconds)
    return replace(base, **changes)


def task_facts(name: str = "facts", documents: int = 200, **changes: Any) -> TaskFacts:
    """A task of four choices, all of whose documents are asked."""
    base = TaskFacts(
        name=name,
        version="1.0",
        harness="0.4.9",
        output_type="multiple_choice",
        metrics=("acc", "acc_norm"),
        higher_is_better=(True, True),
        documents=tuple(digest([name, document]) for document in range(documents)),
        whole=documents,
        choices=(4,) * documents,
        shots=0,
        requests=digest([name, "requests"]),
    )
    return replace(base, **changes)


def task(name: str = "facts", **changes: Any) -> Task:
    return replace(Task(name, Location("audit.yaml", 22, 5)), **changes)


def with_tasks(*claims: Claim, **changes: Any) -> Sample:
    """The sample with a checkpoint and two tasks: facts, of four choices, and words, whose chance is not known."""
    sample = with_checkpoint()
    if "tasks" not in changes:
        words = task_facts("words", 120, output_type="loglikelihood", metrics=("acc",), higher_is_better=(True,))
        changes["tasks"] = (task_facts(), replace(words, choices=()))
    declared = tuple(task(fact.name) for fact in changes["tasks"])
    known = {"claims": claims or sample.audit.claims}
    return sample.changed(**known, **changes).declaring(declared)


def on_task(name: str = "keeps", **fields: Any) -> Claim:
    """A claim about the checkpoint's accuracy on facts."""
    about = {"of": "pruned"} if fields.keys().isdisjoint(("layers", "method")) else {}
    return claim(name, "task", **about | {"tasks": ("facts",), "metric": "acc"} | fields)


def scoring_facts(prompts: int = PROMPTS) -> ScoringFacts:
    kinds = tuple(KINDS[prompt % len(KINDS)] for prompt in range(prompts))
    return ScoringFacts(digest("prompts.txt"), digest("prompt tokens"), kinds, prompts, 32, batches=2)


def evaluation_facts(windows: int = WINDOWS) -> EvaluationFacts:
    scored = (WINDOW_TOKENS,) * windows
    tokens = windows * WINDOW_TOKENS
    shared = {"shared_letters": 17, "shared_tokens": 3, "shared_windows": 0.0}
    return EvaluationFacts(digest("evaluation.txt"), digest("evaluation tokens"), tokens, scored, 2, **shared)


@dataclass(frozen=True)
class Sample:
    """An audit, the facts about its files, and the tables that its answers are made from."""

    audit: Audit = field(default_factory=an_audit)
    model: ModelFacts = field(default_factory=model_facts)
    prompts: int = PROMPTS
    windows: int = WINDOWS
    replacement: Mapping[tuple[int, int], tuple[float, float]] = field(default_factory=lambda: REPLACEMENT)
    interchange: Mapping[tuple[int, int], float] = field(default_factory=lambda: INTERCHANGE)
    deletion: Sequence[float] = DELETION
    singles: Sequence[float] = SINGLES
    costs: Mapping[Layers, float] = field(default_factory=dict)  # nats per token, of sets that are not sums
    spread: float = 0.1
    nll: float = 3.4  # of the baseline, nats per token
    floor: float = 0.0005  # nats, in a dtype other than float32
    begin_token: tuple[float, float] | None = (3.5, 3.4)  # nats per token of one window, without and with
    withheld: Collection[Question] | Callable[[Question], bool] = ()
    texts_read: bool = True
    checkpoints: tuple[CheckpointFacts, ...] = ()
    healing: float = 0.0  # nats per token that checkpoints have less than the raw removal
    timings: Mapping[str, tuple[TimingFacts, ...]] = field(default_factory=dict)  # of checkpoints, the newest last
    tasks: tuple[TaskFacts, ...] = ()
    right: float = 0.6  # share of a task's documents that the model gets right
    released: tuple[int, int] = (3, 9)  # documents that a checkpoint gains and loses
    cut: tuple[int, int] = (2, 25)  # documents that a layout gains and loses
    steps: Mapping[int, Sample] = field(default_factory=dict)  # of the series `steps`, by number
    weights: tuple[str, ...] = ()  # of a step: the digests of its blocks

    def declaring(self, tasks: tuple[Task, ...]) -> Sample:
        """The sample whose audit file names these tasks."""
        return replace(self, audit=replace(self.audit, tasks=tasks))

    def changed(self, **changes: Any) -> Sample:
        """The sample with other tables; names of the audit's own fields change the audit."""
        own = {key: value for key, value in changes.items() if key in self.__dataclass_fields__}
        audit = {key: value for key, value in changes.items() if key not in own}
        return replace(self, **({"audit": replace(self.audit, **audit)} | own))

    @property
    def facts(self) -> Facts:
        if not self.texts_read:
            return Facts(self.model, checkpoints=self.checkpoints, tasks=self.tasks)
        texts = scoring_facts(self.prompts), evaluation_facts(self.windows)
        selection = texts[0] if self.audit.selecting else None
        return Facts(self.model, *texts, selection, self.checkpoints, self.tasks)

    @property
    def evidence(self) -> Evidence:
        others = {fact.name: self.of_checkpoint(fact) for fact in self.checkpoints if self.texts_read}
        asked = with_layers(self.audit, self.facts)
        series = {each.name: tuple(map(self.of_step, each.steps)) for each in self.audit.series}
        return Evidence(asked, self.facts, cache(self.answer), others, self.timings, series)

    def of_step(self, step: Checkpoint) -> StepEvidence:
        """What a run measures of a step of a series: all that it measures of the model."""
        known = self.steps.get(step.step)
        if known is None:
            return StepEvidence(step, None, None, f"step {step.step} is not measured; run the audit to its end")
        known = replace(known, audit=self.audit.of_step(step))
        facts = StepFacts(known.weights, digest("around"), (1.0,) * len(known.weights), ("F32",))
        return StepEvidence(step, known.evidence, facts if known.weights else None)

    def of_checkpoint(self, fact: CheckpointFacts) -> Evidence:
        """What a run measures of a checkpoint: the losses of the model without the blocks that it lacks, healed."""
        source = next(each for each in self.audit.checkpoints if each.name == fact.name)
        raw = Layout.base(self.model.blocks).without((4, 6))

        def answer(question: Question) -> Values | None:
            if self._gone(question) or len(question.layout) < fact.model.blocks:
                return None
            if question.text.startswith(_DOCUMENTS):
                return self._documents(question, *self.released)
            if question.text == "model":
                return (
                    np.full(self.prompts, 0.8)
                    if question.quantity == "top1"
                    else self._over(self.prompts, 0.2, question)
                )
            losses = self._made(Question("evaluation", "nll", raw)) if question.text == "evaluation" else None
            return None if losses is None else losses - WINDOW_TOKENS * self.healing

        return Evidence(self.audit.of_checkpoint(source), replace(fact.own, tasks=self.tasks), answer)

    def answer(self, question: Question) -> Values | None:
        """The stored answer; None where it is withheld, or the texts were never read."""
        return None if self._gone(question) or not self.texts_read else self._made(question)

    def _gone(self, question: Question) -> bool:
        return self.withheld(question) if callable(self.withheld) else question in self.withheld

    def figures(self) -> tuple[ReportFigures, tuple[str, ...]]:
        """The report's figures, and what is missing."""
        known = amount(self.audit, self.facts)
        origin: EvidenceRow = {"amount": known, "other_runs": [], "not_finite": None, "answers": [], "at_hand": []}
        return report_figures(self.evidence, environment() if self.texts_read else None, origin)

    def chosen(self, method: str, budget: int) -> list[RemovalSet]:
        """What a method of the audit answers a budget with."""
        sets = plan.arms(self.audit, plan.problem_of(self.audit, self.model), self.evidence.ask).sets
        return [arm for arm in sets if (arm.method, arm.budget) == (method, budget)]

    def verdict(self, *claims: Claim) -> ClaimRow:
        """The first of these claims as the report holds it, in an audit that makes only them."""
        return self.verdicts(*claims)[0]

    def verdicts(self, *claims: Claim) -> list[ClaimRow]:
        return list(self.changed(claims=claims).figures()[0]["claims"])

    # --- answers ---

    def _documents(self, question: Question, gained: int, lost: int) -> Values:
        """What is scored on the documents of a task: the first ones are right, but for those that are gained or lost.

        By its second metric, the model gets ten documents more right.
        """
        known = next(fact for fact in self.tasks if documents_of(fact.name) == question.text)
        right = round(self.right * len(known.documents)) + 10 * known.metrics.index(question.quantity)
        values = np.zeros(len(known.documents))
        values[lost : right + gained] = 1.0
        return values

    def _made(self, question: Question) -> Values | None:
        if question.text.startswith(_DOCUMENTS):
            whole = question.layout == Layout.base(self.model.blocks)
            return self._documents(question, *((0, 0) if whole else self.cut))
        if question.text == "scoring":
            if question.quantity == "top1":
                return np.full(self.prompts, 0.75)
            removed = sum(self.deletion[block] for block in question.layout.removed(self.model.blocks))
            return self._over(self.prompts, self._distances.get(question.layout, removed), question)
        if question.text == "float32":
            known = self.audit.model.dtype != "float32" or self.audit.model.step is not None
            return self._over(self.prompts, self.floor, question) if known else None
        if question.text == "begin_token":
            return self.begin_token and np.array([*(60 * nll for nll in self.begin_token), 60.0])
        removed = tuple(set(range(self.model.blocks)) - set(question.layout.slots))
        cost = self.cost(removed)
        if question.quantity == "top1":
            return np.full(self.windows, math.exp(-abs(cost)))
        if question.quantity == "kl":
            return self._over(self.windows, abs(cost), question)
        # The text's own ups and downs are the same for every removal: intervals of costs are paired.
        base = self.nll * (1.0 + 0.1 * _wave(self.windows, 0.0))
        return WINDOW_TOKENS * (base + self._over(self.windows, cost, question))

    def cost(self, layers: Sequence[int]) -> float:
        """Nats per token that removing ``layers`` costs."""
        known = tuple(sorted(layers))
        return self.costs[known] if known in self.costs else sum(self.singles[layer] for layer in known)

    @cached_property
    def _distances(self) -> dict[Layout, float]:
        base = Layout.base(self.model.blocks)
        table = {base.without([block]): kl for block, kl in enumerate(self.deletion)}
        for (i, j), (forward, backward) in self.replacement.items():
            table |= {base.with_weights({i: j}): forward, base.with_weights({j: i}): backward}
        return table | {base.with_weights({i: j, j: i}): kl for (i, j), kl in self.interchange.items()}

    def _over(self, units: int, mean: float, question: Question) -> Values:
        phase = int(digest(str(question.layout))[:6], 16) / 16**6
        return mean * (1.0 + self.spread * _wave(units, phase))


def _wave(units: int, phase: float) -> Values:
    """A cosine over the units, so fast that neighbours lie on opposite sides: mean 0, standard deviation 1."""
    if units < 3:
        return np.zeros(units)
    angles = 2 * np.pi * (np.arange(units) * ((units - 1) // 2) / units + phase)
    wave = np.cos(angles)
    wave -= wave.mean()
    return np.asarray(wave / wave.std(ddof=1), dtype=np.float64)


def large(blocks: int = 30, windows: int = 21) -> Sample:
    """A sample of the size of the default audit: three methods at three budgets and 19 draws."""
    depth = [abs(2 * block / (blocks - 1) - 1) for block in range(blocks)]  # the middle is redundant
    pairs = [(block, block + 1) for block in range(blocks - 1)]
    methods = [MethodSettings(name, (1, 3, 5)) for name in ("interchange", "replacement", "deletion")]
    audit = an_audit(
        budgets=(1, 3, 5),
        methods=(*methods, MethodSettings("random", (3,), draws=19)),
        claims=(
            claim("three-layers", "removal", method="interchange", budget=3, at_most=30.0, protocol="interchange"),
            claim("twins", "redundant", pair=(14, 15), below=0.1),
            claim("protocols-diverge", "regime", metric="divergent"),
        ),
    )
    return Sample(
        audit,
        model_facts(blocks),
        windows=windows,
        replacement={(i, j): (0.1 + depth[i] + 0.01 * (i % 7), 0.1 + depth[j] + 0.01 * (j % 5)) for i, j in pairs},
        interchange={(i, j): 0.03 + 0.3 * depth[i] + 0.01 * (i % 3) for i, j in pairs},
        deletion=[0.05 + depth[block] for block in range(blocks)],
        singles=[0.02 + 0.2 * depth[block] + 0.01 * (block % 3) for block in range(blocks)],
    )


def deep(blocks: int = 12) -> Sample:
    """A sample with enough blocks for rank correlations to show: distances and costs rise with depth."""
    pairs = [(block, block + 1) for block in range(blocks - 1)]
    return Sample(
        an_audit(),
        model_facts(blocks),
        replacement={(i, j): (0.1 * j, 0.1 * j + 0.02) for i, j in pairs},
        interchange={(i, j): 0.05 * j for i, j in pairs},
        deletion=[0.1 * (block + 1) for block in range(blocks)],
        singles=[0.02 * (block + 1) for block in range(blocks)],
    )


def with_series(*claims: Claim, **steps: Sample) -> Sample:
    """A sample of 12 blocks whose series has three steps: 0, 100 and 1000, the last one the model itself.

    Replacement grows sixfold, interchange twofold. ``steps`` take the place of those of their number, as ``at_100``.
    """
    last = replace(deep(), weights=tuple(digest(["weights", block]) for block in range(12)))
    known = {0: at_step(0, 1 / 6, 0.5), 100: at_step(100, 0.5, 0.7), 1000: last}
    known |= {int(name.removeprefix("at_")): sample for name, sample in steps.items()}
    place = Location("audit.yaml", 24, 3)
    numbers = sorted(known)
    sources = [ModelSource("directory", path=f"/elsewhere/step-{each}", series="steps", step=each) for each in numbers]
    made = tuple(Checkpoint(f"steps/{each.step}", each, place) for each in sources)
    audit = replace(last.audit, series=(Series("steps", made, place),), claims=claims or last.audit.claims)
    return replace(last, audit=audit, steps=known)


def at_step(number: int, replacement: float = 1.0, interchange: float = 1.0, **changes: Any) -> Sample:
    """A step whose distances are so many times those of the deep sample; its blocks have digests of their own."""
    known = deep()
    model = replace(known.model, digest=digest(["weights", number]))
    return replace(
        known,
        model=model,
        replacement={pair: (a * replacement, b * replacement) for pair, (a, b) in known.replacement.items()},
        interchange={pair: kl * interchange for pair, kl in known.interchange.items()},
        nll=known.nll + 0.001 * (1000 - number),
        weights=tuple(digest([number, block]) for block in range(12)),
        **changes,
    )


# --- in a store ------------------------------------------------------------------------------------------------------


def fill(store: Store, sample: Sample) -> None:
    """Writes what a run of the sample's audit leaves: records, and every answer that is not withheld."""
    digests = _write_records(store, sample)
    under = contracts.model_scopes(sample.audit, sample.facts, digests)
    for question in questions(sample):
        values = sample.answer(question)
        if values is None:
            continue
        batches = 2 if question.text in ("scoring", "float32", "evaluation") else 1
        for number, part in enumerate(np.array_split(values, batches)):
            store.put(under[question.text], question, number, part)
    for fact in sample.checkpoints:
        _fill_checkpoint(store, sample, fact, under["scoring"])
        source = next(each.source for each in sample.audit.checkpoints if each.name == fact.name)
        for timing in sample.timings.get(fact.name, ()):
            store.write_record(
                timings.RECORD, timings.key(sample.audit, sample.model, fact.model, source), asdict(timing)
            )


def _fill_checkpoint(store: Store, sample: Sample, fact: CheckpointFacts, model: Scope) -> None:
    """What a run leaves of a checkpoint; ``model`` is under what the model's distances are stored."""
    evidence = sample.of_checkpoint(fact)
    under = contracts.checkpoint_scopes(sample.audit, fact, sample.tasks, model)
    base = Layout.base(fact.model.blocks)
    for known in sample.tasks:
        for metric in known.metrics:
            question = Question(documents_of(known.name), metric, base)
            values = evidence.answers(question)
            assert values is not None
            store.put(under[question.text], question, 0, values)
    for question in (
        Question("evaluation", "nll", base),
        Question("model", "kl", base),
        Question("model", "top1", base),
    ):
        values = evidence.answers(question)
        assert values is not None
        for number, part in enumerate(np.array_split(values, 2)):
            store.put(under[question.text], question, number, part)


def _write_records(store: Store, sample: Sample) -> dict[str, str]:
    audit, facts = sample.audit, sample.facts
    store.write_record("model", audit.model.identity, asdict(facts.model))
    if facts.scoring is None or facts.evaluation is None:
        return {"scoring": "never read", "evaluation": "never read"}
    digests = {}
    read = (("scoring", audit.scoring, facts.scoring), ("evaluation", audit.evaluation, facts.evaluation))
    for name, contract, found in read:
        tokenizer = facts.model.tokenizer_digest
        digests[name] = contracts.contract_digest(contract, found.text_digest, tokenizer, audit.model.dtype)
        store.write_record("text", contract.source.identity, {"identity": found.text_digest})
    store.write_record("scoring", digests["scoring"], asdict(facts.scoring))
    both = digest([digests["scoring"], digests["evaluation"]])
    store.write_record("evaluation", both, asdict(facts.evaluation))
    store.write_record("environment", audit.name, environment())
    for declared, known in zip(audit.tasks, sample.tasks, strict=True):
        store.write_record(contracts.TASK_RECORD, declared.identity, asdict(known))
    for source, fact in zip(audit.checkpoints, sample.checkpoints, strict=True):
        store.write_record(RECORD, key(facts.model.digest, source, both), asdict(fact))
    return digests


def environment() -> dict[str, Any]:
    times = {"started": "2026-01-01T10:00:00+00:00", "finished": "2026-01-01T10:01:00+00:00", "seconds": 60.0}
    machine = {"platform": "Linux", "processor": "a processor", "device": "cpu", "threads": 2}
    versions = {"python": "3.11.2", "torch": "2.13.0", "transformers": "5.0.0"}
    return {**versions, **machine, **times, "peak_memory_bytes": 10**9}


def questions(sample: Sample) -> list[Question]:
    """Everything that a whole run measures."""
    audit, model = sample.audit, sample.model
    base, planned = Layout.base(model.blocks), plan.plan(audit, sample.facts)
    asked = [*planned.scoring, *planned.evaluation, Question("begin_token", "nll", base)]
    if audit.model.dtype != "float32":
        asked.append(Question("float32", "kl", base))
    whole = replace(sample, withheld=()).evidence
    removals = plan.arms(audit, plan.problem_of(audit, model), whole.ask).sets
    layouts = [*(removal.layout for removal in removals), *plan.claimed_layouts(audit, sample.facts)]
    for layout in dict.fromkeys(layouts):
        asked += [Question("evaluation", quantity, layout) for quantity in ("nll", "kl", "top1")]
    for layout, _ in raw_removals(audit, sample.facts).values():
        asked += [Question("scoring", quantity, layout) for quantity in ("kl", "top1")]
    scored = plan.task_layouts(audit, sample.facts, removals)
    for known in sample.tasks:
        asked += [Question(documents_of(known.name), metric, at) for metric in known.metrics for at in scored]
    return list(dict.fromkeys(asked))
