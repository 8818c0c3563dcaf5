"""Claims that block scores, or the sets chosen by them, are alike at two steps of a series."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from checker.core.words import counted
from checker.spec.claims.kind import Kind, Numbers
from checker.spec.claims.over_steps import OverSteps, values
from checker.spec.claims.over_steps import check as check_steps
from checker.spec.document import Document, Where


@dataclass(frozen=True)
class Stable(OverSteps):
    """The scores of ``protocol`` rank blocks alike, or the sets chosen by them overlap, by ``at_least`` so much.

    Of ``scores`` it is Spearman's rank correlation, of ``sets`` Jaccard's index at ``budget``.
    """

    kind: str = field(default="stable", init=False)
    of: Literal["scores", "sets"]
    at_least: float
    budget: int | None = None  # of ``sets``


def _decided(claim: Stable) -> str:
    if claim.of == "scores":
        scores = f"the block scores of {claim.protocol}"
        return f"{scores} have a rank correlation of at least {claim.at_least:g} {claim.between}"
    sets = f"the sets of {counted(claim.budget or 0, 'block')} that {claim.protocol} chooses"
    return f"{sets} have a Jaccard index of at least {claim.at_least:g} {claim.between}"


def _numbers(claim: Stable) -> Numbers:
    if claim.budget is not None:
        yield "blocks", claim.budget


def _check(document: Document, where: Where) -> None:
    check_steps(document, where)
    of, budget = document.sound(*where, "of"), document.get(*where, "budget")
    if of == "sets" and budget is None:
        document.complain((*where, "of"), "sets of no budget", "the number of blocks in `budget`", "add it")
    elif of == "scores" and budget is not None:
        found, remedy = "`budget` beside scores, which have none", "take it away, or claim `of: sets`"
        document.complain((*where, "budget"), found, "it with `of: sets`", remedy)


KIND = Kind(Stable, _decided, _numbers, check=_check, values=values)
