"""Runs every method on models whose right answers are known, on one device and in one dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
import torch

from checker.core.errors import NotFinite
from checker.core.layouts import Geometry, Layout, pairs_within
from checker.core.questions import Problem
from checker.core.records import MethodSettings
from checker.measure.planted import BLOCKS, Plant, Planted, plant
from checker.selection.arms import block_scores
from checker.selection.methods import METHODS, laco

# What "nothing" may come out as: cosines and correlations are rounded in float64, distances of equal models not at all.
_NOTHING = 1e-6
# What "something" must exceed: a hundredth of a nat, or of a cosine, is far above any rounding of a planted model.
_SOMETHING = 1e-2


@dataclass(frozen=True)
class Check:
    """What one method should and did answer on one planted model."""

    method: str
    planted: str
    expected: str
    found: str
    passed: bool


def selftest(dtype: str, device: torch.device) -> list[Check]:
    """Every planted answer of every method. A check that raises has failed, with the error as what was found."""
    bench, threads = _Bench(getattr(torch, dtype), device), torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other over tiny products make it a hundred times slower
    try:
        return [_checked(bench, *case) for case in _CASES] + [*_refusals(bench)]
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class _Bench:
    dtype: torch.dtype
    device: torch.device

    @cached_property
    def models(self) -> dict[Plant, Planted]:
        return {what: plant(what, self.dtype, self.device) for what in get_args(Plant)}

    def score(self, method: str, what: Plant, *blocks: int) -> float:
        """The largest of a method's scores of the blocks, or of its distances of the pairs they make."""
        scores = block_scores(_settings(method), _problem(), self.models[what].ask)
        return max(scores[block] for block in blocks)

    def distance(self, method: str, what: Plant, *key: int) -> float:
        asked = METHODS[method].distances
        assert asked is not None
        return float(np.mean(asked(self.models[what].ask, _problem())[key]))

    def layout(self, method: str, what: Plant, budget: int, native: bool = False, spacing: int = 1) -> Layout:
        chooses = METHODS[method].native if native else METHODS[method].sets
        assert chooses is not None
        return chooses(self.models[what].ask, _problem(spacing), budget, _settings(method))[0]


def _problem(spacing: int = 1) -> Problem:
    return Problem(BLOCKS, pairs_within(BLOCKS, 1), Geometry(BLOCKS, spacing), "into", 0)


def _settings(method: str) -> MethodSettings:
    return MethodSettings(method, (1, 2), draws=5, of="deletion")


def _nothing(value: float) -> bool:
    return abs(value) <= _NOTHING


def _something(value: float) -> bool:
    return value >= _SOMETHING


_Answer = Callable[[_Bench], float]
_Verdict = Callable[[float], bool]


def _removed(layout: Layout) -> tuple[int, ...]:
    return tuple(sorted(set(range(BLOCKS)) - set(layout.slots)))


def _kl(bench: _Bench, what: Plant, layout: Layout) -> float:
    return float(bench.models[what].ask.kl([layout])[layout].mean())


def _merged_twins(bench: _Bench) -> float:
    base = Layout.base(BLOCKS)
    merged, moved = laco.merge(base, 2, 2), base.without([3, 4]).with_weights({2: 4})
    return _kl(bench, "twins", merged) - _kl(bench, "twins", moved)


def _loss_above_base(bench: _Bench) -> float:
    base = Layout.base(BLOCKS)
    loss = float(bench.models["identity"].ask.loss([base])[base].mean())
    return bench.distance("deletion_loss", "identity", 2) - loss


def _chooses_planted(method: str, native: bool = False) -> _Answer:
    """1 where the method removes the two planted identities, else 0."""

    def answer(bench: _Bench) -> float:
        layout = bench.layout(method, "identity", 2, native)
        return float(_removed(layout) == bench.models["identity"].blocks)

    return answer


def _order(method: str, first: bool) -> _Answer:
    """1 where a planted identity stands first (or last) in a method's order, else 0."""

    def answer(bench: _Bench) -> float:
        scores = block_scores(_settings(method), _problem(), bench.models["identity"].ask)
        order = sorted(scores, key=lambda block: scores[block])
        return float((order[0] if first else order[-1]) in bench.models["identity"].blocks)

    return answer


def _run_of_identity(bench: _Bench) -> float:
    return float(_removed(bench.layout("angular_distance", "identity", 1, native=True))[0] in (2, 4))


def _run_undone(bench: _Bench) -> float:
    layout = bench.layout("angular_distance", "undoing", 2, native=True)
    return float(_removed(layout) == bench.models["undoing"].blocks)


def _pair_undone(bench: _Bench) -> float:
    layout = bench.layout("exhaustive", "undoing", 2, spacing=0)
    return float(_removed(layout) == bench.models["undoing"].blocks)


def _deepest(bench: _Bench) -> float:
    return float(_removed(bench.layout("deepest", "identity", 2, native=True)) == (BLOCKS - 3, BLOCKS - 2))


def _random(bench: _Bench) -> float:
    sets = METHODS["random"].sets
    assert sets is not None
    problem = _problem()
    drawn = [_removed(layout) for layout in sets(bench.models["identity"].ask, problem, 2, _settings("random"))]
    return float(len(set(drawn)) == len(drawn) == 5 and all(problem.geometry.allows(layers) for layers in drawn))


