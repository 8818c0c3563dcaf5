"""Settings of strangers' configurations: what a few bytes stand for is bounded. How cutting changes them is tested
with whole models, in test_checkpoint_export."""

from __future__ import annotations

from checker.checkpoints.config import cut_settings


def test_a_pattern_that_stands_for_any_number_of_entries_is_left_alone() -> None:
    assert cut_settings({"attention_types": [[["global", "local"], 10**12]]}, 4, [0, 2]) == {}
    assert cut_settings({"attention_types": [[["global", "local"], 2]]}, 4, [0, 3]) == {
        "attention_types": [[["global", "local"], 1]]
    }
