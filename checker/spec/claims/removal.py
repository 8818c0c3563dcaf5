"""Claims that blocks can be removed at a stated cost."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Literal, Self

from checker.core.records import Claim, Interval
from checker.core.words import counted, enumerated
from checker.spec.claims.kind import Kind, Numbers, exactly_one, on_texts, rests_on, stated
from checker.spec.document import Document, Where

FROM_CHECKPOINT = "from-checkpoint"  # in an audit file, in the place of the layers


@dataclass(frozen=True)
class Removal(Claim):
    """What removing ``layers`` costs, or the blocks that ``method`` chooses at ``budget``."""

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
    checkpoint: str | None = None  # folder of the pruned model, absolute once loaded
    from_checkpoint: bool = False  # whether ``layers`` are those that the checkpoint lacks

    @property
    def blocks(self) -> tuple[int, ...]:
        return self.layers or ()

    @property
    def size(self) -> int | None:
        """How many blocks it removes; None where that is read off a checkpoint."""
        return self.budget if self.layers is None else len(self.layers)

    def without_folders(self) -> Self:
        return replace(super().without_folders(), checkpoint=self.checkpoint and PurePath(self.checkpoint).name)

    def stated(self) -> dict[str, Any]:
        keys = super().stated()
        if self.from_checkpoint:  # the layers are found out, and what they are found from is stated
            keys.pop("layers", None)
        return keys


def _values(document: Document, where: Where) -> dict[str, Any]:
    values = stated(document, where) | _cost(document, (*where, "perplexity_increase"))
    del values["perplexity_increase"]
    if values.get("layers") == FROM_CHECKPOINT:
        del values["layers"]
        values["from_checkpoint"] = True
    if "checkpoint" in values:
        values["checkpoint"] = str(document.resolve((*where, "checkpoint"), values["checkpoint"]))
    # An interval speaks of texts like this one, a value alone of this one.
    if "equals" in values and "interval" not in values:
        values.setdefault("scope", "contract")
    return values


def _cost(document: Document, where: Where) -> dict[str, Any]:
    """A claimed increase of perplexity, with what is left out filled in."""
    values = dict(document.get(*where))
    if "equals" in values:
        values.setdefault("within", _precision(document, (*where, "equals")))
    if "interval" in values:
        values.setdefault("interval_unit", "percent")
    return values


def _precision(document: Document, where: Where) -> float:
    """Half a unit of the last digit that a number was written with: 0.05 for 10.2, 0.005 for 10.20."""
    written = Decimal(document.written.get(where, repr(document.get(*where))).replace("_", ""))
    return float(Decimal(5).scaleb(int(written.as_tuple().exponent) - 1))


def _decided(claim: Removal) -> str:
    blocks = ""
    if claim.layers is not None:
        blocks = f"block{'' if len(claim.layers) == 1 else 's'} {enumerated(sorted(claim.layers))}"
    elif claim.method is not None:
        blocks = f"the {counted(claim.budget or 0, 'block')} that {claim.method} chooses"
    if claim.checkpoint is not None and claim.from_checkpoint:
        known = f", {blocks}," if blocks else ""
        blocks = f"the blocks that {PurePath(claim.checkpoint).name} lacks{known}"
    tasks = "leaves tasks as they are and " if claim.about == "tasks" else ""
    return f"removing {blocks} {tasks}costs {_increase(claim)}, {on_texts(claim)}; {rests_on(claim)}"


def _increase(claim: Removal) -> str:
    if claim.at_most is not None:
        return f"at most {claim.at_most:g} % perplexity"
    if claim.interval is None or claim.scope == "contract":
        return f"{claim.equals:g} % perplexity within {claim.within:g} %"
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
    cost = (*where, "perplexity_increase")
    if isinstance(document.get(*cost), dict):
        exactly_one(document, cost, "at_most", "equals")
        _interval(document, (*cost, "interval"))


def _checkpoint(document: Document, where: Where) -> None:
    """Adds the mistakes of a removal that is read off a checkpoint: one has to be named, beside a model like it."""
    layers, checkpoint = (*where, "layers"), (*where, "checkpoint")
    if document.doubted(checkpoint) or document.doubted(layers):
        return
    if document.get(*checkpoint) is None:
        if document.get(*layers) == FROM_CHECKPOINT:
            found, remedy = f"`{FROM_CHECKPOINT}` and no `checkpoint`", "add `checkpoint`, or name the blocks"
            document.complain(layers, found, "the folder of the pruned model", remedy)
        return
    kind = document.sound("model", "kind")
    if kind in ("gguf", "package"):
        found = f"a checkpoint beside a model of kind {kind}"
        expected = "a model in safetensors, whose values can be compared: kind hub or directory"
        remedy = "audit the model that was pruned, or take `checkpoint` away"
        document.complain(checkpoint, found, expected, remedy, key=checkpoint)


def _interval(document: Document, where: Where) -> None:
    low, high = document.sound(*where) or (0, 0)
    if low > high:
        remedy = f"write [{high:g}, {low:g}]"
        document.complain(where, f"an interval from {low:g} to {high:g}", "its lower end first", remedy)


KIND = Kind(Removal, _decided, _numbers, ("layers", "method"), _check, _values)
