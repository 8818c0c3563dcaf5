"""How files from strangers are taken: wrong ones of every kind that a command reads, and what came of each.

    python benchmarks/fuzz_inputs.py --inputs 100000 --seed 0
    python benchmarks/fuzz_inputs.py --kind gguf --replay 4711      # one input again, with its traceback

Each goes to the function that the command calls. A crash is any error but a refusal in our own words, a message of more
than 2,000 characters, or more than 5 processor seconds. Exit code 1 where there was one. Results are in
benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from input_kinds import KINDS, Feed

from checker.core.errors import InvalidAudit, PruneauditError

LONGEST_MESSAGE, LONGEST_TIME, HANGS, MEMORY = 2000, 5.0, 60, 12 * 2**30


@dataclass
class Tally:
    """What came of the inputs of one kind."""

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    slowest: float = 0.0
    crashes: list[str] = field(default_factory=list)


class Hung(BaseException):
    """An input that takes no time of the processor, and does not end."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, help="this kind alone")
    parser.add_argument("--replay", type=int, metavar="N", help="input N of --kind alone, with its traceback")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _hung)
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore")
    if options.replay is not None and options.kind is None:
        parser.error("--replay needs --kind")
    begun, tallies = time.monotonic(), {}
    for name in [options.kind] if options.kind else KINDS:
        count = options.inputs if options.kind else max(1, round(options.inputs * KINDS[name].share))
        numbers = range(count) if options.replay is None else [options.replay]
        tallies[name] = _fuzzed(name, options.seed, numbers, verbose=options.replay is not None)
        print(f"{name}: {tallies[name].inputs} inputs, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    _print(tallies, time.monotonic() - begun)
    sys.exit(any(tally.crashes for tally in tallies.values()))


def _hung(*_: object) -> None:
    raise Hung


def _fuzzed(name: str, seed: int, numbers: Sequence[int], *, verbose: bool) -> Tally:
    tally = Tally()
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        make, take = KINDS[name].setup(Path(place))
        for number in numbers:
            made = make(Random(f"{seed} {name} {number}"))
            if verbose:
                print(f"{made!r:.3000}")
            for problem in _taken(take, made, tally, verbose=verbose):
                tally.crashes.append(f"--seed {seed} --kind {name} --replay {number}: {problem}")
                print(tally.crashes[-1], file=sys.stderr, flush=True)
    return tally


def _taken(take: Feed, made: Any, tally: Tally, *, verbose: bool) -> Iterator[str]:
    """Gives an input to what takes it; yields what is wrong with how it was taken."""
    tally.inputs += 1
    begun, messages = time.process_time(), []
    signal.alarm(HANGS)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            messages = take(made) or []
        tally.accepted += 1
    except InvalidAudit as error:
        tally.refused += 1
        messages = list(map(str, error.mistakes))
    except PruneauditError as error:
        tally.refused += 1
        messages = [str(error)]
    except (Exception, Hung) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        yield f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}: {str(error)[:100]!r}"
        if verbose:
            traceback.print_exc()
    finally:
        signal.alarm(0)
    seconds = time.process_time() - begun
    tally.slowest = max(tally.slowest, seconds)
    if verbose:
        print(*messages, sep="\n")
    if seconds > LONGEST_TIME:
        yield f"{seconds:.1f} processor seconds"
    if longest := max((len(message) for message in messages if len(message) > LONGEST_MESSAGE), default=0):
        yield f"a message of {longest} characters"


def _print(tallies: dict[str, Tally], seconds: float) -> None:
    total = sum(tally.inputs for tally in tallies.values())
    print(f"{total} inputs in {seconds:.0f} s\n")
    print("| kind | inputs | refused | accepted | crashes | slowest |\n|---|--:|--:|--:|--:|--:|")
    for name, tally in tallies.items():
        counts = (tally.inputs, tally.refused, tally.accepted, len(tally.crashes))
        print(f"| {name} | {' | '.join(f'{count:,}' for count in counts)} | {tally.slowest:.2f} s |")
    for crash in (crash for tally in tallies.values() for crash in tally.crashes):
        print(crash)


if __name__ == "__main__":
    main()
