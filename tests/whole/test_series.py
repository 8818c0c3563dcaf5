"""A series from its folders to the report: measured step by step, resumed, and judged again without torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import tiny_audit
import torch
from command_line import Command

from checker.audit import audit
from checker.core.errors import UsageError
from checker.core.layouts import Layout
from checker.core.store import Store
from checker.judge.evidence import stored_evidence
from checker.judge.figures.pairs import noise_floor
from checker.judge.measured import judge
from checker.measure.cut_checkpoint import save
from checker.measure.prepare import prepare
from checker.measure.remeasure import remeasure
from checker.release import rows
from checker.release.seal import judged_by, seal
from checker.release.verify import verify
from checker.spec import load

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = (0, 100, 64, 1000)
CLAIMS = """
  - {id: grows, kind: trend, series: steps, quantity: gap, from: 0, to: 1000, direction: grows}
  - {id: moves, kind: transfer, series: steps, from: 0, to: 1000, method: interchange, budget: 1, regret_at_most: 1000}
  - {id: back, kind: transfer, series: steps, from: 1000, to: 64, method: deletion, budget: 1, regret_at_most: 1000}
  - {id: sets, kind: stable, series: steps, of: sets, protocol: deletion, from: 0, to: 100, at_least: 0, budget: 1,
     scope: contract}"""


def write(folder: Path, **changes: str) -> Path:
    sections = {
        "methods": "[interchange, replacement, deletion]",
        "budgets": "[1]",
        "checkpoints": '{steps: {kind: directory, path: "run/checkpoint-{step}", steps: [0, 64, 100, 1000]}}',
        "claims": CLAIMS,
    }
    return tiny_audit.write(folder, **sections | changes)


def save_step(folder: Path, step: int, seed: int | None = None) -> Path:
    """A step as the Trainer leaves it, pickles included; of one ``seed``, weights are the same."""
    model = tiny_audit.build()
    generator = torch.Generator().manual_seed(step if seed is None else seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * parameter.std() * torch.randn(parameter.shape, generator=generator))
    place = folder / "run" / f"checkpoint-{step}"
    save(model, tiny_audit.tokenizer(False), Layout.base(tiny_audit.BLOCKS), place)
    for name in ("optimizer.pt", "rng_state.pth", "training_args.bin"):
        (place / name).write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    return place


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    for step in STEPS:
        save_step(folder, step)
    write(folder)
    return folder


@pytest.fixture(scope="module")
def report(trained: Path) -> dict[str, Any]:
    return dict(audit(trained / "audit.yaml", out=trained / "out").report)


@pytest.fixture
def copied(trained: Path, report: dict[str, Any], tmp_path: Path) -> Path:
    """The folders of the series and what was measured of them, to be changed."""
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def test_every_step_is_measured_as_an_audit_of_that_step_alone(trained: Path, report: dict[str, Any]) -> None:
    (series,) = report["series"]
    assert [step["step"] for step in series["steps"]] == [0, 64, 100, 1000]
    assert [step["why_not"] for step in series["steps"]] == [None] * 4
    alone = trained / "alone"
    alone.mkdir()
    write(alone, model="{kind: directory, path: ../run/checkpoint-64}", checkpoints="{}", claims="[]")
    own = audit(alone / "audit.yaml", out=alone / "out").report
    step = series["steps"][1]
    assert step["perplexity"]["value"] == pytest.approx(own["baseline"]["perplexity"])
    assert step["replacement"]["value"] == pytest.approx(own["regime"]["metric"]["replacement_mean"])
    assert step["kl_ratio"]["value"] == pytest.approx(own["regime"]["metric"]["ratio"])


def test_regret_equals_the_costs_that_two_audits_measure(trained: Path, report: dict[str, Any]) -> None:
    (claim,) = [row for row in report["claims"] if row["id"] == "moves"]
    assert claim["verdict"] == "supported"
    steps = {step["step"]: step for step in report["series"][0]["steps"]}
    sets = {number: [each["layers"] for each in steps[number]["sets"] if each["method"] == "interchange"]
            for number in (0, 1000)}  # fmt: skip
    own = trained / "regret"
    own.mkdir()
    write(own, model="{kind: directory, path: ../run/checkpoint-1000}", checkpoints="{}", claims="[]")
    costs = {row["block"]: row["single_deletion_increase_percent"]
             for row in audit(own / "audit.yaml", out=own / "out").report["blocks"]}  # fmt: skip
    shares = {block: 1.0 + cost / 100.0 for block, cost in costs.items()}
    regrets = [100.0 * (shares[moved] / shares[chosen] - 1.0) for (moved,) in sets[0] for (chosen,) in sets[1000]]
    row = next(each for each in report["series"][0]["to_last"] if each["start"] == 0)
    found = next(each for each in row["transfers"] if each["method"] == "interchange")
    assert found["regret_percent"] == pytest.approx([min(regrets), max(regrets)], abs=1e-3)


def test_the_floor_of_a_step_in_float32_is_what_another_batch_size_changes(
    trained: Path, report: dict[str, Any]
) -> None:
    read = load.check(trained / "audit.yaml").audit
    with Store(trained / "out" / "evidence.db") as store:
        for step in stored_evidence(read, store).series["steps"]:
            assert step.evidence is not None
            floor = noise_floor(step.evidence)
            assert floor is not None
            assert abs(floor.value) < 1e-6
    assert report["noise_floor"] is None


def test_nothing_is_missing_and_no_pickle_ran(trained: Path, report: dict[str, Any]) -> None:
    outcomes = {row["rule"]: row["outcome"] for row in report["findings"]}
    assert outcomes["evidence/incomplete"] == "pass"
    for rule in ("same-weights", "same-blocks", "final-weights-early", "steps-out-of-order", "too-few-steps"):
        assert outcomes[f"series/{rule}"] == "pass"
    assert not (Path.cwd() / "ran").exists()


def test_a_second_run_measures_nothing_and_judging_needs_no_folders(trained: Path, copied: Path) -> None:
    said: list[str] = []
    again = audit(copied / "audit.yaml", out=copied / "out", progress=Saying(said)).report
    assert not [text for text in said if text.startswith("loading")]
    shutil.rmtree(copied / "run")
    with Store(copied / "out" / "evidence.db") as store:
        judged = judge(load.check(copied / "audit.yaml", attached=False).audit, store)
    assert judged["series"] == again["series"]


class Saying:
    """Keeps what a run says."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def say(self, text: str) -> None:
        self.said.append(text)

    def expect(self, work: float) -> None: ...

    def advance(self, work: float) -> None: ...


