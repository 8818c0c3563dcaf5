"""What claims about a series share: the series, and the two steps that are compared."""

from __future__ import annotations

from dataclasses import dataclass

from checker.core.records import Claim
from checker.spec.checkpoints import series_declared
from checker.spec.document import Document, Where
from checker.spec.schema import closest, enumerate_words


@dataclass(frozen=True)
class OverSteps(Claim):
    """A claim about two steps of a series; ``start`` and ``end`` are their numbers."""

    series: str
    start: int
    end: int

    @property
    def between(self) -> str:
        """The two steps, as sentences name them."""
        return f"from step {self.start} to step {self.end} of {self.series}"


def values(document: Document, where: Where) -> dict[str, object]:
    """What a claim in which nothing is wrong states; `from` is a word of Python, and cannot name a field."""
    renamed = {"from": "start", "to": "end"}
    return {renamed.get(key, key): value for key, value in document.get(*where).items() if key != "kind"}


def check(document: Document, where: Where) -> None:
    """Adds the mistakes of a series that is not declared, and of a step that is held against itself."""
    name, declared = document.sound(*where, "series"), series_declared(document)
    if name is not None and name not in declared:
        near = closest(name, declared)
        remedy = f"did you mean `{near}`?" if near else "declare it in `checkpoints:`, with `steps`"
        expected = f"a series: {enumerate_words(declared)}" if declared else "a series of `checkpoints`"
        document.complain((*where, "series"), f"`{name}`", expected, remedy)
    start, end = document.sound(*where, "from"), document.sound(*where, "to")
    if start is not None and start == end:
        document.complain((*where, "to"), f"step {end}, which `from` names", "another step", "correct one of the two")
    elif name in declared:
        _check_listed(document, where, declared[name])


def _check_listed(document: Document, where: Where, series: Where) -> None:
    """A step that a series lists by numbers, and lacks, is a mistake; what `all` comes to is known when it is read."""
    steps = document.get(*series, "steps")
    if not isinstance(steps, list) or document.doubted(series):
        return
    known = [step["step"] if isinstance(step, dict) else step for step in steps]
    for key in ("from", "to"):
        number = document.sound(*where, key)
        if number is not None and number not in known:
            expected = f"one of {', '.join(map(str, sorted(known)[:20]))}"
            document.complain((*where, key), f"step {number}", expected, "add it to `steps`, or correct the claim")
