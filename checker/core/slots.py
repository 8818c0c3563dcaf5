"""What a slot is, beside the weights in it and its number: marks, each a name and a value as text.

Marks of one slot are a mapping. Facts hold those of all slots together, one value where every slot has the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Marks = Mapping[str, str]
AllMarks = Mapping[str, tuple[str, ...]]

NOT_COMPARED = "what the slots of its blocks are was not compared"

_ABSENT = ""
_SHOWN = 60  # characters of a value


@dataclass(frozen=True)
class Comparison:
    """Whether the blocks of a checkpoint run in slots like those that they were taken from."""

    state: Literal["same", "differ", "open"]
    why: str = ""  # differ: the first mark that does; open: the reason


def together(slots: Sequence[Marks]) -> dict[str, tuple[str, ...]]:
    """The marks of all slots, by their names."""
    names = sorted({name for marks in slots for name in marks})
    values = {name: tuple(marks.get(name, _ABSENT) for marks in slots) for name in names}
    return {name: each[:1] if len(set(each)) == 1 else each for name, each in values.items()}


def of_slot(marks: AllMarks, slot: int) -> Marks:
    """The marks of one slot."""
    values = {name: each[0] if len(each) == 1 else each[slot] for name, each in marks.items()}
    return {name: value for name, value in values.items() if value != _ABSENT}


def difference(one: Marks, other: Marks) -> str | None:
    """The mark to name where two slots differ: one that says their kind, else one both have, of the outermost part."""
    names = [name for name in {*one, *other} if one.get(name) != other.get(name)]

    def order(name: str) -> tuple[bool, bool, int, str]:
        return not says_kind(name), not (name in one and name in other), name.count("."), name

    return min(names, key=order, default=None)


def says_kind(name: str) -> bool:
    """Whether a mark's value alone says what a slot is, as in ``layer_type``."""
    return name.endswith("_type")


def shown(marks: Marks, name: str) -> str:
    """A mark's value, as messages write it."""
    return marks.get(name, "none")[:_SHOWN]


def compared(base: Sequence[Marks], checkpoint: Sequence[Marks], slots: Sequence[int]) -> Comparison:
    """Holds each of ``slots`` of the base against its place in the checkpoint."""
    if len(checkpoint) != len(slots):
        counts = f"its configuration describes {len(checkpoint)} blocks, and its weights are {len(slots)}"
        return Comparison("open", f"its slots could not be told: {counts}")
    for place, slot in enumerate(slots):
        name = difference(base[slot], checkpoint[place])
        if name is not None:
            before, now = shown(base[slot], name), shown(checkpoint[place], name)
            why = f"block {slot} ran in a slot with {name} {before} and runs with {now} in the checkpoint"
            return Comparison("differ", why)
    return Comparison("same")
