"""Claims -> verdicts: decided on measured figures, on the unfavourable end, with what backs them (design, 3.5).

One module per kind of claim exposes ``KIND``. What a claim of the kind states stands in `spec/claims`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from checker.core.records import PROTOCOLS, Claim
from checker.core.words import numbered
from checker.judge.claims import (
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
from checker.judge.claims.backing import Backing
from checker.judge.claims.decision import Decision, Figures, sharing_one_error_rate
from checker.judge.claims.kind import Kind
from checker.judge.figures.costs import error_rate
from checker.judge.figures.distances import pair_of
from checker.judge.form import BoundsRow, ClaimRow
from checker.spec import claims as stated

_MODULES = (removal, redundancy, comparison, regime, parameters, size, blocks, speed, task, trend, transfer, stable)
KINDS: dict[type[Claim], Kind[Any]] = {module.KIND.record: module.KIND for module in _MODULES}


def decide(figures: Figures, claims: Sequence[Claim]) -> list[ClaimRow]:
    """One row per claim: its verdict, the figure it rests on, and which protocol backs it."""
    decisions = {claim.id: _decision(figures, claim) for claim in claims}
    decisions |= sharing_one_error_rate(decisions, error_rate(figures.audit.statistics))
    return [_row(figures, claim, decisions[claim.id]) for claim in claims]


def _decision(figures: Figures, claim: Claim) -> Decision:
    """Open where a claim names a block that the model does not have: what is left of it would be another claim."""
    missing, blocks = claim.beyond(figures.costs.blocks), figures.costs.blocks
    if not missing:
        return KINDS[type(claim)].decide(figures, claim)
    return Decision("open", f"found {numbered('block', missing)}; expected blocks from 0 to {blocks - 1}")


def _row(figures: Figures, claim: Claim, decision: Decision) -> ClaimRow:
    return {
        "id": claim.id,
        "says": claim.says,
        "decided": stated.decided(claim),
        "kind": claim.kind,
        "scope": claim.scope,
        "protocol": claim.protocol,
        "verdict": decision.verdict,
        "evidence": "measured" if (evidence := KINDS[type(claim)].evidence) is None else evidence(figures, claim),
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
    allowed = KINDS[type(claim)].allowed
    if allowed is None:
        return None
    lower, upper = allowed(figures, claim)
    return {"lower": lower, "upper": upper}


def _backing(figures: Figures, claim: Claim, protocol: str) -> Backing:
    if claim.beyond(figures.costs.blocks):
        return Backing("open", f"{protocol} has no distance of a block that the model does not have")
    backing = KINDS[type(claim)].backing
    if backing is None:
        return Backing("na", f"a {claim.kind} claim says nothing that a protocol could back")
    return backing(figures, claim, protocol)
