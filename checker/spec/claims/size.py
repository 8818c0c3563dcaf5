"""Claims about the size of the files that hold a checkpoint's weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from checker.spec.claims.file_number import FileNumber, check, numbers, said, values
from checker.spec.claims.kind import Kind


@dataclass(frozen=True)
class Size(FileNumber):
    """How many bytes of weights on disk, a checkpoint has, or has less than the model."""

    kind: str = field(default="size", init=False)


def _decided(claim: Size) -> str:
    return f"the checkpoint {claim.of} has {said(claim, 'bytes of weights on disk')}"


KIND = Kind(Size, _decided, numbers, check=check, values=values)
