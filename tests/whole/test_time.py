"""`pruneaudit time`: what is timed is stored with its machine, judged anywhere, and sealed with the run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pack_mutations as mutations
import pytest
import tiny_audit
import torch
from command_line import Command

from checker.audit import audit
from checker.core.canonical import canonical
from checker.core.layouts import Layout
from checker.core.records import ModelSource, Timing
from checker.core.store import Store
from checker.core.timings import MachineFacts, TimingFacts
from checker.judge.evidence import stored_evidence
from checker.judge.measured import judge
from checker.measure import environment, timing
from checker.measure.cut_checkpoint import save
from checker.measure.prepare import prepare
from checker.release.pack import FILES, MANIFEST
from checker.release.seal import judged_by, seal
from checker.release.verify import verify
from checker.spec import load

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = Timing(batch=2, tokens=20, prompt=6, new_tokens=3, pairs=8)
SECTIONS = {
    "methods": "[interchange, replacement]",
    "budgets": "[1]",
    "checkpoints": "{cut: {kind: directory, path: cut}, half: {kind: directory, path: half, dtype: bfloat16}}",
    "timing": "{batch: 2, tokens: 20, prompt: 6, new_tokens: 3, pairs: 8}",
    "claims": """
  - {id: faster, kind: speed, of: cut, phase: decode, at_least: 0.5}
  - {id: fast, kind: speed, of: half, phase: prefill, at_least: 2}""",
}
ELSEWHERE = MachineFacts("A GPU", "another processor", 8, "2.13.0", "5.0.0", "Linux")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit file with two checkpoints beside it."""
    folder = tmp_path_factory.mktemp("audit")
    tiny_audit.write(folder, **SECTIONS)
    for name, layout in {"cut": "(0,2,4,5)", "half": "(0,1,2)"}.items():
        save(tiny_audit.build(), tiny_audit.tokenizer(False), Layout.parse(layout), folder / name)
    return folder


@pytest.fixture(scope="module")
def measured(folder: Path) -> Path:
    audit(folder / "audit.yaml", out=folder / "out")
    return folder / "out"


@pytest.fixture
def out(measured: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(measured, tmp_path / "out"))


