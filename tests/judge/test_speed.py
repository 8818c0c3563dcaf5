"""Claims of speed on closed cases, and what a report says of timings."""

from __future__ import annotations

from dataclasses import asdict, replace
from math import exp, sqrt
from pathlib import Path
from typing import Any

import pytest
from evidence_sample import Sample, checkpoint_facts, claim, fill, timing, with_checkpoint
from scipy import stats as scipy_stats

from checker.core.errors import EvidenceDamaged
from checker.core.store import Store
from checker.core.timings import Seconds, TimingFacts
from checker.judge.evidence import stored_evidence
from checker.judge.form import ClaimRow
from checker.reports.tables.released import checkpoints
from checker.spec import timings as recorded

MACHINE = "on a processor, 2 threads, torch 2.13.0, transformers 5.0.0, Linux"


def speed(at_least: float, name: str = "a", phase: str = "decode", of: str = "pruned") -> Any:
    return claim(name, "speed", of=of, phase=phase, at_least=at_least)


def sample(*timed: TimingFacts, **changes: Any) -> Sample:
    """The sample with a checkpoint and these timings of it, the newest last."""
    base = with_checkpoint()
    settings = timed[-1].settings if timed else base.audit.timing
    return replace(base.changed(timing=settings, **changes), timings={"pruned": timed})


def row(claimed: Any, *timed: TimingFacts, **changes: Any) -> ClaimRow:
    return sample(*timed, **changes).verdict(claimed)


HALF = float(scipy_stats.t.ppf(0.975, 19)) * 0.02 / sqrt(20)  # of the interval, in logs
LOW, HIGH = 1.2 * exp(-HALF), 1.2 * exp(HALF)


@pytest.mark.parametrize(
    ("at_least", "verdict"),
    [(1.0, "supported"), (LOW - 1e-6, "supported"), (LOW + 1e-6, "open"), (1.2, "open"), (HIGH - 1e-6, "open"),
     (HIGH + 1e-6, "contradicted"), (2.0, "contradicted")],
)  # fmt: skip
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_claim_is_decided_on_the_unfavourable_end(at_least: float, verdict: str, phase: str) -> None:
    found = row(speed(at_least, phase=phase), timing())
    assert found["verdict"] == verdict
    assert found["value"] == pytest.approx(1.2)
    assert found["interval"] == pytest.approx([LOW, HIGH])
    assert (found["unit"], found["threshold"], found["scope"]) == ("times", at_least, "population")
    assert found["range"] == {"lower": at_least, "upper": None}


def test_the_message_names_machine_tokens_and_both_rates() -> None:
    found = row(speed(1.1), timing())
    assert found["message"] == (
        f"pruned decodes 1.2 times as fast as the model [{LOW:.4g}, {HIGH:.4g}]: 38.4 against 32 tokens per second of "
        f"1 sequence, 32 tokens after a prompt of 128 in float32, {MACHINE}; claimed: at least 1.1 times as fast"
    )
    assert found["says"] == "a."
    assert found["decided"] == (
        "the checkpoint pruned decodes at least 1.1 times as fast as the model, on the machine that timed the two in "
        "turns"
    )
    prefill = row(speed(1.1, phase="prefill"), timing())["message"]
    assert ": 614 against 512 tokens per second of 1 sequence of 512 tokens in float32, " in prefill


def test_without_a_timing_it_is_open_and_says_what_to_run() -> None:
    found = row(speed(1.1))
    assert (found["verdict"], found["value"], found["further_units"]) == ("open", None, None)
    assert found["message"] == (
        "pruned is not timed against the model with these settings; run: pruneaudit time AUDIT; claimed: at least 1.1 "
        "times as fast"
    )
    unread = replace(sample(), checkpoints=(), timings={})
    assert unread.verdict(speed(1.1))["message"].startswith("pruned was not read yet, run the audit, and for its speed")


def test_a_model_without_a_cache_leaves_decoding_open() -> None:
    reason = "the forward of pruned gives no cache of keys and values to decode with"
    known = timing(decode=None, no_decode=reason)
    assert row(speed(1.1), known)["message"].startswith(f"pruned cannot be timed decoding: {reason}; claimed")
    assert row(speed(1.1, phase="prefill"), known)["verdict"] == "supported"


def test_turns_that_go_together_count_as_fewer() -> None:
    """A machine that slows down in the middle of eight pairs shows nothing about eight independent ones."""
    slow = Seconds((1.0,) * 8, (0.8,) * 4 + (0.9,) * 4)
    found = row(speed(1.1), replace(timing(pairs=8), decode=slow))
    assert (found["verdict"], found["interval"]) == ("open", None)
    assert "(no interval: fewer than 8 effective units)" in found["message"]
    assert "neighbouring pairs of turns go together, and 8 say as much as " in found["message"]
    further = found["further_units"]
    assert further is not None
    assert further > 0


def test_claims_of_speed_share_one_error_rate() -> None:
    close = [speed(LOW - 1e-6, name) for name in ("one", "two")]
    assert row(close[0], timing())["verdict"] == "supported"
    rows = sample(timing()).verdicts(*close)
    assert [each["verdict"] for each in rows] == ["open", "open"]
    assert all("claims share one error rate of 0.05 (Holm)" in each["message"] for each in rows)
    assert sample(timing()).verdicts(close[0], speed(1.0, "far"))[0]["verdict"] == "supported"


