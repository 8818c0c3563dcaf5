"""Timing in turns, by a clock that is made up: no test depends on how fast this machine is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import tiny_audit
import torch
from torch import nn

from checker.core import statistics
from checker.core.records import Statistics
from checker.measure.texts import Cut, Window
from checker.measure.timing import WARM_UP, Runner, Side, in_turns, token_ids

pytestmark = pytest.mark.usefixtures("one_thread")


# --- turns -----------------------------------------------------------------------------------------------------------


def logging(log: list[str], name: Side, seconds: Callable[[], float]) -> Callable[[], float]:
    def turn() -> float:
        log.append(name)
        return seconds()

    return turn


def test_who_goes_first_changes_from_pair_to_pair_after_a_warm_up() -> None:
    log: list[str] = []
    counted = iter(range(100))
    turns = {name: logging(log, name, lambda: float(next(counted))) for name in ("model", "checkpoint")}
    advanced: list[int] = []
    found = in_turns(turns, 4, advance=lambda: advanced.append(len(log)))  # type: ignore[arg-type]
    warm = 2 * WARM_UP
    assert log[:warm] == ["model", "checkpoint"] * WARM_UP
    assert log[warm:] == ["model", "checkpoint", "checkpoint", "model"] * 2
    assert found.model == (warm, warm + 3, warm + 4, warm + 7), "of the warm-up nothing counts"
    assert found.checkpoint == (warm + 1, warm + 2, warm + 5, warm + 6)
    assert advanced == list(range(1, warm + 9))


def test_a_machine_that_slows_down_favours_neither() -> None:
    """Each turn takes one percent more than the one before it."""
    taken = iter(1.01**turn for turn in range(100))
    turns: dict[Side, Callable[[], float]] = {side: lambda: next(taken) for side in ("model", "checkpoint")}
    found = in_turns(turns, 8)
    ratio = statistics.geometric_mean_ratio(found.model, found.checkpoint, Statistics())
    assert ratio.value == pytest.approx(1.0, abs=1e-12)
    assert math.exp(-0.01) < found.model[0] / found.checkpoint[0] < 1.0


# --- one turn --------------------------------------------------------------------------------------------------------


@dataclass
class Clock:
    """Time that passes only while the model runs: a second per token that it is given."""

    now: float = 0.0
    seen: list[Any] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now


class Stub(nn.Module):
    """A model that takes a second per token, and gives the next number as the likeliest token."""

    def __init__(self, clock: Clock, *, caches: bool = True) -> None:
        super().__init__()
        self.clock, self.cached = clock, caches

    def forward(self, input_ids: torch.Tensor, **options: Any) -> Any:
        self.clock.now += input_ids.numel()
        self.clock.seen.append((input_ids.tolist(), options))
        cache = (*(options.get("past_key_values") or ()), input_ids.shape[1]) if self.cached else None
        logits = torch.nn.functional.one_hot((input_ids + 1) % 9, 9).float()
        return SimpleNamespace(logits=logits, past_key_values=cache)


def runner(model: nn.Module, clock: Callable[[], float], ids: list[list[int]], **options: Any) -> Runner:
    return Runner(model, torch.tensor(ids), torch.tensor(ids)[:, :2], clock, options)


def test_prefill_is_one_forward_that_makes_a_cache() -> None:
    clock = Clock()
    ids = [[1, 2, 3], [4, 5, 6]]
    assert runner(Stub(clock), clock, ids, logits_to_keep=1).prefill() == 6.0
    assert clock.seen == [(ids, {"use_cache": True, "return_dict": True, "logits_to_keep": 1})]


def test_decoding_times_every_new_token_and_not_the_prompt() -> None:
    clock = Clock()
    assert runner(Stub(clock), clock, [[1, 2, 3], [4, 5, 6]]).decode(4) == 8.0
    assert [ids for ids, _ in clock.seen] == [[[1, 2], [4, 5]], [[3], [6]], [[4], [7]], [[5], [8]], [[6], [0]]]
    assert [options.get("past_key_values") for _, options in clock.seen] == [
        None, (2,), (2, 1), (2, 1, 1), (2, 1, 1, 1),
    ]  # fmt: skip


def test_a_model_that_gives_no_cache_is_told() -> None:
    assert runner(Stub(Clock()), Clock(), [[1, 2]]).caches()
    assert not runner(Stub(Clock(), caches=False), Clock(), [[1, 2]]).caches()


def test_decoding_writes_what_the_model_would_write_without_a_cache() -> None:
    model = tiny_audit.build()
    fed: list[list[int]] = []
    handle = model.register_forward_pre_hook(
        lambda _, __, inputs: fed.append(inputs["input_ids"][0].tolist()), with_kwargs=True
    )
    with torch.inference_mode():
        runner(model, Clock(), [[5, 9, 3]], logits_to_keep=1).decode(6)
        handle.remove()
        ids = torch.tensor([[5, 9]])
        for _ in range(6):
            ids = torch.cat([ids, model(input_ids=ids, use_cache=False).logits[:, -1:].argmax(-1)], 1)
    assert fed[0] == [5, 9]
    assert [token for step in fed[1:] for token in step] == ids[0, 2:].tolist()


def test_an_end_token_stops_nothing() -> None:
    clock = Clock()
    model = Stub(clock)
    model.config = SimpleNamespace(eos_token_id=3)  # type: ignore[assignment]
    assert runner(model, clock, [[1, 2]]).decode(5) == 5.0


# --- token ids -------------------------------------------------------------------------------------------------------


def test_token_ids_are_the_texts_own_over_and_over() -> None:
    cut = Cut((Window((1, 2, 3), 0, 2), Window((4, 5, 6), 0, 2)), (), ())
    assert token_ids(cut, 1, 4).tolist() == [[1, 2, 3, 4]]
    assert token_ids(cut, 2, 4).tolist() == [[1, 2, 3, 4], [5, 6, 1, 2]]