def timed(folder: Path, out: Path, seconds: Callable[[int], float] = lambda turn: 1.0) -> dict[str, TimingFacts]:
    """Times by a clock that says how long each turn took, by its number."""
    prepared = prepare(load.check(folder / "audit.yaml").audit)
    ticks = count()
    passed = 0.0

    def clock() -> float:
        nonlocal passed
        tick = next(ticks)
        passed += seconds(tick // 2) if tick % 2 else 0.0  # a turn is from an even tick to an odd one
        return passed

    with Store(out / "evidence.db") as store:
        return timing.measure(prepared, store, clock=clock)


def judged(folder: Path, out: Path) -> dict[str, Any]:
    loaded = load.check(folder / "audit.yaml", attached=False).audit
    with Store(out / "evidence.db", create=False) as store:
        return dict(judge(loaded, store))


def claim(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(row) for row in report["claims"] if row["id"] == name)


def speed(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(row["speed"]) for row in report["released"]["checkpoints"] if row["name"] == name)


def test_what_is_timed_is_stored_and_judged(folder: Path, out: Path) -> None:
    assert claim(judged(folder, out), "faster")["message"].startswith("cut is not timed against the model")
    found = timed(folder, out, lambda turn: 1.0 + 0.01 * (turn % 3))
    assert set(found) == {"cut", "half"}
    cut = found["cut"]
    assert (cut.settings, cut.dtype, cut.checkpoint_dtype, cut.no_decode) == (SETTINGS, "float32", "float32", "")
    assert found["half"].checkpoint_dtype == "bfloat16"
    assert cut.machine == environment.machine(torch.device("cpu"))
    assert [len(known.model) for known in (cut.prefill, cut.decode) if known] == [8, 8]
    report = judged(folder, out)
    row = speed(report, "cut")["decode"]
    assert row["value"] == pytest.approx(1.0, abs=0.02)
    assert row["model_tokens_per_second"] == pytest.approx(2 * 3, rel=0.02)
    assert str(cut.machine) in claim(report, "faster")["message"]
    assert "in bfloat16 against float32, on " in claim(report, "fast")["message"]


def test_a_second_timing_measures_anew_and_counts(folder: Path, out: Path) -> None:
    timed(folder, out, lambda turn: 1.0)
    timed(folder, out, lambda turn: 2.0 + 0.001 * turn)
    report = judged(folder, out)
    assert speed(report, "cut")["prefill"]["model_tokens_per_second"] == pytest.approx(20, rel=0.01)
    assert [each["prefill"]["value"] for each in speed(report, "cut")["others"]] == [1.0]


def test_another_machines_timings_are_never_this_ones(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = environment.machine(torch.device("cpu"))
    with monkeypatch.context() as patch:
        patch.setattr(environment, "machine", lambda _: ELSEWHERE)
        timed(folder, out)
    assert str(ELSEWHERE) in claim(judged(folder, out), "faster")["message"], "judged here, it holds for there"
    turns: list[int] = []
    timed(folder, out, lambda turn: turns.append(turn) or 1.5)  # type: ignore[func-returns-value]
    assert len(turns) == 2 * 2 * 2 * (timing.WARM_UP + 8), "every turn was run here"
    report = judged(folder, out)
    assert str(here) in claim(report, "faster")["message"]
    assert "some on 1 other machine" in claim(report, "faster")["message"]
    assert MachineFacts(**speed(report, "cut")["machine"]) == here
    assert [MachineFacts(**each["machine"]) for each in speed(report, "cut")["others"]] == [ELSEWHERE]


def test_other_settings_or_another_checkpoint_are_not_timed(folder: Path, out: Path) -> None:
    timed(folder, out)
    for changed in ("timing.batch=3", "model.dtype=bfloat16"):
        loaded = load.check(folder / "audit.yaml", [changed], attached=False).audit
        with Store(out / "evidence.db", create=False) as store:
            evidence = stored_evidence(loaded, store)
        assert not any(evidence.timings.values())


# --- packs -----------------------------------------------------------------------------------------------------------


def test_a_pack_holds_timings_and_verifies_where_nothing_was_timed(
    folder: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(folder, out)
    timed(folder, out, lambda turn: 1.0 + 0.01 * (turn % 3))
    pack = seal(out, tmp_path / "pack", judged_by(str(folder / "audit.yaml")), date(2030, 1, 1))
    monkeypatch.setattr(environment, "machine", lambda _: ELSEWHERE)
    assert verify(pack).differences == ()
    kept = [record for record in pack.json("records.json") if record["name"] == "timing"]
    assert len(kept) == 4
    assert speed(dict(pack.report), "cut")["prefill"]["value"] != 1.0


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda known: known["decode"]["model"].__setitem__(3, 2.0), 1, "the report does not follow from its rows"),
        (lambda known: known["machine"].update(threads=64), 1, "the report does not follow from its rows"),
        (lambda known: known["decode"]["model"].pop(), 5, "seconds of decode that are not those of 8 pairs of turns"),
        (lambda known: known["prefill"]["model"].__setitem__(0, 0.0), 5, "seconds of prefill that are not those of"),
        (lambda known: known.update(more=1.0), 5, "in the record of 'timing'"),
        (lambda known: known["settings"].update(batch=9), 5, "a timing of something else"),
    ],
)
def test_a_pack_with_other_seconds_does_not_verify(
    folder: Path, out: Path, tmp_path: Path, change: Callable[[Any], Any], code: int, message: str
) -> None:
    timed(folder, out, lambda turn: 1.0 + 0.01 * (turn % 3))
    pack = seal(out, tmp_path / "pack", judged_by(str(folder / "audit.yaml")), date(2030, 1, 1))
    contents = {name: (pack.folder / name).read_bytes() for name in (*FILES, MANIFEST)}
    records = json.loads(contents["records.json"])
    change(next(record["content"] for record in records if record["name"] == "timing"))
    forged = mutations.mended({**contents, "records.json": canonical(records).encode()})
    found = mutations.outcome(mutations.put(tmp_path / "forged", forged))
    assert found.code == code
    assert message in found.message


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_prints_both_phases_and_where_they_are(folder: Path, command: Command, tmp_path: Path) -> None:
    done = command("time", folder / "audit.yaml", "--out", tmp_path / "out")
    assert done.code == 0
    first, *lines, last = done.out.splitlines()
    assert first == f"cut, on {environment.machine(torch.device('cpu'))}"
    assert [line.split()[0] for line in lines] == ["prefill", "decode", "half,", "prefill", "decode"]
    assert " tokens per second of 2 sequences, 3 tokens after a prompt of 6" in lines[1]
    assert last.startswith(f"stored in {tmp_path / 'out' / 'evidence.db'}; ")
    assert "timing the checkpoint half and the model in turns" in done.err
    assert command("judge", folder / "audit.yaml", "--out", tmp_path / "out").code == 3, "nothing else is measured"


