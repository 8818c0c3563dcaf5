"""A pack as in-toto statements, and some of its rows measured again on the model itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from sqlite3 import connect
from typing import Any

import numpy as np
import pack_mutations as mutations
import pytest
import sealed_run
import tiny_audit
from command_line import Command
from sealed_run import DAY

from checker.audit import audit
from checker.commands.verify import remeasured
from checker.core.errors import CannotRun, EvidenceMissing, UsageError
from checker.core.store import Store
from checker.release import attest, rows, seal
from checker.release.pack import FILES, MANIFEST, Pack, open_pack
from checker.release.verify import verify


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return sealed_run.sealed(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with tiny_audit.one_thread():
        yield


# --- statements ------------------------------------------------------------------------------------------------------


def test_the_subject_is_the_models_root_digest(sealed: Pack) -> None:
    for statement in attest.statements(verify(sealed)).values():
        assert set(statement) == {"_type", "subject", "predicateType", "predicate"}
        assert statement["_type"] == "https://in-toto.io/Statement/v1"
        root = sealed.json("artifacts.json")["root"]
        assert statement["subject"] == [{"name": "model", "digest": {"sha256": root}}]


def test_a_checkpoint_is_a_subject_of_its_own(tmp_path: Path) -> None:
    pack = sealed_run.sealed_with_checkpoint(tmp_path)
    made = attest.statements(verify(pack))
    stated = pack.json("artifacts.json")
    for statement in made.values():
        assert statement["subject"] == [
            {"name": "model", "digest": {"sha256": stated["root"]}},
            {"name": "checkpoints.pruned", "digest": {"sha256": stated["checkpoints"]["pruned"]["root"]}},
        ]
    [row] = pack.report["released"]["checkpoints"]  # type: ignore[index]
    assert made["claims"]["predicate"]["checkpoints"] == {"pruned": {"sha256": row["digest"]}}


def test_the_test_result_follows_its_standard(sealed: Pack) -> None:
    """Field names and values: https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md."""
    made = attest.statements(verify(sealed))["test-result"]
    assert made["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = made["predicate"]
    assert set(predicate) == {"result", "configuration", "passedTests", "warnedTests", "failedTests"}
    assert predicate["configuration"] == [
        {"name": "sample.yaml", "digest": {"sha256": sealed_run.sha256(sealed.bytes("audit.yaml"))}},
        {"name": "manifest.json", "digest": {"sha256": sealed.digest}},
    ]
    findings = sealed.report["findings"]
    assert (sealed.report["outcome"], predicate["result"]) == ("open", "FAILED")
    assert predicate["failedTests"] == ["claim/not-backed"], "8 blocks cannot show that interchange predicts"
    doubted = {row["rule"] for row in findings if row["outcome"] in ("fail", "open")}
    assert set(predicate["warnedTests"]) == doubted - {"claim/not-backed"}, "warnings and notes, and the waived one"
    assert "model/weights-not-pinned" in predicate["warnedTests"]
    applied = {row["rule"] for row in findings if row["outcome"] != "not_applicable"}
    assert set(predicate["passedTests"]) == applied - doubted


@pytest.mark.parametrize(
    ("at_most", "result", "failed"), [(1, "FAILED", ["claim/contradicted"]), (8.5, "FAILED", ["claim/undecided"])]
)
def test_what_failed_or_stays_open_is_no_passed_test(
    at_most: float, result: str, failed: list[str], sealed: Pack, tmp_path: Path
) -> None:
    text = sealed.bytes("audit.yaml").decode().replace("at_most: 20", f"at_most: {at_most}")
    out = sealed_run.write(tmp_path, text)
    made = attest.statements(verify(seal.seal(out, tmp_path / "pack", seal.judged_last(out), DAY)))
    assert made["test-result"]["predicate"]["result"] == result
    assert made["test-result"]["predicate"]["failedTests"] == [*failed, "claim/not-backed"]


def test_the_claims_stand_with_their_figures_and_say_that_they_are_unsigned(sealed: Pack) -> None:
    made = attest.statements(verify(sealed))["claims"]
    assert made["predicateType"] == "urn:pruneaudit:attestation:claims:1"
    predicate = made["predicate"]
    assert predicate["signature"].startswith("unsigned: anybody could have written this statement")
    assert predicate["pack"] == {"digest": {"sha256": sealed.digest}, "judged_on": "2030-06-15"}
    assert predicate["claims"] == sealed.report["claims"]
    assert [claim["verdict"] for claim in predicate["claims"]] == ["supported"] * 3
    assert [row["rule"] for row in predicate["waived"]] == ["model/weights-not-pinned"]


def test_the_command_writes_two_files_and_says_how_to_sign_them(sealed: Pack, tmp_path: Path, command: Command) -> None:
    to = tmp_path / "attestations"
    done = command("attest", sealed.folder, "--to", to)
    one, other = to / "test-result.intoto.json", to / "claims.intoto.json"
    assert (done.code, done.out) == (0, f"wrote {one}\nwrote {other}\n")
    assert done.err.startswith("unsigned: anybody could have written this statement; ")
    assert f"cosign attest-blob --statement {one} --bundle {one}.sigstore.json\n" in done.err
    assert f"--digest {sealed.json('artifacts.json')['root']} --digestAlg sha256 --type {attest.CLAIMS}" in done.err
    assert "model_signing sign FOLDER" in done.err
    assert json.loads(one.read_bytes()) == attest.statements(verify(sealed))["test-result"]
    again = command("attest", sealed.folder, "--to", to)
    assert again.code == 2
    there = "found something there; expected nothing, attest overwrites nothing; choose another --to"
    assert again.err == f"{one}: {there}\n"


def test_without_a_folder_the_statements_are_printed_one_a_line(sealed: Pack, command: Command) -> None:
    done = command("attest", sealed.folder)
    printed = [json.loads(line) for line in done.out.splitlines()]
    assert printed == list(attest.statements(verify(sealed)).values())


def test_a_pack_that_does_not_reproduce_is_not_attested(sealed: Pack, tmp_path: Path, command: Command) -> None:
    contents = {name: (sealed.folder / name).read_bytes() for name in (*FILES, MANIFEST)}
    contents["report.json"] = contents["report.json"].replace(b'"outcome":"pass"', b'"outcome":"open"', 1)
    done = command("attest", mutations.put(tmp_path / "pack", mutations.mended(contents)))
    assert (done.code, done.out) == (2, "")
    assert "found a pack that does not reproduce; expected one that does" in done.err


def test_without_the_files_digests_there_is_no_subject(sealed: Pack, tmp_path: Path) -> None:
    contents = {name: (sealed.folder / name).read_bytes() for name in FILES}
    contents["artifacts.json"] = b'{"files":{},"root":null}'
    folder = mutations.put(tmp_path / "pack", mutations.mended(contents))
    with pytest.raises(EvidenceMissing, match="found no digests of the model's files"):
        attest.statements(verify(open_pack(folder)))


# --- from a run to a pack, and back to the model ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model, texts, ``audit.yaml`` and a finished run; tests do not change it."""
    folder = tmp_path_factory.mktemp("tiny")
    audit(tiny_audit.write(folder), out=folder / "run")
    return folder


