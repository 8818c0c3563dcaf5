"""The steps of a series, one after the other: each is measured as the audited model itself is (design, 3.8).

A step that cannot be measured is left open, with the reason, and the others go on. What a method chose at one step is
removed at others as well, so that it shows how far a choice transfers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from checker.checkpoints.provenance.block_digests import step_facts
from checker.core.errors import CannotRun, NotFinite
from checker.core.facts import Facts
from checker.core.layouts import Layout
from checker.core.records import Audit, Checkpoint, Series
from checker.core.store import Store
from checker.measure.prepare import Prepared, Progress
from checker.measure.run import Measured, measure
from checker.spec.series_steps import STEP_RECORD, STOPPED, transfers

Prepare = Callable[[Audit], Prepared]  # finds a step's files and cuts the texts


def measure_series(audit: Audit, series: Series, store: Store, prepare: Prepare, progress: Progress) -> None:
    """Measures what ``store`` does not hold yet. CannotRun and NotFinite of a step are stored as its reason."""
    known: dict[int, Measured] = {}
    wanted = transfers(audit, series)
    for step in series.steps:
        progress.say(f"step {step.step} of {series.name}")
        _measure(audit, step, store, prepare, progress, known, [start for start, end in wanted if end == step.step])
    for step in series.steps:  # choices of later steps are known only now
        later = [start for start, end in wanted if end == step.step and start > end and start in known]
        if later and step.step in known:
            _measure(audit, step, store, prepare, progress, known, later)


def _measure(
    audit: Audit,
    step: Checkpoint,
    store: Store,
    prepare: Prepare,
    progress: Progress,
    known: dict[int, Measured],
    starts: Sequence[int],
) -> None:
    key = step.source.identity
    try:
        prepared = prepare(audit.of_step(step))
        further = [layout for start in starts if start in known for layout in _chosen(known[start], prepared.facts)]
        known[step.step] = measure(prepared, store, progress, further)
        weights = str(prepared.facts.model.digest)
        if store.read_record(STEP_RECORD, weights) is None:
            found = step_facts(prepared.found.files, step.source.blocks)
            store.write_record(STEP_RECORD, weights, asdict(found))
    except (CannotRun, NotFinite) as error:
        store.write_record(STOPPED, key, {"why": str(error)})
        progress.say(f"step {step.step} is left open: {error}")
    else:
        if store.read_record(STOPPED, key) is not None:
            store.write_record(STOPPED, key, {"why": ""})


def _chosen(measured: Measured, facts: Facts) -> Iterator[Layout]:
    """The removals that methods chose at another step, where the blocks are as many as here."""
    if measured.facts.model.blocks == facts.model.blocks:
        yield from (removal.layout for removal in measured.sets if not removal.draw)
