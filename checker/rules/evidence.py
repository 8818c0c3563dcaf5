"""Rules about the evidence as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from checker.rules.shape import Case, Result, passed, rule, undecided


@rule(
    "evidence",
    level="error",
    why="What was not measured cannot be passed. An audit that skipped a part in silence would look like one that"
    " found nothing wrong.",
    remedy="Run the audit to its end: `pruneaudit run` measures only what is missing.",
    waive="Never: an incomplete run does not pass. Take out of the audit file what is not to be measured.",
)
def incomplete(case: Case) -> Iterator[Result]:
    """Part of the evidence that the audit asks for is missing."""
    for gap in case.gaps:
        yield undecided(gap)
    if not case.gaps:
        yield passed("everything the audit asks for is measured")
