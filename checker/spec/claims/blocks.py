"""Claims about how many blocks a checkpoint lacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from checker.core.records import Claim
from checker.core.words import counted
from checker.spec.claims.file_number import check_name
from checker.spec.claims.kind import Kind, Numbers


@dataclass(frozen=True)
class Blocks(Claim):
    """The checkpoint ``of`` has ``removed`` blocks less than the model."""

    kind: str = field(default="blocks", init=False)
    scope: Literal["contract", "population"] = field(default="contract", kw_only=True)
    of: str
    removed: int


def _decided(claim: Blocks) -> str:
    return f"the checkpoint {claim.of} has {counted(claim.removed, 'block')} less than the model"


def _numbers(claim: Blocks) -> Numbers:
    return (("blocks", claim.removed),)


KIND = Kind(Blocks, _decided, _numbers, check=check_name)
