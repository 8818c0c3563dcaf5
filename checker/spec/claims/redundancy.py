"""Claims that a pair of blocks is redundant, or that all pairs are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from checker.core.records import Claim
from checker.spec.claims.kind import Kind, stated
from checker.spec.document import Document, Where


@dataclass(frozen=True)
class Redundancy(Claim):
    """The distance of the ``pair``, or of each of the ``pairs``, lies below a bound."""

    kind: str = field(default="redundant", init=False)
    below: float  # nats
    pair: tuple[int, int] | None = None  # the lower block first
    pairs: Literal["all", "adjacent"] | None = None  # in the place of ``pair``

    @property
    def blocks(self) -> tuple[int, ...]:
        return self.pair or ()


def _values(document: Document, where: Where) -> dict[str, Any]:
    values = stated(document, where)
    return values | {"pair": sorted(values["pair"])} if "pair" in values else values


def _sentence(claim: Redundancy) -> str:
    if claim.pair is not None:
        pairs = "Blocks {} and {}".format(*claim.pair)
    else:
        pairs = "Any two neighbouring blocks" if claim.pairs == "adjacent" else "Any two blocks"
    return f"{pairs} are redundant: their distance is below {claim.below:g} nats."


KIND = Kind(Redundancy, _sentence, one_of=("pair", "pairs"), values=_values)
