"""Whole runs on a tiny model: resuming after a kill, two at once, contracts, and the numbers of a plain loop."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny_audit
import torch
from torch import nn
from transformers import LlamaForCausalLM

from checker.audit import Audited, audit
from checker.checkpoints import files
from checker.core.errors import CannotRun, DigestMismatch, EvidenceDamaged, InvalidAudit, NotFinite
from checker.core.records import ModelSource
from checker.core.store import Store
from checker.judge.measured import exit_code, judge
from checker.measure import prepare
from checker.measure import run as measure
from checker.measure.blocks import BlockStack
from checker.measure.engine import Engine
from checker.spec import contracts, load

# Small batches make many answers, so that a run lasts long enough to be stopped in its middle.
LONG = """
  scoring: {kind: rows, path: prompts.jsonl, prompts: 12, tokens: 24, batch_tokens: 24}
  evaluation: {kind: file, path: evaluation.txt, words: 330, window: 32, stride: 16, batch_tokens: 32}"""
Answers = dict[str, tuple[bytes, str]]  # key -> answer, digest


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with tiny_audit.one_thread():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model, texts, ``audit.yaml`` and ``long.yaml``."""
    made = tmp_path_factory.mktemp("tiny")
    tiny_audit.write(made)
    tiny_audit.write_audit(made, "long.yaml", data=LONG)
    return made


@pytest.fixture(scope="module")
def finished(folder: Path) -> Audited:
    """``audit.yaml``, run to its end in ``folder/finished``."""
    return audit(folder / "audit.yaml", out=folder / "finished")


@pytest.fixture(scope="module")
def uninterrupted(folder: Path) -> Audited:
    """``long.yaml``, run to its end in ``folder/uninterrupted``."""
    return audit(folder / "long.yaml", out=folder / "uninterrupted")


def stored(out: Path) -> Answers:
    """What a store holds, read without the package."""
    with closing(sqlite3.connect(out / "evidence.db")) as connection:
        return {
            key: (answer, total) for key, answer, total in connection.execute("SELECT key, answer, digest FROM answers")
        }


def lasting_of(out: Path) -> dict[str, Any]:
    """A run's report but for times."""
    return tiny_audit.lasting(report_of(out))


def report_of(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, str, str]]:
    """Every answer that the engine is asked for: (unit name, first unit, layout, quantity)."""
    asked: list[tuple[str, int, str, str]] = []
    original = Engine.measure

    def spy(self: Engine, batch: Any, wanted: Any, emit: Any, tick: Any) -> None:
        for layout, quantities in wanted.items():
            asked.extend((batch.name, batch.units[0], str(layout), quantity) for quantity in quantities)
        original(self, batch, wanted, emit, tick)

    monkeypatch.setattr(Engine, "measure", spy)
    return asked


