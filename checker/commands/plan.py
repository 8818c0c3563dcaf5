"""Says what a run will take."""

from __future__ import annotations

from collections.abc import Sequence

from checker.checkpoints import model_facts
from checker.checkpoints.files import locate
from checker.commands.command import command, file_argument, set_option
from checker.commands.terminal import duration, tell
from checker.core.facts import Facts
from checker.selection.cost import matrix_rate, seconds
from checker.selection.plan import plan as planned_for
from checker.spec import load


@command("plan", "pruneaudit plan smollm2-135m")
@file_argument
@set_option
def plan(file: str, overrides: Sequence[str]) -> None:
    """Says what will be measured: layouts, block runs, tokens, memory, estimated time. Needs no weights."""
    checked = load.check(file, overrides)
    audit, facts = checked.audit, checked.facts
    if facts is None:
        facts = model_facts.facts(locate(audit.model), audit.model)  # raises, and says why it is not at hand
    planned = planned_for(audit, Facts(facts))
    cost = planned.cost
    rate = matrix_rate()
    rows = [
        ("model", f"{facts.source}, {facts.blocks} blocks, {facts.parameters:,} parameters"),
        ("layouts", f"{cost.layouts:,} (of which {planned.expected_sets} removal sets, about)"),
        ("block runs", f"{cost.block_runs:,} instead of {cost.block_runs_without_sharing:,} without shared prefixes"),
        ("tokens", f"{cost.tokens:,} through one block each"),
        ("memory", f"about {cost.memory / 2**30:.1f} GiB beside the program itself"),
        ("time", f"about {duration(seconds(cost, rate))} on this processor ({rate / 1e9:.0f} GFLOP/s measured now)"),
    ]
    for name, value in rows:
        tell(f"{name:<11}{value}")
    for note in (*planned.notes, *checked.notes):
        tell(f"note: {note}")
