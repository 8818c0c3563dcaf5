"""What is known of the steps of a series: at hand before a run, and stored after it; which choices move where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from checker.checkpoints import model_facts, same_weights
from checker.checkpoints.files import Files, locate
from checker.core.errors import CannotRun
from checker.core.facts import ModelFacts
from checker.core.records import Audit, Series
from checker.core.words import listed
from checker.spec.claims.transfer import Transfer

STEP_RECORD = "step"  # of a step's weights: digests and norms of its blocks
STOPPED = "step stopped"  # the record of a step's source that says why it could not be measured; empty once it was
MODEL = "the model"


def transfers(audit: Audit, series: Series) -> list[tuple[int, int]]:
    """The steps whose choices are removed at another, each with that other: every one at the last, and as claimed."""
    numbers = [step.step for step in series.steps]
    wanted = [(number, numbers[-1]) for number in numbers[:-1]]
    wanted += [(claim.start, claim.end) for claim in audit.claims_of(Transfer) if claim.series == series.name]
    return [pair for pair in dict.fromkeys(wanted) if set(pair) <= set(numbers)]


@dataclass(frozen=True)
class AtHand:
    """The steps of a series whose files are here, by their numbers, and why the others are not known."""

    series: Series
    files: Mapping[int, Files]
    facts: Mapping[int, ModelFacts]
    absent: Mapping[int, str] = field(default_factory=dict)

    def notes(self) -> Iterator[str]:
        """What of the steps is not here, and what of them is read from one place."""
        if self.absent:
            numbers = listed(self.absent, 5)
            yield f"series {self.series.name}: step {numbers} is not at hand: {next(iter(self.absent.values()))}"
        both = [number for number, files in self.files.items() if _has_pickles(files)]
        if both:
            names = f"step {listed(both, 5)}"
            yield f"series {self.series.name}: {names} has pickled weights beside safetensors, which alone are read"


def at_hand(series: Series, hub_cache: Path | None = None) -> AtHand:
    """What the headers of the steps say; no weight is loaded, and nothing is fetched."""
    files: dict[int, Files] = {}
    facts: dict[int, ModelFacts] = {}
    absent: dict[int, str] = {}
    for step in series.steps:
        try:
            files[step.step] = locate(step.source, hub_cache)
            facts[step.step] = model_facts.facts(files[step.step], step.source)
        except CannotRun as error:
            absent[step.step] = str(error).split("\n")[0]
    return AtHand(series, files, facts, absent)


def warnings(audit: Audit, known: AtHand, hub_cache: Path | None = None) -> Iterator[str]:
    """Which steps share files of weights with each other, or with the model before the last step."""
    models = {f"step {number}": files for number, files in known.files.items()}
    with suppress(CannotRun):  # that the model is not here is said elsewhere
        models = {MODEL: locate(audit.model, hub_cache), **models}
    last = f"step {known.series.steps[-1].step}"
    for found in same_weights.shared(models):
        if (found.one, found.other) != (MODEL, last):
            yield f"series {known.series.name}: {found}"


def _has_pickles(files: Files) -> bool:
    return any((files.folder / name).is_file() for name in ("pytorch_model.bin", "pytorch_model.bin.index.json"))
