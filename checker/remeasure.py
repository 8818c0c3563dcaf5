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
from typing import Any

import numpy as np

from checker import rows, sealed, spec
from checker.errors import CannotRun, EvidenceMissing, UsageError
from checker.measure import Prepared, Progress, contract_digests, measure, prepare
from checker.packs import Pack
from checker.records import COMPLETENESS, Audit
from checker.store import Answer, Store

# Absolute (nats, or shares) plus relative. Between machines and batch sizes, distances move by some 4e-4 in float32.
TOLERANCE: Mapping[str, tuple[float, float]] = {
    "float32": (1e-3, 0.01),
    "float16": (5e-3, 0.03),
    "bfloat16": (1e-2, 0.05),
}
_TEXTS = ("scoring", "selection", "evaluation")
Asked = tuple[str, str, str]  # text, quantity, layout


@dataclass(frozen=True)
class Compared:
    """One quantity of one layout: its mean in the pack, and as measured here."""

    text: str
    quantity: str
    layout: str
    found: float
    measured: float
    dtype: str

    @property
    def agrees(self) -> bool:
        absolute, relative = TOLERANCE[self.dtype]
        return abs(self.found - self.measured) <= absolute + relative * abs(self.measured)

    def __str__(self) -> str:
        absolute, relative = TOLERANCE[self.dtype]
        return (
            f"rows.parquet: {self.quantity} of {self.layout} on the {self.text} text: found a mean of "
            f"{self.found:.6g}; expected {self.measured:.6g}, as measured here, within {absolute:g} and {relative:.0%} "
            f"({self.dtype}); ask whoever sealed the pack how it was measured"
        )


def remeasure(
    pack: Pack,
    number: int,
    seed: int,
    file: Path | None = None,
    progress: Progress | None = None,
    *,
    trust_remote_code: bool = False,
) -> list[Compared]:
    """Measures ``number`` layouts of the pack again, drawn with ``seed``; all of them where there are fewer.

    ``file`` is the audit file beside model and texts, for an audit that names them by path. Raises UsageError,
    CannotRun (other weights or texts than the pack's, or none), EvidenceMissing (an incomplete run).
    """
    if any(row["rule"] == COMPLETENESS and row["outcome"] == "open" for row in pack.report["findings"]):
        raise EvidenceMissing(
            f"{pack.folder}: found an incomplete run; expected a whole one, of which some can be taken out; finish the "
            "run, and seal it again"
        )
    prepared = prepare(_audit(pack, file), progress, trust_remote_code=trust_remote_code)
    _check_same(pack, prepared)
    answers = rows.read(pack.bytes("rows.parquet"))
    layouts = sorted({answer.layout for answer in answers if _drawable(answer)})
    drawn = set(random.Random(seed).sample(layouts, min(number, len(layouts))))
    taken = [answer for answer in answers if _drawable(answer) and answer.layout in drawn]
    with Store(pack.folder, in_memory=True) as store:
        store.add(answer for answer in answers if not (_drawable(answer) and answer.layout in drawn))
        known = measure(prepared, store, progress)
        again = [store.answer(answer) for answer in taken]
    assert known.evaluation is not None
    scored = {"evaluation": np.mean(known.evaluation.scored)}
    if known.selection is not None:
        every = (prepared.audit.selecting or prepared.audit.scoring).special_tokens == "every_window"
        scored["selection"] = np.float64(known.selection.tokens - 1 - every)
    return _compared(taken, again, scored, prepared.audit.model.dtype)


def _drawable(answer: Answer) -> bool:
    """Whether an answer is of a layout, under a text that is measured for layouts."""
    return answer.text in _TEXTS and " " not in answer.asked


def _compared(
    taken: Sequence[Answer], again: Sequence[Answer | None], scored: Mapping[str, np.floating], dtype: str
) -> list[Compared]:
    values: dict[Asked, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for before, after in zip(taken, again, strict=True):
        found, measured = values[before.text, before.asked, before.layout]
        found += before.values.tolist()
        measured += [] if after is None else after.values.tolist()
    compared = []
    for (text, quantity, layout), (found, measured) in values.items():
        if len(found) != len(measured):
            raise CannotRun(
                f"rows.parquet: found {len(found)} units of {quantity} of {layout}; expected {len(measured)}, as many "
                "as were measured here; use the model and texts of the pack"
            )
        per = float(scored[text]) if quantity == "nll" else 1.0
        means = (float(np.mean(found)) / per, float(np.mean(measured)) / per)
        compared.append(Compared(text, quantity, layout, *means, dtype))
    return compared


# --- the same model and texts ----------------------------------------------------------------------------------------


def _audit(pack: Pack, file: Path | None) -> Audit:
    judging = sealed.judging_of(pack)
    audit = sealed.audit_of(pack, judging)
    if file is not None:
        found = spec.check(file, [f"{key}={value}" for key, value in audit.overrides]).measured
        if sealed.resolved(sealed.portable(found)) | {"policy": None} != sealed.resolved(audit) | {"policy": None}:
            raise UsageError(f"{file}: found another audit than the pack's; expected the same; name its file")
        return found
    selecting = audit.selecting or audit.scoring
    if any(source.path for source in (audit.model, audit.scoring.source, audit.evaluation.source, selecting.source)):
        raise UsageError(
            f"{pack.place('audit.yaml')}: found a model or a text that is named by its path; expected to know where "
            "the path starts; name the audit file that lies beside them: --expect-audit FILE"
        )
    return audit


def _check_same(pack: Pack, prepared: Prepared) -> None:
    """CannotRun where weights, contracts or token ids at hand are not the pack's."""
    report, known = pack.report, prepared.facts
    pairs: list[tuple[str, Any, Any]] = [("the model's weights", known.model.digest, report["model"]["digest"])]
    if known.selection is not None:
        pairs += [(f"the {name} contract", digest, (report["contracts"][name] or {}).get("digest", digest))
                  for name, digest in contract_digests(prepared.audit, known).items()]  # fmt: skip
    for name, text in (("scoring", known.scoring), ("evaluation", known.evaluation)):
        pairs.append(
            (f"the {name} text's tokens", text and text.tokens_digest, report["contracts"][name]["tokens_digest"])
        )
    for what, found, expected in pairs:
        if found != expected:
            raise CannotRun(
                f"{what}: found digest {found} here; expected the pack's, {expected}; use the model and texts that "
                "were audited"
            )