@pytest.fixture
def no_weights_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, loading a model fails the test."""

    def refuse(*_: object) -> nn.Module:
        raise AssertionError("the weights were loaded")

    return lambda: monkeypatch.setattr(measure, "load_model", refuse)


@pytest.fixture
def no_weights(no_weights_after: Callable[[], None]) -> None:
    """Makes loading a model fail the test."""
    no_weights_after()


# --- resuming --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stopped:
    """A run of ``long.yaml`` that a signal stopped in the middle."""

    out: Path
    signal: signal.Signals
    exit_code: int
    error: str


@pytest.fixture(scope="module", params=[signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def stopped(request: pytest.FixtureRequest, folder: Path, uninterrupted: Audited) -> Stopped:
    out = folder / f"stopped-{request.param.name}"
    everything = len(stored(folder / "uninterrupted"))
    process = tiny_audit.start("run", folder / "long.yaml", "--out", out, folder=folder)
    try:
        _wait_for_answers(process, out, everything // 3)
        process.send_signal(request.param)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert everything // 3 <= len(stored(out)) <= 0.9 * everything, "the run was to be stopped in its middle"
    return Stopped(out, request.param, process.returncode, error)


def _wait_for_answers(process: subprocess.Popen[str], out: Path, enough: int) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if _count(out) >= enough:
            return
        time.sleep(0.005)
    raise AssertionError(f"the run gave {_count(out)} answers of {enough}, exit code {process.poll()}")


def _count(out: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{out / 'evidence.db'}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet
        return 0


def test_a_stopped_run_resumes_and_recomputes_nothing(
    folder: Path, uninterrupted: Audited, stopped: Stopped, measured: list[tuple[str, int, str, str]]
) -> None:
    before, whole = stored(stopped.out), stored(folder / "uninterrupted")
    assert not (stopped.out / "report.json").exists()
    with Store(stopped.out / "evidence.db", create=False) as store:
        halfway = judge(load.check(folder / "long.yaml").audit, store)
    assert {claim["verdict"] for claim in halfway["claims"]} == {"open"}
    assert exit_code(halfway, "error") != 0, "the distances that are there may already refuse what rests on them"
    assert "open" in [row["outcome"] for row in halfway["findings"] if row["rule"] == "evidence/incomplete"]
    spent = halfway["cost"]["seconds"]
    assert (spent is None) == (stopped.signal is signal.SIGKILL), "an interrupted run still writes what it took"

    resumed = audit(folder / "long.yaml", out=stopped.out)

    after = stored(stopped.out)
    assert after == whole, "bit for bit what an uninterrupted run measures"
    assert {key: after[key] for key in before} == before
    assert len(measured) == len(set(measured)) == len(whole) - len(before), "each missing answer was measured once"
    assert lasting_of(stopped.out) == lasting_of(folder / "uninterrupted")
    assert resumed.exit_code == uninterrupted.exit_code == 1
    assert resumed.report["cost"]["seconds"] > (spent or 0.0)


def test_an_interrupted_run_says_so(stopped: Stopped) -> None:
    if stopped.signal is signal.SIGKILL:
        assert stopped.exit_code == -signal.SIGKILL
        return
    assert stopped.exit_code == 130
    assert stopped.error.startswith("reading the model's files: directory\ntokenising the texts\n")
    assert stopped.error.endswith("interrupted; evidence so far is kept, the same command resumes\n")
    assert "Traceback" not in stopped.error


def test_a_second_run_measures_nothing_and_loads_no_weights(
    folder: Path, finished: Audited, measured: list[tuple[str, int, str, str]], no_weights: None
) -> None:
    before = (folder / "finished" / "report.json").read_bytes()
    again = audit(folder / "audit.yaml", out=folder / "finished")
    assert measured == []
    assert (folder / "finished" / "report.json").read_bytes() == before, "times of the measuring run included"
    assert again.summary == finished.summary


_RACER = """
import sys, time
from pathlib import Path
from checker.audit import audit
Path(sys.argv[1]).touch()
while not Path("go").exists():
    time.sleep(0.001)
