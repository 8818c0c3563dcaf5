"""The one shape of a kind of claim, as claims of it are decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from checker.core.records import Claim
from checker.judge.claims.backing import Backing
from checker.judge.claims.decision import Decision, Figures

C = TypeVar("C", bound=Claim)
Range = tuple[float | None, float | None]


@dataclass(frozen=True)
class Kind(Generic[C]):
    """How claims of a kind are decided.

    ``allowed`` is the least and the most that a claim lets its figure be, in the figure's unit; None where there is no
    such end. ``backing`` is what a protocol, by its name, says of a claim. ``evidence`` names the class of the evidence
    that it rests on, where that need not be *measured*.
    """

    record: type[C]
    decide: Callable[[Figures, C], Decision]
    allowed: Callable[[Figures, C], Range] | None = None
    backing: Callable[[Figures, C, str], Backing] | None = None
    evidence: Callable[[Figures, C], str] | None = None
