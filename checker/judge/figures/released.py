"""What is released, held against the audited model: a checkpoint as it is, and the removal that it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from checker.core import statistics
from checker.core.facts import CheckpointFacts, ModelFacts, ProvenanceFacts
from checker.core.layouts import Layout
from checker.core.questions import Evidence, Quantity, Question, Values, stretches_of
from checker.core.statistics import Estimate
from checker.core.timings import TimingFacts
from checker.judge.figures import speed
from checker.judge.figures.costs import Costs
from checker.judge.figures.distances import value_row
from checker.judge.figures.form import (
    CheckpointRow,
    DeletionRow,
    ProvenanceRow,
    RawRow,
    ReleasedRow,
    SideRow,
)
from checker.spec.checkpoint_facts import raw_removals

_CACHE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Released:
    """One checkpoint beside the audited model."""

    model: Costs
    own: Costs
    fact: CheckpointFacts
    raw: Layout | None  # of the model's own blocks
    found: bool  # whether the weights tell that layout, and not a claim alone
    timings: tuple[TimingFacts, ...] = ()  # in turns with the model, the newest last

    @property
    def evidence(self) -> Evidence:
        return self.model.evidence

    @cached_property
    def increase(self) -> Estimate | None:
        """In percent of the model's perplexity, paired by window; None where it is not measured, or not comparable."""
        return None if self.fact.unlike else self._paired(self.own.base, self.model.base)

    @cached_property
    def bits_per_byte_increase(self) -> Estimate | None:
        """In percent of the model's bits per byte, paired; None where it is not measured.

        By window where both have the same tokens, else by stretch of bytes.
        """
        if self.fact.unlike:
            return self._by_stretch()
        if self.own.base is None or self.model.base is None:
            return None
        return statistics.loss_increase(self.own.base, self.model.base, self.model.statistics)

    def _by_stretch(self) -> Estimate | None:
        known = self.fact.stretches
        if known is None:
            return None
        text, number = stretches_of(self.fact.name), len(known.bytes)
        sums: list[Values] = []
        for costs, pieces in ((self.own, known.own), (self.model, known.model)):
            losses = costs.evidence.answers(Question(text, "nll", costs.unchanged))
            if losses is None:
                return None
            sums.append(np.bincount(pieces, weights=losses, minlength=number).astype(np.float64))
        own, model = sums
        return statistics.loss_increase(own, model, self.evidence.audit.statistics)

    @cached_property
    def raw_increase(self) -> Estimate | None:
        return None if self.raw is None else self.model.increase(self.raw)

    @cached_property
    def healing(self) -> Estimate | None:
        """What was done after the removal, in percent of the raw removal's perplexity, paired by window."""
        if self.fact.unlike or self.raw is None:
            return None
        return self._paired(self.own.base, self.model.nll(self.raw))

    def _paired(self, variant: Values | None, base: Values | None) -> Estimate | None:
        if variant is None or base is None or self.model.tokens is None:
            return None
        return statistics.increase(variant, base, self.model.tokens, self.model.statistics)

    @cached_property
    def distance(self) -> Estimate | None:
        """KL(model || checkpoint) on the scoring text, over its prompts."""
        return _distance(self.evidence, self._against_model("kl"))

    @cached_property
    def agreement(self) -> Estimate | None:
        """Share of positions of the scoring text where the most likely token is the model's."""
        return _mean(self.evidence, self._against_model("top1"))

    def _against_model(self, quantity: Quantity) -> Values | None:
        comparable = self.fact.no_distance(self.evidence.facts.model) is None
        return self.own.evidence.answer("model", quantity, self.own.unchanged) if comparable else None


def of_evidence(costs: Costs) -> dict[str, Released]:
    """The audit's checkpoints that were read, by their names."""
    evidence = costs.evidence
    raw, found = raw_removals(evidence.audit, evidence.facts), {}
    for fact in evidence.facts.checkpoints:
        layout, told = raw.get(fact.name, (None, False))
        own, timings = Costs(evidence.checkpoints[fact.name]), evidence.timings.get(fact.name, ())
        found[fact.name] = Released(costs, own, fact, layout, told, timings)
    return found


def rows(costs: Costs, released: Mapping[str, Released]) -> ReleasedRow | None:
    """The report's section on what is released; None where the audit has no checkpoint that was read."""
    if not released:
        return None
    return {"base": _base(costs), "checkpoints": [_checkpoint(each) for each in released.values()]}