print(audit(Path("long.yaml").resolve(), out=Path("shared")).summary)
"""


def test_two_runs_at_once_share_one_store(folder: Path, uninterrupted: Audited) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, f"ready-{number}"],
            cwd=folder,
            env=tiny_audit.environment(),
            text=True,
            stdout=subprocess.PIPE,
        )
        for number in range(2)
    ]
    try:
        end = time.monotonic() + 120
        while not all((folder / f"ready-{number}").exists() for number in range(2)) and time.monotonic() < end:
            time.sleep(0.01)
        (folder / "go").touch()
        outputs = [racer.communicate(timeout=120)[0] for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
    assert [racer.returncode for racer in racers] == [0, 0]
    assert outputs[0] == outputs[1]
    with closing(sqlite3.connect(folder / "shared" / "evidence.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert stored(folder / "shared") == stored(folder / "uninterrupted")
    assert lasting_of(folder / "shared") == lasting_of(folder / "uninterrupted")


def test_fresh_measures_again_and_keeps_the_evidence_there_was(
    folder: Path, finished: Audited, measured: list[tuple[str, int, str, str]], tmp_path: Path
) -> None:
    for number in (1, 2):
        audit(folder / "audit.yaml", out=tmp_path, fresh=number == 2)
    whole = stored(folder / "finished")
    assert len(measured) == 2 * len(whole)
    assert stored(tmp_path) == whole
    kept = tmp_path / "evidence-1.db"
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (len(whole),)
    audit(folder / "audit.yaml", out=tmp_path, fresh=True)
    assert (tmp_path / "evidence-2.db").is_file()
    assert lasting_of(tmp_path) == lasting_of(folder / "finished")


# --- contracts -------------------------------------------------------------------------------------------------------


def test_another_text_of_the_same_name_is_another_contract(
    tmp_path: Path, measured: list[tuple[str, int, str, str]]
) -> None:
    file = tiny_audit.write(tmp_path)
    first = audit(file, out=tmp_path / "out").report
    in_all = len(measured)
    (tmp_path / "evaluation.txt").write_text(tiny_audit.sentence(2 * tiny_audit.WORDS, seed=99), encoding="utf-8")
    measured.clear()
    second = audit(file, out=tmp_path / "out").report
    assert {name for name, *_ in measured} == {"window"}, "distances of the prompts were not measured again"
    assert 0 < len(measured) < in_all
    assert first["contracts"]["scoring"] == second["contracts"]["scoring"]
    assert first["pairs"] == second["pairs"]
    for name in ("digest", "text_digest", "tokens_digest"):
        assert first["contracts"]["evaluation"][name] != second["contracts"]["evaluation"][name]
    assert first["baseline"]["perplexity"] != second["baseline"]["perplexity"]


def test_other_token_ids_under_the_same_contract_are_refused(folder: Path, tmp_path: Path) -> None:
    """As where a new version of the tokenizers library cuts the same text otherwise."""
    prepared = prepare.prepare(load.check(folder / "audit.yaml").audit)
    contract = contracts.contract_digests(prepared.audit, prepared.facts)["evaluation"]
    with Store(tmp_path / "evidence.db") as store:
        store.write_record("tokens", contract, {"digest": "0" * 64})
        with pytest.raises(EvidenceDamaged, match="found other token ids than the stored evidence"):
            measure.measure(prepared, store)


def test_overrides_are_recorded(folder: Path, tmp_path: Path) -> None:
    done = audit(
        folder / "audit.yaml",
        out=tmp_path,
        overrides=["budgets=[1]", "methods=[deletion]", "claims=[]", "data.evaluation.words=300"],
    )
    assert done.report["overrides"] == [
        {"key": "budgets", "value": "[1]"},
        {"key": "methods", "value": "[deletion]"},
        {"key": "claims", "value": "[]"},
        {"key": "data.evaluation.words", "value": "300"},
    ]
    assert done.report["contracts"]["evaluation"]["words"] == 300
    assert {(arm["method"], arm["budget"]) for arm in done.report["arms"]} == {("deletion", 1)}
    assert "data.evaluation.words" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_blocks_beyond_a_model_that_was_downloaded_are_named_with_their_place(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_weights: None
) -> None:
    file = tiny_audit.write_audit(folder, "beyond.yaml", model="{kind: hub, repo: org/name}", budgets="[1, 9]")
    downloaded = files.locate(ModelSource("directory", path=str(folder / "model")))
    monkeypatch.setattr(prepare, "fetch", lambda *_: downloaded)
    with pytest.raises(InvalidAudit) as refused:
        audit(file, out=tmp_path / "out")
    line = 1 + file.read_text(encoding="utf-8").splitlines().index("budgets: [1, 9]")
    assert str(refused.value).startswith(f"{file}:{line}:14: found ")
    assert not (tmp_path / "out").exists()


def test_three_lines_of_python(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = audit(folder / "audit.yaml")
    assert "perplexity" in result.summary
    assert "cheap: contradicted" in result.summary
    assert result.exit_code == 1
    assert {name: path.as_posix() for name, path in result.files.items()} == {
        name: f"runs/audit/report.{name}" for name in ("html", "md", "json")
    }
    assert all(path.is_file() for path in result.files.values())


# --- numbers ---------------------------------------------------------------------------------------------------------


class PlainLoop:
    """One prompt at a time, the whole model per variant, log-softmax over full logits of a rewritten ModuleList."""

    def __init__(self, model: LlamaForCausalLM, prefix: Sequence[int] = ()) -> None:
        self.model, self.prefix = model, list(prefix)
        self.blocks = list(model.model.layers)
        self.bases: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def log_probabilities(self, order: Sequence[int], ids: Sequence[int]) -> torch.Tensor:
        """(tokens, vocabulary), the stack running the blocks ``order`` names."""
        self.model.model.layers = nn.ModuleList([self.blocks[block] for block in order])
        self.model.config.num_hidden_layers = len(order)
        logits = self.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()
        return torch.log_softmax(logits, dim=-1)

    def distance(self, order: Sequence[int], prompts: Sequence[Sequence[int]], last: bool = False) -> float:
        """Mean over prompts of the mean KL of positions, in nats; the begin token's own position is not scored."""
        per_prompt = []
        for prompt in prompts:
            ids = [*self.prefix, *prompt]
            if str(ids) not in self.bases:
                self.bases[str(ids)] = self.log_probabilities(range(len(self.blocks)), ids).double()
            base = self.bases[str(ids)]
            variant = self.log_probabilities(order, ids).double()
            kl = (base.exp() * (base - variant)).sum(-1)[len(self.prefix) :]
            per_prompt.append(float(kl[-1] if last else kl.mean()))
        return sum(per_prompt) / len(per_prompt)

    def perplexity(self, order: Sequence[int], ids: Sequence[int]) -> float:
        """Every token but the first scored once, in windows of 32 every 16."""
        window, stride = tiny_audit.WINDOW, tiny_audit.STRIDE
        losses: list[float] = []
        start, scored_to = 0, 1
        while scored_to < len(ids):
            inside = [*self.prefix, *ids[start : start + window]]
            log_p = self.log_probabilities(order, inside)
            for position in range(scored_to, min(start + window, len(ids))):
                losses.append(-float(log_p[len(self.prefix) + position - start - 1, ids[position]]))
            scored_to, start = min(start + window, len(ids)), start + stride
        return float(torch.tensor(losses, dtype=torch.float64).mean().exp())


