"""What is released: the audited model, the raw removal, and the checkpoint that was made of it, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from checker.core.timings import MachineFacts
from checker.core.words import counted, enumerated, listed, numbered
from checker.judge.figures.form import (
    CheckpointRow,
    DeletionRow,
    MachineRow,
    OtherTimingRow,
    PhaseRow,
    ProvenanceRow,
    SideRow,
    SpeedRow,
    TaskMetricRow,
    TaskRow,
    ValueRow,
)
from checker.judge.form import Report
from checker.reports.tables import numbers
from checker.reports.tables.table import Cell, Field, Table, increase, table, valued
from checker.reports.tables.tasks import score

_NAMED = 5  # tensors
_NONE = Cell("–")
_Scores = Callable[[TaskMetricRow], ValueRow | None]
_Side = tuple[str, SideRow, _Scores]  # heading, figures, scores on tasks
_Line = tuple[str, Callable[[_Side], Cell]]


@dataclass(frozen=True)
class Shown:
    """One checkpoint: its heading, what was done to the model, in sentences, and its figures beside the model's."""

    heading: str
    sentences: tuple[str, ...]
    table: Table
    deletions: Table | None


def checkpoints(report: Report) -> list[Shown]:
    """Every checkpoint that was measured; none where the audit has none."""
    released = report["released"]
    if released is None:
        return []
    tasks = report["tasks"]
    return [_shown(number, released["base"], row, tasks) for number, row in enumerate(released["checkpoints"])]


def _shown(number: int, base: SideRow, row: CheckpointRow, tasks: Sequence[TaskRow]) -> Shown:
    sides: list[_Side] = [
        ("Model", base, lambda metric: metric["model"]),
        (f"{row['name']}, as it is", row["own"], _scores_of(row["name"])),
    ]
    if row["raw"] is not None:
        sides.insert(1, ("Raw removal", row["raw"], _scores_without(row["raw"]["removed"])))
    deletions = _deletions(number, row["deletions"]) if row["deletions"] else None
    return Shown(_heading(row), tuple(_sentences(row)), _side_by_side(number, row, sides, tasks), deletions)


def _scores_of(checkpoint: str) -> _Scores:
    """What a checkpoint scores as it is."""
    return lambda metric: next(
        (side["score"] for side in metric["sides"] if (side["kind"], side["checkpoint"]) == ("checkpoint", checkpoint)),
        None,
    )


def _scores_without(removed: Sequence[int]) -> _Scores:
    """What the model scores without blocks, whoever asked for it."""
    return lambda metric: next(
        (
            side["score"]
            for side in metric["sides"]
            if side["kind"] != "checkpoint" and list(side["layers"]) == list(removed)
        ),
        None,
    )


def _heading(row: CheckpointRow) -> str:
    """What was done to the model's blocks, as far as it is known; never a removal where that is open."""
    known = row["provenance"]
    if known is None or known["done"] is None:
        return f"{row['name']}: what was done to the model's blocks is open"
    return f"{row['name']}: {known['done']}"


def _sentences(row: CheckpointRow) -> list[str]:
    sentences = []
    known, raw = row["provenance"], row["raw"]
    if known is None:
        sentences.append(f"Its weights were not held against the model's: {row['no_provenance']}.")
    else:
        sentences += [f"Open: {reason}." for reason in known["open"][:_NAMED]]
        sentences += _weights(known, row["own"]["blocks"])
        if known["slots"]:
            sentences.append(f"Its slots: {known['slots']}.")
        if known["touched"]:
            sentences.append(f"Outside of the blocks, other values in {listed(known['touched'], _NAMED)}.")
    if raw is not None:
        blocks = numbered("block", raw["removed"])
        stated = "" if raw["found"] else ", as stated, not found in the weights"
        sentences.append(f"The raw removal is the model without {blocks}{stated}, and nothing else.")
    if row["healing"] is not None and raw is not None:
        change = increase(row["healing"]["value"], row["healing"]["interval"])
        sentences.append(f"What was done after the removal changed perplexity by {change}, paired by window.")
    if row["unlike"]:
        sentences.append(f"Its perplexity is not comparable with the model's: {row['unlike']}.")
    elif row["no_distance"]:
        sentences.append(f"There is no distance from the model: {row['no_distance']}.")
    if row["quantization"]:
        sentences.append(f"Its weights are stored quantised ({row['quantization']}).")
    if row["speed"] is not None:
        sentences += _of_speed(row["speed"])
    return sentences


def _weights(known: ProvenanceRow, blocks: int) -> Iterator[str]:
    """What became of the model's own weights, where few of them were changed, or all were quantised."""
    if known["changed"] and known["share"] is not None and known["change"] is not None:
        share = f"{100 * known['share']:.3g} % of a block's parameters"
        where = f"{listed(known['changed'], _NAMED)} ({share}), relative change up to {known['change']:.3g}"
        yield f"Of its changed blocks other values in {where}; the rest is the model's."
    if known["quantised"]:
        kept = f"{known['quantised']} of {blocks} blocks hold the model's own weights"
        yield f"{kept}, quantised ({known['types']}): no value lies beyond rounding to that grid."