def test_planted_faults_are_found(tmp_path: Path) -> None:
    """A step that was stored twice, and one into which a block of another was put."""
    for step, seed in ((0, 0), (64, 0), (100, 100), (1000, 1000)):
        save_step(tmp_path, step, seed)
    mixed, other = (tmp_path / "run" / f"checkpoint-{step}" / "model.safetensors" for step in (100, 1000))
    from safetensors.torch import load_file, save_file

    weights, foreign = load_file(mixed), load_file(other)
    weights |= {name: value for name, value in foreign.items() if name.startswith("model.layers.2.")}
    save_file(weights, mixed, metadata={"format": "pt"})
    found = audit(write(tmp_path), out=tmp_path / "out").report
    messages = {row["rule"]: row["message"] for row in found["findings"] if row["outcome"] == "fail"}
    assert messages["series/same-weights"].startswith("steps: found the weights of step 0 in step 64")
    assert messages["series/same-blocks"].startswith("steps: found block 2 of step 100 in step 1000")


def test_a_step_that_cannot_be_measured_is_open_and_the_others_are_kept(copied: Path) -> None:
    shutil.rmtree(copied / "out")
    (copied / "run" / "checkpoint-64" / "model.safetensors").write_bytes(b"broken")
    found = audit(copied / "audit.yaml", out=copied / "out")
    steps = {step["step"]: step["why_not"] for step in found.report["series"][0]["steps"]}
    assert steps.pop(64).startswith("step 64 could not be measured: ")
    assert set(steps.values()) == {None}
    outcomes = {row["rule"]: row["outcome"] for row in found.report["findings"]}
    assert (outcomes["evidence/incomplete"], found.exit_code) == ("open", 1)  # 1: a claim is contradicted as well
    verdicts = {row["id"]: row["verdict"] for row in found.report["claims"]}
    assert (verdicts["back"], verdicts["sets"]) == ("open", "supported")
    shutil.rmtree(copied / "run" / "checkpoint-64")
    save_step(copied, 64)
    assert audit(copied / "audit.yaml", out=copied / "out").report["series"][0]["steps"][1]["why_not"] is None


def another_tokenizer(folder: Path) -> None:
    path = folder / "run" / "checkpoint-64" / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    words = [word for word in vocabulary if word.isalpha()][:2]
    vocabulary[words[0]], vocabulary[words[1]] = vocabulary[words[1]], vocabulary[words[0]]
    path.write_text(json.dumps(content))


