"""Models of strangers: what of their folder is read, and when code in it runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import tiny_audit
import torch
from tiny_files import gguf_bytes, safetensors_bytes, stack_shapes, write_index, write_model, write_sharded

from checker.checkpoints.digests import weights_digest
from checker.checkpoints.files import locate
from checker.checkpoints.model_facts import facts
from checker.checkpoints.trust import check_agreed
from checker.core.errors import CannotRun, UsageError
from checker.core.layouts import Layout
from checker.core.records import ModelSource
from checker.measure import cut_checkpoint, models
from checker.measure.prepare import prepare
from checker.spec import load as spec

CPU = torch.device("cpu")
BOTH = (
    "model.trust_remote_code: found true in the audit file, and no --trust-remote-code on the command line; expected "
    "both, because code that comes with the model runs with all your rights; read that code, then add "
    "--trust-remote-code"
)
ONLY_OPTION = (
    "--trust-remote-code: found it on the command line, and no `model.trust_remote_code: true` in the audit file; "
    "expected both; leave the option out, or say so in the audit file, where readers see it"
)
CODE = """
import os, pathlib
pathlib.Path(os.environ["RAN"]).write_text("the model's code ran")
from transformers import LlamaConfig, LlamaForCausalLM
from .helper import NAME
class OwnConfig(LlamaConfig):
    model_type = NAME
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""
AUTO_MAP = {"AutoConfig": "modeling_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnModel"}


