"""Runs every method on models whose right answers are known, on one device and in one dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

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


_Plants = Callable[[Plant], Planted]  # the planted models of one device and dtype
_Answer = Callable[[_Plants, str], float]  # what a method, named last, makes of them
_Verdict = tuple[str, Callable[[float], bool]]  # in words, and whether an answer is right


def selftest(dtype: str, device: torch.device) -> list[Check]:
    """Every planted answer of every method. A check that raises has failed, with the error as what was found."""

    @cache
    def plants(what: Plant) -> Planted:
        return plant(what, getattr(torch, dtype), device)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other over tiny products make it a hundred times slower
    try:
        return [_checked(plants, *case) for case in _CASES] + [*_refusals(plants)]
    finally:
        torch.set_num_threads(threads)


def _problem(spacing: int = 1) -> Problem:
    return Problem(BLOCKS, pairs_within(BLOCKS, 1), Geometry(BLOCKS, spacing), "into", 0)


def _settings(method: str) -> MethodSettings:
    return MethodSettings(method, (1, 2), draws=5, of="deletion")


def _scores(planted: Planted, method: str) -> dict[int, float]:
    return block_scores(_settings(method), _problem(), planted.ask)


def _layouts(planted: Planted, method: str, budget: int, native: bool = False, spacing: int = 1) -> tuple[Layout, ...]:
    chooses = METHODS[method].native if native else METHODS[method].sets
    assert chooses is not None
    return chooses(planted.ask, _problem(spacing), budget, _settings(method))


def _kl(planted: Planted, layout: Layout) -> float:
    return float(planted.ask.kl([layout])[layout].mean())


def _score(what: Plant, *blocks: int) -> _Answer:
    """The largest of a method's scores of these blocks."""

    def answer(plants: _Plants, method: str) -> float:
        scores = _scores(plants(what), method)
        return max(scores[block] for block in blocks)

    return answer


def _distance(what: Plant, *key: int) -> _Answer:
    """A method's distance of a block or a pair, the mean over prompts."""

    def answer(plants: _Plants, method: str) -> float:
        distances = METHODS[method].distances
        assert distances is not None
        return float(np.mean(distances(plants(what).ask, _problem())[key]))

    return answer


def _removes(what: Plant, *sets: tuple[int, ...], native: bool = False, spacing: int = 1) -> _Answer:
    """1 where a method removes one of these sets of blocks, which are of one size, else 0."""

    def answer(plants: _Plants, method: str) -> float:
        layout = _layouts(plants(what), method, len(sets[0]), native, spacing)[0]
        return float(layout.removed(BLOCKS) in sets)

    return answer


def _loss_above_base(plants: _Plants, method: str) -> float:
    base = Layout.base(BLOCKS)
    loss = float(plants("identity").ask.loss([base])[base].mean())
    return _distance("identity", 2)(plants, method) - loss


def _merged_identity(plants: _Plants, method: str) -> float:
    identity = plants("identity")
    return _kl(identity, _layouts(identity, method, 1)[0])


def _merged_twins(plants: _Plants, _: str) -> float:
    base, twins = Layout.base(BLOCKS), plants("twins")
    merged, moved = laco.merge(base, 2, 2), base.without([3, 4]).with_weights({2: 4})
    return _kl(twins, merged) - _kl(twins, moved)


def _random(plants: _Plants, method: str) -> float:
    drawn = [layout.removed(BLOCKS) for layout in _layouts(plants("identity"), method, 2)]
    return float(len(set(drawn)) == len(drawn) == 5 and all(_problem().geometry.allows(layers) for layers in drawn))


def _identity_last(plants: _Plants, method: str) -> float:
    scores = _scores(plants("identity"), method)
    return float(sorted(scores, key=lambda block: scores[block])[-1] in plants("identity").blocks)


_YES: _Verdict = ("yes", lambda value: value == 1.0)
_ZERO: _Verdict = ("0", lambda value: abs(value) <= _NOTHING)
_MORE: _Verdict = (f"above {_SOMETHING:g}", lambda value: value >= _SOMETHING)

