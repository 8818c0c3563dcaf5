"""Says what a run will take."""

from __future__ import annotations

from collections.abc import Sequence

from checker.checkpoints import model_facts
from checker.checkpoints.files import locate
from checker.commands.command import command, file_argument, set_option
from checker.commands.terminal import duration, tell
from checker.core.errors import CannotRun
from checker.core.facts import Facts, ModelFacts
from checker.core.words import counted
from checker.selection.cost import Cost, matrix_rate, seconds
from checker.selection.plan import plan as planned_for
from checker.spec import checkpoint_facts, load
from checker.spec.series_steps import AtHand, warnings
from checker.spec.series_steps import at_hand as steps_at_hand


@command("plan", "pruneaudit plan smollm2-135m")
@file_argument
@set_option
def plan(file: str, overrides: Sequence[str]) -> None:
    """Says what will be measured: layouts, block runs, tokens, memory, estimated time. Needs no weights."""
    checked = load.check(file, overrides)
    audit, facts = checked.audit, checked.facts
    if facts is None:
        facts = model_facts.facts(locate(audit.model), audit.model)  # raises, and says why it is not at hand
    checkpoints = checkpoint_facts.headers(audit)
    at_hand = {name: found for name, found in checkpoints.items() if isinstance(found, ModelFacts)}
    planned = planned_for(audit, Facts(facts), at_hand)
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
    rows += [
        ("checkpoint", f"{name}, {_taken(found, planned.checkpoints.get(name), rate)}")
        for name, found in checkpoints.items()
    ]
    steps = [steps_at_hand(series) for series in audit.series]
    rows += [("series", f"{each.series.name}, {_of_steps(each, planned.own, rate)}") for each in steps]
    for name, value in rows:
        tell(f"{name:<11}{value}")
    absent = [f"checkpoint {name}: {found}" for name, found in checkpoints.items() if isinstance(found, CannotRun)]
    of_series = [note for each in steps for note in (*each.notes(), *warnings(audit, each))]
    for note in dict.fromkeys((*planned.notes, *checked.notes, *absent, *of_series)):
        tell(f"note: {note}")


def _of_steps(known: AtHand, own: Cost, rate: float) -> str:
    """What a series takes, which is not in the totals: at each step about what the model itself takes."""
    steps = known.series.steps
    bytes_at_hand = sum(facts.weight_bytes or 0 for facts in known.facts.values())
    return (
        f"{counted(len(steps), 'step')} from {steps[0].step} to {steps[-1].step}, {len(known.files)} at hand "
        f"({bytes_at_hand / 2**30:.1f} GiB of weights): about {own.block_runs:,} block runs and "
        f"{duration(seconds(own, rate))} at each, {duration(len(steps) * seconds(own, rate))} in all"
    )


def _taken(found: ModelFacts | CannotRun, cost: Cost | None, rate: float) -> str:
    """What a checkpoint takes, which is in the totals as well."""
    if cost is None or isinstance(found, CannotRun):
        return "not at hand: what it takes is not counted"
    return (
        f"{found.blocks} blocks, {found.parameters:,} parameters: {cost.block_runs:,} block runs, about "
        f"{cost.memory / 2**30:.1f} GiB, about {duration(seconds(cost, rate))}"
    )
