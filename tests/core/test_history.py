"""Where evidence comes from, on a tiny model through the commands: each rule about it fires on what happened."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_audit
import torch
from transformers import PreTrainedTokenizerFast

from checker import cli
from checker.checkpoints.digests import weights_digest
from checker.checkpoints.files import Files, locate
from checker.core import store
from checker.core.errors import NotFinite
from checker.core.facts import ModelFacts
from checker.core.layouts import Layout
from checker.core.questions import Question
from checker.core.records import ModelSource
from checker.core.store import Scope, Store
from checker.judge import origin
from checker.judge import report as figures
from checker.measure import prepare
from checker.measure.engine import Engine

Report = dict[str, Any]
Command = Callable[..., int]
CLAIM = "claims=[{id: cheap, kind: removal, layers: [1, 3], perplexity_increase: {at_most: 40}}]"
BASE = Layout.base(tiny_audit.BLOCKS)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with tiny_audit.one_thread():
        yield


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """The entry point in this process; gives the exit code."""

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["pruneaudit", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as done:
            assert isinstance(done.code, int | None)
            return done.code or 0
        return 0

    return run


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model, texts and ``audit.yaml``, and its run in ``out``; tests work on copies."""
    folder = tmp_path_factory.mktemp("tiny")
    file = tiny_audit.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pruneaudit", "run", str(file), "--out", str(folder / "out")])
        with pytest.raises(SystemExit) as done:
            cli.main()
    assert done.value.code == 1
    return folder


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "tiny"))


def findings(folder: Path, rule: str) -> list[tuple[str, str]]:
    """What a rule concluded in the report of ``folder/out``: outcomes and messages."""
    report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    return [(found["outcome"], found["message"]) for found in report["findings"] if found["rule"] == rule]


def digest_of(folder: Path) -> str:
    return weights_digest(locate(ModelSource("directory", path=str(folder / "model"))))


# --- the model and its tokenizer -------------------------------------------------------------------------------------


def test_a_pin_that_is_added_after_measuring_is_held_against_the_evidence(folder: Path, command: Command) -> None:
    judge = ("judge", folder / "audit.yaml", "--out", folder / "out", "--fail-on", "never", "--set")
    found = digest_of(folder)
    assert findings(folder, "model/weights-not-pinned") == [
        ("fail", "model: found no `sha256`; expected one, so that the weights cannot change unnoticed; "
                 f"{found} was measured")
    ]  # fmt: skip
    assert command(*judge, f"model.sha256={found}") == 0
    assert findings(folder, "model/weights-differ") == [("pass", "the evidence is of the weights that the audit pins")]
    assert findings(folder, "model/weights-not-pinned") == [("pass", "the weights are pinned by their sha256")]
    other = "ab" * 32
    assert command(*judge, f"model.sha256={other}") == 0
    assert findings(folder, "model/weights-differ") == [
        ("fail", f"found evidence of weights with sha256 {found}; expected {other}, as the audit pins it")
    ]


def test_a_pin_that_is_changed_after_measuring_fails(folder: Path, command: Command) -> None:
    claims, found = "claims=[]", digest_of(folder)
    arguments = (folder / "audit.yaml", "--out", folder / "out", "--set", claims, "--set")
    assert command("run", *arguments, f"model.sha256={found}") == 0
    assert command("judge", *arguments, f"model.sha256={'ab' * 32}") == 1
    assert findings(folder, "model/weights-differ")[0][0] == "fail"


def test_a_model_put_in_the_place_of_the_one_that_was_measured(folder: Path, command: Command) -> None:
    config = folder / "model" / "config.json"
    changed = json.loads(config.read_text(encoding="utf-8")) | {"max_position_embeddings": 128}
    config.write_text(json.dumps(changed), encoding="utf-8")
    assert command("judge", folder / "audit.yaml", "--out", folder / "out") == 1
    assert findings(folder, "model/weights-differ") == [
        ("fail", "found files at hand with context 128; expected 64, as measured")
    ]
    assert findings(folder, "model/tokenizer-differs")[0][0] == "pass"


def test_a_tokenizer_put_in_the_place_of_the_one_that_was_measured_with(folder: Path, command: Command) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "model")
    tokenizer.add_tokens(["further"])
    tokenizer.save_pretrained(folder / "model")
    assert command("judge", folder / "audit.yaml", "--out", folder / "out", "--set", "claims=[]") == 1
    ((outcome, message),) = findings(folder, "model/tokenizer-differs")
    assert outcome == "fail"
    assert message.startswith("found a tokenizer at hand with sha256 ")
    assert findings(folder, "model/weights-differ")[0][0] == "pass"