class Bomb:
    """Unpickled, it writes the file that the environment names."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {os.environ['RAN']}",)


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a stranger's code writes where it runs."""
    path = tmp_path / "ran"
    monkeypatch.setenv("RAN", str(path))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a tiny audit; its model is a plain Llama."""
    tiny_audit.write(tmp_path / "audit")
    return tmp_path / "audit"


def refused(source: ModelSource) -> str:
    with pytest.raises(CannotRun) as caught:
        facts(locate(source), source)
    return str(caught.value)


def change(config: Path, **values: object) -> None:
    config.write_text(json.dumps(json.loads(config.read_text()) | values))


def with_code(model: Path, **values: object) -> ModelSource:
    """Gives a model code of its own, without which it does not load."""
    (model / "modeling_own.py").write_text(CODE)
    (model / "helper.py").write_text('NAME = "their_own"\n')
    change(model / "config.json", **{"model_type": "their_own", "auto_map": AUTO_MAP} | values)
    return ModelSource("directory", path=str(model), trust_remote_code=True)


# --- code that comes with a model ------------------------------------------------------------------------------------


def test_code_runs_where_audit_and_command_line_say_so(folder: Path, ran: Path, tmp_path: Path) -> None:
    source = with_code(folder / "model")
    files = locate(source)
    assert [path.name for path in files.code] == ["helper.py", "modeling_own.py"]
    assert facts(files, source).remote_code
    model = models.load_model(files, "float32", CPU)
    assert type(model).__name__ == "OwnModel"
    assert ran.read_text() == "the model's code ran"
    ids = torch.tensor([[3, 4, 5]])
    assert torch.equal(model(input_ids=ids).logits, tiny_audit.build()(input_ids=ids).logits)
    written = cut_checkpoint.write(source, Layout.base(6).without((2,)), tmp_path / "pruned")
    assert locate(ModelSource("directory", path=str(written), trust_remote_code=True)).code


def test_code_does_not_run_where_the_audit_does_not_say_so(folder: Path, ran: Path) -> None:
    with_code(folder / "model")
    files = locate(ModelSource("directory", path=str(folder / "model")))
    assert files.code == ()
    with pytest.raises(CannotRun, match="found a model that does not load"):
        models.load_model(files, "float32", CPU)
    assert not ran.exists()


@pytest.mark.parametrize(("said", "repeated", "message"), [(True, False, BOTH), (False, True, ONLY_OPTION)])
def test_one_word_alone_is_not_enough(said: bool, repeated: bool, message: str, folder: Path, ran: Path) -> None:
    with_code(folder / "model")
    model = f"{{kind: directory, path: model, device: cpu, trust_remote_code: {str(said).lower()}}}"
    audit = spec.check(tiny_audit.write_audit(folder, model=model)).audit
    with pytest.raises(UsageError) as caught:
        prepare(audit, trust_remote_code=repeated)
    assert str(caught.value) == message
    assert not ran.exists()
    check_agreed({"model": audit.model}, said)


def test_the_commands_ask_for_both_words(folder: Path, ran: Path) -> None:
    """With both, the report says that code ran; the digest of the weights covers it."""
    with_code(folder / "model")
    tiny_audit.write_audit(folder, model="{kind: directory, path: model, device: cpu, trust_remote_code: true}",
                           methods="[interchange]", claims="[]")  # fmt: skip
    environment = tiny_audit.environment(HF_MODULES_CACHE=str(folder / "modules"))
    command = ("run", "audit.yaml", "--out", "out", "--fail-on", "never", "--format", "json", "--format", "md")
    alone = tiny_audit.start(*command, folder=folder, env=environment)
    assert alone.communicate()[1].strip() == BOTH
    assert (alone.returncode, ran.exists(), (folder / "out").exists()) == (2, False, False)
    both = tiny_audit.start(*command, "--trust-remote-code", folder=folder, env=environment)
    assert (both.wait(), ran.exists()) == (0, True), both.communicate()[1]
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["model"]["remote_code"] is True
    found = [(finding["outcome"], finding["level"]) for finding in report["findings"]
             if finding["rule"] == "model/remote-code"]  # fmt: skip
    assert found == [("fail", "warning")]
    assert "| Code that came with it | was allowed to run |" in (folder / "out" / "report.md").read_text()
    exported = ("export", "out", "--arm", "interchange:1:0", "--as", "checkpoint", "--to", "cut", "--audit",
                "audit.yaml")  # fmt: skip
    without = tiny_audit.start(*exported, folder=folder, env=environment)
    assert (without.communicate()[1].strip(), without.returncode) == (BOTH, 2)


def test_the_digest_covers_code_that_may_run(folder: Path) -> None:
    source = with_code(folder / "model")
    before = weights_digest(locate(source))
    (folder / "model" / "helper.py").write_text('NAME = "their_own"  # changed\n')
    assert weights_digest(locate(source)) != before


@pytest.mark.parametrize(
    "name", ["an-org/another--modeling.Own", "../modeling.Own", "os.path.join", "modeling", "a b.C"]
)
def test_code_from_elsewhere_is_refused(name: str, folder: Path) -> None:
    source = with_code(folder / "model", auto_map={"AutoConfig": name})
    assert refused(source) == (
        f"{folder / 'model'}: found code called {name!r} in `auto_map`; expected `module.Class`, a Python file of this "
        "folder, because no digest covers code from elsewhere; copy the file into the folder"
    )


def test_code_that_leads_out_of_the_folder_is_refused(folder: Path) -> None:
    source = with_code(folder / "model")
    (folder / "model" / "helper.py").rename(folder / "helper.py")
    (folder / "model" / "helper.py").symlink_to(folder / "helper.py")
    assert "found 'helper.py', which leads out of the folder" in refused(source)


def test_code_that_is_not_there(folder: Path) -> None:
    source = with_code(folder / "model", auto_map={"AutoConfig": "absent.Own"})
    assert refused(source) == (
        f"{folder / 'model'}: found no absent.py, which `auto_map` names; expected it beside config.json; fetch the "
        "model again, with its code"
    )


def test_a_model_without_code_of_its_own_runs_none(folder: Path) -> None:
    (folder / "model" / "setup.py").write_text("raise SystemExit")
    source = ModelSource("directory", path=str(folder / "model"), trust_remote_code=True)
    assert locate(source).code == ()
    assert not facts(locate(source), source).remote_code


def test_the_key_of_stored_facts_does_not_depend_on_it() -> None:
    assert ModelSource("hub", repo="a/b", trust_remote_code=True).identity == ModelSource("hub", repo="a/b").identity


# --- code that a configuration asks for ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ({"attn_implementation": "evil/kernel"}, "attn_implementation 'evil/kernel'"),
        ({"_attn_implementation": "kernels-community/x@main:f"}, "_attn_implementation 'kernels-community/x@main:f'"),
        ({"attn_implementation": {"": "sdpa", "text_config": "paged|evil/x"}}, "attn_implementation 'paged|evil/x'"),
        ({"text_config": {"a": [{"experts_implementation": "evil-gemm"}]}}, "experts_implementation 'evil-gemm'"),
        ({"_attn_implementation_internal": "evil/kernel"}, "_attn_implementation_internal 'evil/kernel'"),
    ],
)  # fmt: skip
def test_kernels_that_a_configuration_names_are_refused(where: dict[str, Any], name: str, folder: Path) -> None:
    """transformers would download the repository and load its compiled code."""
    config = folder / "model" / "config.json"
    change(config, **where)
    key = name.split()[0]
    assert refused(ModelSource("directory", path=str(folder / "model"))) == (
        f"{config}: found {name}; expected one that transformers has itself, because it would download any other and "
        f"run it; take `{key}` out of the file"
    )


@pytest.mark.parametrize("value", ["sdpa", "eager", None, {"": "eager"}])
def test_what_the_library_has_itself_may_be_named(value: object, folder: Path) -> None:
    change(folder / "model" / "config.json", attn_implementation=value)
    assert facts(locate(source := ModelSource("directory", path=str(folder / "model"))), source).blocks == 6


# --- the library is shown the model's own files ----------------------------------------------------------------------


def test_the_library_sees_nothing_but_the_models_own_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an adapter of another model, not pickles, not code, not other weights that config.json names."""
    model = folder / "model"
    expected = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in model.iterdir()} == expected
    for name in ("adapter_config.json", "pytorch_model.bin", "modeling_own.py", "other.safetensors", "x.gguf", ".env"):
        (model / name).write_bytes(b"{}")
    seen: list[set[str]] = []
    load = models.AutoModelForCausalLM.from_pretrained

    def look(path: str, **options: Any) -> Any:
        seen.append({file.name for file in Path(path).iterdir()})
        assert options["use_safetensors"] is True
        assert options["trust_remote_code"] is False
        return load(path, **options)

    monkeypatch.setattr(models.AutoModelForCausalLM, "from_pretrained", look)
    models.load_model(locate(ModelSource("directory", path=str(model))), "float32", CPU)
    assert seen == [expected]