def evaluation_of(folder: Path) -> list[int]:
    return token_ids((folder / "evaluation.txt").read_text(encoding="utf-8"))[: tiny_audit.WORDS]


def token_ids(text: str) -> list[int]:
    return [tiny_audit.VOCABULARY.index(word) for word in text.split()]


def prompts_of(folder: Path) -> list[list[int]]:
    rows = (folder / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    return [token_ids(json.loads(row)["text"])[: tiny_audit.PROMPT_TOKENS] for row in rows]


def order(**weights: int) -> list[int]:
    """The stack with other blocks at some places: ``at2=3`` runs block 3 at place 2."""
    return [weights.get(f"at{block}", block) for block in range(tiny_audit.BLOCKS)]


def without(*removed: int) -> list[int]:
    return [block for block in order() if block not in removed]


def check_distances(report: dict[str, Any], loop: PlainLoop, folder: Path, last: bool = False) -> None:
    """Distances of neighbours and deletions equal the loop's within 0.2 %."""
    prompts = prompts_of(folder)
    assert [(row["i"], row["j"]) for row in report["pairs"]] == list(pairwise(order()))
    for row in report["pairs"]:
        i, j = row["i"], row["j"]
        forward, backward, swapped = {f"at{i}": j}, {f"at{j}": i}, {f"at{i}": j, f"at{j}": i}
        assert row["replacement"]["forward"] == pytest.approx(loop.distance(order(**forward), prompts, last), rel=2e-3)
        assert row["replacement"]["backward"] == pytest.approx(
            loop.distance(order(**backward), prompts, last), rel=2e-3
        )
        assert row["interchange"]["distance"] == pytest.approx(loop.distance(order(**swapped), prompts, last), rel=2e-3)
    for row in report["blocks"]:
        assert row["deletion"] == pytest.approx(loop.distance(without(row["block"]), prompts, last), rel=2e-3)


def check_perplexities(report: dict[str, Any], loop: PlainLoop, folder: Path) -> None:
    """Perplexities of the baseline, of single deletions and of all arms equal the loop's within 0.05 %."""
    ids = evaluation_of(folder)
    base = loop.perplexity(order(), ids)
    assert report["baseline"]["perplexity"] == pytest.approx(base, rel=5e-4)
    for row in report["blocks"]:
        cut = 1 + row["single_deletion_increase_percent"] / 100
        assert cut == pytest.approx(loop.perplexity(without(row["block"]), ids) / base, rel=5e-4)
    found = {tuple(arm["layers"]): arm["perplexity"] for arm in report["arms"]}
    assert {len(layers) for layers in found} == {1, 2}
    for layers, perplexity in found.items():
        assert perplexity == pytest.approx(loop.perplexity(without(*layers), ids), rel=5e-4)


def test_numbers_equal_a_plain_loop(folder: Path, finished: Audited) -> None:
    report = report_of(folder / "finished")
    loop = PlainLoop(tiny_audit.build())
    check_distances(report, loop, folder)
    check_perplexities(report, loop, folder)
    assert report["baseline"]["windows"] == 20
    assert report["baseline"]["tokens"] == tiny_audit.WORDS - 1
    assert report["contracts"]["scoring"]["kinds"] == dict.fromkeys(tiny_audit.KINDS, 4)
    assert report["begin_token"] is None


def test_positions_last_takes_the_last_position(folder: Path, tmp_path: Path) -> None:
    report = audit(folder / "audit.yaml", out=tmp_path, overrides=["data.scoring.positions=last"]).report
    assert report["contracts"]["scoring"]["positions"] == "last"
    check_distances(report_of(tmp_path), PlainLoop(tiny_audit.build()), folder, last=True)


def test_a_begin_token_before_every_window_is_never_scored(tmp_path: Path) -> None:
    file = tiny_audit.write(tmp_path, begin_token=True)
    overrides = [f"data.{text}.special_tokens=every_window" for text in ("scoring", "evaluation")]
    audit(file, out=tmp_path / "out", overrides=overrides)
    report = report_of(tmp_path / "out")
    assert report["baseline"]["tokens"] == tiny_audit.WORDS - 1
    loop = PlainLoop(tiny_audit.build(), prefix=[1])
    check_distances(report, loop, tmp_path)
    ids = evaluation_of(tmp_path)
    assert report["baseline"]["perplexity"] == pytest.approx(loop.perplexity(order(), ids), rel=5e-4)
    beginning = ids[: tiny_audit.WINDOW - 1]
    bare = PlainLoop(tiny_audit.build())
    assert report["begin_token"]["with"] == pytest.approx(loop.perplexity(order(), beginning), rel=5e-4)
    assert report["begin_token"]["without"] == pytest.approx(bare.perplexity(order(), beginning), rel=5e-4)


def test_bfloat16_has_a_noise_floor(folder: Path, finished: Audited, tmp_path: Path) -> None:
    audit(folder / "audit.yaml", out=tmp_path, overrides=["model.dtype=bfloat16"])
    report = report_of(tmp_path)
    exact, rounded = tiny_audit.build(), tiny_audit.build().to(torch.bfloat16)
    blocks = range(tiny_audit.BLOCKS)
    gaps = []
    for prompt in prompts_of(folder):
        base, low = (PlainLoop(model).log_probabilities(blocks, prompt).double() for model in (exact, rounded))
        gaps.append(float((base.exp() * (base - low)).sum(-1).mean()))
    expected = sum(gaps) / len(gaps)
    assert report["model"]["dtype"] == "bfloat16"
    assert report["noise_floor"]["dtype"] == "bfloat16"
    assert report["noise_floor"]["value"] == pytest.approx(expected, rel=0.25)  # in batches, bfloat16 rounds otherwise
    low, high = report["noise_floor"]["interval"]
    assert 0 < low < report["noise_floor"]["value"] < high
    assert finished.report["noise_floor"] is None


# --- what stops a run ------------------------------------------------------------------------------------------------


def _refused(file: Path, out: Path, error: type[Exception], message: str, **options: Any) -> None:
    with pytest.raises(error, match=message):
        audit(file, out=out, **options)
    assert not out.exists(), "nothing is written before model and texts are found in order"


def test_weights_that_are_not_the_pinned_ones_are_not_loaded(folder: Path, tmp_path: Path, no_weights: None) -> None:
    pin = "f" * 64
    message = f"model: found sha256 [0-9a-f]{{64}}; expected {pin}, as the audit pins it"
    _refused(folder / "audit.yaml", tmp_path / "out", DigestMismatch, message, overrides=[f"model.sha256={pin}"])


def test_weights_that_are_the_pinned_ones_are_loaded(folder: Path, finished: Audited, tmp_path: Path) -> None:
    pin = finished.report["model"]["digest"]
    assert (
        audit(folder / "audit.yaml", out=tmp_path, overrides=[f"model.sha256={pin}"]).report["model"]["digest"] == pin
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.evaluation.words=10000", r"evaluation.txt: found 660 words; expected at least 10000; lower `words`"),
        ("data.scoring.prompts=13", r"prompts.jsonl: found 12 prompts of 24 tokens; expected 13"),
        ("data.scoring.tokens=60", r"prompts.jsonl, row 1: found 48 tokens; expected at least 60"),
    ],
)
def test_a_text_that_is_too_short_is_named(
    folder: Path, tmp_path: Path, override: str, message: str, no_weights: None
) -> None:
    _refused(folder / "audit.yaml", tmp_path / "out", CannotRun, message, overrides=[override])


