"""How long a model and a checkpoint took in turns on one machine, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from checker.core.records import Timing

Phase = Literal["prefill", "decode"]
PHASES: tuple[Phase, ...] = ("prefill", "decode")
LEAST_PAIRS = 8  # of turns
_LIMITS = 1e-9, 1e9  # of a turn, in seconds


@final
@dataclass(frozen=True)
class MachineFacts:
    """What a time holds for: another value of any of these makes it another machine."""

    device: str  # the name of the GPU, or cpu
    processor: str
    threads: int
    torch: str
    transformers: str
    platform: str

    def __str__(self) -> str:
        device = self.processor if self.device == "cpu" else f"{self.device} beside {self.processor}"
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return f"{device}, {threads}, torch {self.torch}, transformers {self.transformers}, {self.platform}"


@final
@dataclass(frozen=True)
class Seconds:
    """Of one phase, the seconds of every pair of turns, in the order of time; units of `statistics` are these pairs."""

    model: tuple[float, ...]
    checkpoint: tuple[float, ...]

    @property
    def sound(self) -> bool:
        """Whether every turn of one has its turn of the other, and took a time that a clock can tell."""
        turns, (least, most) = (*self.model, *self.checkpoint), _LIMITS
        return len(self.model) == len(self.checkpoint) and all(least <= seconds <= most for seconds in turns)


@final
@dataclass(frozen=True)
class TimingFacts:
    """One timing of a checkpoint against the audited model, in one process on one device."""

    machine: MachineFacts
    finished: str  # ISO time
    dtype: str  # of the model
    checkpoint_dtype: str
    settings: Timing
    prefill: Seconds
    decode: Seconds | None = None
    no_decode: str = ""  # why decoding was not timed

    def seconds(self, phase: Phase) -> Seconds | None:
        """What the turns of a phase took; None where it was not timed."""
        return self.prefill if phase == "prefill" else self.decode

    @property
    def misfit(self) -> str | None:
        """What of it cannot be a timing; None where nothing is wrong."""
        for phase in PHASES:
            known = self.seconds(phase)
            if known is None:
                continue
            if not known.sound or len(known.model) != self.settings.pairs or len(known.model) < LEAST_PAIRS:
                return f"seconds of {phase} that are not those of {self.settings.pairs} pairs of turns"
        if (self.decode is None) != bool(self.no_decode):
            return "neither seconds of decoding nor the reason, or both,"
        return None
