"""Claims that a pair of blocks is redundant, or that all pairs are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from checker.core.records import Claim
from checker.spec.claims.kind import Kind, Numbers, on_texts, rests_on, stated
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


def _decided(claim: Redundancy) -> str:
    pairs = "any two neighbouring blocks" if claim.pairs == "adjacent" else "any two blocks"
    if claim.pair is not None:
        pairs = "blocks {} and {}".format(*claim.pair)
    under = f"under {claim.protocol}" if claim.protocol else "under replacement and under interchange"
    distance = f"the distance of {pairs} is below {claim.below:g} nats {under}"
    return f"{distance}, {on_texts(claim)}; {rests_on(claim)}"


def _numbers(claim: Redundancy) -> Numbers:
    return ("nats", claim.below), ("blocks", 2)


KIND = Kind(Redundancy, _decided, _numbers, one_of=("pair", "pairs"), values=_values)