def test_a_begin_token_that_leads_beyond_the_context_is_refused(tmp_path: Path, no_weights: None) -> None:
    file = tiny_audit.write(tmp_path, begin_token=True)
    overrides = ["data.evaluation.window=64", "data.evaluation.special_tokens=every_window"]
    message = r"found windows of 65 tokens; expected at most the model's context of 64"
    _refused(file, tmp_path / "out", CannotRun, message, overrides=overrides)


@pytest.mark.parametrize("begin_token", [False, True])
def test_a_token_without_an_embedding_is_named_before_weights_are_read(
    tmp_path: Path, no_weights: None, begin_token: bool
) -> None:
    file = tiny_audit.write(tmp_path, begin_token=begin_token)
    config = tmp_path / "model" / "config.json"
    settings = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(settings | {"vocab_size": 40}), encoding="utf-8")
    message = (
        r"^data\.scoring, prompt 0: found token id \d+ at position \d+; expected ids below 40, the model's number of "
        r"embeddings; the tokenizer does not belong to these weights; use the one that the model was trained with$"
    )
    _refused(file, tmp_path / "out", CannotRun, message)


def test_weights_with_nan_are_never_scored(tmp_path: Path) -> None:
    file = tiny_audit.write(tmp_path)
    model = tiny_audit.build()
    model.model.layers[2].mlp.up_proj.weight[0, 0] = torch.nan
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(NotFinite, match=r"layout \(0,1,2,3,4,5\), prompt 0: found a logit that is not a finite number"):
        audit(file, out=tmp_path / "out")
    assert stored(tmp_path / "out") == {}


