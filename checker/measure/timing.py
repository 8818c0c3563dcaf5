"""A model and its checkpoints timed in turns, in one process on one device (design, 3.6).

What slows the machine down slows both, since a turn of one is never far from a turn of the other; and who goes first
changes from pair to pair, so that neither an order nor a drift favours one of them. Nothing that is stored takes the
place of measuring: a time is of this machine and of now.

Shapes: W sequences, T tokens.
"""

from __future__ import annotations

import gc
import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import Any, Literal

import torch
from torch import nn

from checker.core.errors import CannotRun
from checker.core.files import check_unchanged
from checker.core.records import Timing
from checker.core.store import Store
from checker.core.timings import Seconds, TimingFacts
from checker.measure import environment, machine
from checker.measure.explained import is_memory, own_forward_explained
from checker.measure.models import device_of, load_model
from checker.measure.prepare import Found, NoProgress, Prepared, PreparedCheckpoint, Progress, named
from checker.measure.quiet import quiet
from checker.measure.texts import Cut
from checker.spec import timings

WARM_UP = 2  # turns of each, untimed
_LAST_ALONE = "logits_to_keep"  # with it, prefill makes logits of the last position alone, as generating does
Side = Literal["model", "checkpoint"]
SIDES: tuple[Side, Side] = ("model", "checkpoint")
Turn = Callable[[], float]  # runs one turn, and says how many seconds it took
Clock = Callable[[], float]


def measure(
    prepared: Prepared, store: Store, progress: Progress | None = None, clock: Clock | None = None
) -> dict[str, TimingFacts]:
    """Times every checkpoint against the model, and stores each timing as soon as it is whole.

    Raises CannotRun where the two do not fit into memory together, are on different devices, or do not run.
    """
    progress = progress or NoProgress()
    device = device_of(prepared.audit.model)
    for each in prepared.checkpoints:
        _check(prepared, each, device)
    model = _loaded(prepared.found, device, "the model", progress)
    found = {}
    for each in prepared.checkpoints:
        name = each.checkpoint.name
        with named(name):
            checkpoint = _loaded(each.found, device, f"the checkpoint {name}", progress)
            progress.say(f"timing the checkpoint {name} and the model in turns")
            timing = _Session(prepared, each, device, progress, clock or time.perf_counter).run(model, checkpoint)
            del checkpoint  # before the next one is loaded
            gc.collect()
        key = timings.key(prepared.audit, prepared.facts.model, each.facts.model, each.checkpoint.source)
        store.write_record(timings.RECORD, key, asdict(timing))
        found[name] = timing
    return found


def in_turns(
    turns: Mapping[Side, Turn], pairs: int, warm_up: int = WARM_UP, advance: Callable[[], None] = lambda: None
) -> Seconds:
    """Runs both by turns; the model goes first in every other pair."""
    for side in SIDES * warm_up:
        turns[side]()
        advance()
    seconds: dict[Side, list[float]] = {side: [] for side in SIDES}
    for pair in range(pairs):
        for side in SIDES if pair % 2 == 0 else reversed(SIDES):
            seconds[side].append(turns[side]())
            advance()
    return Seconds(tuple(seconds["model"]), tuple(seconds["checkpoint"]))


@dataclass(frozen=True)
class Runner:
    """A whole model on a device, with the token ids that it reads."""

    model: nn.Module
    ids: torch.Tensor  # (W, T)
    prompt: torch.Tensor  # (W, T)
    clock: Clock
    options: Mapping[str, Any]

    def prefill(self) -> float:
        """Seconds that reading the prompts takes, their cache made."""
        start = self._now()
        self._forward(self.ids)
        return self._now() - start

    def decode(self, tokens: int) -> float:
        """Seconds that so many further tokens take, the likeliest each, whatever they are; the prompt is read before.

        The model keeps keys and values in its own cache; see ``caches``.
        """
        output = self._forward(self.prompt)
        start = self._now()
        for _ in range(tokens):
            following = output.logits[:, -1:].argmax(-1)  # (W, 1)
            output = self._forward(following, past_key_values=output.past_key_values)
        return self._now() - start

    def caches(self) -> bool:
        """Whether the model's forward gives a cache of keys and values to decode with."""
        return getattr(self._forward(self.prompt), "past_key_values", None) is not None

    def _forward(self, ids: torch.Tensor, **cache: Any) -> Any:
        return self.model(input_ids=ids, use_cache=True, return_dict=True, **cache, **self.options)

    def _now(self) -> float:
        """The time once the device has done what it was given."""
        if self.ids.device.type == "cuda":
            torch.cuda.synchronize(self.ids.device)
        elif self.ids.device.type == "mps":
            torch.mps.synchronize()
        return self.clock()