def test_an_interrupted_timing_keeps_the_checkpoints_that_were_done(
    folder: Path, out: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_turns, asked = timing.in_turns, []

    def stopping(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return in_turns(*arguments, **options)

    monkeypatch.setattr(timing, "in_turns", stopping)
    done = command("time", folder / "audit.yaml", "--out", out)
    assert (done.code, done.out) == (130, "")
    assert done.err.endswith("interrupted; the timings of checkpoints that were done are kept\n")
    loaded = load.check(folder / "audit.yaml", attached=False).audit
    with Store(out / "evidence.db", create=False) as store:
        known = stored_evidence(loaded, store).timings
    assert {name: len(each) for name, each in known.items()} == {"cut": 1, "half": 0}


def test_an_audit_without_checkpoints_has_nothing_to_time(folder: Path, command: Command) -> None:
    file = tiny_audit.write_audit(folder, "bare.yaml")
    done = command("time", file)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"{file}: found no `checkpoints`; expected one to time against the model; declare it in the " + (
        "audit file\n"
    )


def refused(folder: Path, out: Path, command: Command, *options: str) -> str:
    done = command("time", folder / "audit.yaml", "--out", out, *options)
    assert (done.code, done.out) == (4, "")
    assert not out.exists() or (out / "evidence.db").is_file()
    return done.err.splitlines()[-1]


def test_two_models_that_do_not_fit_together(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(timing, "free_memory", lambda _: 200_000)
    assert refused(folder, tmp_path / "out", command) == (
        "checkpoints.cut: found 0.000475 GB of weights together with the model's, and 0.0002 GB free on cpu; expected "
        "room for both at once, because they are timed in turns; free memory, take `dtype: bfloat16`, or time them on "
        "a larger machine"
    )


def test_memory_that_runs_out_on_the_way(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(timing, "in_turns", refuse)
    assert refused(folder, tmp_path / "out", command) == (
        "checkpoint cut: timing: found no memory for 2 sequences of 20 tokens beside both models; expected room for "
        "them; lower `batch` or `tokens`, or time them on a larger machine"
    )


def test_more_tokens_than_the_context(folder: Path, command: Command, tmp_path: Path) -> None:
    assert refused(folder, tmp_path / "out", command, "--set", "timing.prompt=62") == (
        "timing: found 65 tokens; expected at most 64, the context of the model; lower `tokens`, `prompt` or "
        "`new_tokens`"
    )


def test_two_devices(folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def device(source: ModelSource) -> torch.device:
        return torch.device("meta" if source.dtype == "bfloat16" else "cpu")

    monkeypatch.setattr(timing, "device_of", device)
    assert refused(folder, tmp_path / "out", command) == (
        "checkpoints.half.device: found meta; expected cpu, as the model: the two take turns on one device; name the "
        "same"
    )


def test_a_forward_that_gives_no_cache(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter([True, False, False])
    monkeypatch.setattr(timing.Runner, "caches", lambda _: next(asked))
    found = timed(folder, out)
    endings = "gives no cache of keys and values to decode with"
    assert [each.no_decode for each in found.values()] == [f"the forward of {name} {endings}" for name in
                                                          ("cut", "the model")]  # fmt: skip
    assert claim(judged(folder, out), "faster")["message"].startswith(
        "cut cannot be timed decoding: the forward of cut"
    )
