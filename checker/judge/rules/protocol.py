"""Rules about the tests of redundancy that claims rest on."""

from __future__ import annotations

from collections.abc import Iterator

from checker.core.records import PROTOCOLS, MethodSettings
from checker.core.rule import Result, failed, not_applicable, passed, rule, undecided
from checker.judge.case import Case, each_claim
from checker.judge.claims.backing import PREDICTING_P, prediction_figure, predicts
from checker.judge.figures.form import PredictionRow
from checker.selection.arms import scored_by
from checker.spec.claims.redundancy import Redundancy
from checker.spec.claims.removal import Removal


@rule(
    "protocol",
    level="warning",
    why="Replacement and interchange can disagree several-fold on one checkpoint and lead to different prunings "
    '(Garcia, arXiv 2605.16234). "These layers are redundant" says nothing until it says by which test.',
    remedy="Add `protocol: interchange` or `protocol: replacement` to the claim, as its source tested it; where the "
    "source does not say, this finding is the answer.",
    waive="When the claim rests on a measured removal alone and calls no layer redundant.",
    nothing="no claim is about the redundancy or removal of layers",
)
@each_claim(Removal, Redundancy)
def undisclosed(_: Case, claim: Removal | Redundancy) -> Result:
    """A claim does not say which protocol it rests on."""
    if claim.protocol is None:
        return failed("found no protocol; expected the test that the claim rests on")
    return passed(f"rests on {claim.protocol}")


@rule(
    "protocol",
    level="error",
    why="A claim that rests on a test which was not made has no ground.",
    remedy="Add the protocol to `protocols:` and run the audit.",
    waive="Never; take the claim out instead.",
    nothing="no claim names a protocol",
)
@each_claim(Removal, Redundancy)
def not_measured(case: Case, claim: Removal | Redundancy) -> Result | None:
    """A claim rests on a protocol that is not measured."""
    if claim.protocol is None:
        return None
    if reason := case.nothing_compared(MethodSettings(claim.protocol, ())):
        return undecided(f"{claim.protocol}: {reason}")
    if claim.protocol in case.figures["protocols"]:
        return passed(f"{claim.protocol} is measured")
    return undecided(f"found a claim resting on {claim.protocol}; expected it to be measured")


@rule(
    "protocol",
    level="warning",
    why="Neither protocol measures removability. Whether a protocol's scores go with the cost of deleting blocks "
    "differs from checkpoint to checkpoint; where they do not, the protocol is no reason to remove anything.",
    remedy="Choose layers by a method whose scores predict removal cost here (the report's table of methods), or "
    "rest the claim on the measured cost alone.",
    waive="When the claim's protocol is only reported, and the removal was chosen in another way.",
    nothing="the audit measures neither protocol",
)
def does_not_predict(case: Case) -> Iterator[Result]:
    """A protocol's scores do not go with the cost of deleting single blocks on this checkpoint."""
    rows = {row["method"]: row for row in case.figures["prediction"]}
    for protocol in PROTOCOLS:
        reason = case.nothing_compared(MethodSettings(protocol, ()))
        if reason and protocol in case.audit.protocols:
            yield not_applicable(f"{protocol}: {reason}")
        elif protocol in rows:
            yield _predicts(protocol, rows[protocol])
        elif protocol in case.audit.protocols:
            yield undecided(f"{protocol}: its scores are not measured; run the audit")


def _predicts(protocol: str, row: PredictionRow) -> Result:
    answer, smallest = predicts(row), row["smallest_p"]
    if row["p"] is None or smallest is None:
        return undecided(
            f"{protocol}: the scores and single deletions of {row['blocks']} blocks are known; expected at least 4, "
            "and not all equal, for a rank correlation"
        )
    sentence = f"{protocol}: {prediction_figure(row)}"
    if answer == "yes":
        return passed(sentence)
    if smallest > PREDICTING_P:
        return undecided(f"{sentence}; with so few blocks no p below {smallest:.2g} can be reached")
    return failed(f"{sentence}; expected a p of at most {PREDICTING_P}")


@rule(
    "protocol",
    level="note",
    why="Replacement gives two numbers per pair, and how they become one score per block decides which blocks are "
    "chosen. The published definition takes the larger (Garcia, arXiv 2605.16234); who could run in a block's place "
    "(`into`) follows the cost of deleting it more closely, and is used where nothing is said.",
    remedy="Say `protocols: {replacement: {direction: ...}}`: `max` as published, `into`, or `mean`.",
    waive="When no result that is published rests on the order in which replacement ranks blocks.",
    nothing="the audit does not measure replacement",
)
def direction_undeclared(case: Case) -> Result | None:
    """The audit relies on replacement and does not declare how its two directions become one score."""
    methods = {*scored_by(case.audit), *(claim.protocol for claim in case.audit.claims)}
    if "replacement" not in methods:
        return None
    if "direction" in case.audit.protocols.get("replacement", {}):
        return passed(f"blocks are scored by {case.audit.direction}, as declared")
    return failed(
        f"protocols.replacement: found no `direction`; expected into, max or mean; {case.audit.direction} is used"
    )
