"""Rules about the audit file itself."""

from __future__ import annotations

from collections.abc import Iterator

from checker.core.records import AnyAudit
from checker.core.rule import AnyCase, Result, failed, passed, rule
from checker.core.words import counted, numbered
from checker.judge.case import Case


@rule(
    "spec",
    level="note",
    why="The audit file is what a reader runs again. What was set on the command line is not in it, and the file alone "
    "gives other numbers. Choices that no document shows are how a result comes to depend on whoever made it "
    "(Simmons, Nelson and Simonsohn 2011).",
    remedy="Write the values into the audit file before publishing, and run it without `--set`.",
    waive="When the command line is published beside the audit file.",
)
def values_overridden(case: AnyCase[AnyAudit]) -> Iterator[Result]:
    """Values of the audit file were changed on the command line."""
    overrides = case.audit.overrides
    if overrides:
        settings = ", ".join(f"{key}={value}" for key, value in overrides)
        yield failed(f"found {settings} set on the command line; expected the audit as its file says it")
    else:
        yield passed("the audit is as its file says it")


@rule(
    "spec",
    level="note",
    why="An audit that claims nothing passes whatever is measured: only a statement fixed before measuring can turn "
    "out wrong.",
    remedy="Write down, as `claims:`, what is going to be published about the model.",
    waive="When the audit only measures, and nothing is published that rests on it.",
)
def no_claims(case: Case) -> Iterator[Result]:
    """The audit makes no claims."""
    number = len(case.audit.claims)
    if number:
        yield passed(f"the audit makes {counted(number, 'claim')}")
    else:
        yield failed("claims: found none; expected at least one statement that measuring can contradict")


@rule(
    "spec",
    level="error",
    why="A claim about a block that is not there was written about another model, or counts blocks from 1. `run` "
    "refuses such a file; where evidence is judged, the file may have been changed since.",
    remedy="Correct the numbers: blocks count from 0. Or name the model that the claim is about.",
    waive="Never; correct the audit file.",
)
def blocks_beyond_model(case: Case) -> Iterator[Result]:
    """The audit names blocks that the model does not have."""
    blocks = case.facts.model.blocks
    expected = f"expected blocks from 0 to {blocks - 1}"
    claimed = {claim.id: missing for claim in case.audit.claims if (missing := claim.beyond(blocks))}
    for claim, missing in claimed.items():
        yield failed(f"found {numbered('block', missing)}; {expected}", claim)
    selections = case.audit.selections
    constraining = {block for selection in selections for block in (*selection.exclude, *(selection.region or ()))}
    selected = sorted(block for block in constraining if block >= blocks)
    if selected:
        yield failed(f"selection: found {numbered('block', selected)}; {expected}")
    if not claimed and not selected:
        yield passed(f"every block that the audit names is one of the model's {blocks}")
