"""What a report says of a checkpoint's weights: quantised, changed in part, or open."""

from __future__ import annotations

from typing import Any, cast

import reports_facts

from checker.judge.form import Report
from checker.reports.tables import released

BLOCKS = 30


def shown(**changes: Any) -> released.Shown:
    """The healed checkpoint of the sample report, with other provenance."""
    rows = reports_facts.released(BLOCKS)
    row = rows["checkpoints"][0]
    row["provenance"] = {**row["provenance"], **changes}
    return released.checkpoints(cast(Report, {"released": {"base": rows["base"], "checkpoints": [row]}, "tasks": []}))[
        0
    ]


def test_a_quantised_checkpoint() -> None:
    found = shown(done="blocks 2, 4, 6 removed, quantised (Q4_1)", retrained=0, quantised=27, types="Q4_1")
    assert found.heading == "healed: blocks 2, 4, 6 removed, quantised (Q4_1)"
    told = "27 of 27 blocks hold the model's own weights, quantised (Q4_1): no value lies beyond rounding to that grid."
    assert told in found.sentences


def test_a_merged_adapter() -> None:
    found = shown(changed=["q_proj", "v_proj"], share=0.0812, change=0.31)
    told = (
        "Of its changed blocks other values in q_proj, v_proj (8.12 % of a block's parameters), relative change up to "
    )
    assert f"{told}0.31; the rest is the model's." in found.sentences


def test_an_open_layout_is_headed_as_open() -> None:
    found = shown(
        layout=None, removed=None, done=None, open=["block 4 of the checkpoint: all its sampled values are 0"]
    )
    assert found.heading == "healed: what was done to the model's blocks is open"
    assert found.sentences[0] == "Open: block 4 of the checkpoint: all its sampled values are 0."
    assert not any("blocks 0" in sentence for sentence in found.sentences)
