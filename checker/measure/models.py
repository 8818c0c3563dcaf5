"""Files -> model and tokenizer, through transformers, which is shown those files and nothing else."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoModelForCausalLM, AutoTokenizer

from checker.checkpoints.files import COPY_TOKENIZER, NO_TOKENIZER, TRUST, Files, NotCached, locate
from checker.core.errors import CannotRun
from checker.core.files import scratch
from checker.core.records import ModelSource
from checker.core.words import listed
from checker.measure.explained import in_one_sentence
from checker.measure.quiet import quiet


def device_of(source: ModelSource) -> torch.device:
    """The device an audit asks for; ``auto`` is CUDA where there is one."""
    if source.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if source.device.startswith("cuda") and not torch.cuda.is_available():
        raise CannotRun.at("model.device", f"no CUDA device for {source.device!r}", "one", "use `device: auto`")
    return torch.device(source.device)


def fetch(source: ModelSource, hub_cache: Path | None = None) -> Files:
    """The model's files; a hub model that is not in the cache yet is downloaded: configuration, safetensors, card."""
    try:
        return locate(source, hub_cache)
    except NotCached:
        pass
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "README.md"]
    if source.trust_remote_code:
        patterns.append("*.py")
    if source.file is not None and source.file.endswith(".gguf"):
        patterns = [source.file]
    try:
        snapshot_download(source.repo, revision=source.revision, cache_dir=hub_cache, allow_patterns=patterns)
    except Exception as error:  # the library raises many kinds; each means that the model is not to be had
        raise CannotRun.at(
            f"model {source.repo}",
            f"no way to download it ({type(error).__name__}: {error})",
            "it on the hub or in the local cache",
            "check the name and the network, or use `kind: directory`",
        ) from error
    return locate(source, hub_cache)


def load_tokenizer(files: Files) -> Any:
    """The tokenizer that lies with the weights; CannotRun where there is none that loads and takes a text."""
    if NO_TOKENIZER in files.warnings:
        raise CannotRun.at(
            files.folder, "no tokenizer files beside the weights", "the model's own tokenizer", COPY_TOKENIZER
        )
    with quiet(), redirect_stderr(io.StringIO()), _alone(files) as folder, _explained(files, folder, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **_options(files))
        tokenizer.decode(tokenizer("a")["input_ids"])  # settings of another type are met only here
        return tokenizer


def build_without_weights(files: Files) -> nn.Module:
    """The model that the configuration describes, on the meta device; no weights are read.

    CannotRun where the library has no causal language model of it.
    """
    with quiet(), redirect_stderr(io.StringIO()), _alone(files) as folder, _explained(files, folder, "model"):
        config = AutoConfig.from_pretrained(str(folder), **_options(files))
        _check_causal(files, config)
        with torch.device("meta"):
            model: nn.Module = AutoModelForCausalLM.from_config(config, trust_remote_code=bool(files.code))
        return model


def _check_causal(files: Files, config: Any) -> None:
    own = bool(files.code) and "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if own or type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        return
    name = next(iter(config.architectures or ()), type(config).__name__)
    raise CannotRun.at(
        files.folder,
        f"{name}, which transformers {transformers.__version__} has no causal language model for",
        "a decoder-only language model",
        "audit its language model alone, saved on its own, or use a version of transformers that has one",
    )


def load_model(files: Files, dtype: str, device: torch.device) -> nn.Module:
    """The model in ``dtype`` on ``device``, in evaluation mode, without gradients.

    CannotRun where it does not load, does not fit, or lacks weights that it needs.
    """
    options = _options(files) | {"dtype": getattr(torch, dtype), "output_loading_info": True}
    if files.config is None:
        _require("gguf", "accelerate")
    else:
        options["use_safetensors"] = True
    with quiet(), redirect_stderr(io.StringIO()), _alone(files) as folder, _explained(files, folder, "model"):
        model, report = AutoModelForCausalLM.from_pretrained(str(folder), **options)
        _check_complete(files, report)
        _check_used(files, model, report)
        loaded: nn.Module = model.to(device).eval().requires_grad_(False)
        return loaded


@contextmanager
def _alone(files: Files) -> Iterator[Path]:
    """A folder of links to the model's own files, and nothing else, for as long as the library reads.

    It would also read what merely lies beside them, which no check has seen and no digest covers: adapters, a GGUF
    file's neighbours, other weights that config.json names.
    """
    own = (*files.weights, *files.tokenizer, *files.code, *files.companions)
    with scratch() as place:
        folder = place / "model"
        for path in (*own, *filter(None, (files.config, files.index))):
            link = folder / path.relative_to(files.folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
        yield folder


def _options(files: Files) -> dict[str, Any]:
    """How transformers reads these files: from the disk, and without asking whether it may run their code."""
    options: dict[str, Any] = {"trust_remote_code": bool(files.code), "local_files_only": True}
    if files.config is None:
        options["gguf_file"] = files.weights[0].name
    return options


def _check_complete(files: Files, report: Mapping[str, Any]) -> None:
    """The library fills weights that a checkpoint lacks with random numbers, and says so in a warning only."""
    missing = sorted(report["missing_keys"])
    if missing:
        raise CannotRun.at(
            files.folder,
            f"no weights for {listed(missing)}",
            "weights for every parameter",
            "check that the checkpoint is whole and that its config.json belongs to it",
        )


def _check_used(files: Files, model: nn.Module, report: Mapping[str, Any]) -> None:
    """The library leaves out weights that its blocks have no place for, a bias for instance, and says nothing."""
    lists = {path: module for path, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    blocks = tuple(f"{path}.{number}." for path, modules in lists.items() for number in range(len(modules)))
    unused = sorted(name for name in report["unexpected_keys"] if name.startswith(blocks))
    if unused:
        raise CannotRun.at(
            files.folder,
            f"weights that the model has no place for: {listed(unused)}",
            "every weight of a block to be used",
            "correct config.json, or fetch the checkpoint that it belongs to",
        )


def _require(*packages: str) -> None:
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise CannotRun.at(
            None, f"no package {' nor '.join(missing)}", "it, to read GGUF", "install `pruneaudit[measure]`"
        )


@contextmanager
def _explained(files: Files, folder: Path, what: str) -> Iterator[None]:
    try:
        yield
    except CannotRun:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise CannotRun(f"out of memory while loading {files.folder}; try `dtype: bfloat16`") from error
    except Exception as error:  # whatever a stranger's files make the loaders raise
        if files.untrusted_code:
            raise CannotRun.at(
                files.folder,
                f"a {what} that does not load without the code that comes with it, which `auto_map` names",
                "that code to be trusted, or none to be needed",
                TRUST,
            ) from error
        reason = in_one_sentence(error).replace(str(folder), str(files.folder))
        raise CannotRun(
            f"{files.folder}: found a {what} that does not load ({reason}); expected one that this version of "
            "transformers reads"
        ) from error