_CASES: tuple[tuple[str, str, _Answer, _Verdict], ...] = (
    ("interchange", "two equal blocks", _distance("twins", 2, 3), _ZERO),
    ("interchange", "two blocks that commute", _distance("commuting", 2, 3), _ZERO),
    ("interchange", "two ordinary blocks", _distance("twins", 0, 1), _MORE),
    ("replacement", "two equal blocks", _distance("twins", 2, 3), _ZERO),
    ("replacement", "two equal blocks, other way", _distance("twins", 3, 2), _ZERO),
    ("replacement", "two blocks that commute", _distance("commuting", 2, 3), _MORE),
    ("deletion", "the identity", _score("identity", 2, 4), _ZERO),
    ("deletion", "two equal blocks", _distance("twins", 2), _MORE),
    ("deletion", "a block that only scales", _distance("scaling", 2), _ZERO),
    ("averaging", "two equal blocks", _distance("twins", 2, 3), _ZERO),
    ("averaging", "two blocks that commute", _distance("commuting", 2, 3), _MORE),
    ("block_influence", "the identity", _score("identity", 2, 4), _ZERO),
    ("block_influence", "a block that only scales", _score("scaling", 2), _ZERO),
    ("block_influence", "an ordinary block", _score("identity", 0), _MORE),
    ("angular_distance", "the identity", _score("identity", 2, 4), _ZERO),
    ("angular_distance", "the identity is chosen", _removes("identity", (2,), (4,), native=True), _YES),
    ("angular_distance", "an ordinary block", _score("identity", 0), _MORE),
    ("angular_distance", "two blocks that undo each other, as a run", _removes("undoing", (2, 3), native=True), _YES),
    ("deepest", "the blocks before the last", _removes("identity", (BLOCKS - 3, BLOCKS - 2), native=True), _YES),
    ("cka", "the identity", _score("identity", 2, 4), _ZERO),
    ("cka", "a block that only scales", _score("scaling", 2), _ZERO),
    ("cka", "an ordinary block", _score("identity", 0), _MORE),
    ("deletion_loss", "the identity, above the baseline", _loss_above_base, _ZERO),
    ("sleb", "both identities are chosen", _removes("identity", (2, 4)), _YES),
    ("sleb", "both identities, native form", _removes("identity", (2, 4), native=True), _YES),
    ("beam", "both identities are chosen", _removes("identity", (2, 4)), _YES),
    ("exhaustive", "both identities are chosen", _removes("identity", (2, 4)), _YES),
    ("exhaustive", "two blocks that undo each other", _removes("undoing", (2, 3), spacing=0), _YES),
    ("taylor", "the identity", _score("identity", 2, 4), _ZERO),
    ("taylor", "an ordinary block", _score("identity", 0), _MORE),
    ("laco", "an identity is merged away", _merged_identity, _ZERO),
    ("laco", "two equal blocks and a third, against the third alone", _merged_twins, _ZERO),
    ("random", "distinct sets under the constraints", _random, _YES),
    ("worst_first", "the identity goes last", _identity_last, _YES),
)


def _checked(plants: _Plants, method: str, planted: str, answer: _Answer, verdict: _Verdict) -> Check:
    words, holds = verdict
    try:
        value = answer(plants, method)
    except Exception as error:  # whatever goes wrong on a device is the answer
        return Check(method, planted, words, f"{type(error).__name__}: {error}", passed=False)
    found = ("yes" if value else "no") if words == "yes" else f"{value:.3g}"
    return Check(method, planted, words, found, holds(value))


_LOOK_AT_NOTHING = ("deepest", "random")
_LOOK_AT_THE_MODEL_AS_IT_IS = ("block_influence", "angular_distance", "cka", "taylor")


def _refusals(plants: _Plants) -> Iterator[Check]:
    """What is not finite must be an error that names it, never a score: to every method that would come to see it."""
    for method in METHODS:
        if method not in _LOOK_AT_NOTHING:
            yield _refused(plants, method, "broken", "a block that yields NaN")
            if method not in _LOOK_AT_THE_MODEL_AS_IT_IS:
                yield _refused(plants, method, "overflowing", "a layout that overflows")


def _refused(plants: _Plants, method: str, what: Plant, words: str) -> Check:
    try:
        if METHODS[method].sets is None:
            _scores(plants(what), method)
        else:
            _layouts(plants(what), method, 1)
        outcome = "a score"
    except NotFinite:
        outcome = "an error"
    except Exception as error:  # an error, but one that says nothing of what is the matter
        outcome = f"{type(error).__name__}: {error}"
    return Check(method, words, "an error", outcome, outcome == "an error")