def _of_speed(row: SpeedRow) -> Iterator[str]:
    """What was timed, where, and what else was."""
    sequences = counted(row["batch"], "sequence")
    yield (
        f"Speed is of {row['pairs']} pairs of turns with the model: {sequences}, {row['tokens']} tokens of each in "
        f"prefill, {row['new_tokens']} after {row['prompt']} in decoding. It holds for this machine: "
        f"{_machine(row['machine'])}."
    )
    if row["no_decode"]:
        yield f"Decoding was not timed: {row['no_decode']}."
    if row["others"]:
        others = (_other(other, row["machine"]) for other in row["others"])
        yield f"Earlier timings came to {listed(others, _NAMED, '; ')}."


def _machine(row: MachineRow) -> str:
    return str(MachineFacts(**row))


def _other(row: OtherTimingRow, here: MachineRow) -> str:
    """An earlier timing, whose machine may be another one."""
    machine = "this machine" if row["machine"] == here else _machine(row["machine"])
    figures = [(row["prefill"], "prefill"), (row["decode"], "decoding")]
    known = [f"{numbers.ratio(figure['value'])} times in {phase}" for figure, phase in figures if figure is not None]
    return f"{enumerated(known)} (on {machine}, {row['finished'][:10]})"


def _side_by_side(number: int, row: CheckpointRow, sides: Sequence[_Side], tasks: Sequence[TaskRow]) -> Table:
    figures: tuple[tuple[str, Callable[[SideRow], Cell]], ...] = (
        ("Blocks", lambda side: Cell(numbers.count(side["blocks"]))),
        ("Parameters", lambda side: Cell(numbers.count(side["parameters"]))),
        ("Parameters without embeddings", _without_embeddings),
        ("Weights on disk", lambda side: _known(side["bytes"], numbers.size)),
        ("Keys and values per token", lambda side: _known(side["cache_bytes_per_token"], numbers.size)),
        ("Perplexity", lambda side: _figure(side["perplexity"], numbers.perplexity)),
        ("Perplexity increase", lambda side: _increase(side["increase"])),
        ("Bits per byte", lambda side: _figure(side["bits_per_byte"], numbers.perplexity)),
        ("KL from the model, nats", lambda side: _figure(side["kl"], numbers.distance)),
        ("Same most likely token", lambda side: _figure(side["top1_agreement"], numbers.share)),
    )
    lines: list[_Line] = [(name, lambda side, write=write: write(side[1])) for name, write in figures]  # type: ignore[misc]
    for task in tasks:
        for metric in task["metrics"]:
            lines.append((f"{metric['metric']} on {task['name']}", _on_task(metric)))
    if row["speed"] is not None:
        timed = (("Prefill", row["speed"]["prefill"]), ("Decoding", row["speed"]["decode"]))
        lines += [_fast(heading, phase, row["own"], sides[0][1]) for heading, phase in timed if phase is not None]
    fields: list[Field[_Line]] = [Field("What", lambda line: Cell(line[0]))]
    fields += [
        Field(side[0], lambda line, side=side: line[1](side), numeric=True)  # type: ignore[misc]
        for side in sides
    ]
    return table(f"released-{number}", f"{row['name']} beside the audited model", fields, lines)


def _on_task(metric: TaskMetricRow) -> Callable[[_Side], Cell]:
    def write(side: _Side) -> Cell:
        row = side[2](metric)
        return _NONE if row is None else score(metric, row)

    return write


def _fast(heading: str, phase: PhaseRow, own: SideRow, base: SideRow) -> _Line:
    """Tokens per second of the model, and how many times as many the checkpoint makes; no removal alone is timed."""

    def cell(side: _Side) -> Cell:
        if side[1] is own:
            return Cell(f"{numbers.ratio(phase['value'])}\u00a0×", numbers.interval(phase["interval"], numbers.ratio))
        rate = numbers.significant(phase["model_tokens_per_second"])
        return Cell(f"{rate}\u00a0tokens/s") if side[1] is base else _NONE

    return f"{heading} speed", cell


def _without_embeddings(side: SideRow) -> Cell:
    return Cell(numbers.count(side["parameters"] - side["embedding_parameters"]))


def _known(value: int | None, write: Callable[[int], str]) -> Cell:
    return _NONE if value is None else Cell(write(value))


def _figure(row: ValueRow | None, write: Callable[[float], str]) -> Cell:
    return _NONE if row is None else valued(row, write)


def _increase(row: ValueRow | None) -> Cell:
    return _NONE if row is None else increase(row["value"], row["interval"])


def _deletions(number: int, rows: Sequence[DeletionRow]) -> Table:
    fields: list[Field[DeletionRow]] = [
        Field("Block", lambda row: Cell(str(row["block"]))),
        Field("Perplexity increase", lambda row: increase(row["value"], row["interval"]), numeric=True),
    ]
    return table(f"released-deletions-{number}", "Deleting one more block of the checkpoint", fields, rows)