def _checkpoint(released: Released) -> CheckpointRow:
    fact, model, audit = released.fact, released.fact.model, released.own.evidence.audit
    known = fact.provenance
    declared = released.evidence.audit.checkpoint(fact.name)
    return {
        "name": fact.name,
        "source": model.source,
        "kind": model.kind,
        "digest": model.digest,
        "architecture": model.architecture,
        "quantization": model.quantization,
        "tokenizer_digest": model.tokenizer_digest,
        "dtype": audit.model.dtype,
        "healed": declared.healed,
        "unlike": fact.unlike,
        "no_distance": fact.no_distance(released.evidence.facts.model),
        "provenance": None if known is None else _provenance(known),
        "no_provenance": fact.no_provenance or None,
        "own": _side(model, released.own, released.increase, released.distance, released.agreement),
        "raw": _raw(released),
        "healing": released.healing and value_row(released.healing),
        "bits_per_byte_increase": released.bits_per_byte_increase and value_row(released.bits_per_byte_increase),
        "deletions": _deletions(released.own) if declared.deletions else [],
        "speed": speed.row(released.timings, released.evidence.audit.statistics),
    }


def _provenance(known: ProvenanceFacts) -> ProvenanceRow:
    return {
        "layout": known.layout,
        "removed": list(known.removed) if known.layout is not None else None,
        "done": known.done if known.layout is not None else None,
        "retrained": len(known.retrained),
        "change": known.change,
        "changed": list(known.in_part),
        "share": known.share,
        "quantised": len(known.quantised),
        "types": known.types or None,
        "touched": list(known.touched),
        "open": list(known.open),
        "slots": known.why_another,
    }


def _base(costs: Costs) -> SideRow:
    return _side(costs.evidence.facts.model, costs, None, None, None)


def _side(
    model: ModelFacts, costs: Costs, increase: Estimate | None, distance: Estimate | None, agreement: Estimate | None
) -> SideRow:
    perplexity, bits = costs.perplexity_estimate(costs.unchanged), costs.bits_per_byte(costs.unchanged)
    return {
        "blocks": model.blocks,
        "parameters": model.parameters,
        "embedding_parameters": model.embedding_parameters,
        "bytes": model.weight_bytes,
        "cache_bytes_per_token": _cache(model, costs.evidence.audit.model.dtype),
        "perplexity": perplexity and value_row(perplexity),
        "increase": increase and value_row(increase),
        "bits_per_byte": bits and value_row(bits),
        "kl": distance and value_row(distance),
        "top1_agreement": agreement and value_row(agreement),
    }


def _raw(released: Released) -> RawRow | None:
    """The removal that the checkpoint was made from; None where it is not known, or nothing was done to the blocks."""
    costs, layout, model = released.model, released.raw, released.evidence.facts.model
    if layout is None or layout == costs.unchanged:
        return None
    removed = layout.removed(model.blocks)
    perplexity, bits, increase = costs.perplexity_estimate(layout), costs.bits_per_byte(layout), released.raw_increase
    distance = _distance(released.evidence, released.evidence.answer("scoring", "kl", layout))
    agreement = _mean(released.evidence, released.evidence.answer("scoring", "top1", layout))
    return {
        "layout": str(layout),
        "removed": list(removed),
        "found": released.found,
        "blocks": len(layout),
        "parameters": model.parameters - model.saved_by_removing(removed),
        "embedding_parameters": model.embedding_parameters,
        "bytes": None,
        "cache_bytes_per_token": None,
        "perplexity": perplexity and value_row(perplexity),
        "increase": increase and value_row(increase),
        "bits_per_byte": bits and value_row(bits),
        "kl": distance and value_row(distance),
        "top1_agreement": agreement and value_row(agreement),
    }


def _cache(model: ModelFacts, dtype: str) -> int | None:
    return None if model.cache_values is None else model.cache_values * _CACHE_BYTES[dtype]


def _deletions(own: Costs) -> list[DeletionRow]:
    return [{"block": block, **value_row(cost)} for block, cost in own.singles.items()]


def _distance(evidence: Evidence, values: Values | None) -> Estimate | None:
    return None if values is None else statistics.distance(values, evidence.of_prompts)


def _mean(evidence: Evidence, values: Values | None) -> Estimate | None:
    return None if values is None else statistics.mean(values, evidence.of_prompts)
