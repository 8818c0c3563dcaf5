"""Claims that blocks can be removed at a stated cost, or that a checkpoint without them costs so much."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from checker.core.records import Claim, Interval
from checker.core.words import counted, enumerated
from checker.spec import checkpoints
from checker.spec.claims.file_number import precision
from checker.spec.claims.kind import Kind, Numbers, exactly_one, on_texts, rests_on, stated
from checker.spec.document import Document, Where

FROM_CHECKPOINT = "from-checkpoint"  # in an audit file, in the place of the layers
MEASURES: tuple[Literal["perplexity"], Literal["bits_per_byte"]] = ("perplexity", "bits_per_byte")


@dataclass(frozen=True)
class Removal(Claim):
    """What removing ``layers`` costs, or the blocks that ``method`` chooses at ``budget``.

    Where it names a ``checkpoint``, that one's own cost decides it.
    """

    kind: str = field(default="removal", init=False)
    layers: tuple[int, ...] | None = None
    method: str | None = None
    budget: int | None = None
    at_most: float | None = None  # percent; or else ``equals``
    equals: float | None = None  # percent
    within: float | None = None  # percent
    interval: Interval | None = None  # as published, in ``interval_unit``
    interval_unit: Literal["percent", "perplexity"] | None = None
    about: Literal["perplexity", "tasks"] = "perplexity"
    checkpoint: str | None = None  # the name of one of the audit's checkpoints
    measure: Literal["perplexity", "bits_per_byte"] = "perplexity"  # whose increase is claimed
    from_checkpoint: bool = False  # whether ``layers`` are those that the checkpoint lacks

    @property
    def blocks(self) -> tuple[int, ...]:
        return self.layers or ()

    @property
    def size(self) -> int | None:
        """How many blocks it removes; None where that is read off a checkpoint."""
        return self.budget if self.layers is None else len(self.layers)

    def stated(self) -> dict[str, Any]:
        keys = super().stated()
        if self.measure == "perplexity":
            del keys["measure"]
        if self.from_checkpoint:  # the layers are found out, and what they are found from is stated
            keys.pop("layers", None)
        return keys


def _values(document: Document, where: Where) -> dict[str, Any]:
    values = stated(document, where)
    measure = next(name for name in MEASURES if f"{name}_increase" in values)
    del values[f"{measure}_increase"]
    values |= _cost(document, (*where, f"{measure}_increase")) | {"measure": measure}
    if "checkpoint" in values:
        values["checkpoint"] = checkpoints.named_by(document, where)
        values["from_checkpoint"] = "method" not in values and values.get("layers", FROM_CHECKPOINT) == FROM_CHECKPOINT
    if values.get("layers") == FROM_CHECKPOINT:
        del values["layers"]
    # An interval speaks of texts like this one, a value alone of this one.
    if "equals" in values and "interval" not in values:
        values.setdefault("scope", "contract")
    return values


def _cost(document: Document, where: Where) -> dict[str, Any]:
    """A claimed increase, with what is left out filled in."""
    values = dict(document.get(*where))
    if "equals" in values:
        values.setdefault("within", precision(document, (*where, "equals")))
    if "interval" in values:
        values.setdefault("interval_unit", "percent")
    return values


def _decided(claim: Removal) -> str:
    blocks = ""
    if claim.layers is not None:
        blocks = f"block{'' if len(claim.layers) == 1 else 's'} {enumerated(sorted(claim.layers))}"
    elif claim.method is not None:
        blocks = f"the {counted(claim.budget or 0, 'block')} that {claim.method} chooses"
    subject = f"removing {blocks}"
    if claim.checkpoint is not None:
        lacks = "lacks" if claim.from_checkpoint else "is said to lack"
        subject = f"the checkpoint {claim.checkpoint}{f', which {lacks} {blocks},' if blocks else ''}"
    tasks = "leaves tasks as they are and " if claim.about == "tasks" else ""
    return f"{subject} {tasks}costs {_increase(claim)}, {on_texts(claim)}; {rests_on(claim)}"


def _increase(claim: Removal) -> str:
    measure = claim.measure.replace("_", " ")
    if claim.at_most is not None:
        return f"at most {claim.at_most:g} % {measure}"
    if claim.interval is None or claim.scope == "contract":
        return f"{claim.equals:g} % {measure} within {claim.within:g} %"
    low, high = claim.interval
    if claim.interval_unit == "percent":
        return f"{claim.equals:g} % perplexity, and all of its interval lies from {low:g} to {high:g} %"
    return f"{claim.equals:g} % perplexity, and all of its interval gives a perplexity from {low:g} to {high:g}"


def _numbers(claim: Removal) -> Numbers:
    yield "blocks", claim.budget if claim.layers is None else len(claim.layers)
    percents = [claim.at_most, claim.equals, claim.within]
    percents += claim.interval if claim.interval and claim.interval_unit == "percent" else ()
    yield from (("percent", number) for number in percents if number is not None)


def _check(document: Document, where: Where) -> None:
    _checkpoint(document, where)
    exactly_one(document, where, *(f"{name}_increase" for name in MEASURES))
    for name in MEASURES:
        cost = (*where, f"{name}_increase")
        if isinstance(document.get(*cost), dict):
            exactly_one(document, cost, "at_most", "equals")
            _interval(document, (*cost, "interval"))


def _checkpoint(document: Document, where: Where) -> None:
    """Adds the mistakes of what says which blocks are gone: one way of three, and a checkpoint where one is needed."""
    layers, checkpoint = (*where, "layers"), (*where, "checkpoint")
    if document.get(*checkpoint) is None or (document.get(*layers) and document.get(*where, "method")):
        exactly_one(document, where, "layers", "method")
    if document.doubted(checkpoint) or document.doubted(layers) or document.get(*checkpoint) is not None:
        return
    if document.get(*layers) == FROM_CHECKPOINT:
        found, remedy = f"`{FROM_CHECKPOINT}` and no `checkpoint`", "add `checkpoint`, or name the blocks"
        document.complain(layers, found, "the checkpoint that lacks them", remedy)
    per_byte = (*where, "bits_per_byte_increase")
    if document.get(*per_byte) is not None:
        found, remedy = "`bits_per_byte_increase` and no `checkpoint`", "claim `perplexity_increase`, which tells more"
        document.complain(per_byte, found, "a checkpoint, whose tokenizer may be another", remedy, key=per_byte)


def _interval(document: Document, where: Where) -> None:
    low, high = document.sound(*where) or (0, 0)
    if low > high:
        remedy = f"write [{high:g}, {low:g}]"
        document.complain(where, f"an interval from {low:g} to {high:g}", "its lower end first", remedy)


KIND = Kind(Removal, _decided, _numbers, check=_check, values=_values)