_yes: tuple[str, _Verdict] = ("yes", lambda value: value == 1.0)
_zero: tuple[str, _Verdict] = ("0", _nothing)
_more: tuple[str, _Verdict] = (f"above {_SOMETHING:g}", _something)

_CASES: tuple[tuple[str, str, _Answer, tuple[str, _Verdict]], ...] = (
    ("interchange", "two equal blocks", lambda b: b.distance("interchange", "twins", 2, 3), _zero),
    ("interchange", "two blocks that commute", lambda b: b.distance("interchange", "commuting", 2, 3), _zero),
    ("interchange", "two ordinary blocks", lambda b: b.distance("interchange", "twins", 0, 1), _more),
    ("replacement", "two equal blocks", lambda b: b.distance("replacement", "twins", 2, 3), _zero),
    ("replacement", "two equal blocks, other way", lambda b: b.distance("replacement", "twins", 3, 2), _zero),
    ("replacement", "two blocks that commute", lambda b: b.distance("replacement", "commuting", 2, 3), _more),
    ("deletion", "the identity", lambda b: b.score("deletion", "identity", 2, 4), _zero),
    ("deletion", "two equal blocks", lambda b: b.distance("deletion", "twins", 2), _more),
    ("deletion", "a block that only scales", lambda b: b.distance("deletion", "scaling", 2), _zero),
    ("averaging", "two equal blocks", lambda b: b.distance("averaging", "twins", 2, 3), _zero),
    ("averaging", "two blocks that commute", lambda b: b.distance("averaging", "commuting", 2, 3), _more),
    ("block_influence", "the identity", lambda b: b.score("block_influence", "identity", 2, 4), _zero),
    ("block_influence", "a block that only scales", lambda b: b.score("block_influence", "scaling", 2), _zero),
    ("block_influence", "an ordinary block", lambda b: b.score("block_influence", "identity", 0), _more),
    ("angular_distance", "the identity", lambda b: b.score("angular_distance", "identity", 2, 4), _zero),
    ("angular_distance", "the identity is chosen", _run_of_identity, _yes),
    ("angular_distance", "an ordinary block", lambda b: b.score("angular_distance", "identity", 0), _more),
    ("angular_distance", "two blocks that undo each other, as a run", _run_undone, _yes),
    ("deepest", "the blocks before the last", _deepest, _yes),
    ("cka", "the identity", lambda b: b.score("cka", "identity", 2, 4), _zero),
    ("cka", "a block that only scales", lambda b: b.score("cka", "scaling", 2), _zero),
    ("cka", "an ordinary block", lambda b: b.score("cka", "identity", 0), _more),
    ("deletion_loss", "the identity, above the baseline", _loss_above_base, _zero),
    ("sleb", "both identities are chosen", _chooses_planted("sleb"), _yes),
    ("sleb", "both identities, native form", _chooses_planted("sleb", native=True), _yes),
    ("beam", "both identities are chosen", _chooses_planted("beam"), _yes),
    ("exhaustive", "both identities are chosen", _chooses_planted("exhaustive"), _yes),
    ("exhaustive", "two blocks that undo each other", _pair_undone, _yes),
    ("taylor", "the identity", lambda b: b.score("taylor", "identity", 2, 4), _zero),
    ("taylor", "an ordinary block", lambda b: b.score("taylor", "identity", 0), _more),
    ("laco", "an identity is merged away", lambda b: _kl(b, "identity", b.layout("laco", "identity", 1)), _zero),
    ("laco", "two equal blocks and a third, against the third alone", _merged_twins, _zero),
    ("random", "distinct sets under the constraints", _random, _yes),
    ("worst_first", "the identity goes last", _order("worst_first", first=False), _yes),
)


def _checked(bench: _Bench, method: str, planted: str, answer: _Answer, expected: tuple[str, _Verdict]) -> Check:
    words, holds = expected
    try:
        value = answer(bench)
    except Exception as error:  # whatever goes wrong on a device is the answer
        return Check(method, planted, words, f"{type(error).__name__}: {error}", passed=False)
    found = ("yes" if value else "no") if words == "yes" else f"{value:.3g}"
    return Check(method, planted, words, found, holds(value))


_LOOK_AT_NOTHING = ("deepest", "random")
_LOOK_AT_THE_MODEL_AS_IT_IS = ("block_influence", "angular_distance", "cka", "taylor")


def _refusals(bench: _Bench) -> Iterator[Check]:
    """What is not finite must be an error that names it, never a score: to every method that would come to see it."""
    for method in METHODS:
        if method not in _LOOK_AT_NOTHING:
            yield _refused(bench, method, "broken", "a block that yields NaN")
            if method not in _LOOK_AT_THE_MODEL_AS_IT_IS:
                yield _refused(bench, method, "overflowing", "a layout that overflows")


def _refused(bench: _Bench, method: str, what: Plant, words: str) -> Check:
    try:
        if METHODS[method].sets is None:
            block_scores(_settings(method), _problem(), bench.models[what].ask)
        else:
            bench.layout(method, what, 1)
        found = "a score"
    except NotFinite:
        found = "an error"
    except Exception as error:  # an error, but one that says nothing of what is the matter
        found = f"{type(error).__name__}: {error}"
    return Check(method, words, "an error", found, found == "an error")
