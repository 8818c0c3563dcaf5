"""What a released checkpoint costs, as it is; beside it the removal that it was made from, and what came after."""

from __future__ import annotations

from checker.core.statistics import Estimate
from checker.core.words import numbered
from checker.judge.claims.decision import Decision, Figures, effective, span
from checker.judge.claims.stated_cost import allowed, held_against, statement_of
from checker.judge.figures.released import Released
from checker.spec.claims.removal import Removal


def decide(figures: Figures, claim: Removal) -> Decision:
    """Decided by the checkpoint's own cost, whatever it was made from."""
    known = figures.checkpoints.get(str(claim.checkpoint))
    cost, message = _cost(claim, known)
    if cost is None or known is None:
        return Decision(
            "open", f"{message}; {statement_of(claim)}", unit="percent", threshold=allowed(figures, claim)[1]
        )
    return held_against(figures, claim, cost, f"{message}{_beside(known)}")


def _cost(claim: Removal, known: Released | None) -> tuple[Estimate | None, str]:
    """The cost that the claim is about, and how a message begins with it; or why it is not known."""
    name = claim.checkpoint
    if known is None or known.own.base is None:
        return None, f"what {name} costs is not measured, run the audit to its end"
    if claim.measure == "bits_per_byte":
        cost, unit = known.bits_per_byte_increase, "bits per byte"
        units = "stretches of text" if known.fact.unlike else "windows"
        if cost is None:
            reason = known.fact.no_stretches or "a loss is not above 0, or it is not measured"
            return None, f"what {name} costs in bits per byte is not known: {reason}"
    else:
        cost, unit, units = known.increase, "perplexity", "windows"
        if known.fact.unlike:
            reason = f"the perplexity of {name} is not comparable with the model's: {known.fact.unlike}"
            return None, f"{reason}; claim `bits_per_byte_increase` in its place"
        if cost is None:
            return None, f"what {name} costs is not measured, run the audit to its end"
    return cost, f"{name}, as it is, costs {cost.value:+.2f} % {unit}{span(cost.interval)}{effective(cost, units)}"


def _beside(known: Released) -> str:
    """The raw removal's cost and what came after it, where both are known."""
    raw, after = known.raw_increase, known.healing
    if known.raw is None or raw is None or after is None or known.raw == known.model.unchanged:
        return ""
    blocks = numbered("block", known.raw.removed(known.model.blocks))
    stated = "" if known.found else " (as stated, not found in the weights)"
    changed = f"what came after it changed {after.value:+.2f} %{span(after.interval)}"
    return f"; removing {blocks}{stated} alone costs {raw.value:+.2f} %{span(raw.interval)}, and {changed}"