class _Session:
    """One checkpoint and the model, both loaded."""

    def __init__(
        self, prepared: Prepared, each: PreparedCheckpoint, device: torch.device, progress: Progress, clock: Clock
    ) -> None:
        self.prepared, self.each, self.device = prepared, each, device
        self.progress, self.clock = progress, clock
        self.settings = prepared.audit.timing

    def run(self, model: nn.Module, checkpoint: nn.Module) -> TimingFacts:
        settings, models = self.settings, {"model": model, "checkpoint": checkpoint}
        both = all(_LAST_ALONE in inspect.signature(each.forward).parameters for each in models.values())
        options = {_LAST_ALONE: 1} if both else {}
        cuts: Mapping[Side, Cut] = {"model": self.prepared.cuts["scoring"], "checkpoint": self.each.cuts["scoring"]}
        runners = {
            side: Runner(
                models[side],
                token_ids(cuts[side], settings.batch, settings.tokens).to(self.device),
                token_ids(cuts[side], settings.batch, settings.prompt).to(self.device),
                self.clock,
                options,
            )
            for side in SIDES
        }
        with torch.inference_mode(), quiet(), _memory_explained(settings), own_forward_explained(), _no_collection():
            reason = next((_no_cache(side, self.each) for side in SIDES if not runners[side].caches()), "")
            self.progress.expect((1 if reason else 2) * 2 * (WARM_UP + settings.pairs))
            prefill = self._seconds({side: runners[side].prefill for side in SIDES})
            decode = None if reason else self._seconds({side: _decoding(runners[side], settings) for side in SIDES})
        return TimingFacts(
            machine=environment.machine(self.device),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            dtype=self.prepared.audit.model.dtype,
            checkpoint_dtype=self.each.checkpoint.source.dtype,
            settings=settings,
            prefill=prefill,
            decode=decode,
            no_decode=reason,
        )

    def _seconds(self, turns: Mapping[Side, Turn]) -> Seconds:
        seconds = in_turns(turns, self.settings.pairs, advance=lambda: self.progress.advance(1.0))
        if not seconds.sound:
            raise CannotRun.at(
                "timing", "a turn that took no time by the clock", "some", "raise `tokens` and `new_tokens`"
            )
        return seconds


def _decoding(runner: Runner, settings: Timing) -> Turn:
    return lambda: runner.decode(settings.new_tokens)


def _no_cache(side: Side, each: PreparedCheckpoint) -> str:
    name = "the model" if side == "model" else each.checkpoint.name
    return f"the forward of {name} gives no cache of keys and values to decode with"


def token_ids(cut: Cut, sequences: int, tokens: int) -> torch.Tensor:
    """Ids (W, T): the prompts of a text from its start, one after the other, again and again where they are too few."""
    ids = cycle(token for window in cut.windows for token in window.ids)
    return torch.tensor(list(islice(ids, sequences * tokens))).reshape(sequences, tokens)


def _loaded(found: Found, device: torch.device, name: str, progress: Progress) -> nn.Module:
    progress.say(f"loading {name} ({found.source.dtype})")
    model = load_model(found.files, found.source.dtype, device)
    check_unchanged(found.stamps)
    return model


def _check(prepared: Prepared, each: PreparedCheckpoint, device: torch.device) -> None:
    """CannotRun where a checkpoint cannot be timed in turns with the model."""
    own, settings = device_of(each.checkpoint.source), prepared.audit.timing
    place = f"checkpoints.{each.checkpoint.name}"
    if own != device:
        raise CannotRun.at(
            f"{place}.device", str(own), f"{device}, as the model: the two take turns on one device", "name the same"
        )
    longest = max(settings.tokens, settings.prompt + settings.new_tokens)
    for name, found in (("the model", prepared.found), (each.checkpoint.name, each.found)):
        if found.facts.context is not None and longest > found.facts.context:
            expected = f"at most {found.facts.context}, the context of {name}"
            raise CannotRun.at("timing", f"{longest} tokens", expected, "lower `tokens`, `prompt` or `new_tokens`")
    needed, free = weight_bytes(prepared.found) + weight_bytes(each.found), free_memory(device)
    if needed > free:
        raise CannotRun.at(
            place,
            f"{needed / 1e9:.3g} GB of weights together with the model's, and {free / 1e9:.3g} GB free on {device}",
            "room for both at once, because they are timed in turns",
            "free memory, take `dtype: bfloat16`, or time them on a larger machine",
        )


def weight_bytes(found: Found) -> int:
    """Bytes that a model's weights take in memory, about: those of its files where they stay packed."""
    if found.facts.quantization is not None and found.files.config is not None and found.facts.weight_bytes:
        return found.facts.weight_bytes
    size: int = getattr(torch, found.source.dtype).itemsize
    return found.facts.parameters * size


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device now."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return machine.free_memory()


@contextmanager
def _memory_explained(settings: Timing) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not is_memory(error):
            raise
        raise CannotRun.at(
            "timing",
            f"no memory for {settings.batch} sequences of {settings.tokens} tokens beside both models",
            "room for them",
            "lower `batch` or `tokens`, or time them on a larger machine",
        ) from error


@contextmanager
def _no_collection() -> Iterator[None]:
    """No pause of Python's own falls into a turn."""
    before = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
