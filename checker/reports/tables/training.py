"""The section over training: each step of a series, what changes between steps, and how far choices transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from checker.core.words import counted, listed
from checker.judge.figures.form import BetweenRow, SeriesRow, StepRow, TransferRow, ValueRow
from checker.judge.form import Report
from checker.reports.tables import numbers
from checker.reports.tables.table import Cell, Field, Table, table

_NONE = Cell("–")
_SHOWN_BLOCKS = 8  # of those that two steps share


@dataclass(frozen=True)
class Shown:
    """One series: its heading, what follows of it and what does not, and its tables; the first is of its steps."""

    row: SeriesRow
    heading: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
    scores: tuple[tuple[str, Table], ...]  # by method


@dataclass(frozen=True)
class _Carried:
    """A choice of one step at a later one."""

    steps: BetweenRow
    choice: TransferRow


def series(report: Report) -> list[Shown]:
    """Every series; none where the audit has none."""
    return [_shown(number, row) for number, row in enumerate(report["series"])]


def _shown(number: int, row: SeriesRow) -> Shown:
    name, steps = row["name"], row["steps"]
    tables = [_steps(f"steps-{number}", row)]
    if row["neighbours"]:
        tables.append(_neighbours(f"neighbours-{number}", row))
    if any(between["transfers"] for between in row["to_last"]):
        tables.append(_carried(f"carried-{number}", row))
    tables.append(_digests(f"digests-{number}", row))
    first, last = (numbers.count(steps[place]["step"]) for place in (0, -1))
    heading = f"{name}, {counted(len(steps), 'step')} from {first} to {last}"
    methods = [each["method"] for each in next((step["scores"] for step in steps if step["scores"]), ())]
    scores = tuple((method, _scores(f"scores-{number}-{place}", row, method)) for place, method in enumerate(methods))
    return Shown(row, heading, (row["sentence"], *_remarks(row)), tuple(tables), scores)


def _scores(name: str, row: SeriesRow, method: str) -> Table:
    """A method's score of each block, a column for each step."""
    measured = [step for step in row["steps"] if step["scores"]]
    lists = {
        step["step"]: next(each["values"] for each in step["scores"] if each["method"] == method) for step in measured
    }
    blocks = range(max(map(len, lists.values())))
    fields: list[Field[int]] = [Field("Block", lambda block: Cell(str(block)), numeric=True)]
    fields += [Field(f"Step {numbers.count(step)}", _score(values), numeric=True) for step, values in lists.items()]
    return table(name, f"Block scores by {method} over the steps of {row['name']}", fields, blocks)


def _score(values: Sequence[float | None]) -> Callable[[int], Cell]:
    def write(block: int) -> Cell:
        value = values[block]
        return _NONE if value is None else Cell(numbers.significant(value))

    return write


def _remarks(row: SeriesRow) -> Iterator[str]:
    left = [step for step in row["steps"] if step["why_not"]]
    if left:
        yield f"Compared with no other: {listed((step['why_not'] for step in left), 3, '; ')}."
    yield (
        "Regret is conditional on the sets that were chosen here; on other prompts a method may choose others. It is "
        "below 0 where the earlier step's choice is the better one."
    )


def _steps(name: str, row: SeriesRow) -> Table:
    fields: list[Field[StepRow]] = [
        Field("Step", lambda step: Cell(numbers.count(step["step"])), numeric=True),
        Field("Perplexity", lambda step: _figure(step["perplexity"]), numeric=True),
        Field("Gap, nats", lambda step: _figure(step["gap"]), numeric=True),
        Field("kl_ratio", lambda step: _figure(step["kl_ratio"]), numeric=True),
        Field("Replacement, nats", lambda step: _figure(step["replacement"]), numeric=True),
        Field("Interchange, nats", lambda step: _figure(step["interchange"]), numeric=True),
        Field("Rank correlation of the protocols", lambda step: _correlation(step["rank_correlation"]), numeric=True),
        Field("Pairs", lambda step: Cell(numbers.count(step["pairs"])), numeric=True),
    ]
    if any(step["tokens"] is not None for step in row["steps"]):
        fields.insert(1, Field("Tokens", lambda step: _tokens(step["tokens"]), numeric=True))
    note = "Gap: mean over adjacent pairs of replacement less interchange. The other means over pairs are geometric."
    return table(name, f"Each step of {row['name']}", fields, row["steps"], note)


