"""Claims -> verdicts: decided on measured figures, on the unfavourable end, with what backs them (design, 3.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from checker.core.records import PROTOCOLS, Claim
from checker.core.words import numbered
from checker.judge.claims.backing import Backing, of_pairs, of_removal
from checker.judge.claims.comparison import comparison, sharing_one_error_rate
from checker.judge.claims.decision import Decision, Figures, claimed_range
from checker.judge.claims.redundancy import claimed_pairs, redundancy
from checker.judge.claims.regime import regime
from checker.judge.claims.removal import claimed_sets, removal
from checker.judge.claims.transfer import transfer
from checker.judge.figures.costs import error_rate
from checker.judge.figures.distances import pair_of
from checker.judge.form import BoundsRow, ClaimRow


def decide(figures: Figures, claims: Sequence[Claim]) -> list[ClaimRow]:
    """One row per claim: its verdict, the figure it rests on, and which protocol backs it."""
    decisions = {claim.id: _beyond_model(figures, claim) or _DECIDERS[claim.kind](figures, claim) for claim in claims}
    decisions |= sharing_one_error_rate(decisions, error_rate(figures.audit.statistics))
    return [_row(figures, claim, decisions[claim.id]) for claim in claims]


def _beyond_model(figures: Figures, claim: Claim) -> Decision | None:
    """Open where a claim names a block that the model does not have: what is left of it would be another claim."""
    missing, blocks = claim.beyond(figures.costs.blocks), figures.costs.blocks
    named = numbered("block", missing)
    return Decision("open", f"found {named}; expected blocks from 0 to {blocks - 1}") if missing else None


def _row(figures: Figures, claim: Claim, decision: Decision) -> ClaimRow:
    return {
        "id": claim.id,
        "says": claim.says,
        "kind": claim.kind,
        "scope": claim.scope,
        "protocol": claim.protocol,
        "verdict": decision.verdict,
        "evidence": "measured",
        "message": decision.message,
        "location": claim.location.place,
        "further_units": decision.further_units,
        "value": decision.value,
        "interval": pair_of(decision.interval),
        "unit": decision.unit,
        "threshold": decision.threshold,
        "range": _range(figures, claim),
        "counterexamples": list(decision.counterexamples),
        "protocols": {protocol: _backing(figures, claim, protocol).row() for protocol in PROTOCOLS},
    }


def _range(figures: Figures, claim: Claim) -> BoundsRow | None:
    """What the claim lets its figure be; None where it names no bound."""
    lower, upper = claimed_range(claim, figures.costs.perplexity(figures.costs.unchanged))
    return None if lower is None and upper is None else {"lower": lower, "upper": upper}


def _backing(figures: Figures, claim: Claim, protocol: str) -> Backing:
    if claim.beyond(figures.costs.blocks):
        return Backing("open", f"{protocol} has no distance of a block that the model does not have")
    if claim.kind == "redundant" and claim.below is not None:
        return of_pairs(figures.distances, protocol, claimed_pairs(figures, claim), claim.below)
    if claim.kind == "removal":
        sets = claimed_sets(figures, claim)
        if sets:
            layers = [removal.layers for removal in sets]
            return of_removal(figures.distances, figures.prediction, protocol, layers)
        return Backing("open", f"{protocol} cannot back a removal whose blocks are not known")
    return Backing("na", f"a {claim.kind} claim says nothing that a protocol could back")


_DECIDERS: dict[str, Callable[[Figures, Claim], Decision]] = {
    "removal": removal,
    "redundant": redundancy,
    "comparison": comparison,
    "regime": regime,
    "transfer": transfer,
}
