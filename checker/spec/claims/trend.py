"""Claims that a quantity grows or falls over the steps of a series."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from checker.spec.claims.kind import Kind, Numbers
from checker.spec.claims.over_steps import OverSteps, check, values

Quantity = Literal["gap", "kl_ratio", "replacement", "interchange", "baseline", "rank_correlation"]
SAID: dict[Quantity, str] = {
    "gap": "the gap between replacement and interchange",
    "kl_ratio": "the ratio of interchange to replacement",
    "replacement": "the replacement distance",
    "interchange": "the interchange distance",
    "baseline": "the loss of the whole model",
    "rank_correlation": "the rank correlation of the two protocols' block scores",
}
IN_NATS: tuple[Quantity, ...] = ("gap", "replacement", "interchange", "baseline")


@dataclass(frozen=True)
class Trend(OverSteps):
    """``quantity`` moves in ``direction`` between the two steps, by ``at_least`` so much where that is stated.

    Where it is ``monotone``, it does so between every two neighbouring steps as well.
    """

    kind: str = field(default="trend", init=False)
    quantity: Quantity
    direction: Literal["grows", "falls"]
    at_least: float = 0.0  # nats (the baseline: per token), or as the quantity has no unit
    monotone: bool = False

    @property
    def sign(self) -> float:
        """What makes a change in the claimed direction positive."""
        return 1.0 if self.direction == "grows" else -1.0


def _decided(claim: Trend) -> str:
    unit = " nats" if claim.quantity in IN_NATS else ""
    least = f" by at least {claim.at_least:g}{unit}" if claim.at_least else ""
    every = ", and between every two neighbouring steps" if claim.monotone else ""
    return f"{SAID[claim.quantity]} {claim.direction}{least} {claim.between}{every}"


def _numbers(claim: Trend) -> Numbers:
    yield "nats", claim.at_least or None


KIND = Kind(Trend, _decided, _numbers, check=check, values=values)
