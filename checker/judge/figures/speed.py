"""Timings in turns -> how many times as fast as the audited model a checkpoint is, on one machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from checker.core import statistics
from checker.core.records import Statistics, Timing
from checker.core.statistics import Estimate
from checker.core.timings import Phase, Seconds, TimingFacts
from checker.core.words import counted
from checker.judge.figures.distances import value_row
from checker.judge.figures.form import MachineRow, OtherTimingRow, PhaseRow, SpeedRow


@dataclass(frozen=True)
class PhaseSpeed:
    """One phase of one timing; rates are geometric means over the pairs of turns, in tokens per second."""

    ratio: Estimate  # of the checkpoint's rate to the model's
    model: float
    checkpoint: float

    def row(self) -> PhaseRow:
        return {
            **value_row(self.ratio),
            "model_tokens_per_second": self.model,
            "tokens_per_second": self.checkpoint,
        }


def of_phase(timing: TimingFacts, phase: Phase, settings: Statistics) -> PhaseSpeed | None:
    """None where the phase was not timed."""
    seconds = timing.seconds(phase)
    return None if seconds is None else compared(seconds, timing.settings.count(phase), settings)


def compared(seconds: Seconds, tokens: int, settings: Statistics) -> PhaseSpeed:
    """``tokens`` are those of a turn. Pairs are in the order of time, so what neighbours share is estimated."""
    ratio = statistics.geometric_mean_ratio(seconds.model, seconds.checkpoint, settings)
    model, checkpoint = (tokens / float(np.exp(np.log(turns).mean())) for turns in (seconds.model, seconds.checkpoint))
    return PhaseSpeed(ratio, model, checkpoint)


def amount(settings: Timing, phase: Phase) -> str:
    """What one turn of a phase is."""
    sequences = counted(settings.batch, "sequence")
    if phase == "prefill":
        return f"{sequences} of {counted(settings.tokens, 'token')}"
    return f"{sequences}, {counted(settings.new_tokens, 'token')} after a prompt of {settings.prompt}"


def rates(found: PhaseSpeed) -> str:
    """The two rates in words, the checkpoint's first."""
    checkpoint, model = (f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}" for rate in (found.checkpoint, found.model))
    return f"{checkpoint} against {model} tokens per second"


def row(timings: Sequence[TimingFacts], settings: Statistics) -> SpeedRow | None:
    """The newest timing, and what earlier ones came to; None where there is none."""
    if not timings:
        return None
    newest = timings[-1]
    asked, decode = newest.settings, of_phase(newest, "decode", settings)
    return {
        "machine": _machine(newest),
        "finished": newest.finished,
        "batch": asked.batch,
        "tokens": asked.tokens,
        "prompt": asked.prompt,
        "new_tokens": asked.new_tokens,
        "pairs": asked.pairs,
        "model_dtype": newest.dtype,
        "prefill": compared(newest.prefill, asked.count("prefill"), settings).row(),
        "decode": None if decode is None else decode.row(),
        "no_decode": newest.no_decode or None,
        "others": list(_others(timings[:-1], settings)),
    }


def _machine(timing: TimingFacts) -> MachineRow:
    known = timing.machine
    return {
        "device": known.device,
        "processor": known.processor,
        "threads": known.threads,
        "torch": known.torch,
        "transformers": known.transformers,
        "platform": known.platform,
    }


def _others(timings: Sequence[TimingFacts], settings: Statistics) -> Iterator[OtherTimingRow]:
    for timing in timings:
        prefill = compared(timing.prefill, timing.settings.count("prefill"), settings)
        decode = of_phase(timing, "decode", settings)
        yield {
            "machine": _machine(timing),
            "finished": timing.finished,
            "prefill": value_row(prefill.ratio),
            "decode": None if decode is None else value_row(decode.ratio),
        }