@pytest.fixture(scope="module")
def made(tiny: Path) -> Pack:
    return seal.seal(tiny / "run", tiny / "pack", seal.judged_last(tiny / "run"))


def test_pack_then_verify(tiny: Path, tmp_path: Path, command: Command) -> None:
    out = Path(shutil.copytree(tiny / "run", tmp_path / "run"))
    done = command("pack", out, "--day", "2030-06-15")
    found = open_pack(out / "pack")
    root = found.json("artifacts.json")["root"]
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"wrote {out / 'pack'}, sealed as of 2030-06-15: the audit's outcome is fail\n"
        f"pack digest {found.digest}\nmodel root digest {root}\n"
    )
    assert command("verify", out / "pack").code == 0, "whatever the audit's own outcome"
    assert command("pack", out, "--set", "a=b").code == 2


def test_the_root_digest_is_of_the_files_that_the_run_read(tiny: Path, made: Pack) -> None:
    files = {path.name: sealed_run.sha256(path.read_bytes()) for path in (tiny / "model").iterdir()}
    stated = made.json("artifacts.json")["files"]
    assert set(stated) == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert stated == {name: files[name] for name in stated}


def test_what_is_measured_again_agrees(tiny: Path, made: Pack, command: Command) -> None:
    done = command("verify", made.folder, "--expect-audit", tiny / "audit.yaml", "--remeasure", "3", "--seed", "5")
    assert done.code == 0
    assert "measuring 3 layouts again, drawn with --seed 5" in done.err
    line = done.out.splitlines()[-1]
    assert line.startswith("measured again: 3 layouts, seed 5: ")
    agreeing, total = line.split(": ")[2].split(" ")[0:3:2]
    assert int(agreeing) == int(total) >= 3


