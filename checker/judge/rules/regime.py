"""Rules about what the two protocols say together."""

from __future__ import annotations

from checker.core.records import PROTOCOLS
from checker.core.rule import Result, failed, not_applicable, passed, rule, undecided
from checker.judge.case import Case, each_claim
from checker.spec.claims.comparison import Comparison
from checker.spec.claims.redundancy import Redundancy
from checker.spec.claims.regime import Regime
from checker.spec.claims.removal import Removal

_DISAGREE = ("divergent", "gap", "reversed")


@rule(
    "regime",
    level="warning",
    why="Where the protocols diverge, a claim that rests on one of them would come out differently under the other "
    "(Garcia, arXiv 2605.16234). The reader has to be told both.",
    remedy="State both protocols' distances in the claim, or rest it on the measured cost of the removal.",
    waive="When the claim's text itself says that the other protocol disagrees.",
    nothing="no claim rests on one of the two protocols",
)
@each_claim(Removal, Redundancy)
def divergent_on_one_protocol(case: Case, claim: Removal | Redundancy) -> Result | None:
    """A claim rests on one protocol where the two disagree."""
    if claim.protocol not in PROTOCOLS:
        return None
    regime: str = case.figures["regime"]["metric"]["name"]
    where = "the checkpoint"
    if isinstance(claim, Redundancy) and claim.pair is not None:
        i, j = sorted(claim.pair)
        where = f"the pair ({i}, {j})"
        regimes = {(row["i"], row["j"]): row["regime"] for row in case.figures["pairs"]}
        regime = regimes.get((i, j), "not measured")
    alone = f"and the claim rests on {claim.protocol} alone"
    reason = case.facts.model.nothing_comparable(1) if where == "the checkpoint" else None
    if reason or regime == "not_comparable":
        why = reason or "its blocks are not comparable, because their parameters differ in name or shape"
        return not_applicable(f"{where} has no regime: {why}")
    if regime in ("open", "not measured"):
        return undecided(f"the regime of {where} is {regime}, {alone}")
    sentence = f"{where} is in regime {regime}, {alone}"
    if regime in _DISAGREE:
        return failed(f"found that {sentence}; expected both protocols where they disagree")
    return passed(sentence)


@rule(
    "regime",
    level="warning",
    why="That the distances of the two protocols (Garcia, arXiv 2605.16234) diverge does not say which of them chooses "
    "the cheaper removal: a ratio below 0.5 is common even in untrained models, and both may choose the same blocks. "
    "Only the measured removals of both show an advantage.",
    remedy="Rest the claim on the removal regime at its budget, or claim the divergence alone (`metric: divergent`).",
    waive="When the claim is kept to show that the distances and the removals disagree.",
    nothing="no claim says that one of the two protocols chooses the cheaper removal",
)
@each_claim(Regime, Comparison)
def divergence_for_advantage(case: Case, claim: Regime | Comparison) -> Result | None:
    """One protocol's removals are claimed to be cheaper where only the distances of the two diverge."""
    safer = _safer(claim)
    if safer is None:
        return None
    metric = case.figures["regime"]["metric"]["name"]
    regimes: dict[int | None, str] = {row["budget"]: row["regime"] for row in case.figures["regime"]["removal"]}
    removal = regimes.get(claim.budget, "not measured")
    sentence = f"found the distances in regime {metric} and the removals at budget {claim.budget} in regime {removal}"
    if removal == safer:
        return passed(f"{sentence}: the removals themselves show it")
    if metric not in (*_DISAGREE, "open"):
        return passed(f"{sentence}: there is no divergence that could be taken for it")
    if metric == "open" or removal in ("open", "not measured"):
        return undecided(f"{sentence}; expected {safer} of the removals: the distances do not show it")
    return failed(f"{sentence}; expected {safer} of the removals: a divergence of distances is no advantage")


def _safer(claim: Regime | Comparison) -> str | None:
    """The protocol that a claim says chooses the cheaper removal of the two, as a removal regime; None for others."""
    if isinstance(claim, Comparison):
        return f"{claim.better}-safer" if {claim.better, claim.worse} == set(PROTOCOLS) else None
    return claim.removal if (claim.removal or "").endswith("-safer") else None
