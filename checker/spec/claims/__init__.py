"""One module per kind of claim: its record, what a schema cannot say of it, and what is decided of it in words.

Each module exposes ``KIND``. How a kind is decided stands in `judge/claims`.
"""

from __future__ import annotations

from typing import Any

from checker.core.records import Claim
from checker.spec.claims import (
    blocks,
    comparison,
    parameters,
    redundancy,
    regime,
    removal,
    size,
    speed,
    stable,
    task,
    transfer,
    trend,
)
from checker.spec.claims.kind import Kind, exactly_one
from checker.spec.document import Document, Where

_MODULES = (removal, redundancy, comparison, regime, parameters, size, blocks, speed, task, trend, transfer, stable)
KINDS: dict[str, Kind[Any]] = {module.KIND.record.kind: module.KIND for module in _MODULES}


def check(document: Document, where: Where) -> None:
    """Adds the mistakes of a claim that the schema cannot say."""
    kind = KINDS.get(document.sound(*where, "kind"))
    if kind is None:
        return
    if kind.one_of is not None:
        exactly_one(document, where, *kind.one_of)
    if kind.check is not None:
        kind.check(document, where)


def decided(claim: Claim) -> str:
    """What is decided of a claim, in words made of its keys alone, whatever it says."""
    return KINDS[claim.kind].decided(claim)


def claims(document: Document) -> tuple[Claim, ...]:
    """The claims of a document in which nothing is wrong."""
    places = document.items("claims")
    return tuple(KINDS[document.get(*where, "kind")].read(document, where) for where in places)