def test_on_the_same_machine_the_values_are_the_same(tiny: Path, made: Pack) -> None:
    compared = remeasured(made, 2, 0, tiny / "audit.yaml")
    assert compared
    assert all(one.found == pytest.approx(one.measured, rel=1e-6) for one in compared)
    assert len({one.layout for one in compared}) == 2
    assert [one.layout for one in remeasured(made, 2, 0, tiny / "audit.yaml")] == [one.layout for one in compared]


def test_rows_that_nobody_measured_are_found_out(tiny: Path, made: Pack, tmp_path: Path, command: Command) -> None:
    """Made-up rows give a pack that reproduces: only measuring shows what they are."""
    out = Path(shutil.copytree(tiny / "run", tmp_path / "run"))
    with Store(out / "evidence.db") as store:
        measured = rows.read(made.bytes("rows.jsonl"))
        with closing(connect(out / "evidence.db", isolation_level=None)) as database:
            database.execute("DELETE FROM answers")
        store.add(replace(answer, values=answer.values * (0.5 if answer.asked == "kl" else 1.0)) for answer in measured)
    assert command("pack", out, "--to", tmp_path / "pack").code == 0
    assert command("verify", tmp_path / "pack").code == 0
    arguments = ("--expect-audit", tiny / "audit.yaml", "--remeasure", "50", "--seed", "1")
    done = command("verify", tmp_path / "pack", *arguments)
    assert done.code == 1
    assert "rows.jsonl: kl of (" in done.err
    assert (
        "as measured here, within 0.001 and 1% (float32); ask whoever sealed the pack how it was measured" in done.err
    )


def test_measuring_again_needs_the_same_model(tiny: Path, made: Pack, tmp_path: Path) -> None:
    for name in ("prompts.jsonl", "evaluation.txt", "audit.yaml"):
        shutil.copy(tiny / name, tmp_path / name)
    tiny_audit.write_model(tmp_path / "model", seed=1)
    with pytest.raises(CannotRun, match=r"the model's weights: found digest [0-9a-f]{64} here; expected the pack's"):
        remeasured(made, 1, 0, tmp_path / "audit.yaml")
    with pytest.raises(UsageError, match="found another audit than the pack's"):
        remeasured(made, 1, 0, tiny_audit.write_audit(tiny, "other.yaml", budgets="[1]"))
    with pytest.raises(UsageError, match="found a model or a text that is named by its path"):
        remeasured(made, 1, 0)


def test_measuring_a_checkpoint_again_needs_to_know_where_its_path_starts(tmp_path: Path) -> None:
    text = sealed_run.RELEASED.replace("model: {kind: directory, path: model}", "model: {kind: hub, repo: org/model}")
    for name in ("prompts.txt", "evaluation.txt"):
        text = text.replace(f"kind: file, path: {name}", f"kind: package, package: some_package, file: {name}")
    pack = sealed_run.sealed_with_checkpoint(tmp_path, text)
    with pytest.raises(UsageError, match="found a model or a text that is named by its path"):
        remeasured(pack, 1, 0)


def test_the_tolerance_is_absolute_and_relative() -> None:
    from checker.measure.remeasure import Compared

    def agrees(found: float, measured: float, dtype: str = "float32") -> bool:
        return Compared("scoring", "kl", "(0)", found, measured, dtype).agrees

    assert agrees(0.0, 0.0009)
    assert not agrees(0.0, 0.0012)
    assert agrees(10.0, 10.1)
    assert not agrees(10.0, 10.2)
    assert agrees(10.0, 10.5, "bfloat16")
    assert not agrees(np.nan, 1.0)


def test_rows_of_a_run_are_all_used(made: Pack) -> None:
    found = verify(made)
    assert found.differences == ()
    texts: Any = {answer.text for answer in rows.read(made.bytes("rows.jsonl"))}
    assert texts == {"scoring", "evaluation"}
