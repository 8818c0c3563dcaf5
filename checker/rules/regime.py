"""Rules about what the two protocols say together."""

from __future__ import annotations

from collections.abc import Iterator

from checker.methods import PROTOCOLS
from checker.records import Claim
from checker.rules.shape import Case, Result, failed, not_applicable, passed, rule, undecided

_DISAGREE = ("divergent", "gap", "reversed")


@rule(
    "regime",
    level="warning",
    why="Where the protocols diverge, a claim that rests on one of them would come out differently under the other "
    "(Garcia, arXiv 2605.16234). The reader has to be told both.",
    remedy="State both protocols' distances in the claim, or rest it on the measured cost of the removal.",
    waive="When the claim's text itself says that the other protocol disagrees.",
)
def divergent_on_one_protocol(case: Case) -> Iterator[Result]:
    """A claim rests on one protocol where the two disagree."""
    claims = [claim for claim in case.claims("removal", "redundant") if claim.protocol in PROTOCOLS]
    for claim in claims:
        yield _one_claim(case, claim)
    if not claims:
        yield not_applicable("no claim rests on one of the two protocols")


def _one_claim(case: Case, claim: Claim) -> Result:
    found, where = case.figures["regime"]["metric"]["name"], "the checkpoint"
    if claim.pair is not None:
        i, j = sorted(claim.pair)
        rows = [row for row in case.figures["pairs"] if (row["i"], row["j"]) == (i, j)]
        found, where = (rows[0]["regime"] if rows else "not measured"), f"the pair ({i}, {j})"
    told = f"{where} is in regime {found}, and the claim rests on {claim.protocol} alone"
    if found in _DISAGREE:
        return failed(f"found that {told}; expected both protocols where they disagree", claim.id)
    if found in ("open", "not measured", "not_comparable"):
        word = found.replace("_", " ")
        return undecided(f"the regime of {where} is {word}, and the claim rests on {claim.protocol} alone", claim.id)
    return passed(told, claim.id)