def fewer_blocks(folder: Path) -> None:
    place = folder / "run" / "checkpoint-64"
    shutil.rmtree(place)
    save(tiny_audit.build(), tiny_audit.tokenizer(False), Layout.parse("(0,1,2,3,4)"), place)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (another_tokenizer, "step 64 is not comparable: its tokenizer gives other tokens of the "),
        (fewer_blocks, "step 64 is not comparable: it has 5 blocks and the model 6"),
    ],
)
def test_a_step_of_another_kind_is_not_comparable(copied: Path, change: Callable[[Path], None], reason: str) -> None:
    change(copied)
    found = audit(copied / "audit.yaml", out=copied / "out").report
    assert found["series"][0]["steps"][1]["why_not"].startswith(reason)
    assert [(row["start"], row["end"]) for row in found["series"][0]["neighbours"]] == [(0, 100), (100, 1000)]


def test_it_is_sealed_and_verified(trained: Path, report: dict[str, Any], tmp_path: Path) -> None:
    pack = seal(trained / "out", tmp_path / "pack", judged_by(str(trained / "audit.yaml")), date(2030, 1, 1))
    assert not verify(pack).differences


def test_the_models_rows_of_a_sealed_series_are_measured_again(
    trained: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    pack = seal(trained / "out", tmp_path / "pack", judged_by(str(trained / "audit.yaml")), date(2030, 1, 1))
    prepared = prepare(load.check(trained / "audit.yaml").audit)
    found = remeasure(prepared, rows.read(pack.bytes("rows.jsonl")), pack.folder, 10_000, 0)
    assert len({each.layout for each in found}) > 6
    assert all(each.agrees for each in found)


def test_a_series_that_was_looked_up_is_listed_before_it_is_sealed(trained: Path, tmp_path: Path) -> None:
    section = '{steps: {kind: directory, path: "../run/checkpoint-{step}", steps: all}}'
    (trained / "looked").mkdir()
    path = write(trained / "looked", checkpoints=section, claims="[]")
    with pytest.raises(UsageError, match="list them: 0, 64, 100, 1000"):
        seal(trained / "out", tmp_path / "pack", judged_by(str(path)), date(2030, 1, 1))


# --- what is written of a series -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            'path: "run/checkpoint", steps: [0]',
            "found steps whose places nothing names; expected a pattern with `{step}`",
        ),
        ('path: "run/{step}-{step}", steps: all', "with more than one `{step}`; expected it once"),
        ('path: "run/checkpoint-{step}", steps: [0, 7]', "found no folder of step 7; expected a folder for each step"),
        ('path: "run/nothing-{step}", steps: all', "found nothing that matches `run/nothing-{step}`"),
        ('path: "run/checkpoint-{step}", steps: [0, 64, 0]', "found step 0 a second time; expected each step once"),
        ('path: "run/checkpoint-{step}", steps: [0], every: 2', "found `every` beside a list of steps"),
        ('path: "run/checkpoint-{step}", steps: all, healed: true', "found `healed` in a series"),
        ('path: "run/*-{step}", steps: [0]', "found no folder of step 0"),
    ],
)
def test_a_series_that_says_nothing_or_too_much(trained: Path, command: Command, section: str, message: str) -> None:
    path = trained / "wrong.yaml"
    write(trained / "wrong", checkpoints=f"{{steps: {{kind: directory, {section}}}}}", claims="[]")
    path.write_text((trained / "wrong" / "audit.yaml").read_text())
    done = command("validate", path)
    assert done.code == 2
    assert message in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("series: stps, from: 0, to: 64", "found `stps`; expected a series: `steps`; did you mean `steps`?"),
        ("series: steps, from: 0, to: 0", "found step 0, which `from` names; expected another step"),
        ("series: steps, from: 0, to: 65", "found step 65; expected one of 0, 64, 100, 1000"),
    ],
)
def test_a_claim_about_steps_that_are_not_there(trained: Path, command: Command, claim: str, message: str) -> None:
    text = f"\n  - {{id: a, kind: trend, quantity: gap, direction: grows, {claim}}}"
    write(trained / "claims", claims=text)
    path = trained / "claims.yaml"
    path.write_text((trained / "claims" / "audit.yaml").read_text())
    done = command("validate", path)
    assert done.code == 2
    assert message in " ".join(done.err.split())


def test_all_that_is_there_is_taken_and_thinned(trained: Path) -> None:
    def numbers(more: str) -> list[int]:
        section = f'{{steps: {{kind: directory, path: "run/checkpoint-{{step}}", steps: all{more}}}}}'
        write(trained / "all", checkpoints=section, claims="[]")
        path = trained / "all.yaml"
        path.write_text((trained / "all" / "audit.yaml").read_text())
        return [step.step for step in load.check(path).audit.series[0].steps]

    assert numbers("") == [0, 64, 100, 1000]
    assert numbers(", every: 2") == [0, 100, 1000]
