"""Verifying a pack: what damage and forgery come to, and what the command says. Exit codes are those users see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pack_mutations as mutations
import pytest
import sealed_run
from command_line import Command
from folders import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sealed_run import DAY

from checker import __version__
from checker.core.canonical import canonical
from checker.core.errors import EvidenceDamaged, UsageError
from checker.release import seal
from checker.release.pack import DEEPEST, FILES, MANIFEST, Pack, open_pack, parse
from checker.release.verify import expect, verify

RESTORE = "fetch the pack again from where it was published, or seal it again: pruneaudit pack"
FOLLOWS = "the report does not follow from its rows: do not rely on it, and ask whoever sealed it"
REPOSITORY = ROOT


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return sealed_run.sealed(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> mutations.Contents:
    """The files of a pack that is verified fast."""
    folder = sealed_run.sealed_small(tmp_path_factory.mktemp("small")).folder
    return {name: (folder / name).read_bytes() for name in (*FILES, MANIFEST)}


@pytest.fixture(scope="module")
def contents(sealed: Pack) -> mutations.Contents:
    return {name: (sealed.folder / name).read_bytes() for name in (*FILES, MANIFEST)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pack"


def forged(folder: Path, contents: mutations.Contents, name: str, change: Callable[[Any], Any]) -> mutations.Outcome:
    """What comes of a JSON file that is changed, with a manifest that fits."""
    value = json.loads(contents[name])
    content = canonical(change(value) or value).encode()
    return mutations.outcome(mutations.put(folder, mutations.mended({**contents, name: content})))


# --- a whole pack ----------------------------------------------------------------------------------------------------


def test_the_command_says_what_reproduces_and_what_that_does_not_show(sealed: Pack, command: Command) -> None:
    done = command("verify", sealed.folder)
    assert (done.code, done.err) == (0, "")
    first, outcome, digest, model, last = done.out.splitlines()
    report = sealed.report
    figures = sum(1 for where in mutations.places(report) if not isinstance(at(report, where), dict | list))
    assert (
        first == f"{sealed.folder}: reproduces: {figures} figures of the report follow from its rows, as of 2030-06-15"
    )
    assert outcome == f"the audit's outcome: {sealed.report['summary']}"
    assert digest == f"pack digest {sealed.digest}"
    root = sealed.json("artifacts.json")["root"]
    assert model == f"model root digest {root}, weights {sealed.report['model']['digest']}"
    assert last == (
        "not shown: that the rows were measured honestly, or on this model; --remeasure looks at some of them"
    )


def at(value: Any, where: tuple[Any, ...]) -> Any:
    for key in where:
        value = value[key]
    return value


def test_verifying_the_default_size_takes_little_time_and_no_torch(tmp_path: Path) -> None:
    """More rows than the default audit has, in a process of its own where measuring packages cannot be imported."""
    out = sealed_run.large(tmp_path)
    made = seal.seal(out, tmp_path / "pack", seal.judged_last(out), DAY)
    assert sum(len(answer.values) for answer in seal.rows.read(made.bytes("rows.jsonl"))) > 60_000
    forbid = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'datasets', 'safetensors', 'gguf')))"
    )
    code = f"{forbid}; sys.argv[1:] = ['verify', {str(made.folder)!r}]; from checker.cli import main; main()"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - started < 5 * (1 + os.getloadavg()[0] / (os.cpu_count() or 1))


# --- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [MANIFEST, *FILES])
def test_flipping_any_byte_of_any_file_is_damage_that_names_the_file(
    name: str, folder: Path, small: mutations.Contents
) -> None:
    """Every byte of small files, every so many of large ones; a flip in the manifest may show at the file it names."""
    mutations.put(folder, small)
    content = small[name]
    for place in range(0, len(content), 1 + len(content) // 150):
        (folder / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(EvidenceDamaged) as raised:
            open_pack(folder)
        assert str(folder / name) in str(raised.value) or (name == MANIFEST and MANIFEST in str(raised.value))


def test_the_message_says_what_was_found_and_expected(
    folder: Path, contents: mutations.Contents, command: Command
) -> None:
    mutations.put(folder, {**contents, "audit.yaml": b"pruneaudit: 1\n"})
    done = command("verify", folder)
    found = canonical({"bytes": 14, "sha256": sealed_run.sha256(b"pruneaudit: 1\n")})
    expected = canonical(json.loads(contents[MANIFEST])["files"]["audit.yaml"])
    assert (done.code, done.out) == (5, "")
    assert done.err == (
        f"{folder / 'audit.yaml'}: found {found}; expected {expected}, as manifest.json says; {RESTORE}\n"
    )


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_is_refused_and_names_the_file(
    small: mutations.Contents, tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    kind = data.draw(st.sampled_from(mutations.DAMAGE))
    damaged, name = kind(data.draw, small)
    folder = tmp_path_factory.getbasetemp() / "damaged"
    found = mutations.outcome(mutations.put(folder, damaged))
    assert found.code == 5
    assert name in found.message or (name == MANIFEST and any(file in found.message for file in FILES))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_no_plain_file_is_refused(
    small: mutations.Contents, tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    """Links, devices, pipes that would never end, folders, files larger than any pack; none of them is read."""
    folder = mutations.put(tmp_path_factory.getbasetemp() / "strange" / "pack", small)
    name = mutations.strange(data.draw, folder)
    found = mutations.outcome(folder)
    assert found.code == 5
    assert found.message.startswith(f"{folder / name}: found ")


def test_a_link_to_a_whole_pack_is_followed_but_not_one_inside(
    sealed: Pack, folder: Path, contents: mutations.Contents
) -> None:
    folder.symlink_to(sealed.folder)
    assert open_pack(folder).digest == sealed.digest
    folder.unlink()
    mutations.put(folder, contents)
    (folder / "report.json").unlink()
    (folder / "report.json").symlink_to(sealed.folder / "report.json")
    with pytest.raises(EvidenceDamaged) as raised:
        open_pack(folder)
    assert str(raised.value) == (f"{folder / 'report.json'}: found a symbolic link; expected a plain file; {RESTORE}")


def test_extra_and_missing_files_are_refused(folder: Path, contents: mutations.Contents) -> None:
    mutations.put(folder, {**contents, "\x1b[2Jnotes": b""})
    with pytest.raises(EvidenceDamaged) as raised:
        open_pack(folder)
    assert str(raised.value) == (
        f"{folder}: found '\\x1b[2Jnotes'; expected only manifest.json and the files it names; {RESTORE}"
    )
    mutations.put(folder, {name: content for name, content in contents.items() if name != "rows.jsonl"})
    with pytest.raises(EvidenceDamaged, match=r"rows\.jsonl: found no such file; expected every file of a pack"):
        open_pack(folder)


@pytest.mark.parametrize("name", mutations.HOSTILE)
def test_no_name_in_a_manifest_leads_anywhere(name: str, folder: Path, small: mutations.Contents) -> None:
    manifest = json.loads(small[MANIFEST])
    manifest["files"][name] = manifest["files"].pop("rows.jsonl")
    written = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    found = mutations.outcome(mutations.put(folder, {**small, MANIFEST: written}))
    assert found.code == 5
    assert found.message.startswith(f"{folder / MANIFEST}: found ")


def test_there_must_be_a_folder(folder: Path, command: Command) -> None:
    with pytest.raises(UsageError, match="found no folder; expected a pack"):
        open_pack(folder)
    assert command("verify", folder).code == 2


# --- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a":1,"a":2}', "found JSON that is not canonical from byte 5 on"),
        (b'{"a": 1}', "found JSON that is not canonical from byte 5 on"),
        (b'{"b":1,"a":2}', "found JSON that is not canonical from byte 2 on"),
        (b"[NaN]", "found no canonical JSON (Out of range float values are not JSON compliant"),
        (b"[1e999]", "found no canonical JSON (Out of range float values are not JSON compliant"),
        (b"[1E2]", "found JSON that is not canonical from byte 2 on"),
        (b"[" * 100_000, f"found JSON that is too deep; expected at most {DEEPEST} levels"),
        (b'{"a":' * 100_000, f"found JSON that is too deep; expected at most {DEEPEST} levels"),
        (b"1" * 5000, "found no canonical JSON (Exceeds the limit"),
        (b'"\\ud800"', "found no canonical JSON ("),
        (b"\xff", "found no canonical JSON ("),
        (b"", "found no canonical JSON ("),
    ],
)
def test_only_canonical_json_is_read(content: bytes, message: str) -> None:
    with pytest.raises(EvidenceDamaged) as raised:
        parse(content, "pack/report.json")
    assert str(raised.value).startswith(f"pack/report.json: {message}")


def test_brackets_in_strings_are_no_depth() -> None:
    value = {"a": "[" * 100, 'b"\\': ["]}", "\\"]}
    assert parse(canonical(value).encode(), "x") == value


# --- figures ---------------------------------------------------------------------------------------------------------


def test_an_edited_figure_is_named_with_both_values(
    folder: Path, contents: mutations.Contents, command: Command
) -> None:
    """The distance of the pair (4, 5) is 0.02; whoever edits the report mends its digest as well."""

    def edit(report: Any) -> None:
        report["pairs"][4]["interchange"]["distance"] = 0.001
        report["claims"][1]["value"] = 0.001

    assert forged(folder, contents, "report.json", edit).code == 1
    done = command("verify", folder)
    assert (done.code, done.out) == (1, "")
    expected = json.loads(contents["report.json"])["pairs"][4]["interchange"]["distance"]
    first, others = done.err.splitlines()
    assert first == (
        f"{folder}: report.json: pairs[4].interchange.distance: found 0.001; expected {expected!r}; {FOLLOWS}"
    )
    assert others == "1 more differ, the last one report.json: claims[1, twins].value"


def test_an_edited_verdict_or_finding_is_named(folder: Path, contents: mutations.Contents) -> None:
    def verdict(report: Any) -> None:
        report["claims"][0]["verdict"] = "contradicted"

    assert 'report.json: claims[0, two-blocks].verdict: found "contradicted"; expected "supported"' in (
        forged(folder, contents, "report.json", verdict).message
    )

    def finding(report: Any) -> None:
        failed = next(row for row in report["findings"] if row["outcome"] == "fail")
        failed["outcome"] = "pass"

    assert 'outcome: found "pass"; expected "fail"' in forged(folder, contents, "report.json", finding).message
    gone = forged(folder, contents, "report.json", lambda report: report["findings"].pop() and None)
    assert gone.message.startswith("report.json: findings[")
    assert "found nothing; expected {" in gone.message


def test_every_edited_number_of_the_evidence_is_noticed(folder: Path, small: mutations.Contents) -> None:
    """All numbers but those of the report, which are compared one by one."""
    for name in ("records.json", "environment.json", "artifacts.json", "contracts.json", "audit.json"):
        value = json.loads(small[name])
        numbers = [where for where in mutations.places(value) if type(at(value, where)) in (int, float)]
        for where in numbers[:: 1 + len(numbers) // 4]:
            nudged = canonical(mutations.changed(value, where, None, "nudge")).encode()
            found = mutations.outcome(mutations.put(folder, mutations.mended({**small, name: nudged})))
            assert found.code in (1, 5), (name, where)
            assert any(file in found.message for file in FILES)


def test_an_edited_row_is_noticed_by_the_figures_that_rest_on_it(folder: Path, small: mutations.Contents) -> None:
    answers = seal.rows.read(small["rows.jsonl"])
    for number in range(0, len(answers), 1 + len(answers) // 6):
        values = answers[number].values.copy()
        values[0] += 1e-4 * max(1.0, abs(values[0]))
        edited = [*answers[:number], seal.replace(answers[number], values=values), *answers[number + 1 :]]
        rows = {"rows.jsonl": seal.rows.write(edited)}
        found = mutations.outcome(mutations.put(folder, mutations.mended({**small, **rows})))
        assert found.code == 1, answers[number]
        assert found.message.startswith("report.json: ")


def test_rounding_of_another_machine_is_no_difference(folder: Path, contents: mutations.Contents) -> None:
    def last_digit(report: Any) -> None:
        report["baseline"]["perplexity"] *= 1 + 1e-12

    assert forged(folder, contents, "report.json", last_digit).code == 0

    def sixth_digit(report: Any) -> None:
        report["baseline"]["perplexity"] *= 1 + 1e-6

    assert forged(folder, contents, "report.json", sixth_digit).message.startswith("report.json: baseline.perplexity: ")


def test_rows_and_records_that_nothing_rests_on_are_named(folder: Path, contents: mutations.Contents) -> None:
    answers = seal.rows.read(contents["rows.jsonl"])
    more = {"rows.jsonl": seal.rows.write([*answers, seal.replace(answers[0], layout="(7)")])}
    found = mutations.outcome(mutations.put(folder, mutations.mended({**contents, **more})))
    units = len(answers[0].values)
    assert found.message.startswith(f"rows.jsonl: rows that no figure rests on: found {units}; expected 0; ")
    record = {"name": "text", "key": "k", "content": {"identity": "another text"}}
    found = forged(folder, contents, "records.json", lambda records: [*records, record])
    assert found.message.startswith("records.json: records text k that no figure rests on: found 1; expected 0; ")


def test_a_record_holds_what_a_run_writes_and_no_more(folder: Path, small: mutations.Contents) -> None:
    def more(records: Any) -> None:
        next(record for record in records if record["name"] == "text")["content"]["more"] = 1

    found = forged(folder, small, "records.json", more)
    assert found.code == 5
    assert "records.json: found {'identity': " in found.message

    def fewer(records: Any) -> None:
        del next(record for record in records if record["name"] == "model")["content"]["blocks"]

    assert (
        "records.json: found no 'blocks' in the record of 'model'; "
        in forged(folder, small, "records.json", fewer).message
    )


def test_an_audit_other_than_the_resolved_one_is_named(folder: Path, contents: mutations.Contents) -> None:
    def softer(audit: Any) -> None:
        audit["claims"][0]["at_most"] = 50.0

    assert forged(folder, contents, "audit.json", softer).message.startswith(
        "audit.json: claims[0, two-blocks].at_most: found 50.0; expected 20.0; "
    )


def test_no_policy_file_outside_the_pack_is_opened(folder: Path, small: mutations.Contents, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("fail_on: note\n")
    for named in (str(tmp_path / "policy.yaml"), "../policy.yaml", "/dev/zero"):
        text = small["audit.yaml"] + f"policy: {{extends: {named}}}\n".encode()
        found = mutations.outcome(mutations.put(folder, mutations.mended({**small, "audit.yaml": text})))
        assert found.code == 5
        found_policy = "found a policy that is built on a file; expected one that stands alone"
        assert found.message == f"{folder / 'audit.yaml'}: {found_policy}; {RESTORE}"


@pytest.mark.parametrize("path", ["../sample.yaml", "/etc/passwd", "", "a\0b", "..", ".hidden", 1, None])
def test_no_file_name_in_a_pack_leads_anywhere(path: object, folder: Path, small: mutations.Contents) -> None:
    found = forged(folder, small, "audit.json", lambda audit: {**audit, "path": path})
    assert found.code == 5
    assert found.message.startswith(f"{folder / 'audit.json'}: found the file name ")


def test_a_pack_of_another_version_says_so(folder: Path, contents: mutations.Contents, command: Command) -> None:
    judging, report = json.loads(contents["judging.json"]), json.loads(contents["report.json"])
    judging["tool"]["version"] = report["tool"]["version"] = "9.9.9"
    files = {"judging.json": canonical(judging).encode(), "report.json": canonical(report).encode()}
    done = command("verify", mutations.put(folder, mutations.mended({**contents, **files})))
    assert done.code == 0
    assert done.err == (
        f"note: the pack was made by pruneaudit 9.9.9, this is {__version__}: where they differ in what they judge, "
        "figures differ; to compare like with like: pip install pruneaudit==9.9.9\n"
    )
    report["tool"]["version"] = "9.9.8"
    files["report.json"] = canonical(report).encode()
    done = command("verify", mutations.put(folder, mutations.mended({**contents, **files})))
    assert done.code == 1
    assert 'report.json: tool.version: found "9.9.8"; expected "9.9.9"' in done.err


def test_an_endless_key_is_not_repeated_in_full(folder: Path, small: mutations.Contents, command: Command) -> None:
    found = forged(folder, small, "audit.json", lambda audit: {**audit, "k" * 50_000: 1})
    done = command("verify", folder)
    assert (found.code, done.code, done.out) == (1, 1, "")
    assert max(map(len, done.err.splitlines())) < 2000


@pytest.mark.parametrize(("key", "value"), [("name", "lookalike"), ("version", "certified"), ("version", "0.1.0 (ok)")])
def test_a_tool_that_is_not_this_one(folder: Path, small: mutations.Contents, key: str, value: str) -> None:
    report = json.loads(small["report.json"])
    report["tool"][key] = value
    sealed = {**small, "report.json": canonical(report).encode()}
    found = forged(folder, sealed, "judging.json", lambda made: {**made, "tool": {**made["tool"], key: value}})
    assert found.code == 5
    assert "expected the day of judging, the tool and whose policy" in found.message


def test_a_day_before_the_evidence_was_measured(folder: Path, small: mutations.Contents) -> None:
    found = forged(folder, small, "judging.json", lambda made: {**made, "day": "2025-12-30"})
    assert found.code == 1
    assert found.message.startswith(
        'judging.json: day: found "2025-12-30"; expected "2026-01-01, when it was measured, or later"; '
    )


# --- expectations ----------------------------------------------------------------------------------------------------


def test_expectations_come_from_outside_the_pack(sealed: Pack, command: Command, tmp_path: Path) -> None:
    file = sealed.folder.parent / "sample.yaml"
    root, weights = sealed.json("artifacts.json")["root"], sealed.report["model"]["digest"]
    expectations = ("--expect-pack", sealed.digest.upper(), "--expect-model", root, "--expect-audit", file)
    assert command("verify", sealed.folder, *expectations).code == 0
    assert command("verify", sealed.folder, "--expect-model", weights).code == 0
    done = command("verify", sealed.folder, "--expect-pack", "ab" * 32)
    ask = "ask whoever gave you the pack, or correct the option"
    assert (done.code, done.out, done.err) == (
        5,
        "",
        f"{sealed.folder}: found a pack with the digest {sealed.digest}; expected {'ab' * 32}, as --expect-pack says; "
        f"{ask}\n",
    )
    done = command("verify", sealed.folder, "--expect-model", "cd" * 32)
    assert done.code == 5
    assert f"found a model with the root digest {root} and weights {weights}; expected {'cd' * 32}" in done.err
    other = tmp_path / "sample.yaml"
    other.write_bytes(file.read_bytes().replace(b"at_most: 20", b"at_most: 21"))
    done = command("verify", sealed.folder, "--expect-audit", other)
    assert done.code == 5
    assert f"audit.yaml: found another text; expected that of {other}, as --expect-audit says" in done.err


# --- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return sealed_run.sealed_with_checkpoint(tmp_path_factory.mktemp("released"))


def test_a_pack_with_a_checkpoint_says_its_digests_and_may_be_expected_by_them(
    released: Pack, command: Command
) -> None:
    [row] = released.report["released"]["checkpoints"]  # type: ignore[index]
    root = released.json("artifacts.json")["checkpoints"]["pruned"]["root"]
    done = command("verify", released.folder, "--expect-model", root)
    assert (done.code, done.err) == (0, "")
    assert f"\ncheckpoint pruned: root digest {root}, weights {row['digest']}\n" in done.out
    assert command("verify", released.folder, "--expect-model", row["digest"]).code == 0
    done = command("verify", released.folder, "--expect-model", "cd" * 32)
    assert done.code == 5
    assert (
        f"; the checkpoint pruned with the root digest {root} and weights {row['digest']}; expected {'cd' * 32}"
        in done.err
    )


CHECKPOINT_FORGERIES: Mapping[str, tuple[Any, int, str]] = {
    "another file": (
        {"pruned": {"files": sealed_run.WEIGHTS, "root": None}},
        1,
        "artifacts.json: checkpoints.pruned: root: found null; expected ",
    ),
    "weights of another model": (
        {"pruned": {"files": {"a.gguf": "66" * 32}, "root": sealed_run.sha256(b"\x66" * 32)}},
        1,
        f'artifacts.json: checkpoints.pruned: the digest of the weights: found "{"66" * 32}"; expected ',
    ),
    "left out": ({}, 1, 'artifacts.json: checkpoints[0]: found nothing; expected "pruned"; '),
    "another one": (
        {"pruned": {"files": {}, "root": None}, "other": {"files": {}, "root": None}},
        1,
        'artifacts.json: checkpoints[0]: found "other"; expected "pruned"; ',
    ),
    "no list of files": (
        {"pruned": {"files": []}},
        5,
        "artifacts.json: found {'files': []}; expected files and root; ",
    ),
    "no mapping": (
        ["pruned"],
        5,
        "artifacts.json: found ['pruned']; expected the files of each checkpoint, by its name",
    ),
}


@pytest.mark.parametrize(("stated", "code", "message"), CHECKPOINT_FORGERIES.values(), ids=CHECKPOINT_FORGERIES)
def test_the_files_of_a_checkpoint_are_held_against_its_weights(
    stated: Any, code: int, message: str, released: Pack, folder: Path
) -> None:
    contents = {name: released.bytes(name) for name in FILES}
    found = forged(folder, contents, "artifacts.json", lambda made: {**made, "checkpoints": stated})
    assert found.code == code
    assert message in found.message


def test_an_expected_audit_was_not_changed_with_set(sealed: Pack, tmp_path: Path) -> None:
    file = sealed.folder.parent / "sample.yaml"
    out = sealed.folder.parent / "run"
    made = seal.seal(out, tmp_path / "pack", seal.judged_by(str(file), ["statistics.margin=0.2"]), DAY)
    with pytest.raises(EvidenceDamaged, match=r"found values changed with --set statistics\.margin=0\.2; expected "):
        expect(made, audit=file)


def test_an_environment_without_its_device_is_named_by_its_file(folder: Path, small: mutations.Contents) -> None:
    found = forged(folder, small, "environment.json", lambda known: {"torch": known["torch"]})
    assert found.code == 5
    assert "environment.json, python: found None; expected text; " in found.message


# --- forgery ---------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_forged_packs_never_crash_it(
    small: mutations.Contents, tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    """A small run; ``benchmarks/fuzz_packs.py`` is the long one."""
    kind = data.draw(st.sampled_from(mutations.FORGERY))
    files = kind(data.draw, small)
    files = files if kind is mutations.misnamed else mutations.mended(files)
    found = mutations.outcome(mutations.put(tmp_path_factory.getbasetemp() / "forged", files))
    assert found.code in (0, 1, 5)
    assert found.code == 0 or any(name in found.message for name in (*FILES, MANIFEST))


LINE = {"blocks": "", "contract": "c", "layout": "(0)", "model": "m", "quantity": "kl", "text": "scoring"}


def line(values: Any = ((0.5,),), **changes: Any) -> bytes:
    return canonical({**LINE, "values": values, **changes}).encode() + b"\n"


def raw(values: bytes) -> bytes:
    """A line whose values are these bytes."""
    return line("VALUES").replace(b'"VALUES"', values)


WANTED = "texts called model, contract, text, quantity, blocks, layout, and values; "
NUMBERS = "a list of numbers with a decimal point for each batch; "
FORGED = {
    "two lines in the wrong order": (line(layout="(1)") + line(), ", line 2: found values of kl of (0) on scoring; "),
    "a question twice": (line() + line(), ", line 2: found values of kl of (0) on scoring; expected lines in their or"),
    "spaces": (line().replace(b":", b": "), ", line 1: found JSON that is not canonical from byte "),
    "a key twice": (line().replace(b"{", b'{"blocks":"",'), ", line 1: found JSON that is not canonical from byte "),
    "an empty line": (b"\n" + line(), ", line 1: found no canonical JSON ("),
    "no line break at the end": (line()[:-1], f", line 1: found a line of {len(line()) - 1} bytes; expected at most "),
    "another kind of line break": (line()[:-1] + b"\r\n", ", line 1: found JSON that is not canonical from byte "),
    "not UTF-8": (b"\xff" + line(), ", line 1: found no canonical JSON ("),
    "half a surrogate": (line().replace(b"scoring", b"\\ud800"), ", line 1: found no canonical JSON ("),
    "a list": (b"[]\n", f", line 1: found []; expected {WANTED}"),
    "a key more": (line(more=1), f"; expected {WANTED}"),
    "a key less": (line().replace(b'"blocks":"",', b""), f"; expected {WANTED}"),
    "a number for a text": (line(layout=1), f"; expected {WANTED}"),
    "a long layout": (line(layout="(" + "0," * 50_000 + "0)"), ", line 1: found a layout of more than 100000 char"),
    "blocks in the quantity": (line(quantity="cka 0-1"), ", line 1: found the quantity 'cka 0-1' of the blocks ''; "),
    "a space after the quantity": (line(quantity="kl "), ", line 1: found the quantity 'kl ' of the blocks ''; "),
    "values that are none": (line(None), f", line 1: found the values None; expected {NUMBERS}"),
    "one list": (line([0.5]), f", line 1: found the values [0.5]; expected {NUMBERS}"),
    "a whole number": (line([[1]]), f", line 1: found the values [[1]]; expected {NUMBERS}"),
    "a truth value": (line([[0.5, True]]), f", line 1: found the values [[0.5, True]]; expected {NUMBERS}"),
    "no values": (line([]), ", line 1: found no value in the last batch; expected only batches up to the last one "),
    "an empty batch at the end": (line([[0.5], []]), ", line 1: found no value in the last batch; "),
    "not a number": (raw(b"[[NaN]]"), ", line 1: found no canonical JSON (Out of range float values"),
    "an infinite value": (raw(b"[[1e999]]"), ", line 1: found no canonical JSON (Out of range float values"),
    "too many digits": (raw(b"[[0.50]]"), ", line 1: found JSON that is not canonical from byte "),
    "a number without end": (raw(b"[[" + b"1" * 5000 + b"]]"), ", line 1: found no canonical JSON (Exceeds the limit"),
    "brackets without end": (raw(b"[" * 900_000), f", line 1: found JSON that is too deep; expected at most {DEEPEST}"),
    "a million lists": (raw(b"[" + b"[0.5]," * 999_999 + b"[0.5]]"), ": found 1000001 lists; expected at most 1000000"),
    "a line of 16 MB": (raw(b"[[" + b"0.5," * 4_000_000 + b"0.5]]"), "; expected at most 16000000, and a line break"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), FORGED.values(), ids=FORGED)
def test_lines_other_than_the_ones_that_pack_writes_are_damage(
    content: bytes, message: str, folder: Path, small: mutations.Contents
) -> None:
    found = mutations.outcome(mutations.put(folder, mutations.mended({**small, "rows.jsonl": content})))
    assert found.code == 5
    assert found.message.startswith(f"{folder / 'rows.jsonl'}")
    assert message in found.message
    assert len(found.message) < 1000


def test_hostile_lines_take_little_memory(small: mutations.Contents) -> None:
    """Short lists take the most memory for their bytes: some hundred bytes each, and at most a million are read."""
    number = 50_000
    content = raw(b"[" + b"[0.5]," * (number - 1) + b"[0.5]]")
    tracemalloc.start()
    try:
        assert len(seal.rows.read(content)) == number
        assert tracemalloc.get_traced_memory()[1] < 800 * number
    finally:
        tracemalloc.stop()


def test_a_verified_pack_is_the_one_that_was_opened(sealed: Pack, folder: Path, contents: mutations.Contents) -> None:
    """Bytes are read once: a file that changes after it was checked changes nothing."""
    opened = open_pack(mutations.put(folder, contents))
    (folder / "report.json").write_bytes(b"{}")
    assert verify(opened).differences == ()
    assert opened.report == sealed.report


def test_a_pack_is_verified_in_four_gigabytes_of_address_space(tmp_path: Path) -> None:
    """As under ``ulimit -v 4000000``: no library that maps memory by the gigabyte is needed."""
    made = sealed_run.sealed_small(tmp_path)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (4_096_000_000, 4_096_000_000))"
    code = f"import sys; {limit}; sys.argv[1:] = ['verify', {str(made.folder)!r}]; from checker.cli import main; main()"
    alone = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=alone)
    assert (done.returncode, done.stderr) == (0, "")
    assert "reproduces" in done.stdout
