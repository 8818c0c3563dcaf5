"""Claims about the number of a checkpoint's parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

from checker.spec.claims.file_number import FileNumber, check, numbers, said, values
from checker.spec.claims.kind import Kind


@dataclass(frozen=True)
class Parameters(FileNumber):
    """How many parameters, embeddings included, a checkpoint has, or has less than the model."""

    kind: str = field(default="parameters", init=False)


def _decided(claim: Parameters) -> str:
    return f"the checkpoint {claim.of} has {said(claim, 'parameters')}"


KIND = Kind(Parameters, _decided, numbers, check=check, values=values)