@pytest.mark.parametrize("name", ["other.safetensors", "../other.safetensors", "pytorch_model.bin"])
def test_weights_that_a_configuration_names_are_not_read(name: str, folder: Path, ran: Path) -> None:
    """No digest covers them."""
    model = folder / "model"
    shutil.copy(model / "model.safetensors", model / "other.safetensors")
    shutil.copy(model / "model.safetensors", folder / "other.safetensors")
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    change(model / "config.json", transformers_weights=name)
    with pytest.raises(CannotRun, match="found a model that does not load") as caught:
        models.load_model(locate(ModelSource("directory", path=str(model))), "float32", CPU)
    assert not ran.exists()
    assert "/pruneaudit-" not in str(caught.value)


def test_a_gguf_files_neighbours_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.gguf").write_bytes(gguf_bytes([], [], 0))
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": false}')
    seen: list[set[str]] = []
    monkeypatch.setattr(
        models.AutoTokenizer,
        "from_pretrained",
        lambda path, **_: seen.append({p.name for p in Path(path).iterdir()}) or MagicMock(),
    )
    models.load_tokenizer(locate(ModelSource("gguf", path=str(tmp_path / "tiny.gguf"))))
    assert seen == [{"tiny.gguf"}]


# --- pickles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "last.ckpt", "w.pkl", "MODEL.BIN"])
def test_pickled_weights_are_refused_with_the_reason(name: str, tmp_path: Path, ran: Path) -> None:
    source = write_model(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    pickled = tmp_path / "model" / name
    pickled.write_bytes(pickle.dumps(Bomb()))
    reason = "a pickle runs code when it is read, so it is refused"
    assert refused(source) == (
        f"{tmp_path / 'model'}: found only pickled weights ({name}); expected model.safetensors or "
        f"model.safetensors.index.json; {reason}: where you trust it, save it with `save_pretrained`"
    )
    assert refused(ModelSource("gguf", path=str(pickled))) == (
        f"{pickled}: found pickled weights; expected a GGUF file; {reason}"
    )
    assert not ran.exists()


@pytest.mark.parametrize("name", ["pytorch_model-00001.bin", "x.PT", "sub/x.ckpt"])
def test_pickled_shards_are_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    source = write_sharded(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / name).write_bytes(pickle.dumps({}))
    write_index(tmp_path, {"model.embed_tokens.weight": name})
    assert refused(source) == (
        f"{tmp_path / 'model.safetensors.index.json'}: found shard {name!r}, which is pickled; expected safetensors; a "
        "pickle runs code when it is read, so it is refused: where you trust it, save it with `save_pretrained`"
    )


def test_a_pickle_under_another_name_is_not_unpickled(tmp_path: Path, ran: Path) -> None:
    source = write_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    assert "model.safetensors: found a header of" in refused(source)
    with pytest.raises(CannotRun, match="found a model that does not load"):
        models.load_model(locate(source), "float32", CPU)
    assert not ran.exists()


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "most"),
    [
        ("config.json", 10_000_001, "at most 10000000, more than any configuration takes"),
        ("tokenizer.json", 256_000_001, "at most 256000000, more than any tokenizer takes"),
    ],
)
def test_huge_files_are_refused_unread(name: str, size: int, most: str, tmp_path: Path) -> None:
    source = write_model(tmp_path)
    os.truncate(tmp_path / name, size)  # a hole, which takes no room on the disk
    assert refused(source) == f"{tmp_path / name}: found {size} bytes; expected {most}; fetch the file again"


@pytest.mark.parametrize("text", ['{"a":' * 100_000, "[" * 100_000, '{"a":' * 900 + "1" + "}" * 900])
def test_a_deep_configuration_is_no_crash(text: str, tmp_path: Path) -> None:
    source = write_model(tmp_path)
    (tmp_path / "config.json").write_text(text)
    assert "config.json: found" in refused(source)


def test_tensors_may_not_share_bytes(tmp_path: Path) -> None:
    """A small file would otherwise stand for any amount of memory."""
    source = write_model(tmp_path)
    content = safetensors_bytes(stack_shapes(2))
    moved = content.replace(b"[160, 224]", b"[0, 64]   ").replace(b"[224, 288]", b"[64, 128] ")
    assert moved != content
    (tmp_path / "model.safetensors").write_bytes(moved)
    assert refused(source) == (
        f"{tmp_path / 'model.safetensors'}: found tensor 'model.layers.0.mlp.weight' and tensor "
        "'model.embed_tokens.weight' in the same bytes; expected each tensor in bytes of its own; the file is damaged "
        "or was cut off: fetch it again"
    )