def _neighbours(name: str, row: SeriesRow) -> Table:
    methods = [each["method"] for each in row["neighbours"][0]["correlations"]]
    fields: list[Field[BetweenRow]] = [
        Field("Steps", _of_steps),
        Field("Change of the gap, nats", lambda between: _change(between, "gap"), numeric=True),
        Field("Change of kl_ratio", lambda between: _change(between, "kl_ratio"), numeric=True),
        Field("Change of the loss, nats per token", lambda between: _change(between, "baseline"), numeric=True),
    ]
    fields += [Field(f"Ranks by {method}", _ranks(method), numeric=True) for method in methods]
    note = "A rank correlation without an interval is the same whichever prompt is left out."
    return table(name, f"What changes between neighbouring steps of {row['name']}", fields, row["neighbours"], note)


def _carried(name: str, row: SeriesRow) -> Table:
    fields: list[Field[_Carried]] = [
        Field("Steps", lambda line: _of_steps(line.steps)),
        Field("Method", lambda line: Cell(line.choice["method"])),
        Field("Blocks", lambda line: Cell(numbers.count(line.choice["budget"])), numeric=True),
        Field("Overlap", lambda line: _range(line.choice["overlap"], numbers.share), numeric=True),
        Field("Regret", lambda line: _regret(line.choice), numeric=True),
    ]
    lines = [_Carried(between, choice) for between in row["to_last"] for choice in between["transfers"]]
    note = "Overlap is Jaccard's index. Regret: perplexity at the later step above that of its own choice."
    return table(name, "What is chosen at a step, at the last one", fields, lines, note)


def _digests(name: str, row: SeriesRow) -> Table:
    fields: list[Field[StepRow]] = [
        Field("Step", lambda step: Cell(numbers.count(step["step"])), numeric=True),
        Field("Weights", lambda step: Cell("not read" if step["weights"] is None else step["weights"][:12])),
        Field("Blocks that an earlier step has", _shared),
    ]
    return table(name, f"Digests of the steps of {row['name']}", fields, row["steps"])


def _shared(step: StepRow) -> Cell:
    if not step["blocks"]:
        return Cell("not read")
    parts = []
    for each in step["shared"]:
        blocks = "all" if each["all"] else listed(each["blocks"], _SHOWN_BLOCKS)
        parts.append(f"{blocks}, of step {each['step']}")
    return Cell("; ".join(parts), word="fail") if parts else Cell("none")


def _of_steps(between: BetweenRow) -> Cell:
    return Cell(f"{numbers.count(between['start'])} to {numbers.count(between['end'])}")


def _change(between: BetweenRow, quantity: str) -> Cell:
    if between["same_weights"]:
        return Cell("one set of weights")
    found = next(each["change"] for each in between["changes"] if each["quantity"] == quantity)
    if found is None:
        return _NONE
    return Cell(numbers.change(found["value"]), numbers.interval(found["interval"], numbers.change))


def _ranks(method: str) -> Callable[[BetweenRow], Cell]:
    def write(between: BetweenRow) -> Cell:
        found = (each["correlation"] for each in between["correlations"] if each["method"] == method)
        return _correlation(next(found, None))

    return write


def _correlation(row: ValueRow | None) -> Cell:
    if row is None:
        return _NONE
    ends = row["interval"]
    return Cell(numbers.correlation(row["value"]), "" if ends is None else numbers.interval(ends, numbers.correlation))


def _regret(choice: TransferRow) -> Cell:
    found = _range(choice["regret_percent"], numbers.percent)
    return Cell(found.text, numbers.percents(choice["interval"])) if choice["interval"] else found


def _range(ends: Sequence[float] | None, write: Callable[[float], str]) -> Cell:
    if ends is None:
        return _NONE
    low, high = (write(end) for end in ends)
    return Cell(low if low == high else f"{low} to {high}")


def _figure(row: ValueRow | None) -> Cell:
    return _NONE if row is None else Cell(numbers.significant(row["value"]), numbers.interval(row["interval"]))


def _tokens(value: float | None) -> Cell:
    return _NONE if value is None else Cell(numbers.significant(value))
