"""Store first, then engine: answers every question of an audit, and leaves the run's record.

Resume is replay: nothing is kept but questions and answers, so a run that was killed asks the same questions again and
measures only what has no answer yet. The model is loaded when the first such question comes up, never before the texts
were read and found in order; and until then nothing is written.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
import transformers

from checker import texts
from checker.blocks import BlockStack
from checker.checkpoints import Files, check_pin, facts, weights_digest
from checker.engine import Engine
from checker.errors import CannotRun, EvidenceDamaged
from checker.models import device_of, fetch, load_model, load_tokenizer
from checker.plan import Plan, arms, claimed_layouts, contract_digest, ground, plan
from checker.records import Audit, Facts, Layout, ModelFacts, Quantity, Question, RemovalSet, Text, Values, digest
from checker.sources import text_identity
from checker.store import MEASURING_CODE, Scope, Store

Wanted = Mapping[Layout, Collection[Quantity]]


class Progress(Protocol):
    """Who is told how a run goes. Work is counted in floating-point operations."""

    def say(self, text: str) -> None: ...

    def expect(self, work: float) -> None:
        """What is left, from here on; a later call corrects an earlier one."""

    def advance(self, work: float) -> None: ...


class Silent:
    """Tells nobody."""

    def say(self, text: str) -> None:
        pass

    def expect(self, work: float) -> None:
        pass

    def advance(self, work: float) -> None:
        pass


@dataclass(frozen=True)
class Prepared:
    """An audit whose model was found and whose texts were read and cut; no weight is loaded and nothing is written."""

    audit: Audit
    started: datetime
    files: Files
    facts: Facts
    cuts: Mapping[Text, texts.Cut]
    begin_token: tuple[texts.Batch, texts.Batch] | None  # one window without and with it


def prepare(audit: Audit, progress: Progress | None = None, hub_cache: Path | None = None) -> Prepared:
    """Finds the model, holds its weights against their pin, and cuts the texts into windows.

    Raises CannotRun (model or text not to be had, too long or too short), DigestMismatch.
    """
    told, started = progress or Silent(), datetime.now(UTC)
    told.say(f"reading the model's files: {audit.model.kind}")
    files = fetch(audit.model, hub_cache)
    found = weights_digest(files)
    check_pin(audit.model, files, found)
    model = replace(facts(files, audit.model), digest=found)
    told.say("tokenising the texts")
    tokenizer = load_tokenizer(files)
    scoring, scoring_facts = texts.scoring(audit.scoring, tokenizer)
    evaluation, evaluation_facts = texts.evaluation(audit.evaluation, tokenizer, scoring.words)
    _check_context(model, max(len(window.ids) for window in (*scoring.windows, *evaluation.windows)))
    known = Facts(model, scoring_facts, evaluation_facts)
    begin_token = texts.begin_token_windows(audit.evaluation, tokenizer)
    return Prepared(audit, started, files, known, {"scoring": scoring, "evaluation": evaluation}, begin_token)


def _check_context(model: ModelFacts, longest: int) -> None:
    if model.context is not None and longest > model.context:
        raise CannotRun(
            f"found windows of {longest} tokens; expected at most the model's context of {model.context}; "
            "lower `window` or `tokens`"
        )


def measure(prepared: Prepared, store: Store, progress: Progress | None = None) -> Facts:
    """Measures all that the audit needs and ``store`` does not hold yet.

    Raises CannotRun (a model that does not load or cannot be audited, out of memory), NotFinite, EvidenceDamaged.
    Whatever was measured before stays stored.
    """
    return _Session(prepared, store, progress or Silent()).run()


class _Session:
    """One run of one audit."""

    def __init__(self, prepared: Prepared, store: Store, progress: Progress) -> None:
        self.audit, self.facts, self.files = prepared.audit, prepared.facts, prepared.files
        self.cuts, self.begin_token = prepared.cuts, prepared.begin_token
        self.model_facts, self.started = prepared.facts.model, prepared.started
        self.store, self.progress = store, progress
        self.scopes = self._scopes(prepared.facts)

    def run(self) -> Facts:
        self._write_record()
        planned = plan(self.audit, self.facts)
        where = ground(self.audit, self.model_facts)
        self._announce(planned, {})
        self._ensure("scoring", {question.layout: {"kl"} for question in planned.scoring})
        chosen = arms(self.audit, where, self)
        evaluation = self._evaluation_questions(planned, chosen.sets)
        self._announce(planned, evaluation)
        self._ensure("evaluation", evaluation)
        self._measure_begin_token()
        self._measure_floor()
        self._write_environment()
        return self.facts

    # --- what methods ask (records.Ask) ---

    def kl(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        wanted = list(layouts)
        self._ensure("scoring", {layout: {"kl"} for layout in wanted})
        return {layout: self._answer(Question("scoring", "kl", layout)) for layout in wanted}

    # --- records ---

    def _scopes(self, known: Facts) -> dict[Text, Scope]:
        digests = contract_digests(self.audit, known)
        weights = str(self.model_facts.digest)
        assert known.scoring is not None
        assert known.evaluation is not None
        self._check_tokens(digests["scoring"], known.scoring.tokens_digest)
        self._check_tokens(digests["evaluation"], known.evaluation.tokens_digest)
        return {
            "scoring": Scope(weights, digests["scoring"]),
            "evaluation": Scope(weights, digests["evaluation"]),
            "begin_token": Scope(weights, digests["evaluation"]),
            "float32": Scope(weights, digests["scoring"]),
        }

    def _check_tokens(self, contract: str, tokens: str) -> None:
        """The same contract must give the same token ids, or stored and new answers would be mixed."""
        before = self.store.read_record("tokens", contract)
        if before is not None and before["digest"] != tokens:
            raise EvidenceDamaged(
                "found other token ids than the stored evidence under the same contract; expected the same text and "
                "tokenizer; pin the text with `sha256` or `revision`, or measure again with --fresh"
            )
        self.store.write_record("tokens", contract, {"digest": tokens})

    def _write_record(self) -> None:
        audit = self.audit
        assert self.facts.scoring is not None
        assert self.facts.evaluation is not None
        digests = contract_digests(audit, self.facts)
        self.store.write_record("model", audit.model.identity, asdict(self.model_facts))
        for source in (audit.scoring.source, audit.evaluation.source):
            self.store.write_record("text", source.identity, {"identity": text_identity(source)})
        self.store.write_record("scoring", digests["scoring"], asdict(self.facts.scoring))
        # Overlap depends on both texts, so the evaluation's facts are kept per pair of contracts.
        both = digest([digests["scoring"], digests["evaluation"]])
        self.store.write_record("evaluation", both, asdict(self.facts.evaluation))
        overrides = [list(override) for override in audit.overrides]
        self.store.write_record("audit", audit.name, {"text": audit.text, "overrides": overrides})

    def _write_environment(self) -> None:
        """Where and how long it was measured; runs of one audit add up, and one that measured nothing adds nothing."""
        before = self.store.read_record("environment", self.audit.name)
        if before is not None and "engine" not in self.__dict__:
            return
        now = datetime.now(UTC)
        content = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "platform": platform.platform(),
            "processor": processor_name(),
            "device": self._device_name(),
            "threads": torch.get_num_threads(),
            "started": before["started"] if before else self.started.isoformat(timespec="seconds"),
            "finished": now.isoformat(timespec="seconds"),
            "seconds": round((before["seconds"] if before else 0.0) + (now - self.started).total_seconds(), 1),
            "peak_memory_bytes": max(peak_memory(), before["peak_memory_bytes"] if before else 0),
        }
        self.store.write_record("environment", self.audit.name, content)

    def _device_name(self) -> str:
        device = device_of(self.audit.model)
        return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"

    # --- measuring ---

    @cached_property
    def engine(self) -> Engine:
        """The engine on the loaded model, proved to give the model's own logits."""
        return self._engine(self.audit.model.dtype)

    def _engine(self, dtype: str) -> Engine:
        self.progress.say(f"loading the model ({dtype})")
        stack = BlockStack(load_model(self.files, dtype, device_of(self.audit.model)), self.audit.model.blocks)
        if len(stack) != self.model_facts.blocks:
            raise CannotRun(
                f"found a stack of {len(stack)} blocks in the loaded model; expected the {self.model_facts.blocks} "
                "that its files announce"
            )
        engine = Engine(stack)
        engine.prove(self.cuts["scoring"].batches[0])
        return engine

    def _ensure(self, text: Literal["scoring", "evaluation"], wanted: Wanted) -> None:
        """Measures what is not stored, batch by batch."""
        scope = self.scopes[text]
        for number, batch in enumerate(self.cuts[text].batches):
            missing = self._missing(scope, text, wanted, number)
            if not missing:
                continue

            def emit(layout: Layout, quantity: Quantity, values: Values, number: int = number) -> None:
                self.store.put(scope, Question(text, quantity, layout), number, values)

            self.engine.measure(batch, missing, emit, self._tick)

    def _missing(self, scope: Scope, text: Text, wanted: Wanted, batch: int) -> dict[Layout, set[Quantity]]:
        missing: dict[Layout, set[Quantity]] = defaultdict(set)
        for layout, quantities in wanted.items():
            for quantity in quantities:
                if not self.store.has(scope, Question(text, quantity, layout), batch):
                    missing[layout].add(quantity)
        return dict(missing)

    def _evaluation_questions(self, planned: Plan, sets: Iterable[RemovalSet]) -> dict[Layout, set[Quantity]]:
        questions: dict[Layout, set[Quantity]] = {question.layout: {"nll"} for question in planned.evaluation}
        for removal in sets:
            quantities: set[Quantity] = {"nll"} if removal.draw else {"nll", "kl", "top1"}
            questions.setdefault(removal.layout(self.model_facts.blocks), set()).update(quantities)
        for layout in claimed_layouts(self.audit, self.model_facts.blocks):
            questions.setdefault(layout, set()).update({"nll", "kl", "top1"})
        return questions

    def _measure_begin_token(self) -> None:
        """Summed NLL of one window without and with the begin token, and the tokens scored."""
        base = Layout.base(self.model_facts.blocks)
        question = Question("begin_token", "nll", base)
        if self.begin_token is None or self.store.has(self.scopes["begin_token"], question, 0):
            return
        sums: list[float] = []
        for batch in self.begin_token:
            self.engine.measure(batch, {base: {"nll"}}, lambda _, __, values: sums.extend(values), self._tick)
        values = np.array([*sums, self.begin_token[0].positions], dtype=np.float64)
        self.store.put(self.scopes["begin_token"], question, 0, values)

    def _measure_floor(self) -> None:
        """In a low-precision dtype: KL between the float32 baseline and this dtype's, per prompt (design, 3.1)."""
        if self.audit.model.dtype == "float32":
            return
        question = Question("float32", "kl", Layout.base(self.model_facts.blocks))
        scope = self.scopes["float32"]
        batches = self.cuts["scoring"].batches
        missing = [number for number in range(len(batches)) if not self.store.has(scope, question, number)]
        if not missing:
            return
        reference = self._engine("float32")
        for number in missing:
            values = self.engine.baseline_gap(batches[number], reference)
            self.store.put(scope, question, number, values)

    def _answer(self, question: Question) -> Values:
        values = self.store.get(self.scopes[question.text], question, len(self.cuts[question.text].batches))
        if values is None:
            raise EvidenceDamaged(f"found no answer for {question.layout} right after measuring it")
        return values

    # --- progress ---

    def _announce(self, planned: Plan, evaluation: Wanted) -> None:
        """Tells how much is left: of the plan's estimate first, of the known evaluation once sets are chosen."""
        scoring = {question.layout: {"kl"} for question in planned.scoring}
        known: list[tuple[Text, Wanted]] = [("scoring", scoring), ("evaluation", evaluation)]  # type: ignore[list-item]
        work = sum(self._work(text, wanted) for text, wanted in known)
        if not evaluation:
            work = max(work, planned.cost.operations * (1.0 if work else 0.0))
        self.progress.expect(work)

    def _work(self, text: Text, wanted: Wanted) -> float:
        work = 0.0
        for number, batch in enumerate(self.cuts[text].batches):
            missing = self._missing(self.scopes[text], text, wanted, number)
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


def contract_digests(audit: Audit, known: Facts) -> dict[Literal["scoring", "evaluation"], str]:
    """The two contracts' digests, from the texts as they were read."""
    assert known.scoring is not None
    assert known.evaluation is not None
    tokenizer, dtype = known.model.tokenizer_digest, audit.model.dtype
    return {
        "scoring": contract_digest(audit.scoring, known.scoring.text_digest, tokenizer, dtype),
        "evaluation": contract_digest(audit.evaluation, known.evaluation.text_digest, tokenizer, dtype),
    }


def processor_name() -> str:
    """The processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({os.cpu_count()} cores)" if names else platform.machine()


def peak_memory() -> int:
    """The process's largest resident set so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


__all__ = ["MEASURING_CODE", "Prepared", "Progress", "Silent", "contract_digests", "measure", "prepare"]
