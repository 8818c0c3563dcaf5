"""What ``pruneaudit plan`` says a run will take."""

from __future__ import annotations

import re
from pathlib import Path

import tiny_audit
from command_line import Command


def test_plan_says_what_a_run_takes(tiny: Path, here: Path, command: Command) -> None:
    done = command("plan", tiny / "audit.yaml")
    assert (done.code, done.err) == (0, "")
    lines = dict(
        line.split(maxsplit=1) for line in done.out.splitlines() if not line.startswith(("block runs", "note"))
    )
    assert lines["model"].startswith("model, 6 blocks, ")
    # The baseline, ten replacements, five interchanges, six deletions; the baseline, six deletions and the sets.
    sets = int(re.search(r"of which (\d+) removal sets", lines["layouts"])[1])  # type: ignore[index]
    singles = int(lines["layouts"].split()[0]) - 22 - 7
    assert 0 <= sets - singles <= 6, "sets of one block are single deletions as well"
    assert re.search(r"^block runs \d+ instead of \d+ without shared prefixes$", done.out, re.MULTILINE)
    assert re.fullmatch(r"about \d+(\.\d)? (s|min|h) on this processor \(\d+ GFLOP/s measured now\)", lines["time"])
    assert list(here.iterdir()) == []


def test_plan_of_a_model_that_is_not_at_hand(tiny: Path, command: Command) -> None:
    away = tiny_audit.write_audit(tiny, "away.yaml", model="{kind: hub, repo: no-such-org/no-such-model}")
    done = command("plan", away)
    assert (done.code, done.out) == (4, "")
    assert "no-such-org/no-such-model" in done.err


def test_plan_prices_each_checkpoint_and_says_which_is_not_at_hand(tiny: Path, command: Command) -> None:
    section = "{same: {kind: directory, path: model, blocks: true}, away: {kind: hub, repo: no-such-org/pruned}}"
    done = command("plan", tiny_audit.write_audit(tiny, "with.yaml", checkpoints=section))
    without = command("plan", tiny / "audit.yaml")
    assert (done.code, done.err) == (0, "")
    lines = [line for line in done.out.splitlines() if line.startswith("checkpoint ")]
    # On the evaluation text 6 blocks, and 1 + 2 + 3 + 4 + 5 more for its single deletions; on the scoring text 6.
    assert re.fullmatch(
        r"checkpoint same, 6 blocks, 68,704 parameters: 27 block runs, about 0\.0 GiB, about \d+ s", lines[0]
    )
    assert lines[1] == "checkpoint away, not at hand: what it takes is not counted"
    assert re.search(r"^note: checkpoint away: hub model no-such-org/pruned, revision main: ", done.out, re.MULTILINE)
    runs = [int(re.findall(r"block runs (\d+)", each.out)[0]) for each in (without, done)]
    # The model runs twice more on the scoring text: beside the raw removal, which is the model here, and to be kept.
    assert runs[1] - runs[0] == 27 + 6 + 6


def test_plan_says_that_tasks_are_not_priced(tiny: Path, command: Command) -> None:
    tasks = "{run: [hellaswag, arc_easy], on: [model]}"
    done = command("plan", tiny_audit.write_audit(tiny, "tasks.yaml", tasks=tasks))
    assert (done.code, done.err) == (0, "")
    assert (
        "note: tasks (hellaswag and arc_easy) are not in these figures, because how much they ask is known once they "
        "are read\n"
    ) in done.out
    assert "note: tasks" not in command("plan", tiny / "audit.yaml").out
