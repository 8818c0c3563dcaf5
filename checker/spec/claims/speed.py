"""Claims that a checkpoint is so many times as fast as the audited model."""

from __future__ import annotations

from dataclasses import dataclass, field

from checker.core.records import Claim
from checker.core.timings import Phase
from checker.spec.claims.file_number import check_name
from checker.spec.claims.kind import Kind, Numbers

DOING: dict[Phase, str] = {"prefill": "reads a prompt", "decode": "decodes"}


@dataclass(frozen=True)
class Speed(Claim):
    """The checkpoint ``of`` makes ``at_least`` so many times the model's tokens per second, on the machine at hand."""

    kind: str = field(default="speed", init=False)
    of: str
    phase: Phase
    at_least: float  # times


def _decided(claim: Speed) -> str:
    times = f"at least {claim.at_least:g} times as fast as the model"
    return f"the checkpoint {claim.of} {DOING[claim.phase]} {times}, on the machine that timed the two in turns"


def _numbers(claim: Speed) -> Numbers:
    return ("times", claim.at_least), ("percent", 100.0 * (claim.at_least - 1.0))  # as in "20 % faster"


KIND = Kind(Speed, _decided, _numbers, check=check_name)