def test_judging_where_the_model_is_not_at_hand_gives_the_same_report(folder: Path, command: Command) -> None:
    judge = ("judge", folder / "audit.yaml", "--out", folder / "out")
    command(*judge)
    here = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    shutil.rmtree(folder / "model")
    command(*judge)
    assert json.loads((folder / "out" / "report.json").read_text(encoding="utf-8")) == here


@pytest.mark.parametrize("name", ["revision", "blocks", "block_shapes", "tokenizer_digest"])
def test_differences_name_what_differs_and_nothing_else(name: str) -> None:
    measured = ModelFacts("m", "directory", "A", 2, 9, (4, 5), ("x", "y"), (), 3, 7, None, "t")
    values = {"revision": "other", "blocks": 3, "block_shapes": ("x", "x"), "tokenizer_digest": "u"}
    here = ModelFacts(**{**vars(measured), name: values[name], "source": "elsewhere", "digest": "unread"})
    assert [row["fact"] for row in origin.differences(measured, here)] == [name]
    assert origin.differences(measured, measured) == []
    assert origin.differences(measured, None) == []


# --- texts and protocols ---------------------------------------------------------------------------------------------


def test_windows_that_no_run_can_measure(folder: Path, command: Command) -> None:
    overrides = ("--set", "data.evaluation.window=128", "--set", "claims=[]")
    assert command("judge", folder / "audit.yaml", "--out", folder / "out", *overrides) == 3
    assert {outcome for outcome, _ in findings(folder, "evidence/incomplete")} == {"open"}
    assert findings(folder, "spec/no-claims")[0][0] == "fail"
    assert findings(folder, "spec/values-overridden") == [
        ("fail", "found data.evaluation.window=128, claims=[] set on the command line; expected the audit as its file "
                 "says it")
    ]  # fmt: skip


def test_a_direction_that_nobody_declared(folder: Path, command: Command) -> None:
    """The tiny audit names no protocols, and measures replacement."""
    judge = ("judge", folder / "audit.yaml", "--out", folder / "out", "--fail-on", "never")
    assert findings(folder, "protocol/direction-undeclared") == [
        ("fail", "protocols.replacement: found no `direction`; expected into, max or mean; into is used")
    ]
    assert command(*judge, "--set", "protocols={replacement: {direction: max}, interchange: {}}") == 0
    assert findings(folder, "protocol/direction-undeclared") == [("pass", "blocks are scored by max, as declared")]


def test_one_direction_of_a_pair_alone(folder: Path, command: Command) -> None:
    """As a run leaves it that ended between the two: replacement is not measured."""
    gone = str(BASE.with_weights({3: 2}))
    with closing(sqlite3.connect(folder / "out" / "evidence.db", isolation_level=None)) as connection:
        assert connection.execute("DELETE FROM answers WHERE layout = ? AND batch = 2", (gone,)).rowcount == 1
    assert findings(folder, "evidence/incomplete") == [("pass", "everything the audit asks for is measured")]
    assert command("judge", folder / "audit.yaml", "--out", folder / "out", "--set", "claims=[]") == 3
    assert findings(folder, "evidence/incomplete")[0][0] == "open"
    report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    assert all(pair["replacement"] is None and pair["interchange"] is not None for pair in report["pairs"])


