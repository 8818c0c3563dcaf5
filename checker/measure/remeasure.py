"""Measures some of a pack's layouts again, through the same engine, on the model and texts at hand.

What ``verify`` cannot show, that the rows were measured as they say, this shows by sample: the rows of layouts drawn at
random are taken out of the evidence, and measuring fills the gaps, as it does when a killed run resumes. Batches are
fixed by the contract, so on an equal machine the values are equal; elsewhere they differ by rounding, for which the
tolerance leaves room. Compared are means over a text's units, NLL per scored token.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from checker.core.errors import CannotRun
from checker.core.facts import Facts
from checker.core.layouts import Layout
from checker.core.records import Audit
from checker.core.store import Answer, Scope, Store
from checker.measure.answering import TEXTS
from checker.measure.prepare import Prepared, Progress
from checker.measure.run import measure
from checker.spec.contracts import against, contract_digests, scopes

# Absolute (nats, or shares) plus relative. Between machines and batch sizes, distances move by some 4e-4 in float32.
TOLERANCE: Mapping[str, tuple[float, float]] = {
    "float32": (1e-3, 0.01),
    "float16": (5e-3, 0.03),
    "bfloat16": (1e-2, 0.05),
}


@dataclass(frozen=True)
class Compared:
    """One quantity of one layout: its mean in the pack, and as measured here."""

    text: str
    quantity: str
    layout: str
    found: float
    measured: float
    dtype: str
    checkpoint: str | None = None  # whose layout it is; None: the model's

    @property
    def agrees(self) -> bool:
        absolute, relative = TOLERANCE[self.dtype]
        return abs(self.found - self.measured) <= absolute + relative * abs(self.measured)

    def __str__(self) -> str:
        absolute, relative = TOLERANCE[self.dtype]
        whose = f" of the checkpoint {self.checkpoint}" if self.checkpoint is not None else ""
        text = "scoring" if self.text == "model" else self.text  # on which a checkpoint is held against the model
        return (
            f"rows.jsonl: {self.quantity} of {self.layout}{whose} on the {text} text: found a mean of "
            f"{self.found:.6g}; expected {self.measured:.6g}, as measured here, within {absolute:g} and {relative:.0%} "
            f"({self.dtype}); ask whoever sealed the pack how it was measured"
        )


def remeasure(
    prepared: Prepared,
    answers: Sequence[Answer],
    place: Path,
    number: int,
    seed: int,
    progress: Progress | None = None,
) -> list[Compared]:
    """Measures ``number`` of the layouts that ``answers`` are of again, drawn with ``seed``; all where there are fewer.

    Layouts are the model's and its checkpoints'. ``answers`` are a pack's, ``prepared`` is its audit with its own model
    and texts, ``place`` is the pack's folder, for messages. Raises CannotRun where the texts here give another number
    of units.
    """
    own = str(prepared.facts.model.digest)
    weights = {own, *(str(fact.model.digest) for fact in prepared.facts.checkpoints)}  # and none of a series' steps
    drawable = [answer for answer in answers if answer.scope.model in weights and _drawable(answer)]
    layouts = sorted({_drawn_by(answer) for answer in drawable})
    drawn = set(random.Random(seed).sample(layouts, min(number, len(layouts))))
    taken = [answer for answer in drawable if _drawn_by(answer) in drawn]
    with Store(place, in_memory=True) as store:
        store.add(answer for answer in answers if not (_drawable(answer) and _drawn_by(answer) in drawn))
        # What is chosen at another step is asked of the model by the series alone.
        of_model = {answer.layout for answer in taken if answer.scope.model == own and answer.text == "evaluation"}
        known = measure(prepared, store, progress, list(map(Layout.parse, sorted(of_model)))).facts
        again = [store.answer(answer) for answer in taken]
    return _compared(taken, again, _models(prepared.audit, known))


def _drawable(answer: Answer) -> bool:
    """Whether an answer is of a layout, under a text that is measured for layouts."""
    return answer.text in (*TEXTS, "model") and " " not in answer.asked


def _drawn_by(answer: Answer) -> tuple[str, str]:
    """A layout, and the weights that it is of."""
    return answer.scope.model, answer.layout


@dataclass(frozen=True)
class _Of:
    """What answers of one model under one contract are of."""

    dtype: str
    scored: float = 1.0  # mean number of scored tokens of a unit, where losses are summed over them
    checkpoint: str | None = None


def _models(audit: Audit, known: Facts) -> dict[Scope, _Of]:
    """Whose answers stand under which weights and contract; of equal ones, the audited model's."""
    own = scopes(str(known.model.digest), contract_digests(audit, known))
    models: dict[Scope, _Of] = {}
    for fact in known.checkpoints:
        asked = audit.of_checkpoint(audit.checkpoint(fact.name))
        under = scopes(str(fact.model.digest), contract_digests(asked, fact.own))
        models[against(under["scoring"], own["scoring"])] = _Of(asked.model.dtype, checkpoint=fact.name)
        models[under["evaluation"]] = _Of(asked.model.dtype, float(np.mean(fact.evaluation.scored)), fact.name)
    assert known.evaluation is not None
    assert known.selection is not None
    every = (audit.selecting or audit.scoring).special_tokens == "every_window"
    return models | {
        own["scoring"]: _Of(audit.model.dtype),
        own["selection"]: _Of(audit.model.dtype, float(known.selection.tokens - 1 - every)),
        own["evaluation"]: _Of(audit.model.dtype, float(np.mean(known.evaluation.scored))),
    }


def _compared(taken: Sequence[Answer], again: Sequence[Answer | None], models: Mapping[Scope, _Of]) -> list[Compared]:
    values: dict[tuple[Scope, str, str, str], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for before, after in zip(taken, again, strict=True):
        sealed, measured = values[before.scope, before.text, before.asked, before.layout]
        sealed += before.values.tolist()
        measured += [] if after is None else after.values.tolist()
    compared = []
    for (scope, text, quantity, layout), (sealed, measured) in values.items():
        if len(sealed) != len(measured):
            raise CannotRun.at(
                "rows.jsonl",
                f"{len(sealed)} units of {quantity} of {layout}",
                f"{len(measured)}, as many as were measured here",
                "use the model and texts of the pack",
            )
        model = models[scope]
        per = model.scored if quantity == "nll" else 1.0
        means = float(np.mean(sealed)) / per, float(np.mean(measured)) / per
        compared.append(Compared(text, quantity, layout, *means, model.dtype, model.checkpoint))
    return compared
