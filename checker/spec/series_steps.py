"""What is stored of the steps of a series, and which choices of which steps are removed at which others."""

from __future__ import annotations

from checker.core.records import Audit, Series
from checker.spec.claims.transfer import Transfer

STEP_RECORD = "step"  # of a step's weights: digests and norms of its blocks
STOPPED = "step stopped"  # the record of a step's source that says why it could not be measured; empty once it was


def transfers(audit: Audit, series: Series) -> list[tuple[int, int]]:
    """The steps whose choices are removed at another, each with that other: every one at the last, and as claimed."""
    numbers = [step.step for step in series.steps]
    wanted = [(number, numbers[-1]) for number in numbers[:-1]]
    wanted += [(claim.start, claim.end) for claim in audit.claims_of(Transfer) if claim.series == series.name]
    return [pair for pair in dict.fromkeys(wanted) if set(pair) <= set(numbers)]