def test_answers_on_other_prompts_than_the_contracts_are_damaged(
    folder: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interchange on one prompt fewer, digests and all: what a store that somebody put together may hold."""
    layouts = [BASE.with_weights({i: i + 1, i + 1: i}) for i in range(tiny_audit.BLOCKS - 1)]
    path = folder / "out" / "evidence.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection, Store(path) as kept:
        for layout in layouts:
            where = "layout = ? AND text = 'scoring' AND batch = 2"
            row = connection.execute(f"SELECT model, contract, answer FROM answers WHERE {where}", (str(layout),))
            model, contract, answer = row.fetchone()
            connection.execute(f"DELETE FROM answers WHERE {where}", (str(layout),))
            values = np.frombuffer(answer, dtype="<f8", offset=4)[:-1]
            kept.put(Scope(model, contract), Question("scoring", "kl", layout), 2, values)
    capsys.readouterr()
    assert command("judge", folder / "audit.yaml", "--out", folder / "out", "--set", "claims=[]") == 5
    assert f"{path}: found 11 values of kl for layout {layouts[0]} (scoring); expected 12 by its contract" in (
        " ".join(capsys.readouterr().err.split())
    )


# --- runs ------------------------------------------------------------------------------------------------------------


def test_text_that_is_extended_until_a_claim_is_decided(folder: Path, command: Command) -> None:
    """Open on too few windows, then supported: the report of the second run says so, and how often judged."""
    run = ("run", folder / "audit.yaml", "--out", folder / "out", "--set", CLAIM)
    assert command(*run, "--set", "data.evaluation.words=150") == 1
    assert findings(folder, "evidence/rerun-until-settled") == [
        ("pass", "open on 12 prompts and 9 windows, and no run on another amount of text is known")
    ]
    assert command(*run) == 1, "a random model's removal that any choice would match"
    told = "supported on 12 prompts and 20 windows; found it open on 12 prompts and 9 windows; expected one amount of "
    fired = [("fail", f"{told}text, fixed beforehand")]
    assert findings(folder, "evidence/rerun-until-settled") == fired
    assert command("judge", *run[1:]) == 1
    assert findings(folder, "evidence/rerun-until-settled") == fired


def test_the_same_run_again_is_one_run(folder: Path, command: Command) -> None:
    run = ("run", folder / "audit.yaml", "--out", folder / "out", "--set", CLAIM)
    assert [command(*run), command(*run)] == [1, 1]
    assert findings(folder, "evidence/rerun-until-settled") == [
        ("pass", "supported on 12 prompts and 20 windows, and no run on another amount of text is known")
    ]


def test_another_seed_and_another_text_of_the_same_name_are_other_runs(folder: Path, command: Command) -> None:
    run = ("run", folder / "audit.yaml", "--out", folder / "out", "--fail-on", "never", "--set", CLAIM)
    assert command(*run) == 0
    tiny_audit.write_texts(folder, seed=9000)
    assert command(*run, "--set", "statistics.seed=7") == 0
    report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    (other,) = report["evidence"]["other_runs"]
    assert (other["amount"]["seed"], report["evidence"]["amount"]["seed"]) == (0, 7)
    assert other["amount"]["texts"] != report["evidence"]["amount"]["texts"]
    assert other["verdicts"] == {"cheap": "supported"}


def test_runs_that_measure_something_else_are_no_reruns(folder: Path, command: Command) -> None:
    """Another dtype, other windows, another threshold: a claim decided otherwise there says nothing of the text."""
    run = ("run", folder / "audit.yaml", "--out", folder / "out", "--fail-on", "never", "--set", CLAIM, "--set")
    for override in ("model.dtype=bfloat16", "data.evaluation.stride=31", "statistics.confidence=0.9"):
        assert command(*run, override) == 0
    assert command(*run[:-1]) == 0
    assert [outcome for outcome, _ in findings(folder, "evidence/rerun-until-settled")] == ["pass"]
    report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["evidence"]["other_runs"] == []


def test_a_changed_claim_is_another_claim(folder: Path, command: Command) -> None:
    """Open at 6 % on less text says nothing of 40 %."""
    run = ("run", folder / "audit.yaml", "--out", folder / "out", "--fail-on", "never", "--set")
    assert command(*run, CLAIM.replace("40", "6"), "--set", "data.evaluation.words=150") == 0
    assert command(*run, CLAIM) == 0
    assert findings(folder, "evidence/rerun-until-settled") == [
        ("pass", "supported on 12 prompts and 20 windows, and no run on another amount of text is known")
    ]


def test_weights_with_nan_leave_a_record_that_judging_fails_on(folder: Path, command: Command) -> None:
    model = tiny_audit.build()
    model.model.layers[2].mlp.up_proj.weight[0, 0] = torch.nan
    model.save_pretrained(folder / "model")
    arguments = (folder / "audit.yaml", "--out", folder / "out", "--set", "claims=[]")
    assert command("run", *arguments) == 4
    assert command("judge", *arguments) == 1
    assert findings(folder, "evidence/not-finite") == [
        ("fail", "layout (0,1,2,3,4,5), prompt 0: found a logit that is not a finite number; expected a finite one; "
                 "the run stopped there")
    ]  # fmt: skip


def test_a_stop_is_forgotten_once_a_run_comes_to_its_end(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Engine.measure

    def breaking(self: Engine, batch: Any, *more: Any) -> None:
        if batch.name == "window":
            raise NotFinite("(0,1,2,4,5)", "window 7", "nll")
        original(self, batch, *more)

    arguments = (folder / "audit.yaml", "--out", folder / "again", "--set", "claims=[]")
    monkeypatch.setattr(Engine, "measure", breaking)
    assert command("run", *arguments) == 4
    assert command("judge", *arguments) == 1
    shutil.rmtree(folder / "out")
    shutil.copytree(folder / "again", folder / "out")
    assert findings(folder, "evidence/not-finite") == [
        ("fail", "layout (0,1,2,4,5), window 7: found a nll that is not a finite number; expected a finite one; the "
                 "run stopped there")
    ]  # fmt: skip
    monkeypatch.setattr(Engine, "measure", original)
    assert command("run", *arguments) == 0
    shutil.rmtree(folder / "out")
    shutil.copytree(folder / "again", folder / "out")
    assert findings(folder, "evidence/not-finite") == [
        ("pass", "no run stopped at a value that is not a finite number")
    ]


def test_evidence_of_other_measuring_code(folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of version 1, then a part of it again with version 2."""
    judge = ("judge", folder / "audit.yaml", "--out", folder / "out", "--set", "claims=[]")
    path = folder / "out" / "evidence.db"
    with Store(path) as kept:
        number = kept.count()
    for module in (store, figures):
        monkeypatch.setattr(module, "MEASURING_CODE", "2")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        columns = "model, contract, text, quantity, layout, batch, '2', answer, digest, measured_at"
        again = f"INSERT INTO answers SELECT 'again' || key, {columns} FROM answers WHERE layout = ?"
        replaced = connection.execute(again, (str(BASE),)).rowcount
    assert replaced > 0
    assert command(*judge) == 3
    told = f"found answers from other measuring code: {number - replaced} of version 1; expected all of version 2"
    assert findings(folder, "evidence/other-measuring-code") == [("fail", told)]


def test_evidence_that_nothing_rests_on_is_not_held_against_an_audit(folder: Path, command: Command) -> None:
    """An older version's answer to what is no longer asked."""
    with closing(sqlite3.connect(folder / "out" / "evidence.db", isolation_level=None)) as connection:
        columns = "model, contract, text, quantity, '(5,4,3,2,1,0)', batch, '0', answer, digest, measured_at"
        connection.execute(f"INSERT INTO answers SELECT 'old' || key, {columns} FROM answers LIMIT 1")
    assert findings(folder, "evidence/other-measuring-code") == [
        ("pass", "all answers are from version 1 of the measuring code")
    ]
    assert command("judge", folder / "audit.yaml", "--out", folder / "out", "--set", "claims=[]") == 0
    assert findings(folder, "evidence/other-measuring-code") == [
        ("pass", "nothing rests on the answers from other measuring code: 1 of version 0")
    ]


def test_claims_about_blocks_that_are_not_there_are_never_decided(folder: Path, command: Command) -> None:
    """What is left of a removal without such a block is another removal, and was measured."""
    judge = ("judge", folder / "audit.yaml", "--out", folder / "out", "--set")
    many = "{id: far, kind: removal, layers: [1, 99], perplexity_increase: {at_most: 300}, scope: contract}"
    pair = "{id: last, kind: redundant, pair: [5, 6], below: 9, protocol: interchange}"
    assert command(*judge, f"claims=[{many}, {pair}]") == 1
    report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    assert [(claim["id"], claim["verdict"], claim["message"]) for claim in report["claims"]] == [
        ("far", "open", "found block 99; expected blocks from 0 to 5"),
        ("last", "open", "found block 6; expected blocks from 0 to 5"),
    ]
    assert {row["backs"] for claim in report["claims"] for row in claim["protocols"].values()} == {"open"}
    assert [outcome for outcome, _ in findings(folder, "spec/blocks-beyond-model")] == ["fail", "fail"]


def test_a_model_that_is_downloaded_is_held_against_the_audit_before_it_is_measured(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = folder / "hub" / "models--org--tiny"

    def download(source: ModelSource, *_: object) -> Files:
        (home / "refs").mkdir(parents=True)
        (home / "refs" / "main").write_text("c0ffee", encoding="utf-8")
        shutil.copytree(folder / "model", home / "snapshots" / "c0ffee")
        return locate(source)

    monkeypatch.setenv("HF_HUB_CACHE", str(home.parent))
    monkeypatch.setattr(prepare, "fetch", download)
    claim = "{id: far, kind: removal, layers: [1, 99], perplexity_increase: {at_most: 300}}"
    file = tiny_audit.write_audit(folder, "hub.yaml", model="{kind: hub, repo: org/tiny}", claims=f"[{claim}]")
    assert command("run", file, "--out", folder / "fetched") == 2
    assert "found block 99; expected a block of the model, from 0 to 5" in capsys.readouterr().err
    assert not (folder / "fetched").exists()