@pytest.mark.parametrize(
    "failure",
    [
        lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        MemoryError,
    ],
    ids=["cuda", "cpu", "python"],
)
def test_running_out_of_memory_keeps_the_evidence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Callable[[], Exception]
) -> None:
    left = 150
    run = BlockStack.run

    def limited(self: BlockStack, *args: Any) -> torch.Tensor:
        nonlocal left
        left -= 1
        if left < 0:
            raise failure()
        return run(self, *args)

    monkeypatch.setattr(BlockStack, "run", limited)
    with pytest.raises(CannotRun, match=r"out of memory on a batch of 96 tokens.* lower `batch_tokens`.* is kept"):
        audit(folder / "audit.yaml", out=tmp_path)
    monkeypatch.undo()
    kept = stored(tmp_path)
    assert kept
    audit(folder / "audit.yaml", out=tmp_path)
    assert {key: answer for key, answer in stored(tmp_path).items() if key in kept} == kept


# --- the model's own samples -----------------------------------------------------------------------------------------

OWN = "data.selection={kind: self_generated, prompts: 8, tokens: 12, seed: %d}"
LOSSES = ("methods=[sleb, taylor, interchange]", "budgets=[1]", "claims=[]")


def test_losses_are_taken_on_the_models_own_samples(tmp_path: Path) -> None:
    file = tiny_audit.write(tmp_path, begin_token=True)
    done = audit(file, out=tmp_path / "own", overrides=(OWN % 1, *LOSSES))
    chosen_on = {arm["method"]: arm["selected_on"] for arm in done.report["arms"]}
    assert chosen_on["sleb"] == chosen_on["taylor"] == "the model's own samples, seed 1"
    assert chosen_on["interchange"] == "prompts.jsonl"
    assert done.report["contracts"]["selection"]["prompts"] == 8
    incomplete = [row["message"] for row in done.report["findings"] if row["rule"] == "evidence/incomplete"]
    assert incomplete == ["everything the audit asks for is measured"]


def test_samples_are_stored_and_follow_their_seed(tmp_path: Path, no_weights_after: Callable[[], None]) -> None:
    file = tiny_audit.write(tmp_path, begin_token=True)
    one, other = (audit(file, out=tmp_path / str(seed), overrides=(OWN % seed, *LOSSES)) for seed in (1, 2))
    tokens = [done.report["contracts"]["selection"]["tokens_digest"] for done in (one, other)]
    assert tokens[0] != tokens[1]
    no_weights_after()
    again = audit(file, out=tmp_path / "1", overrides=(OWN % 1, *LOSSES))
    assert tiny_audit.lasting(again.report) == tiny_audit.lasting(one.report)


def test_a_model_without_a_begin_token_has_no_samples_of_its_own(tmp_path: Path) -> None:
    file = tiny_audit.write(tmp_path)
    with pytest.raises(CannotRun, match="has no begin token to sample from"):
        audit(file, out=tmp_path / "own", overrides=(OWN % 1, *LOSSES))
    assert not (tmp_path / "own").exists()
