"""Which distances and costs moved from one report to another, and whether beyond their intervals."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from checker.core.records import PROTOCOLS
from checker.core.words import counted
from checker.judge.figures.form import ArmRow, CheckpointRow, Ends, ValueRow, distance_of
from checker.judge.form import Report, checkpoints_of
from checker.reports.tables import numbers

Writer = Callable[[Any], str]
_LISTED = 12  # distances or costs, the largest changes first
_SAME = 1e-9  # relative: further apart than the last digits of a sum


@dataclass(frozen=True)
class Change:
    """One thing that changed. ``worse`` is said of verdicts only."""

    section: str
    what: str
    before: Any
    after: Any
    text: str  # what, before and after in a line
    worse: bool = False


@dataclass(frozen=True)
class _Figure:
    """A figure with its interval, and how it is written."""

    value: float
    interval: Ends
    write: Writer
    ends: Writer

    def __str__(self) -> str:
        text = self.write(self.value) + (f" {self.ends(self.interval)}" if self.interval else "")
        return text.replace("\u00a0", " ")

    def holds(self, value: float) -> bool:
        return self.interval is not None and self.interval[0] <= value <= self.interval[1]


Figures = Mapping[str, _Figure]


def moved(section: str, before: Figures, after: Figures) -> Iterator[Change]:
    """Figures beyond their intervals, each; those within them, together; those that only one report has, together."""
    differing = [name for name in before if name in after and not _equal(before[name].value, after[name].value)]
    beyond = [name for name in differing if not _within(before[name], after[name])]
    beyond.sort(key=lambda name: -abs(after[name].value - before[name].value))
    for name in beyond[:_LISTED]:
        old, new = before[name], after[name]
        yield Change(section, name, old.value, new.value, f"{name}: {old} → {new}")
    if more := len(beyond[_LISTED:]):
        yield Change(section, f"further {section}", None, more, f"and {more} more beyond their intervals")
    noun = section.removesuffix("s")
    if within := len(differing) - len(beyond):
        stayed = "its interval" if within == 1 else "their intervals"
        message = f"{counted(within, noun)} moved and stayed within {stayed}"
        yield Change(section, f"{section} within intervals", None, within, message)
    if lost := len(before.keys() - after.keys()):
        yield Change(section, f"{section} before", lost, 0, f"{counted(lost, noun)} measured only before")
    if added := len(after.keys() - before.keys()):
        yield Change(section, f"{section} after", 0, added, f"{counted(added, noun)} measured only after")


def _equal(before: float, after: float) -> bool:
    return abs(before - after) <= _SAME * max(abs(before), abs(after))


def _within(before: _Figure, after: _Figure) -> bool:
    """Whether each value lies in the other's interval; figures without interval are never within."""
    return before.holds(after.value) and after.holds(before.value)


def distances(report: Report, checkpoints: Collection[str] = ()) -> Figures:
    """The distances of a report and of the named checkpoints, which two reports may have under one scoring contract."""
    figures = {}
    for pair in report["pairs"]:
        for protocol in PROTOCOLS:
            if distance := distance_of(pair, protocol):
                name = f"{protocol} of blocks {pair['i']} and {pair['j']}"
                figures[name] = _nats(distance["value"], distance["interval"])
    for block in report["blocks"]:
        if block["deletion"] is not None:
            figures[f"deletion of block {block['block']}"] = _nats(block["deletion"], block["deletion_interval"])
    for row in _named(report, checkpoints):
        if (kl := row["own"]["kl"]) is not None:
            figures[f"KL of the checkpoint {row['name']} from the model"] = _nats(kl["value"], kl["interval"])
    return figures


def _named(report: Report, checkpoints: Collection[str]) -> Iterator[CheckpointRow]:
    return (row for row in checkpoints_of(report) if row["name"] in checkpoints)


def _nats(value: float, interval: Ends) -> _Figure:
    return _Figure(value, interval, lambda nats: f"{numbers.distance(nats)} nats", numbers.interval)


def costs(report: Report, checkpoints: Collection[str] = ()) -> Figures:
    """The perplexities of a report and their increases, which two reports may have under one evaluation contract.

    ``checkpoints`` are the names of those whose figures count as well.
    """
    figures = {}
    if (baseline := report["baseline"]) is not None:
        cost = _Figure(baseline["perplexity"], baseline["interval"], numbers.perplexity, numbers.interval)
        figures["perplexity of the unpruned model"] = cost
    for arm in report["arms"]:
        if arm["increase_percent"] is not None:
            cost = _Figure(arm["increase_percent"], arm["interval"], numbers.percent, numbers.percents)
            # One set, one cost, however many methods chose it.
            figures.setdefault(f"increase without blocks {layers(arm)}", cost)
    for block in report["blocks"]:
        if (value := block["single_deletion_increase_percent"]) is not None:
            cost = _Figure(value, block["interval"], numbers.percent, numbers.percents)
            figures.setdefault(f"increase without blocks {block['block']}", cost)
    for row in _named(report, checkpoints):
        figures |= _of_checkpoint(row)
    return figures


def _of_checkpoint(row: CheckpointRow) -> dict[str, _Figure]:
    own, name = row["own"], f"the checkpoint {row['name']}"
    known: dict[str, tuple[ValueRow | None, Writer, Writer]] = {
        f"perplexity of {name}": (own["perplexity"], numbers.perplexity, numbers.interval),
        f"bits per byte of {name}": (own["bits_per_byte"], numbers.perplexity, numbers.interval),
        f"increase of {name}": (own["increase"], numbers.percent, numbers.percents),
        f"what came after the removal in {name}": (row["healing"], numbers.percent, numbers.percents),
    }
    known |= {
        f"increase of {name} without its block {deletion['block']}": (deletion, numbers.percent, numbers.percents)
        for deletion in row["deletions"]
    }
    return {
        what: _Figure(value["value"], value["interval"], write, ends)
        for what, (value, write, ends) in known.items()
        if value is not None
    }


def scores(report: Report, names: Collection[str]) -> Figures:
    """The scores of a report on the tasks of these names."""
    figures = {}
    for task in report["tasks"]:
        for metric in task["metrics"] if task["name"] in names else ():
            write = numbers.share if metric["share"] else numbers.significant
            sides = {"the model": metric["model"], **{side["name"]: side["score"] for side in metric["sides"]}}
            for name, score in sides.items():
                if score is not None:
                    what = f"{metric['metric']} of {name} on {task['name']}"
                    figures[what] = _Figure(score["value"], score["interval"], write, partial(_ends, write))
    return figures


def _ends(write: Callable[[Any], str], ends: Ends) -> str:
    return numbers.interval(ends, write)


def layers(arm: ArmRow) -> str:
    """The blocks that an arm removes, and whether others were merged for them."""
    return f"{numbers.layers(arm['layers'])}{', merged' if arm['merged'] else ''}"
