"""Store first, then engine: answers every question of an audit, and leaves the run's record.

Resume is replay: nothing is kept but questions and answers, so a run that was killed asks the same questions again and
measures only what has no answer yet. The model is loaded when the first such question comes up, never before the texts
were read and found in order; and until then nothing is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Literal

import numpy as np

from checker.checkpoints import digests as artifacts
from checker.core import history
from checker.core.canonical import digest
from checker.core.errors import EvidenceDamaged, NotFinite
from checker.core.facts import Facts
from checker.core.files import check_unchanged
from checker.core.layouts import Layout
from checker.core.questions import Ask, Quantity, Question, RemovalSet, Text, Values
from checker.core.store import Store
from checker.measure import environment, passes, texts
from checker.measure.blocks import BlockStack
from checker.measure.engine import Engine
from checker.measure.models import device_of, load_model
from checker.measure.prepare import NoProgress, Prepared, Progress, with_selection
from checker.measure.proof import prove
from checker.selection.arms import arms
from checker.selection.plan import Plan, claimed_layouts, plan, problem_of
from checker.spec import claimed_checkpoints
from checker.spec.contracts import contract_digests, contracts, scopes, together
from checker.spec.sources import text_identity

TEXTS: tuple[Text, ...] = ("scoring", "selection", "evaluation")  # on which layouts are measured


def measure(prepared: Prepared, store: Store, progress: Progress | None = None) -> Facts:
    """Measures all that the audit needs and ``store`` does not hold yet.

    Raises CannotRun (a model that does not load or cannot be audited, out of memory), NotFinite, EvidenceDamaged.
    Whatever was measured before stays stored.
    """
    try:
        return _Session(prepared, store, progress or NoProgress()).run()
    except NotFinite as error:
        history.write_stop(store, prepared.audit, prepared.facts.model, error)
        raise


class _Session:
    """One run of one audit."""

    def __init__(self, prepared: Prepared, store: Store, progress: Progress) -> None:
        self.prepared, self.store, self.progress = prepared, store, progress
        self.audit, self.facts, self.cuts = prepared.audit, prepared.facts, dict(prepared.cuts)
        self.model_facts = prepared.facts.model
        self.loaded: Engine | None = None
        if self.facts.selection is None:
            self.facts = self._generate()
        self.digests = contract_digests(self.audit, self.facts)
        self.scopes = scopes(str(self.model_facts.digest), self.digests)
        self._check_tokens()
        self.base = Layout.base(self.model_facts.blocks)

    def run(self) -> Facts:
        try:
            self._measure_all()
        except BaseException:
            if self.loaded is not None:  # what a run took counts, though it did not reach its end
                self._write_environment()
            raise
        self._write_environment()
        history.forget_stop(self.store, self.audit, self.model_facts)
        return self.facts

    def _measure_all(self) -> None:
        self._write_record()
        planned = plan(self.audit, self.facts)
        problem = problem_of(self.audit, self.model_facts)
        self._announce(planned)
        # What scoring methods ask first, together: one prefix tree for each text.
        self._ensure([question for question in planned.scoring if question.span is None])
        ask = Ask(self._answer, self.base, self.cuts["selection"].batches[0].positions)
        evaluation = self._evaluation_questions(planned, arms(self.audit, problem, ask).sets)
        self._announce(planned, evaluation)
        self._ensure(evaluation)
        self._measure_begin_token()
        self._measure_floor()

    def _answer(self, questions: Sequence[Question]) -> dict[Question, Values]:
        """Stored answers; what has none is measured first."""
        self._ensure(questions)
        return {question: self._stored(question) for question in questions}

    def _ensure(self, questions: Collection[Question]) -> None:
        """Measures what is not stored, batch by batch; what is pooled, over all batches together."""
        begin = self.audit.scoring.begin_tokens_before
        batch_tokens = (self.audit.selecting or self.audit.scoring).batch_tokens
        for text in TEXTS:
            asked = [question for question in questions if question.text == text]
            apart = [question for question in asked if not question.pooled]
            for number, batch in enumerate(self.cuts[text].batches):
                if missing := self._missing(apart, number):
                    passes.on_batch(self.engine, batch, begin, missing, partial(self._put, number), self._tick)
            for question in asked:
                if question.pooled and self._missing([question], 0):
                    answers = passes.on_text(self.engine.stack, question, self.cuts[text], begin, batch_tokens)
                    for answered, values in answers.items():
                        self._put(0, answered, values)

    def _missing(self, questions: Iterable[Question], batch: int) -> list[Question]:
        return [question for question in questions if not self.store.has(self.scopes[question.text], question, batch)]

    def _put(self, batch: int, question: Question, values: Values) -> None:
        self.store.put(self.scopes[question.text], question, batch, values)

    def _stored(self, question: Question) -> Values:
        parts = 1 if question.pooled else len(self.cuts[question.text].batches)
        values = self.store.get(self.scopes[question.text], question, parts)
        if values is None:
            raise EvidenceDamaged(f"found no answer for {question.layout} right after measuring it")
        return values

    def _generate(self) -> Facts:
        """Samples the selection text from the model, once: the same weights and seed are given the stored samples."""
        contract = self.audit.selecting
        assert contract is not None
        seed, weights = contract.source.seed, str(self.model_facts.digest)
        key = digest([weights, self.audit.model.dtype, seed, contract.prompts, contract.tokens])
        stored = self.store.read_record("generated", key)
        if stored is None:
            begin = int(self.prepared.tokenizer.bos_token_id)
            stored = {"ids": passes.sample(self.engine.stack.model, begin, contract.prompts, contract.tokens, seed)}
            self.store.write_record("generated", key, stored)
        cut, facts = texts.generated(contract, stored["ids"], self.prepared.tokenizer)
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
        for claim, fact in zip(claimed_checkpoints.naming_one(audit), self.facts.checkpoints, strict=True):
            key = claimed_checkpoints.key(self.model_facts.digest, claim)
            self.store.write_record(claimed_checkpoints.RECORD, key, asdict(fact))
        for contract in contracts(audit).values():
            self.store.write_record("text", contract.source.identity, {"identity": text_identity(contract.source)})
        self.store.write_record("scoring", digests["scoring"], asdict(self.facts.scoring))
        self.store.write_record("selection", digests["selection"], asdict(self.facts.selection))
        # Overlap depends on all texts, so the evaluation's facts are kept per set of contracts.
        self.store.write_record("evaluation", together(digests), asdict(self.facts.evaluation))
        if self.store.read_record(artifacts.RECORD, str(self.model_facts.digest)) is None:
            read = {"files": artifacts.file_digests(self.prepared.files)}
            self.store.write_record(artifacts.RECORD, str(self.model_facts.digest), read)
        overrides = [list(override) for override in audit.overrides]
        self.store.write_record("audit", audit.name, {"text": audit.text, "overrides": overrides})

    def _write_environment(self) -> None:
        """Where and how long it was measured; runs of one audit add up, and one that measured nothing adds nothing."""
        before = self.store.read_record("environment", self.audit.name)
        if before is None or self.loaded is not None:
            attention = None if self.loaded is None else self.loaded.stack.attention
            content = environment.record(device_of(self.audit.model), attention, self.prepared.started, before)
            self.store.write_record("environment", self.audit.name, content)

    @property
    def engine(self) -> Engine:
        """The engine on the model, which is loaded when something is to be measured."""
        if self.loaded is None:
            self.loaded = self._load(self.audit.model.dtype)
        return self.loaded

    def _load(self, dtype: str) -> Engine:
        """An engine that is proved to give the model's own logits."""
        self.progress.say(f"loading the model ({dtype})")
        model = load_model(self.prepared.files, dtype, device_of(self.audit.model))
        check_unchanged(self.prepared.stamps)
        stack = BlockStack(model, self.audit.model.blocks)
        engine = Engine(stack)
        prove(engine.stack, self.cuts["scoring"].batches[0])
        return engine

    def _evaluation_questions(self, planned: Plan, sets: Iterable[RemovalSet]) -> tuple[Question, ...]:
        questions = dict.fromkeys(planned.evaluation)
        removals = [(removal.layout, removal.draw) for removal in sets]
        removals += [(layout, False) for layout in claimed_layouts(self.audit, self.model_facts.blocks)]
        for layout, draw in removals:
            quantities: tuple[Quantity, ...] = ("nll",) if draw else ("nll", "kl", "top1")
            questions |= dict.fromkeys(Question("evaluation", quantity, layout) for quantity in quantities)
        return tuple(questions)

    def _measure_begin_token(self) -> None:
        """Summed NLL of one window without and with the begin token, and the tokens scored."""
        question = Question("begin_token", "nll", self.base)
        windows = self.prepared.begin_token
        if windows is None or not self._missing([question], 0):
            return
        sums: list[float] = []
        for batch in windows:
            self.engine.measure(batch, {self.base: {"nll"}}, lambda _, __, values: sums.extend(values), self._tick)
        self._put(0, question, np.array([*sums, windows[0].positions], dtype=np.float64))

    def _measure_floor(self) -> None:
        """In a low-precision dtype: KL between the float32 baseline and this dtype's, per prompt (design, 3.1)."""
        if self.audit.model.dtype == "float32":
            return
        question = Question("float32", "kl", self.base)
        batches = self.cuts["scoring"].batches
        missing = [number for number in range(len(batches)) if self._missing([question], number)]
        if not missing:
            return
        reference = self._load("float32")
        for number in missing:
            self._put(number, question, self.engine.baseline_gap(batches[number], reference))

    def _announce(self, planned: Plan, evaluation: Sequence[Question] = ()) -> None:
        """Announces how much is left: of the plan's estimate first, of the known evaluation once sets are chosen."""
        work = sum(self._work(text, [*planned.scoring, *evaluation]) for text in TEXTS)
        if work and not evaluation:
            work = max(work, planned.cost.operations)
        self.progress.expect(work)

    def _work(self, text: Text, questions: Iterable[Question]) -> float:
        """What the layouts among the questions about one text take."""
        layouts = [question for question in questions if question.text == text and question.span is None]
        work = 0.0
        for number, batch in enumerate(self.cuts[text].batches):
            missing = {question.layout for question in self._missing(layouts, number)}
            prefixes = {layout.places[:length] for layout in missing for length in range(1, len(layout) + 1)}
            work += len(prefixes) * self._operations("block", batch.ids.numel())
            work += len(missing) * self._operations("head", batch.positions * len(batch.ids))
        return work

    def _operations(self, part: Literal["block", "head"], tokens: int) -> float:
        model = self.model_facts
        parameters = sum(model.block_parameters) / model.blocks if part == "block" else model.hidden * model.vocabulary
        return 2.0 * parameters * tokens

    def _tick(self, part: Literal["block", "head"], tokens: int) -> None:
        self.progress.advance(self._operations(part, tokens))
