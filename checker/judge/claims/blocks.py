"""Claims about how many blocks a checkpoint lacks, with the parameters that so many blocks are."""

from __future__ import annotations

from checker.core.facts import ModelFacts
from checker.core.records import Verdict
from checker.core.words import amount, counted
from checker.judge.claims.decision import Decision, Figures
from checker.judge.claims.file_number import UNREAD
from checker.judge.claims.kind import Kind
from checker.spec.claims.blocks import Blocks


def _decide(figures: Figures, claim: Blocks) -> Decision:
    model, checkpoint = figures.distances.evidence.facts.model, figures.checkpoints.get(claim.of)
    statement = f"claimed: {counted(claim.removed, 'block')} less"
    if checkpoint is None:
        return Decision("open", f"{UNREAD}; {statement}")
    own, gone = checkpoint.fact.model, model.blocks - checkpoint.fact.model.blocks
    verdict: Verdict = "supported" if gone == claim.removed else "contradicted"
    message = f"{claim.of} has {counted(own.blocks, 'block')} and the model {model.blocks}: {gone} less"
    if verdict == "contradicted" and gone > 0:
        message += f"; {_arithmetic(model, own, claim.removed)}"
    return Decision(verdict, f"{message}; {statement}", float(gone), None, "", float(claim.removed))


def _arithmetic(model: ModelFacts, own: ModelFacts, claimed: int) -> str:
    """What the difference in parameters is in blocks of the model's mean size."""
    block = sum(model.block_parameters) / model.blocks
    fewer = model.parameters - own.parameters
    found = f"the {amount(fewer)} parameters that are gone are {fewer / block:.3g} blocks of {amount(block)}"
    return f"{found}, and {counted(claimed, 'block')} would be {amount(claimed * block)}"


KIND = Kind(Blocks, _decide)
