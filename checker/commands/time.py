"""Times checkpoints against the model, in turns."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from checker.commands.command import command, file_argument, out_option, require_measuring, set_option, trust_option
from checker.commands.terminal import Progress, tell
from checker.core.errors import UsageError
from checker.core.records import Statistics
from checker.core.store import Store
from checker.core.timings import PHASES, TimingFacts
from checker.judge.figures import speed
from checker.reports.destination import default_out
from checker.reports.tables import numbers
from checker.spec import load


@command("time", "pruneaudit time my.yaml\npruneaudit time my.yaml --set timing.batch=8 --out runs/my")
@file_argument
@out_option
@set_option
@trust_option
def time(file: str, out: Path | None, overrides: Sequence[str], trust_remote_code: bool) -> None:
    """Times every checkpoint of an audit against its model: prefill and decoding, in turns, on this machine.

    FILE is an audit file; its section `timing` says how many tokens. Both models have to fit into memory together.
    Every call measures anew, and stored timings stay: claims of `kind: speed` are decided on the newest, by
    `pruneaudit run` or `judge`, on any machine, and their messages name the one that was timed. Let it have nothing
    else to do meanwhile.
    """
    checked = load.check(file, overrides)
    if not checked.audit.checkpoints:
        raise UsageError.at(file, "no `checkpoints`", "one to time against the model", "declare it in the audit file")
    folder = out or default_out(checked.audit)
    require_measuring()
    from checker.measure import timing
    from checker.measure.prepare import prepare

    try:
        with closing(Progress(sys.stderr.isatty())) as bar:
            prepared = prepare(checked.audit, bar, trust_remote_code=trust_remote_code)
            checked.against(prepared.facts.model)  # which may have been downloaded only now
            with Store(folder / "evidence.db") as store:
                timed = timing.measure(prepared, store, bar)
    except KeyboardInterrupt:
        tell("\ninterrupted; the timings of checkpoints that were done are kept", error=True)
        sys.exit(130)
    for line in _lines(timed, checked.audit.statistics):
        tell(line)
    tell(f"stored in {folder / 'evidence.db'}; claims are decided on it by: pruneaudit run {file}")


def _lines(timed: Mapping[str, TimingFacts], settings: Statistics) -> Iterator[str]:
    for name, timing in timed.items():
        yield f"{name}, on {timing.machine}"
        for phase in PHASES:
            found = speed.of_phase(timing, phase, settings)
            if found is None:
                yield f"  {phase:<8} not timed: {timing.no_decode}"
                continue
            interval = found.ratio.interval
            ends = f"{', ' if interval is None else ' '}{numbers.interval(interval, numbers.ratio)}"
            yield (
                f"  {phase:<8} {numbers.ratio(found.ratio.value)} times{ends}: {speed.rates(found)} of "
                f"{speed.amount(timing.settings, phase)}"
            )