def test_a_ratio_without_any_spread_is_decided() -> None:
    known = timing(spread=0.0)
    assert [row(speed(bound), known)["verdict"] for bound in (1.1999999, 1.3)] == ["supported", "contradicted"]


def test_the_newest_timing_counts_and_the_others_are_said() -> None:
    elsewhere = replace(timing().machine, device="A GPU", threads=8)
    earlier = (timing(2.0), timing(3.0, machine=elsewhere))
    found = sample(*earlier, timing()).verdict(speed(1.1))
    assert found["value"] == pytest.approx(1.2)
    assert found["message"].endswith("; the newest of 3 timings, some on 1 other machine")
    here = row(speed(1.1), timing(2.0), timing())
    assert here["message"].endswith("; the newest of 2 timings, all on that machine")


def test_a_report_shows_ratio_rates_and_machine() -> None:
    report, _ = sample(timing(2.0), timing()).figures()
    released = report["released"]
    assert released is not None
    found = released["checkpoints"][0]["speed"]
    assert found is not None
    assert found["decode"] is not None
    assert found["decode"]["value"] == pytest.approx(1.2)
    assert found["decode"]["tokens_per_second"] == pytest.approx(1.2 * found["decode"]["model_tokens_per_second"])
    assert found["decode"]["model_tokens_per_second"] == pytest.approx(32.0)
    assert [each["prefill"] and each["prefill"]["value"] for each in found["others"]] == [pytest.approx(2.0)]
    (shown,) = checkpoints({**report})  # type: ignore[typeddict-item]
    cells = {line[0].text: [cell.text for cell in line[1:]] for line in shown.table.rows}
    assert cells["Decoding speed"] == ["32.0\u00a0tokens/s", "–", "1.20\u00a0×"]
    assert any(f"this machine: {MACHINE.removeprefix('on ')}." in sentence for sentence in shown.sentences)


def test_what_was_not_tested_is_true_with_and_without_timings() -> None:
    def said(known: Sample) -> list[str]:
        return [sentence for sentence in known.figures()[0]["not_tested"] if "peed" in sentence]

    (untimed,) = said(sample())
    assert untimed.endswith(", and speed or memory of the pruned model.")
    assert said(sample(timing())) == [
        "Speed of anything but pruned, and on any other machine or number of tokens than was timed."
    ]


def test_tokens_of_another_tokenizer_are_said() -> None:
    known = replace(sample(timing()), checkpoints=(checkpoint_facts(unlike="prompt 0, position 1"),))
    assert ", tokens of its own tokenizer, on a processor" in known.verdict(speed(1.1))["message"]


# --- stored ----------------------------------------------------------------------------------------------------------


def stored(store: Store, known: Sample, record: dict[str, Any]) -> None:
    """A record in the place of the sample's timing."""
    source, fact = known.audit.checkpoints[0].source, known.checkpoints[0]
    store.write_record(recorded.RECORD, recorded.key(known.audit, known.model, fact.model, source), record)


@pytest.mark.parametrize(
    "changes",
    [
        {"prefill": {"model": [1.0] * 19, "checkpoint": [1.0] * 20}},
        {"prefill": {"model": [1.0] * 19, "checkpoint": [1.0] * 19}},
        {"prefill": {"model": [1.0] * 20, "checkpoint": [1.0] * 19 + [0.0]}},
        {"prefill": {"model": [1.0] * 20, "checkpoint": [1.0] * 19 + [1e300]}},
        {"decode": None},
        {"no_decode": "it was timed"},
        {"dtype": "bfloat16"},
        {"settings": {"pairs": 20, "batch": 2}},
        {"machine": {"device": "cpu"}},
        {"seconds": 4.0},
    ],
)
def test_records_that_are_no_timing_of_this_are_damage(changes: dict[str, Any]) -> None:
    known = sample(timing())
    with Store(Path("evidence.db"), in_memory=True) as store:
        fill(store, known)
        assert stored_evidence(known.audit, store).timings == {"pruned": (timing(),)}
        stored(store, known, asdict(timing()) | changes)
        with pytest.raises(EvidenceDamaged):
            stored_evidence(known.audit, store)


def test_other_settings_are_another_timing() -> None:
    known = sample(timing())
    changed = replace(known.audit, timing=replace(known.audit.timing, batch=2))
    model, fact, source = known.model, known.checkpoints[0].model, known.audit.checkpoints[0].source
    keys = {
        recorded.key(known.audit, model, fact, source),
        recorded.key(changed, model, fact, source),
        recorded.key(known.audit, fact, model, source),
        recorded.key(known.audit, model, fact, replace(source, dtype="bfloat16")),
    }
    assert len(keys) == 4


def test_logs_are_of_the_right_way_round() -> None:
    """Half the seconds are twice the speed."""
    found = row(speed(1.5), replace(timing(), decode=Seconds((2.0, 2.2) * 10, (1.0, 1.1) * 10)))
    assert found["value"] == pytest.approx(2.0)
