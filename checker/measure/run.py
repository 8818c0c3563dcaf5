"""Store first, then engine: answers every question of an audit, and leaves the run's record.

Resume is replay: nothing is kept but questions and answers, so a run that was killed asks the same questions again and
measures only what has no answer yet. The model is loaded when the first such question comes up, never before the texts
were read and found in order; and until then nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from checker.checkpoints import digests as artifacts
from checker.core import history
from checker.core.canonical import digest
from checker.core.errors import EvidenceDamaged, NotFinite
from checker.core.facts import Facts
from checker.core.files import check_unchanged
from checker.core.layouts import Layout
from checker.core.questions import Ask, Quantity, Question, RemovalSet, Text, requests_of, stretches_of
from checker.core.store import Store
from checker.measure import environment, passes, texts
from checker.measure.answering import Answering
from checker.measure.blocks import BlockStack
from checker.measure.engine import Engine
from checker.measure.models import device_of, load_model
from checker.measure.prepare import (
    Found,
    NoProgress,
    Prepared,
    PreparedCheckpoint,
    Progress,
    named,
    with_selection,
)
from checker.measure.proof import prove
from checker.measure.released import Released, keep, operations
from checker.measure.tasks import TaskRun
from checker.measure.walk import Part
from checker.selection.arms import arms
from checker.selection.plan import Plan, claimed_layouts, plan, problem_of, task_layouts
from checker.spec import checkpoint_facts
from checker.spec.contracts import (
    TASK_RECORD,
    contract_digests,
    contracts,
    model_scopes,
    together,
)
from checker.spec.sources import text_identity
from checker.spec.tasks import MODEL


@dataclass(frozen=True)
class Measured:
    """What a run came to know: the facts about its files, and the sets that methods chose."""

    facts: Facts
    sets: tuple[RemovalSet, ...]


def measure(
    prepared: Prepared, store: Store, progress: Progress | None = None, further: Sequence[Layout] = ()
) -> Measured:
    """Measures all that the audit needs and ``store`` does not hold yet, and the loss of ``further`` layouts.

    Raises CannotRun (a model that does not load or cannot be audited, out of memory), NotFinite, EvidenceDamaged.
    Whatever was measured before stays stored.
    """
    try:
        return _Session(prepared, store, progress or NoProgress(), further).run()
    except NotFinite as error:
        history.write_stop(store, prepared.audit, prepared.facts.model, error)
        raise


class _Session:
    """One run of one audit."""

    def __init__(self, prepared: Prepared, store: Store, progress: Progress, further: Sequence[Layout]) -> None:
        self.prepared, self.store, self.progress, self.further = prepared, store, progress, further
        self.audit, self.facts, self.cuts = prepared.audit, prepared.facts, dict(prepared.cuts)
        self.model_facts = prepared.facts.model
        self.base = Layout.base(self.model_facts.blocks)
        self.attention: str | None = None  # of the last model that was loaded
        self.measured = False  # whether one was
        self.own = Answering(self.audit, store, {}, self.cuts, self._load, self._tick)
        if self.facts.selection is None:
            self.facts = self._generate()
        self.digests = contract_digests(self.audit, self.facts)
        self.own.scopes = model_scopes(self.audit, self.facts, self.digests)
        self.cuts |= {requests_of(name): requests.cut for name, requests in prepared.requests.items()}
        self.unlike = {each.facts.name: each.stretches for each in prepared.checkpoints if each.stretches is not None}
        for name, stretches in self.unlike.items():
            self.cuts[stretches_of(name)] = stretches.model
        self._check_tokens()

    def run(self) -> Measured:
        try:
            sets = self._measure_all()
            self._measure_checkpoints()
        except BaseException:
            if self.measured:  # what a run took counts, though it did not reach its end
                self._write_environment()
            raise
        self._write_environment()
        history.forget_stop(self.store, self.audit, self.model_facts)
        return Measured(self.facts, sets)

    def _measure_all(self) -> tuple[RemovalSet, ...]:
        self._write_record()
        planned = plan(self.audit, self.facts)
        problem = problem_of(self.audit, self.model_facts)
        self._announce(planned)
        # What scoring methods ask first, together: one prefix tree for each text.
        self.own.ensure([question for question in planned.scoring if question.span is None])
        ask = Ask(self.own.answer, self.base, self.cuts["selection"].batches[0].positions)
        sets = arms(self.audit, problem, ask).sets
        evaluation = self._evaluation_questions(planned, sets)
        self._announce(planned, evaluation)
        self.own.ensure(evaluation)
        self._measure_begin_token()
        self._measure_tasks(sets)
        self._measure_floor()
        return tuple(sets)

    def _generate(self) -> Facts:
        """Samples the selection text from the model, once: the same weights and seed are given the stored samples."""
        contract = self.audit.selecting
        assert contract is not None
        seed, weights = contract.source.seed, str(self.model_facts.digest)
        key = digest([weights, self.audit.model.dtype, seed, contract.prompts, contract.tokens])
        stored = self.store.read_record("generated", key)
        if stored is None:
            begin = int(self.prepared.found.tokenizer.bos_token_id)
            stored = {"ids": passes.sample(self.own.engine.stack.model, begin, contract.prompts, contract.tokens, seed)}
            self.store.write_record("generated", key, stored)
        cut, facts = texts.generated(contract, stored["ids"], self.prepared.found.tokenizer)
        return with_selection(self.facts, self.cuts, cut, facts)

    def _check_tokens(self) -> None:
        """The same contract must give the same token ids, or stored and new answers would be mixed."""
        scoring, evaluation = self.digests["scoring"], self.digests["evaluation"]
        for contract, facts in ((scoring, self.facts.scoring), (evaluation, self.facts.evaluation)):
            assert facts is not None
            before = self.store.read_record("tokens", contract)
            if before is not None and before["digest"] != facts.tokens_digest:
                raise EvidenceDamaged.at(
                    None,
                    "other token ids than the stored evidence under the same contract",
                    "the same text and tokenizer",
                    "pin the text with `sha256` or `revision`, or measure again with --fresh",
                )
            self.store.write_record("tokens", contract, {"digest": facts.tokens_digest})

    def _write_record(self) -> None:
        audit, digests = self.audit, self.digests
        assert self.facts.scoring is not None
        assert self.facts.evaluation is not None
        assert self.facts.selection is not None
        for model in (audit.model, audit.model.unpinned):  # an audit that is pinned later can be judged
            self.store.write_record("model", model.identity, asdict(self.model_facts))
        for checkpoint, fact in zip(audit.checkpoints, self.facts.checkpoints, strict=True):
            for source in (checkpoint.source, checkpoint.source.unpinned):
                named = replace(checkpoint, source=source)
                key = checkpoint_facts.key(self.model_facts.digest, named, together(digests))
                self.store.write_record(checkpoint_facts.RECORD, key, asdict(fact))
        for task, known in zip(audit.tasks, self.facts.tasks, strict=True):
            self.store.write_record(TASK_RECORD, task.identity, asdict(known))
        for contract in contracts(audit).values():
            self.store.write_record("text", contract.source.identity, {"identity": text_identity(contract.source)})
        self.store.write_record("scoring", digests["scoring"], asdict(self.facts.scoring))
        self.store.write_record("selection", digests["selection"], asdict(self.facts.selection))
        # Overlap depends on all texts, so the evaluation's facts are kept per set of contracts.
        self.store.write_record("evaluation", together(digests), asdict(self.facts.evaluation))
        for found in (self.prepared.found, *(each.found for each in self.prepared.checkpoints)):
            if self.store.read_record(artifacts.RECORD, str(found.facts.digest)) is None:
                read = {"files": artifacts.file_digests(found.files)}
                self.store.write_record(artifacts.RECORD, str(found.facts.digest), read)
        overrides = [list(override) for override in audit.overrides]
        self.store.write_record("audit", audit.name, {"text": audit.text, "overrides": overrides})

    def _write_environment(self) -> None:
        """Where and how long it was measured; runs of one audit add up, and one that measured nothing adds nothing."""
        before = self.store.read_record("environment", self.audit.name)
        if before is None or self.measured:
            device = device_of(self.audit.model)
            content = environment.record(device, self.attention, self.prepared.started, before)
            self.store.write_record("environment", self.audit.name, content)

    def _load(self) -> Engine:
        return self._engine(self.prepared.found, self.audit.model.dtype, self.cuts)

    def _engine(self, found: Found, dtype: str, cuts: Mapping[Text, texts.Cut], name: str = "the model") -> Engine:
        """An engine that is proved to give the model's own logits."""
        self.progress.say(f"loading {name} ({dtype})")
        model = load_model(found.files, dtype, device_of(found.source))
        check_unchanged(found.stamps)
        stack = BlockStack(model, self.audit.model.blocks)
        prove(stack, cuts["scoring"].batches[0])
        self.attention, self.measured = stack.attention, True
        return Engine(stack)

    def _evaluation_questions(self, planned: Plan, sets: Iterable[RemovalSet]) -> tuple[Question, ...]:
        by_stretch = [Question(stretches_of(name), "nll", self.base) for name in self.unlike]
        questions = dict.fromkeys((*planned.evaluation, *planned.raw, *by_stretch))
        removals = [(removal.layout, removal.draw) for removal in sets]
        removals += [(layout, False) for layout in claimed_layouts(self.audit, self.facts)]
        for layout, draw in removals:
            quantities: tuple[Quantity, ...] = ("nll",) if draw else ("nll", "kl", "top1")
            questions |= dict.fromkeys(Question("evaluation", quantity, layout) for quantity in quantities)
        questions |= dict.fromkeys(Question("evaluation", "nll", layout) for layout in self.further)
        return tuple(questions)

    def _measure_checkpoints(self) -> None:
        """One after the other; of the model only its last states and its head stay, and only where they are needed."""
        released = [
            Released(
                each,
                self.prepared.tasks,
                self.own,
                self.model_facts,
                partial(self._engine_of, each),
                self.progress,
            )
            for each in self.prepared.checkpoints
        ]
        if not released:
            return
        self.progress.expect(sum(each.work() for each in released))
        reference = keep(self.own, {number for each in released for number in each.distant()})
        for each in released:
            with named(each.name):
                each.measure(reference)

    def _engine_of(self, prepared: PreparedCheckpoint) -> Engine:
        name = f"the checkpoint {prepared.checkpoint.name}"
        return self._engine(prepared.found, prepared.checkpoint.source.dtype, prepared.cuts, name)

    def _measure_tasks(self, sets: Sequence[RemovalSet]) -> None:
        """The tasks on the model and on the layouts that the audit names for it."""
        prepared = self.prepared
        if prepared.tasks:
            self.progress.say("running the tasks")
            layouts = task_layouts(self.audit, self.facts, sets)
            tasks = TaskRun(MODEL, prepared.tasks, prepared.requests, self.own, prepared.found.tokenizer)
            self.progress.expect(self.own.work(tasks.questions(layouts), self._operations))
            tasks.measure(self.base, layouts)

    def _measure_begin_token(self) -> None:
        """Summed NLL of one window without and with the begin token, and the tokens scored."""
        question = Question("begin_token", "nll", self.base)
        windows = self.prepared.begin_token
        if windows is None or not self.own.missing([question], 0):
            return
        sums: list[float] = []
        for batch in windows:
            self.own.engine.measure(batch, {self.base: {"nll"}}, lambda _, __, values: sums.extend(values), self._tick)
        self.own.put(0, question, np.array([*sums, windows[0].positions], dtype=np.float64))

    def _measure_floor(self) -> None:
        """The numerical floor of distances, per prompt (design, 3.1 and 3.8).

        In a low-precision dtype, KL between the float32 baseline and this dtype's; of a step in float32, KL between the
        baseline and itself at another batch size.
        """
        low = self.audit.model.dtype != "float32"
        if not low and self.audit.model.step is None:
            return
        question = Question("float32", "kl", self.base)
        batches = self.cuts["scoring"].batches
        missing = [number for number in range(len(batches)) if self.own.missing([question], number)]
        if not missing:
            return
        reference = self._engine(self.prepared.found, "float32", self.cuts) if low else self.own.engine
        for number in missing:
            states = (reference.last_states if low else reference.last_states_apart)(batches[number])
            distances, _ = self.own.engine.gap(batches[number], reference.stack, states)
            self.own.put(number, question, distances)

    def _announce(self, planned: Plan, evaluation: Sequence[Question] = ()) -> None:
        """Announces how much is left: of the plan's estimate first, of the known evaluation once sets are chosen."""
        work = self.own.work([*planned.scoring, *evaluation], self._operations)
        if work and not evaluation:
            work = max(work, planned.own.operations)
        self.progress.expect(work)

    def _operations(self, part: Part, tokens: int) -> float:
        return operations(self.model_facts, part, tokens)

    def _tick(self, part: Part, tokens: int) -> None:
        self.progress.advance(self._operations(part, tokens))
