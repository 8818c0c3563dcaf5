"""What the units of a text carry: skewed ones, ones that go together, ones that share tokens, one that carries all."""

from __future__ import annotations

from dataclasses import replace

import evidence_sample as samples
import numpy as np
import pytest
from evidence_sample import Sample, claim

from checker.core.layouts import Layout
from checker.core.records import Claim
from checker.judge.figures.costs import Costs


def removal(at_most: float, **keys: object) -> Claim:
    return claim("pruned", "removal", layers=(4, 6), at_most=at_most, **keys)


def shaped(monkeypatch: pytest.MonkeyPatch, values: np.ndarray, **changes: object) -> Sample:
    """A sample whose answers vary over the units as ``values`` do, with mean 0 and standard deviation 1."""
    wave = (values - values.mean()) / values.std(ddof=1)
    monkeypatch.setattr(samples, "_wave", lambda units, _: wave if units == len(wave) else np.zeros(units))
    return Sample(windows=len(values), **changes)  # type: ignore[arg-type]


def test_windows_skewed_to_the_right_support_nothing_by_their_upper_end(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.tile([-1.0, 0.0], 12).astype(float)
    values[[5, 15]] = 6.0
    sample = shaped(monkeypatch, values)
    row = sample.verdict(removal(at_most=12.0))
    assert row["verdict"] == "open"
    assert row["interval"] is not None
    assert row["interval"][1] < 12.0
    assert row["further_units"] is None
    assert row["message"].endswith(
        "; the windows are too skewed for that end of the interval: found a skewness of +2.7; expected at most 1.2 of "
        "24 windows"
    )
    assert sample.verdict(removal(at_most=1.0))["verdict"] == "contradicted", "the short tail decides"
    assert sample.verdict(removal(at_most=12.0, scope="contract"))["verdict"] == "supported"
    mirrored = shaped(monkeypatch, -values)
    assert mirrored.verdict(removal(at_most=12.0))["verdict"] == "supported"
    assert mirrored.verdict(removal(at_most=1.0))["verdict"] == "open"


def test_neighbours_that_go_together_leave_too_few_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.repeat([-1.0, 1.0, -1.0, 1.0], 6)
    row = shaped(monkeypatch, values).verdict(removal(at_most=50.0))
    assert (row["verdict"], row["interval"]) == ("open", None)
    assert "(no interval: fewer than 8 effective units)" in row["message"]
    assert "; neighbouring windows go together, and 24 say as much as " in row["message"]
    apart = shaped(monkeypatch, np.tile([-1.0, 1.0], 12)).verdict(removal(at_most=50.0))
    assert apart["verdict"] == "supported"


def test_windows_that_score_tokens_twice_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = shaped(monkeypatch, np.tile([-1.0, -1.0, 1.0, 1.0], 6))
    assert sample.verdict(removal(at_most=50.0))["verdict"] == "supported"
    contract = replace(sample.audit.evaluation, window=64, stride=32, boundary="whole_window")
    row = sample.changed(evaluation=contract).verdict(removal(at_most=50.0))
    assert row["verdict"] == "open"
    assert "12 windows decide nothing about a population, at least 16 do" in row["message"]


@pytest.mark.parametrize("windows", [16, 64, 200])
@pytest.mark.parametrize("at_most", [5.0, 8.0, 9.0, 20.0])
def test_one_catastrophic_window_decides_nothing_and_is_named(
    monkeypatch: pytest.MonkeyPatch, windows: int, at_most: float
) -> None:
    values = np.tile([0.9, 1.1], windows // 2).astype(float)
    values[7] = values.sum() - values[7]  # as much as all others together
    sample = shaped(monkeypatch, values, spread=values.std(ddof=1) / values.mean())
    row = sample.verdict(removal(at_most=at_most))
    assert row["verdict"] == "open"
    assert ", 50% of it in window 7 alone; claimed: at most" in row["message"]


def test_units_that_repeat_others_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = shaped(monkeypatch, np.tile([-1.0, 1.0], 12))
    assert sample.verdict(removal(at_most=50.0))["verdict"] == "supported"
    facts = sample.facts
    assert facts.evaluation is not None
    assert facts.scoring is not None
    evaluation = replace(facts.evaluation, repeats=tuple(range(10, 24)))
    scoring = replace(facts.scoring, repeats=tuple(range(1, facts.scoring.prompts)))
    evidence = replace(sample.evidence, facts=replace(facts, evaluation=evaluation, scoring=scoring))
    assert evidence.of_windows.counted == tuple(range(10))
    assert evidence.of_prompts.counted == (0,)
    cost = Costs(evidence).increase(Layout.base(8).without([4, 6]))
    assert cost is not None
    assert cost.units == 10
    assert cost.value == pytest.approx(sample.verdict(removal(at_most=50.0))["value"]), "the contract's own value"
