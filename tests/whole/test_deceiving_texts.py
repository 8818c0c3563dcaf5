"""Texts that look like more than they are: one prompt many times, one paragraph to the end, a copy in other signs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_audit

from checker.audit import audit


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with tiny_audit.one_thread():
        yield


def results(folder: Path, rule: str) -> list[tuple[str, str]]:
    """What a rule says of the folder's audit, measured with as little as it takes."""
    short = tiny_audit.write_audit(folder, methods="[deletion]", budgets="[1]", claims="[]")
    report = audit(short, out=folder / "out").report
    return [(found["outcome"], found["message"]) for found in report["findings"] if found["rule"] == rule]


def write_prompts(folder: Path, *prompts: str) -> None:
    lines = (json.dumps({"kind": "news", "text": text}) + "\n" for text in prompts)
    (folder / "prompts.jsonl").write_text("".join(lines), encoding="utf-8")


def test_one_prompt_twelve_times_and_one_paragraph_to_the_end(tmp_path: Path) -> None:
    tiny_audit.write(tmp_path)
    write_prompts(tmp_path, *[tiny_audit.sentence(48, seed=1)] * 12)
    paragraph = tiny_audit.sentence(67, seed=2)
    (tmp_path / "evaluation.txt").write_text(" ".join([paragraph] * 10), encoding="utf-8")
    expected = "expected at most a tenth, and 8 that do not"
    assert results(tmp_path, "data/repeated-units") == [
        ("fail", f"found that 11 of 12 prompts of the scoring text repeat earlier ones, prompt 1 first; {expected}"),
        # Windows begin with 32 words and add 16 each: window 3 adds words 64 to 79, of which 13 are the second copy's.
        ("fail", f"found that 17 of 20 windows of the evaluation text repeat earlier ones, window 3 first; {expected}"),
    ]


@pytest.mark.parametrize("mark", ["", ",", "\u200b"])
def test_a_copy_with_a_mark_at_every_seventh_word(tmp_path: Path, mark: Any) -> None:
    tiny_audit.write(tmp_path)
    words = (tmp_path / "evaluation.txt").read_text(encoding="utf-8").split()
    marked = [f"{word} {mark}" if mark and number % 7 == 6 else word for number, word in enumerate(words)]
    write_prompts(tmp_path, *(" ".join(marked[start : start + 30]) for start in range(0, 360, 30)))
    ((outcome, message),) = results(tmp_path, "data/selection-overlaps-evaluation")
    assert outcome == "fail"
    assert message.endswith(
        "; expected runs below 100 and less than 1% of the windows; arms are tuned on their test text"
    )
