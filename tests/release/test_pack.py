"""Sealing a run: what a pack holds, that it is the same bytes each time, and what is not sealed."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import sealed_run
from command_line import Command
from evidence_sample import Sample
from hypothesis import given
from hypothesis import strategies as st
from sealed_run import DAY

from checker.checkpoints import digests as artifacts
from checker.core.canonical import canonical
from checker.core.errors import EvidenceDamaged, EvidenceMissing, UsageError
from checker.core.store import Answer, Scope, Store
from checker.release import rows, seal
from checker.release.pack import FILES, MANIFEST, Pack, open_pack
from checker.release.verify import verify


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; tests do not change it."""
    return sealed_run.write(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def sealed(measured: Path) -> Pack:
    return seal.seal(measured, measured.parent / "pack", seal.judged_last(measured), DAY)


@pytest.fixture
def out(measured: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(measured, tmp_path / "run"))


# --- what a pack holds -----------------------------------------------------------------------------------------------


def test_a_pack_is_a_flat_folder_with_a_digest_of_everything(sealed: Pack) -> None:
    assert {path.name for path in sealed.folder.iterdir()} == {*FILES, MANIFEST}
    written = (sealed.folder / MANIFEST).read_bytes()
    assert sealed.digest == sealed_run.sha256(written)
    files = {
        name: {"bytes": len(content), "sha256": sealed_run.sha256(content)}
        for name, content in ((name, (sealed.folder / name).read_bytes()) for name in FILES)
    }
    assert json.loads(written) == {"format": "pruneaudit/pack/1", "files": files}


def test_the_audit_is_there_verbatim_and_resolved(sealed: Pack, measured: Path) -> None:
    assert sealed.bytes("audit.yaml") == (measured.parent / "sample.yaml").read_bytes()
    resolved = sealed.json("audit.json")
    assert resolved["path"] == "sample.yaml"
    assert resolved["model"]["path"] == "model"
    assert resolved["scoring"]["batch_tokens"] == 1024, "a default, filled in"
    assert str(measured.parent) not in "".join(content.decode(errors="replace") for content in sealed.contents.values())


def test_contracts_environment_and_day_are_there(sealed: Pack) -> None:
    assert sealed.json("contracts.json")["evaluation"]["tokens_digest"] == sealed_run.samples.digest(
        "evaluation tokens"
    )
    assert sealed.json("environment.json")["torch"] == "2.13.0"
    assert sealed.json("judging.json")["day"] == "2030-06-15"
    assert sealed.report["findings"]


def test_the_rows_are_the_stored_answers(sealed: Pack, measured: Path) -> None:
    answers = rows.read(sealed.bytes("rows.jsonl"))
    with Store(measured / "evidence.db", create=False) as store:
        assert len(answers) == store.count()
        for answer in answers:
            stored = store.answer(answer)
            assert stored is not None
            assert stored.values.tolist() == answer.values.tolist()


def test_the_rows_load_as_a_data_set(sealed: Pack, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    path = str(sealed.folder / "rows.jsonl")
    table = datasets.load_dataset("json", data_files=path, split="train", cache_dir=str(tmp_path))
    assert sorted(table.column_names) == ["blocks", "contract", "layout", "model", "quantity", "text", "values"]
    one = table.filter(lambda row: row["quantity"] == "kl" and row["layout"] == "(0,1,2,3,5@4,4@5,6,7)")
    values = [value for batch in one["values"][0] for value in batch]
    assert (len(one), len(values)) == (1, 16)
    assert sum(values) / 16 == pytest.approx(0.02)  # of the pair (4, 5), as the sample says


def test_the_model_is_named_by_the_root_digest_of_its_files(sealed: Pack) -> None:
    """Worked out by hand: sha256 over the raw digests, in the order of the names."""
    raw = b"\x11" * 32 + b"\x22" * 32 + b"\x33" * 32
    assert sealed.json("artifacts.json") == {"files": sealed_run.WEIGHTS, "root": sealed_run.sha256(raw)}


def test_a_checkpoint_is_named_by_the_root_digest_of_its_own_files(tmp_path: Path, command: Command) -> None:
    made = sealed_run.sealed_with_checkpoint(tmp_path)
    raw = b"\x44" * 32 + b"\x55" * 32 + b"\x33" * 32
    stated = made.json("artifacts.json")
    assert set(stated) == {"files", "root", "checkpoints"}
    assert stated["checkpoints"] == {"pruned": {"files": sealed_run.PRUNED, "root": sealed_run.sha256(raw)}}
    done = command("pack", tmp_path / "run", "--to", tmp_path / "again", "--day", "2030-06-15")
    assert done.out.endswith(f"checkpoint pruned: root digest {sealed_run.sha256(raw)}\n")


def test_the_root_digest_is_the_one_of_model_signing() -> None:
    """The expected digests are the subjects that PyPI's model-signing 1.1.1 gave for these files.

    Paths are ordered part by part, so ``a/b`` comes before ``a-b``.
    """
    files = {"README.md": b"z\n", "a-b": b"y\n", "a/b": b"x\n"}
    digests = {name: sealed_run.sha256(content) for name, content in files.items()}
    assert artifacts.root_digest(digests) == "9be863d2afc2da625b7676d8e93103136aa87e70bcca75b71efd6ebf21d3dfca"
    one = {"one.gguf": sealed_run.sha256(b"g\n")}
    assert artifacts.root_digest(one) == "06b340cd0bbc7d98ffc67b3fcf3d87682fd3add0968e7f262e86bff30f682b74"
    assert artifacts.weights_digest_of(one) == one["one.gguf"]


def test_rows_in_any_order_give_the_same_bytes() -> None:
    scope = Scope("m", "c")
    answers = [Answer(scope, "scoring", asked, "(0,1)", batch, sealed_run.samples.np.array([0.5, 1.5]))
               for asked in ("kl", "cosine 0-1") for batch in (0, 1, 2)]  # fmt: skip
    assert rows.write(answers) == rows.write(answers[::-1])
    back = {(answer.asked, answer.batch): answer.values.tolist() for answer in rows.read(rows.write(answers))}
    assert back == {(answer.asked, answer.batch): [0.5, 1.5] for answer in answers}


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_every_value_comes_back_to_the_last_bit(values: list[float]) -> None:
    array = sealed_run.samples.np.array(values)
    (back,) = rows.read(rows.write([Answer(Scope("m", "c"), "scoring", "kl", "(0,1)", 0, array)]))
    assert back.values.tobytes() == array.tobytes()


def test_a_batch_that_was_not_measured_leaves_a_place() -> None:
    answers = [Answer(Scope("m", "c"), "scoring", "cka 3-5", "(0,1)", batch, sealed_run.samples.np.array([0.5, 1.5]))
               for batch in (1, 3)]  # fmt: skip
    assert rows.write(answers) == (
        b'{"blocks":"3-5","contract":"c","layout":"(0,1)","model":"m","quantity":"cka","text":"scoring",'
        b'"values":[[],[0.5,1.5],[],[0.5,1.5]]}\n'
    )
    assert [(answer.asked, answer.batch) for answer in rows.read(rows.write(answers))] == [
        ("cka 3-5", 1),
        ("cka 3-5", 3),
    ]


@pytest.mark.parametrize(
    ("limit", "found"),
    [
        ("seal.LARGEST_ROWS", "found values of 63807 bytes; expected at most 100"),
        ("rows.MOST_LISTS", "found values of 317 lists; expected at most 100"),
    ],
)
def test_more_values_than_are_read_again_are_not_sealed(
    limit: str, found: str, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"checker.release.{limit}", 100)
    with pytest.raises(UsageError, match=f"{found}, which a pack holds; audit fewer methods at once"):
        seal.seal(measured, tmp_path / "pack", seal.judged_last(measured), DAY)
    assert not (tmp_path / "pack").exists()


# --- the same again --------------------------------------------------------------------------------------------------


def test_sealing_the_same_evidence_again_gives_the_same_bytes(sealed: Pack, measured: Path, tmp_path: Path) -> None:
    again = seal.seal(measured, tmp_path / "again", seal.judged_last(measured), DAY)
    assert again.contents == sealed.contents
    assert again.digest == sealed.digest


def test_a_pack_that_is_there_already_stays(sealed: Pack, measured: Path) -> None:
    before = (sealed.folder / MANIFEST).stat().st_mtime_ns
    assert seal.seal(measured, sealed.folder, seal.judged_last(measured), DAY).digest == sealed.digest
    assert (sealed.folder / MANIFEST).stat().st_mtime_ns == before


def test_nothing_is_overwritten(sealed: Pack, measured: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found another pack there; expected nothing"):
        seal.seal(measured, sealed.folder, seal.judged_last(measured), date(2030, 6, 16))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="found something there; expected nothing"):
        seal.seal(measured, tmp_path / "mine", seal.judged_last(measured), DAY)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert open_pack(sealed.folder).digest == sealed.digest


def test_the_day_of_judging_is_part_of_the_evidence(measured: Path, tmp_path: Path) -> None:
    """The waiver expires on 2031-01-01, and a pack keeps saying what it said on its day."""
    later = seal.seal(measured, tmp_path / "later", seal.judged_last(measured), date(2031, 1, 2))
    expired = [row for row in later.report["findings"] if row["rule"] == "waiver/expired" and row["outcome"] == "fail"]
    assert len(expired) == 1
    assert verify(later).differences == ()


def test_a_day_before_the_evidence_was_measured_is_refused(measured: Path, tmp_path: Path) -> None:
    """A waiver that has expired since would hold again; this run was measured on 2026-01-01."""
    with pytest.raises(UsageError) as caught:
        seal.seal(measured, tmp_path / "early", seal.judged_last(measured), date(2025, 12, 30))
    assert caught.value.exit_code == 2
    assert re.fullmatch(
        r"--day: found 2025-12-30; expected 202[56]-\d\d-\d\d, when the evidence was measured, or a later day; leave "
        r"it out, or name a day since then",
        str(caught.value),
    )
    assert not (tmp_path / "early").exists()


# --- by which audit --------------------------------------------------------------------------------------------------


def test_an_audit_file_may_be_named(out: Path, tmp_path: Path) -> None:
    """After a change of claims the evidence stands, and the report in the folder is of another file."""
    other = tmp_path / "sample.yaml"
    digests = {"prompts": sealed_run.samples.digest("prompts.txt"),
               "evaluation": sealed_run.samples.digest("evaluation.txt")}  # fmt: skip
    other.write_text(sealed_run.TEXT.replace("at_most: 20", "at_most: 1") % digests)
    made = seal.seal(out, tmp_path / "pack", seal.judged_by(str(other)), DAY)
    assert made.report["outcome"] == "fail"
    assert not verify(made).differences, "a pack that fails its audit reproduces like any other"


def test_a_report_by_another_audit_file_than_the_runs_needs_that_file(out: Path) -> None:
    report = json.loads((out / "report.json").read_text())
    report["audit"]["digest"] = "0" * 64
    (out / "report.json").write_text(json.dumps(report))
    with pytest.raises(UsageError, match="found a report by another audit file than the run's"):
        seal.judged_last(out)


def test_what_set_changed_is_sealed(out: Path, measured: Path, tmp_path: Path) -> None:
    file = str(measured.parent / "sample.yaml")
    made = seal.seal(out, tmp_path / "pack", seal.judged_by(file, ["statistics.margin=0.2"]), DAY)
    assert made.json("audit.json")["overrides"] == [["statistics.margin", "0.2"]]
    assert made.report["thresholds"]["margin"] == 0.2
    assert verify(made).differences == ()


def test_a_policy_built_on_a_file_is_sealed_as_it_was_resolved(out: Path, measured: Path, tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(
        "extends: release\nfail_on: note\nwaivers:\n  - {rule: claim/contradicted, claim: twins, reason: Agreed., "
        "expires: 2030-07-01}\n"
    )
    file, policy = str(measured.parent / "sample.yaml"), f"policy={{extends: {tmp_path / 'ours.yaml'}}}"
    made = seal.seal(out, tmp_path / "pack", seal.judged_by(file, [policy]), DAY)
    (tmp_path / "ours.yaml").unlink()
    found = verify(open_pack(made.folder))
    assert found.differences == ()
    assert made.report["policy"]["fail_on"] == "note"
    assert [(base["name"], base["ready"]) for base in made.json("audit.json")["policy"]["extends"]] == [
        ("ours.yaml", False), ("release", True), ("review", True)
    ]  # fmt: skip
    assert [(row["rule"], row["state"]) for row in made.report["waivers"]] == [
        ("model/weights-not-pinned", "active"), ("claim/contradicted", "unmatched")
    ]  # fmt: skip
    assert found.notes == (
        "the policy is taken as audit.json states it, because it is built on files that are not in the pack",
    )


# --- what is not sealed ----------------------------------------------------------------------------------------------


def test_damaged_evidence_is_not_sealed(out: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(out / "evidence.db")) as database, database:
        database.execute("UPDATE answers SET answer = zeroblob(length(answer)) WHERE rowid = 1")
    with pytest.raises(EvidenceDamaged, match="does not match its digest"):
        seal.seal(out, tmp_path / "pack", seal.judged_last(out), DAY)
    assert not (tmp_path / "pack").exists()


def test_an_open_outcome_is_sealed(tmp_path: Path) -> None:
    """A run that was stopped before its end: every deletion of block 0 is missing."""
    part = Sample(withheld=lambda question: question.text == "evaluation" and 0 not in question.layout.slots)
    out = sealed_run.write(tmp_path, sample=part)
    made = seal.seal(out, tmp_path / "pack", seal.judged_last(out), DAY)
    assert made.report["outcome"] == "open"
    assert not verify(made).differences


def test_nothing_measured_is_nothing_to_seal(tmp_path: Path) -> None:
    out = sealed_run.write(tmp_path, sample=Sample(texts_read=False))
    with pytest.raises(EvidenceMissing, match="found no measurement under the audit's scoring contract"):
        seal.seal(out, tmp_path / "pack", seal.judged_last(out), DAY)


def test_texts_and_models_that_lie_here_are_not_looked_at(
    sealed: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of the pack's files mean other files on the machine where it is verified."""
    (tmp_path / "prompts.txt").write_text("another text")
    (tmp_path / "evaluation.txt").write_text("another text")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert verify(open_pack(sealed.folder)).differences == ()


def test_rows_that_no_figure_rests_on_are_left_out(out: Path, sealed: Pack, tmp_path: Path) -> None:
    """What other audits measured in the same folder is not published with this one."""
    stray = Answer(Scope(sealed.report["model"]["digest"], "another contract"), "scoring", "kl", "(0,1)", 0,
                   sealed_run.samples.np.array([1.0]))  # fmt: skip
    with Store(out / "evidence.db") as store:
        store.add([stray])
        store.write_record("audit", "another", {"text": "secret", "overrides": []})
    made = seal.seal(out, tmp_path / "pack", seal.judged_last(out), DAY)
    assert made.digest == sealed.digest


def test_an_older_run_without_digests_of_its_files_is_sealed_without(out: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(out / "evidence.db")) as database, database:
        database.execute("DELETE FROM records WHERE name = 'artifacts'")
    made = seal.seal(out, tmp_path / "pack", seal.judged_last(out), DAY)
    assert made.json("artifacts.json") == {"files": {}, "root": None}
    assert verify(made).differences == ()


def test_the_manifest_takes_only_what_can_be_read_again() -> None:
    from checker.release.pack import manifest_of

    with pytest.raises(ValueError, match="expected those of a pack"):
        manifest_of({"audit.yaml": b""})
    whole = dict.fromkeys(FILES, b"{}")
    with pytest.raises(ValueError, match=r"audit.yaml: found 16000001 bytes; expected at most 16000000"):
        manifest_of({**whole, "audit.yaml": b" " * 16_000_001})
    assert json.loads(manifest_of(whole))["files"]["audit.yaml"]["bytes"] == 2


def test_a_resolved_audit_is_the_same_whatever_the_folder(measured: Path, tmp_path: Path) -> None:
    here = seal.judged_by(str(measured.parent / "sample.yaml")).audit
    shutil.copy(measured.parent / "sample.yaml", tmp_path / "sample.yaml")
    there = seal.judged_by(str(tmp_path / "sample.yaml")).audit
    assert here == replace(there, text=here.text)
    assert canonical(here.scoring.source.path) == '"prompts.txt"'
