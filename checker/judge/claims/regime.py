"""Claims that name a regime, of the distances or of removals."""

from __future__ import annotations

from dataclasses import replace

from checker.judge.claims.decision import Decision, Figures, span
from checker.judge.claims.kind import Kind
from checker.spec.claims.regime import Regime


def _decide(figures: Figures, claim: Regime) -> Decision:
    return _metric_regime(figures, claim) if claim.metric is not None else _removal_regime(figures, claim)


def _metric_regime(figures: Figures, claim: Regime) -> Decision:
    statement = f"claimed: {claim.metric}"
    row = figures.regime["metric"]
    if reason := figures.distances.evidence.facts.model.nothing_comparable(1):
        return Decision("open", f"there is no metric regime, which is of adjacent blocks: {reason}; {statement}")
    if row["ratio"] is None:
        means = "the geometric means of the two distances have no ratio: not all are measured, or one is not above 0"
    else:
        means = (
            f"kl_ratio of the geometric means over {row['pairs']} adjacent pairs {row['ratio']:.3g}"
            f"{span(row['interval'])}, replacement {row['replacement_mean']:.3g} nats"
        )
    message = f"metric regime: found {row['name']} ({means}); {statement}"
    if row["name"] == "open":
        message += "; the prompts do not decide it"
    return _same(claim.metric, row["name"], Decision("open", message, row["ratio"], row["interval"]))


def _removal_regime(figures: Figures, claim: Regime) -> Decision:
    statement = f"claimed: {claim.removal} at budget {claim.budget}"
    row = next((row for row in figures.regime["removal"] if row["budget"] == claim.budget), None)
    if row is None:
        reason = "there is no removal regime at a budget where the audit does not run both protocols as methods"
        return Decision("open", f"{reason}; {statement}", unit="nats")
    message = f"removal regime: found {row['regime']}"
    if row["difference"] is not None:
        message += (
            f" (replacement's arm minus interchange's {row['difference']:+.3g} nats per token{span(row['interval'])}, "
            f"margin {row['margin']:g})"
        )
    message += f"; {statement}"
    if row["regime"] == "open":
        message += f"; {row['sentence']}"
    decision = Decision("open", message, row["difference"], row["interval"], "nats", row["margin"])
    return _same(claim.removal, row["regime"], decision)


def _same(claimed: str | None, measured: str, decision: Decision) -> Decision:
    if measured == "open":
        return decision
    return replace(decision, verdict="supported" if measured == claimed else "contradicted")


KIND = Kind(Regime, _decide)
